//! Where the books are kept: SQLite inside the process or PostgreSQL servers.
//! The same tables, rules and reads on both; only the settings and the way many
//! rows are written at once differ. Each shard has its own set of tables: a file
//! of SQLite, or a schema of PostgreSQL.

pub(crate) mod lease;
pub(crate) mod moving;
mod nodelay;
pub(crate) mod postgres;
pub(crate) mod rows;
pub(crate) mod seal;
pub(crate) mod session;
mod snapshot;
pub(crate) mod sqlite;
pub(crate) mod table;
pub(crate) mod turn;
pub(crate) mod untold;
pub(crate) mod whole;
mod working;

use crate::{
    config::ShardConfig,
    slot::{SLOTS, Slots, first_shard},
};
use rows::{
    BatchRow, CashRow, CheckpointRow, ExecutionRow, PayoutRow, PositionRow, RejectedRow, SettlementRow, ShardRow,
    SlotRow, TradeRow, TransferRow, WalletRow,
};
use session::{Arg, Pool, Sql};
pub(crate) use snapshot::snapshot;
use std::{collections::HashMap, sync::Arc, time::Duration};
use uuid::Uuid;

/// How long closing the writing connection may take.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

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
            // Not what breaks the protocol: a connection that is cut while it is made looks like that.
            None => matches!(error, sqlx::Error::Encode(_)),
        };
        if is_about_data { Self::Refused(error.into()) } else { Self::Unavailable(error.into()) }
    }
}

impl StoreError {
    pub(crate) const fn unavailable(cause: anyhow::Error) -> Self {
        Self::Unavailable(cause)
    }

    /// Whether the database answers and there are no tables, or there is no file.
    pub(crate) fn is_about_nothing(&self) -> bool {
        let Self::Unavailable(cause) = self else { return false };
        let database = cause.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
        let code = database.and_then(sqlx::error::DatabaseError::code);
        // PostgreSQL: undefined table. SQLite: no such table, unable to open the file.
        match (code.as_deref(), database) {
            (Some("42P01" | "14"), _) => true,
            (Some("1"), Some(database)) => database.message().starts_with("no such table"),
            _ => false,
        }
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
    /// New wallets.
    pub(crate) new_wallets: Vec<WalletRow>,
    /// Wallets that were there and change.
    pub(crate) changed_wallets: Vec<WalletRow>,
    /// New positions.
    pub(crate) new_positions: Vec<PositionRow>,
    /// Positions that were there and change.
    pub(crate) changed_positions: Vec<PositionRow>,
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

impl Changes {
    /// Every wallet that is touched.
    pub(crate) fn wallets(&self) -> impl Iterator<Item = &WalletRow> {
        self.new_wallets.iter().chain(&self.changed_wallets)
    }

    /// Every position that is touched.
    pub(crate) fn positions(&self) -> impl Iterator<Item = &PositionRow> {
        self.new_positions.iter().chain(&self.changed_positions)
    }
}

/// What a batch needs to know before it is decided.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    /// Trades.
    pub(crate) trade_ids: Vec<Uuid>,
    /// Movements of cash.
    pub(crate) cash_ids: Vec<Uuid>,
    /// Executions of the trades, which come with their trade; by themselves they are looked up only by
    /// [`Keys::with_fills`].
    pub(crate) fill_ids: Vec<String>,
    /// Executions that are looked up by themselves.
    pub(crate) execution_ids: Vec<String>,
    /// Those among them that are to be taken back.
    pub(crate) corrected: Vec<String>,
    /// Accounts whose wallets are touched.
    pub(crate) account_ids: Vec<String>,
    /// Positions touched: account and instrument.
    pub(crate) positions: Vec<(String, String)>,
}

impl Keys {
    /// Whether there is nothing to look up.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { trade_ids, cash_ids, fill_ids: _, execution_ids, corrected: _, account_ids, positions } = self;
        trade_ids.is_empty()
            && cash_ids.is_empty()
            && execution_ids.is_empty()
            && account_ids.is_empty()
            && positions.is_empty()
    }

