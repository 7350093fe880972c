//! Orders as they are asked for and proposed, and where a trade stands.

use crate::{
    id::{InstrumentId, OrderId},
    money::{Price, Quantity},
    time::Timestamp,
};

/// The rationale of an order that a user has decided. An agent only routes it, so no agent is judged by it.
pub const PLACED_BY_USER: &str = "placed by the user";

/// Which way an order changes the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Up.
    Buy,
    /// Down.
    Sell,
}

impl Side {
    /// `quantity` with the sign of the side.
    #[must_use]
    pub const fn signed(self, quantity: Quantity) -> i128 {
        match self {
            Self::Buy => quantity.micros() as i128,
            Self::Sell => -(quantity.micros() as i128),
        }
    }
}

/// How the price is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderPrice {
    /// This price or better.
    Limit(Price),
    /// The best price inside the guard's collar.
    Market,
}

/// How long an order may rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeInForce {
    /// Immediate or cancel: fill what is there, cancel the rest.
    Ioc,
    /// Fill or kill: everything or nothing.
    Fok,
    /// Good till canceled.
    Gtc,
    /// Good till the given time.
    Gtd(Timestamp),
}

impl TimeInForce {
    /// Whether what is not filled at once stays at the venue.
    #[must_use]
    pub const fn is_resting(self) -> bool {
        match self {
            Self::Ioc | Self::Fok => false,
            Self::Gtc | Self::Gtd(_) => true,
        }
    }
}

/// The order an agent proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderTerms {
    /// Derived from the trade; the same trade always gives the same order id.
    pub id: OrderId,
    /// What.
    pub instrument: InstrumentId,
    /// Which way.
    pub side: Side,
    /// At which price.
    pub price: OrderPrice,
    /// How much, > 0.
    pub quantity: Quantity,
    /// How long.
    pub time_in_force: TimeInForce,
    /// Whether it may only shrink the position.
    pub is_reduce_only: bool,
    /// Whether it may only rest: the venue refuses it where it would trade at once. Only limit orders that rest can be.
    pub is_post_only: bool,
}

impl OrderTerms {
    /// Whether the terms go together: only what may rest at a price of its own can promise never to take.
    #[must_use]
    pub const fn can_be_post_only(&self) -> bool {
        match self.price {
            OrderPrice::Limit(_) => self.time_in_force.is_resting(),
            OrderPrice::Market => false,
        }
    }
}

/// Where a trade stands. *Denied* is Tragen's guard, *rejected* is the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TradeStatus {
    /// On its way.
    Pending,
    /// Resting at the venue.
    Working,
    /// Filled in full.
    Filled,
    /// Filled in part, the rest is canceled.
    PartiallyFilled,
    /// The venue said no.
    Rejected,
    /// The guard said no.
    Denied,
    /// Not executed in time.
    Expired,
    /// Canceled before any fill.
    Canceled,
    /// The agent found nothing worth trading.
    NoTrade,
}

impl TradeStatus {
    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Working => false,
            Self::Filled
            | Self::PartiallyFilled
            | Self::Rejected
            | Self::Denied
            | Self::Expired
            | Self::Canceled
            | Self::NoTrade => true,
        }
    }
}
