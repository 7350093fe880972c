//! What each trading state lets through. The arithmetic of REDUCING counts pending
//! orders, so a position neither grows nor changes its sign, whatever fills in
//! whatever order.

use super::look::{Look, Verdict};
use crate::{
    money::{Overflow, Quantity},
    risk::{DenialReason as Reason, Denied, Proposed, Purpose, State, TradingState},
    time::Timestamp,
};

/// Whether the states of all scopes of `proposed` let it through.
///
/// | state | trade | step of a reduction | flatten lane |
/// |---|---|---|---|
/// | ACTIVE | yes; if reduce-only, what closes | toward its target | toward its target |
/// | REDUCING | what closes | toward its target | toward its target |
/// | HALTED | no | no | toward its target |
///
/// "What closes" is at most the position less every pending order of the same side.
pub(super) fn check_states(
    state: &State,
    proposed: &Proposed,
    now: Timestamp,
    look: &mut impl Look,
) -> Result<(), Denied> {
    look.check(Reason::RiskStateUnknown, 0, 0, Verdict::failed_if(state.epoch() == 0))?;
    if matches!(proposed.purpose, Purpose::Flatten(_)) {
        let (limit, done) = (state.limits().commands.flatten_orders_per_minute_max, state.flatten_orders(now));
        let is_over = Verdict::failed_if(done >= limit);
        look.check(Reason::TradingHalted, limit.into(), i64::from(done) + 1, is_over)?;
    }
    let terms = &proposed.terms;
    let effective = proposed.effective_state(state);
    let is_shut = effective == TradingState::Halted && !matches!(proposed.purpose, Purpose::Flatten(_));
    look.check(Reason::TradingHalted, 0, 0, Verdict::failed_if(is_shut))?;
    let must_reduce = match (effective, &proposed.purpose) {
        (TradingState::Halted, Purpose::Flatten(_)) => Reason::TradingHalted,
        // Denied above; how much it could close says nothing then.
        (TradingState::Halted, Purpose::Trade | Purpose::Reduce(_)) => return Ok(()),
        (TradingState::Reducing, Purpose::Trade | Purpose::Reduce(_) | Purpose::Flatten(_)) => Reason::TradingReducing,
        (TradingState::Active, Purpose::Reduce(_) | Purpose::Flatten(_)) => Reason::InsufficientPosition,
        (TradingState::Active, Purpose::Trade) if terms.is_reduce_only => Reason::InsufficientPosition,
        (TradingState::Active, Purpose::Trade) => return Ok(()),
    };
    let closable = closable(state, proposed)?;
    let is_over = Verdict::failed_if(terms.quantity > closable);
    look.check(must_reduce, closable.micros(), terms.quantity.micros(), is_over)
}

/// How much `proposed` may close at most, with everything pending filled.
fn closable(state: &State, proposed: &Proposed) -> Result<Quantity, Overflow> {
    let instrument = &proposed.terms.instrument;
    let holding = state.account(&proposed.account).and_then(|account| account.holding(instrument));
    let Some(holding) = holding else { return Ok(Quantity::ZERO) };
    let reducible = holding.reducible(proposed.terms.side)?;
    let Some(id) = proposed.purpose.reduction() else { return Ok(reducible) };
    let reduction = state.reduction(id).filter(|reduction| reduction.ended_at.is_none());
    let target = reduction.and_then(|reduction| reduction.target(&proposed.account, instrument));
    match target.filter(|target| target.side() == proposed.terms.side) {
        Some(target) => Ok(reducible.min(target.orderable(holding)?)),
        None => Ok(Quantity::ZERO),
    }
}
