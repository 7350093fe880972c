//! Removes the bookmaker's margin: decimal odds of exclusive outcomes in, fair probabilities out.

use super::count::count_to_f64;

/// How the margin is taken out. `q_i = 1 / odds_i` is the quoted probability, `S` the sum of all `q_i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DevigMethod {
    /// Shin (1993): the margin protects the bookmaker from a share `z` of insiders. The default for 2 or 3 outcomes.
    #[default]
    Shin,
    /// Clarke, Kovalchik and Ingram (2017): `p_i = q_i^k`. The default for 4 outcomes and more.
    Power,
    /// `p_i = q_i - (S - 1) / n`, never below 1e-6.
    Additive,
    /// `p_i = q_i / (q_i + c (1 - q_i))`: one odds ratio `c` between quoted and fair.
    OddsRatio,
    /// `p_i = q_i / S`.
    Multiplicative,
}

impl DevigMethod {
    /// Every method, the default first.
    pub const ALL: [Self; 5] = [Self::Shin, Self::Power, Self::Additive, Self::OddsRatio, Self::Multiplicative];

    /// The method the scouts use for a market with that many outcomes.
    #[must_use]
    pub fn for_outcomes(outcomes: usize) -> Self {
        if outcomes >= 4 { Self::Power } else { Self::Shin }
    }
}

/// What a bookmaker believes once his margin is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct FairOdds {
    /// One probability per outcome, in the order of the odds; they sum to 1.
    pub probabilities: Vec<f64>,
    /// The margin that was taken out, `S - 1` as a ratio (0.03 = 3 %); negative for prices below fair.
    pub overround: f64,
    /// The solved number of the method: Shin's `z`, the power's `k`, the odds ratio's `c`. None where there is none.
    pub parameter: Option<f64>,
}

/// Why a set of odds cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum DevigError {
    /// One outcome alone has no margin to remove.
    #[error("a market needs at least 2 outcomes, this one has {outcomes}")]
    TooFewOutcomes {
        /// How many odds were given.
        outcomes: usize,
    },
    /// Decimal odds include the stake, so they are finite and greater than 1.
    #[error("the odds {odds} of outcome {outcome} are not a finite number above 1")]
    InvalidOdds {
        /// Position of the bad price, from 0.
        outcome: usize,
        /// The price as given.
        odds: f64,
    },
}

/// Fair probabilities behind decimal odds.
///
/// Shin: `p_i = (sqrt(z^2 + 4 (1 - z) q_i^2 / S) - z) / (2 (1 - z))` with the `z` in `[0, 1)` that makes them sum to
/// 1; prices without a margin (`S <= 1`) give `z = 0` and the multiplicative answer.
///
/// # Errors
/// [`DevigError`] for fewer than 2 outcomes, or odds that are not finite or not above 1.
///
/// ```
/// use tragen_domain::agents::devig::{devig, DevigMethod};
/// let fair = devig(DevigMethod::Shin, &[2.6, 2.4, 4.3])?;
/// assert!((fair.parameter.unwrap_or(0.0) - 0.016_942_5).abs() < 1e-6, "1.7 % insiders");
/// assert!((fair.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
/// # Ok::<(), tragen_domain::agents::devig::DevigError>(())
/// ```
pub fn devig(method: DevigMethod, odds: &[f64]) -> Result<FairOdds, DevigError> {
    if odds.len() < 2 {
        return Err(DevigError::TooFewOutcomes { outcomes: odds.len() });
    }
    if let Some((outcome, &odds)) = odds.iter().enumerate().find(|(_, o)| !(o.is_finite() && **o > 1.0)) {
        return Err(DevigError::InvalidOdds { outcome, odds });
    }
    let quoted: Vec<f64> = odds.iter().map(|odds| 1.0 / odds).collect();
    let total: f64 = quoted.iter().sum();
    let (mut probabilities, parameter) = match method {
        DevigMethod::Shin => shin(&quoted, total),
        DevigMethod::Power => solve(&quoted, |q, k| q.powf(k)),
        DevigMethod::OddsRatio => solve(&quoted, |q, c| q / (q + c * (1.0 - q))),
        DevigMethod::Additive => (additive(&quoted, total), None),
        DevigMethod::Multiplicative => (quoted, None),
    };
    let sum: f64 = probabilities.iter().sum();
    for p in &mut probabilities {
        *p /= sum;
    }
    Ok(FairOdds { probabilities, overround: total - 1.0, parameter })
}

fn additive(quoted: &[f64], total: f64) -> Vec<f64> {
    let share = (total - 1.0) / count_to_f64(quoted.len());
    quoted.iter().map(|q| (q - share).max(1e-6)).collect()
}

fn shin(quoted: &[f64], total: f64) -> (Vec<f64>, Option<f64>) {
    if total <= 1.0 {
        return (quoted.to_vec(), Some(0.0));
    }
    // The textbook form divides by 1 - z; multiplied out it is exact for every z, also near 1.
    let fair = |q: f64, z: f64| {
        let square = q * q / total;
        2.0 * square / ((z * z + 4.0 * (1.0 - z) * square).sqrt() + z)
    };
    let z = falling_root(0.0, 1.0, |z| quoted.iter().map(|&q| fair(q, z)).sum());
    (quoted.iter().map(|&q| fair(q, z)).collect(), Some(z))
}

/// Finds the parameter `x > 0` at which `fair(q_i, x)`, falling in `x`, sums to 1.
fn solve(quoted: &[f64], fair: impl Fn(f64, f64) -> f64) -> (Vec<f64>, Option<f64>) {
    let sum = |x: f64| quoted.iter().map(|&q| fair(q, x)).sum::<f64>();
    let mut high = 1.0;
    while sum(high) > 1.0 && high < 1e18 {
        high *= 2.0;
    }
    let x = falling_root(0.0, high, sum);
    (quoted.iter().map(|&q| fair(q, x)).collect(), Some(x))
}

