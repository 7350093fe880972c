//! Breakers in the gate's memory: which have tripped, which were reset with an
//! override, and what the house has lost when it was last measured.

use super::{
    Basis, BasisChange, BreakerKind, ClosedTrade, DenialReason as Reason, Denied, Latch, ResetRefused, Rules, Scope,
    ScopeState, TradingState, Watch, breaker::trip_after,
};
use crate::{
    id::{AccountId, AgentId, CommandId, Currency, InstrumentId, PoolId},
    money::Money,
    portfolio::BaselineFigures,
    time::Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// Everything about breakers that a restart must not forget, and the newest measurement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breakers {
    latches: BTreeMap<(BreakerKind, Scope), Latch>,
    /// The value at a reset with an override.
    acknowledged: BTreeMap<(BreakerKind, Scope), i64>,
    baselines: BTreeMap<Scope, KeptBaseline>,
    /// The account and pool of every configured agent that has ordered.
    seats: BTreeMap<AgentId, Seat>,
    measured: Option<Measured>,
    companies: Vec<Companions>,
}

/// Agents of the house that move together, two or more: their capital counts as one.
pub type Companions = BTreeSet<AgentId>;

/// What losses of a scope are measured from, as it is journaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBaseline {
    /// Of what; the house is [`Scope::Global`].
    pub scope: Scope,
    /// The figures.
    pub figures: BaselineFigures,
    /// All that was ever paid in less what was paid out, as far as it is in the figures.
    pub payments: Money,
    /// Whose equity it is of; `None` for one that was kept before that was written down.
    pub basis: Option<Basis>,
    /// Why it was begun anew here; `None` where it was not.
    pub begun_because: Option<BasisChange>,
}

/// Where a configured agent sits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Whose money it uses.
    pub account: AccountId,
    /// Its pool.
    pub pool: Option<PoolId>,
}

/// Losses of the house, parts per million. Not journaled: it is measured again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Of the equity at the start of the day.
    pub day_loss_ppm: i64,
    /// Of the equity at the start of the month.
    pub month_loss_ppm: i64,
    /// Of the peak.
    pub drawdown_ppm: i64,
    /// When.
    pub measured_at: Timestamp,
}

/// Everything that was ever paid into a wallet less what was paid out, as far as
/// the gate has seen it. Journaled for those whose losses are measured: what a
/// guard has not seen since it started it does not know from the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPayments {
    /// Whose.
    pub account: AccountId,
    /// Of which currency.
    pub currency: Currency,
    /// The sum, signed.
    pub total: Money,
    /// The ledger's version of the newest payment in it.
    pub version: i64,
}

/// What changes [`Breakers`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BreakerRecord {
    /// A breaker tripped, or a pause goes on.
    Tripped(Latch),
    /// A pause is over, or a breaker that was reset with an override is as before.
    Ended {
        /// Which.
        kind: BreakerKind,
        /// Of what.
        scope: Scope,
    },
    /// A breaker is to be reset although its value is not low.
    Acknowledged(Acknowledged),
    /// What losses of a scope are measured from.
    BaselineKept(KeptBaseline),
    /// What was paid into a wallet.
    PaymentsKept(KeptPayments),
    /// An agent has closed a trade: it counts for its losses in a row from here on.
    TradeClosed(ClosedTrade),
    /// Which agents move together from now on; all of them.
    CompaniesFound(Vec<Companions>),
    /// The house was measured. Not journaled.
    Measured(Measured),
}

/// A breaker whose reset people have overridden, with its value then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Which.
    pub kind: BreakerKind,
    /// Of what.
    pub scope: Scope,
    /// Its value at the reset.
    pub value: i64,
}

impl Breakers {
    /// Every tripped breaker, hardest first.
    pub fn latches(&self) -> impl Iterator<Item = &Latch> {
        self.latches.values()
    }

    /// A tripped breaker.
    #[must_use]
    pub fn latch(&self, kind: BreakerKind, scope: &Scope) -> Option<&Latch> {
        if self.latches.is_empty() { None } else { self.latches.get(&(kind, scope.clone())) }
    }

    /// The value at which its reset was overridden.
    pub(super) fn acknowledged(&self, kind: BreakerKind, scope: &Scope) -> Option<i64> {
        if self.acknowledged.is_empty() { None } else { self.acknowledged.get(&(kind, scope.clone())).copied() }
    }

    /// What losses of a scope were last measured from.
    #[must_use]
    pub fn baseline(&self, scope: &Scope) -> Option<&KeptBaseline> {
        self.baselines.get(scope)
    }

    /// Every configured agent that has ordered.
    pub fn seats(&self) -> impl Iterator<Item = (&AgentId, &Seat)> {
        self.seats.iter()
    }

    /// The newest measurement of the house.
    #[must_use]
    pub const fn measured(&self) -> Option<&Measured> {
        self.measured.as_ref()
    }

    /// Agents that move together, as they were found last; no agent is in two of them.
    #[must_use]
    pub fn companies(&self) -> &[Companions] {
        &self.companies
    }

    /// The agents that `agent` moves with, itself among them; `None` when it moves alone.
    pub(super) fn company_of(&self, agent: &AgentId) -> Option<&Companions> {
        self.companies.iter().find(|company| company.contains(agent))
    }