    /// Looks up every execution, wherever it may belong. Without, one that belongs to another trade is
    /// refused by the database.
    pub(crate) fn with_fills(mut self) -> Self {
        self.execution_ids.append(&mut self.fill_ids);
        self
    }
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
    /// What suspense has paid for the executions that are to be taken back, by their ids.
    pub(crate) drawn: HashMap<String, i64>,
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
const BEGINNING: Sql = Sql::same("SELECT shard_id, epoch, shards_at_creation FROM shard");
const SLOT_ROWS: Sql = Sql::same("SELECT * FROM slot ORDER BY slot");
const SETTLEMENTS: Sql = Sql::same("SELECT * FROM settlement");
const TRADES: Sql = Sql::new(
    "SELECT * FROM trade WHERE trade_id IN (SELECT unhex(value) FROM json_each($1))",
    "SELECT * FROM trade WHERE trade_id = ANY($1)",
);
const NEWEST_TRADE_IDS: Sql = Sql::same("SELECT trade_id FROM trade ORDER BY trade_id DESC LIMIT $1");
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
/// What suspense has paid in a posting: of an account, at a time, by its sequence. The index finds the
/// few transfers of the account at that time; 9 is `TransferKind::Shortfall`.
pub(crate) const DRAWN: Sql = Sql::same(
    "SELECT CAST(COALESCE(SUM(amount), 0) AS bigint) FROM transfer
     WHERE account_id = $1 AND posted_at = $2 AND posting_sequence = $3 AND kind = 9",
);
const WALLETS: Sql = Sql::new(
    "SELECT * FROM wallet WHERE account_id IN (SELECT value FROM json_each($1))",
    "SELECT * FROM wallet WHERE account_id = ANY($1)",
);
const POSITIONS: Sql = Sql::new(
    "SELECT * FROM json_each($1) AS wanted
     JOIN position ON position.account_id = wanted.key AND position.instrument_id = wanted.value",
    "SELECT * FROM UNNEST($1::text[], $2::text[]) AS wanted (account_id, instrument_id)
     JOIN position USING (account_id, instrument_id)",
);
const HOLDERS: Sql = Sql::same(
    "SELECT * FROM position WHERE instrument_id = $1 AND account_id > $2 AND quantity <> 0 ORDER BY account_id LIMIT $3",
);
const HELD: Sql = Sql::same("SELECT * FROM position WHERE instrument_id = $1 AND style = $2 AND quantity <> 0 LIMIT 1");
const FACT_SEQUENCE: Sql = Sql::same("SELECT fact_sequence FROM shard");
// 3: CashKind::Sent. A row without a posting came with a slot: the shard that posted it looks after it.
const SENT: Sql = Sql::same(
    "SELECT * FROM cash_movement WHERE fact_sequence > $1 AND fact_sequence <= $2 AND kind = 3
     AND posting_sequence IS NOT NULL AND denial_code = 0 AND counterparty_shard <> $3
     ORDER BY fact_sequence LIMIT $4",
);
const CASH_IDS: Sql = Sql::new(
    "SELECT trade_id FROM cash_movement WHERE trade_id IN (SELECT unhex(value) FROM json_each($1))",
    "SELECT trade_id FROM cash_movement WHERE trade_id = ANY($1)",
);
const SET_ASIDE: Sql = Sql::new(
    "SELECT report_id FROM rejected_report WHERE report_id IN (SELECT value FROM json_each($1))",
    "SELECT report_id FROM rejected_report WHERE report_id = ANY($1)",
);
/// What a shard that exists says of its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// Its number.
    pub(crate) shard: u16,
    /// How many shards shared the slots then.
    pub(crate) shards: u16,
    /// Whether it was ever served.
    pub(crate) has_served: bool,
}

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
        let books = Self::connect(shard, config, readers_max, wait)?;
        books.update_tables(config, wait).await?;
        Ok(books)
    }

    /// The books of `shard`, which may be away for now: they are asked when they are needed.
    pub(crate) fn connect(shard: u16, config: &ShardConfig, readers_max: u32, wait: Duration) -> anyhow::Result<Self> {
        let primary = if is_sqlite(&config.url) {
            sqlite::connect_readers(&config.url, readers_max, wait)?
        } else {
            postgres::connect_readers(&config.url, shard, readers_max, wait)?
        };
        let mut replicas = Vec::new();
        for url in &config.replica_urls {
            replicas.push(postgres::connect_readers(url, shard, readers_max, wait)?);
        }
        Ok(Self { shard, primary, replicas })
    }

    /// Creates or updates the tables.
    pub(crate) async fn update_tables(&self, config: &ShardConfig, wait: Duration) -> anyhow::Result<()> {
        if is_sqlite(&config.url) {
            sqlite::update_tables(&config.url, wait).await
        } else {
            postgres::update_tables(&config.url, self.shard, wait).await
        }
    }

    /// `sqlite` or `postgresql`, as traces name it.
    pub(crate) fn system(&self) -> &'static str {
        self.primary.system()
    }

    /// What the shard says of its beginning; `None` if it has not begun: nothing is there yet.
    pub(crate) async fn beginning(&self) -> Result<Option<Beginning>, StoreError> {
        let begun = match self.primary.one(BEGINNING, &[]).await {
            Ok(begun) => begun,
            Err(error) if error.is_about_nothing() => None,
            Err(error) => return Err(error),
        };
        Ok(begun.map(|(shard, epoch, shards): (i64, i64, i64)| Beginning {
            shard: u16::try_from(shard).unwrap_or(u16::MAX),
            shards: u16::try_from(shards).unwrap_or(u16::MAX),
            has_served: epoch > 0,
        }))
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

    /// The newest fact.
    pub(crate) async fn fact_sequence(&self) -> Result<i64, StoreError> {
        let newest: Option<(i64,)> = self.primary.one(FACT_SEQUENCE, &[]).await?;
        Ok(newest.map_or(0, |(sequence,)| sequence))
    }

    /// What was sent to other shards by the facts from after `after` up to `to`, at most `limit` movements.
    pub(crate) async fn sent(&self, after: i64, to: i64, limit: i64) -> Result<Vec<CashRow>, StoreError> {
        let args = [Arg::Int(after), Arg::Int(to), Arg::Int(self.shard.into()), Arg::Int(limit)];
        self.primary.rows(SENT, &args).await
    }

    /// Which of these movements of cash are booked here, or set aside.
    pub(crate) async fn seen_cash(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let booked: Vec<(Uuid,)> = self.primary.rows(CASH_IDS, &[Arg::Uuids(ids)]).await?;
        let names: Vec<String> = ids.iter().map(Uuid::to_string).collect();
        let set_aside: Vec<(String,)> = self.primary.rows(SET_ASIDE, &[Arg::Texts(&names)]).await?;
        let set_aside = set_aside.into_iter().filter_map(|(id,)| Uuid::try_parse(&id).ok());
        Ok(booked.into_iter().map(|(id,)| id).chain(set_aside).collect())
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
    /// Gives a shard that has not begun its row, and the slots that are its own when `shards` share them.
    pub(crate) async fn begin(
        books: &Books,
        config: &ShardConfig,
        shards: u16,
        wait: Duration,
    ) -> Result<(), StoreError> {
        let slots = (0..SLOTS).filter(|slot| first_shard(*slot, shards) == books.shard);
        let slots: Vec<_> = slots.map(|slot| SlotRow::first(slot.into())).collect();
        let first = ShardRow {
            shard_id: books.shard.into(),
            head_hash: vec![0; 32],
            shards_at_creation: shards.into(),
            ..ShardRow::default()
        };
        if is_sqlite(&config.url) {
            let writer = sqlite::Writer::open(&config.url, wait).await?;
            writer.begin(first, slots).await?;
            writer.close();
        } else {
            postgres::begin((&config.url, books.shard), wait, &first, &slots).await?;
        }
        Ok(())
    }

    /// Takes over as the only writer: whoever wrote before is refused from now on.
    pub(crate) async fn take_over(
        books: &Books,
        config: &ShardConfig,
        wait: Duration,
    ) -> Result<(Self, ShardRow), StoreError> {
        let (writer, shard) = if is_sqlite(&config.url) {
            let writer = sqlite::Writer::open(&config.url, wait).await?;
            let shard = writer.take_over().await?;
            (Writer::Sqlite(writer), shard)
        } else {
            let pool = postgres::open_writer(&config.url, books.shard, wait).await?;
            let shard = postgres::take_over(&pool, books.shard).await?;
            (Writer::Postgres(pool), shard)
        };
        Ok((Self { books: books.clone(), writer, epoch: shard.epoch }, shard))
    }

    /// What must be known before `keys` are decided; the shard row is the stored one.
    pub(crate) async fn load(&self, keys: Keys) -> Result<Known, StoreError> {
        let known = known(&self.books.primary, keys).await?;
        if known.shard.epoch == self.epoch { Ok(known) } else { Err(StoreError::Fenced { own: self.epoch }) }
    }

    /// The newest trades, at most `limit` of them.
    pub(crate) async fn newest_trade_ids(&self, limit: usize) -> Result<Vec<Uuid>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<(Uuid,)> = self.books.primary.rows(NEWEST_TRADE_IDS, &[Arg::Int(limit)]).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
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

    /// Whether anybody holds something of `instrument_id` in a settlement style, by its number.
    pub(crate) async fn is_held(&self, instrument_id: &str, style: i32) -> Result<bool, StoreError> {
        let args = [Arg::Text(instrument_id), Arg::Int(style.into())];
        let held: Option<PositionRow> = self.books.primary.one(HELD, &args).await?;
        Ok(held.is_some())
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
            // A server that hangs must not keep the process.
            Writer::Postgres(pool) => drop(tokio::time::timeout(CLOSE_WAIT, pool.close()).await),
        }
    }
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
    let mut drawn = HashMap::new();
    for row in executions.iter().filter(|row| keys.corrected.contains(&row.execution_id)) {
        // What another shard has posted, it alone knows: nothing is asked back then.
        let Some(posting_sequence) = row.posting_sequence else { continue };
        let args = [Arg::Text(&row.account_id), Arg::Int(row.posted_at), Arg::Int(posting_sequence)];
        let paid: Option<(i64,)> = pool.one(DRAWN, &args).await?;
        drawn.insert(row.execution_id.clone(), paid.map_or(0, |(paid,)| paid));
    }
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
    let positions = match keys.positions.as_slice() {
        [] => Vec::new(),
        pairs => pool.rows(POSITIONS, &[Arg::Pairs(pairs)]).await?,
    };
    Ok(Known { shard, trades, executions, drawn, cash, payouts: Vec::new(), wallets, positions })
}
