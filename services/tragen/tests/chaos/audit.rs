//! The invariants: every answer is in the books (I1), nothing has two effects
//! (I2), sums are right to the micro (I3), and whoever reads the facts from their
//! beginning reads all of them in order (I5).

use crate::{
    books::Books,
    driver::Message,
    expected::{Expected, is_broke},
    script::MARGIN_PPM,
    wire::Told,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tragen_contracts::v1;

/// Problems told of one kind; more of the same say nothing new.
const TOLD_MAX: usize = 5;

/// What an audit found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) requests: usize,
    /// Effects that are missing.
    pub(crate) lost: usize,
    /// Effects that are there more than once.
    pub(crate) doubled: usize,
    /// Sums and balances that are not what they must be.
    pub(crate) unbalanced: usize,
    pub(crate) problems: Vec<String>,
}

/// Looks at everything.
pub(crate) fn audit(expected: &Expected, shards: &BTreeMap<u16, Books>, messages: &[Message]) -> Verdict {
    let verdict = Verdict { requests: expected.requests, problems: expected.problems.clone(), ..Verdict::default() };
    let mut audit = Audit { expected, shards, verdict, told: BTreeMap::new() };
    audit.fills();
    audit.cash();
    audit.trades();
    audit.payouts();
    audit.accounts();
    audit.positions();
    audit.sums();
    audit.sequences();
    audit.answers();
    audit.facts();
    audit.late_reader(messages);
    audit.verdict
}

/// An audit under way.
struct Audit<'a> {
    expected: &'a Expected,
    shards: &'a BTreeMap<u16, Books>,
    verdict: Verdict,
    /// Problems by kind.
    told: BTreeMap<&'static str, usize>,
}

impl<'a> Audit<'a> {
    fn problem(&mut self, kind: &'static str, text: impl FnOnce() -> String) {
        let told = self.told.entry(kind).or_default();
        *told += 1;
        if *told <= TOLD_MAX {
            self.verdict.problems.push(format!("{kind}: {}", text()));
        }
    }

    fn lost(&mut self, text: impl FnOnce() -> String) {
        self.verdict.lost += 1;
        self.problem("lost", text);
    }

    fn doubled(&mut self, text: impl FnOnce() -> String) {
        self.verdict.doubled += 1;
        self.problem("doubled", text);
    }

    fn unbalanced(&mut self, text: impl FnOnce() -> String) {
        self.verdict.unbalanced += 1;
        self.problem("unbalanced", text);
    }

    /// Rows of all shards.
    fn all<T>(&self, rows: fn(&'a Books) -> &'a [T]) -> Vec<&'a T> {
        let shards: &'a BTreeMap<u16, Books> = self.shards;
        shards.values().flat_map(rows).collect()
    }

    fn fills(&mut self) {
        let mut seen = HashMap::new();
        for row in self.all(|books| &books.executions) {
            let (id, trade_id, account, instrument, is_buy, price, quantity, fee, _) = row;
            if seen.insert(id, ()).is_some() {
                self.doubled(|| format!("fill {id}"));
            }
            let expected = self.expected.fills.get(id);
            let is_same = expected.is_some_and(|fill| {
                (&fill.trade_id, &fill.account, &fill.instrument) == (trade_id, account, instrument)
                    && (i64::from(fill.is_buy), fill.price, fill.quantity, fill.fee)
                        == (*is_buy, *price, *quantity, *fee)
            });
            if !is_same {
                self.problem("invented", || format!("fill {row:?}, reported was {expected:?}"));
            }
        }
        for (id, fill) in self.expected.fills.iter().filter(|(id, _)| !seen.contains_key(id)) {
            self.lost(|| format!("fill {id}: {fill:?}"));
        }
        for (reason,) in self.all(|books| &books.set_aside) {
            self.problem("set aside", || reason.clone());
        }
    }

    fn cash(&mut self) {
        let mut seen = HashMap::new();
        for row in self.all(|books| &books.cash) {
            let (id, account, kind, amount, is_denied, ..) = row;
            if seen.insert(id, ()).is_some() {
                self.doubled(|| format!("cash {id}"));
            }
            let expected = self.expected.movements.get(id);
            let is_same = expected.is_some_and(|movement| {
                let denied = i64::from(movement.is_denied);
                (&movement.account, movement.kind, movement.amount, denied) == (account, *kind, *amount, *is_denied)
            });
            if !is_same {
                self.problem("invented", || format!("cash {row:?}, asked for was {expected:?}"));
            }
        }
        for (id, movement) in self.expected.movements.iter().filter(|(id, _)| !seen.contains_key(id)) {
            self.lost(|| format!("cash {id}: {movement:?}"));
        }
    }

