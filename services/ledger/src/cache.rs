//! What the writer remembers of the books, so that it need not read them for
//! every batch. Only the owner of a shard changes its books, so what it
//! remembers is what is stored, or what is about to be.

mod newest;

use crate::store::{
    Changes, Keys, Known,
    rows::{CashRow, ExecutionRow, PositionRow, TradeRow, WalletRow},
};
use newest::Newest;
use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};
use uuid::Uuid;

/// A map that forgets what was not used for long: when the young half is full it
/// becomes the old half, and the old half is dropped. What is used becomes young.
#[derive(Debug)]
struct Memory<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half_max: usize,
}

impl<K: Eq + Hash, V> Memory<K, V> {
    fn new(rows_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half_max: rows_max / 2 }
    }

    fn get(&mut self, key: &K) -> Option<&mut V> {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.put(key, value);
        }
        self.young.get_mut(key)
    }

    fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.half_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// The rows of a batch that may not be visible in the database yet.
#[derive(Debug, Default)]
struct Recent {
    changes: Arc<Changes>,
    /// Places among the new trades, or behind them among the changed ones.
    trades: HashMap<Uuid, usize>,
    executions: HashMap<Uuid, Vec<usize>>,
    execution_ids: HashMap<String, Uuid>,
    cash: HashMap<Uuid, usize>,
}

impl Recent {
    fn new(changes: Arc<Changes>) -> Self {
        let mut executions: HashMap<Uuid, Vec<usize>> = HashMap::with_capacity(changes.executions.len());
        for (place, row) in changes.executions.iter().enumerate() {
            executions.entry(row.trade_id).or_default().push(place);
        }
        let trades = changes.new_trades.iter().chain(&changes.changed_trades);
        Self {
            trades: trades.enumerate().map(|(place, row)| (row.trade_id, place)).collect(),
            executions,
            execution_ids: changes.executions.iter().map(|row| (row.execution_id.clone(), row.trade_id)).collect(),
            cash: changes.cash.iter().enumerate().map(|(place, row)| (row.trade_id, place)).collect(),
            changes,
        }
    }

    fn trade(&self, trade_id: &Uuid) -> Option<&TradeRow> {
        let place = *self.trades.get(trade_id)?;
        let new = &self.changes.new_trades;
        new.get(place).or_else(|| self.changes.changed_trades.get(place - new.len()))
    }

    fn cash(&self, trade_id: &Uuid) -> Option<&CashRow> {
        self.changes.cash.get(*self.cash.get(trade_id)?)
    }

    /// What suspense has paid for an execution of the batch.
    fn drawn_for(&self, execution: &ExecutionRow) -> i64 {
        let posted = self.changes.transfers.iter();
        let posted = posted.filter(|row| Some(row.posting_sequence) == execution.posting_sequence);
        posted.filter(|row| row.is_shortfall()).map(|row| row.amount).sum()
    }

    fn executions(&self, trade_id: &Uuid) -> impl Iterator<Item = &ExecutionRow> {
        let places = self.executions.get(trade_id).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|place| self.changes.executions.get(*place))
    }
}

/// Puts `newer` rows in the place of those with the same key.
fn replace<R, K: Eq + Hash>(rows: &mut Vec<R>, newer: Vec<R>, key: impl Fn(&R) -> K) {
    if newer.is_empty() {
        return;
    }
    let keys: HashSet<K> = newer.iter().map(&key).collect();
    rows.retain(|row| !keys.contains(&key(row)));
    rows.extend(newer);
}

/// What the writer remembers.
#[derive(Debug)]
pub(crate) struct Cache {
    /// All wallets of an account; empty when it has none.
    wallets: Memory<String, Vec<WalletRow>>,
    /// A position; `None` when there is none.
    positions: Memory<(String, String), Option<PositionRow>>,
    /// Which trades need not be looked up.
    newest: Newest,
    /// The last two batches, newest last: the one before the newest may still be committing.
    recent: [Recent; 2],
    rows_max: usize,
}

impl Cache {
    /// Keeps about `rows_max` wallets, and as many positions and names of trades.
    pub(crate) fn new(rows_max: usize) -> Self {
        Self {
            wallets: Memory::new(rows_max),
            positions: Memory::new(rows_max),
            newest: Newest::new(rows_max),
            recent: [Recent::default(), Recent::default()],
            rows_max,
        }
    }

