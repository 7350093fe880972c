//! One batch, decided in memory: what the store knows and some items in, the
//! changes and the facts out. Nothing here waits or writes.

pub(crate) mod booking;

use crate::{
    facts::Surroundings,
    intake::{Action, Item},
    store::{
        Changes, Keys, Known,
        rows::{BatchRow, CashRow, ExecutionRow, RejectedRow, ShardRow, TradeRow, TransferRow, hex_text},
    },
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap, HashSet};
use tragen_contracts::v1;

/// How an item ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It changed the books.
    Booked,
    /// It was booked before.
    Known,
    /// Kept aside: it cannot be booked.
    SetAside {
        /// Why.
        reason: String,
    },
    /// A deposit is in, now or before.
    Deposited(v1::Account),
    /// A deposit is not possible.
    Refused(v1::AskError),
}

/// What a batch does.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// To be written in one transaction.
    pub(crate) changes: Changes,
    /// One per item, in their order.
    pub(crate) outcomes: Vec<Outcome>,
    /// To be published after the commit, sequences ascending.
    pub(crate) facts: Vec<v1::LedgerFact>,
    /// Accounts this batch has frozen.
    pub(crate) frozen: Vec<String>,
}

impl Decision {
    /// Whether there is anything to write.
    pub(crate) fn is_change(&self) -> bool {
        self.changes.before != self.changes.after || !self.changes.rejected.is_empty()
    }
}

/// What must be known before `items` are decided.
pub(crate) fn keys_of(items: &[Item]) -> Keys {
    let mut keys = Keys::default();
    for (key, action) in items.iter().filter_map(|item| item.action.as_ref().ok()) {
        keys.trade_ids.push(key.trade_id.to_string());
        keys.account_ids.push(key.account.to_string());
        if let Action::Trade(trade) = action {
            keys.execution_ids.extend(trade.fills.iter().map(|fill| fill.id.to_string()));
            keys.positions.extend(trade.terms.iter().map(|terms| format!("{} {}", key.account, terms.instrument)));
        }
    }
    keys
}

/// Decides `items` in their order at `now`; facts up to `published` are known to
/// have reached the bus.
pub(crate) fn decide(items: &[Item], known: Known, published: i64, now_micros: i64) -> Decision {
    let mut batch = Batch::new(known, now_micros);
    let outcomes: Vec<_> = items.iter().map(|item| batch.take(item)).collect();
    batch.close(outcomes, published)
}

/// A fact that must be told, new or again.
#[derive(Debug)]
struct Tell {
    trade_id: String,
    execution_ids: Vec<String>,
    traceparent: String,
    causation_id: String,
}

/// The books while a batch is being decided.
#[derive(Debug)]
struct Batch {
    before: ShardRow,
    shard: ShardRow,
    trades: HashMap<String, TradeRow>,
    cash: HashMap<String, CashRow>,
    /// Known and new executions: id to trade.
    execution_ids: HashMap<String, String>,
    /// Known and new executions by trade.
    executions: HashMap<String, Vec<ExecutionRow>>,
    books: Surroundings,
    touched_trades: HashSet<String>,
    touched_wallets: BTreeSet<(String, String)>,
    touched_positions: BTreeSet<(String, String)>,
    new_executions: Vec<ExecutionRow>,
    new_cash: HashSet<String>,
    new_transfers: Vec<TransferRow>,
    rejected: Vec<RejectedRow>,
    frozen: Vec<String>,
    tell: Vec<Tell>,
    /// Trade id to its place in `tell`: one fact a trade and batch.
    told: HashMap<String, usize>,
    now: i64,
}

impl Batch {
    fn new(known: Known, now: i64) -> Self {
        let mut executions: HashMap<String, Vec<ExecutionRow>> = HashMap::new();
        let mut execution_ids = HashMap::new();
        for row in known.executions {
            execution_ids.insert(row.execution_id.clone(), row.trade_id.clone());
            executions.entry(row.trade_id.clone()).or_default().push(row);
        }
        Self {
            before: known.shard.clone(),
            shard: known.shard,
            trades: known.trades.into_iter().map(|row| (row.trade_id.clone(), row)).collect(),
            cash: known.cash.into_iter().map(|row| (row.trade_id.clone(), row)).collect(),
            execution_ids,
            executions,
            books: Surroundings::new(known.wallets, known.positions),
            touched_trades: HashSet::new(),
            touched_wallets: BTreeSet::new(),
            touched_positions: BTreeSet::new(),
            new_executions: Vec::new(),
            new_cash: HashSet::new(),
            new_transfers: Vec::new(),
            rejected: Vec::new(),
            frozen: Vec::new(),
            tell: Vec::new(),
            told: HashMap::new(),
            now,
        }
    }

    /// Books one item, or leaves the books as they are.
    fn take(&mut self, item: &Item) -> Outcome {
        let booked = match &item.action {
            Ok((key, Action::Trade(trade))) => self.trade(item, key, trade),
            Ok((key, Action::Withdrawal { currency, amount, denial })) => {
                self.withdrawal(item, key, (currency, *amount), denial.as_ref())
            }
            Ok((key, Action::Deposit { currency, amount })) => return self.deposit(item, key, currency, *amount),
            Err(reason) => Err(reason.clone()),
        };
        booked.unwrap_or_else(|reason| self.set_aside(item, reason))
    }

