//! From a signal to an order: how large a configured agent's position may be, and what is missing to it.

use super::personality::Personality;
use super::signal::{Direction, Reason, Signal};
use super::sizing::{LotRule, StopRisk, stop_risk_quantity};
use crate::instrument::{Instrument, SettlementStyle};
use crate::money::{Fixed, Quantity};
use crate::order::Side;

/// Share of an account's cash that one position may use; the rest pays fees and losses.
pub const CASH_SHARE_MAX: f64 = 0.9;
/// Largest position of an agent in multiples of its cash, whatever the margin would allow.
pub const LEVERAGE_MAX: f64 = 0.5;

/// The order between what is held and what the signal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebalance {
    /// Which way.
    pub side: Side,
    /// How much, > 0, on the lot.
    pub quantity: Quantity,
    /// Whether it only closes.
    pub is_reduce_only: bool,
}

/// What to order, given the account's `cash` (units of the currency) and signed `position`; `None` for nothing.
///
/// An agent that is on the right side already keeps what it has, until its rule says [`Reason::Resize`]. A spot instrument cannot be sold short, so a short
/// signal closes it. A signal that is less sure than the personality asks for opens and enlarges nothing: it only closes
/// what is held on the other side, or makes it smaller.
#[must_use]
pub fn rebalance(
    personality: &Personality,
    instrument: &Instrument,
    signal: &Signal,
    cash: f64,
    position: Quantity,
) -> Option<Rebalance> {
    let side = i64::from(signal.direction());
    let is_on_side = side != 0 && side == position.micros().signum();
    if is_on_side && signal.reason != Some(Reason::Resize) {
        return None;
    }
    let sized = || size(personality, instrument, signal, cash).map(Quantity::micros);
    let wanted = match signal.target {
        None => Some(0),
        Some(Direction::Short) if instrument.settlement.style == SettlementStyle::Spot => Some(0),
        Some(Direction::Long) => sized(),
        Some(Direction::Short) => sized().map(|quantity| -quantity),
    };
    // Too little to hold anything on the new side: what is held on the other one is closed all the same.
    let is_against = side != 0 && side == -position.micros().signum();
    let wanted = wanted.or_else(|| is_against.then_some(0))?;
    let wanted = if is_sure_enough(personality, signal) { wanted } else { within(wanted, position.micros()) };
    let change = wanted.checked_sub(position.micros())?;
    let quantity = Quantity::from_micros(change.checked_abs()?).floor_to(instrument.lot);
    if quantity < instrument.min_quantity {
        return None;
    }
    let side = if change > 0 { Side::Buy } else { Side::Sell };
    let is_reduce_only = wanted == 0 || (is_on_side && wanted.abs() < position.micros().abs());
    Some(Rebalance { side, quantity: quantity.min(instrument.max_quantity), is_reduce_only })
}

/// Whether the agent would open something on the signal.
#[must_use]
pub fn is_sure_enough(personality: &Personality, signal: &Signal) -> bool {
    signal.confidence_ppm.is_none_or(|confidence| confidence >= personality.min_confidence_ppm())
}

/// What is wanted of what is held, and nothing more.
fn within(wanted: i64, held: i64) -> i64 {
    if held >= 0 { wanted.clamp(0, held) } else { wanted.clamp(held, 0) }
}

/// Quantity that has the signal's exposure or else loses the personality's risk at the stop, within what the cash can
/// carry.
fn size(personality: &Personality, instrument: &Instrument, signal: &Signal, cash: f64) -> Option<Quantity> {
    let margin = match instrument.settlement.style {
        SettlementStyle::Margined => units(Quantity::from_micros(instrument.settlement.initial_margin_ppm)),
        SettlementStyle::Prediction | SettlementStyle::Spot => 1.0,
    };
    let cash = cash.max(0.0);
    let affordable = cash * (CASH_SHARE_MAX / margin.max(1e-6)).min(LEVERAGE_MAX) / signal.reference_price;
    if let Some(exposure) = signal.exposure {
        let quantity = (cash * exposure / signal.reference_price).min(affordable);
        return on_lot(quantity.min(units(instrument.max_quantity)), instrument);
    }
    let risk = StopRisk {
        capital: cash,
        risk_per_trade: personality.risk_per_trade(),
        entry: signal.reference_price,
        stop: signal.stop_price?,
        point_value: 1.0,
    };
    let lots = LotRule {
        min_quantity: units(instrument.min_quantity),
        max_quantity: units(instrument.max_quantity).min(affordable),
        step: units(instrument.lot),
    };
    on_lot(stop_risk_quantity(&risk, &lots).ok()?, instrument)
}

/// An estimate as a quantity, down to the lot.
fn on_lot(quantity: f64, instrument: &Instrument) -> Option<Quantity> {
    let quantity: Quantity = format!("{quantity:.6}").parse().ok()?;
    Some(quantity.floor_to(instrument.lot))
}