    fn trades(&mut self) {
        let mut cash_changes: HashMap<&String, i64> = HashMap::new();
        for (_, trade_id, .., cash_change) in self.all(|books| &books.executions) {
            *cash_changes.entry(trade_id).or_default() += cash_change;
        }
        let mut seen = HashMap::new();
        // Where an account has been it leaves its trades behind, as they were then.
        let homes = self.homes();
        let is_home = |shard: &u16, account: &String| homes.get(account).is_none_or(|home| home == shard);
        let all = self.shards.iter().flat_map(|(shard, books)| books.trades.iter().map(move |row| (shard, row)));
        let current: Vec<_> = all.filter(|(shard, row)| is_home(shard, &row.1)).map(|(_, row)| row).collect();
        for row in current {
            let (id, account, status, filled, fee, cash_change, ..) = row;
            if seen.insert(id, ()).is_some() {
                self.doubled(|| format!("trade {id}"));
            }
            let expected = self.expected.orders.get(id);
            let is_same = expected.is_some_and(|order| {
                (&order.account, order.status(), order.filled, order.fee) == (account, *status, *filled, *fee)
            });
            if !is_same || cash_changes.get(id).copied().unwrap_or_default() != *cash_change {
                self.problem("trade", || format!("{row:?}, reported was {expected:?}"));
            }
        }
        for (id, order) in self.expected.orders.iter().filter(|(id, _)| !seen.contains_key(id)) {
            self.lost(|| format!("trade {id}: {order:?}"));
        }
    }

