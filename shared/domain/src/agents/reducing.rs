//! liveTradingAgent: at which price, and in which pieces, is a position reduced on command?
//!
//! The guard hands out what is missing to a target, again and again until it is reached; this says how the next order is
//! sent. Being exact about the price costs time, and time is risk, so the price gives way as the command grows old: at
//! first only what is bid for at the best price, then more and more below it, at the end everything at market inside the
//! gate's collar. Every order is immediate-or-cancel: nothing is left resting that the next step does not know of.

use crate::instrument::Instrument;
use crate::market::Quote;
use crate::money::{ONE, Price, Quantity, Rounding};
use crate::order::{OrderPrice, Side};

/// The numbers of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReducingRules {
    /// Up to this age of the command only the best price is taken, milliseconds.
    pub patient_ms: i64,
    /// From this age on everything goes at market, milliseconds.
    pub urgent_ms: i64,
    /// How far the price has given way just before that, parts per million of the best price.
    pub give_way_ppm_max: i64,
    /// Older quotes are not looked at: at market, the gate decides; milliseconds.
    pub quote_age_ms_max: i64,
}

impl Default for ReducingRules {
    /// 2 s at the best price, at market after 10 s, up to 2 % in between, quotes of 5 s.
    fn default() -> Self {
        Self { patient_ms: 2_000, urgent_ms: 10_000, give_way_ppm_max: 20_000, quote_age_ms_max: 5_000 }
    }
}

/// Why the order looks as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReducingStage {
    /// At the best price, as much as is offered there.
    Patient,
    /// Below (above) the best price, as much as is missing.
    GivingWay,
    /// At market: the command is old.
    Urgent,
    /// At market: there is no quote to go by.
    NoQuote,
}

/// The next order of a reduction: reduce-only and immediate-or-cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReducingOrder {
    /// The worst price to take.
    pub price: OrderPrice,
    /// How much, above 0, at most what is missing.
    pub quantity: Quantity,
    /// Why.
    pub stage: ReducingStage,
}

/// The next order toward a target, for a command that is `age_ms` old with `missing` left to trade on `side`.
/// `quote` is the latest one with its age in milliseconds.
///
/// Example: a command of one second to sell 100 with 40 bid for at 0.55 sells 40 at 0.55 or better; after six seconds it
/// sells 100 at 0.54 or better (half of 2 %, down to the tick).
#[must_use]
pub fn reducing_order(
    instrument: &Instrument,
    (side, missing): (Side, Quantity),
    quote: Option<(&Quote, i64)>,
    age_ms: i64,
    rules: &ReducingRules,
) -> ReducingOrder {
    let at_market = |stage| ReducingOrder { price: OrderPrice::Market, quantity: missing, stage };
    if age_ms >= rules.urgent_ms {
        return at_market(ReducingStage::Urgent);
    }
    let fresh = quote.filter(|(_, quote_age_ms)| *quote_age_ms <= rules.quote_age_ms_max);
    let best = fresh.and_then(|(quote, _)| match side {
        Side::Sell => quote.bid,
        Side::Buy => quote.ask,
    });
    let Some(best) = best else { return at_market(ReducingStage::NoQuote) };
    if age_ms <= rules.patient_ms {
        let quantity = missing.min(best.quantity.floor_to(instrument.lot));
        // Less than the smallest order cannot be sent: then all of it, still at this price.
        let quantity = if quantity < instrument.min_quantity || quantity.is_zero() { missing } else { quantity };
        return ReducingOrder { price: OrderPrice::Limit(best.price), quantity, stage: ReducingStage::Patient };
    }
    match give_way(instrument, side, best.price, age_ms, rules) {
        Some(price) => {
            let quantity = missing;
            ReducingOrder { price: OrderPrice::Limit(price), quantity, stage: ReducingStage::GivingWay }
        }
        None => at_market(ReducingStage::Urgent),
    }
}

