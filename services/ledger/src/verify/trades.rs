//! Trades against their executions, row by row as both come: a trade and its
//! fills lie close together, so few are kept while they wait for each other.
//! The order of either does not matter, only how much has to be kept.

use super::{
    Found, bad,
    books::{Name, Seeded},
    record::Trade,
    sequence::{Added, Sequence},
};
use std::collections::HashMap;
use tragen_contracts::{trade_id, v1};
use tragen_domain::{ledger::settled_status, money::Quantity, order::TradeStatus};
use uuid::Uuid;

/// What makes an execution part of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kin {
    pub(super) account: Name,
    pub(super) instrument: Name,
    pub(super) currency: Name,
    pub(super) side: i32,
}

/// What one fill adds to its trade.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) kin: Kin,
    pub(super) price: i64,
    pub(super) quantity: i64,
    pub(super) fee: i64,
    pub(super) cash_change: i64,
    /// The wallet's version with it; 0 if another shard posted it.
    pub(super) version: i64,
    pub(super) posted_at: i64,
}

/// All fills of a trade so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Totals {
    /// `None` once two fills disagree.
    kin: Option<Kin>,
    quantity: i64,
    fee: i64,
    cash_change: i64,
    /// Price x quantity, 1e-12.
    notional: i128,
    version: i64,
    posted_at: i64,
}

/// What a trade says of its fills.
#[derive(Debug, Clone, Copy)]
struct Claim {
    sequence: i64,
    kin: Kin,
    quantity: i64,
    average_price: i64,
    fee: i64,
    cash_change: i64,
    version: i64,
    updated_at: i64,
}

/// A trade whose row and fills do not agree yet.
#[derive(Debug, Default)]
struct Waiting {
    totals: Option<Totals>,
    claim: Option<Claim>,
}

/// The trades of a shard.
#[derive(Debug)]
pub(super) struct Trades {
    waiting: HashMap<Uuid, Waiting, Seeded>,
    sequences: Sequence,
    /// Rows read.
    pub(super) counted: u64,
    /// The first row that is wrong by itself.
    first_bad: Option<(i64, Uuid, String)>,
    /// Versions that are ahead of the books so far: trade, account, currency, version.
    ahead: Vec<(Uuid, Name, Name, i64)>,
    /// The newest change of a trade.
    pub(super) updated_at: i64,
}

impl Trades {
    /// Those numbered from after `before` up to `last` must all be there.
    pub(super) fn new(before: i64, last: i64) -> Self {
        Self {
            waiting: HashMap::default(),
            sequences: Sequence::new(before, last),
            counted: 0,
            first_bad: None,
            ahead: Vec::new(),
            updated_at: 0,
        }
    }

    /// A fill of `trade_id`.
    pub(super) fn fill(&mut self, trade_id: Uuid, part: &Part) {
        let waiting = self.waiting.entry(trade_id).or_default();
        let before = waiting.totals.unwrap_or(Totals {
            kin: Some(part.kin),
            quantity: 0,
            fee: 0,
            cash_change: 0,
            notional: 0,
            version: 0,
            posted_at: 0,
        });
        // What does not fit is no sum that a trade could have either.
        let totals = Totals {
            kin: before.kin.filter(|kin| *kin == part.kin),
            quantity: before.quantity.saturating_add(part.quantity),
            fee: before.fee.saturating_add(part.fee),
            cash_change: before.cash_change.saturating_add(part.cash_change),
            notional: before.notional.saturating_add(i128::from(part.price) * i128::from(part.quantity)),
            version: before.version.max(part.version),
            posted_at: before.posted_at.max(part.posted_at),
        };
        waiting.totals = Some(totals);
        if waiting.claim.is_some_and(|claim| difference(&claim, &totals).is_none()) {
            self.waiting.remove(&trade_id);
        }
    }

    /// The row of a trade. `kin` are its names, `None` if one of them was never seen; `version` is the
    /// wallet's so far.
    pub(super) fn row(&mut self, row: &Trade<'_>, kin: Option<Kin>, version: i64) {
        self.row_of_elsewhere(row);
        self.claim(row, kin, version);
    }

    /// The row of a trade whose account is kept by another shard: only its number counts.
    pub(super) fn row_of_elsewhere(&mut self, row: &Trade<'_>) {
        self.counted += 1;
        self.updated_at = self.updated_at.max(row.updated_at);
        if self.sequences.add(row.sequence) == Added::Twice {
            self.note(row.sequence, row.trade_id, format!("its sequence {} is taken", row.sequence));
        } else if row.sequence < 1 || row.sequence > self.sequences.last() {
            self.note(row.sequence, row.trade_id, format!("there is no sequence {}", row.sequence));
        }
    }

