//! The newest returns of one series, with mean and deviation at hand.

use super::{
    correlation::MIN_POINTS,
    moments::{count_to_f64, to_float},
    returns::{RETURN_UNIT, Return},
    tail::{Confidence, TailRisk, tail_of},
    undefined::Undefined,
};
use std::collections::VecDeque;

/// Longest window: eleven years of daily returns, two weeks of five-minute ones.
pub const RETURNS_MAX: usize = 4_096;

/// A window must hold at least [`MIN_POINTS`] and at most [`RETURNS_MAX`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a window of {capacity} returns; it must hold {MIN_POINTS} to {RETURNS_MAX}")]
pub struct WindowError {
    /// What was asked for.
    pub capacity: usize,
}

/// The newest returns, at most `capacity` of them; the oldest makes room.
///
/// Its sums are integers: adding a return and forgetting one is exact, so a window that
/// has rolled for years equals one that was filled just now. It is O(1) but for
/// keeping the returns sorted, which moves at most 32 kB.
///
/// ```
/// use tragen_domain::portfolio::{Return, ReturnWindow, Undefined};
/// let mut window = ReturnWindow::new(20).unwrap();
/// assert_eq!(window.mean(), Err(Undefined::TooFewPoints { needed: 1, have: 0 }));
/// for percent in [1, 2, 3] {
///     window.push(Return::from_units(percent * 10_000_000_000).unwrap());
/// }
/// assert!((window.mean().unwrap() - 0.02).abs() < 1e-15);
/// assert!((window.deviation().unwrap() - 0.01).abs() < 1e-15);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReturnWindow {
    capacity: usize,
    returns: VecDeque<Return>,
    /// The same, lowest first.
    sorted: Vec<Return>,
    sum: i128,
    squares: i128,
    /// Of the returns below zero only.
    downside_squares: i128,
}

impl ReturnWindow {
    /// An empty window of `capacity` returns.
    ///
    /// # Errors
    /// [`WindowError`].
    pub fn new(capacity: usize) -> Result<Self, WindowError> {
        if !(MIN_POINTS..=RETURNS_MAX).contains(&capacity) {
            return Err(WindowError { capacity });
        }
        Ok(Self { capacity, returns: VecDeque::new(), sorted: Vec::new(), sum: 0, squares: 0, downside_squares: 0 })
    }

    /// Adds the newest return; the oldest that made room for it, if one had to.
    pub fn push(&mut self, newest: Return) -> Option<Return> {
        let oldest = if self.returns.len() == self.capacity { self.returns.pop_front() } else { None };
        if let Some(oldest) = oldest {
            self.count(oldest, -1);
            self.sorted.remove(self.sorted.partition_point(|kept| *kept < oldest));
        }
        self.count(newest, 1);
        self.sorted.insert(self.sorted.partition_point(|kept| *kept < newest), newest);
        self.returns.push_back(newest);
        oldest
    }

    /// How many returns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.returns.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.returns.is_empty()
    }

    /// The returns, oldest first.
    pub fn returns(&self) -> impl ExactSizeIterator<Item = Return> {
        self.returns.iter().copied()
    }

    /// The mean return.
    ///
    /// # Errors
    /// [`Undefined::TooFewPoints`] while empty.
    pub fn mean(&self) -> Result<f64, Undefined> {
        self.check(1)?;
        Ok(to_float(self.sum) / unit() / count_to_f64(self.len()))
    }

    /// The sample standard deviation (over n - 1); 0 when all returns are equal.
    ///
    /// # Errors
    /// [`Undefined::TooFewPoints`] below two returns.
    pub fn deviation(&self) -> Result<f64, Undefined> {
        self.check(2)?;
        let n = self.len();
        // n * sum of squares - square of the sum is exact; only the end is rounded.
        let spread = to_float(scaled(self.squares, n) - self.sum * self.sum);
        Ok((spread / (count_to_f64(n) * (count_to_f64(n) - 1.0))).sqrt() / unit())
    }

    /// Root of the mean square of what is below zero, over all returns: what Sortino's ratio divides by.
    ///
    /// # Errors
    /// [`Undefined::TooFewPoints`] while empty.
    pub fn downside_deviation(&self) -> Result<f64, Undefined> {
        self.check(1)?;
        Ok((to_float(self.downside_squares) / count_to_f64(self.len())).sqrt() / unit())
    }

    /// Value at risk and expected shortfall; O(returns in the tail). See [`super::historical_tail`].
    ///
    /// # Errors
    /// [`Undefined::TooFewPoints`] below [`MIN_POINTS`] returns.
    pub fn tail(&self, confidence: Confidence) -> Result<TailRisk, Undefined> {
        self.check(MIN_POINTS)?;
        let worst = &self.sorted[..confidence.tail(self.len())];
        Ok(tail_of(worst.iter().map(|value| value.as_f64()), self.len(), confidence))
    }

    fn check(&self, needed: usize) -> Result<(), Undefined> {
        let have = self.len();
        if have < needed { Err(Undefined::TooFewPoints { needed, have }) } else { Ok(()) }
    }

    fn count(&mut self, changed: Return, times: i128) {
        let units = i128::from(changed.units());
        self.sum += times * units;
        self.squares += times * units * units;
        self.downside_squares += times * units * units.min(0);
    }
}

/// `sum` times `n`; fits as long as a window holds at most [`RETURNS_MAX`] returns.
pub(super) fn scaled(sum: i128, n: usize) -> i128 {
    i128::try_from(n).map_or(i128::MAX, |n| sum * n)
}

fn unit() -> f64 {
    to_float(RETURN_UNIT.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(units: i64) -> Return {
        Return::from_units(units).expect("in range")
    }

    #[test]
    fn a_window_forgets_the_oldest_exactly() {
        let (mut rolled, mut fresh) = (ReturnWindow::new(20).expect("valid"), ReturnWindow::new(20).expect("valid"));
        for index in 0..50 {
            assert_eq!(rolled.push(units(index * 7_919 - 100_000)).is_some(), index >= 20);
        }
        for kept in rolled.clone().returns() {
            fresh.push(kept);
        }
        assert_eq!(rolled, fresh);
    }

    #[test]
    fn the_largest_window_of_the_largest_returns_fits() {
        let mut window = ReturnWindow::new(RETURNS_MAX).expect("valid");
        for index in 0..RETURNS_MAX * 2 {
            window.push(units(if index % 2 == 0 { 1_000 } else { -1_000 } * RETURN_UNIT));
        }
        assert_eq!(window.mean(), Ok(0.0));
        assert!((window.deviation().expect("defined") / 1_000.0 - 1.0).abs() < 1e-3);
        assert!((window.downside_deviation().expect("defined") - 1_000.0 / 2.0_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn a_window_has_bounds() {
        for capacity in [0, MIN_POINTS - 1, RETURNS_MAX + 1] {
            assert_eq!(ReturnWindow::new(capacity), Err(WindowError { capacity }));
        }
        let mut window = ReturnWindow::new(MIN_POINTS).expect("valid");
        window.push(units(5));
        assert_eq!(window.deviation(), Err(Undefined::TooFewPoints { needed: 2, have: 1 }));
        window.push(units(5));
        assert_eq!(window.deviation(), Ok(0.0));
    }
}
