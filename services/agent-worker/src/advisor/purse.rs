//! The budget of the process, shared by all calls under way.

use std::sync::{Arc, Mutex, PoisonError};
use tragen_domain::{
    agents::advisor::budget::{Allowance, BudgetExhausted, LlmBudget, Reservation},
    money::Money,
    time::Timestamp,
};
use tragen_host::clock;

/// What may still be spent; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Purse(Arc<Mutex<LlmBudget>>);

/// Money set aside for a call that is under way. Dropped without a word, it counts as spent: the call may have been
/// served.
#[derive(Debug)]
pub(crate) struct Held {
    purse: Purse,
    worst_case: Money,
    reservation: Option<Reservation>,
}

impl Purse {
    pub(crate) fn new(allowance: Allowance) -> Self {
        Self(Arc::new(Mutex::new(LlmBudget::new(allowance))))
    }

    /// Sets the worst case of a call aside.
    pub(crate) fn reserve(&self, agent: &str, worst_case: Money) -> Result<Held, BudgetExhausted> {
        let reservation = self.with(|budget| budget.reserve(agent, worst_case, now()))?;
        Ok(Held { purse: self.clone(), worst_case, reservation: Some(reservation) })
    }

    /// Spent and reserved today.
    pub(crate) fn used(&self) -> (Money, Money) {
        self.with(|budget| (budget.spent(), budget.reserved()))
    }

    fn with<T>(&self, act: impl FnOnce(&mut LlmBudget) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    /// The worst case that was set aside.
    pub(crate) const fn worst_case(&self) -> Money {
        self.worst_case
    }

    /// The call cost `cost`.
    pub(crate) fn settle(mut self, cost: Money) {
        self.end(cost);
    }

    /// The call was surely not served.
    pub(crate) fn release(mut self) {
        if let Some(reservation) = self.reservation.take() {
            self.purse.with(|budget| budget.release(reservation, now()));
        }
    }

    fn end(&mut self, cost: Money) {
        if let Some(reservation) = self.reservation.take() {
            self.purse.with(|budget| budget.settle(reservation, cost, now()));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end(self.worst_case);
    }
}

fn now() -> Timestamp {
    Timestamp::from_micros(clock::now_micros())
}
