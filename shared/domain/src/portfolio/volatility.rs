//! Volatility that forgets: the newest returns count most.

use super::{
    correlation::MIN_POINTS,
    moments::{check_points, to_float},
    returns::{RETURN_UNIT, Return},
    undefined::Undefined,
};

/// Parts per million of one.
const WHOLE_PPM: u32 = 1_000_000;

/// How much of the variance so far is kept at each return, strictly between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decay {
    ppm: u32,
}

/// A decay of 0, of 1 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a decay of {ppm} parts per million; it must be 1 to 999,999")]
pub struct DecayError {
    /// What was asked for.
    pub ppm: u32,
}

impl Decay {
    /// 0.94 for daily returns (J.P. Morgan, RiskMetrics Technical Document, 1996).
    pub const DAILY: Self = Self { ppm: 940_000 };

    /// `ppm` parts per million.
    ///
    /// # Errors
    /// [`DecayError`].
    pub const fn from_ppm(ppm: u32) -> Result<Self, DecayError> {
        if ppm == 0 || ppm >= WHOLE_PPM { Err(DecayError { ppm }) } else { Ok(Self { ppm }) }
    }

    fn as_f64(self) -> f64 {
        f64::from(self.ppm) / f64::from(WHOLE_PPM)
    }
}

/// Exponentially weighted volatility: `variance = decay x variance + (1 - decay) x return^2`,
/// starting from the first return's square. O(1), one number of memory.
///
/// ```
/// use tragen_domain::portfolio::{Decay, EwmaVolatility, Return};
/// let mut volatility = EwmaVolatility::new(Decay::DAILY);
/// for _ in 0..20 {
///     volatility.push(Return::from_units(10_000_000_000).unwrap()); // 1 %
/// }
/// assert!((volatility.get().unwrap() - 0.01).abs() < 1e-12);
/// volatility.push(Return::from_units(-50_000_000_000).unwrap()); // -5 %
/// assert!((volatility.get().unwrap() - (0.94_f64 * 0.0001 + 0.06 * 0.0025).sqrt()).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EwmaVolatility {
    decay: Decay,
    /// In 1e-24, rounded down.
    variance: u128,
    points: usize,
}

impl EwmaVolatility {
    /// Without returns.
    #[must_use]
    pub const fn new(decay: Decay) -> Self {
        Self { decay, variance: 0, points: 0 }
    }

    /// As it was with this [`EwmaVolatility::variance`] after so many returns.
    ///
    /// # Errors
    /// [`Undefined::OutOfRange`] for a variance that no returns have.
    pub fn restored(decay: Decay, variance: u128, points: usize) -> Result<Self, Undefined> {
        let largest = u128::from(Return::LARGEST.units().unsigned_abs()).pow(2);
        if variance > largest { Err(Undefined::OutOfRange) } else { Ok(Self { decay, variance, points }) }
    }

    /// Variance in 1e-24, and the number of returns it is made of.
    #[must_use]
    pub const fn variance(&self) -> (u128, usize) {
        (self.variance, self.points)
    }

    /// Adds the newest return.
    pub const fn push(&mut self, newest: Return) {
        // At most 1e30, so that all of it fits.
        let units = newest.units().unsigned_abs() as u128;
        let square = units * units;
        let kept = self.decay.ppm as u128;
        let whole = WHOLE_PPM as u128;
        self.variance =
            if self.points == 0 { square } else { (kept * self.variance + (whole - kept) * square) / whole };
        self.points = self.points.saturating_add(1);
    }

    /// Deviation of one return around 0, >= 0.
    ///
    /// # Errors
    /// [`Undefined::TooFewPoints`] below [`MIN_POINTS`] returns.
    pub fn get(&self) -> Result<f64, Undefined> {
        if self.points < MIN_POINTS {
            return Err(Undefined::TooFewPoints { needed: MIN_POINTS, have: self.points });
        }
        let variance = i128::try_from(self.variance).map_err(|_| Undefined::OutOfRange)?;
        Ok(to_float(variance).sqrt() / to_float(RETURN_UNIT.into()))
    }
}

/// The same over a whole series, oldest first.
///
/// # Errors
/// [`Undefined::TooFewPoints`] below [`MIN_POINTS`] returns, [`Undefined::OutOfRange`].
pub fn ewma_volatility(returns: &[f64], decay: Decay) -> Result<f64, Undefined> {
    check_points(returns, MIN_POINTS)?;
    // Written as a weighted sum, newest first, so that it checks the recursion instead of repeating it.
    let (mut weight, mut variance) = (1.0 - decay.as_f64(), 0.0);
    for value in returns[1..].iter().rev() {
        variance += weight * value * value;
        weight *= decay.as_f64();
    }
    let oldest = weight / (1.0 - decay.as_f64());
    Ok((variance + oldest * returns[0] * returns[0]).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volatility_needs_points_and_fits_the_largest() {
        let mut volatility = EwmaVolatility::new(Decay::DAILY);
        for have in 0..MIN_POINTS {
            assert_eq!(volatility.get(), Err(Undefined::TooFewPoints { needed: MIN_POINTS, have }));
            volatility.push(Return::from_units(-1_000 * RETURN_UNIT).expect("in range"));
        }
        assert_eq!(volatility.get(), Ok(1_000.0));
        let (variance, points) = volatility.variance();
        assert_eq!(EwmaVolatility::restored(Decay::DAILY, variance, points), Ok(volatility));
        let beyond = EwmaVolatility::restored(Decay::DAILY, variance + 1, points);
        assert_eq!(beyond, Err(Undefined::OutOfRange));
        assert_eq!(ewma_volatility(&[0.5; 20], Decay::DAILY).map(|value| (value * 1e12).round()), Ok(5e11));
        assert_eq!(ewma_volatility(&[0.5; 19], Decay::DAILY), Err(Undefined::TooFewPoints { needed: 20, have: 19 }));
    }

    #[test]
    fn a_decay_is_a_true_share() {
        for ppm in [0, 1_000_000, u32::MAX] {
            assert_eq!(Decay::from_ppm(ppm), Err(DecayError { ppm }));
        }
        assert_eq!(Decay::from_ppm(940_000), Ok(Decay::DAILY));
    }
}
