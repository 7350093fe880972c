//! Trading states by scope: the most severe one of all scopes of an order wins.

use super::{Order, Proposed, State};
use crate::{
    id::{AccountId, AgentId, InstrumentId, PoolId},
    time::Timestamp,
};
use std::fmt;

/// What may be done, from mild to severe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TradingState {
    /// Orders may increase positions.
    Active,
    /// Only orders that shrink a position.
    Reducing,
    /// No orders; cancels only, and the operator's flatten lane.
    Halted,
}

impl TradingState {
    /// As written on the wire, without the enum's prefix.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Reducing => "REDUCING",
            Self::Halted => "HALTED",
        }
    }

    /// One level milder; `None` for the mildest.
    #[must_use]
    pub const fn milder(self) -> Option<Self> {
        match self {
            Self::Active => None,
            Self::Reducing => Some(Self::Active),
            Self::Halted => Some(Self::Reducing),
        }
    }
}

/// What a state applies to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everything.
    Global,
    /// A pool or strategy.
    Pool(PoolId),
    /// One configured agent.
    Agent(AgentId),
    /// One instrument.
    Instrument(InstrumentId),
    /// One account.
    Account(AccountId),
}

impl Scope {
    /// Which one of its kind; empty for everything.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Global => "",
            Self::Pool(id) => id.as_str(),
            Self::Agent(id) => id.as_str(),
            Self::Instrument(id) => id.as_str(),
            Self::Account(id) => id.as_str(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Pool(id) => write!(f, "pool:{id}"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Instrument(id) => write!(f, "instrument:{id}"),
            Self::Account(id) => write!(f, "account:{id}"),
        }
    }
}

/// The state of one scope, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeState {
    /// The scope.
    pub scope: Scope,
    /// Its state.
    pub state: TradingState,
    /// Grows by one with every change of any scope.
    pub epoch: i64,
    /// Who changed it.
    pub changed_by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub changed_at: Timestamp,
    /// It is not loosened before this.
    pub resume_from: Timestamp,
}

/// Longest reason kept, characters: every state travels to every worker.
pub(super) const REASON_CHARS_MAX: usize = 200;

/// The beginning of a reason: a halt is never refused for its form.
pub(super) fn short(reason: &str) -> String {
    reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect()
}

/// Empty is recorded as UNSPECIFIED.
pub(super) fn reason_or_unspecified(reason: &str) -> String {
    if reason.is_empty() { "UNSPECIFIED".to_owned() } else { short(reason) }
}

/// The change that puts `scope` into `state` now; to be journaled, then applied.
/// A scope that is stricter already stays as strict as it is.
#[must_use]
pub fn tighten(
    state: &State,
    scope: Scope,
    to: TradingState,
    changed_by: &str,
    reason: &str,
    now: Timestamp,
) -> ScopeState {
    let to = to.max(state.state_of(&scope));
    // A shorter cooldown never ends an earlier one.
    let before = state.scope(&scope).map_or(now, |entry| entry.resume_from);
    let resume_from = before.max(now.plus_millis(state.limits().resume_cooldown_ms));
    ScopeState {
        scope,
        state: to,
        epoch: state.epoch() + 1,
        changed_by: changed_by.to_owned(),
        reason: reason_or_unspecified(reason),
        changed_at: now,
        resume_from,
    }
}

impl Proposed {
    pub(super) fn scopes(&self) -> impl Iterator<Item = Scope> {
        scopes(&self.account, &self.terms.instrument, self.agent.as_ref(), self.pool.as_ref())
    }

    /// The most severe state of every scope it belongs to.
    #[must_use]
    pub fn effective_state(&self, state: &State) -> TradingState {
        strictest(state, self.scopes())
    }
}

impl Order {
    /// The most severe state of every scope it belongs to.
    #[must_use]
    pub fn effective_state(&self, state: &State) -> TradingState {
        strictest(state, scopes(&self.account, &self.terms.instrument, self.agent.as_ref(), self.pool.as_ref()))
    }

    /// Whether the order belongs to `scope`.
    #[must_use]
    pub fn is_in(&self, scope: &Scope) -> bool {
        let (agent, pool) = (self.agent.as_ref(), self.pool.as_ref());
        scopes(&self.account, &self.terms.instrument, agent, pool).any(|own| own == *scope)
    }
}

fn strictest(state: &State, scopes: impl Iterator<Item = Scope>) -> TradingState {
    scopes.map(|scope| state.state_of(&scope)).max().unwrap_or(TradingState::Halted)
}

fn scopes(
    account: &AccountId,
    instrument: &InstrumentId,
    agent: Option<&AgentId>,
    pool: Option<&PoolId>,
) -> impl Iterator<Item = Scope> {
    let always = [Scope::Global, Scope::Instrument(instrument.clone()), Scope::Account(account.clone())];
    always.into_iter().chain(agent.cloned().map(Scope::Agent)).chain(pool.cloned().map(Scope::Pool))
}
