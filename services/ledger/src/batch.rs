//! One batch, decided in memory: what the store knows and some items in, the
//! changes and the facts out. Nothing here waits or writes.

pub(crate) mod cash;
pub(crate) mod posting;
mod settlement;
#[cfg(test)]
mod tests;
mod trade;

use crate::{
    facts::Surroundings,
    intake::{AccountAction, Action, Item, SettlementAction, arrival_id},
    slot::{Directory, Slots},
    store::{
        Changes, Keys, Known,
        rows::{
            BatchRow, CashRow, CheckpointRow, ExecutionRow, PayoutRow, PositionRow, RejectedRow, SettlementRow,
            ShardRow, TradeRow, TransferRow, WalletRow, hex_text,
        },
        seal::Sealer,
    },
    unbookable::Unbookable,
};
use posting::{cash_correction_id, execution_correction_id, reversal_id};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};
use tragen_contracts::v1;
use tragen_domain::ledger::{ResultCode, Wallet};
use uuid::Uuid;

/// Versions of a wallet from one checkpoint of its cash to the next: a statement adds up at most so many
/// postings before its first line.
const CHECKPOINT_EVERY: i64 = 256;

/// How an item ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It changed the books.
    Booked,
    /// It was booked before.
    Known,
    /// Kept aside: it cannot be booked.
    SetAside(Unbookable),
    /// A deposit is in, now or before.
    Deposited(v1::Account),
    /// A deposit is not possible.
    Refused(ResultCode, v1::AskError),
}

impl Outcome {
    /// Its number in the closed list of results.
    pub(crate) const fn code(&self) -> ResultCode {
        match self {
            Self::Booked | Self::Deposited(_) => ResultCode::Posted,
            Self::Known => ResultCode::Exists,
            Self::SetAside(why) => why.code,
            Self::Refused(code, _) => *code,
        }
    }
}

/// What a batch does.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// To be written in one transaction.
    pub(crate) changes: Arc<Changes>,
    /// One per item, in their order.
    pub(crate) outcomes: Vec<Outcome>,
    /// To be published after the commit, sequences ascending.
    pub(crate) facts: Vec<v1::LedgerFact>,
    /// Money for accounts of other shards, to be handed on after the commit.
    pub(crate) arrivals: Vec<(u16, v1::ExecutionReport)>,
    /// Accounts this batch has frozen.
    pub(crate) frozen: Vec<String>,
    /// What two operators wanted and this batch has refused.
    pub(crate) refused: Vec<Refused>,
}

/// A booking by hand that cannot be booked: two people believe that it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) booking_id: String,
    pub(crate) account_id: String,
    pub(crate) why: String,
}

impl Decision {
    /// Whether there is anything to write.
    pub(crate) fn is_change(&self) -> bool {
        self.changes.before != self.changes.after
            || !self.changes.rejected.is_empty()
            || !self.changes.settlements.is_empty()
    }
}

/// What a batch is decided in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// The shard.
    pub(crate) shard: u16,
    /// Its slots.
    pub(crate) slots: &'a Slots,
    /// Where other accounts are kept.
    pub(crate) directory: &'a Directory,
    /// Markets decided so far, by instrument.
    pub(crate) settled: &'a HashMap<String, SettlementAction>,
    /// Microseconds since the epoch.
    pub(crate) now: i64,
}

/// What must be known before `items` are decided.
pub(crate) fn keys_of(items: &[Item]) -> Keys {
    let mut keys = Keys::default();
    for item in items {
        let Ok(Action::Account(key, action)) = &item.action else { continue };
        keys.account_ids.push(key.account.to_string());
        match action {
            AccountAction::Trade(trade) => {
                keys.trade_ids.push(key.trade_id);
                keys.fill_ids.extend(trade.fills.iter().map(|fill| fill.id.to_string()));
                let instrument = trade.terms.iter().map(|terms| terms.instrument.to_string());
                keys.positions.extend(instrument.map(|instrument| (key.account.to_string(), instrument)));
            }
            AccountAction::Withdrawal { to, .. } => {
                keys.cash_ids.push(key.trade_id);
                if let Some(to) = to {
                    keys.cash_ids.push(arrival_id(key.trade_id));
                    keys.account_ids.push(to.to_string());
                }
            }
            AccountAction::Correction { of, .. } => {
                keys.cash_ids.extend([key.trade_id, execution_correction_id(of)]);
                keys.execution_ids.extend([of.clone(), reversal_id(of)]);
                keys.corrected.push(of.clone());
                if let Ok(reference) = Uuid::try_parse(of) {
                    keys.cash_ids.extend([reference, cash_correction_id(&reference)]);
                }
            }
            AccountAction::Deposit { .. }
            | AccountAction::Arrival { .. }
            | AccountAction::Adjustment { .. }
            | AccountAction::Unfreezing { .. } => keys.cash_ids.push(key.trade_id),
            AccountAction::Payout(settlement) => {
                keys.positions.push((key.account.to_string(), settlement.instrument.to_string()));
            }
        }
    }
    keys
}