#[expect(clippy::cast_precision_loss, reason = "sizes are estimates; 2^53 micros are nine thousand million")]
fn units<U>(fixed: Fixed<U>) -> f64 {
    fixed.micros() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::personality::AnalysisStyle;
    use crate::id::{Currency, InstrumentId};
    use crate::instrument::{InstrumentStatus, SettlementTerms};

    fn instrument(style: SettlementStyle) -> Instrument {
        let currency = Currency::new("USD").expect("a currency");
        Instrument {
            id: InstrumentId::new("X").expect("an id"),
            name: "X".to_owned(),
            settlement: SettlementTerms { style, currency, initial_margin_ppm: 100_000 },
            tick: "0.01".parse().expect("a price"),
            lot: "1".parse().expect("a quantity"),
            min_quantity: "1".parse().expect("a quantity"),
            max_quantity: "1000".parse().expect("a quantity"),
            min_price: "0.01".parse().expect("a price"),
            max_price: "1000".parse().expect("a price"),
            taker_fee_ppm: 0,
            status: InstrumentStatus::Open,
            prediction: None,
            max_quote_age_ms: None,
        }
    }

    /// `side quantity reduce-only` of the order at price 10 with a stop at 9.
    fn check(
        style: SettlementStyle,
        target: Option<Direction>,
        cash: f64,
        held: &str,
        expected: Option<(Side, &str, bool)>,
    ) {
        let personality = Personality::new(10, AnalysisStyle::Swing, 10).expect("valid");
        let stop_price = target.map(|_| 9.0);
        let signal = Signal {
            target,
            reason: None,
            reference_price: 10.0,
            stop_price,
            exposure: None,
            confidence_ppm: None,
            closed: None,
        };
        let order = rebalance(&personality, &instrument(style), &signal, cash, held.parse().expect("a quantity"));
        let order = order.map(|o| (o.side, o.quantity.to_string(), o.is_reduce_only));
        assert_eq!(order, expected.map(|(side, quantity, reduces)| (side, quantity.to_owned(), reduces)));
    }

    #[test]
    fn a_position_is_sized_by_risk_within_the_cash() {
        use {Direction::*, SettlementStyle::*, Side::*};
        // 1.825 % of 1,000 at a distance of 1 is 18.25; half of the cash buys 50.
        check(Margined, Some(Long), 1_000.0, "0", Some((Buy, "18", false)));
        check(Margined, Some(Short), 1_000.0, "0", Some((Sell, "18", false)));
        // A flip is one order; who is on the right side stays; flat closes.
        check(Margined, Some(Short), 1_000.0, "5", Some((Sell, "23", false)));
        check(Margined, Some(Long), 1_000.0, "5", None);
        check(Margined, None, 1_000.0, "-5", Some((Buy, "5", true)));
        check(Margined, None, 1_000.0, "0", None);
        // No short of what can only be held, and nothing without cash.
        check(Spot, Some(Short), 1_000.0, "0", None);
        check(Spot, Some(Short), 1_000.0, "7", Some((Sell, "7", true)));
        check(Margined, Some(Long), 0.0, "0", None);
        // Too little for the other side still closes this one, and keeps what is on the right side.
        check(Margined, Some(Short), 1.0, "5", Some((Sell, "5", true)));
        check(Margined, Some(Long), 1.0, "5", None);
        // The largest order of the instrument.
        check(Margined, Some(Long), 1e6, "0", Some((Buy, "1000", false)));
    }

    #[test]
    fn a_position_sized_by_exposure_is_resized_only_when_its_rule_says_so() {
        let check = |reason: Option<Reason>, exposure: f64, held: &str, expected: Option<(Side, &str, bool)>| {
            let personality = Personality::new(5, AnalysisStyle::Conservative, 10).expect("valid");
            let signal = Signal {
                target: Some(Direction::Long),
                reason,
                reference_price: 10.0,
                stop_price: None,
                exposure: Some(exposure),
                confidence_ppm: Some(1_000_000),
                closed: None,
            };
            let held = held.parse().expect("a quantity");
            let order = rebalance(&personality, &instrument(SettlementStyle::Margined), &signal, 1_000.0, held);
            let order = order.map(|o| (o.side, o.quantity.to_string(), o.is_reduce_only));
            assert_eq!(order, expected.map(|(side, quantity, reduces)| (side, quantity.to_owned(), reduces)));
        };
        check(Some(Reason::Entry), 0.4, "0", Some((Side::Buy, "40", false)));
        check(None, 0.4, "30", None);
        check(Some(Reason::Resize), 0.4, "30", Some((Side::Buy, "10", false)));
        check(Some(Reason::Resize), 0.2, "30", Some((Side::Sell, "10", true)));
        // Never above half of the cash.
        check(Some(Reason::Entry), 3.0, "-10", Some((Side::Buy, "60", false)));
    }

    #[test]
    fn a_signal_that_is_not_sure_enough_opens_and_enlarges_nothing() {
        let check = |confidence_ppm: Option<u32>, exposure: f64, held: &str, expected: Option<(Side, &str, bool)>| {
            // Asks for 0.65.
            let personality = Personality::new(5, AnalysisStyle::Conservative, 10).expect("valid");
            let signal = Signal {
                target: Some(Direction::Long),
                reason: Some(Reason::Resize),
                reference_price: 10.0,
                stop_price: None,
                exposure: Some(exposure),
                confidence_ppm,
                closed: None,
            };
            assert_eq!(is_sure_enough(&personality, &signal), confidence_ppm.is_none_or(|own| own >= 650_000));
            let held = held.parse().expect("a quantity");
            let order = rebalance(&personality, &instrument(SettlementStyle::Margined), &signal, 1_000.0, held);
            let order = order.map(|o| (o.side, o.quantity.to_string(), o.is_reduce_only));
            assert_eq!(order, expected.map(|(side, quantity, reduces)| (side, quantity.to_owned(), reduces)));
        };
        check(Some(650_000), 0.4, "0", Some((Side::Buy, "40", false)));
        check(Some(649_999), 0.4, "0", None);
        check(Some(650_000), 0.4, "30", Some((Side::Buy, "10", false)));
        check(Some(649_999), 0.4, "30", None);
        // Smaller is always allowed, and so is leaving the other side.
        check(Some(649_999), 0.2, "30", Some((Side::Sell, "10", true)));
        check(Some(649_999), 0.2, "-30", Some((Side::Buy, "30", true)));
        check(None, 0.4, "0", Some((Side::Buy, "40", false)));
    }
}
