//! The stakes that make capital grow fastest when several outcomes are on offer and exactly one of them happens
//! (Smoczynski and Tomkins 2010, Mathematical Scientist 35:10).
//!
//! Staking each outcome as if it were alone counts the same money several times. Together: take the outcomes in order of
//! expected return `p x odds` as long as it is above the reserve rate `R = (1 - sum p) / (1 - sum 1 / odds)` of those
//! taken; the stake of each is `p - R / odds`, and `R` is what is kept.

use super::kelly::KellyError;

/// One outcome of several of which exactly one happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExclusiveBet {
    /// Our probability, 0 to 1.
    pub probability: f64,
    /// What a stake of 1 pays when it happens, above 1: decimal odds, or 1 / (ask + fee) of a contract.
    pub odds: f64,
}

/// The stakes of a set of outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct ExclusiveStakes {
    /// Share of the capital on each outcome, in the order given; 0 for those not worth it.
    pub stakes: Vec<f64>,
    /// Share of the capital that is kept.
    pub reserve: f64,
    /// Expected growth of the capital's logarithm by one event staked so.
    pub growth: f64,
}

/// Why there are no stakes.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ExclusiveKellyError {
    /// A probability or odds are out of range.
    #[error("outcome {outcome} cannot be used")]
    Outcome {
        /// Position, from 0.
        outcome: usize,
        /// What is wrong with it.
        #[source]
        source: KellyError,
    },
    /// The outcomes exclude each other, so their probabilities add up to 1 at most.
    #[error("the probabilities add up to {sum}, above 1")]
    Probabilities {
        /// What they add up to.
        sum: f64,
    },
}

/// Rounding of a sum of probabilities.
const TOLERANCE: f64 = 1e-9;

/// The stakes that make the capital grow fastest; multiply them for a part of it (a quarter is usual).
///
/// Example: 50 % at 2.1, 30 % at 3.5 and 20 % at 3.9 stake 10 %, 6 % and nothing.
///
/// # Errors
/// [`ExclusiveKellyError`].
///
/// ```
/// use tragen_domain::agents::exclusive_kelly::{exclusive_kelly, ExclusiveBet};
/// let bet = |probability, odds| ExclusiveBet { probability, odds };
/// let best = exclusive_kelly(&[bet(0.5, 2.1), bet(0.3, 3.5), bet(0.2, 3.9)])?;
/// assert!((best.stakes[0] - 0.10).abs() < 1e-12 && (best.stakes[1] - 0.06).abs() < 1e-12);
/// assert!(best.stakes[2] == 0.0 && (best.reserve - 0.84).abs() < 1e-12);
/// # Ok::<(), tragen_domain::agents::exclusive_kelly::ExclusiveKellyError>(())
/// ```
pub fn exclusive_kelly(bets: &[ExclusiveBet]) -> Result<ExclusiveStakes, ExclusiveKellyError> {
    check(bets)?;
    let mut order: Vec<usize> = (0..bets.len()).collect();
    let expected = |bet: &ExclusiveBet| bet.probability * bet.odds;
    order.sort_by(|a, b| expected(&bets[*b]).total_cmp(&expected(&bets[*a])).then(a.cmp(b)));
    let (mut reserve, mut not_staked, mut margin, mut taken) = (1.0, 1.0, 1.0, 0);
    for outcome in &order {
        let bet = &bets[*outcome];
        if expected(bet) <= reserve {
            break;
        }
        (not_staked, margin, taken) = (not_staked - bet.probability, margin - 1.0 / bet.odds, taken + 1);
        // Stakes on everything that can happen leave nothing to keep.
        reserve = if not_staked.abs() < TOLERANCE { 0.0 } else { not_staked / margin };
    }
    let mut stakes = vec![0.0; bets.len()];
    for outcome in &order[..taken] {
        let bet = &bets[*outcome];
        stakes[*outcome] = (bet.probability - reserve / bet.odds).max(0.0);
    }
    let kept = 1.0 - stakes.iter().sum::<f64>();
    let unseen = (1.0 - bets.iter().map(|bet| bet.probability).sum::<f64>()).max(0.0);
    let wealth = bets.iter().zip(&stakes).map(|(bet, stake)| (bet.probability, kept + stake * bet.odds));
    let growth = wealth.chain([(unseen, kept)]).filter(|(p, _)| *p > TOLERANCE).map(|(p, w)| p * w.ln()).sum();
    Ok(ExclusiveStakes { stakes, reserve, growth })
}

