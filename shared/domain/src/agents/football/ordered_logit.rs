//! From a difference in strength to the probabilities of home, draw and away.
//!
//! Ordered logit (McCullagh 1980, Journal of the Royal Statistical Society B 42:109; Hvattum and Arntzen 2010 for
//! football): `P(away) = s(low - slope x)` and `P(away) + P(draw) = s(high - slope x)`, with `s` the logistic function
//! and `x` the Elo difference in units of 400 points.

use super::calendar::Season;
use super::elo::{EloRules, elo_differences};
use super::history::{History, Match};
use crate::agents::consensus::sigmoid;
use crate::agents::fair_line::Outcome;
use crate::agents::newton::{Curvature, Hill, climb};
use std::collections::BTreeMap;

/// Fewest results that the fit needs.
pub const OBSERVATIONS_MIN: usize = 100;
/// How many seasons before a match's own teach how differences turn into results.
pub const LOGIT_SEASONS: u16 = 10;
/// Rating points in one unit of the difference.
const POINTS_PER_UNIT: f64 = 400.0;

/// A fitted ordered logit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OrderedLogit {
    /// Threshold between away and draw.
    pub low: f64,
    /// Threshold between draw and home, above `low`.
    pub high: f64,
    /// Weight of the difference.
    pub slope: f64,
}

/// Why it cannot be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogitError {
    /// There is too little to learn from.
    #[error("{observations} results, an ordered logit needs {OBSERVATIONS_MIN}")]
    TooFewResults {
        /// How many there are.
        observations: usize,
    },
    /// The results have no best answer, such as when nobody ever draws.
    #[error("the likelihood has no top")]
    NoTop,
}

impl OrderedLogit {
    /// Probabilities of home, draw and away at an Elo difference in points, home advantage included.
    #[must_use]
    pub fn probabilities(&self, difference: f64) -> [f64; 3] {
        let shift = self.slope * difference / POINTS_PER_UNIT;
        let (away, not_home) = (sigmoid(self.low - shift), sigmoid(self.high - shift));
        [1.0 - not_home, not_home - away, away]
    }

    /// The most likely logit for (Elo difference in points, outcome).
    ///
    /// # Errors
    /// [`LogitError`].
    pub fn fit(observations: &[(f64, Outcome)]) -> Result<Self, LogitError> {
        if observations.len() < OBSERVATIONS_MIN {
            return Err(LogitError::TooFewResults { observations: observations.len() });
        }
        let top = climb(&Likelihood(observations), vec![-0.6, 0.5, 1.0]).map_err(|_| LogitError::NoTop)?;
        Ok(Self { low: top.at[0], high: top.at[1], slope: top.at[2] })
    }

    /// Fits to the played matches that `is_used`, each with its Elo difference from the days before it.
    ///
    /// # Errors
    /// [`LogitError`].
    pub fn of_history(
        history: &History,
        rules: &EloRules,
        is_used: impl Fn(&Match) -> bool,
    ) -> Result<Self, LogitError> {
        let with_difference = history.matches().iter().zip(elo_differences(history, rules));
        let used = with_difference.filter(|(m, _)| is_used(m));
        let observations: Vec<(f64, Outcome)> = used.filter_map(|(m, d)| Some((d, m.score?.outcome()))).collect();
        Self::fit(&observations)
    }
}

impl OrderedLogit {
    /// Fits to the at most [`LOGIT_SEASONS`] seasons before a season, to none of its own matches.
    ///
    /// # Errors
    /// [`LogitError`].
    pub fn of_seasons_before(history: &History, rules: &EloRules, season: Season) -> Result<Self, LogitError> {
        let first = season.first_year().saturating_sub(LOGIT_SEASONS);
        Self::of_history(history, rules, |m| m.season < season && m.season.first_year() >= first)
    }
}

/// Forecasts of all matches by Elo, in the order of the history: the ratings are those before each day, the logit is
/// fitted anew for each season to those before it. None in the first season, which has nobody to learn from.
#[must_use]
pub fn elo_forecasts(history: &History, rules: &EloRules) -> Vec<Option<[f64; 3]>> {
    let mut logits: BTreeMap<Season, Option<OrderedLogit>> = BTreeMap::new();
    for m in history.matches() {
        logits.entry(m.season).or_insert_with(|| OrderedLogit::of_seasons_before(history, rules, m.season).ok());
    }
    let logit = |m: &Match| logits.get(&m.season).copied().flatten();
    let forecast = |(m, difference): (&Match, f64)| logit(m).map(|logit| logit.probabilities(difference));
    history.matches().iter().zip(elo_differences(history, rules)).map(forecast).collect()
}

struct Likelihood<'a>(&'a [(f64, Outcome)]);

