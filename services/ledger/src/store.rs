//! Where the books are kept: SQLite inside the process or PostgreSQL servers.
//! The same tables, rules and reads on both; only the settings and the way many
//! rows are written at once differ. Each shard has its own set of tables: a file
//! of SQLite, or a schema of PostgreSQL.

pub(crate) mod lease;
pub(crate) mod moving;
mod nodelay;
pub(crate) mod postgres;
pub(crate) mod rows;
pub(crate) mod session;
pub(crate) mod sqlite;
pub(crate) mod table;
pub(crate) mod turn;
pub(crate) mod whole;

use crate::{
    config::ShardConfig,
    slot::{SLOTS, Slots, first_shard},
};
use rows::{
    BatchRow, CashRow, CheckpointRow, ExecutionRow, PayoutRow, PositionRow, RejectedRow, SettlementRow, ShardRow,
    SlotRow, TradeRow, TransferRow, WalletRow,
};
use session::{Arg, Pool, Session, Sql};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It cannot be reached, or the outcome is unknown; ask again.
    #[error("the ledger's database does not answer")]
    Unavailable(#[source] anyhow::Error),
    /// It refuses the data; nothing was written.
    #[error("the ledger's database refuses the data")]
    Refused(#[source] anyhow::Error),
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
        if is_about_data { Self::Refused(error.into()) } else { Self::Unavailable(error.into()) }
    }
}

impl StoreError {
    pub(crate) const fn unavailable(cause: anyhow::Error) -> Self {
        Self::Unavailable(cause)
    }
}

/// Everything one transaction writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    /// The shard row as it was read: the fence.
    pub(crate) before: ShardRow,
    /// The shard row afterwards.
    pub(crate) after: ShardRow,
    /// Trades nobody knew.
    pub(crate) new_trades: Vec<TradeRow>,
    /// Trades that went on.
    pub(crate) changed_trades: Vec<TradeRow>,
    /// New executions.
    pub(crate) executions: Vec<ExecutionRow>,
    /// New movements of cash.
    pub(crate) cash: Vec<CashRow>,
    /// New transfers.
    pub(crate) transfers: Vec<TransferRow>,
    /// Changed wallets.
    pub(crate) wallets: Vec<WalletRow>,
    /// Changed positions.
    pub(crate) positions: Vec<PositionRow>,
    /// Markets decided.
    pub(crate) settlements: Vec<SettlementRow>,
    /// Positions paid out.
    pub(crate) payouts: Vec<PayoutRow>,
    /// Cash noted for statements.
    pub(crate) checkpoints: Vec<CheckpointRow>,
    /// The new link of the hash chain, if anything moved.
    pub(crate) batch: Option<BatchRow>,
    /// Reports set aside.
    pub(crate) rejected: Vec<RejectedRow>,
}

/// What a batch needs to know before it is decided.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    /// Trades.
    pub(crate) trade_ids: Vec<Uuid>,
    /// Movements of cash.
    pub(crate) cash_ids: Vec<Uuid>,
    /// Executions.
    pub(crate) execution_ids: Vec<String>,
    /// Accounts whose wallets are touched.
    pub(crate) account_ids: Vec<String>,
    /// Positions touched: account and instrument.
    pub(crate) positions: Vec<(String, String)>,
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
    /// Movements of cash.
    pub(crate) cash: Vec<CashRow>,
    /// Payouts; only asked for by what is told again.
    pub(crate) payouts: Vec<PayoutRow>,
    /// Wallets in every currency.
    pub(crate) wallets: Vec<WalletRow>,
    /// Positions.
    pub(crate) positions: Vec<PositionRow>,
}

