//! How fast orders come: at most so many in any second by scope, and not the
//! same order twice within a moment under another name.

use super::{
    Case,
    look::{Look, Verdict},
};
use crate::risk::{DenialReason as Reason, Denied, LimitName, Order, RepeatedOrders, pace::is_repeat};

/// Orders that open nothing have a budget of their own: a burst of entries never blocks an exit.
pub(super) fn check_rate(case: &Case<'_>, order: &Order, look: &mut impl Look) -> Result<(), Denied> {
    let (rules, account) = (&case.state.limits().rules, order.account.as_str());
    if order.hold.is_zero() {
        let limit = rules.of(LimitName::ReducingOrdersPerSecondMax, account);
        return check(limit, case.account.reducing_in_second(order.decided_at), Reason::ReducingOrderRate, look);
    }
    if let Some(agent) = &order.agent {
        let limit = rules.of(LimitName::AgentOrdersPerSecondMax, agent.as_str());
        check(limit, case.state.agent_orders_in_second(agent, order.decided_at), Reason::AgentOrderRate, look)?;
    }
    let limit = rules.of(LimitName::AccountOrdersPerSecondMax, account);
    check(limit, case.account.increasing_in_second(order.decided_at), Reason::AccountOrderRate, look)?;
    if case.state.limits().is_house(&order.account) {
        let limit = rules.all(LimitName::HouseOrdersPerSecondMax);
        check(limit, case.state.house_orders_in_second(order.decided_at), Reason::HouseOrderRate, look)?;
    }
    Ok(())
}

/// Whether one more than the `orders` of the last second is still within the limit.
pub(super) fn check(limit: Option<i64>, orders: usize, reason: Reason, look: &mut impl Look) -> Result<(), Denied> {
    let with_this = i64::try_from(orders).unwrap_or(i64::MAX).saturating_add(1);
    match limit {
        Some(limit) => look.check(reason, limit, with_this, Verdict::failed_if(with_this > limit)),
        None => Ok(()),
    }
}

/// Whether the same order of the account was approved a moment ago under another trade.
pub(super) fn check_repeated(case: &Case<'_>, order: &Order, look: &mut impl Look) -> Result<(), Denied> {
    let limits = case.state.limits();
    match limits.repeated_orders {
        RepeatedOrders::Off | RepeatedOrders::Warn => Ok(()),
        RepeatedOrders::Deny => {
            let age_ms = is_repeat(limits, case.holding, order);
            // Where there is none like it the newest one may be: nothing was seen within the moment.
            let observed = age_ms.unwrap_or(limits.repeated_order_ms);
            look.check(Reason::RepeatedOrder, limits.repeated_order_ms, observed, Verdict::failed_if(age_ms.is_some()))
        }
    }
}