    /// Which shard keeps which account.
    fn homes(&self) -> HashMap<&'a String, u16> {
        let shards: &'a BTreeMap<u16, Books> = self.shards;
        shards.iter().flat_map(|(shard, books)| books.wallets.iter().map(|row| (&row.0, *shard))).collect()
    }

    fn payouts(&mut self) {
        let mut paid: BTreeMap<(String, String), i64> = BTreeMap::new();
        for row in self.all(|books| &books.payouts) {
            let (booking, account, instrument, quantity, cash_change, _) = row;
            *paid.entry((account.clone(), instrument.clone())).or_default() += quantity;
            let is_asked_for =
                self.expected.settled.get(instrument).is_some_and(|(_, bookings)| bookings.contains(booking));
            if !is_asked_for || self.expected.payout(instrument, *quantity) != Some(*cash_change) {
                self.problem("payout", || format!("{row:?}"));
            }
        }
        for (key, holding) in self.expected.holdings.iter().filter(|((_, on), _)| self.expected.is_settled(on)) {
            let paid = paid.get(key).copied().unwrap_or_default();
            if paid.abs() < holding.quantity.abs() {
                self.lost(|| format!("payout of {key:?}: {paid} of {}", holding.quantity));
            } else if paid != holding.quantity {
                self.doubled(|| format!("payout of {key:?}: {paid} of {}", holding.quantity));
            }
        }
    }

    fn accounts(&mut self) {
        let positions = self.all(|books| &books.positions);
        let mut entries: HashMap<(&str, &str), i64> = HashMap::new();
        let mut margins: HashMap<&str, i64> = HashMap::new();
        for (account, instrument, _, entry, margin, ..) in positions {
            entries.insert((account, instrument), *entry);
            *margins.entry(account).or_default() += margin;
        }
        let mut payouts: HashMap<&str, i64> = HashMap::new();
        for (_, account, ..) in self.all(|books| &books.payouts) {
            *payouts.entry(account).or_default() += 1;
        }
        let mut seen = BTreeSet::new();
        for row in self.all(|books| &books.wallets) {
            let (account, _, cash, margin, version, is_frozen) = row;
            seen.insert(account);
            let entry_of = |instrument: &str| entries.get(&(account.as_str(), instrument)).copied().unwrap_or_default();
            let wealth = self.expected.wealth(account, entry_of);
            if cash + margin != wealth || *cash < 0 || *margin < 0 {
                self.unbalanced(|| format!("wallet {row:?} should hold {wealth}"));
            }
            if margins.get(account.as_str()).copied().unwrap_or_default() != *margin {
                self.unbalanced(|| format!("wallet {row:?} holds another margin than its positions"));
            }
            let postings = self.expected.accounts.get(account).map_or(0, |(_, postings)| *postings);
            // After its deposit it has bought too much.
            let must_be_frozen = is_broke(account) && postings > 1;
            let postings = postings + payouts.get(account.as_str()).copied().unwrap_or_default();
            if *version != postings || *is_frozen != i64::from(must_be_frozen) {
                self.problem("wallet", || format!("{row:?} after {postings} postings"));
            }
        }
        for account in self.expected.accounts.keys().filter(|account| !seen.contains(account)) {
            self.lost(|| format!("wallet of {account}"));
        }
    }

    fn positions(&mut self) {
        for row in self.all(|books| &books.positions) {
            let (account, instrument, quantity, entry, margin, realized, fees) = row;
            let Some(holding) = self.expected.holdings.get(&(account.clone(), instrument.clone())) else {
                self.problem("invented", || format!("position {row:?}"));
                continue;
            };
            let is_over = self.expected.is_settled(instrument);
            let held = if is_over { 0 } else { holding.quantity };
            // What is closed has brought in what was not put into what is open.
            let paid = self.expected.payout_value(instrument, holding.quantity);
            let earned = holding.sold - holding.bought + paid + entry * held.signum();
            let is_flat = held == 0 && (*entry, *margin) != (0, 0);
            // Every fill rounds the margin up, and what is released down.
            let must_hold = if holding.is_margined() { entry * MARGIN_PPM / 1_000_000 } else { 0 };
            let is_margin = (margin - must_hold).abs() <= 2 * holding.fills;
            if *quantity != held || *fees != holding.fees || *realized != earned || is_flat || !is_margin {
                self.unbalanced(|| format!("position {row:?} of {holding:?}, should have earned {earned}"));
            }
        }
    }

    fn sums(&mut self) {
        let mut balances: BTreeMap<&str, i64> = BTreeMap::new();
        for (account, balance) in self.all(|books| &books.balances) {
            *balances.entry(account).or_default() += balance;
        }
        let total: i64 = balances.values().sum();
        if total != 0 {
            self.unbalanced(|| format!("all accounts together hold {total}"));
        }
        for (between, balance) in
            balances.iter().filter(|(name, balance)| name.starts_with("between/") && **balance != 0)
        {
            self.unbalanced(|| format!("{between} holds {balance}: money is on its way for ever"));
        }
        for (account, currency, cash, margin, ..) in self.all(|books| &books.wallets) {
            for (kind, amount) in [("wallet", cash), ("margin", margin)] {
                let moved = balances.get(format!("{kind}/{account}/{currency}").as_str()).copied().unwrap_or_default();
                if moved != *amount {
                    self.unbalanced(|| format!("the transfers make {kind} of {account} {moved}, it is {amount}"));
                }
            }
        }
        let fees: i64 = self.expected.orders.values().map(|order| order.fee).sum();
        let of_kind = |kinds: &[v1::CashKind]| -> i64 {
            let is_kind = |kind: i64| kinds.iter().any(|known| i64::from(i32::from(*known)) == kind);
            self.expected
                .movements
                .values()
                .filter(|movement| is_kind(movement.kind))
                .map(|movement| movement.amount)
                .sum()
        };
        let outside = -of_kind(&[v1::CashKind::Deposit, v1::CashKind::Withdrawal, v1::CashKind::Correction]);
        let house = -of_kind(&[v1::CashKind::Adjustment]);
        for (name, expected) in [("fees/USD", fees), ("external/deposits/USD", outside), ("house/USD", house)] {
            let balance = balances.get(name).copied().unwrap_or_default();
            if balance != expected {
                self.unbalanced(|| format!("{name} holds {balance}, should hold {expected}"));
            }
        }
    }

    fn sequences(&mut self) {
        for (shard, books) in self.shards {
            let (_, posting, transfer, trade, fact, batch) = books.shard;
            let count = |rows: usize| i64::try_from(rows).expect("fits");
            let (transfers, last_transfer, batches, last_batch, moved) = books.counts;
            let postings = count(books.executions.len() + books.cash.len() + books.payouts.len()) + moved;
            let found = (postings, transfers, last_transfer, count(books.trades.len()), batches, last_batch);
            if found != (posting, transfer, transfer, trade, batch, batch) {
                self.problem("gap", || format!("shard {shard} is {:?}, its rows are {found:?}", books.shard));
            }
            let told = |sequence: &i64| *sequence > 0;
            let rows = books.trades.iter().map(|row| row.7).chain(books.cash.iter().map(|row| row.7));
            let rows = rows.chain(books.payouts.iter().map(|row| row.5)).filter(told).count();
            let facts = facts_of(books);
            if facts.len() != rows || facts.keys().last().copied().unwrap_or_default() > fact {
                self.problem("gap", || format!("shard {shard} has {} facts for {rows} rows of {fact}", facts.len()));
            }
        }
    }

    fn answers(&mut self) {
        let cash = self.all(|books| &books.cash);
        let rows: HashMap<&String, (i64, i64)> = cash.iter().map(|row| (&row.0, (row.5, row.6))).collect();
        for (id, answer) in &self.expected.answers {
            let row = rows.get(id);
            if row != Some(answer) {
                self.problem("answer", || format!("deposit {id} was answered {answer:?}, in the books is {row:?}"));
            }
        }
    }

    /// What was told is in the books, with the same words.
    fn facts(&mut self) {
        let rows: BTreeMap<u16, BTreeMap<i64, Fact>> =
            self.shards.iter().map(|(shard, books)| (*shard, facts_of(books))).collect();
        let mut trades: HashMap<(u16, &str), i64> = HashMap::new();
        for (shard, books) in self.shards {
            trades.extend(books.trades.iter().map(|row| ((*shard, row.0.as_str()), row.7)));
        }
        for ((shard, sequence), told) in &self.expected.told {
            let row = rows.get(shard).and_then(|facts| facts.get(sequence));
            let is_true = match (told, row) {
                (_, Some(fact)) => fact.says(told),
                // The trade went on since: a later fact is about it.
                (Told::Trade { trade_id, .. }, None) => {
                    trades.get(&(*shard, trade_id.as_str())).is_some_and(|newest| newest > sequence)
                }
                (Told::Cash { .. } | Told::Settled { .. }, None) => false,
            };
            if !is_true {
                self.problem("untrue", || format!("fact {shard}/{sequence} told {told:?}, in the books is {row:?}"));
            }
        }
    }

    /// Somebody who reads from the beginning and passes over what is not newer misses nothing.
    fn late_reader(&mut self, messages: &[Message]) {
        let mut read: BTreeMap<u16, (i64, BTreeSet<i64>)> = BTreeMap::new();
        let mut present: BTreeSet<(u16, i64)> = BTreeSet::new();
        for message in messages {
            let (last, taken) = read.entry(message.shard).or_default();
            for (sequence, ..) in &message.facts {
                present.insert((message.shard, *sequence));
                if *sequence > *last {
                    *last = *sequence;
                    taken.insert(*sequence);
                }
            }
        }
        for (shard, books) in self.shards {
            let taken = read.get(shard).map(|(_, taken)| taken.clone()).unwrap_or_default();
            for sequence in facts_of(books).into_keys().filter(|sequence| !taken.contains(sequence)) {
                if present.contains(&(*shard, sequence)) {
                    self.problem("told late", || format!("fact {shard}/{sequence} comes after newer ones"));
                } else {
                    self.problem("never told", || format!("fact {shard}/{sequence} is not on the bus"));
                }
            }
        }
    }
}

