//! Whatever may not stand any more is taken out of the venue: after every change
//! of a state, at every start, and at every look at the orders, so that neither a
//! crash nor a lost answer leaves an order standing that a halt forbids.

use crate::gate::Gate;
use std::collections::HashSet;
use tragen_domain::{
    id::OrderId,
    risk::{Scope, forbidden_orders},
};

/// Orders that are being taken out; they are not asked for twice.
#[derive(Debug, Default)]
pub(crate) struct Canceling(HashSet<OrderId>);

impl Canceling {
    /// The venue has answered.
    pub(crate) fn answered(&mut self, order: &OrderId) {
        self.0.remove(order);
    }

    /// What was asked may never be answered.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Gate {
    /// Cancels every forbidden order that is not being canceled yet.
    pub(crate) fn cancel_forbidden(&mut self) {
        let forbidden: Vec<OrderId> = forbidden_orders(&self.state).map(|open| open.order.terms.id.clone()).collect();
        for order in forbidden {
            if self.work.canceling.0.insert(order.clone()) {
                self.cancel(&order, None);
            }
        }
    }

    /// Forbidden orders of one scope that still stand.
    pub(crate) fn forbidden_in(&self, scope: &Scope) -> usize {
        forbidden_orders(&self.state).filter(|open| open.order.is_in(scope)).count()
    }
}
