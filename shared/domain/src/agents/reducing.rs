//! liveTradingAgent: at which price, and in which pieces, is a position reduced on command?
//!
//! The guard hands out what is missing to a target, again and again until it is reached; this says how the next order is
//! sent. Being exact about the price costs time, and time is risk, so the price gives way as the command grows old: at
//! first only what is bid for at the best price, then more and more below it, at the end everything at market inside the
//! gate's collar. Every order is immediate-or-cancel: nothing is left resting that the next step does not know of.

use crate::instrument::Instrument;
use crate::market::Level;
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
/// `best` is the price on the other side of the book (bid for a sale, ask for a purchase) with its age in milliseconds.
///
/// Example: a command of one second to sell 100 with 40 bid for at 0.55 sells 40 at 0.55 or better; after six seconds it
/// sells 100 at 0.54 or better (half of 2 %, down to the tick).
#[must_use]
pub fn reducing_order(
    instrument: &Instrument,
    (side, missing): (Side, Quantity),
    best: Option<(Level, i64)>,
    age_ms: i64,
    rules: &ReducingRules,
) -> ReducingOrder {
    let at_market = |stage| ReducingOrder { price: OrderPrice::Market, quantity: missing, stage };
    if age_ms >= rules.urgent_ms {
        return at_market(ReducingStage::Urgent);
    }
    let fresh = best.filter(|(_, quote_age_ms)| *quote_age_ms <= rules.quote_age_ms_max);
    let Some((best, _)) = fresh else { return at_market(ReducingStage::NoQuote) };
    let price = |waited_ms: i64| give_way(instrument, side, best.price, waited_ms, rules).map(OrderPrice::Limit);
    let (price, quantity, stage) = if age_ms <= rules.patient_ms {
        (price(0), offered(instrument, missing, best.quantity), ReducingStage::Patient)
    } else {
        (price(age_ms - rules.patient_ms), missing, ReducingStage::GivingWay)
    };
    // A price that does not fit 64 bits is no price.
    price.map_or_else(|| at_market(ReducingStage::NoQuote), |price| ReducingOrder { price, quantity, stage })
}

/// What is offered of what is missing, such that neither the order nor the rest is below the smallest order: what is
/// smaller could never be sent.
fn offered(instrument: &Instrument, missing: Quantity, offered: Quantity) -> Quantity {
    let least = instrument.min_quantity.max(instrument.lot);
    let is_split = |quantity: &Quantity| {
        let rest = missing.minus(*quantity).unwrap_or(Quantity::ZERO);
        *quantity >= least && (rest.is_zero() || rest >= least)
    };
    let most = missing.min(offered).floor_to(instrument.lot);
    let less = missing.minus(least).map_or(Quantity::ZERO, |rest| rest.min(most).floor_to(instrument.lot));
    [most, less].into_iter().find(is_split).unwrap_or(missing)
}

/// The best price, worse by a share that grows with the wait; on the tick and in the instrument's range.
/// None where a number does not fit.
fn give_way(instrument: &Instrument, side: Side, best: Price, waited_ms: i64, rules: &ReducingRules) -> Option<Price> {
    let span = (rules.urgent_ms - rules.patient_ms).max(1);
    let ppm = rules.give_way_ppm_max.checked_mul(waited_ms)?.checked_div(span)?;
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

    fn level(price: &str, quantity: &str) -> Level {
        Level { price: price.parse().expect("a price"), quantity: quantity.parse().expect("a quantity") }
    }

    #[track_caller]
    fn check(side: Side, best: Level, age_ms: i64, expected: (Option<&str>, &str, ReducingStage)) {
        let missing = (side, "100".parse().expect("a quantity"));
        let order = reducing_order(&instrument(), missing, Some((best, 10)), age_ms, &ReducingRules::default());
        let price = match order.price {
            OrderPrice::Market => None,
            OrderPrice::Limit(price) => Some(price.to_string()),
        };
        assert_eq!((price.as_deref(), order.quantity.to_string().as_str(), order.stage), expected, "after {age_ms} ms");
    }

    #[test]
    fn price_gives_way_as_the_command_grows_old() {
        use ReducingStage::{GivingWay, Patient, Urgent};
        let (bid, ask) = (level("0.55", "40.7"), level("0.57", "300"));
        check(Side::Sell, bid, 0, (Some("0.55"), "40", Patient));
        check(Side::Sell, bid, 2_000, (Some("0.55"), "40", Patient));
        check(Side::Sell, bid, 6_000, (Some("0.54"), "100", GivingWay));
        check(Side::Sell, bid, 9_999, (Some("0.53"), "100", GivingWay));
        check(Side::Sell, bid, 10_000, (None, "100", Urgent));
        check(Side::Buy, ask, 1_000, (Some("0.57"), "100", Patient));
        check(Side::Buy, ask, 6_000, (Some("0.58"), "100", GivingWay));
        // Off the tick, and at the edges of the range.
        check(Side::Sell, level("0.553", "300"), 0, (Some("0.55"), "100", Patient));
        check(Side::Buy, level("0.553", "300"), 0, (Some("0.56"), "100", Patient));
        check(Side::Sell, level("0.01", "40"), 9_000, (Some("0.01"), "100", GivingWay));
        check(Side::Buy, level("0.99", "40"), 9_000, (Some("0.99"), "100", GivingWay));
    }

    #[test]
    fn no_piece_is_below_the_smallest_order() {
        use ReducingStage::Patient;
        // 4 are less than the smallest order: all of it, what is there fills. 98 would leave 2, so 95 go.
        check(Side::Sell, level("0.55", "4"), 0, (Some("0.55"), "100", Patient));
        check(Side::Sell, level("0.55", "98"), 0, (Some("0.55"), "95", Patient));
        check(Side::Sell, level("0.55", "95"), 0, (Some("0.55"), "95", Patient));
        let few = (Side::Sell, "7".parse().expect("a quantity"));
        let order = reducing_order(&instrument(), few, Some((level("0.55", "6"), 0)), 0, &ReducingRules::default());
        assert_eq!(order.quantity, few.1, "6 and 1 cannot both be sent");
    }

    #[test]
    fn without_a_quote_the_gate_decides_the_price() {
        let missing = (Side::Sell, "100".parse().expect("a quantity"));
        for old in [None, Some((level("0.55", "40"), 5_001))] {
            let order = reducing_order(&instrument(), missing, old, 0, &ReducingRules::default());
            assert_eq!((order.price, order.stage), (OrderPrice::Market, ReducingStage::NoQuote));
        }
        // Rules without a span in between go from patience to market.
        let abrupt = ReducingRules { urgent_ms: 2_000, ..ReducingRules::default() };
        let order = reducing_order(&instrument(), missing, Some((level("0.55", "40"), 0)), 2_000, &abrupt);
        assert_eq!(order.stage, ReducingStage::Urgent);
    }
}
