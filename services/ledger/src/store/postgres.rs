//! PostgreSQL: a schema for each shard. The epoch in the shard row keeps a
//! second writer out.
//!
//! New rows go in by COPY in binary form, which costs the server about half of
//! an INSERT from UNNEST; what may be there already is inserted or updated from
//! UNNEST, one row per key, so that PostgreSQL updates in place (HOT).

use super::{
    Changes, StoreError, nodelay,
    rows::{PositionRow, ShardRow, SlotRow, TradeRow, WalletRow},
    session::{Pool, Session},
    table::{Row, Sink},
};
use anyhow::Context as _;
use bytes::{BufMut as _, BytesMut};
use sqlx::{
    AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr, time::Duration};
use tragen_host::failpoint;
use uuid::Uuid;

/// The schema of a shard.
pub(crate) fn schema_of(shard: u16) -> String {
    format!("shard_{shard}")
}

/// How all connections to a shard begin.
pub(crate) fn options(url: &str, shard: u16) -> anyhow::Result<PgConnectOptions> {
    // The url may hold a password, so it is not part of the error.
    let options = PgConnectOptions::from_str(url).context("reading the store url")?;
    Ok(options.application_name("tragen-ledger").options([("search_path", schema_of(shard))]))
}

fn pool(connections_max: u32, wait: Duration) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections_max).acquire_timeout(wait)
}

/// All that is read or written while work goes on is found by its keys: a plan made for small tables must not
/// last, and a list of a thousand keys is no reason to read all of a million rows.
const BY_KEYS: [(&str, &str); 4] =
    [("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off"), ("jit", "off")];

fn reading(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("default_transaction_read_only", "on"), ("statement_timeout", "5000")]).options(BY_KEYS)
}

pub(super) async fn update_tables(url: &str, shard: u16, wait: Duration) -> anyhow::Result<()> {
    let updating = pool(1, wait).connect_with(options(url, shard)?).await;
    let updating = updating.context("connecting to the ledger's database")?;
    let updated = migrate(&updating, shard).await;
    updating.close().await;
    updated
}

/// A role that may only read and write rows finds the tables in place and goes on.
async fn migrate(updating: &PgPool, shard: u16) -> anyhow::Result<()> {
    let mut migrations = sqlx::migrate!("migrations/postgres");
    // A newer version may have added to the tables: what it adds does not disturb this one.
    migrations.set_ignore_missing(true);
    let schema = schema_of(shard);
    let newest = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
    let found: Option<bool> = sqlx::query_scalar(
        "SELECT has_table_privilege(c.oid, 'SELECT') FROM pg_class c JOIN pg_namespace n
             ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = '_sqlx_migrations'",
    )
    .bind(&schema)
    .fetch_optional(updating)
    .await
    .context("looking for the ledger's tables")?;
    if found == Some(true) {
        let version: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(updating)
            .await
            .context("reading the version of the ledger's tables")?;
        if version.is_some_and(|version| version >= newest) {
            return Ok(());
        }
    }
    let create = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
    // Two processes that start at once may both try; the second finds it there.
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(create)).execute(updating).await
        && error.as_database_error().is_none_or(|database| !database.is_unique_violation())
    {
        return Err(error).context("creating the ledger's schema");
    }
    migrations.run(updating).await.context("updating the ledger's tables")
}

/// The server may be away for now; it is asked when it is needed.
pub(super) fn connect_readers(url: &str, shard: u16, readers_max: u32, wait: Duration) -> anyhow::Result<Pool> {
    let options = reading(options(url, shard)?);
    Ok(Pool::Postgres(pool(readers_max, wait).connect_lazy_with(options)))
}

/// What the session of a shard's writer is called on the server.
fn writer_of(shard: u16) -> String {
    format!("tragen-ledger writer of shard {shard}")
}

pub(super) async fn open_writer(url: &str, shard: u16, wait: Duration) -> Result<PgPool, StoreError> {
    let options = writing(url, shard)?.application_name(&writer_of(shard));
    let port = options.get_port();
    let connecting = pool(1, wait).after_connect(move |_, _| {
        Box::pin(async move {
            nodelay::set_on_connections_to(port);
            Ok(())
        })
    });
    Ok(connecting.connect_with(options).await?)
}

fn writing(url: &str, shard: u16) -> Result<PgConnectOptions, StoreError> {
    let options = options(url, shard).map_err(StoreError::unavailable)?.options([
        // A commit is answered only when it is on disk, whatever the server's default.
        ("synchronous_commit", "on"),
        // A writer that hangs between two statements must not keep the shard row.
        ("idle_in_transaction_session_timeout", "2000"),
        ("lock_timeout", "2000"),
        ("statement_timeout", "15000"),
    ]);
    Ok(options.options(BY_KEYS))
}

