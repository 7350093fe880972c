//! liveTradingAgent, leaving by itself: which order follows from what it decided, and what is left to sell.
//!
//! A configured agent only sells, reduce-only: a hedge would buy, and nobody has asked it to open anything. It orders a
//! contract at most once for each time that its match is told, so an order is known by agent, contract and that time,
//! whoever makes it; what is not filled waits for the next time. The decisions are those of [`super::live_trading`].

use super::count::{floor_to_count, nearest_micros};
use super::live_trading::{LeaveReason, LiveDecision};
use crate::money::{ONE, Price, Quantity};
use crate::order::OrderPrice;
use std::fmt;

/// An order that leaves a holding: a sale, reduce-only, of what is there now (IOC).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitOrder {
    /// Whole contracts, above 0.
    pub contracts: Quantity,
    /// The lowest price to take; at market where no quote can be trusted.
    pub price: OrderPrice,
    /// Why.
    pub reason: LeaveReason,
}

/// The order for a decision; None where nothing is sold, or less than one contract is.
///
/// Example: 100.7 contracts at a bid of 0.83 are 100 contracts at 0.83.
#[must_use]
pub fn exit_order(decision: &LiveDecision) -> Option<ExitOrder> {
    match *decision {
        LiveDecision::Exit { reason, contracts, limit } => {
            let contracts = i64::try_from(floor_to_count(contracts)).ok()?.checked_mul(ONE)?;
            let price = match limit {
                Some(limit) => OrderPrice::Limit(nearest_price(limit)?),
                None => OrderPrice::Market,
            };
            let contracts = Quantity::from_micros(contracts);
            (contracts > Quantity::ZERO).then_some(ExitOrder { contracts, price, reason })
        }
        // A hedge is decided only where selling and buying are both allowed.
        LiveDecision::Keep(_) | LiveDecision::Hedge { .. } => None,
    }
}

/// A bid as it was quoted, which a float holds to far less than a micro; None for what is no price.
fn nearest_price(price: f64) -> Option<Price> {
    nearest_micros(price).filter(|micros| *micros > 0).map(Price::from_micros)
}

impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakeProfit { proceeds, chance } => {
                write!(f, "take profit: a sale brings {proceeds:.3}, it is worth {chance:.3}")
            }
            Self::Stop { chance, floor } => write!(f, "stop: it is worth {chance:.3}, below {floor:.3}"),
            Self::StaleScore { age_ms } => write!(f, "the score is {age_ms} ms old"),
            Self::UnusableBook(fault) => write!(f, "its book cannot be used: {fault}"),
            Self::NoBook => f.write_str("it has no book"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::live_trading::{HedgeLeg, KeepReason};
    use super::*;
    use crate::agents::fair_line::Outcome;

    const REASON: LeaveReason = LeaveReason::TakeProfit { proceeds: 0.825_8, chance: 0.78 };

    #[test]
    fn an_exit_sells_whole_contracts_at_the_bid_or_at_market() {
        let check = |contracts: f64, limit: Option<f64>, expected: Option<(i64, OrderPrice)>| {
            let order = exit_order(&LiveDecision::Exit { reason: REASON, contracts, limit });
            let told = order.map(|order| (order.contracts.micros() / ONE, order.price));
            assert_eq!(told, expected, "{contracts} {limit:?}");
        };
        let limit = |micros| OrderPrice::Limit(Price::from_micros(micros));
        check(100.7, Some(0.83), Some((100, limit(830_000))));
        check(1.0, Some(0.29), Some((1, limit(290_000))));
        check(1.0, None, Some((1, OrderPrice::Market)));
        check(0.999_999, Some(0.83), None);
        for (contracts, limit) in [(f64::NAN, None), (-1.0, None), (1.0, Some(f64::NAN)), (1.0, Some(0.0))] {
            check(contracts, limit, None);
        }
        // Every price of a venue with ticks of a tenth of a cent comes out as it was quoted.
        for tenths in 1..1_000 {
            let price = f64::from(tenths) / 1e3;
            assert_eq!(nearest_price(price), Some(Price::from_micros(i64::from(tenths) * 1_000)));
        }
    }

    #[test]
    fn nothing_else_is_ordered() {
        assert_eq!(exit_order(&LiveDecision::Keep(KeepReason::NothingHeld)), None);
        let legs = [Outcome::Draw, Outcome::Away].map(|outcome| HedgeLeg { outcome, limit: 0.1 });
        assert_eq!(exit_order(&LiveDecision::Hedge { reason: REASON, contracts: 5.0, legs, locked: 0.8 }), None);
    }
}
