//! What the answers promised, kept for the audit.

use crate::{answered::Meant, sample::Sample};
use std::collections::{BTreeMap, HashMap, hash_map::Entry};
use tragen_contracts::v1;
use uuid::Uuid;

/// Operations without a final answer that are remembered; beyond this there is no audit.
const UNANSWERED_MAX: usize = 200_000;
/// Broken promises that are told in full.
const FINDINGS_MAX: usize = 20;

/// One answer to compare with what the server says later.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) account: usize,
    pub(crate) trade: v1::Trade,
}

/// The promises to one account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promised {
    /// Sum of the answers' effects on cash, 1e-6 of the currency.
    pub(crate) cash_change_micros: i128,
    /// The newest version any answer had.
    pub(crate) version: i64,
    /// Operations that got no final answer, and what they were meant for: they may or may not have happened, and an
    /// order that should rest may rest.
    pub(crate) unanswered: HashMap<Uuid, Meant>,
}

/// The promises of a run.
#[derive(Debug)]
pub(crate) struct Book {
    /// By the number of the account.
    pub(crate) accounts: BTreeMap<usize, Promised>,
    pub(crate) sample: Sample<Kept>,
    pub(crate) findings: Findings,
    unanswered: usize,
    is_incomplete: bool,
}

impl Book {
    pub(crate) fn new(sample_max: usize) -> Self {
        Self {
            accounts: BTreeMap::new(),
            sample: Sample::new(sample_max),
            findings: Findings::default(),
            unanswered: 0,
            is_incomplete: false,
        }
    }

    /// Keeps the answer `trade` to the request `request_id` of `account`, called `name`.
    pub(crate) fn answered(
        &mut self,
        (account, name): (usize, &str),
        (request_id, meant): (Uuid, Meant),
        trade: v1::Trade,
    ) {
        if trade.request_id != request_id.to_string() || trade.account_id != name {
            self.findings.add(format!("request {request_id} of {name} was answered with another trade: {trade:?}"));
        }
        if !is_final(&trade) {
            return self.unanswered(account, request_id, meant);
        }
        let promised = self.accounts.entry(account).or_default();
        if promised.unanswered.remove(&request_id).is_some() {
            // A resting order that has ended, or a repeat after a lost answer.
            self.unanswered -= 1;
        }
        promised.cash_change_micros += i128::from(trade.cash_change_micros);
        promised.version = promised.version.max(trade.account_version);
        self.sample.add(Kept { account, trade });
    }

    /// Keeps in mind that `account` does not know what became of `request_id`.
    pub(crate) fn unanswered(&mut self, account: usize, request_id: Uuid, meant: Meant) {
        if self.unanswered < UNANSWERED_MAX {
            if let Entry::Vacant(new) = self.accounts.entry(account).or_default().unanswered.entry(request_id) {
                new.insert(meant);
                self.unanswered += 1;
            }
        } else {
            self.is_incomplete = true;
        }
    }

    /// Whether more answers are missing than could be remembered.
    pub(crate) const fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }
}

/// Broken promises: the first ones in words, all of them counted.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) told: Vec<String>,
    pub(crate) count: usize,
}

impl Findings {
    pub(crate) fn add(&mut self, finding: String) {
        self.count += 1;
        if self.told.len() < FINDINGS_MAX {
            self.told.push(finding);
        }
    }
}

/// Whether nothing can follow.
pub(crate) fn is_final(trade: &v1::Trade) -> bool {
    match trade.status() {
        v1::TradeStatus::Unspecified | v1::TradeStatus::Pending | v1::TradeStatus::Working => false,
        v1::TradeStatus::Filled
        | v1::TradeStatus::PartiallyFilled
        | v1::TradeStatus::Rejected
        | v1::TradeStatus::Denied
        | v1::TradeStatus::Expired
        | v1::TradeStatus::Canceled
        | v1::TradeStatus::NoTrade => true,
    }
}
