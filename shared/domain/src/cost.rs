//! What running the agents costs: rates, work done, and the costs by agent.
//! Each cost is one exact fraction of the work; it is rounded once, up, to a
//! whole micro-dollar, so that no cost ever looks smaller than it is.

pub mod pool;

use crate::{
    id::{Id, Kind},
    money::{Money, Overflow, Rounding},
    order::TradeStatus,
};
use std::collections::BTreeMap;

const HOUR_MICROS: u128 = 3_600_000_000;
/// Providers bill decimal gigabytes.
const GB_BYTES: u128 = 1_000_000_000;
/// A month is 30.4375 days = 730.5 hours.
const HALF_HOURS_PER_MONTH: u128 = 1_461;

/// Marks the name of a shared agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SharedAgent {}

impl Kind for SharedAgent {
    const NAME: &'static str = "agent";
}

/// The name of a shared agent, e.g. `eplScoutAgent`.
pub type AgentName = Id<SharedAgent>;

/// What a unit of work costs, 1e-6 USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// One core for an hour.
    pub cpu_core_hour_micros: u64,
    /// 10^9 bytes of memory for an hour.
    pub memory_gb_hour_micros: u64,
    /// 10^9 bytes of storage for 30.4375 days.
    pub storage_gb_month_micros: u64,
    /// One API call.
    pub api_call_micros: u64,
}

impl Default for Rates {
    /// 0.05, 0.01, 0.10 and 0.001 USD.
    fn default() -> Self {
        Self {
            cpu_core_hour_micros: 50_000,
            memory_gb_hour_micros: 10_000,
            storage_gb_month_micros: 100_000,
            api_call_micros: 1_000,
        }
    }
}

/// Work done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time, core-microseconds.
    pub cpu_micros: u64,
    /// Memory held, bytes times microseconds.
    pub memory_byte_micros: u128,
    /// Storage held, bytes times microseconds.
    pub storage_byte_micros: u128,
    /// API calls served.
    pub api_calls: u64,
    /// Bus messages handled; they have no price of their own.
    pub messages: u64,
    /// What language models charged, 1e-6 USD.
    pub llm_cost_micros: u64,
}

impl Usage {
    /// Both together.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn plus(&self, other: &Self) -> Result<Self, Overflow> {
        let sum = |a: u64, b: u64| a.checked_add(b).ok_or(Overflow);
        let long_sum = |a: u128, b: u128| a.checked_add(b).ok_or(Overflow);
        Ok(Self {
            cpu_micros: sum(self.cpu_micros, other.cpu_micros)?,
            memory_byte_micros: long_sum(self.memory_byte_micros, other.memory_byte_micros)?,
            storage_byte_micros: long_sum(self.storage_byte_micros, other.storage_byte_micros)?,
            api_calls: sum(self.api_calls, other.api_calls)?,
            messages: sum(self.messages, other.messages)?,
            llm_cost_micros: sum(self.llm_cost_micros, other.llm_cost_micros)?,
        })
    }
}

impl Rates {
    /// What `usage` costs, rounded up to a whole micro-dollar.
    ///
    /// ```
    /// use tragen_domain::cost::{Rates, Usage};
    /// let usage = Usage { cpu_micros: 2 * 3_600_000_000, api_calls: 3, ..Usage::default() };
    /// assert_eq!(Rates::default().cost(&usage).unwrap().to_string(), "0.103");
    /// ```
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn cost(&self, usage: &Usage) -> Result<Money, Overflow> {
        let product = |factors: [u128; 3]| {
            factors.into_iter().try_fold(1_u128, |product, factor| product.checked_mul(factor)).ok_or(Overflow)
        };
        // Everything that is held for a time, over one denominator.
        let denominator = HOUR_MICROS * GB_BYTES * HALF_HOURS_PER_MONTH;
        let held = [
            product([usage.cpu_micros.into(), self.cpu_core_hour_micros.into(), GB_BYTES * HALF_HOURS_PER_MONTH])?,
            product([usage.memory_byte_micros, self.memory_gb_hour_micros.into(), HALF_HOURS_PER_MONTH])?,
            product([usage.storage_byte_micros, self.storage_gb_month_micros.into(), 2])?,
        ];
        let held = held.into_iter().try_fold(0_u128, u128::checked_add).ok_or(Overflow)?.div_ceil(denominator);
        let calls = product([usage.api_calls.into(), self.api_call_micros.into(), 1])?;
        let whole = held.checked_add(calls).and_then(|sum| sum.checked_add(usage.llm_cost_micros.into()));
        whole.and_then(|micros| i64::try_from(micros).ok()).map(Money::from_micros).ok_or(Overflow)
    }
}