/// The `x` in `[low, high]` where the falling function `sum` passes 1, so that the sum is 1 within 1e-14.
///
/// Regula falsi with the Illinois correction needs about 8 steps where halving takes 50; every fifth step halves all
/// the same, so that no odds, however strange, stop it short of the answer.
fn falling_root(mut low: f64, mut high: f64, sum: impl Fn(f64) -> f64) -> f64 {
    let (mut at_low, mut at_high) = (sum(low) - 1.0, sum(high) - 1.0);
    let mut last_excess = 0.0;
    for step in 1..=400 {
        let falsi = low + (high - low) * at_low / (at_low - at_high);
        let is_inside = falsi > low && falsi < high;
        let x = if is_inside && step % 5 != 0 { falsi } else { 0.5 * (low + high) };
        let excess = sum(x) - 1.0;
        if excess.abs() <= 1e-14 || high - low <= 1e-15 * high {
            return x;
        }
        // An end that stays for a second time counts half, or it would pull every guess to the other side.
        let weight = if excess * last_excess > 0.0 { 0.5 } else { 1.0 };
        if excess > 0.0 {
            (low, at_low, at_high) = (x, excess, weight * at_high);
        } else {
            (high, at_high, at_low) = (x, excess, weight * at_low);
        }
        last_excess = excess;
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: DevigMethod, odds: &[f64], expected: &[f64], parameter: Option<f64>) {
        let fair = devig(method, odds).expect("valid odds");
        for (p, expected) in fair.probabilities.iter().zip(expected) {
            assert!((p - expected).abs() < 1e-9, "{method:?} {odds:?}: {p} is not {expected}");
        }
        assert_eq!(fair.probabilities.len(), odds.len());
        assert!((fair.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        match (fair.parameter, parameter) {
            (Some(got), Some(expected)) => {
                assert!((got - expected).abs() < 1e-9, "{method:?}: {got} is not {expected}")
            }
            (got, expected) => assert_eq!(got, expected, "{method:?} {odds:?}"),
        }
    }

    #[test]
    fn margin_is_removed_by_each_method() {
        let favourite = [1.05, 21.0, 51.0];
        let shin = [0.942_872_131_447_149, 0.042_293_720_163_482_54, 0.014_834_148_389_368_485];
        check(DevigMethod::Shin, &favourite, &shin, Some(0.010_744_553_985_255_716));
        let power = [0.948_603_887_460_589_4, 0.037_161_236_856_593_82, 0.014_234_875_682_816_643];
        check(DevigMethod::Power, &favourite, &power, Some(1.081_446_810_892_723_3));
        let additive = [0.945_845_004_668_534, 0.041_083_099_906_629_34, 0.013_071_895_424_836_624];
        check(DevigMethod::Additive, &favourite, &additive, None);
        let ratio = [0.943_500_202_461_419_9, 0.040_074_901_344_166_046, 0.016_424_896_194_414_004];
        check(DevigMethod::OddsRatio, &favourite, &ratio, Some(1.197_663_707_780_501_2));
        let multiplicative = [0.934_065_934_065_934_1, 0.046_703_296_703_296_704, 0.019_230_769_230_769_232];
        check(DevigMethod::Multiplicative, &favourite, &multiplicative, None);
    }

    #[test]
    fn edges_of_the_range() {
        // Two outcomes: Shin equals additive.
        check(
            DevigMethod::Shin,
            &[1.5, 2.75],
            &[0.651_515_151_515_151_5, 0.348_484_848_484_848_5],
            Some(0.030_393_148_159_162_355),
        );
        // No margin, and a negative one: multiplicative.
        check(DevigMethod::Shin, &[2.0, 4.0, 4.0], &[0.5, 0.25, 0.25], Some(0.0));
        check(DevigMethod::Shin, &[2.1, 4.2, 4.2], &[0.5, 0.25, 0.25], Some(0.0));
        check(DevigMethod::Power, &[2.0, 4.0, 4.0], &[0.5, 0.25, 0.25], Some(1.0));
        // A margin larger than the longshot's quoted probability is clamped at one in a million.
        let clamped = devig(DevigMethod::Additive, &[1.01, 1.5, 1000.0]).expect("valid odds");
        assert!(clamped.probabilities[2] > 0.0 && clamped.probabilities[2] < 2e-6);
        // Absurd but finite odds still give probabilities.
        let absurd = devig(DevigMethod::Shin, &[1.000_001, 1e9, 1e9]).expect("valid odds");
        assert!(absurd.probabilities.iter().all(|p| *p > 0.0 && *p < 1.0));
    }

    #[test]
    fn unreadable_odds_are_named() {
        assert_eq!(devig(DevigMethod::Shin, &[2.0]), Err(DevigError::TooFewOutcomes { outcomes: 1 }));
        for bad in [1.0, 0.0, -3.0, f64::INFINITY] {
            assert_eq!(devig(DevigMethod::Power, &[2.0, bad]), Err(DevigError::InvalidOdds { outcome: 1, odds: bad }));
        }
        assert!(matches!(devig(DevigMethod::Shin, &[f64::NAN, 2.0]), Err(DevigError::InvalidOdds { outcome: 0, .. })));
        assert_eq!(DevigMethod::for_outcomes(3), DevigMethod::Shin);
        assert_eq!(DevigMethod::for_outcomes(4), DevigMethod::Power);
    }
}
