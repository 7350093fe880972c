//! What a decided or void market does to a position: it ends, and with it what it holds.

use super::{FillEffect, Position};
use crate::{
    instrument::{SettlementStyle, SettlementTerms},
    money::{Money, Overflow, Price, Quantity},
    order::Side,
};

impl Position {
    /// Closes all of it at `value`, without a fee; a short prediction gets
    /// `1 - value` per contract. A flat position stays flat.
    ///
    /// ```
    /// use tragen_domain::{position::Position, money::Money};
    /// # use tragen_domain::{id::*, instrument::*};
    /// # let terms = SettlementTerms { style: SettlementStyle::Prediction, currency: Currency::new("USD").unwrap(), initial_margin_ppm: 0 };
    /// // 100 contracts bought at 0.55, and the outcome happened.
    /// let mut position = Position {
    ///     quantity: "100".parse().unwrap(),
    ///     entry_notional: "55".parse().unwrap(),
    ///     ..Position::default()
    /// };
    /// let effect = position.settle("1".parse().unwrap(), &terms).unwrap();
    /// assert_eq!((effect.proceeds.to_string(), effect.realized_pnl.to_string()), ("100".into(), "45".into()));
    /// assert!(position.quantity.is_zero());
    /// ```
    ///
    /// # Errors
    /// [`Overflow`]; the position is unchanged then.
    pub fn settle(&mut self, value: Price, terms: &SettlementTerms) -> Result<FillEffect, Overflow> {
        let held = self.quantity.magnitude()?;
        let mut effect = FillEffect::default();
        if held.is_zero() {
            return Ok(effect);
        }
        let side = if self.quantity.is_negative() { Side::Buy } else { Side::Sell };
        let mut next = *self;
        next.close(side, value, held, terms, &mut effect)?;
        *self = next;
        Ok(effect)
    }

    /// Gives back what the open position cost, or the margin held for it, as if
    /// it had never been opened; fees and what was realized earlier stay.
    ///
    /// # Errors
    /// [`Overflow`]; the position is unchanged then.
    pub fn refund(&mut self, terms: &SettlementTerms) -> Result<FillEffect, Overflow> {
        let held = self.quantity.magnitude()?;
        let proceeds = match terms.style {
            // A short has paid one minus the price of each contract.
            SettlementStyle::Prediction if self.quantity.is_negative() => {
                face_value(held).minus(self.entry_notional)?
            }
            SettlementStyle::Prediction | SettlementStyle::Spot => self.entry_notional,
            SettlementStyle::Margined => Money::ZERO,
        };
        let effect = FillEffect { proceeds, margin_released: self.margin, ..FillEffect::default() };
        *self = Self { realized_pnl: self.realized_pnl, fees: self.fees, ..Self::default() };
        Ok(effect)
    }
}

/// What `quantity` prediction contracts pay at most: one each.
const fn face_value(quantity: Quantity) -> Money {
    Money::from_micros(quantity.micros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Currency;

    const fn whole(count: i64) -> i64 {
        count * 1_000_000
    }

    /// A position of `[quantity, entry_notional, margin]` ends with `[proceeds, margin_released, realized_pnl]`,
    /// all in micros, at `value` or void.
    fn check(style: SettlementStyle, [quantity, entry, margin]: [i64; 3], value: Option<i64>, expected: [i64; 3]) {
        let currency = Currency::new("USD").expect("a currency");
        let terms = SettlementTerms { style, currency, initial_margin_ppm: 100_000 };
        let (earlier, fees) = (Money::from_micros(7), Money::from_micros(3));
        let mut position = Position {
            quantity: Quantity::from_micros(quantity),
            entry_notional: Money::from_micros(entry),
            margin: Money::from_micros(margin),
            realized_pnl: earlier,
            fees,
        };
        let effect = match value {
            Some(value) => position.settle(Price::from_micros(value), &terms),
            None => position.refund(&terms),
        };
        let effect = effect.expect("fits");
        let actual = [effect.proceeds, effect.margin_released, effect.realized_pnl].map(Money::micros);
        assert_eq!(actual, expected, "{style:?} {quantity} at {value:?}");
        assert_eq!([effect.cost, effect.margin_held, effect.fee], [Money::ZERO; 3]);
        let realized_pnl = earlier.plus(effect.realized_pnl).expect("fits");
        assert_eq!(position, Position { realized_pnl, fees, ..Position::default() });
    }

    #[test]
    fn a_decided_market_pays_each_side_its_value() {
        use SettlementStyle::{Margined, Prediction, Spot};
        let (long, short) = ([whole(100), whole(55), 0], [whole(-100), whole(55), 0]);
        check(Prediction, long, Some(1_000_000), [whole(100), 0, whole(45)]);
        check(Prediction, long, Some(0), [0, 0, whole(-55)]);
        check(Prediction, long, Some(500_000), [whole(50), 0, whole(-5)]);
        check(Prediction, short, Some(1_000_000), [0, 0, whole(-45)]);
        check(Prediction, short, Some(0), [whole(100), 0, whole(55)]);
        check(Prediction, short, Some(370_000), [whole(63), 0, whole(18)]);
        // Fractions of a micro go to the venue.
        check(Prediction, [1, 0, 0], Some(999_999), [0, 0, 0]);
        check(Prediction, [-1, 0, 0], Some(1), [0, 0, -1]);
        check(Spot, [whole(3), whole(30), 0], Some(whole(12)), [whole(36), 0, whole(6)]);
        check(Margined, [whole(3), whole(30), whole(3)], Some(whole(12)), [0, whole(3), whole(6)]);
        check(Margined, [whole(-3), whole(30), whole(3)], Some(whole(12)), [0, whole(3), whole(-6)]);
        check(Prediction, [0, 0, 0], Some(1_000_000), [0, 0, 0]);
    }

    #[test]
    fn a_void_market_gives_back_what_was_paid() {
        use SettlementStyle::{Margined, Prediction, Spot};
        check(Prediction, [whole(100), whole(55), 0], None, [whole(55), 0, 0]);
        check(Prediction, [whole(-100), whole(55), 0], None, [whole(45), 0, 0]);
        check(Spot, [whole(3), whole(30), 0], None, [whole(30), 0, 0]);
        check(Margined, [whole(-3), whole(30), whole(3)], None, [0, whole(3), 0]);
        check(Margined, [0, 0, 0], None, [0, 0, 0]);
    }
}