/// Decides `items` in their order.
pub(crate) fn decide(items: &[Item], known: Known, frame: Frame<'_>) -> Decision {
    let mut batch = Batch::new(known, frame, items.len());
    let outcomes: Vec<_> = items.iter().map(|item| batch.take(item)).collect();
    batch.close(outcomes)
}

/// Something that must be told, new or again.
#[derive(Debug)]
struct Tell {
    what: Told,
    execution_ids: Vec<String>,
    traceparent: String,
    causation_id: String,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Told {
    /// A trade: by its id.
    Trade(Uuid),
    /// Cash that moved: by its id.
    Cash(Uuid),
    /// A payout: by its place among the new ones.
    Payout(usize),
}

/// The books while a batch is being decided.
#[derive(Debug)]
struct Batch<'a> {
    frame: Frame<'a>,
    now: i64,
    before: ShardRow,
    shard: ShardRow,
    trades: HashMap<Uuid, TradeRow>,
    cash: HashMap<Uuid, CashRow>,
    /// Known and new executions: id to trade.
    execution_ids: HashMap<String, Uuid>,
    /// Known and new executions by trade.
    executions: HashMap<Uuid, Vec<ExecutionRow>>,
    /// What suspense has paid for executions that are to be taken back.
    drawn: HashMap<String, i64>,
    books: Surroundings,
    touched_trades: HashSet<Uuid>,
    /// Those among them that nobody knew, by their sequence.
    new_trades: Vec<Uuid>,
    touched_wallets: BTreeSet<(String, String)>,
    touched_positions: BTreeSet<(String, String)>,
    /// Those among the touched that nobody knew.
    new_wallets: HashSet<(String, String)>,
    new_positions: HashSet<(String, String)>,
    /// The new ones among `executions`: trade and place there.
    new_executions: Vec<(Uuid, usize)>,
    new_cash: HashSet<Uuid>,
    new_transfers: Vec<TransferRow>,
    new_payouts: Vec<PayoutRow>,
    checkpoints: Vec<CheckpointRow>,
    new_settlements: Vec<SettlementRow>,
    rejected: Vec<RejectedRow>,
    arrivals: Vec<(u16, v1::ExecutionReport)>,
    frozen: Vec<String>,
    refused: Vec<Refused>,
    tell: Vec<Tell>,
    /// What is told, to its place in `tell`: one fact each in a batch.
    told: HashMap<Told, usize>,
}

impl<'a> Batch<'a> {
    /// Room for what `items` trades usually need: rows are large, growing step by step would copy them often.
    fn new(known: Known, frame: Frame<'a>, items: usize) -> Self {
        let mut executions: HashMap<Uuid, Vec<ExecutionRow>> = HashMap::with_capacity(items);
        let mut execution_ids = HashMap::with_capacity(items);
        for row in known.executions {
            execution_ids.insert(row.execution_id.clone(), row.trade_id);
            executions.entry(row.trade_id).or_default().push(row);
        }
        let before = known.shard.clone();
        // A clock that is set back must not reorder what is read by its time.
        let now = frame.now.max(before.posted_at);
        let mut trades = HashMap::with_capacity(items + known.trades.len());
        trades.extend(known.trades.into_iter().map(|row| (row.trade_id, row)));
        Self {
            frame,
            now,
            before,
            shard: known.shard,
            trades,
            cash: known.cash.into_iter().map(|row| (row.trade_id, row)).collect(),
            execution_ids,
            executions,
            drawn: known.drawn,
            books: Surroundings::new(known.wallets, known.positions),
            touched_trades: HashSet::with_capacity(items),
            new_trades: Vec::with_capacity(items),
            touched_wallets: BTreeSet::new(),
            touched_positions: BTreeSet::new(),
            new_wallets: HashSet::new(),
            new_positions: HashSet::new(),
            new_executions: Vec::with_capacity(items),
            new_cash: HashSet::new(),
            new_transfers: Vec::with_capacity(2 * items),
            new_payouts: Vec::new(),
            checkpoints: Vec::new(),
            new_settlements: Vec::new(),
            rejected: Vec::new(),
            arrivals: Vec::new(),
            frozen: Vec::new(),
            refused: Vec::new(),
            tell: Vec::with_capacity(items),
            told: HashMap::with_capacity(items),
        }
    }