const SHARD: Sql = Sql::same("SELECT * FROM shard");
const SLOT_ROWS: Sql = Sql::same("SELECT * FROM slot ORDER BY slot");
const SETTLEMENTS: Sql = Sql::same("SELECT * FROM settlement");
const TRADES: Sql = Sql::new(
    "SELECT * FROM trade WHERE trade_id IN (SELECT unhex(value) FROM json_each($1))",
    "SELECT * FROM trade WHERE trade_id = ANY($1)",
);
const CASH: Sql = Sql::new(
    "SELECT * FROM cash_movement WHERE trade_id IN (SELECT unhex(value) FROM json_each($1))",
    "SELECT * FROM cash_movement WHERE trade_id = ANY($1)",
);
const EXECUTIONS: Sql = Sql::new(
    "SELECT * FROM execution WHERE execution_id IN (SELECT value FROM json_each($1))",
    "SELECT * FROM execution WHERE execution_id = ANY($1)",
);
const EXECUTIONS_OF: Sql = Sql::new(
    "SELECT * FROM execution WHERE trade_id IN (SELECT unhex(value) FROM json_each($1)) ORDER BY posted_at, execution_id",
    "SELECT * FROM execution WHERE trade_id = ANY($1) ORDER BY posted_at, execution_id",
);
const WALLETS: Sql = Sql::new(
    "SELECT * FROM wallet WHERE account_id IN (SELECT value FROM json_each($1))",
    "SELECT * FROM wallet WHERE account_id = ANY($1)",
);
// Two lists of the same length, side by side.
const POSITIONS: Sql = Sql::new(
    "SELECT position.* FROM json_each($1) AS account JOIN json_each($2) AS instrument ON instrument.key = account.key
     JOIN position ON position.account_id = account.value AND position.instrument_id = instrument.value",
    "SELECT position.* FROM UNNEST($1::text[], $2::text[]) AS wanted (account_id, instrument_id)
     JOIN position USING (account_id, instrument_id)",
);
const HOLDERS: Sql = Sql::same(
    "SELECT * FROM position WHERE instrument_id = $1 AND account_id > $2 AND quantity <> 0 ORDER BY account_id LIMIT $3",
);
const UNTOLD_TRADES: Sql =
    Sql::same("SELECT * FROM trade WHERE fact_sequence > $1 AND fact_sequence <= $2 ORDER BY fact_sequence");
const UNTOLD_CASH: Sql =
    Sql::same("SELECT * FROM cash_movement WHERE fact_sequence > $1 AND fact_sequence <= $2 ORDER BY fact_sequence");
const UNTOLD_PAYOUTS: Sql =
    Sql::same("SELECT * FROM payout WHERE fact_sequence > $1 AND fact_sequence <= $2 ORDER BY fact_sequence");
const RECENT: Sql = Sql::same(
    "SELECT MIN(fact_sequence) AS fact_sequence FROM
        (SELECT MIN(fact_sequence) AS fact_sequence FROM trade WHERE fact_sequence > 0 AND updated_at >= $1
         UNION ALL SELECT MIN(fact_sequence) FROM cash_movement WHERE fact_sequence > 0 AND posted_at >= $1
         UNION ALL SELECT MIN(fact_sequence) FROM payout WHERE posted_at >= $1) AS oldest",
);

/// The books of one shard for reading: nobody has to own it for that.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    /// The shard.
    pub(crate) shard: u16,
    /// Where it is written.
    pub(crate) primary: Pool,
    /// Copies that may be behind.
    pub(crate) replicas: Vec<Pool>,
}

impl Books {
    /// Creates or updates the tables of `shard` and opens them for reading.
    pub(crate) async fn open(
        shard: u16,
        config: &ShardConfig,
        readers_max: u32,
        wait: Duration,
    ) -> anyhow::Result<Self> {
        let primary = if is_sqlite(&config.url) {
            sqlite::open_readers(&config.url, readers_max, wait).await?
        } else {
            postgres::open_readers(&config.url, shard, readers_max, wait).await?
        };
        let mut replicas = Vec::new();
        for url in &config.replica_urls {
            replicas.push(postgres::connect_replica(url, shard, readers_max, wait)?);
        }
        Ok(Self { shard, primary, replicas })
    }

