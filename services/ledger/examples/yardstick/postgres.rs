//! Double entry in plain SQL on PostgreSQL.

use super::{
    figures::Figure,
    load::{Transfer, changes},
    measure::{self, HISTORY, Run, TOTALS, Totals, Writer},
    server::PostgresServer,
};
use sqlx::{
    Connection as _, Encode, PgConnection, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgHasArrayType, PgTypeInfo, types::Oid},
};
use std::time::{Duration, Instant};
use uuid::Uuid;

const TABLES: &str = "DROP TABLE IF EXISTS account, transfer;
    CREATE TABLE account (
        id bigint PRIMARY KEY,
        debits bigint NOT NULL,
        credits bigint NOT NULL
    ) WITH (fillfactor = 70);
    CREATE TABLE transfer (
        id uuid PRIMARY KEY,
        debit_id bigint NOT NULL,
        credit_id bigint NOT NULL,
        amount bigint NOT NULL CHECK (amount > 0),
        kind smallint NOT NULL,
        posted_at bigint NOT NULL
    );";
const ACCOUNTS: &str = "INSERT INTO account SELECT id, 0, 0 FROM generate_series(1, $1) AS id";
/// Every run starts with the same books, known to the planner and on disk.
const SETTLE: [&str; 3] = ["VACUUM (FREEZE, ANALYZE) account", "VACUUM (ANALYZE) transfer", "CHECKPOINT"];
/// Bytes written to the log since the server's first start.
const LOG_BYTES: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";

const INSERT_MANY: &str = "INSERT INTO transfer SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[],
    $4::bigint[], $5::smallint[], $6::bigint[])";
const UPDATE_MANY: &str = "UPDATE account SET debits = account.debits + change.debits,
        credits = account.credits + change.credits
    FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]) AS change (id, debits, credits)
    WHERE account.id = change.id";
const BOTH_MANY: &str = "WITH posted AS (INSERT INTO transfer SELECT * FROM UNNEST($1::uuid[], $2::bigint[],
        $3::bigint[], $4::bigint[], $5::smallint[], $6::bigint[]))
    UPDATE account SET debits = account.debits + change.debits, credits = account.credits + change.credits
    FROM UNNEST($7::bigint[], $8::bigint[], $9::bigint[]) AS change (id, debits, credits)
    WHERE account.id = change.id";
const COPY: &str = "COPY transfer FROM STDIN (FORMAT binary)";
/// "PGCOPY", no flags, no extension.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const INSERT_ONE: &str = "INSERT INTO transfer VALUES ($1, $2, $3, $4, $5, $6)";
const DEBIT_ONE: &str = "UPDATE account SET debits = debits + $2 WHERE id = $1";
const CREDIT_ONE: &str = "UPDATE account SET credits = credits + $2 WHERE id = $1";

/// How a transaction is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// BEGIN, INSERT and UPDATE of arrays, COMMIT.
    Unnest,
    /// The same with COPY in place of INSERT.
    Copy,
    /// INSERT and UPDATE of arrays in one statement that commits itself: one round trip.
    OneStatement,
    /// BEGIN, one statement for each row, COMMIT.
    Statements,
}

impl Way {
    /// For many transfers in one transaction.
    pub(crate) const BATCHED: [Self; 3] = [Self::Unnest, Self::Copy, Self::OneStatement];
    /// For one transfer in one transaction.
    pub(crate) const SINGLE: [Self; 2] = [Self::Statements, Self::OneStatement];

    fn name(self) -> &'static str {
        match self {
            Self::Unnest => "unnest",
            Self::Copy => "copy binary",
            Self::OneStatement => "one statement",
            Self::Statements => "statements",
        }
    }
}

/// Makes new books on `server` and lets `connections` post there.
///
/// # Errors
/// When the server refuses something, or the books do not balance afterwards.
pub(crate) async fn measure(
    server: &PostgresServer,
    run: &Run,
    way: Way,
    connections: usize,
) -> anyhow::Result<Figure> {
    let mut observer = server.connect().await?;
    sqlx::raw_sql(TABLES).execute(&mut observer).await?;
    if run.has_history {
        sqlx::raw_sql(HISTORY).execute(&mut observer).await?;
    }
    sqlx::query(ACCOUNTS).bind(run.accounts).execute(&mut observer).await?;
    for statement in SETTLE {
        sqlx::raw_sql(statement).execute(&mut observer).await?;
    }
    let mut writers = Vec::new();
    for _ in 0..connections {
        writers.push(PostgresWriter { connection: server.connect().await?, way, rows: Vec::new() });
    }
    let before: i64 = sqlx::query_scalar(LOG_BYTES).fetch_one(&mut observer).await?;
    let (figure, posted) = measure::measure(run, writers, Some(server.pid())).await?;
    let after: i64 = sqlx::query_scalar(LOG_BYTES).fetch_one(&mut observer).await?;
    let totals: Totals = sqlx::query_as(TOTALS).fetch_one(&mut observer).await?;
    measure::check(posted, totals)?;
    let log_bytes = (after - before).unsigned_abs().checked_div(posted);
    Ok(Figure { store: "postgres", way: way.name(), log_bytes, ..figure })
}