    /// Books one item, or leaves the books as they are.
    fn take(&mut self, item: &Item) -> Outcome {
        let booked = match &item.action {
            Ok(Action::Account(key, action)) => match action {
                AccountAction::Trade(trade) => self.trade(item, key, trade),
                AccountAction::Payout(settlement) => self.payout(item, key, settlement),
                AccountAction::Deposit { currency, amount } => return self.deposit(item, key, currency, *amount),
                AccountAction::Withdrawal { .. }
                | AccountAction::Arrival { .. }
                | AccountAction::Adjustment { .. }
                | AccountAction::Correction { .. }
                | AccountAction::Unfreezing { .. } => self.cash(item, key, action),
            },
            Ok(Action::Settlement(settlement)) => self.settlement(settlement),
            Err(why) => Err(why.clone()),
        };
        booked.unwrap_or_else(|why| self.set_aside(item, why))
    }

    fn set_aside(&mut self, item: &Item, why: Unbookable) -> Outcome {
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
            reason: clean(&why.to_string()),
            payload,
            rejected_at: self.now,
        });
        Outcome::SetAside(why)
    }

    fn close(mut self, outcomes: Vec<Outcome>) -> Decision {
        self.number_facts();
        let facts = self.facts();
        let batch = self.link();
        let touched = std::mem::take(&mut self.touched_trades);
        let mut new_trades = Vec::with_capacity(self.new_trades.len());
        new_trades.extend(self.new_trades.iter().filter_map(|id| self.trades.remove(id)));
        // What is left was stored before.
        let mut changed_trades: Vec<_> = touched.iter().filter_map(|id| self.trades.remove(id)).collect();
        changed_trades.sort_unstable_by_key(|row| row.sequence);
        let mut cash: Vec<_> = self.new_cash.iter().filter_map(|id| self.cash.remove(id)).collect();
        cash.sort_unstable_by_key(|row| row.posting_sequence);
        if !new_trades.is_empty() || !changed_trades.is_empty() || !cash.is_empty() || !self.new_payouts.is_empty() {
            self.shard.posted_at = self.now;
        }
        let new_executions = std::mem::take(&mut self.new_executions);
        let mut executions = Vec::with_capacity(new_executions.len());
        let new_execution =
            |(trade_id, place): (Uuid, usize)| self.executions.get_mut(&trade_id)?.get_mut(place).map(std::mem::take);
        executions.extend(new_executions.into_iter().filter_map(new_execution));
        let mut sealer = Sealer::new(&self.shard);
        sealer.trades(&mut new_trades);
        sealer.trades(&mut changed_trades);
        sealer.history(&mut executions);
        sealer.history(&mut cash);
        sealer.history(&mut self.new_settlements);
        sealer.history(&mut self.new_payouts);
        sealer.keep_in(&mut self.shard);
        let (new_wallets, changed_wallets): (Vec<_>, Vec<_>) =
            self.touched_wallets.iter().partition(|key| self.new_wallets.contains(*key));
        let (new_positions, changed_positions): (Vec<_>, Vec<_>) =
            self.touched_positions.iter().partition(|key| self.new_positions.contains(*key));
        let books = &mut self.books;
        let mut wallets = |keys: Vec<_>| keys.into_iter().filter_map(|key| books.wallets.remove(key)).collect();
        let (new_wallets, changed_wallets) = (wallets(new_wallets), wallets(changed_wallets));
        let mut positions = |keys: Vec<_>| keys.into_iter().filter_map(|key| books.positions.remove(key)).collect();
        let (new_positions, changed_positions) = (positions(new_positions), positions(changed_positions));
        let changes = Changes {
            before: self.before,
            after: self.shard,
            new_trades,
            changed_trades,
            executions,
            cash,
            transfers: self.new_transfers,
            new_wallets,
            changed_wallets,
            new_positions,
            changed_positions,
            settlements: self.new_settlements,
            payouts: self.new_payouts,
            checkpoints: self.checkpoints,
            batch,
            rejected: self.rejected,
        };
        let Self { arrivals, frozen, refused, .. } = self;
        Decision { changes: Arc::new(changes), outcomes, facts, arrivals, frozen, refused }
    }

    /// Remembers that `what` must be told; once a batch is enough.
    fn tell(&mut self, item: &Item, what: Told, execution_ids: impl IntoIterator<Item = String>) {
        let next = self.tell.len();
        let place = *self.told.entry(what).or_insert(next);
        if place == next {
            self.tell.push(Tell {
                what,
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
            let fact_sequence = match tell.what {
                Told::Trade(id) if self.touched_trades.contains(&id) => {
                    self.trades.get_mut(&id).map(|row| &mut row.fact_sequence)
                }
                Told::Cash(id) if self.new_cash.contains(&id) => {
                    self.cash.get_mut(&id).map(|row| &mut row.fact_sequence)
                }
                Told::Trade(_) | Told::Cash(_) => None,
                Told::Payout(place) => self.new_payouts.get_mut(place).map(|row| &mut row.fact_sequence),
            };
            if let Some(fact_sequence) = fact_sequence {
                self.shard.fact_sequence += 1;
                *fact_sequence = self.shard.fact_sequence;
            }
        }
    }

    fn facts(&self) -> Vec<v1::LedgerFact> {
        let fact = |tell: &Tell| {
            let (traceparent, causation_id) = (tell.traceparent.as_str(), tell.causation_id.as_str());
            match tell.what {
                Told::Trade(id) => {
                    let (row, ids) = (self.trades.get(&id)?, tell.execution_ids.clone());
                    Some(self.books.trade_fact(self.frame.shard, row, ids, traceparent, causation_id))
                }
                Told::Cash(id) => {
                    Some(self.books.cash_fact(self.frame.shard, self.cash.get(&id)?, traceparent, causation_id))
                }
                Told::Payout(place) => {
                    let row = self.new_payouts.get(place)?;
                    Some(self.books.payout_fact(self.frame.shard, row, traceparent, causation_id))
                }
            }
        };
        let mut facts: Vec<_> = self.tell.iter().filter_map(fact).collect();
        facts.sort_by_key(|fact| fact.sequence);
        facts
    }

    fn keep_execution(&mut self, row: ExecutionRow) {
        self.execution_ids.insert(row.execution_id.clone(), row.trade_id);
        let of_trade = self.executions.entry(row.trade_id).or_default();
        self.new_executions.push((row.trade_id, of_trade.len()));
        of_trade.push(row);
    }

    fn keep_transfers(&mut self, transfers: Vec<TransferRow>) {
        self.shard.transfer_sequence += posting::count(transfers.len());
        self.new_transfers.extend(transfers);
    }

    fn keep_wallet(&mut self, account_id: &str, currency: &str, wallet: Wallet) {
        let key = (account_id.to_owned(), currency.to_owned());
        let row = WalletRow::new(account_id, currency, wallet);
        let before = self.books.wallets.insert(key.clone(), row);
        if before.is_none() {
            self.new_wallets.insert(key.clone());
        }
        let before = before.map(|before| before.wallet()).unwrap_or_default();
        if wallet.is_frozen && !before.is_frozen {
            self.frozen.push(account_id.to_owned());
        }
        if wallet.version / CHECKPOINT_EVERY != before.version / CHECKPOINT_EVERY {
            // All its transfers up to here are in it: they are kept before the wallet is.
            self.checkpoints.push(CheckpointRow {
                account_id: account_id.to_owned(),
                currency: currency.to_owned(),
                posted_at: self.now,
                sequence: self.shard.transfer_sequence,
                cash: wallet.cash.micros(),
            });
        }
        self.touched_wallets.insert(key);
    }

    fn keep_position(&mut self, position: PositionRow) {
        let key = (position.account_id.clone(), position.instrument_id.clone());
        if self.books.positions.insert(key.clone(), position).is_none() {
            self.new_positions.insert(key.clone());
        }
        self.touched_positions.insert(key);
    }

    fn wallet(&self, account_id: &str, currency: &str) -> Wallet {
        self.books.wallet(account_id, currency).map(WalletRow::wallet).unwrap_or_default()
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
    let mut bytes = Vec::with_capacity(previous.len() + transfers.len() * 160);
    bytes.extend_from_slice(previous);
    for transfer in transfers {
        transfer.write_canonical(&mut bytes);
    }
    Sha256::digest(&bytes).to_vec()
}