    /// `sqlite` or `postgresql`, as traces name it.
    pub(crate) fn system(&self) -> &'static str {
        self.primary.system()
    }

    /// How many shards shared the slots when this shard was made; `None` if it is not made yet.
    pub(crate) async fn shards_at_creation(&self) -> Result<Option<u16>, StoreError> {
        let shard: Option<ShardRow> = self.primary.one(SHARD, &[]).await?;
        Ok(shard.map(|shard| u16::try_from(shard.shards_at_creation).unwrap_or_default()))
    }

    /// The shard's slots.
    pub(crate) async fn slots(&self) -> Result<Slots, StoreError> {
        let rows: Vec<SlotRow> = self.primary.rows(SLOT_ROWS, &[]).await?;
        Ok(Slots::new(&rows))
    }

    /// Committed trades and movements of cash with what belongs to them.
    pub(crate) async fn outcomes(&self, trade_ids: Vec<Uuid>) -> Result<Known, StoreError> {
        known(&self.primary, Keys { cash_ids: trade_ids.clone(), trade_ids, ..Keys::default() }).await
    }

    /// What is told by the facts from after `after` up to `to`.
    pub(crate) async fn untold(&self, after: i64, to: i64) -> Result<Known, StoreError> {
        let range = [Arg::Int(after), Arg::Int(to)];
        let trades: Vec<TradeRow> = self.primary.rows(UNTOLD_TRADES, &range).await?;
        let cash: Vec<CashRow> = self.primary.rows(UNTOLD_CASH, &range).await?;
        let payouts: Vec<PayoutRow> = self.primary.rows(UNTOLD_PAYOUTS, &range).await?;
        let account_ids = payouts.iter().map(|row| row.account_id.clone()).collect();
        let positions = payouts.iter().map(|row| (row.account_id.clone(), row.instrument_id.clone())).collect();
        let keys = Keys { account_ids, positions, ..Keys::default() };
        let known = around(&self.primary, trades, cash, keys).await?;
        Ok(Known { payouts, ..known })
    }

    /// The last fact before those that changed since `since`, microseconds since the epoch.
    pub(crate) async fn fact_before(&self, since: i64) -> Result<i64, StoreError> {
        let oldest: Option<(Option<i64>,)> = self.primary.one(RECENT, &[Arg::Int(since)]).await?;
        Ok(oldest.and_then(|(sequence,)| sequence).map_or(0, |sequence| sequence - 1))
    }

    /// Closes every connection.
    pub(crate) async fn close(&self) {
        self.primary.close().await;
        for replica in &self.replicas {
            replica.close().await;
        }
    }
}

/// The one writing connection, which owns the shard's current epoch.
#[derive(Debug, Clone)]
enum Writer {
    /// A file.
    Sqlite(sqlite::Writer),
    /// A server.
    Postgres(sqlx::PgPool),
}

/// The books of one shard for writing.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// The same books for reading.
    pub(crate) books: Books,
    writer: Writer,
    epoch: i64,
}

impl Store {
    /// Takes over as the only writer: whoever wrote before is refused from now on.
    /// A shard that is opened for the first time gets its row and its slots.
    pub(crate) async fn take_over(
        books: &Books,
        config: &ShardConfig,
        shards: u16,
        wait: Duration,
    ) -> Result<(Self, ShardRow), StoreError> {
        let begins: Vec<i64> =
            (0..SLOTS).filter(|slot| first_shard(*slot, shards) == books.shard).map(i64::from).collect();
        let first = ShardRow {
            shard_id: books.shard.into(),
            head_hash: vec![0; 32],
            shards_at_creation: shards.into(),
            ..ShardRow::default()
        };
        let (writer, shard) = if is_sqlite(&config.url) {
            let writer = sqlite::Writer::open(&config.url, wait).await?;
            let shard = writer.take_over(first, begins).await?;
            (Writer::Sqlite(writer), shard)
        } else {
            let pool = postgres::open_writer(&config.url, books.shard, wait).await?;
            let shard = postgres::take_over(&pool, &first, &begins).await?;
            (Writer::Postgres(pool), shard)
        };
        Ok((Self { books: books.clone(), writer, epoch: shard.epoch }, shard))
    }

    /// What must be known before `keys` are decided; the shard row is the stored one.
    pub(crate) async fn load(&self, keys: Keys) -> Result<Known, StoreError> {
        let known = known(&self.books.primary, keys).await?;
        if known.shard.epoch == self.epoch { Ok(known) } else { Err(StoreError::Fenced { own: self.epoch }) }
    }

    /// Every market that is decided.
    pub(crate) async fn settlements(&self) -> Result<Vec<SettlementRow>, StoreError> {
        self.books.primary.rows(SETTLEMENTS, &[]).await
    }

