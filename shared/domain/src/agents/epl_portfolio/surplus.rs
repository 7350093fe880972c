//! Which holdings are larger than their edge is worth?

use super::super::count::{nearest_micros, units_of};
use super::super::fair_line::Outcome;
use super::super::top_of_book::Offer;
use super::{IntentReason, MatchHoldings, PortfolioRules, TradeIntent};
use crate::money::{Money, Price, Quantity};
use crate::order::Side;

/// Sales of what is above the Kelly share, home, draw, away; nothing where nobody bids.
pub(super) fn surplus(capital: Money, holdings: &MatchHoldings<'_>, rules: &PortfolioRules) -> Vec<TradeIntent> {
    let sale = |outcome: Outcome| {
        let held = outcome.of(&holdings.positions).quantity;
        let bid = holdings.book(outcome, rules)?.bid?;
        let (chance, proceeds) = (outcome.of(&holdings.chances), bid.proceeds(holdings.fee_rate));
        let kept = kept_contracts(capital, chance, proceeds, rules)?;
        let quantity = held.minus(kept).ok()?.min(offered(bid)?).floor_to(holdings.lot);
        let intent = TradeIntent {
            match_id: holdings.id.clone(),
            outcome,
            side: Side::Sell,
            quantity,
            limit: Price::from_micros(nearest_micros(bid.price)?),
            is_reduce_only: true,
            reason: IntentReason::AboveKelly { chance, proceeds },
        };
        // A short is closed by buying, which is not what this rule is about.
        (held > Quantity::ZERO && quantity > Quantity::ZERO).then_some(intent)
    };
    Outcome::ALL.into_iter().filter_map(sale).collect()
}

/// How many contracts the Kelly share is worth when one could be sold for `proceeds`.
fn kept_contracts(capital: Money, chance: f64, proceeds: f64, rules: &PortfolioRules) -> Option<Quantity> {
    if proceeds <= 0.0 {
        // Selling brings nothing.
        return Some(Quantity::from_micros(i64::MAX));
    }
    let share = rules.kelly_multiplier * ((chance - proceeds) / (1.0 - proceeds)).max(0.0);
    let contracts = units_of(capital.max(Money::ZERO).micros()) * share / proceeds;
    nearest_micros(contracts).map(Quantity::from_micros)
}

fn offered(bid: Offer) -> Option<Quantity> {
    nearest_micros(bid.size).map(Quantity::from_micros)
}