/// Connections for turns beside the writer.
pub(super) async fn open_turns(url: &str, shard: u16, wait: Duration) -> anyhow::Result<Pool> {
    let options = options(url, shard)?.options([
        ("synchronous_commit", "on"),
        ("idle_in_transaction_session_timeout", "60000"),
        ("lock_timeout", "10000"),
    ]);
    let pool = pool(super::turn::CONNECTIONS, wait).connect_with(options).await;
    Ok(Pool::Postgres(pool.context("connecting to the ledger's database")?))
}

pub(super) async fn snapshot(url: &str, shard: u16, wait: Duration) -> anyhow::Result<Session> {
    let pool = pool(1, wait).connect_with(options(url, shard)?).await.context("connecting to the ledger's database")?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    Ok(Session::Postgres(pool.begin_with(begin).await.context("starting to read")?))
}

/// Gives a shard that has not begun its row and its slots. Whoever takes the shard over meanwhile does not end this
/// session: it has no writer's name.
pub(super) async fn begin(
    (url, shard): (&str, u16),
    wait: Duration,
    first: &ShardRow,
    slots: &[SlotRow],
) -> Result<(), StoreError> {
    let pool = pool(1, wait).connect_with(writing(url, shard)?).await?;
    let mut transaction = pool.begin().await?;
    let made = sqlx::query(
        "INSERT INTO shard SELECT $1, 0, 0, 0, 0, 0, 0, $2, 0, $3 WHERE NOT EXISTS (SELECT 1 FROM shard)
         ON CONFLICT DO NOTHING",
    )
    .bind(first.shard_id)
    .bind(&first.head_hash)
    .bind(first.shards_at_creation)
    .execute(&mut *transaction)
    .await?;
    if made.rows_affected() == 1 {
        copy(&mut transaction, slots).await?;
    }
    transaction.commit().await?;
    pool.close().await;
    Ok(())
}

/// Raises the epoch. A writer before that fell silent may still hold the shard row, in the middle of a COPY even for as
/// long as its statement may take: its session is ended. What it has not committed comes again from the bus.
pub(super) async fn take_over(pool: &PgPool, shard: u16) -> Result<ShardRow, StoreError> {
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = $1 AND datname = current_database() AND usename = current_user
           AND pid <> pg_backend_pid()",
    )
    .bind(writer_of(shard))
    .execute(pool)
    .await?;
    let mut transaction = pool.begin().await?;
    let raise = format!("UPDATE shard SET epoch = epoch + 1 RETURNING {}", ShardRow::COLUMNS);
    let shard = sqlx::query_as(AssertSqlSafe(raise)).fetch_one(&mut *transaction).await?;
    failpoint::pass("before_take_over");
    transaction.commit().await?;
    Ok(shard)
}

