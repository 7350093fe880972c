//! The models' floating-point numbers as integers on the wire, to the nearest.

/// A share or chance as parts per million.
pub(super) fn ppm(share: f64) -> i32 {
    clamped(share * 1e6)
}

/// A ratio as basis points.
pub(super) fn bps(ratio: f64) -> i32 {
    clamped(ratio * 1e4)
}

/// Units as micros.
pub(super) fn micros(units: f64) -> i64 {
    nearest(units * 1e6)
}

/// Whole contracts as micros, rounded down: what is on offer is never overstated.
pub(super) fn whole_micros(contracts: f64) -> i64 {
    nearest(contracts.max(0.0).floor()).saturating_mul(1_000_000)
}

/// A count.
pub(super) fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// One number as a share of another, parts per million; everything of nothing.
pub(super) fn share_ppm(part: usize, whole: usize) -> i32 {
    let ppm = (part.min(whole) * 1_000_000).checked_div(whole);
    ppm.and_then(|ppm| i32::try_from(ppm).ok()).unwrap_or(1_000_000)
}

fn clamped(value: f64) -> i32 {
    let value = nearest(value);
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and what is no number becomes 0")]
fn nearest(value: f64) -> i64 {
    value.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_the_nearest_integer_and_never_wrap() {
        assert_eq!((ppm(0.494_072_871_9), ppm(1.0), ppm(0.0)), (494_073, 1_000_000, 0));
        assert_eq!((bps(0.056_9), bps(-0.012_34)), (569, -123));
        assert_eq!((ppm(f64::NAN), ppm(f64::INFINITY), ppm(-1e300)), (0, i32::MAX, i32::MIN));
        assert_eq!((micros(0.45), micros(f64::INFINITY)), (450_000, i64::MAX));
        assert_eq!((whole_micros(10.9), whole_micros(-3.0), whole_micros(f64::NAN)), (10_000_000, 0, 0));
        assert_eq!((share_ppm(1, 3), share_ppm(0, 0), share_ppm(5, 3)), (333_333, 1_000_000, 1_000_000));
    }
}
