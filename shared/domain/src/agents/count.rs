//! Where a float becomes a count of whole units, and a count a float.

pub(crate) use crate::portfolio::count_to_f64;

/// A float within this relative distance below a whole number counts as that number: 50 / 0.1 must buy 500.
///
/// On a budget of a million it is worth one millionth, the smallest amount of money there is.
const TOLERANCE: f64 = 1e-12;

/// Whole units in `value`, rounded down; 0 for anything negative or not finite, `u64::MAX` for anything larger.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "floored and not negative; a float-to-integer cast saturates at u64::MAX"
)]
pub(crate) fn floor_to_count(value: f64) -> u64 {
    if !value.is_finite() || value < 0.0 {
        return 0;
    }
    floor_whole(value) as u64
}

/// The whole number at or below a positive `value`, forgiving the same float noise.
pub(crate) fn floor_whole(value: f64) -> f64 {
    (value * (1.0 + TOLERANCE)).floor()
}

/// An estimate in units as the nearest whole micros; None when it is not finite or does not fit.
#[expect(clippy::cast_possible_truncation, reason = "rounded, and far below 2^63")]
pub(crate) fn nearest_micros(value: f64) -> Option<i64> {
    let micros = (value * 1e6).round();
    (micros.abs() < 9e18).then_some(micros as i64)
}

/// Micros as units, for estimates.
#[expect(clippy::cast_precision_loss, reason = "estimates; 2^53 micros are nine thousand million")]
pub(crate) fn units_of(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_noise_does_not_cost_a_unit() {
        let check = |value: f64, expected: u64| assert_eq!(floor_to_count(value), expected, "floor of {value}");
        check(2.999_999_999_999_999_6, 3);
        check(199.999, 199);
        check(0.333_333_333, 0);
        check(0.0, 0);
        check(-1.0, 0);
        check(f64::NAN, 0);
        check(f64::INFINITY, 0);
        check(1e300, u64::MAX);
    }

    #[test]
    fn counts_are_exact_floats() {
        assert!((count_to_f64(20) - 20.0).abs() < f64::EPSILON);
    }

    #[test]
    fn estimates_become_the_nearest_micros() {
        let check = |value: f64, expected: Option<i64>| assert_eq!(nearest_micros(value), expected, "{value}");
        check(0.45, Some(450_000));
        check(-58.000_000_4, Some(-58_000_000));
        check(0.000_000_6, Some(1));
        check(1e13, None);
        check(f64::NAN, None);
        check(f64::INFINITY, None);
        assert!((units_of(-1_500_000) + 1.5).abs() < f64::EPSILON);
    }
}
