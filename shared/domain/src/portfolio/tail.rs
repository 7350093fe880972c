//! How bad the worst days are: value at risk and expected shortfall.

use super::{
    correlation::MIN_POINTS,
    moments::{check_points, count_to_f64},
    undefined::Undefined,
};

/// How sure a value at risk is, whole percent, 50..=99.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confidence {
    percent: usize,
}

/// A confidence outside 50..=99 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a confidence of {percent} %; it must be 50 to 99")]
pub struct ConfidenceError {
    /// What was asked for.
    pub percent: usize,
}

impl Confidence {
    /// 95 %: the figure of KPIs and limits.
    pub const P95: Self = Self { percent: 95 };
    /// 99 %.
    pub const P99: Self = Self { percent: 99 };

    /// `percent` percent.
    ///
    /// # Errors
    /// [`ConfidenceError`].
    pub const fn percent(percent: usize) -> Result<Self, ConfidenceError> {
        if percent < 50 || percent > 99 { Err(ConfidenceError { percent }) } else { Ok(Self { percent }) }
    }

    /// How many of `points` are in the tail: `ceil(n (1 - confidence))`.
    pub(super) const fn tail(self, points: usize) -> usize {
        (points * (100 - self.percent)).div_ceil(100)
    }

    /// The probability of the tail, 0.05 for 95 %.
    pub(super) fn tail_probability(self) -> f64 {
        count_to_f64(100 - self.percent) / 100.0
    }
}

/// Value at risk and expected shortfall of returns, as shares of equity, >= 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailRisk {
    /// The loss that is not exceeded with the given confidence.
    pub value_at_risk: f64,
    /// The mean loss of the days in the tail, >= value at risk.
    pub expected_shortfall: f64,
    /// Whether there are too few returns to see that far: then both are the worst loss.
    pub is_low_sample: bool,
}

/// Of `returns` in any order. Sorted ascending, with `k = ceil(n (1 - confidence))`:
/// value at risk is `max(0, -r_k)`, expected shortfall the mean of the `k` worst.
///
/// ```
/// use tragen_domain::portfolio::{historical_tail, Confidence};
/// let mut returns = [0.01; 40];
/// (returns[7], returns[30]) = (-0.03, -0.02);
/// let tail = historical_tail(&returns, Confidence::P95).unwrap(); // the two worst of 40
/// assert!((tail.value_at_risk - 0.02).abs() < 1e-15 && (tail.expected_shortfall - 0.025).abs() < 1e-15);
/// ```
///
/// # Errors
/// [`Undefined::TooFewPoints`] below [`MIN_POINTS`] returns, [`Undefined::OutOfRange`].
pub fn historical_tail(returns: &[f64], confidence: Confidence) -> Result<TailRisk, Undefined> {
    check_points(returns, MIN_POINTS)?;
    let mut sorted = returns.to_vec();
    sorted.sort_by(f64::total_cmp);
    let worst = &sorted[..confidence.tail(sorted.len())];
    Ok(tail_of(worst.iter().copied(), sorted.len(), confidence))
}

/// Of the worst of `points` returns, worst first.
pub(super) fn tail_of(worst: impl ExactSizeIterator<Item = f64>, points: usize, confidence: Confidence) -> TailRisk {
    let in_tail = count_to_f64(worst.len());
    let (sum, last) = worst.fold((0.0, 0.0), |(sum, _), value| (sum + value, value));
    let value_at_risk = (-last).max(0.0);
    TailRisk {
        value_at_risk,
        // No less than the mildest of what it averages: rounding must not say so either.
        expected_shortfall: (-sum / in_tail).max(value_at_risk),
        is_low_sample: points * (100 - confidence.percent) < 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_returns_show_the_worst_loss_and_say_so() {
        let returns = [-0.03, 0.01, 0.02, -0.01, 0.005].repeat(4);
        let tail = |confidence| historical_tail(&returns, confidence).expect("defined");
        assert_eq!(tail(Confidence::P95).value_at_risk, 0.03);
        assert!(!tail(Confidence::P95).is_low_sample && tail(Confidence::P99).is_low_sample);
        assert_eq!(tail(Confidence::P99).expected_shortfall, 0.03);
    }

    #[test]
    fn gains_are_no_risk() {
        let none = TailRisk { value_at_risk: 0.0, expected_shortfall: 0.0, is_low_sample: false };
        assert_eq!(historical_tail(&[0.02; 20], Confidence::P95), Ok(none));
        let few = Undefined::TooFewPoints { needed: 20, have: 19 };
        assert_eq!(historical_tail(&[0.02; 19], Confidence::P95), Err(few));
    }

    #[test]
    fn tails_are_rounded_up_without_floats() {
        let check = |percent, points, expected| {
            assert_eq!(Confidence::percent(percent).expect("valid").tail(points), expected, "{percent} % of {points}");
        };
        check(95, 20, 1);
        check(95, 21, 2);
        check(95, 250, 13);
        check(99, 250, 3);
        check(99, 300, 3);
        check(90, 250, 25);
        for percent in [0, 49, 100] {
            assert_eq!(Confidence::percent(percent), Err(ConfidenceError { percent }));
        }
    }
}
