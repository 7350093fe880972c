//! What is read and written when a slot goes to another shard.

use super::{
    StoreError,
    rows::{
        CashRow, ExecutionRow, MovedPositionRow, MovedWalletRow, PositionRow, SettlementRow, ShardRow, SlotRow,
        TradeRow, WalletRow,
    },
    seal::Seals,
    session::{Arg, Sql},
    turn::{Turn, Turns},
};
use crate::slot::slot_of;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Accounts asked about at once.
const ACCOUNTS_MAX: usize = 1_000;
/// Rows read at once.
pub(crate) const PAGE: i64 = 2_000;
/// Account names read at once.
const NAMES_PAGE: i64 = 10_000;

const SHARD: Sql = Sql::same("SELECT * FROM shard");
const SLOT: Sql = Sql::same("SELECT * FROM slot WHERE slot = $1");
const SLOT_ROWS: Sql = Sql::same("SELECT * FROM slot ORDER BY slot");
const PUT_SLOT: Sql = Sql::same(
    "INSERT INTO slot (slot, state, peer_shard, came_from, changed_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (slot) DO UPDATE SET state = excluded.state, peer_shard = excluded.peer_shard,
        came_from = excluded.came_from, changed_at = excluded.changed_at RETURNING slot",
);
const NAMES_IN_WALLETS: Sql =
    Sql::same("SELECT DISTINCT account_id FROM wallet WHERE account_id > $1 ORDER BY account_id LIMIT $2");
// One step down the index for each account, however many trades it has.
const NAMES_IN_TRADES: Sql = Sql::same(
    "WITH RECURSIVE found (account_id) AS (
        SELECT (SELECT MIN(trade.account_id) FROM trade WHERE trade.account_id > $1)
        UNION ALL
        SELECT (SELECT MIN(trade.account_id) FROM trade WHERE trade.account_id > found.account_id)
            FROM found WHERE found.account_id IS NOT NULL)
     SELECT account_id FROM found WHERE account_id IS NOT NULL LIMIT $2",
);
// Only those that no wallet tells of: whose every movement was denied.
const NAMES_IN_CASH: Sql = Sql::same(
    "SELECT DISTINCT account_id FROM cash_movement
     WHERE account_id > $1 AND NOT EXISTS (SELECT 1 FROM wallet WHERE wallet.account_id = cash_movement.account_id)
     ORDER BY account_id LIMIT $2",
);
const SIZES: Sql = Sql::same(
    "SELECT account_id, COUNT(*) AS wallets FROM wallet WHERE account_id > $1
     GROUP BY account_id ORDER BY account_id LIMIT $2",
);
const TRADES_OF: Sql =
    Sql::same("SELECT * FROM trade WHERE account_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3");
const CASH_OF: Sql = Sql::new(
    "SELECT * FROM cash_movement WHERE trade_id > $1 AND account_id IN (SELECT value FROM json_each($2))
     ORDER BY trade_id LIMIT $3",
    "SELECT * FROM cash_movement WHERE trade_id > $1 AND account_id = ANY($2) ORDER BY trade_id LIMIT $3",
);
const CHANGED_TRADES: Sql = Sql::same(
    "SELECT fact_sequence, trade_id, account_id FROM trade WHERE fact_sequence > $1 AND fact_sequence <= $2
     ORDER BY fact_sequence LIMIT $3",
);
const CHANGED_CASH: Sql = Sql::same(
    "SELECT fact_sequence, trade_id, account_id FROM cash_movement WHERE fact_sequence > $1 AND fact_sequence <= $2
     ORDER BY fact_sequence LIMIT $3",
);
const TRADES: Sql = Sql::new(
    "SELECT * FROM trade WHERE trade_id IN (SELECT unhex(value) FROM json_each($1)) ORDER BY sequence",
    "SELECT * FROM trade WHERE trade_id = ANY($1) ORDER BY sequence",
);
const CASH: Sql = Sql::new(
    "SELECT * FROM cash_movement WHERE trade_id IN (SELECT unhex(value) FROM json_each($1))",
    "SELECT * FROM cash_movement WHERE trade_id = ANY($1)",
);
const EXECUTIONS_OF: Sql = Sql::new(
    "SELECT * FROM execution WHERE trade_id IN (SELECT unhex(value) FROM json_each($1))",
    "SELECT * FROM execution WHERE trade_id = ANY($1)",
);
const WALLETS: Sql = Sql::new(
    "SELECT * FROM wallet WHERE account_id IN (SELECT value FROM json_each($1)) ORDER BY account_id, currency",
    "SELECT * FROM wallet WHERE account_id = ANY($1) ORDER BY account_id, currency",
);
const POSITIONS: Sql = Sql::new(
    "SELECT * FROM position WHERE account_id IN (SELECT value FROM json_each($1)) ORDER BY account_id, instrument_id",
    "SELECT * FROM position WHERE account_id = ANY($1) ORDER BY account_id, instrument_id",
);
const SETTLEMENTS: Sql = Sql::same("SELECT * FROM settlement ORDER BY instrument_id");
// What came with the slot when it came last.
const ARRIVED: Sql = Sql::same(
    "SELECT * FROM moved_wallet WHERE slot = $1 AND is_inbound AND posting_sequence > COALESCE(
        (SELECT MAX(posting_sequence) FROM moved_wallet WHERE slot = $1 AND NOT is_inbound), 0)
     ORDER BY account_id, currency",
);
const REMOVE_WALLETS: Sql = Sql::new(
    "DELETE FROM wallet WHERE account_id IN (SELECT value FROM json_each($1)) RETURNING 1",
    "DELETE FROM wallet WHERE account_id = ANY($1) RETURNING 1::bigint",
);
const REMOVE_POSITIONS: Sql = Sql::new(
    "DELETE FROM position WHERE account_id IN (SELECT value FROM json_each($1)) RETURNING 1",
    "DELETE FROM position WHERE account_id = ANY($1) RETURNING 1::bigint",
);

