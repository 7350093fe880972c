//! What would be lost if every open position ended at its stop, and how much more
//! may be risked.

use super::{moments::check_points, undefined::Undefined};
use crate::{
    instrument::SettlementStyle,
    money::{Money, Overflow, Price, Rounding},
    position::Position,
};

/// Basis points of a whole.
const WHOLE_BPS: i64 = 10_000;
/// Without a stop, a price is expected to go against us by so many average true ranges at most.
const RANGES_WITHOUT_STOP: i64 = 3;

/// What ends a position that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protection {
    /// A stop at this price.
    Stop(Price),
    /// No stop; the average true range over 14 bars is this.
    AverageRange(Price),
    /// No stop, and nothing known of how far the price moves.
    None,
}

/// What the position loses of its entry when its protection ends it, >= 0, rounded up.
///
/// With a stop: entry less stop, times quantity (0 once the stop is in profit).
/// Without: three average true ranges, or all that was paid. A prediction always
/// risks all of its cost, fees included: there may be nobody to sell to.
///
/// ```
/// use tragen_domain::{instrument::SettlementStyle, portfolio::{loss_at_stop, Protection}, position::Position};
/// // 100,000 bought at 1.1 with a stop 50 pips below.
/// let position = Position {
///     quantity: "100000".parse().unwrap(),
///     entry_notional: "110000".parse().unwrap(),
///     ..Position::default()
/// };
/// let stop = Protection::Stop("1.095".parse().unwrap());
/// assert_eq!(loss_at_stop(&position, SettlementStyle::Margined, stop).unwrap().to_string(), "500");
/// ```
///
/// # Errors
/// [`Overflow`].
pub fn loss_at_stop(position: &Position, style: SettlementStyle, protection: Protection) -> Result<Money, Overflow> {
    let held = position.quantity.magnitude()?;
    let is_short = position.quantity.is_negative();
    let loss = match (style, protection) {
        (SettlementStyle::Prediction, _) if is_short => {
            Money::from_micros(held.micros()).minus(position.entry_notional)?.plus(position.fees)?
        }
        (SettlementStyle::Prediction, _) => position.entry_notional.plus(position.fees)?,
        (SettlementStyle::Spot | SettlementStyle::Margined, Protection::Stop(stop)) if is_short => {
            stop.times(held, Rounding::Up)?.minus(position.entry_notional)?
        }
        (SettlementStyle::Spot | SettlementStyle::Margined, Protection::Stop(stop)) => {
            position.entry_notional.minus(stop.times(held, Rounding::Down)?)?
        }
        (SettlementStyle::Spot | SettlementStyle::Margined, Protection::AverageRange(range)) => {
            range.times(held, Rounding::Up)?.scaled(RANGES_WITHOUT_STOP, 1, Rounding::Up)?
        }
        (SettlementStyle::Spot | SettlementStyle::Margined, Protection::None) => position.entry_notional,
    };
    Ok(loss.max(Money::ZERO))
}

/// The gross open risk of a group: the sum of losses at stop, hedges not deducted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct OpenRisk {
    gross: Money,
}

impl OpenRisk {
    /// A position's loss at stop changed from `before` to `after`: O(1).
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn change(&mut self, before: Money, after: Money) -> Result<(), Overflow> {
        self.gross = self.gross.minus(before)?.plus(after)?;
        Ok(())
    }

    /// The sum, >= 0.
    #[must_use]
    pub const fn gross(&self) -> Money {
        self.gross
    }

    /// How much more may be risked before `limit_bps` basis points of `capital` are, >= 0,
    /// rounded down. New risk up to exactly this is allowed; more may be scaled down to it.
    ///
    /// Example: of 100,000 with 1,700 at risk and 2 % allowed, 300 are left.
    ///
    /// # Errors
    /// [`Undefined::NoCapital`] when `capital` is not above zero, [`Undefined::Overflow`].
    pub fn headroom(&self, capital: Money, limit_bps: i64) -> Result<Money, Undefined> {
        if capital <= Money::ZERO {
            return Err(Undefined::NoCapital);
        }
        let allowed = capital.scaled(limit_bps, WHOLE_BPS, Rounding::Down)?;
        Ok(allowed.minus(self.gross)?.max(Money::ZERO))
    }
}

