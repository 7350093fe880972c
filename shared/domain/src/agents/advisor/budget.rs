//! What may still be spent on language models today. The worst case of a call is reserved before it is made, so that
//! many calls at once cannot spend more than there is; what it really cost is settled after it.

use std::collections::BTreeMap;

use crate::money::Money;
use crate::time::Timestamp;

/// Most agents counted apart; further ones share one allowance.
const AGENTS_MAX: usize = 64;

/// What may be spent in a UTC day, USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// By everybody together.
    pub per_day: Money,
    /// By one agent.
    pub per_agent_day: Money,
}

/// What was spent and reserved. Both count against the allowance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Account {
    spent: i64,
    reserved: i64,
}

/// The budget of language models. It begins anew every UTC day; what is under way then stays reserved.
#[derive(Debug, Clone)]
pub struct LlmBudget {
    allowance: Allowance,
    day: i64,
    all: Account,
    agents: BTreeMap<String, Account>,
}

/// Money set aside for one call. It is settled or released, once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what is neither settled nor released stays reserved"]
pub struct Reservation {
    agent: String,
    micros: i64,
}

/// Not enough is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} USD are wanted and {left} are left of today's allowance for language models")]
pub struct BudgetExhausted {
    /// The worst case of the call.
    pub wanted: Money,
    /// What is left.
    pub left: Money,
}

impl LlmBudget {
    /// Nothing spent yet.
    #[must_use]
    pub const fn new(allowance: Allowance) -> Self {
        Self { allowance, day: i64::MIN, all: Account { spent: 0, reserved: 0 }, agents: BTreeMap::new() }
    }

    /// Sets `worst_case` aside for a call by `agent`.
    ///
    /// # Errors
    /// [`BudgetExhausted`] when that is more than what is left of either allowance.
    pub fn reserve(&mut self, agent: &str, worst_case: Money, now: Timestamp) -> Result<Reservation, BudgetExhausted> {
        self.begin_day(now);
        let agent = self.name(agent);
        let own = self.agents.get(&agent).copied().unwrap_or_default();
        let left = self.all.left(self.allowance.per_day).min(own.left(self.allowance.per_agent_day));
        let micros = worst_case.micros().max(0);
        if micros > left {
            return Err(BudgetExhausted { wanted: worst_case, left: Money::from_micros(left) });
        }
        self.all.reserved += micros;
        self.agents.entry(agent.clone()).or_default().reserved += micros;
        Ok(Reservation { agent, micros })
    }

    /// The call cost `cost`, which may be more than what was reserved: it counts all the same.
    pub fn settle(&mut self, reservation: Reservation, cost: Money, now: Timestamp) {
        self.begin_day(now);
        let spend = |account: &mut Account| {
            account.reserved = (account.reserved - reservation.micros).max(0);
            account.spent = account.spent.saturating_add(cost.micros().max(0));
        };
        spend(&mut self.all);
        spend(self.agents.entry(reservation.agent.clone()).or_default());
    }

    /// The call was not made, or surely cost nothing.
    pub fn release(&mut self, reservation: Reservation, now: Timestamp) {
        self.settle(reservation, Money::ZERO, now);
    }

    /// Spent since the beginning of the UTC day.
    #[must_use]
    pub const fn spent(&self) -> Money {
        Money::from_micros(self.all.spent)
    }

    /// Reserved by calls under way.
    #[must_use]
    pub const fn reserved(&self) -> Money {
        Money::from_micros(self.all.reserved)
    }

    fn begin_day(&mut self, now: Timestamp) {
        // A clock that is set back does not give yesterday's money again.
        if now.utc_day() > self.day {
            self.day = now.utc_day();
            self.all.spent = 0;
            self.agents.values_mut().for_each(|account| account.spent = 0);
            self.agents.retain(|_, account| account.reserved > 0);
        }
    }

    fn name(&self, agent: &str) -> String {
        let is_counted = self.agents.contains_key(agent) || self.agents.len() < AGENTS_MAX;
        if is_counted { agent.to_owned() } else { String::new() }
    }
}

impl Account {
    const fn left(self, allowance: Money) -> i64 {
        let left = allowance.micros().saturating_sub(self.spent).saturating_sub(self.reserved);
        if left < 0 { 0 } else { left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    fn budget(per_day: i64, per_agent_day: i64) -> LlmBudget {
        let allowance = [per_day, per_agent_day].map(Money::from_micros);
        LlmBudget::new(Allowance { per_day: allowance[0], per_agent_day: allowance[1] })
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn usd(micros: i64) -> Money {
        Money::from_micros(micros)
    }

    #[test]
    fn calls_at_once_cannot_spend_more_than_there_is() {
        let mut budget = budget(1_000, 1_000);
        let first = budget.reserve("a", usd(600), at(0)).expect("enough");
        let refused = BudgetExhausted { wanted: usd(401), left: usd(400) };
        assert_eq!(budget.reserve("b", usd(401), at(0)), Err(refused));
        let second = budget.reserve("b", usd(400), at(0)).expect("exactly what is left");
        budget.settle(first, usd(100), at(0));
        budget.release(second, at(0));
        assert_eq!((budget.spent(), budget.reserved()), (usd(100), usd(0)));
        assert!(budget.reserve("a", usd(900), at(0)).is_ok());
    }

    #[test]
    fn an_agent_has_an_allowance_of_its_own() {
        let mut budget = budget(1_000, 300);
        let call = budget.reserve("a", usd(300), at(0)).expect("its allowance");
        budget.settle(call, usd(300), at(0));
        let refused = BudgetExhausted { wanted: usd(1), left: usd(0) };
        assert_eq!(budget.reserve("a", usd(1), at(0)), Err(refused));
        assert!(budget.reserve("b", usd(300), at(0)).is_ok());
    }

    #[test]
    fn a_call_that_cost_more_than_expected_counts_in_full() {
        let mut budget = budget(1_000, 1_000);
        let call = budget.reserve("a", usd(10), at(0)).expect("enough");
        budget.settle(call, usd(2_000), at(0));
        assert_eq!(budget.spent(), usd(2_000));
        let refused = BudgetExhausted { wanted: usd(1), left: usd(0) };
        assert_eq!(budget.reserve("a", usd(1), at(0)), Err(refused));
    }

    #[test]
    fn a_new_day_begins_with_nothing_spent_and_what_is_under_way() {
        let mut budget = budget(1_000, 1_000);
        let early = budget.reserve("a", usd(700), at(DAY - 1)).expect("enough");
        let spent = budget.reserve("b", usd(300), at(DAY - 1)).expect("enough");
        budget.settle(spent, usd(300), at(DAY - 1));
        let refused = BudgetExhausted { wanted: usd(301), left: usd(300) };
        assert_eq!(budget.reserve("b", usd(301), at(DAY)), Err(refused));
        budget.settle(early, usd(50), at(DAY));
        assert_eq!((budget.spent(), budget.reserved()), (usd(50), usd(0)));
        // Set back: still the same day's money.
        assert!(budget.reserve("b", usd(951), at(0)).is_err());
    }

    #[test]
    fn too_many_agents_share_an_allowance() {
        let mut budget = budget(1_000_000, 10);
        for number in 0..AGENTS_MAX {
            assert!(budget.reserve(&number.to_string(), usd(10), at(0)).is_ok());
        }
        assert!(budget.reserve("one more", usd(10), at(0)).is_ok());
        assert!(budget.reserve("another", usd(1), at(0)).is_err());
    }
}
