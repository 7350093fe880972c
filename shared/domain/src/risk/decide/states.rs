//! Trading states of every scope of the order, and the arithmetic of reducing a
//! position.

use crate::{
    money::Quantity,
    risk::{DenialReason as Reason, Denied, Proposed, Scope, State, TradingState},
};

pub(super) fn check_states(state: &State, proposed: &Proposed) -> Result<(), Denied> {
    if state.epoch() == 0 {
        return Err(Denied::plain(Reason::RiskStateUnknown));
    }
    let strictest = proposed.scopes().map(|scope: Scope| state.state_of(&scope)).max();
    let terms = &proposed.terms;
    let must_reduce = match strictest.unwrap_or(TradingState::Halted) {
        TradingState::Halted => return Err(Denied::plain(Reason::TradingHalted)),
        TradingState::Reducing => Some(Reason::TradingReducing),
        TradingState::Active => terms.is_reduce_only.then_some(Reason::InsufficientPosition),
    };
    let Some(reason) = must_reduce else { return Ok(()) };
    let holding = state.account(&proposed.account).and_then(|account| account.holding(&terms.instrument));
    let reducible = holding.map_or(Ok(Quantity::ZERO), |holding| holding.reducible(terms.side))?;
    if terms.quantity > reducible {
        return Err(Denied::new(reason, reducible.micros(), terms.quantity.micros()));
    }
    Ok(())
}