/// True when another writer has taken over.
pub(super) async fn commit(pool: &PgPool, changes: &Changes) -> Result<bool, StoreError> {
    let mut transaction = pool.begin().await?;
    if !advance(&mut transaction, changes).await? {
        return Ok(true);
    }
    copy(&mut transaction, &changes.new_trades).await?;
    update_trades(&mut transaction, &changes.changed_trades).await?;
    copy(&mut transaction, &changes.executions).await?;
    copy(&mut transaction, &changes.cash).await?;
    copy(&mut transaction, &changes.transfers).await?;
    copy(&mut transaction, &changes.new_wallets).await?;
    update_wallets(&mut transaction, &changes.changed_wallets).await?;
    copy(&mut transaction, &changes.new_positions).await?;
    update_positions(&mut transaction, &changes.changed_positions).await?;
    copy(&mut transaction, &changes.settlements).await?;
    copy(&mut transaction, &changes.payouts).await?;
    copy(&mut transaction, &changes.checkpoints).await?;
    if let Some(batch) = &changes.batch {
        sqlx::query("INSERT INTO batch VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(batch.sequence)
            .bind(batch.first_transfer)
            .bind(batch.last_transfer)
            .bind(&batch.previous_hash)
            .bind(&batch.hash)
            .bind(batch.posted_at)
            .execute(&mut *transaction)
            .await?;
    }
    for report in &changes.rejected {
        sqlx::query("INSERT INTO rejected_report VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING")
            .bind(&report.report_id)
            .bind(&report.trade_id)
            .bind(&report.account_id)
            .bind(&report.venue)
            .bind(&report.reason)
            .bind(&report.payload)
            .bind(report.rejected_at)
            .execute(&mut *transaction)
            .await?;
    }
    failpoint::pass("before_commit");
    transaction.commit().await?;
    failpoint::pass("after_commit");
    Ok(false)
}

async fn advance(transaction: &mut Transaction<'static, Postgres>, changes: &Changes) -> Result<bool, StoreError> {
    let (before, after) = (&changes.before, &changes.after);
    let moved = sqlx::query(
        "UPDATE shard SET posting_sequence = $1, transfer_sequence = $2, trade_sequence = $3, fact_sequence = $4,
            batch_sequence = $5, head_hash = $6, posted_at = $7, seals = $8
         WHERE epoch = $9 AND posting_sequence = $10 AND fact_sequence = $11",
    )
    .bind(after.posting_sequence)
    .bind(after.transfer_sequence)
    .bind(after.trade_sequence)
    .bind(after.fact_sequence)
    .bind(after.batch_sequence)
    .bind(&after.head_hash)
    .bind(after.posted_at)
    .bind(&after.seals)
    .bind(before.epoch)
    .bind(before.posting_sequence)
    .bind(before.fact_sequence)
    .execute(&mut **transaction)
    .await?;
    failpoint::pass("after_fence");
    Ok(moved.rows_affected() == 1)
}

/// Inserts rows that are not there yet.
pub(crate) async fn copy<R: Row>(connection: &mut PgConnection, rows: &[R]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", R::TABLE, R::COLUMNS);
    let mut copying = connection.copy_in_raw(&statement).await?;
    let mut encoding = Encoding::new();
    for row in rows {
        encoding.0.put_i16(R::WIDTH);
        row.put(&mut encoding);
    }
    copying.send(encoding.end()).await?;
    copying.finish().await?;
    Ok(())
}

/// PostgreSQL's binary COPY format: a signature, then each row with its columns, then -1.
/// <https://www.postgresql.org/docs/15/sql-copy.html>
struct Encoding(BytesMut);

impl Encoding {
    fn new() -> Self {
        let mut bytes = BytesMut::with_capacity(64 * 1_024);
        bytes.put_slice(b"PGCOPY\n\xff\r\n\0");
        bytes.put_i32(0);
        bytes.put_i32(0);
        Self(bytes)
    }

    fn end(mut self) -> BytesMut {
        self.0.put_i16(-1);
        self.0
    }

    fn field(&mut self, bytes: &[u8]) {
        self.0.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.0.put_slice(bytes);
    }
}

impl Sink for Encoding {
    fn int(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.field(&value.to_be_bytes()),
            None => self.0.put_i32(-1),
        }
    }
    fn small(&mut self, value: i32) {
        self.field(&value.to_be_bytes());
    }
    fn bool(&mut self, value: bool) {
        self.field(&[u8::from(value)]);
    }
    fn text(&mut self, value: &str) {
        self.field(value.as_bytes());
    }
    fn bytes(&mut self, value: &[u8]) {
        self.field(value);
    }
    fn uuid(&mut self, value: &Uuid) {
        self.field(value.as_bytes());
    }
}

fn column<'a, R, T>(rows: &'a [R], field: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(field).collect()
}