    /// Forgets everything: after a failure nothing is known but what is stored.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.rows_max);
    }

    /// How many of the newest trade ids it wants to be told; `None` when it knows them.
    pub(crate) fn wanted_trade_ids(&self) -> Option<usize> {
        self.newest.wanted()
    }

    /// Takes the `wanted` newest trade ids of the books, all of them if there are fewer.
    pub(crate) fn know_trade_ids(&mut self, ids: Vec<Uuid>, wanted: usize) {
        self.newest.fill(ids.into_iter(), wanted);
    }

    /// What is remembered of `asked`, and what is left to be read.
    pub(crate) fn recall(&mut self, asked: &Keys) -> (Known, Keys) {
        let mut known = Known::default();
        let mut keys = Keys {
            trade_ids: asked.trade_ids.iter().filter(|id| !self.newest.lacks(id)).copied().collect(),
            cash_ids: asked.cash_ids.clone(),
            execution_ids: asked.execution_ids.clone(),
            corrected: asked.corrected.clone(),
            ..Keys::default()
        };
        let mut seen = HashSet::with_capacity(asked.account_ids.len());
        for account_id in asked.account_ids.iter().filter(|account_id| seen.insert(*account_id)) {
            match self.wallets.get(account_id) {
                Some(wallets) => known.wallets.extend(wallets.iter().cloned()),
                None => keys.account_ids.push(account_id.clone()),
            }
        }
        let mut seen = HashSet::with_capacity(asked.positions.len());
        for key in asked.positions.iter().filter(|key| seen.insert(*key)) {
            match self.positions.get(key) {
                Some(position) => known.positions.extend(position.clone()),
                None => keys.positions.push(key.clone()),
            }
        }
        (known, keys)
    }

    /// Remembers what was read for `keys`, and adds it to `known`; what is remembered
    /// of the last batches is newer than what was read.
    pub(crate) fn merge(&mut self, keys: &Keys, asked: &Keys, read: Known, known: &mut Known) {
        let mut wallets: HashMap<String, Vec<WalletRow>> =
            keys.account_ids.iter().map(|account_id| (account_id.clone(), Vec::new())).collect();
        for row in read.wallets {
            wallets.entry(row.account_id.clone()).or_default().push(row);
        }
        for (account_id, rows) in wallets {
            if self.wallets.get(&account_id).is_none() {
                known.wallets.extend(rows.iter().cloned());
                self.wallets.put(account_id, rows);
            }
        }
        let mut positions: HashMap<(String, String), Option<PositionRow>> =
            keys.positions.iter().map(|key| (key.clone(), None)).collect();
        for row in read.positions {
            positions.insert((row.account_id.clone(), row.instrument_id.clone()), Some(row));
        }
        for (key, row) in positions {
            if self.positions.get(&key).is_none() {
                known.positions.extend(row.clone());
                self.positions.put(key, row);
            }
        }
        known.shard = read.shard;
        known.trades = read.trades;
        known.executions = read.executions;
        known.cash = read.cash;
        known.drawn = read.drawn;
        self.overlay(asked, known);
    }

    /// Puts the rows of the last batches over what was read.
    fn overlay(&mut self, asked: &Keys, known: &mut Known) {
        for recent in &self.recent {
            let of_executions =
                asked.execution_ids.iter().chain(&asked.fill_ids).filter_map(|id| recent.execution_ids.get(id));
            let ids: HashSet<Uuid> =
                asked.trade_ids.iter().chain(&asked.cash_ids).chain(of_executions).copied().collect();
            let trades: Vec<_> = ids.iter().filter_map(|id| recent.trade(id)).cloned().collect();
            let cash: Vec<_> = ids.iter().filter_map(|id| recent.cash(id)).cloned().collect();
            let executions: Vec<_> = ids.iter().flat_map(|id| recent.executions(id)).cloned().collect();
            for row in executions.iter().filter(|row| asked.corrected.contains(&row.execution_id)) {
                known.drawn.insert(row.execution_id.clone(), recent.drawn_for(row));
            }
            replace(&mut known.trades, trades, |row| row.trade_id);
            replace(&mut known.cash, cash, |row| row.trade_id);
            replace(&mut known.executions, executions, |row| row.execution_id.clone());
        }
        // What a repeated fact shows is remembered too: every touched wallet and position is.
        let wanted = known.trades.iter().map(|row| (row.account_id.clone(), row.instrument_id.clone()));
        let wanted = wanted.chain(known.cash.iter().map(|row| (row.account_id.clone(), String::new())));
        // And so is what a correction touches: the execution is read, its position may be newer here.
        let touched = known.executions.iter().map(|row| (row.account_id.clone(), row.instrument_id.clone()));
        let wanted: HashSet<_> = wanted.chain(touched).collect();
        if wanted.is_empty() {
            return;
        }
        let mut wallets: HashSet<String> = known.wallets.iter().map(|row| row.account_id.clone()).collect();
        let positions = known.positions.iter().map(|row| (row.account_id.clone(), row.instrument_id.clone()));
        let positions: HashSet<_> = positions.collect();
        for key in wanted {
            if wallets.insert(key.0.clone())
                && let Some(rows) = self.wallets.get(&key.0)
            {
                known.wallets.extend(rows.iter().cloned());
            }
            if !positions.contains(&key)
                && let Some(Some(row)) = self.positions.get(&key)
            {
                known.positions.push(row.clone());
            }
        }
    }

    /// Remembers what a decided batch changes.
    pub(crate) fn remember(&mut self, changes: &Arc<Changes>) {
        for row in changes.wallets() {
            match self.wallets.get(&row.account_id) {
                Some(rows) => match rows.iter_mut().find(|known| known.currency == row.currency) {
                    Some(known) => known.clone_from(row),
                    None => rows.push(row.clone()),
                },
                None => self.wallets.put(row.account_id.clone(), vec![row.clone()]),
            }
        }
        for row in changes.positions() {
            let key = (row.account_id.clone(), row.instrument_id.clone());
            self.positions.put(key, Some(row.clone()));
        }
        for row in &changes.new_trades {
            self.newest.add(row.trade_id);
        }
        let [_, newest] = std::mem::take(&mut self.recent);
        self.recent = [newest, Recent::new(Arc::clone(changes))];
    }
}
