//! Mean and deviation of numbers, and the one place where exact sums become floats.

use super::undefined::Undefined;

/// The nearest float: exact up to 2^53, else right to 16 digits.
pub(crate) fn to_float(exact: i128) -> f64 {
    exact as f64
}

/// `part / whole` of exact numbers; the caller makes sure that `whole` is not 0.
pub(crate) fn ratio(part: i128, whole: i128) -> f64 {
    to_float(part) / to_float(whole)
}

/// The nearest whole number.
///
/// # Errors
/// [`Undefined::OutOfRange`] for what is not a number or does not fit.
#[expect(clippy::cast_possible_truncation, reason = "rounded and within the range of i64")]
pub(crate) fn to_whole(value: f64) -> Result<i64, Undefined> {
    // 2^63 is a float; the largest i64 is not.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let whole = value.round();
    if (-LIMIT..LIMIT).contains(&whole) { Ok(whole as i64) } else { Err(Undefined::OutOfRange) }
}

/// A count as a float; exact, no series is longer than 2^53.
pub(crate) fn count_to_f64(points: usize) -> f64 {
    i128::try_from(points).map_or(f64::MAX, to_float)
}

/// Refuses fewer than `needed` points, and points that are infinite or not a number.
pub(crate) fn check_points(points: &[f64], needed: usize) -> Result<(), Undefined> {
    if points.len() < needed {
        return Err(Undefined::TooFewPoints { needed, have: points.len() });
    }
    if points.iter().all(|point| point.is_finite()) { Ok(()) } else { Err(Undefined::OutOfRange) }
}

/// The arithmetic mean.
///
/// # Errors
/// [`Undefined::TooFewPoints`] without a point, [`Undefined::OutOfRange`].
pub fn mean(points: &[f64]) -> Result<f64, Undefined> {
    check_points(points, 1)?;
    Ok(points.iter().sum::<f64>() / count_to_f64(points.len()))
}

/// The sample standard deviation: over n - 1, from the mean. 0 when all points are equal.
///
/// Example: 2, 4, 4, 4, 5, 5, 7, 9 deviate by sqrt(32 / 7).
///
/// # Errors
/// [`Undefined::TooFewPoints`] below two points, [`Undefined::OutOfRange`].
pub fn sample_deviation(points: &[f64]) -> Result<f64, Undefined> {
    check_points(points, 2)?;
    // Equal points must deviate by nothing, not by the rounding of their mean.
    if points.iter().all(|point| *point == points[0]) {
        return Ok(0.0);
    }
    let middle = mean(points)?;
    let squares: f64 = points.iter().map(|point| (point - middle).powi(2)).sum();
    Ok((squares / (count_to_f64(points.len()) - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_become_whole_numbers_or_nothing() {
        for (value, expected) in [(2.5, Ok(3)), (-2.4, Ok(-2)), (-9_223_372_036_854_775_808.0, Ok(i64::MIN))] {
            assert_eq!(to_whole(value), expected);
        }
        for value in [f64::NAN, f64::INFINITY, 9_223_372_036_854_775_808.0, -1e19] {
            assert_eq!(to_whole(value), Err(Undefined::OutOfRange));
        }
    }

    #[test]
    fn the_deviation_is_over_one_less() {
        let got = sample_deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).expect("defined");
        assert!((got - (32.0_f64 / 7.0).sqrt()).abs() < 1e-15);
        assert_eq!(sample_deviation(&[0.1; 7]), Ok(0.0));
        assert_eq!(sample_deviation(&[1.0]), Err(Undefined::TooFewPoints { needed: 2, have: 1 }));
        assert_eq!(mean(&[]), Err(Undefined::TooFewPoints { needed: 1, have: 0 }));
        assert_eq!(mean(&[1.0, f64::INFINITY]), Err(Undefined::OutOfRange));
    }
}
