//! Where the books are kept: SQLite inside the process or a PostgreSQL server.
//! The same tables, rules and reads on both; only the settings and the way many
//! rows are written at once differ.

mod postgres;
pub(crate) mod rows;
pub(crate) mod session;
mod sqlite;

use crate::config::Config;
use rows::{BatchRow, CashRow, ExecutionRow, PositionRow, RejectedRow, ShardRow, TradeRow, TransferRow, WalletRow};
use session::{Arg, Pool, Record, Session, Sql};
use std::time::Duration;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It cannot be reached, or the outcome is unknown; ask again.
    #[error("the ledger's database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// It refuses the data; nothing was written.
    #[error("the ledger's database refuses the data")]
    Refused(#[source] sqlx::Error),
    /// Another writer has taken over; nothing was written.
    #[error("another ledger writes to this store (epoch {own} is over)")]
    Fenced {
        /// The epoch this process had.
        own: i64,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let is_about_data = match error.as_database_error() {
            // PostgreSQL: class 22 data exception, 23 constraint. SQLite: constraint, mismatch, too big.
            Some(database) => {
                let code = database.code().unwrap_or_default();
                let primary = code.parse::<u32>().ok().filter(|_| code.len() < 5).map(|extended| extended & 0xff);
                code.len() == 5 && (code.starts_with("22") || code.starts_with("23"))
                    || primary.is_some_and(|primary| (18..=20).contains(&primary))
            }
            None => matches!(error, sqlx::Error::Encode(_) | sqlx::Error::Protocol(_)),
        };
        if is_about_data { Self::Refused(error) } else { Self::Unavailable(error) }
    }
}

/// Everything one transaction writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    /// The shard row as it was read: the fence.
    pub(crate) before: ShardRow,
    /// The shard row afterwards.
    pub(crate) after: ShardRow,
    /// New or changed trades.
    pub(crate) trades: Vec<TradeRow>,
    /// New executions.
    pub(crate) executions: Vec<ExecutionRow>,
    /// New deposits and withdrawals.
    pub(crate) cash: Vec<CashRow>,
    /// New transfers.
    pub(crate) transfers: Vec<TransferRow>,
    /// Changed wallets.
    pub(crate) wallets: Vec<WalletRow>,
    /// Changed positions.
    pub(crate) positions: Vec<PositionRow>,
    /// The new link of the hash chain, if anything moved.
    pub(crate) batch: Option<BatchRow>,
    /// Reports set aside.
    pub(crate) rejected: Vec<RejectedRow>,
}

/// What a batch needs to know before it is decided.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    /// Trades, deposits and withdrawals.
    pub(crate) trade_ids: Vec<String>,
    /// Executions.
    pub(crate) execution_ids: Vec<String>,
    /// Accounts whose wallets are touched.
    pub(crate) account_ids: Vec<String>,
    /// Positions touched, as `<account> <instrument>`.
    pub(crate) positions: Vec<String>,
}

/// What the store knows about [`Keys`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// The shard row.
    pub(crate) shard: ShardRow,
    /// Trades.
    pub(crate) trades: Vec<TradeRow>,
    /// Executions with those ids or of those trades.
    pub(crate) executions: Vec<ExecutionRow>,
    /// Deposits and withdrawals.
    pub(crate) cash: Vec<CashRow>,
    /// Wallets in every currency.
    pub(crate) wallets: Vec<WalletRow>,
    /// Positions.
    pub(crate) positions: Vec<PositionRow>,
}

const SHARD: Sql = Sql::same("SELECT * FROM shard WHERE shard_id = 0");
const TRADES: Sql = Sql::new(
    "SELECT * FROM trade WHERE trade_id IN (SELECT value FROM json_each($1))",
    "SELECT * FROM trade WHERE trade_id = ANY($1)",
);
const CASH: Sql = Sql::new(
    "SELECT * FROM cash_movement WHERE trade_id IN (SELECT value FROM json_each($1))",
    "SELECT * FROM cash_movement WHERE trade_id = ANY($1)",
);
const EXECUTIONS: Sql = Sql::new(
    "SELECT * FROM execution WHERE execution_id IN (SELECT value FROM json_each($1))
     UNION SELECT * FROM execution WHERE trade_id IN (SELECT value FROM json_each($2))
     ORDER BY posting_sequence",
    "SELECT * FROM execution WHERE execution_id = ANY($1)
     UNION SELECT * FROM execution WHERE trade_id = ANY($2) ORDER BY posting_sequence",
);
const WALLETS: Sql = Sql::new(
    "SELECT * FROM wallet WHERE account_id IN (SELECT value FROM json_each($1))",
    "SELECT * FROM wallet WHERE account_id = ANY($1)",
);
const POSITIONS: Sql = Sql::new(
    "SELECT * FROM position WHERE (account_id, instrument_id) IN (SELECT substr(value, 1, instr(value, ' ') - 1),
     substr(value, instr(value, ' ') + 1) FROM json_each($1))",
    "SELECT * FROM position WHERE (account_id, instrument_id) IN (SELECT split_part(pair, ' ', 1),
     split_part(pair, ' ', 2) FROM UNNEST($1::text[]) AS pair)",
);
const TAKE_OVER: Sql = Sql::same("UPDATE shard SET epoch = epoch + 1 WHERE shard_id = 0 RETURNING *");

