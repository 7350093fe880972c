//! Who may cancel an order, and how often.

use super::{look::FirstFailure, pace};
use crate::{
    id::{AccountId, TradeId},
    risk::{DenialReason as Reason, Denied, KnownTrade, LimitName, OpenOrder, State},
    time::Timestamp,
};

/// The working order of `trade`, which `account` may cancel now: whoever placed an order may
/// cancel it, in every trading state, and no burst of orders uses up what cancels have. `None`
/// when there is nothing that it could cancel. Apply [`crate::risk::Record::CancelSent`] before the next decision.
///
/// What the gate itself takes out, after a halt for example, is never asked for here.
///
/// # Errors
/// [`Reason::CancelRate`] when the account has had its cancels of the last second.
pub fn decide_cancel<'a>(
    state: &'a State,
    trade: &TradeId,
    account: &AccountId,
    now: Timestamp,
) -> Result<Option<&'a OpenOrder>, Denied> {
    let Some(KnownTrade::InFlight(order)) = state.known(trade) else { return Ok(None) };
    let Some(open) = state.order(order).filter(|open| open.order.account == *account) else { return Ok(None) };
    let limit = state.limits().rules.of(LimitName::CancelsPerSecondMax, account.as_str());
    let cancels = state.account(account).map_or(0, |own| own.cancels_in_second(now));
    pace::check(limit, cancels, Reason::CancelRate, &mut FirstFailure)?;
    Ok(Some(open))
}