/// What a row makes the ledger tell.
#[derive(Debug, Clone, Copy)]
enum Fact<'a> {
    Trade(&'a crate::books::Trade),
    Cash(&'a crate::books::Cash),
    Payout(&'a crate::books::Payout),
}

impl Fact<'_> {
    fn says(self, told: &Told) -> bool {
        match (self, told) {
            (Self::Trade(row), Told::Trade { trade_id, status, filled, fee, cash_change, version }) => {
                (&row.0, row.2, row.3, row.4, row.5, row.6)
                    == (trade_id, i64::from(*status), *filled, *fee, *cash_change, *version)
            }
            (Self::Cash(row), Told::Cash { trade_id, kind, amount, is_denied, cash_after, version_after }) => {
                (&row.0, row.2, row.3, row.4, row.5, row.6)
                    == (trade_id, i64::from(*kind), *amount, i64::from(*is_denied), *cash_after, *version_after)
            }
            (Self::Payout(row), Told::Settled { booking_id, account, instrument, quantity, cash_change }) => {
                (&row.0, &row.1, &row.2, row.3, row.4) == (booking_id, account, instrument, *quantity, *cash_change)
            }
            (Self::Trade(_) | Self::Cash(_) | Self::Payout(_), _) => false,
        }
    }
}

/// By sequence.
fn facts_of(books: &Books) -> BTreeMap<i64, Fact<'_>> {
    let trades = books.trades.iter().map(|row| (row.7, Fact::Trade(row)));
    let cash = books.cash.iter().map(|row| (row.7, Fact::Cash(row)));
    let payouts = books.payouts.iter().map(|row| (row.5, Fact::Payout(row)));
    trades.chain(cash).chain(payouts).filter(|(sequence, _)| *sequence > 0).collect()
}