    /// What a row says of its fills.
    fn claim(&mut self, row: &Trade<'_>, kin: Option<Kin>, version: i64) {
        if let Some(problem) = problem_of(row) {
            self.note(row.sequence, row.trade_id, problem);
            return;
        }
        if let (Some(kin), true) = (kin, row.account_version > version) {
            self.ahead.push((row.trade_id, kin.account, kin.currency, row.account_version));
        }
        if row.filled_quantity == 0 && row.fee == 0 && row.cash_change == 0 && row.average_price == 0 {
            return;
        }
        let Some(kin) = kin else {
            self.note(row.sequence, row.trade_id, "it is filled, but nothing was ever booked to it".to_owned());
            return;
        };
        let claim = Claim {
            sequence: row.sequence,
            kin,
            quantity: row.filled_quantity,
            average_price: row.average_price,
            fee: row.fee,
            cash_change: row.cash_change,
            version: row.account_version,
            updated_at: row.updated_at,
        };
        let waiting = self.waiting.entry(row.trade_id).or_default();
        if waiting.totals.is_some_and(|totals| difference(&claim, &totals).is_none()) {
            self.waiting.remove(&row.trade_id);
        } else {
            waiting.claim = Some(claim);
        }
    }

    /// Something is wrong with a row by itself.
    pub(super) fn note(&mut self, sequence: i64, trade_id: Uuid, problem: String) {
        if self.first_bad.as_ref().is_none_or(|(first, _, _)| sequence < *first) {
            self.first_bad = Some((sequence, trade_id, problem));
        }
    }

    /// Trades of which something waits for the rest.
    pub(super) fn waiting(&self) -> Vec<Uuid> {
        self.waiting.keys().copied().collect()
    }

    /// The same trade anew, with all of its fills: what was read of it before was not all.
    pub(super) fn again(&mut self, trade_id: Uuid, row: Option<(&Trade<'_>, Option<Kin>, i64)>, parts: &[Part]) {
        self.waiting.remove(&trade_id);
        if let Some((row, kin, version)) = row {
            self.claim(row, kin, version);
        }
        for part in parts {
            self.fill(trade_id, part);
        }
    }

    /// All rows and fills are in: the first trade that is not what its fills make it. `wallet_version`
    /// tells how far an account's wallet in a currency has come.
    pub(super) fn end(mut self, wallet_version: impl Fn(Name, Name) -> i64) -> Result<(), Found> {
        let open = std::mem::take(&mut self.waiting);
        let mut without_row = None;
        for (trade_id, waiting) in &open {
            match (waiting.claim, waiting.totals) {
                (Some(claim), Some(totals)) => {
                    let problem = difference(&claim, &totals).unwrap_or_default();
                    self.note(claim.sequence, *trade_id, problem);
                }
                (Some(claim), None) => {
                    self.note(claim.sequence, *trade_id, "it is filled, but has no executions".to_owned());
                }
                (None, totals) => {
                    let posted_at = totals.map_or(0, |totals| totals.posted_at);
                    let found = (posted_at, *trade_id);
                    without_row = Some(without_row.map_or(found, |first: (i64, Uuid)| first.min(found)));
                }
            }
        }
        if let Some((_, trade_id, problem)) = self.first_bad {
            return Err(bad("trade", trade_id, problem));
        }
        if let Some((_, trade_id)) = without_row {
            return Err(bad("trade", trade_id, "it has executions that it does not know, or is missing"));
        }
        if let Some(sequence) = self.sequences.first_missing() {
            return Err(bad("trade", format!("sequence {sequence}"), "the row is missing"));
        }
        for (trade_id, account, currency, version) in self.ahead {
            if version > wallet_version(account, currency) {
                return Err(bad("trade", trade_id, format!("the account has never had version {version}")));
            }
        }
        Ok(())
    }
}

/// What is wrong with a row by itself.
fn problem_of(row: &Trade<'_>) -> Option<String> {
    if row.trade_id != trade_id(row.account_id, row.request_id) {
        return Some("its id is not that of its account and request".to_owned());
    }
    let status = v1::TradeStatus::try_from(row.status).ok().and_then(|status| TradeStatus::try_from(status).ok());
    let Some(status) = status else { return Some(format!("{} is no status", row.status)) };
    let (filled, ordered) = (Quantity::from_micros(row.filled_quantity), Quantity::from_micros(row.quantity));
    let settled = settled_status(Some(status), status, filled, ordered);
    if settled != status {
        return Some(format!("it is {status:?}, should be {settled:?} with {filled} of {ordered} filled"));
    }
    let has_order = !row.order_id.is_empty();
    if has_order == row.instrument_id.is_empty() || has_order != (row.side != 0) || has_order != (row.quantity != 0) {
        return Some("its order is described in part only".to_owned());
    }
    None
}

/// The first thing that a trade says otherwise than its fills.
fn difference(claim: &Claim, totals: &Totals) -> Option<String> {
    // Toward zero, like the domain's average of fills.
    let average = match totals.quantity {
        0 => Some(0),
        quantity => i64::try_from(totals.notional / i128::from(quantity)).ok(),
    };
    for (name, stored, expected) in [
        ("filled_quantity", claim.quantity, Some(totals.quantity)),
        ("fee", claim.fee, Some(totals.fee)),
        ("cash_change", claim.cash_change, Some(totals.cash_change)),
        ("average_price", claim.average_price, average),
    ] {
        if Some(stored) != expected {
            return Some(format!("{name} is {stored}, its executions make {expected:?}"));
        }
    }
    if totals.kin != Some(claim.kin) {
        return Some("its account, instrument, side or currency is not that of its executions".to_owned());
    }
    if claim.version < totals.version {
        return Some(format!("account_version is {}, its last execution made {}", claim.version, totals.version));
    }
    (claim.updated_at < totals.posted_at).then(|| "it has not changed since before its last execution".to_owned())
}
