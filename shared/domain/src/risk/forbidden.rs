//! Which open orders a trading state no longer lets stand.

use super::{Holding, OpenOrder, Order, Purpose, State, TradingState};
use crate::money::Overflow;

/// Every open order that may not stand any more, in no order; they are to be canceled:
/// all of halted scopes but those of the flatten lane, those that must reduce and could
/// open or grow a position, those in the way of a reduction, and all of what is settled.
pub fn forbidden_orders(state: &State) -> impl Iterator<Item = &OpenOrder> {
    state.orders().filter(|open| is_forbidden(state, open))
}

fn is_forbidden(state: &State, open: &OpenOrder) -> bool {
    let order = &open.order;
    if state.is_settled(&order.terms.instrument) || order.is_in_the_way(state) {
        return true;
    }
    if must_reduce(state, order) {
        let holding = state.account(&order.account).and_then(|own| own.holding(&order.terms.instrument));
        // A sum that does not fit proves nothing, so the order goes.
        return holding.is_some_and(|holding| is_increasing(state, holding, open).unwrap_or(true));
    }
    order.effective_state(state) == TradingState::Halted
}

/// Whether `order` may stand only as long as it closes.
fn must_reduce(state: &State, order: &Order) -> bool {
    match order.effective_state(state) {
        TradingState::Active => false,
        TradingState::Reducing => true,
        TradingState::Halted => matches!(order.purpose, Purpose::Flatten(_)),
    }
}

/// Whether `open`, which must reduce, could open or grow the position. The others stay
/// whatever they do, a halted one until it is taken out, so what they may close is not
/// there for the orders that must reduce; of these the oldest come first.
fn is_increasing(state: &State, holding: &Holding, open: &OpenOrder) -> Result<bool, Overflow> {
    let side = open.order.terms.side;
    let mut left = holding.closable(side)?;
    for other in holding.orders_of(side).filter(|other| !must_reduce(state, &other.order)) {
        left = left.minus(other.remaining())?;
    }
    for other in holding.orders_of(side).filter(|other| must_reduce(state, &other.order)) {
        let fits = other.remaining() <= left;
        if other.order.terms.id == open.order.terms.id {
            return Ok(!fits);
        }
        if fits {
            left = left.minus(other.remaining())?;
        }
    }
    Ok(false)
}
