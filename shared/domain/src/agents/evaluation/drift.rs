//! Has a model become worse? A cumulated sum that rings when small losses add up.
//!
//! Page 1954, Biometrika 41:100; slack 0.5 and limit 5 standard deviations as in Montgomery, "Introduction to
//! Statistical Quality Control": a shift by one deviation rings after about ten values, without a shift it takes about
//! 930 to ring by chance.

use super::closing_line::mean_with_t;
use crate::agents::count::count_to_f64;

/// The first values, from which normal is learned.
pub const BASELINE_MIN: usize = 30;

/// The numbers of the alarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DriftRules {
    /// How many values tell what is normal, at least [`BASELINE_MIN`].
    pub baseline: usize,
    /// Standard deviations above normal that are forgiven each time.
    pub slack: f64,
    /// The sum that rings, in standard deviations.
    pub limit: f64,
}

impl Default for DriftRules {
    /// The first 100 values, slack 0.5, limit 5.
    fn default() -> Self {
        Self { baseline: 100, slack: 0.5, limit: 5.0 }
    }
}

/// What the alarm says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// Mean of the baseline.
    pub normal: f64,
    /// Standard deviation of the baseline.
    pub deviation: f64,
    /// The sum after the last value, in standard deviations.
    pub sum: f64,
    /// Position of the value, from 0, at which the sum first passed the limit; None while it has not.
    pub alarm_at: Option<usize>,
}

/// Why there is no alarm to speak of.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum DriftError {
    /// The baseline is too short or the series shorter than it.
    #[error("{values} values, the baseline needs {needed}")]
    TooFewValues {
        /// How many there are.
        values: usize,
        /// How many are needed.
        needed: usize,
    },
    /// A value is not finite.
    #[error("value {position} is {value}")]
    InvalidValue {
        /// Position, from 0.
        position: usize,
        /// The value as given.
        value: f64,
    },
    /// Slack and limit are finite, at least 0 and above 0.
    #[error("slack {slack} or limit {limit} is out of range")]
    InvalidRules {
        /// As given.
        slack: f64,
        /// As given.
        limit: f64,
    },
    /// A baseline of equal values has no scale.
    #[error("the baseline does not vary")]
    NoVariation,
}

/// Watches a series in time order where higher is worse, such as a model's log-loss minus the closing line's:
/// `sum = max(0, sum + (value - normal) / deviation - slack)` after the baseline.
///
/// # Errors
/// [`DriftError`].
pub fn drift(values: &[f64], rules: &DriftRules) -> Result<Drift, DriftError> {
    let DriftRules { baseline, slack, limit } = *rules;
    let needed = baseline.max(BASELINE_MIN);
    if !(slack.is_finite() && slack >= 0.0 && limit.is_finite() && limit > 0.0) {
        return Err(DriftError::InvalidRules { slack, limit });
    }
    if let Some(position) = values.iter().position(|value| !value.is_finite()) {
        return Err(DriftError::InvalidValue { position, value: values[position] });
    }
    if values.len() < needed {
        return Err(DriftError::TooFewValues { values: values.len(), needed });
    }
    let (first, rest) = values.split_at(needed);
    let normal = mean_with_t(first).map_or(0.0, |m| m.mean);
    let squares: f64 = first.iter().map(|value| (value - normal).powi(2)).sum();
    let deviation = (squares / (count_to_f64(needed) - 1.0)).sqrt();
    if deviation <= 0.0 {
        return Err(DriftError::NoVariation);
    }
    let (mut sum, mut alarm_at) = (0.0_f64, None);
    for (place, value) in rest.iter().enumerate() {
        sum = (sum + (value - normal) / deviation - slack).max(0.0);
        if sum > limit {
            alarm_at = alarm_at.or(Some(needed + place));
        }
    }
    Ok(Drift { normal, deviation, sum, alarm_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// -1, 1, -1, 1 ...
    fn steady(count: usize) -> Vec<f64> {
        (0..count).map(|n| if n.is_multiple_of(2) { -1.0 } else { 1.0 }).collect()
    }

    #[test]
    fn small_losses_add_up() {
        let rules = DriftRules { baseline: 40, ..DriftRules::default() };
        let calm = drift(&steady(400), &rules).expect("valid");
        assert_eq!(calm.alarm_at, None);
        assert!(calm.sum < 1.0 && calm.normal.abs() < 1e-12);
        // A shift by one and a half: one more each time than what is forgiven, so the sixth rings or the one before.
        let worse: Vec<f64> = steady(40).into_iter().chain(std::iter::repeat_n(1.5, 20)).collect();
        let found = drift(&worse, &rules).expect("valid");
        assert_eq!(found.alarm_at, Some(45));
        let better: Vec<f64> = steady(40).into_iter().chain(std::iter::repeat_n(-5.0, 20)).collect();
        assert_eq!(drift(&better, &rules).expect("valid").alarm_at, None);
    }

    #[test]
    fn what_cannot_be_watched_is_named() {
        let rules = DriftRules::default();
        assert_eq!(drift(&steady(99), &rules), Err(DriftError::TooFewValues { values: 99, needed: 100 }));
        assert_eq!(drift(&[1.0; 120], &rules), Err(DriftError::NoVariation));
        let mut broken = steady(120);
        broken[110] = f64::INFINITY;
        assert_eq!(drift(&broken, &rules), Err(DriftError::InvalidValue { position: 110, value: f64::INFINITY }));
        let bad = DriftRules { limit: 0.0, ..rules };
        assert_eq!(drift(&steady(120), &bad), Err(DriftError::InvalidRules { slack: 0.5, limit: 0.0 }));
    }
}
