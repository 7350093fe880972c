//! Trades that were decided before, so that a repeat is answered instead of
//! decided again. Bounded: the oldest finished ones are forgotten first.

use crate::id::{OrderId, TradeId};
use std::collections::{HashMap, VecDeque};

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
pub struct Known {
    trades: HashMap<TradeId, KnownTrade>,
    oldest_first: VecDeque<TradeId>,
}

impl Known {
    /// What became of `trade`; `None` if it was never decided or is forgotten.
    #[must_use]
    pub fn get(&self, trade: &TradeId) -> Option<&KnownTrade> {
        self.trades.get(trade)
    }

    /// Every trade and whether its order is in flight, in the order in which they are forgotten.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&TradeId, &KnownTrade)> {
        self.oldest_first.iter().filter_map(|trade| Some((trade, self.trades.get(trade)?)))
    }

    /// Takes over one trade of a snapshot; they come in the order of [`Self::iter`].
    pub(super) fn restore(&mut self, trade: TradeId, known: KnownTrade) {
        if self.trades.insert(trade.clone(), known).is_none() {
            self.oldest_first.push_back(trade);
        }
    }

    pub(super) fn set(&mut self, trade: TradeId, known: KnownTrade, limit: usize) {
        if self.trades.insert(trade.clone(), known).is_some() {
            return;
        }
        self.oldest_first.push_back(trade);
        // Those in flight are kept: they are bounded by the open orders.
        let mut looked_at = 0;
        while self.oldest_first.len() > limit && looked_at < 8 {
            looked_at += 1;
            let Some(oldest) = self.oldest_first.pop_front() else { return };
            match self.trades.get(&oldest) {
                Some(KnownTrade::InFlight(_)) => self.oldest_first.push_back(oldest),
                Some(KnownTrade::Finished) | None => {
                    self.trades.remove(&oldest);
                }
            }
        }
    }
}
