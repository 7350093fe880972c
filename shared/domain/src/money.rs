//! Money, prices and quantities: integers of 1e-6, never floats. Products go
//! through `i128`, overflow is an error, and every rounding is named.

use std::{fmt, marker::PhantomData, str::FromStr};

/// How many micros make one.
pub const ONE: i64 = 1_000_000;

/// A number of 1e-6 of a unit; the unit is part of the type.
///
/// ```
/// use tragen_domain::money::{Money, Price, Quantity, Rounding};
/// let price: Price = "0.55".parse().unwrap();
/// let quantity: Quantity = "10".parse().unwrap();
/// let cost: Money = price.times(quantity, Rounding::Up).unwrap();
/// assert_eq!(cost.to_string(), "5.5");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fixed<U> {
    micros: i64,
    unit: PhantomData<U>,
}

/// Marks an amount of a currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MoneyUnit;
/// Marks a price: currency for one contract or base unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceUnit;
/// Marks a quantity: contracts or base units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuantityUnit;

/// An amount of a currency, signed.
pub type Money = Fixed<MoneyUnit>;
/// A price in the quote currency.
pub type Price = Fixed<PriceUnit>;
/// A quantity, signed where it is a position.
pub type Quantity = Fixed<QuantityUnit>;

/// Where a product that is not a whole number of micros goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To the next micro toward plus infinity: what an account pays.
    Up,
    /// To the next micro toward minus infinity: what an account receives.
    Down,
}

/// A result does not fit 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount does not fit 64 bits of micros")]
pub struct Overflow;

impl<U> Fixed<U> {
    /// Nothing.
    pub const ZERO: Self = Self::from_micros(0);

    /// `micros` times 1e-6.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self { micros, unit: PhantomData }
    }

    /// The number of 1e-6.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.micros
    }

    /// Whether it is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.micros < 0
    }

    /// Whether it is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.micros == 0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        self.micros.checked_add(other.micros).map(Self::from_micros).ok_or(Overflow)
    }

    /// The difference.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn minus(self, other: Self) -> Result<Self, Overflow> {
        self.micros.checked_sub(other.micros).map(Self::from_micros).ok_or(Overflow)
    }

    /// The same size with the other sign.
    ///
    /// # Errors
    /// [`Overflow`] for the smallest `i64`.
    pub fn negated(self) -> Result<Self, Overflow> {
        self.micros.checked_neg().map(Self::from_micros).ok_or(Overflow)
    }

    /// The size without the sign.
    ///
    /// # Errors
    /// [`Overflow`] for the smallest `i64`.
    pub fn magnitude(self) -> Result<Self, Overflow> {
        self.micros.checked_abs().map(Self::from_micros).ok_or(Overflow)
    }

    /// `self * numerator / denominator`, the intermediate in 128 bits.
    ///
    /// # Errors
    /// [`Overflow`], also for a denominator that is not positive.
    pub fn scaled(self, numerator: i64, denominator: i64, rounding: Rounding) -> Result<Self, Overflow> {
        divided(i128::from(self.micros) * i128::from(numerator), denominator, rounding).map(Self::from_micros)
    }

    /// The share `ppm` parts per million of it.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn ppm(self, ppm: i64, rounding: Rounding) -> Result<Self, Overflow> {
        self.scaled(ppm, ONE, rounding)
    }

    /// The largest multiple of `step` that is not above it (toward minus infinity).
    #[must_use]
    pub fn floor_to(self, step: Self) -> Self {
        if step.micros <= 0 {
            return self;
        }
        Self::from_micros(self.micros - self.micros.rem_euclid(step.micros))
    }

    /// Whether it is a whole number of `step`.
    #[must_use]
    pub fn is_multiple_of(self, step: Self) -> bool {
        step.micros > 0 && self.micros % step.micros == 0
    }
}

impl Price {
    /// Money for `quantity` at this price.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn times(self, quantity: Quantity, rounding: Rounding) -> Result<Money, Overflow> {
        divided(i128::from(self.micros) * i128::from(quantity.micros), ONE, rounding).map(Money::from_micros)
    }

    /// One minus the price: what the opposite outcome of a prediction costs.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn opposite(self) -> Result<Self, Overflow> {
        Self::from_micros(ONE).minus(self)
    }
}

