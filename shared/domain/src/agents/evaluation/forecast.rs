//! How close were probabilities of home, draw and away to what happened? Lower is better in every measure.

use crate::agents::count::count_to_f64;
use crate::agents::fair_line::Outcome;

/// How far the sum of probabilities may be from 1.
const SUM_TOLERANCE: f64 = 1e-6;

/// Probabilities that no forecast has.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidForecast {
    /// A probability lies in (0, 1): what was called impossible must not happen.
    #[error("the probability {probability} is not inside (0, 1)")]
    OutOfRange {
        /// The number as given.
        probability: f64,
    },
    /// Something must happen.
    #[error("the probabilities sum to {sum}, not to 1")]
    SumNotOne {
        /// The sum.
        sum: f64,
    },
}

/// One forecast and what happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    probabilities: [f64; 3],
    outcome: Outcome,
}

impl Judged {
    /// Checks the probabilities of home, draw and away.
    ///
    /// # Errors
    /// [`InvalidForecast`].
    pub fn new(probabilities: [f64; 3], outcome: Outcome) -> Result<Self, InvalidForecast> {
        if let Some(&probability) = probabilities.iter().find(|p| !(**p > 0.0 && **p < 1.0)) {
            return Err(InvalidForecast::OutOfRange { probability });
        }
        let sum: f64 = probabilities.iter().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(InvalidForecast::SumNotOne { sum });
        }
        Ok(Self { probabilities, outcome })
    }

    /// The probabilities.
    #[must_use]
    pub const fn probabilities(&self) -> [f64; 3] {
        self.probabilities
    }

    /// What happened.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Minus the natural logarithm of the probability of what happened.
    #[must_use]
    pub fn log_loss(&self) -> f64 {
        -self.outcome.of(&self.probabilities).ln()
    }

    /// Ranked probability score (Constantinou and Fenton 2012): half the sum of the squared differences of the
    /// cumulated probabilities in the order home, draw, away. Calling a home win a draw is a smaller mistake than
    /// calling it an away win.
    #[must_use]
    pub fn ranked_probability_score(&self) -> f64 {
        let [home, _, away] = self.differences();
        (home * home + away * away) / 2.0
    }

    /// Sum of the squared differences of all three.
    #[must_use]
    pub fn brier_score(&self) -> f64 {
        self.differences().iter().map(|d| d * d).sum()
    }

    fn differences(&self) -> [f64; 3] {
        Outcome::ALL.map(|o| o.of(&self.probabilities) - if o == self.outcome { 1.0 } else { 0.0 })
    }
}

/// The mean measures of many forecasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForecastScore {
    /// How many forecasts.
    pub matches: usize,
    /// Mean [`Judged::log_loss`].
    pub log_loss: f64,
    /// Mean [`Judged::ranked_probability_score`].
    pub ranked_probability_score: f64,
    /// Mean [`Judged::brier_score`].
    pub brier_score: f64,
}

/// The mean measures; None without a forecast.
///
/// ```
/// use tragen_domain::agents::evaluation::forecast::{Judged, forecast_score};
/// use tragen_domain::agents::fair_line::Outcome;
/// let judged = [Judged::new([0.5, 0.3, 0.2], Outcome::Home)?];
/// let score = forecast_score(&judged).expect("one forecast");
/// assert!((score.log_loss - 0.693_147).abs() < 1e-6);
/// assert!((score.ranked_probability_score - 0.145).abs() < 1e-12); // (0.5^2 + 0.2^2) / 2
/// assert!((score.brier_score - 0.38).abs() < 1e-12); // 0.25 + 0.09 + 0.04
/// # Ok::<(), tragen_domain::agents::evaluation::forecast::InvalidForecast>(())
/// ```
#[must_use]
pub fn forecast_score(judged: &[Judged]) -> Option<ForecastScore> {
    if judged.is_empty() {
        return None;
    }
    let mean = |of: fn(&Judged) -> f64| judged.iter().map(of).sum::<f64>() / count_to_f64(judged.len());
    Some(ForecastScore {
        matches: judged.len(),
        log_loss: mean(Judged::log_loss),
        ranked_probability_score: mean(Judged::ranked_probability_score),
        brier_score: mean(Judged::brier_score),
    })
}

/// How often each outcome happened, the simplest forecast of all; None without results.
#[must_use]
pub fn base_rates(outcomes: impl Iterator<Item = Outcome>) -> Option<[f64; 3]> {
    let mut counts = [0.0; 3];
    for outcome in outcomes {
        for (count, own) in counts.iter_mut().zip(Outcome::ALL) {
            *count += if own == outcome { 1.0 } else { 0.0 };
        }
    }
    let total: f64 = counts.iter().sum();
    (total > 0.0).then(|| counts.map(|count| count / total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearer_outcomes_are_smaller_mistakes() {
        let judged = |outcome| Judged::new([0.7, 0.2, 0.1], outcome).expect("valid");
        let ranked = |outcome| judged(outcome).ranked_probability_score();
        assert!((ranked(Outcome::Home) - 0.05).abs() < 1e-12);
        assert!((ranked(Outcome::Draw) - 0.25).abs() < 1e-12);
        assert!((ranked(Outcome::Away) - 0.65).abs() < 1e-12);
        assert!((judged(Outcome::Away).brier_score() - 1.34).abs() < 1e-12);
        assert_eq!(forecast_score(&[]), None);
    }

    #[test]
    fn impossible_forecasts_are_named() {
        let check = |p: [f64; 3], expected: InvalidForecast| {
            assert_eq!(Judged::new(p, Outcome::Home), Err(expected));
        };
        check([0.0, 0.5, 0.5], InvalidForecast::OutOfRange { probability: 0.0 });
        check([1.0, 0.5, 0.5], InvalidForecast::OutOfRange { probability: 1.0 });
        assert!(Judged::new([f64::NAN, 0.5, 0.5], Outcome::Home).is_err());
        check([0.5, 0.5, 0.25], InvalidForecast::SumNotOne { sum: 1.25 });
    }

    #[test]
    fn base_rates_are_frequencies() {
        let results = [Outcome::Home, Outcome::Home, Outcome::Away, Outcome::Draw];
        assert_eq!(base_rates(results.into_iter()), Some([0.5, 0.25, 0.25]));
        assert_eq!(base_rates(std::iter::empty()), None);
    }
}
