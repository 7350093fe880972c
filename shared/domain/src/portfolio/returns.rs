//! A return: profit as a share of capital, an integer like money.

use super::{moments::ratio, undefined::Undefined};
use crate::money::{Money, Overflow};

/// How many units make a return of 1 (100 %): 1e-12 each, finer than a micro of a million.
pub const RETURN_UNIT: i64 = 1_000_000_000_000;

/// Profit as a share of capital over one interval; signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Return(i64);

impl Return {
    /// Neither won nor lost.
    pub const ZERO: Self = Self(0);

    /// 1,000 times the capital; its negative is the smallest. With them no sum over a window overflows.
    pub const LARGEST: Self = Self(1_000 * RETURN_UNIT);

    /// `units` times 1e-12.
    ///
    /// # Errors
    /// [`Undefined::OutOfRange`] beyond [`Return::LARGEST`] either way.
    pub const fn from_units(units: i64) -> Result<Self, Undefined> {
        if units.unsigned_abs() > Self::LARGEST.0.unsigned_abs() { Err(Undefined::OutOfRange) } else { Ok(Self(units)) }
    }

    /// `pnl` as a share of `capital`, rounded down (against the account). What was
    /// paid in or out is no profit: leave it out of `pnl`.
    ///
    /// ```
    /// use tragen_domain::{money::Money, portfolio::Return};
    /// let money = |text: &str| text.parse::<Money>().unwrap();
    /// assert_eq!(Return::of(money("-250"), money("10000")).unwrap().as_f64(), -0.025);
    /// ```
    ///
    /// # Errors
    /// [`Undefined::NoCapital`] when `capital` is not above zero, [`Undefined::OutOfRange`].
    pub fn of(pnl: Money, capital: Money) -> Result<Self, Undefined> {
        if capital <= Money::ZERO {
            return Err(Undefined::NoCapital);
        }
        let product = i128::from(pnl.micros()) * i128::from(RETURN_UNIT);
        let units = product.div_euclid(i128::from(capital.micros()));
        Self::from_units(i64::try_from(units).map_err(|_| Undefined::OutOfRange)?)
    }

    /// From equity `start` to `end` with `flow` paid in (negative: out) between: `(end - flow - start) / start`.
    ///
    /// # Errors
    /// [`Undefined::NoCapital`], [`Undefined::OutOfRange`], [`Undefined::Overflow`].
    pub fn between(start: Money, end: Money, flow: Money) -> Result<Self, Undefined> {
        let pnl = end.minus(flow).and_then(|own| own.minus(start));
        Self::of(pnl.map_err(|Overflow| Undefined::Overflow(Overflow))?, start)
    }

    /// Number of 1e-12.
    #[must_use]
    pub const fn units(self) -> i64 {
        self.0
    }

    /// As a float: 0.01 is one percent.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        ratio(self.0.into(), RETURN_UNIT.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_are_shares_of_capital() {
        let check = |pnl: i64, capital: i64, expected: Result<i64, Undefined>| {
            assert_eq!(Return::of(Money::from_micros(pnl), Money::from_micros(capital)).map(Return::units), expected);
        };
        check(1, 3, Ok(333_333_333_333));
        check(-1, 3, Ok(-333_333_333_334));
        check(-7, 2, Ok(-3_500_000_000_000));
        check(1_000, 1, Ok(1_000_000_000_000_000));
        check(1_001, 1, Err(Undefined::OutOfRange));
        check(i64::MIN, 1, Err(Undefined::OutOfRange));
        check(1, 0, Err(Undefined::NoCapital));
        check(1, -5, Err(Undefined::NoCapital));
    }

    #[test]
    fn a_deposit_is_no_return() {
        let money = Money::from_micros;
        let between = |start, end, flow| Return::between(money(start), money(end), money(flow)).map(Return::units);
        assert_eq!(between(100, 151, 50), Ok(10_000_000_000));
        assert_eq!(between(100, 48, -50), Ok(-20_000_000_000));
        assert_eq!(between(100, i64::MIN, 50), Err(Undefined::Overflow(Overflow)));
    }
}