fn divided(product: i128, denominator: i64, rounding: Rounding) -> Result<i64, Overflow> {
    if denominator <= 0 {
        return Err(Overflow);
    }
    let denominator = i128::from(denominator);
    let floor = product.div_euclid(denominator);
    let is_exact = product.rem_euclid(denominator) == 0;
    let quotient = match rounding {
        Rounding::Up if !is_exact => floor + 1,
        Rounding::Up | Rounding::Down => floor,
    };
    i64::try_from(quotient).map_err(|_| Overflow)
}

/// Why a text is not a decimal number of micros.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not of the form `-12.345678`.
    #[error("{text:?} is not a decimal number such as 0.55")]
    Malformed {
        /// What was given.
        text: String,
    },
    /// More than six decimals.
    #[error("{text:?} has more than 6 decimals")]
    TooPrecise {
        /// What was given.
        text: String,
    },
    /// Does not fit 64 bits of micros.
    #[error("{text:?} is too large")]
    TooLarge {
        /// What was given.
        text: String,
    },
}

impl<U> FromStr for Fixed<U> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let malformed = || ParseError::Malformed { text: text.to_owned() };
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return Err(malformed());
        }
        let significant = fraction.trim_end_matches('0');
        if significant.len() > 6 {
            return Err(ParseError::TooPrecise { text: text.to_owned() });
        }
        let too_large = || ParseError::TooLarge { text: text.to_owned() };
        let whole: i64 = whole.parse().map_err(|_| too_large())?;
        let fraction: i64 = format!("{significant:0<6}").parse().map_err(|_| malformed())?;
        let micros = whole.checked_mul(ONE).and_then(|w| w.checked_add(fraction)).ok_or_else(too_large)?;
        Ok(Self::from_micros(if is_negative { -micros } else { micros }))
    }
}

impl<U> fmt::Display for Fixed<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.micros.unsigned_abs();
        let (whole, fraction) = (size / 1_000_000, size % 1_000_000);
        let fraction = format!("{fraction:06}");
        let fraction = fraction.trim_end_matches('0');
        let (sign, point) = (if self.micros < 0 { "-" } else { "" }, if fraction.is_empty() { "" } else { "." });
        f.pad(&format!("{sign}{whole}{point}{fraction}"))
    }
}

impl<U> fmt::Debug for Fixed<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for (text, micros) in [("0.55", 550_000), ("-1.000001", -1_000_001), ("10", 10_000_000), ("0.100", 100_000)] {
            let money: Money = text.parse().expect("a number");
            assert_eq!(money.micros(), micros, "{text}");
        }
        assert_eq!(Money::from_micros(-1_500_000).to_string(), "-1.5");
        assert_eq!(Money::from_micros(i64::MIN).to_string(), "-9223372036854.775808");
        for text in ["", ".", "1.", ".5", "1e6", "0.0000001", "99999999999999", "+1", "1,5", "NaN"] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
    }

    #[test]
    fn rounding_is_named() {
        let third = Price::from_micros(333_333);
        let quantity = Quantity::from_micros(1);
        assert_eq!(third.times(quantity, Rounding::Up).map(Money::micros), Ok(1));
        assert_eq!(third.times(quantity, Rounding::Down).map(Money::micros), Ok(0));
        assert_eq!(Price::from_micros(i64::MAX).times(Quantity::from_micros(i64::MAX), Rounding::Up), Err(Overflow));
    }

    #[test]
    fn negative_values_floor_away_from_zero() {
        assert_eq!(Money::from_micros(-5).floor_to(Money::from_micros(3)).micros(), -6);
        assert_eq!(Money::from_micros(-7).scaled(1, 2, Rounding::Down).map(Money::micros), Ok(-4));
        assert_eq!(Money::from_micros(-7).scaled(1, 2, Rounding::Up).map(Money::micros), Ok(-3));
    }
}
