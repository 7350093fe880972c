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
    /// How many approvals lie within the second before `now`. A clock that steps
    /// back frees no place early.
    pub(super) fn within_second(&self, now: Timestamp) -> usize {
        let now = self.times.back().map_or(now, |newest| now.max(*newest));
        let end = now.micros().saturating_sub(SECOND_MICROS);
        self.times.len() - self.times.partition_point(|time| time.micros() <= end)
    }

    pub(super) fn count(&mut self, now: Timestamp) {
        let now = self.times.back().map_or(now, |newest| now.max(*newest));
        let end = now.micros().saturating_sub(SECOND_MICROS);
        while self.times.front().is_some_and(|time| time.micros() <= end) {
            self.times.pop_front();
        }
        self.times.push_back(now);
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
        let end = order.decided_at.plus_millis(-window_ms);
        while self.orders.front().is_some_and(|old| old.decided_at < end) {
            self.orders.pop_front();
        }
        self.orders.push_back(Likeness {
            side: order.terms.side,
            price: order.terms.price,
            quantity: order.terms.quantity,
            decided_at: order.decided_at,
        });
    }

    /// How long ago the newest order like `order` was, milliseconds.
    fn age_ms_of(&self, order: &Order, window_ms: i64) -> Option<i64> {
        let is_like = |old: &&Likeness| {
            old.side == order.terms.side && old.price == order.terms.price && old.quantity == order.terms.quantity
        };
        let newest = self.orders.iter().rev().find(is_like)?;
        Some(order.decided_at.millis_since(newest.decided_at)).filter(|age_ms| *age_ms < window_ms)
    }
}

/// How long ago the same order was approved, milliseconds; `None` when it was not
/// within [`Limits::repeated_order_ms`].
pub(super) fn is_repeat(limits: &Limits, holding: Option<&Holding>, order: &Order) -> Option<i64> {
    holding?.recent().age_ms_of(order, limits.repeated_order_ms)
}
