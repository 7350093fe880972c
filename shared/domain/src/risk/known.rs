//! Trades that were decided before, so that a repeat is answered instead of
//! decided again. Bounded: the oldest finished ones are forgotten first.

use crate::{
    arrivals::Arrivals,
    id::{OrderId, TradeId},
};

/// What became of a trade so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownTrade {
    /// Its order is approved and not finished.
    InFlight(OrderId),
    /// It has its outcome.
    Finished,
}

/// The trades of the last while.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known(Arrivals<TradeId, KnownTrade>);

impl Known {
    /// What became of `trade`; `None` if it was never decided or is forgotten.
    #[must_use]
    pub fn get(&self, trade: &TradeId) -> Option<&KnownTrade> {
        self.0.get(trade)
    }

    /// Every trade and whether its order is in flight, in the order in which they are forgotten.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&TradeId, &KnownTrade)> {
        self.0.iter()
    }

    /// Takes over one trade of a snapshot; they come in the order of [`Self::iter`].
    pub(super) fn restore(&mut self, trade: TradeId, known: KnownTrade) {
        self.0.set(trade, known);
    }

    /// Takes the memory for `limit` trades and the one that drives the oldest out.
    pub(super) fn make_room(&mut self, limit: usize) {
        self.0.make_room(limit.saturating_add(1));
    }

    pub(super) fn set(&mut self, trade: TradeId, known: KnownTrade, limit: usize) {
        if !self.0.set(trade, known) {
            return;
        }
        // Those in flight are kept: they are bounded by the open orders.
        let mut looked_at = 0;
        while self.0.len() > limit && looked_at < 8 {
            looked_at += 1;
            if let Some((trade, known @ KnownTrade::InFlight(_))) = self.0.take_oldest() {
                self.0.set(trade, known);
            }
        }
    }
}
