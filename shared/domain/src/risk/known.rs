//! Trades that were decided before, so that a repeat is answered instead of
//! decided again. Bounded: the oldest finished ones are forgotten first.

use super::canonical::{Digest, put_text};
use crate::{
    arrivals::{Arrivals, Arrived, GENERATION},
    id::{OrderId, TradeId},
};
use std::collections::{BTreeMap, BTreeSet};

/// What became of a trade so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownTrade {
    /// Its order is approved and not finished.
    InFlight(OrderId),
    /// It has its outcome.
    Finished,
}

/// The trades of the last while.
#[derive(Debug, Clone, Default)]
pub struct Known {
    trades: Arrivals<TradeId, KnownTrade>,
    /// Numbers of those whose order is in flight: few among many.
    in_flight: BTreeSet<u64>,
    /// Digests of whole generations, whose trades are the same for ever, by their number. One that is missing
    /// is computed whenever it is asked for.
    digests: BTreeMap<u64, [u8; 32]>,
}

/// The same trades with the same numbers; the rest is made of them.
impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.trades == other.trades
    }
}

impl Eq for Known {}

/// Takes over what a snapshot has kept.
impl From<Arrived<TradeId, KnownTrade>> for Known {
    fn from(arrived: Arrived<TradeId, KnownTrade>) -> Self {
        let numbered = (arrived.taken()..).zip(arrived.iter());
        let in_flight = numbered.filter(|(_, (_, known))| matches!(known, KnownTrade::InFlight(_)));
        let in_flight = in_flight.map(|(number, _)| number).collect();
        Self { trades: arrived.into(), in_flight, digests: BTreeMap::new() }
    }
}

/// The trades of one generation, as they are hashed.
pub(super) enum Hashed<'a> {
    /// All of it are there.
    Whole([u8; 32]),
    /// Some are forgotten, or have not come yet.
    Some(&'a [(TradeId, KnownTrade)]),
}

impl Known {
    /// What became of `trade`; `None` if it was never decided or is forgotten.
    #[must_use]
    pub fn get(&self, trade: &TradeId) -> Option<&KnownTrade> {
        self.trades.get(trade)
    }

    /// Every trade and whether its order is in flight, in the order in which they are forgotten.
    pub(super) const fn arrived(&self) -> &Arrived<TradeId, KnownTrade> {
        self.trades.arrived()
    }

    /// Numbers of the trades whose order is in flight, ascending.
    pub(super) const fn in_flight(&self) -> &BTreeSet<u64> {
        &self.in_flight
    }

    /// Every trade, in the same order; not whether it is in flight.
    pub(super) fn hashed(&self, digest: Digest) -> impl Iterator<Item = Hashed<'_>> {
        self.arrived().generations().map(move |(number, trades)| {
            if !is_whole(trades) {
                return Hashed::Some(trades);
            }
            Hashed::Whole(self.digests.get(&number).copied().unwrap_or_else(|| digest_of(trades, digest)))
        })
    }

    /// Keeps the digests of generations that are whole by now, so that whoever hashes all of it looks at few trades.
    pub(super) fn seal(&mut self, digest: Digest) {
        let after_sealed = self.digests.last_key_value().map_or(0, |(number, _)| number + 1);
        let mut number = after_sealed.max(self.first_whole());
        while let Some(trades) = self.arrived().generation(number)
            && is_whole(trades)
        {
            self.digests.insert(number, digest_of(trades, digest));
            number += 1;
        }
    }

    /// Takes the memory for `limit` trades and the one that drives the oldest out.
    pub(super) fn make_room(&mut self, limit: usize) {
        self.trades.make_room(limit.saturating_add(1));
    }

    pub(super) fn set(&mut self, trade: TradeId, known: KnownTrade, limit: usize) {
        if !self.put(trade, known) {
            return;
        }
        // Those in flight are kept: they are bounded by the open orders.
        let mut looked_at = 0;
        while self.trades.len() > limit && looked_at < 8 {
            looked_at += 1;
            if let Some((trade, known @ KnownTrade::InFlight(_))) = self.take_oldest() {
                self.put(trade, known);
            }
        }
    }

    /// Whether it is a new one.
    fn put(&mut self, trade: TradeId, known: KnownTrade) -> bool {
        let is_in_flight = matches!(known, KnownTrade::InFlight(_));
        let arrival = self.trades.set(trade, known);
        if is_in_flight {
            self.in_flight.insert(arrival.number);
        } else if !arrival.is_new {
            self.in_flight.remove(&arrival.number);
        }
        arrival.is_new
    }

    fn take_oldest(&mut self) -> Option<(TradeId, KnownTrade)> {
        self.in_flight.remove(&self.arrived().taken());
        let oldest = self.trades.take_oldest();
        let first_whole = self.first_whole();
        while self.digests.first_key_value().is_some_and(|(number, _)| *number < first_whole) {
            self.digests.pop_first();
        }
        oldest
    }

    /// The first generation of which no trade is forgotten.
    const fn first_whole(&self) -> u64 {
        self.arrived().taken().div_ceil(GENERATION)
    }
}

fn is_whole(trades: &[(TradeId, KnownTrade)]) -> bool {
    u64::try_from(trades.len()).is_ok_and(|count| count == GENERATION)
}

fn digest_of(trades: &[(TradeId, KnownTrade)], digest: Digest) -> [u8; 32] {
    let mut bytes = Vec::new();
    trades.iter().for_each(|(trade, _)| put_text(trade.as_str(), |part| bytes.extend_from_slice(part)));
    digest(&bytes)
}

#[cfg(test)]
mod tests;