/// Rows that go together: trades and movements of cash, with their executions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// In the order of their sequence for each account.
    pub(crate) trades: Vec<TradeRow>,
    /// Of those trades, and of corrections among the cash.
    pub(crate) executions: Vec<ExecutionRow>,
    /// In no order.
    pub(crate) cash: Vec<CashRow>,
}

/// What accounts hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// By account and currency, ascending.
    pub(crate) wallets: Vec<WalletRow>,
    /// By account and instrument, ascending; flat ones too.
    pub(crate) positions: Vec<PositionRow>,
}

impl Turns {
    /// The shard row; `None` when no ledger has ever served the shard.
    pub(crate) async fn shard_row(&self) -> Result<Option<ShardRow>, StoreError> {
        self.pool.one(SHARD, &[]).await
    }

    /// What the shard has to do with `slot`.
    pub(crate) async fn slot(&self, slot: u16) -> Result<Option<SlotRow>, StoreError> {
        self.pool.one(SLOT, &[Arg::Int(slot.into())]).await
    }

    /// All that the shard has to do with slots.
    pub(crate) async fn slot_rows(&self) -> Result<Vec<SlotRow>, StoreError> {
        self.pool.rows(SLOT_ROWS, &[]).await
    }

    /// Accounts and wallets of each slot that has any.
    pub(crate) async fn slot_sizes(&self) -> Result<BTreeMap<u16, (u64, u64)>, StoreError> {
        let mut sizes: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
        let mut after = String::new();
        loop {
            let rows: Vec<(String, i64)> = self.pool.rows(SIZES, &[Arg::Text(&after), Arg::Int(NAMES_PAGE)]).await?;
            let Some((last, _)) = rows.last() else { return Ok(sizes) };
            after.clone_from(last);
            for (account_id, wallets) in rows {
                let size = sizes.entry(slot_of(&account_id)).or_default();
                *size = (size.0 + 1, size.1 + u64::try_from(wallets).unwrap_or_default());
            }
        }
    }

    /// Every account of `slot` that the shard has heard of.
    pub(crate) async fn accounts(&self, slot: u16) -> Result<BTreeSet<String>, StoreError> {
        let mut accounts = BTreeSet::new();
        for names in [NAMES_IN_WALLETS, NAMES_IN_TRADES, NAMES_IN_CASH] {
            let mut after = String::new();
            loop {
                let rows: Vec<(String,)> = self.pool.rows(names, &[Arg::Text(&after), Arg::Int(NAMES_PAGE)]).await?;
                let Some((last,)) = rows.last() else { break };
                after.clone_from(last);
                accounts.extend(rows.into_iter().map(|(name,)| name).filter(|name| slot_of(name) == slot));
            }
        }
        Ok(accounts)
    }

    /// The next trades of an account after the one with `after` as its sequence.
    pub(crate) async fn trades_of(&self, account_id: &str, after: i64) -> Result<Vec<TradeRow>, StoreError> {
        self.pool.rows(TRADES_OF, &[Arg::Text(account_id), Arg::Int(after), Arg::Int(PAGE)]).await
    }

    /// The next movements of cash of `accounts` after the one with the id `after`.
    pub(crate) async fn cash_of(&self, accounts: &[String], after: Uuid) -> Result<Vec<CashRow>, StoreError> {
        self.pool.rows(CASH_OF, &[Arg::Uuid(after), Arg::Texts(accounts), Arg::Int(PAGE)]).await
    }

    /// Ids and accounts of the next trades and movements of cash of `slot` told after `after` and up to
    /// `to`; and up to which fact these are all.
    pub(crate) async fn changed(
        &self,
        slot: u16,
        (after, to): (i64, i64),
    ) -> Result<(Vec<(Uuid, String)>, i64), StoreError> {
        let mut found = Vec::new();
        let mut reached = to;
        let mut rows_read = Vec::new();
        for changed in [CHANGED_TRADES, CHANGED_CASH] {
            let args = [Arg::Int(after), Arg::Int(to), Arg::Int(NAMES_PAGE)];
            let rows: Vec<(i64, Uuid, String)> = self.pool.rows(changed, &args).await?;
            if i64::try_from(rows.len()).unwrap_or(i64::MAX) >= NAMES_PAGE {
                reached = reached.min(rows.last().map_or(to, |(sequence, ..)| *sequence));
            }
            rows_read.extend(rows);
        }
        for (sequence, id, account_id) in rows_read {
            if sequence <= reached && slot_of(&account_id) == slot {
                found.push((id, account_id));
            }
        }
        Ok((found, reached))
    }

