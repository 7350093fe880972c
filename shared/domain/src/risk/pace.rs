//! How many orders were approved within the last second, and which: exact logs,
//! so that no second ever holds more than its limit.

use super::{Holding, Limits, Order};
use crate::{
    money::Quantity,
    order::{OrderPrice, Side},
    time::Timestamp,
};
use std::collections::VecDeque;

/// The span of a rate, microseconds.
const SECOND_MICROS: i64 = 1_000_000;

/// What happens to an order that equals one of a moment ago: same account,
/// instrument, side, price and quantity, but another trade.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RepeatedOrders {
    /// Nothing.
    #[default]
    Off,
    /// It is counted and told, and passes.
    Warn,
    /// It is denied.
    Deny,
}

impl RepeatedOrders {
    /// As written in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }

    /// What is written `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "warn" => Some(Self::Warn),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }
}

/// Times of approvals within the last second before the newest one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pace {
    times: VecDeque<Timestamp>,
}

impl Pace {
    /// How many approvals lie within the second before `now`. A clock that steps back by less
    /// than a second frees no place early; after a larger step what was counted by the clock of
    /// before is not waited for, else nothing would pass until the clock is there again.
    pub(super) fn within_second(&self, now: Timestamp) -> usize {
        let (now, known) = self.known(now);
        let end = now.micros().saturating_sub(SECOND_MICROS);
        known - self.times.partition_point(|time| time.micros() <= end)
    }

    pub(super) fn count(&mut self, now: Timestamp) {
        let (now, known) = self.known(now);
        self.times.truncate(known);
        let end = now.micros().saturating_sub(SECOND_MICROS);
        while self.times.front().is_some_and(|time| time.micros() <= end) {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    /// The time that is counted at, and how many of the times count: those that no clock has
    /// put more than a second ahead of it.
    fn known(&self, now: Timestamp) -> (Timestamp, usize) {
        let ahead = now.micros().saturating_add(SECOND_MICROS);
        let known = self.times.partition_point(|time| time.micros() <= ahead);
        let newest = known.checked_sub(1).and_then(|index| self.times.get(index));
        (newest.map_or(now, |newest| now.max(*newest)), known)
    }
}

/// What makes two orders of one holding the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Likeness {
    side: Side,
    price: OrderPrice,
    quantity: Quantity,
    decided_at: Timestamp,
}

/// Approved orders of the last moment of one holding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Recent {
    orders: VecDeque<Likeness>,
}

impl Recent {
    pub(super) const NONE: Self = Self { orders: VecDeque::new() };

    pub(super) fn add(&mut self, order: &Order, window_ms: i64) {
        // Neither what is old nor what a clock has noted that has stepped back since.
        let (end, ahead) = (order.decided_at.plus_millis(-window_ms), order.decided_at.plus_millis(window_ms));
        self.orders.retain(|old| (end..=ahead).contains(&old.decided_at));
        self.orders.push_back(Likeness {
            side: order.terms.side,
            price: order.terms.price,
            quantity: order.terms.quantity,
            decided_at: order.decided_at,
        });
    }

    /// How long ago the newest order like `order` was, milliseconds; negative where the clock
    /// has stepped back by less than the moment.
    fn age_ms_of(&self, order: &Order, window_ms: i64) -> Option<i64> {
        let is_like = |old: &&Likeness| {
            old.side == order.terms.side && old.price == order.terms.price && old.quantity == order.terms.quantity
        };
        let newest = self.orders.iter().rev().find(is_like)?;
        let age_ms = order.decided_at.millis_since(newest.decided_at);
        (age_ms.saturating_abs() < window_ms).then_some(age_ms)
    }
}

/// How long ago the same order was approved, milliseconds; `None` when it was not
/// within [`Limits::repeated_order_ms`].
pub(super) fn is_repeat(limits: &Limits, holding: Option<&Holding>, order: &Order) -> Option<i64> {
    holding?.recent().age_ms_of(order, limits.repeated_order_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MICROS: i64 = 3_600_000_000;

    #[test]
    fn a_step_of_the_clock_is_waited_for_only_if_it_is_small() {
        let at = |micros: i64| Timestamp::from_micros(1_700_000_000_000_000 + micros);
        let mut pace = Pace::default();
        pace.count(at(0));
        pace.count(at(0));
        let counts = |pace: &Pace, micros: i64, expected: usize| {
            assert_eq!(pace.within_second(at(micros)), expected, "{micros}");
        };
        for (micros, expected) in [(999_999, 2), (1_000_000, 0), (-1_000_000, 2), (-1_000_001, 0), (-HOUR_MICROS, 0)] {
            counts(&pace, micros, expected);
        }
        // A small step: it counts as if the clock had stood still.
        pace.count(at(-500_000));
        counts(&pace, -500_000, 3);
        counts(&pace, 999_999, 3);
        // A large one: counting begins anew, and nothing is kept of the clock of before.
        pace.count(at(-HOUR_MICROS));
        assert_eq!(pace.times, [at(-HOUR_MICROS)]);
        counts(&pace, 1_000_000 - HOUR_MICROS, 0);
        // Ahead and back again.
        pace.count(at(HOUR_MICROS));
        counts(&pace, 0, 0);
    }
}