pub(super) async fn update_trades(
    transaction: &mut Transaction<'static, Postgres>,
    rows: &[TradeRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE trade SET fact_sequence = new.fact_sequence, status = new.status, denial_code = new.denial_code,
            denial_message = new.denial_message, denial_limit = new.denial_limit,
            denial_observed = new.denial_observed, rejection = new.rejection, order_id = new.order_id,
            instrument_id = new.instrument_id, side = new.side, quantity = new.quantity,
            limit_price = new.limit_price, filled_quantity = new.filled_quantity,
            average_price = new.average_price, fee = new.fee, cash_change = new.cash_change,
            currency = new.currency, account_version = new.account_version, agent = new.agent,
            agent_id = new.agent_id, rationale = new.rationale, updated_at = new.updated_at, seal = new.seal
         FROM UNNEST($1::uuid[], $2::bigint[], $3::integer[], $4::integer[], $5::text[], $6::bigint[], $7::bigint[],
            $8::text[], $9::text[], $10::text[], $11::integer[], $12::bigint[], $13::bigint[], $14::bigint[],
            $15::bigint[], $16::bigint[], $17::bigint[], $18::text[], $19::bigint[], $20::text[], $21::text[],
            $22::text[], $23::bigint[], $24::bytea[])
            AS new (trade_id, fact_sequence, status, denial_code, denial_message, denial_limit, denial_observed,
                rejection, order_id, instrument_id, side, quantity, limit_price, filled_quantity, average_price, fee,
                cash_change, currency, account_version, agent, agent_id, rationale, updated_at, seal)
         WHERE trade.trade_id = new.trade_id",
    )
    .bind(column(rows, |r| r.trade_id))
    .bind(column(rows, |r| r.fact_sequence))
    .bind(column(rows, |r| r.status))
    .bind(column(rows, |r| r.denial_code))
    .bind(column(rows, |r| r.denial_message.as_str()))
    .bind(column(rows, |r| r.denial_limit))
    .bind(column(rows, |r| r.denial_observed))
    .bind(column(rows, |r| r.rejection.as_str()))
    .bind(column(rows, |r| r.order_id.as_str()))
    .bind(column(rows, |r| r.instrument_id.as_str()))
    .bind(column(rows, |r| r.side))
    .bind(column(rows, |r| r.quantity))
    .bind(column(rows, |r| r.limit_price))
    .bind(column(rows, |r| r.filled_quantity))
    .bind(column(rows, |r| r.average_price))
    .bind(column(rows, |r| r.fee))
    .bind(column(rows, |r| r.cash_change))
    .bind(column(rows, |r| r.currency.as_str()))
    .bind(column(rows, |r| r.account_version))
    .bind(column(rows, |r| r.agent.as_str()))
    .bind(column(rows, |r| r.agent_id.as_str()))
    .bind(column(rows, |r| r.rationale.as_str()))
    .bind(column(rows, |r| r.updated_at))
    .bind(column(rows, |r| r.seal.as_slice()))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// What was to be changed must be there: else what the writer remembers is not what is stored.
fn all_there(updated: u64, rows: usize) -> Result<(), StoreError> {
    if usize::try_from(updated) == Ok(rows) {
        return Ok(());
    }
    Err(StoreError::unavailable(anyhow::anyhow!("{rows} rows were to be changed, {updated} are there")))
}

/// The numbers of all rows travel as one array, row after row: each array that UNNEST spreads costs the server
/// about a tenth of the whole statement.
async fn update_wallets(
    transaction: &mut Transaction<'static, Postgres>,
    rows: &[WalletRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let numbers = rows.iter().flat_map(|r| [r.cash, r.margin, r.version, i64::from(r.is_frozen)]);
    let updated = sqlx::query(
        "UPDATE wallet SET cash = $3[4 * place - 3], margin = $3[4 * place - 2], version = $3[4 * place - 1],
            is_frozen = $3[4 * place] <> 0
         FROM UNNEST($1::text[], $2::text[]) WITH ORDINALITY AS new (account_id, currency, place)
         WHERE wallet.account_id = new.account_id AND wallet.currency = new.currency",
    )
    .bind(column(rows, |r| r.account_id.as_str()))
    .bind(column(rows, |r| r.currency.as_str()))
    .bind(numbers.collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await?;
    all_there(updated.rows_affected(), rows.len())
}

async fn update_positions(
    transaction: &mut Transaction<'static, Postgres>,
    rows: &[PositionRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let numbers = rows.iter().flat_map(|r| {
        [r.style.into(), r.quantity, r.entry_notional, r.margin, r.realized_pnl, r.fees, r.account_version]
    });
    let updated = sqlx::query(
        "UPDATE position SET currency = new.currency, style = $4[7 * place - 6], quantity = $4[7 * place - 5],
            entry_notional = $4[7 * place - 4], margin = $4[7 * place - 3], realized_pnl = $4[7 * place - 2],
            fees = $4[7 * place - 1], account_version = $4[7 * place]
         FROM UNNEST($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
            AS new (account_id, instrument_id, currency, place)
         WHERE position.account_id = new.account_id AND position.instrument_id = new.instrument_id",
    )
    .bind(column(rows, |r| r.account_id.as_str()))
    .bind(column(rows, |r| r.instrument_id.as_str()))
    .bind(column(rows, |r| r.currency.as_str()))
    .bind(numbers.collect::<Vec<i64>>())
    .execute(&mut **transaction)
    .await?;
    all_there(updated.rows_affected(), rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_database_says_of_the_data_sets_a_report_aside() {
        let cut = sqlx::Error::Protocol("unexpected response from SSLRequest: 0x00".to_owned());
        assert!(matches!(StoreError::from(cut), StoreError::Unavailable(_)));
        let unencodable = sqlx::Error::Encode("a number that does not fit".into());
        assert!(matches!(StoreError::from(unencodable), StoreError::Refused(_)));
    }
}