    /// What is stored under those ids.
    pub(crate) async fn history(&self, trade_ids: &[Uuid]) -> Result<History, StoreError> {
        if trade_ids.is_empty() {
            return Ok(History::default());
        }
        let ids = [Arg::Uuids(trade_ids)];
        Ok(History {
            trades: self.pool.rows(TRADES, &ids).await?,
            executions: self.pool.rows(EXECUTIONS_OF, &ids).await?,
            cash: self.pool.rows(CASH, &ids).await?,
        })
    }

    /// The executions of trades and corrections.
    pub(crate) async fn executions_of(&self, trade_ids: &[Uuid]) -> Result<Vec<ExecutionRow>, StoreError> {
        self.pool.rows(EXECUTIONS_OF, &[Arg::Uuids(trade_ids)]).await
    }

    /// What `accounts` hold.
    pub(crate) async fn holdings(&self, accounts: &BTreeSet<String>) -> Result<Holdings, StoreError> {
        let accounts: Vec<String> = accounts.iter().cloned().collect();
        let mut holdings = Holdings::default();
        for some in accounts.chunks(ACCOUNTS_MAX) {
            holdings.wallets.extend(self.pool.rows::<WalletRow>(WALLETS, &[Arg::Texts(some)]).await?);
            holdings.positions.extend(self.pool.rows::<PositionRow>(POSITIONS, &[Arg::Texts(some)]).await?);
        }
        Ok(holdings)
    }

    /// Every market that is decided.
    pub(crate) async fn settlements(&self) -> Result<Vec<SettlementRow>, StoreError> {
        self.pool.rows(SETTLEMENTS, &[]).await
    }

    /// The wallets that came with `slot` when it came last.
    pub(crate) async fn arrived(&self, slot: u16) -> Result<Vec<MovedWalletRow>, StoreError> {
        self.pool.rows(ARRIVED, &[Arg::Int(slot.into())]).await
    }
}

impl Turn {
    /// What the shard has to do with `slot`.
    pub(crate) async fn slot(&mut self, slot: u16) -> Result<Option<SlotRow>, StoreError> {
        Ok(self.rows(SLOT, &[Arg::Int(slot.into())]).await?.into_iter().next())
    }

    /// Writes what the shard has to do with a slot.
    pub(crate) async fn put_slot(&mut self, row: &SlotRow) -> Result<(), StoreError> {
        let args = [row.slot, row.state, row.peer_shard, row.came_from, row.changed_at].map(Arg::Int);
        self.rows::<(i64,)>(PUT_SLOT, &args).await.map(drop)
    }

    /// Inserts what is not there yet of decided markets.
    pub(crate) async fn add_settlements(&mut self, rows: Vec<SettlementRow>) -> Result<(), StoreError> {
        let known: Vec<SettlementRow> = self.rows(SETTLEMENTS, &[]).await?;
        let known: BTreeSet<_> = known.into_iter().map(|row| row.instrument_id).collect();
        let new: Vec<_> = rows.into_iter().filter(|row| !known.contains(&row.instrument_id)).collect();
        self.reseal(|seals| new.iter().for_each(|row| seals.history(&row.seal)));
        self.insert(&new).await
    }

    /// Changes what the shard says of all its seals.
    pub(crate) fn reseal(&mut self, change: impl FnOnce(&mut Seals)) {
        // What is no sum stays wrong: verification has to find it.
        if let Some(mut seals) = Seals::of(&self.shard) {
            change(&mut seals);
            seals.keep_in(&mut self.shard);
        }
    }

    /// Inserts wallets and positions, and the rows that tell how they came or went.
    pub(crate) async fn insert_moved(
        &mut self,
        wallets: &[MovedWalletRow],
        positions: &[MovedPositionRow],
    ) -> Result<(), StoreError> {
        self.insert(wallets).await?;
        self.insert(positions).await
    }

    /// Removes all that `accounts` hold; returns how many wallets and positions that were.
    pub(crate) async fn remove_holdings(&mut self, accounts: &BTreeSet<String>) -> Result<(usize, usize), StoreError> {
        let accounts: Vec<String> = accounts.iter().cloned().collect();
        let (mut wallets, mut positions) = (0, 0);
        for some in accounts.chunks(ACCOUNTS_MAX) {
            wallets += self.rows::<(i64,)>(REMOVE_WALLETS, &[Arg::Texts(some)]).await?.len();
            positions += self.rows::<(i64,)>(REMOVE_POSITIONS, &[Arg::Texts(some)]).await?.len();
        }
        Ok((wallets, positions))
    }
}
