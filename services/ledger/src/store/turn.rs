//! Writing to the books of a shard beside the writer that runs: by turns. A turn
//! is one transaction that raises the epoch first, so the running writer is out
//! until it has taken over again, and has read by then what the turn changed.

use super::{
    StoreError, postgres,
    rows::{ShardRow, TradeRow},
    session::{Arg, Pool, Record, Session, Sql},
    sqlite,
    table::{Row, Sink},
};
use crate::config::ShardConfig;
use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Sqlite, Transaction, error::BoxDynError, sqlite::SqliteArguments};
use std::time::Duration;
use uuid::Uuid;

/// Connections to one shard for turns: one writes, the others read.
pub(super) const CONNECTIONS: u32 = 3;
/// Parameters of one statement of SQLite; it takes 32,766.
const PARAMETERS_MAX: usize = 30_000;

const RAISE_EPOCH: Sql = Sql::same("UPDATE shard SET epoch = epoch + 1 RETURNING *");
const ADVANCE: Sql = Sql::same(
    "UPDATE shard SET posting_sequence = $1, transfer_sequence = $2, trade_sequence = $3, batch_sequence = $4,
        head_hash = $5, posted_at = $6, fact_sequence = $7, epoch = $8, seals = $9 RETURNING epoch",
);

/// The books of one shard, to be read and to be written by turns.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    /// The shard.
    pub(crate) shard: u16,
    /// For reads; without the time limit that questions have.
    pub(crate) pool: Pool,
}

/// One turn: it happens with [`Turn::end`], or not at all.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The shard row; what is changed here is written at the end.
    pub(crate) shard: ShardRow,
    session: Session,
}

impl Turns {
    /// At the books of `shard`, whose tables are there.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub(crate) async fn open(shard: u16, place: &ShardConfig, wait: Duration) -> anyhow::Result<Self> {
        let pool = if super::is_sqlite(&place.url) {
            sqlite::open_turns(&place.url, wait).await
        } else {
            postgres::open_turns(&place.url, shard, wait).await
        };
        Ok(Self { shard, pool: pool.with_context(|| format!("opening shard {shard}"))? })
    }

    /// Waits for the writer's transaction to end, and begins a turn; `None` when no ledger has ever served the shard.
    pub(crate) async fn take(&self) -> Result<Option<Turn>, StoreError> {
        let mut session = self.pool.begin_writing().await?;
        let shard = session.rows(RAISE_EPOCH, &[]).await?.into_iter().next();
        Ok(shard.map(|shard| Turn { shard, session }))
    }

    /// Closes every connection.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Turn {
    /// What a statement gives; one that changes rows gives what stands after `RETURNING`.
    pub(crate) async fn rows<T: Record>(&mut self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<T>, StoreError> {
        self.session.rows(sql, args).await
    }

    /// Inserts rows that are not there yet.
    pub(crate) async fn insert<R: Row + Sync>(&mut self, rows: &[R]) -> Result<(), StoreError> {
        self.session.insert(rows).await
    }

    /// Writes the columns of trades that change while they work.
    pub(crate) async fn update_trades(&mut self, rows: &[TradeRow]) -> Result<(), StoreError> {
        match &mut self.session {
            Session::Postgres(transaction) => postgres::update_trades(transaction, rows).await,
            Session::Sqlite(transaction) => {
                let changing: Vec<_> =
                    TradeRow::CHANGING.iter().map(|column| format!("{column} = excluded.{column}")).collect();
                let otherwise = format!(" ON CONFLICT (trade_id) DO UPDATE SET {}", changing.join(", "));
                insert_into_sqlite(transaction, rows, &otherwise).await
            }
        }
    }

    /// Writes the shard row and commits.
    pub(crate) async fn end(mut self) -> Result<(), StoreError> {
        let shard = &self.shard;
        let args = [
            Arg::Int(shard.posting_sequence),
            Arg::Int(shard.transfer_sequence),
            Arg::Int(shard.trade_sequence),
            Arg::Int(shard.batch_sequence),
            Arg::Bytes(&shard.head_hash),
            Arg::Int(shard.posted_at),
            Arg::Int(shard.fact_sequence),
            Arg::Int(shard.epoch),
            Arg::Bytes(&shard.seals),
        ];
        self.session.rows::<(i64,)>(ADVANCE, &args).await?;
        self.session.commit().await
    }
}

impl Pool {
    /// A transaction that may write from its beginning on.
    pub(crate) async fn begin_writing(&self) -> Result<Session, StoreError> {
        Ok(match self {
            // IMMEDIATE takes the write lock at once; an upgrade in the middle could fail.
            Self::Sqlite(pool) => Session::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Session::Postgres(pool.begin().await?),
        })
    }
}

impl Session {
    /// Inserts rows that are not there yet.
    pub(crate) async fn insert<R: Row + Sync>(&mut self, rows: &[R]) -> Result<(), StoreError> {
        match self {
            Self::Postgres(transaction) => postgres::copy(&mut *transaction, rows).await,
            Self::Sqlite(transaction) => insert_into_sqlite(transaction, rows, "").await,
        }
    }

    /// Makes everything in it happen.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }
}

async fn insert_into_sqlite<R: Row + Sync>(
    transaction: &mut Transaction<'static, Sqlite>,
    rows: &[R],
    otherwise: &str,
) -> Result<(), StoreError> {
    let width = usize::from(R::WIDTH.unsigned_abs());
    for chunk in rows.chunks(PARAMETERS_MAX / width.max(1)) {
        let marks = format!("({})", vec!["?"; width].join(", "));
        let marks = vec![marks.as_str(); chunk.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES {marks}{otherwise}", R::TABLE, R::COLUMNS);
        let mut values = Values { arguments: SqliteArguments::default(), failed: None };
        chunk.iter().for_each(|row| row.put(&mut values));
        if let Some(error) = values.failed {
            return Err(sqlx::Error::Encode(error).into());
        }
        sqlx::query_with(AssertSqlSafe(sql), values.arguments).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// The columns of rows as arguments of a statement.
struct Values {
    arguments: SqliteArguments,
    failed: Option<BoxDynError>,
}

impl Values {
    fn add<'v>(&mut self, value: impl sqlx::Encode<'v, Sqlite> + sqlx::Type<Sqlite>) {
        if let Err(error) = sqlx::Arguments::add(&mut self.arguments, value) {
            self.failed = Some(error);
        }
    }
}

impl Sink for Values {
    fn int(&mut self, value: Option<i64>) {
        self.add(value);
    }
    fn small(&mut self, value: i32) {
        self.add(value);
    }
    fn bool(&mut self, value: bool) {
        self.add(value);
    }
    fn text(&mut self, value: &str) {
        self.add(value.to_owned());
    }
    fn bytes(&mut self, value: &[u8]) {
        self.add(value.to_owned());
    }
    fn uuid(&mut self, value: &Uuid) {
        self.add(*value);
    }
}