impl Hill for Likelihood<'_> {
    fn value(&self, at: &[f64]) -> f64 {
        let [low, high, slope] = [at[0], at[1], at[2]];
        if low >= high {
            return f64::NEG_INFINITY;
        }
        let logit = OrderedLogit { low, high, slope };
        self.0.iter().map(|(difference, outcome)| outcome.of(&logit.probabilities(*difference)).ln()).sum()
    }

    fn curvature(&self, at: &[f64]) -> Curvature {
        let (mut slope, mut information) = (vec![0.0; 3], vec![0.0; 9]);
        for (difference, outcome) in self.0 {
            let x = difference / POINTS_PER_UNIT;
            let (first, second) = derivatives(at[0] - at[2] * x, at[1] - at[2] * x, *outcome);
            // How the two shifted thresholds move with (low, high, slope).
            let moves = [[1.0, 0.0, -x], [0.0, 1.0, -x]];
            for i in 0..3 {
                slope[i] += first[0] * moves[0][i] + first[1] * moves[1][i];
                for j in 0..3 {
                    let bend = (0..2).map(|a| (0..2).map(|b| second[a][b] * moves[a][i] * moves[b][j]).sum::<f64>());
                    information[3 * i + j] -= bend.sum::<f64>();
                }
            }
        }
        Curvature { value: self.value(at), slope, information }
    }
}

/// First and second derivatives of `ln P(outcome)` by the two shifted thresholds.
fn derivatives(low: f64, high: f64, outcome: Outcome) -> ([f64; 2], [[f64; 2]; 2]) {
    let (at_low, at_high) = (sigmoid(low), sigmoid(high));
    let [steep_low, steep_high] = [at_low * (1.0 - at_low), at_high * (1.0 - at_high)];
    match outcome {
        Outcome::Away => ([1.0 - at_low, 0.0], [[-steep_low, 0.0], [0.0, 0.0]]),
        Outcome::Home => ([0.0, -at_high], [[0.0, 0.0], [0.0, -steep_high]]),
        Outcome::Draw => {
            let draw = at_high - at_low;
            let first = [-steep_low / draw, steep_high / draw];
            let bend_low = -steep_low * (1.0 - 2.0 * at_low) / draw - first[0] * first[0];
            let bend_high = steep_high * (1.0 - 2.0 * at_high) / draw - first[1] * first[1];
            let both = -first[0] * first[1];
            (first, [[bend_low, both], [both, bend_high]])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::league;
    use super::*;

    #[test]
    fn probabilities_follow_the_difference() {
        let logit = OrderedLogit { low: -0.6, high: 0.5, slope: 1.9 };
        let [home, draw, away] = logit.probabilities(0.0);
        assert!((away - sigmoid(-0.6)).abs() < 1e-12 && (home + draw + away - 1.0).abs() < 1e-12);
        let [stronger, _, weaker] = logit.probabilities(400.0);
        assert!((weaker - sigmoid(-2.5)).abs() < 1e-12 && stronger > home);
    }

    #[test]
    fn fitted_probabilities_are_as_frequent_as_the_results() {
        let history = History::new(&league(3)).expect("valid");
        let rules = EloRules::default();
        let logit = OrderedLogit::of_history(&history, &rules, |_| true).expect("a fit");
        let mut excess = [0.0; 3];
        for (m, difference) in history.matches().iter().zip(elo_differences(&history, &rules)) {
            let outcome = m.score.expect("played").outcome();
            for (i, p) in logit.probabilities(difference).into_iter().enumerate() {
                excess[i] += p - if Outcome::ALL[i] == outcome { 1.0 } else { 0.0 };
            }
        }
        // Not exact as in a multinomial logit, but both thresholds are free.
        assert!(excess.iter().all(|e| e.abs() < 5.0), "{excess:?}");
        assert!(logit.slope > 0.5, "{logit:?}");
        let (few, none) = (OrderedLogit::of_history(&history, &rules, |_| false), OrderedLogit::fit(&[]));
        assert_eq!((few, none), (none, Err(LogitError::TooFewResults { observations: 0 })));
    }

    #[test]
    fn forecasts_know_earlier_seasons_only() {
        let rules = EloRules::default();
        let rows = league(3);
        let history = History::new(&rows).expect("valid");
        let forecasts = elo_forecasts(&history, &rules);
        assert!(forecasts[..380].iter().all(Option::is_none) && forecasts[380..].iter().all(Option::is_some));
        // Other results of the last season change nothing before it, nor its own first day.
        let mut changed = rows.clone();
        for row in &mut changed[760..] {
            row.score = row.score.map(|score| super::super::Score { home: score.away, away: score.home });
        }
        let other = elo_forecasts(&History::new(&changed).expect("valid"), &rules);
        assert_eq!(forecasts[..770], other[..770]);
        assert_ne!(forecasts[770..], other[770..]);
    }

    #[test]
    fn derivatives_are_those_of_the_value() {
        let observations = [(120.0, Outcome::Home), (-40.0, Outcome::Draw), (10.0, Outcome::Away)];
        let (hill, at, step) = (Likelihood(&observations), [-0.6, 0.5, 1.5], 1e-5);
        let here = hill.curvature(&at);
        for i in 0..3 {
            let moved = |by: f64| {
                let mut moved = at;
                moved[i] += by;
                moved
            };
            let slope = (hill.value(&moved(step)) - hill.value(&moved(-step))) / (2.0 * step);
            assert!((here.slope[i] - slope).abs() < 1e-8);
            let (up, down) = (hill.curvature(&moved(step)), hill.curvature(&moved(-step)));
            for j in 0..3 {
                let bend = (down.slope[j] - up.slope[j]) / (2.0 * step);
                assert!((here.information[3 * i + j] - bend).abs() < 1e-8);
            }
        }
    }
}