    /// The denial of whatever opens something in `instrument` while a pause lasts.
    pub(super) fn pause_of(&self, instrument: &InstrumentId) -> Option<Denied> {
        if self.latches.is_empty() {
            return None;
        }
        let venue = self.latch(BreakerKind::VenueFailures, &Scope::Global).map(|latch| (Reason::VenuePaused, latch));
        let price = || {
            let scope = Scope::Instrument(instrument.clone());
            self.latch(BreakerKind::PriceJump, &scope).map(|latch| (Reason::PricePaused, latch))
        };
        let (reason, latch) = venue.or_else(price)?;
        Some(Denied::new(reason, latch.threshold, latch.value))
    }

    /// Where a breaker of the house trips now; `None` when it is off.
    pub(super) fn trips_at(&self, rules: &Rules, kind: BreakerKind) -> Option<i64> {
        let threshold = rules.all(kind.limit())?;
        Some(self.acknowledged(kind, &Scope::Global).map_or(threshold, |value| trip_after(value, threshold)))
    }

    /// Whether every breaker that holds `scope` tighter than `target` may be reset;
    /// those that are not low need an override and are acknowledged by it.
    ///
    /// # Errors
    /// [`ResetRefused`] of the hardest that may not.
    pub fn check_resume(
        &self,
        (scope, target): (&Scope, TradingState),
        watch: &Watch,
        override_text: &str,
        now: Timestamp,
    ) -> Result<Vec<Acknowledged>, ResetRefused> {
        let mut acknowledged = Vec::new();
        for latch in self.latches.values().filter(|latch| holds(latch, scope, target)) {
            let value = watch.value(latch.kind, scope);
            latch.check_reset(value, override_text, now)?;
            if latch.check_reset(value, "", now).is_err() {
                let value = value.unwrap_or(latch.value);
                acknowledged.push(Acknowledged { kind: latch.kind, scope: scope.clone(), value });
            }
        }
        Ok(acknowledged)
    }

    /// What a restart must not forget, as records. Payments are the accounts' own.
    pub(super) fn records(&self) -> impl Iterator<Item = BreakerRecord> {
        let latches = self.latches.values().cloned().map(BreakerRecord::Tripped);
        let acknowledged = self.acknowledged.iter().map(|((kind, scope), value)| {
            BreakerRecord::Acknowledged(Acknowledged { kind: *kind, scope: scope.clone(), value: *value })
        });
        let companies = Some(self.companies.clone()).filter(|companies| !companies.is_empty());
        let baselines = self.baselines.values().cloned().map(BreakerRecord::BaselineKept);
        latches.chain(acknowledged).chain(baselines).chain(companies.map(BreakerRecord::CompaniesFound))
    }

    pub(super) fn apply(&mut self, record: BreakerRecord) {
        match record {
            BreakerRecord::Tripped(latch) => {
                let key = (latch.kind, latch.scope.clone());
                self.acknowledged.remove(&key);
                self.latches.insert(key, latch);
            }
            BreakerRecord::Ended { kind, scope } => {
                let key = (kind, scope);
                self.latches.remove(&key);
                self.acknowledged.remove(&key);
            }
            BreakerRecord::Acknowledged(reset) => {
                self.acknowledged.insert((reset.kind, reset.scope), reset.value);
            }
            BreakerRecord::BaselineKept(baseline) => {
                self.baselines.insert(baseline.scope.clone(), baseline);
            }
            // Kept elsewhere: with the account's wallet and in `streaks.rs`.
            BreakerRecord::PaymentsKept(_) | BreakerRecord::TradeClosed(_) => {}
            BreakerRecord::CompaniesFound(companies) => self.companies = companies,
            BreakerRecord::Measured(measured) => self.measured = Some(measured),
        }
    }

    /// A reduction is ordered: the breaker that wants it has been obeyed, and is not again,
    /// however long ago the reduction ended.
    pub(super) fn note_reduction(&mut self, reduction: &CommandId) {
        let of = |latch: &&mut Latch| latch.reduction_id().is_some_and(|id| id == *reduction);
        for latch in self.latches.values_mut().filter(of) {
            latch.is_reduction_ordered = true;
        }
    }

    /// A scope that is loosened takes its breakers with it.
    pub(super) fn note(&mut self, change: &ScopeState, before: TradingState) {
        if change.state < before {
            self.latches.retain(|_, latch| !holds(latch, &change.scope, change.state));
        }
    }

    pub(super) fn seat(&mut self, agent: &AgentId, account: &AccountId, pool: Option<&PoolId>) {
        let is_known = |seat: &Seat| seat.account == *account && seat.pool.as_ref() == pool;
        if !self.seats.get(agent).is_some_and(is_known) {
            self.seats.insert(agent.clone(), Seat { account: account.clone(), pool: pool.cloned() });
        }
    }
}

/// Whether a breaker that people reset keeps `scope` tighter than `target`.
fn holds(latch: &Latch, scope: &Scope, target: TradingState) -> bool {
    latch.until.is_none() && latch.scope == *scope && latch.kind.effect().state().is_some_and(|state| state > target)
}