/// The open books: one writing connection that owns the current epoch, and readers.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    writer: Pool,
    readers: Pool,
    epoch: i64,
}

impl Store {
    /// Creates or updates the tables, and takes over as the only writer: whoever
    /// wrote before is refused from now on.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let wait = Duration::from_millis(config.connect_wait_ms_max);
        let (writer, readers) = if config.store_url.starts_with("sqlite:") {
            sqlite::open(&config.store_url, config.reader_connections_max, wait).await?
        } else {
            postgres::open(&config.store_url, config.reader_connections_max, wait).await?
        };
        let shard: Option<ShardRow> = writer.one(TAKE_OVER, &[]).await?;
        let epoch = shard.ok_or_else(|| anyhow::anyhow!("the ledger's store has no shard row"))?.epoch;
        Ok(Self { writer, readers, epoch })
    }

    /// `sqlite` or `postgresql`, as traces name it.
    pub(crate) fn system(&self) -> &'static str {
        match self.writer {
            Pool::Sqlite(_) => "sqlite",
            Pool::Postgres(_) => "postgresql",
        }
    }

    /// Reads outside the writer.
    pub(crate) async fn rows<T: Record>(&self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<T>, StoreError> {
        self.readers.rows(sql, args).await
    }

    /// Reads at most one row outside the writer.
    pub(crate) async fn one<T: Record>(&self, sql: Sql, args: &[Arg<'_>]) -> Result<Option<T>, StoreError> {
        self.readers.one(sql, args).await
    }

    /// Committed trades, deposits and withdrawals with what belongs to them.
    pub(crate) async fn outcomes(&self, trade_ids: Vec<String>) -> Result<Known, StoreError> {
        known(&self.readers, Keys { trade_ids, ..Keys::default() }).await
    }

    /// What the writer must know before it decides.
    pub(crate) async fn load(&self, keys: Keys) -> Result<Known, StoreError> {
        let known = known(&self.writer, keys).await?;
        self.check_epoch(&known.shard)?;
        Ok(known)
    }

    /// Writes `changes` in one transaction; it has happened only if this is Ok.
    /// After [`StoreError::Unavailable`] the outcome is unknown: load again and look.
    pub(crate) async fn commit(&self, changes: &Changes) -> Result<(), StoreError> {
        let is_fenced = match &self.writer {
            Pool::Sqlite(pool) => sqlite::commit(pool, changes).await?,
            Pool::Postgres(pool) => postgres::commit(pool, changes).await?,
        };
        if is_fenced { Err(StoreError::Fenced { own: self.epoch }) } else { Ok(()) }
    }

    /// Closes every connection.
    pub(crate) async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    fn check_epoch(&self, shard: &ShardRow) -> Result<(), StoreError> {
        if shard.epoch == self.epoch { Ok(()) } else { Err(StoreError::Fenced { own: self.epoch }) }
    }
}

/// A consistent view of the books at `url` that changes nothing.
pub(crate) async fn snapshot(url: &str, wait: Duration) -> anyhow::Result<Session> {
    if url.starts_with("sqlite:") { sqlite::snapshot(url, wait).await } else { postgres::snapshot(url, wait).await }
}

async fn known(pool: &Pool, mut keys: Keys) -> Result<Known, StoreError> {
    let shard = pool.one(SHARD, &[]).await?.unwrap_or_default();
    let trades: Vec<TradeRow> = pool.rows(TRADES, &[Arg::Texts(&keys.trade_ids)]).await?;
    let cash: Vec<CashRow> = pool.rows(CASH, &[Arg::Texts(&keys.trade_ids)]).await?;
    // What a repeated fact shows is part of what must be known.
    let known_ids: Vec<String> = trades.iter().map(|trade| trade.trade_id.clone()).collect();
    for trade in trades.iter().filter(|trade| !trade.instrument_id.is_empty()) {
        keys.positions.push(format!("{} {}", trade.account_id, trade.instrument_id));
    }
    keys.account_ids.extend(trades.iter().map(|trade| trade.account_id.clone()));
    keys.account_ids.extend(cash.iter().map(|movement| movement.account_id.clone()));
    for list in [&mut keys.account_ids, &mut keys.positions] {
        list.sort_unstable();
        list.dedup();
    }
    let executions = if keys.execution_ids.is_empty() && known_ids.is_empty() {
        Vec::new()
    } else {
        pool.rows(EXECUTIONS, &[Arg::Texts(&keys.execution_ids), Arg::Texts(&known_ids)]).await?
    };
    let wallets = pool.rows(WALLETS, &[Arg::Texts(&keys.account_ids)]).await?;
    let positions = if keys.positions.is_empty() {
        Vec::new()
    } else {
        pool.rows(POSITIONS, &[Arg::Texts(&keys.positions)]).await?
    };
    Ok(Known { shard, trades, executions, cash, wallets, positions })
}