    /// The next accounts after `after` that hold something of `instrument_id`.
    pub(crate) async fn holders(
        &self,
        instrument_id: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<PositionRow>, StoreError> {
        self.books.primary.rows(HOLDERS, &[Arg::Text(instrument_id), Arg::Text(after), Arg::Int(limit)]).await
    }

    /// Writes `changes` in one transaction; it has happened only if this is Ok.
    /// After [`StoreError::Unavailable`] the outcome is unknown: load again and look.
    pub(crate) async fn commit(&self, changes: Arc<Changes>) -> Result<(), StoreError> {
        let is_fenced = match &self.writer {
            Writer::Sqlite(writer) => writer.commit(changes).await?,
            Writer::Postgres(pool) => postgres::commit(pool, &changes).await?,
        };
        if is_fenced { Err(StoreError::Fenced { own: self.epoch }) } else { Ok(()) }
    }

    /// Closes the writing connection.
    pub(crate) async fn close(&self) {
        match &self.writer {
            Writer::Sqlite(writer) => writer.close(),
            Writer::Postgres(pool) => pool.close().await,
        }
    }
}

/// A consistent view of the books of `shard` at `url` that changes nothing.
pub(crate) async fn snapshot(url: &str, shard: u16, wait: Duration) -> anyhow::Result<Session> {
    if is_sqlite(url) { sqlite::snapshot(url, wait).await } else { postgres::snapshot(url, shard, wait).await }
}

/// Whether the books at `url` are a file of SQLite.
pub(crate) fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}

async fn known(pool: &Pool, keys: Keys) -> Result<Known, StoreError> {
    let trades: Vec<TradeRow> = match keys.trade_ids.as_slice() {
        [] => Vec::new(),
        ids => pool.rows(TRADES, &[Arg::Uuids(ids)]).await?,
    };
    let cash: Vec<CashRow> = match keys.cash_ids.as_slice() {
        [] => Vec::new(),
        ids => pool.rows(CASH, &[Arg::Uuids(ids)]).await?,
    };
    around(pool, trades, cash, keys).await
}

/// What belongs to `trades` and `cash`, and what else is in `keys`.
async fn around(pool: &Pool, trades: Vec<TradeRow>, cash: Vec<CashRow>, mut keys: Keys) -> Result<Known, StoreError> {
    let shard = pool.one(SHARD, &[]).await?.unwrap_or_default();
    let mut executions: Vec<ExecutionRow> = match keys.execution_ids.as_slice() {
        [] => Vec::new(),
        ids => pool.rows(EXECUTIONS, &[Arg::Texts(ids)]).await?,
    };
    // What a repeated fact shows, and what a correction touches, is part of what must be known.
    let known_ids: Vec<Uuid> = trades.iter().map(|trade| trade.trade_id).collect();
    if !known_ids.is_empty() {
        executions.extend(pool.rows::<ExecutionRow>(EXECUTIONS_OF, &[Arg::Uuids(&known_ids)]).await?);
        executions.sort_by(|a, b| (a.posted_at, &a.execution_id).cmp(&(b.posted_at, &b.execution_id)));
        executions.dedup_by(|a, b| a.execution_id == b.execution_id);
    }
    let shown = trades.iter().map(|trade| (trade.account_id.clone(), trade.instrument_id.clone()));
    keys.positions.extend(shown.filter(|(_, instrument_id)| !instrument_id.is_empty()));
    keys.positions.extend(executions.iter().map(|row| (row.account_id.clone(), row.instrument_id.clone())));
    keys.account_ids.extend(trades.iter().map(|trade| trade.account_id.clone()));
    keys.account_ids.extend(cash.iter().map(|movement| movement.account_id.clone()));
    keys.account_ids.sort_unstable();
    keys.account_ids.dedup();
    keys.positions.sort_unstable();
    keys.positions.dedup();
    let wallets = match keys.account_ids.as_slice() {
        [] => Vec::new(),
        ids => pool.rows(WALLETS, &[Arg::Texts(ids)]).await?,
    };
    let positions = if keys.positions.is_empty() {
        Vec::new()
    } else {
        let (accounts, instruments): (Vec<_>, Vec<_>) = keys.positions.into_iter().unzip();
        pool.rows(POSITIONS, &[Arg::Texts(&accounts), Arg::Texts(&instruments)]).await?
    };
    Ok(Known { shard, trades, executions, cash, payouts: Vec::new(), wallets, positions })
}
