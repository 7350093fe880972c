//! How far two series move together, over whole series.

use super::{
    moments::{check_points, mean},
    undefined::Undefined,
};

/// Fewest overlapping points that say anything.
pub const MIN_POINTS: usize = 20;

/// Pearson's correlation of two series, -1..=1, signed: opposite agents hedge each
/// other, so their sign must not be lost.
///
/// # Errors
/// [`Undefined::LengthMismatch`], [`Undefined::TooFewPoints`] below [`MIN_POINTS`],
/// [`Undefined::NoVariance`] when one series is constant, [`Undefined::OutOfRange`].
pub fn correlation(left: &[f64], right: &[f64]) -> Result<f64, Undefined> {
    if left.len() != right.len() {
        return Err(Undefined::LengthMismatch { left: left.len(), right: right.len() });
    }
    check_points(left, MIN_POINTS)?;
    check_points(right, MIN_POINTS)?;
    let (left_mean, right_mean) = (mean(left)?, mean(right)?);
    let mut sums = [0.0; 3];
    for (x, y) in left.iter().zip(right) {
        let (x, y) = (x - left_mean, y - right_mean);
        sums[0] += x * x;
        sums[1] += y * y;
        sums[2] += x * y;
    }
    let is_constant = |series: &[f64]| series.iter().all(|point| *point == series[0]);
    if is_constant(left) || is_constant(right) {
        return Err(Undefined::NoVariance);
    }
    bounded(sums[2] / (sums[0].sqrt() * sums[1].sqrt()))
}

/// How far a set of agents moves as one, -1..=1: the correlation of every two, each
/// pair weighted by the risk in it,
/// `sum_{i!=j} x_i x_j rho_ij / sum_{i!=j} x_i x_j`, with `x_i` = share of capital x
/// deviation of returns. A pair without a correlation counts in neither sum.
///
/// ```
/// use tragen_domain::portfolio::{correlation_factor, Undefined};
/// let rho = |i: usize, j: usize| if (i, j) == (2, 0) { Err(Undefined::NoVariance) } else { Ok(0.5) };
/// assert_eq!(correlation_factor(&[1.0, 2.0, 3.0], rho), Ok(0.5));
/// ```
///
/// # Errors
/// [`Undefined::TooFewPoints`] when fewer than two agents have a pair,
/// [`Undefined::NoVariance`] when no risk is in any, [`Undefined::OutOfRange`].
pub fn correlation_factor(
    risks: &[f64],
    mut correlation_of: impl FnMut(usize, usize) -> Result<f64, Undefined>,
) -> Result<f64, Undefined> {
    check_points(risks, 2)?;
    let (mut shared, mut whole, mut pairs) = (0.0, 0.0, 0_usize);
    for (i, left) in risks.iter().enumerate() {
        for (j, right) in risks[..i].iter().enumerate() {
            if let Ok(rho) = correlation_of(i, j) {
                shared += left * right * rho;
                whole += left * right;
                pairs += 1;
            }
        }
    }
    if pairs == 0 {
        return Err(Undefined::TooFewPoints { needed: 1, have: 0 });
    }
    if whole <= 0.0 { Err(Undefined::NoVariance) } else { bounded(shared / whole) }
}

/// Rounding may carry a perfect correlation a little past one.
pub(super) fn bounded(rho: f64) -> Result<f64, Undefined> {
    if rho.is_finite() { Ok(rho.clamp(-1.0, 1.0)) } else { Err(Undefined::OutOfRange) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(slope: f64) -> Vec<f64> {
        (0..20_i32).map(|step| slope * f64::from(step)).collect()
    }

    #[test]
    fn correlation_is_signed() {
        let zigzag: Vec<f64> = (0..20_i32).map(|step| f64::from(step % 2)).collect();
        let check = |left: &[f64], right: &[f64], expected: f64| {
            let got = correlation(left, right).expect("defined");
            assert!((got - expected).abs() < 1e-12, "{got} is not {expected}");
        };
        check(&ramp(0.001), &ramp(7.0), 1.0);
        check(&ramp(0.001), &ramp(-7.0), -1.0);
        // A sample by hand: Sxy = 5, Sxx = 665, Syy = 5.
        check(&ramp(1.0), &zigzag, 5.0 / (665.0_f64 * 5.0).sqrt());
    }

    #[test]
    fn what_has_no_correlation_says_why() {
        let check = |left: &[f64], right: &[f64], expected: Undefined| {
            assert_eq!(correlation(left, right), Err(expected));
        };
        check(&ramp(1.0), &[0.1; 20], Undefined::NoVariance);
        check(&ramp(1.0)[1..], &ramp(1.0)[1..], Undefined::TooFewPoints { needed: 20, have: 19 });
        check(&ramp(1.0), &[0.0; 21], Undefined::LengthMismatch { left: 20, right: 21 });
        check(&ramp(1.0), &ramp(f64::NAN), Undefined::OutOfRange);
    }

    #[test]
    fn the_factor_weighs_pairs_by_their_risk() {
        let rho = |i: usize, j: usize| Ok(if i + j == 1 { 1.0 } else { -0.5 });
        // Pairs (1,0), (2,0), (2,1) weigh 2, 4 and 8.
        let expected = (2.0 - 0.5 * 12.0) / 14.0;
        assert!((correlation_factor(&[1.0, 2.0, 4.0], rho).expect("defined") - expected).abs() < 1e-15);
        assert_eq!(correlation_factor(&[1.0], rho), Err(Undefined::TooFewPoints { needed: 2, have: 1 }));
        assert_eq!(correlation_factor(&[0.0, 0.0], rho), Err(Undefined::NoVariance));
        assert_eq!(correlation_factor(&[1.0, f64::NAN], rho), Err(Undefined::OutOfRange));
        let none = |_, _| Err(Undefined::NoVariance);
        assert_eq!(correlation_factor(&[1.0, 1.0], none), Err(Undefined::TooFewPoints { needed: 1, have: 0 }));
    }
}
