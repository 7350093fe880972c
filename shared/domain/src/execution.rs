//! What happened at the venue.

use crate::{
    id::ExecutionId,
    money::{Money, Price, Quantity},
    time::Timestamp,
};

/// Part of an order executed at the venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// Unique at the venue for ever.
    pub id: ExecutionId,
    /// At which price.
    pub price: Price,
    /// How much, > 0.
    pub quantity: Quantity,
    /// What it cost besides, >= 0.
    pub fee: Money,
    /// When.
    pub executed_at: Timestamp,
}