    fn set_aside(&mut self, item: &Item, reason: String) -> Outcome {
        let payload = item.report.encode_to_vec();
        let clean = |text: &str| text.replace('\0', "");
        let report_id = match clean(item.event_id()) {
            id if id.is_empty() => hex_text(&Sha256::digest(&payload)),
            id => id,
        };
        let key = item.raw_key();
        self.rejected.push(RejectedRow {
            report_id,
            trade_id: clean(&key.trade_id),
            account_id: clean(&key.account_id),
            venue: clean(&item.venue),
            reason: clean(&reason),
            payload,
            rejected_at: self.now,
        });
        Outcome::SetAside { reason }
    }

    fn close(mut self, outcomes: Vec<Outcome>, published: i64) -> Decision {
        self.number_facts();
        let facts = self.facts();
        let batch = self.link();
        self.shard.published_fact_sequence = self.shard.published_fact_sequence.max(published);
        if self.touched_trades.is_empty() && self.new_cash.is_empty() {
            // Nothing changed; the cursor alone is not worth a transaction.
            self.shard = self.before.clone();
        }
        let mut trades: Vec<_> = self.touched_trades.iter().filter_map(|id| self.trades.remove(id)).collect();
        trades.sort_by_key(|row| row.sequence);
        let mut cash: Vec<_> = self.new_cash.iter().filter_map(|id| self.cash.remove(id)).collect();
        cash.sort_by_key(|row| row.posting_sequence);
        let changes = Changes {
            before: self.before,
            after: self.shard,
            trades,
            executions: self.new_executions,
            cash,
            transfers: self.new_transfers,
            wallets: self.touched_wallets.iter().filter_map(|key| self.books.wallets.remove(key)).collect(),
            positions: self.touched_positions.iter().filter_map(|key| self.books.positions.remove(key)).collect(),
            batch,
            rejected: self.rejected,
        };
        Decision { changes, outcomes, facts, frozen: self.frozen }
    }

    /// Remembers that the fact of `trade_id` must be told; once a batch is enough.
    fn tell(&mut self, item: &Item, trade_id: &str, execution_ids: impl IntoIterator<Item = String>) {
        let next = self.tell.len();
        let place = *self.told.entry(trade_id.to_owned()).or_insert(next);
        if place == next {
            self.tell.push(Tell {
                trade_id: trade_id.to_owned(),
                execution_ids: Vec::new(),
                traceparent: item.traceparent.clone(),
                causation_id: item.event_id().to_owned(),
            });
        }
        let told = &mut self.tell[place].execution_ids;
        for id in execution_ids {
            if !told.contains(&id) {
                told.push(id);
            }
        }
    }

    /// New facts get the next sequences, in the order they were told.
    fn number_facts(&mut self) {
        for tell in &self.tell {
            let fact_sequence = if self.touched_trades.contains(&tell.trade_id) {
                self.trades.get_mut(&tell.trade_id).map(|row| &mut row.fact_sequence)
            } else if self.new_cash.contains(&tell.trade_id) {
                self.cash.get_mut(&tell.trade_id).map(|row| &mut row.fact_sequence)
            } else {
                None
            };
            if let Some(fact_sequence) = fact_sequence {
                self.shard.fact_sequence += 1;
                *fact_sequence = self.shard.fact_sequence;
            }
        }
    }

    fn facts(&self) -> Vec<v1::LedgerFact> {
        let mut facts: Vec<_> = self
            .tell
            .iter()
            .filter_map(|tell| match (self.trades.get(&tell.trade_id), self.cash.get(&tell.trade_id)) {
                (Some(row), _) => {
                    let ids = tell.execution_ids.clone();
                    Some(self.books.trade_fact(row, ids, &tell.traceparent, &tell.causation_id))
                }
                (None, Some(row)) => Some(self.books.cash_fact(row, &tell.traceparent, &tell.causation_id)),
                (None, None) => None,
            })
            .collect();
        facts.sort_by_key(|fact| fact.sequence);
        facts
    }

    /// The next link of the hash chain over the new transfers.
    fn link(&mut self) -> Option<BatchRow> {
        let (first, last) = (self.new_transfers.first()?, self.new_transfers.last()?);
        let hash = chain(&self.shard.head_hash, &self.new_transfers);
        self.shard.batch_sequence += 1;
        let row = BatchRow {
            sequence: self.shard.batch_sequence,
            first_transfer: first.sequence,
            last_transfer: last.sequence,
            previous_hash: std::mem::replace(&mut self.shard.head_hash, hash.clone()),
            hash,
            posted_at: self.now,
        };
        Some(row)
    }
}

/// SHA-256 over the hash before and the transfers after it.
pub(crate) fn chain(previous: &[u8], transfers: &[TransferRow]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(previous);
    for transfer in transfers {
        transfer.hash_into(&mut hash);
    }
    hash.finalize().to_vec()
}
