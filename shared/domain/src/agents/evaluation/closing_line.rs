//! Was the price better than the last one before the kick-off? The closing line knows the most, so beating it is the
//! first sign of skill, and it needs a tenth of the bets that profit needs.

use crate::agents::count::count_to_f64;

/// Value against the closing line: `fair closing probability / price paid - 1` (price is 1 / odds, or a contract's
/// cost). 0.03 is 3 % better than the close.
///
/// Example: bought at 0.40, closed at 0.42: +5 %.
#[must_use]
pub fn closing_line_value(closing_probability: f64, price_paid: f64) -> f64 {
    closing_probability / price_paid - 1.0
}

/// A mean and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanWithT {
    /// How many values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Student's t of the mean against 0: `mean / (sd / sqrt(n))`, sd with n - 1; None for fewer than two values or
    /// equal ones. Above 2 it is hardly luck.
    pub t: Option<f64>,
}

/// The mean of values with its t-statistic; None without values, or when one is not finite.
#[must_use]
pub fn mean_with_t(values: &[f64]) -> Option<MeanWithT> {
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let count = count_to_f64(values.len());
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0)).sqrt();
    let t = (values.len() > 1 && deviation > 0.0).then(|| mean / (deviation / count.sqrt()));
    Some(MeanWithT { count: values.len(), mean, t })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_come_with_their_t() {
        let seen = mean_with_t(&[1.0, 2.0, 3.0, 4.0]).expect("values");
        assert!((seen.mean - 2.5).abs() < 1e-12);
        // sd = 1.290994, / 2 = 0.645497.
        assert!((seen.t.expect("two values") - 3.872_983_346_207_417).abs() < 1e-9);
        assert_eq!(mean_with_t(&[0.5]), Some(MeanWithT { count: 1, mean: 0.5, t: None }));
        assert_eq!(mean_with_t(&[0.5, 0.5]).and_then(|m| m.t), None);
        assert_eq!((mean_with_t(&[]), mean_with_t(&[f64::NAN])), (None, None));
        assert!((closing_line_value(0.42, 0.40) - 0.05).abs() < 1e-12);
    }
}
