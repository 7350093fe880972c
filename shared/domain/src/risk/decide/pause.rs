//! Pauses: while one lasts only what closes something passes.

use super::Case;
use crate::risk::{Denied, Order};

pub(super) fn check_pause(case: &Case<'_>, order: &Order) -> Result<(), Denied> {
    if order.hold.is_zero() {
        return Ok(());
    }
    case.state.breakers().pause_of(&order.terms.instrument).map_or(Ok(()), Err)
}