/// The best price, worse by a share that grows with the age; on the tick and in the instrument's range.
/// None where a number does not fit.
fn give_way(instrument: &Instrument, side: Side, best: Price, age_ms: i64, rules: &ReducingRules) -> Option<Price> {
    let (waited, span) = (age_ms - rules.patient_ms, rules.urgent_ms - rules.patient_ms);
    let ppm = rules.give_way_ppm_max.checked_mul(waited)?.checked_div(span)?;
    let price = match side {
        Side::Sell => best.ppm(ONE.checked_sub(ppm)?, Rounding::Down).ok()?.floor_to(instrument.tick),
        Side::Buy => {
            let worse = best.ppm(ONE.checked_add(ppm)?, Rounding::Up).ok()?;
            let floored = worse.floor_to(instrument.tick);
            if floored == worse { floored } else { floored.plus(instrument.tick).ok()? }
        }
    };
    Some(price.max(instrument.min_price).min(instrument.max_price))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Currency, InstrumentId};
    use crate::instrument::{InstrumentStatus, SettlementStyle, SettlementTerms};
    use crate::market::Level;
    use crate::time::Timestamp;

    fn instrument() -> Instrument {
        let currency = Currency::new("USD").expect("a currency");
        Instrument {
            id: InstrumentId::new("ARS-CHE-H").expect("an id"),
            name: "Arsenal".to_owned(),
            settlement: SettlementTerms { style: SettlementStyle::Prediction, currency, initial_margin_ppm: 0 },
            tick: "0.01".parse().expect("a price"),
            lot: "1".parse().expect("a quantity"),
            min_quantity: "5".parse().expect("a quantity"),
            max_quantity: "1000".parse().expect("a quantity"),
            min_price: "0.01".parse().expect("a price"),
            max_price: "0.99".parse().expect("a price"),
            taker_fee_ppm: 30_000,
            status: InstrumentStatus::Open,
            prediction: None,
            max_quote_age_ms: None,
        }
    }

    fn quote(bid: Option<(&str, &str)>, ask: Option<(&str, &str)>) -> Quote {
        let level = |(price, quantity): (&str, &str)| Level {
            price: price.parse().expect("a price"),
            quantity: quantity.parse().expect("a quantity"),
        };
        let (event_time, published_at) = (Timestamp::default(), Timestamp::default());
        Quote { instrument: instrument().id, bid: bid.map(level), ask: ask.map(level), event_time, published_at }
    }

    #[track_caller]
    fn check(side: Side, quote: &Quote, age_ms: i64, expected: (Option<&str>, &str, ReducingStage)) {
        let missing = (side, "100".parse().expect("a quantity"));
        let order = reducing_order(&instrument(), missing, Some((quote, 10)), age_ms, &ReducingRules::default());
        let price = match order.price {
            OrderPrice::Market => None,
            OrderPrice::Limit(price) => Some(price.to_string()),
        };
        assert_eq!((price.as_deref(), order.quantity.to_string().as_str(), order.stage), expected, "after {age_ms} ms");
    }

    #[test]
    fn price_gives_way_as_the_command_grows_old() {
        use ReducingStage::{GivingWay, Patient, Urgent};
        let both = quote(Some(("0.55", "40.7")), Some(("0.57", "300")));
        check(Side::Sell, &both, 0, (Some("0.55"), "40", Patient));
        check(Side::Sell, &both, 2_000, (Some("0.55"), "40", Patient));
        check(Side::Sell, &both, 6_000, (Some("0.54"), "100", GivingWay));
        check(Side::Sell, &both, 9_999, (Some("0.53"), "100", GivingWay));
        check(Side::Sell, &both, 10_000, (None, "100", Urgent));
        check(Side::Buy, &both, 1_000, (Some("0.57"), "100", Patient));
        check(Side::Buy, &both, 6_000, (Some("0.58"), "100", GivingWay));
        // Too little is offered for an order of its own; a price at the edge of the range stays inside.
        check(Side::Sell, &quote(Some(("0.55", "4")), None), 0, (Some("0.55"), "100", Patient));
        check(Side::Sell, &quote(Some(("0.01", "40")), None), 9_000, (Some("0.01"), "100", GivingWay));
        check(Side::Buy, &quote(None, Some(("0.99", "40"))), 9_000, (Some("0.99"), "100", GivingWay));
    }

    #[test]
    fn without_a_quote_the_gate_decides_the_price() {
        check(Side::Sell, &quote(None, Some(("0.57", "300"))), 0, (None, "100", ReducingStage::NoQuote));
        let both = quote(Some(("0.55", "40")), Some(("0.57", "300")));
        let missing = (Side::Sell, "100".parse().expect("a quantity"));
        for old in [None, Some((&both, 5_001))] {
            let order = reducing_order(&instrument(), missing, old, 0, &ReducingRules::default());
            assert_eq!((order.price, order.stage), (OrderPrice::Market, ReducingStage::NoQuote));
        }
        // Rules without a span in between go from patience to market.
        let abrupt = ReducingRules { urgent_ms: 2_000, ..ReducingRules::default() };
        let order = reducing_order(&instrument(), missing, Some((&both, 0)), 2_000, &abrupt);
        assert_eq!(order.stage, ReducingStage::Urgent);
    }
}