/// What one trade costs on average, rounded up; `None` without trades.
#[must_use]
pub fn cost_per_trade(cost: Money, trades: u64) -> Option<Money> {
    let trades = i64::try_from(trades).ok().filter(|trades| *trades > 0)?;
    cost.scaled(1, trades, Rounding::Up).ok()
}

/// What one agent has done and what it costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AgentCost {
    /// The work.
    pub usage: Usage,
    /// Trades served, whatever came of them.
    pub trades: u64,
    /// The cost of the work.
    pub cost: Money,
}

/// Costs by agent since a start. The total is the sum of the agents to the last micro-dollar.
#[derive(Debug, Clone)]
pub struct Costs {
    rates: Rates,
    agents_max: usize,
    agents: BTreeMap<Option<AgentName>, AgentCost>,
    total: Money,
    filled_trades: u64,
}

/// What came of a trade, as far as costs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// It was filled, at least in part.
    Filled,
    /// It ended without a fill.
    Unfilled,
}

impl Served {
    /// What a trade that ended as `status` counts as.
    #[must_use]
    pub const fn of(status: TradeStatus) -> Self {
        match status {
            TradeStatus::Filled | TradeStatus::PartiallyFilled => Self::Filled,
            TradeStatus::Pending
            | TradeStatus::Working
            | TradeStatus::Rejected
            | TradeStatus::Denied
            | TradeStatus::Expired
            | TradeStatus::Canceled
            | TradeStatus::NoTrade => Self::Unfilled,
        }
    }
}

impl Costs {
    /// No costs yet; work of more than `agents_max` agents is put on the platform.
    #[must_use]
    pub const fn new(rates: Rates, agents_max: usize) -> Self {
        Self { rates, agents_max, agents: BTreeMap::new(), total: Money::ZERO, filled_trades: 0 }
    }

    /// Adds one report of work, row by row; `None` is the platform. All of it or nothing.
    ///
    /// # Errors
    /// [`Overflow`]; nothing has changed then.
    pub fn report(&mut self, rows: &[(Option<AgentName>, Usage)]) -> Result<(), Overflow> {
        let mut after = self.clone();
        for (agent, usage) in rows {
            let entry = after.entry(agent.as_ref());
            let usage = entry.usage.plus(usage)?;
            let cost = self.rates.cost(&usage)?;
            let added = cost.minus(entry.cost)?;
            (entry.usage, entry.cost) = (usage, cost);
            after.total = after.total.plus(added)?;
        }
        *self = after;
        Ok(())
    }

    /// Counts a finished trade for the agent that served it; `None` is the platform.
    pub fn serve(&mut self, agent: Option<&AgentName>, served: Served) {
        let entry = self.entry(agent);
        entry.trades = entry.trades.saturating_add(1);
        if served == Served::Filled {
            self.filled_trades = self.filled_trades.saturating_add(1);
        }
    }

    /// Every agent with its costs, sorted by name, the platform (`None`) first.
    pub fn agents(&self) -> impl Iterator<Item = (Option<&AgentName>, &AgentCost)> {
        self.agents.iter().map(|(agent, cost)| (agent.as_ref(), cost))
    }

    /// The sum of the agents' costs.
    #[must_use]
    pub const fn total(&self) -> Money {
        self.total
    }

    /// Trades that were filled, at least in part.
    #[must_use]
    pub const fn filled_trades(&self) -> u64 {
        self.filled_trades
    }

    /// The total per filled trade, rounded up; `None` without one.
    #[must_use]
    pub fn cost_per_trade(&self) -> Option<Money> {
        cost_per_trade(self.total, self.filled_trades)
    }

    /// The agent's entry; beyond the limit the platform's.
    fn entry(&mut self, agent: Option<&AgentName>) -> &mut AgentCost {
        let agent = agent.cloned();
        let is_taken = self.agents.contains_key(&agent) || self.agents.len() < self.agents_max;
        self.agents.entry(agent.filter(|_| is_taken)).or_default()
    }
}

#[cfg(test)]
mod tests;
