//! Pauses: while one lasts only what closes something passes.

use super::{
    Case,
    look::{Look, Verdict},
};
use crate::risk::{Denied, Order};

pub(super) fn check_pause(case: &Case<'_>, order: &Order, look: &mut impl Look) -> Result<(), Denied> {
    if order.hold.is_zero() {
        return Ok(());
    }
    match case.state.breakers().pause_of(&order.terms.instrument) {
        Some(Denied { reason, limit, observed }) => look.check(reason, limit, observed, Verdict::Failed),
        None => Ok(()),
    }
}