/// Open risk with hedges deducted: `sqrt(r' C r)` with `r` the signed loss at stop of
/// each position (negative: short) and `C` their correlations. For reports; limits use the gross sum.
///
/// Example: 300 and -200 that are correlated by 0.8 are 100 x sqrt(9 + 4 - 9.6).
///
/// # Errors
/// [`Undefined`] of a correlation that is missing, [`Undefined::OutOfRange`],
/// [`Undefined::TooFewPoints`] without a position.
pub fn net_risk(
    signed_losses: &[f64],
    mut correlation_of: impl FnMut(usize, usize) -> Result<f64, Undefined>,
) -> Result<f64, Undefined> {
    check_points(signed_losses, 1)?;
    let mut variance = 0.0;
    for (i, left) in signed_losses.iter().enumerate() {
        variance += left * left;
        for (j, right) in signed_losses[..i].iter().enumerate() {
            variance += 2.0 * left * right * correlation_of(i, j)?;
        }
    }
    // Correlations over different intervals need not fit together: a sum below zero is no risk.
    if variance.is_finite() { Ok(variance.max(0.0).sqrt()) } else { Err(Undefined::OutOfRange) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protection::{AverageRange, Stop};
    use SettlementStyle::{Margined, Prediction, Spot};

    fn check(style: SettlementStyle, [quantity, entry, fees]: [&str; 3], protection: Protection, expected: &str) {
        let position = Position {
            quantity: quantity.parse().expect("a quantity"),
            entry_notional: entry.parse().expect("an amount"),
            fees: fees.parse().expect("an amount"),
            ..Position::default()
        };
        let loss = loss_at_stop(&position, style, protection).expect("fits");
        assert_eq!(loss.to_string(), expected, "{style:?} {quantity} {protection:?}");
    }

    fn price(text: &str) -> Price {
        text.parse().expect("a price")
    }

    #[test]
    fn protection_bounds_what_is_lost() {
        check(Margined, ["-1000", "1300", "1"], Stop(price("1.31")), "10");
        check(Margined, ["1000", "1300", "1"], Stop(price("1.31")), "0");
        check(Spot, ["2", "100", "0"], Stop(price("45")), "10");
        check(Spot, ["2", "100", "0"], Protection::None, "100");
        check(Margined, ["-2", "100", "0"], AverageRange(price("4")), "24");
        check(Prediction, ["100", "55", "0.75"], Stop(price("0.5")), "55.75");
        check(Prediction, ["-100", "55", "0.75"], Protection::None, "45.75");
    }

    #[test]
    fn headroom_is_what_the_limit_leaves() {
        let money = |text: &str| text.parse::<Money>().expect("an amount");
        let check = |capital: &str, open: &str, expected: Result<&str, Undefined>| {
            let mut risk = OpenRisk::default();
            risk.change(Money::ZERO, money(open)).expect("fits");
            assert_eq!(risk.headroom(money(capital), 200), expected.map(money), "{open} of {capital}");
        };
        check("100000", "1700", Ok("300"));
        check("100000", "1900", Ok("100"));
        check("100000", "2000", Ok("0"));
        check("100000", "2500", Ok("0"));
        check("0", "0", Err(Undefined::NoCapital));
    }

    #[test]
    fn hedges_lower_the_net_risk() {
        let check = |rho: f64, expected: f64| {
            let got = net_risk(&[300.0, -200.0], |_, _| Ok(rho)).expect("defined");
            assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
        };
        check(0.0, 130_000.0_f64.sqrt());
        check(0.8, 34_000.0_f64.sqrt());
        check(1.0, 100.0);
        check(-1.0, 500.0);
        assert_eq!(net_risk(&[1.0, 1.0], |_, _| Err(Undefined::NoVariance)), Err(Undefined::NoVariance));
        assert_eq!(net_risk(&[], |_, _| Ok(0.0)), Err(Undefined::TooFewPoints { needed: 1, have: 0 }));
    }
}