/// One session that posts.
struct PostgresWriter {
    connection: PgConnection,
    way: Way,
    /// The rows of a COPY.
    rows: Vec<u8>,
}

impl Writer for PostgresWriter {
    async fn post(&mut self, transfers: &[Transfer]) -> anyhow::Result<Option<Duration>> {
        if self.way == Way::OneStatement {
            let query = bind_changes(bind_transfers(sqlx::query(BOTH_MANY), transfers), transfers);
            query.execute(&mut self.connection).await?;
            return Ok(None);
        }
        let mut transaction = self.connection.begin().await?;
        match self.way {
            Way::Unnest => {
                bind_transfers(sqlx::query(INSERT_MANY), transfers).execute(&mut *transaction).await?;
                bind_changes(sqlx::query(UPDATE_MANY), transfers).execute(&mut *transaction).await?;
            }
            Way::Copy => {
                write_rows(&mut self.rows, transfers);
                let mut copy = transaction.copy_in_raw(COPY).await?;
                copy.send(self.rows.as_slice()).await?;
                copy.finish().await?;
                bind_changes(sqlx::query(UPDATE_MANY), transfers).execute(&mut *transaction).await?;
            }
            Way::OneStatement | Way::Statements => {
                for transfer in transfers {
                    post_one(&mut transaction, transfer).await?;
                }
            }
        }
        let started = Instant::now();
        transaction.commit().await?;
        Ok(Some(started.elapsed()))
    }
}

/// One statement for each of the three rows.
async fn post_one(connection: &mut PgConnection, transfer: &Transfer) -> anyhow::Result<()> {
    sqlx::query(INSERT_ONE)
        .bind(Id(transfer.id))
        .bind(transfer.debit_id)
        .bind(transfer.credit_id)
        .bind(transfer.amount)
        .bind(transfer.kind)
        .bind(transfer.posted_at)
        .execute(&mut *connection)
        .await?;
    let mut updates = [(transfer.debit_id, DEBIT_ONE), (transfer.credit_id, CREDIT_ONE)];
    // Everybody locks in the same order, so nobody waits for each other.
    updates.sort_unstable();
    for (account, update) in updates {
        sqlx::query(update).bind(account).bind(transfer.amount).execute(&mut *connection).await?;
    }
    Ok(())
}

type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

fn bind_transfers(query: Query, transfers: &[Transfer]) -> Query {
    query
        .bind(column(transfers, |transfer| Id(transfer.id)))
        .bind(column(transfers, |transfer| transfer.debit_id))
        .bind(column(transfers, |transfer| transfer.credit_id))
        .bind(column(transfers, |transfer| transfer.amount))
        .bind(column(transfers, |transfer| transfer.kind))
        .bind(column(transfers, |transfer| transfer.posted_at))
}

fn bind_changes(query: Query, transfers: &[Transfer]) -> Query {
    let changes = changes(transfers);
    query
        .bind(changes.keys().copied().collect::<Vec<_>>())
        .bind(changes.values().map(|change| change.debits).collect::<Vec<_>>())
        .bind(changes.values().map(|change| change.credits).collect::<Vec<_>>())
}

fn column<T>(transfers: &[Transfer], field: impl Fn(&Transfer) -> T) -> Vec<T> {
    transfers.iter().map(field).collect()
}

/// Replaces `rows` by `transfers` in the binary format of COPY.
fn write_rows(rows: &mut Vec<u8>, transfers: &[Transfer]) {
    rows.clear();
    rows.extend_from_slice(COPY_HEADER);
    for transfer in transfers {
        rows.extend_from_slice(&6_i16.to_be_bytes());
        for field in [
            transfer.id.as_bytes().as_slice(),
            &transfer.debit_id.to_be_bytes(),
            &transfer.credit_id.to_be_bytes(),
            &transfer.amount.to_be_bytes(),
            &transfer.kind.to_be_bytes(),
            &transfer.posted_at.to_be_bytes(),
        ] {
            // At most 16 bytes.
            let length = i32::try_from(field.len()).unwrap_or(i32::MAX);
            rows.extend_from_slice(&length.to_be_bytes());
            rows.extend_from_slice(field);
        }
    }
    rows.extend_from_slice(&COPY_TRAILER);
}

/// PostgreSQL's uuid; sqlx knows it only with a feature that nothing else here needs.
#[derive(Debug, Clone, Copy)]
struct Id(Uuid);

/// Fixed numbers of the server's catalog.
const UUID: Oid = Oid(2950);
const UUID_ARRAY: Oid = Oid(2951);

impl Type<Postgres> for Id {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(UUID)
    }
}

impl PgHasArrayType for Id {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(UUID_ARRAY)
    }
}

impl Encode<'_, Postgres> for Id {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}
