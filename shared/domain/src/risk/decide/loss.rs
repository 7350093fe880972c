//! What the house has lost: it must be known, and below every threshold. The
//! breakers stop the house as well; here nothing is opened even before they do.

use super::{
    Case,
    look::{Look, Verdict},
};
use crate::risk::{BreakerKind, DenialReason as Reason, Denied, Order};

pub(super) fn check_losses(case: &Case<'_>, order: &Order, look: &mut impl Look) -> Result<(), Denied> {
    if order.hold.is_zero() || !case.state.limits().is_house(&order.account) {
        return Ok(());
    }
    let (limits, breakers) = (case.state.limits(), case.state.breakers());
    let limit_of = |kind| breakers.trips_at(&limits.rules, kind);
    let (day, month, peak) =
        (limit_of(BreakerKind::TotalLoss), limit_of(BreakerKind::MonthLoss), limit_of(BreakerKind::Drawdown));
    if day.is_none() && month.is_none() && peak.is_none() {
        return Ok(());
    }
    let Some(measured) = breakers.measured() else {
        return Err(Denied::new(Reason::EquityUnknown, limits.equity_age_max_ms, i64::MAX));
    };
    let age = order.decided_at.micros().saturating_sub(measured.measured_at.micros());
    let is_old = Verdict::failed_if(age > limits.equity_age_max_ms.saturating_mul(1_000));
    // Rounded up, so that the observed value is above the limit it broke.
    look.check(Reason::EquityUnknown, limits.equity_age_max_ms, age.saturating_add(999) / 1_000, is_old)?;
    let losses = [
        (Reason::DayLossLimit, day, measured.day_loss_ppm),
        (Reason::MonthLossLimit, month, measured.month_loss_ppm),
        (Reason::DrawdownLimit, peak, measured.drawdown_ppm),
    ];
    for (reason, limit, lost) in losses {
        if let Some(limit) = limit {
            look.check(reason, limit, lost, Verdict::failed_if(lost >= limit))?;
        }
    }
    Ok(())
}