fn check(bets: &[ExclusiveBet]) -> Result<(), ExclusiveKellyError> {
    for (outcome, bet) in bets.iter().enumerate() {
        let source = if !(0.0..=1.0).contains(&bet.probability) {
            KellyError::InvalidProbability { probability: bet.probability }
        } else if bet.odds.is_finite() && bet.odds > 1.0 {
            continue;
        } else {
            KellyError::InvalidOdds { odds: bet.odds }
        };
        return Err(ExclusiveKellyError::Outcome { outcome, source });
    }
    let sum: f64 = bets.iter().map(|bet| bet.probability).sum();
    if sum > 1.0 + TOLERANCE { Err(ExclusiveKellyError::Probabilities { sum }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bets(p: &[f64], odds: &[f64]) -> Vec<ExclusiveBet> {
        p.iter().zip(odds).map(|(probability, odds)| ExclusiveBet { probability: *probability, odds: *odds }).collect()
    }

    /// Growth of these stakes, from the definition.
    fn growth(bets: &[ExclusiveBet], stakes: &[f64]) -> f64 {
        let kept = 1.0 - stakes.iter().sum::<f64>();
        bets.iter().zip(stakes).map(|(bet, stake)| bet.probability * (kept + stake * bet.odds).ln()).sum()
    }

    #[test]
    fn one_bet_is_staked_by_kelly() {
        let best = exclusive_kelly(&bets(&[0.55], &[2.0])).expect("valid");
        assert!((best.stakes[0] - 0.1).abs() < 1e-12 && (best.reserve - 0.9).abs() < 1e-12, "{best:?}");
        let none = exclusive_kelly(&bets(&[0.45], &[2.0])).expect("valid");
        assert_eq!((none.stakes[0], none.reserve, none.growth), (0.0, 1.0, 0.0));
        assert_eq!(exclusive_kelly(&[]), Ok(ExclusiveStakes { stakes: Vec::new(), reserve: 1.0, growth: 0.0 }));
    }

    #[test]
    fn no_neighbour_grows_faster() {
        for (p, odds) in [([0.5, 0.3, 0.2], [2.1, 3.5, 3.9]), ([0.4, 0.35, 0.25], [2.6, 3.0, 3.3])] {
            let bets = bets(&p, &odds);
            let best = exclusive_kelly(&bets).expect("valid");
            assert!((growth(&bets, &best.stakes) - best.growth).abs() < 1e-12);
            for outcome in 0..3 {
                for change in [-1e-3, 1e-3] {
                    let mut other = best.stakes.clone();
                    other[outcome] = (other[outcome] + change).max(0.0);
                    assert!(growth(&bets, &other) <= best.growth + 1e-12, "{p:?} {outcome} {change}");
                }
            }
        }
    }

    #[test]
    fn sure_profit_stakes_everything_in_proportion() {
        let best = exclusive_kelly(&bets(&[0.45, 0.30, 0.25], &[2.3, 3.6, 3.9])).expect("valid");
        assert!(best.stakes.iter().zip([0.45, 0.30, 0.25]).all(|(stake, p)| (stake - p).abs() < 1e-12), "{best:?}");
        assert!(best.reserve.abs() < 1e-12 && best.growth > 0.03);
    }

    #[test]
    fn broken_outcomes_are_named() {
        let check = |p: &[f64], odds: &[f64]| exclusive_kelly(&bets(p, odds)).expect_err("refused");
        assert!(matches!(check(&[0.5, 1.5], &[2.0, 3.0]), ExclusiveKellyError::Outcome { outcome: 1, .. }));
        assert!(matches!(check(&[0.5, 0.2], &[1.0, 3.0]), ExclusiveKellyError::Outcome { outcome: 0, .. }));
        assert!(matches!(check(&[f64::NAN], &[2.0]), ExclusiveKellyError::Outcome { .. }));
        assert!(matches!(check(&[0.6, 0.6], &[2.0, 3.0]), ExclusiveKellyError::Probabilities { .. }));
    }
}
