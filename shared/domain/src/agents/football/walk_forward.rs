//! Forecasts as they would have been made: before each match day, from earlier results only.

use super::calendar::MatchDay;
use super::dixon_coles::{Fit, FitError, FitRules, fit};
use super::history::{History, Match};
use super::score_grid::{InvalidRates, Rates, ScoreGrid};

/// The forecast of one match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatchForecast {
    /// Its place in [`History::matches`].
    pub index: usize,
    /// The match; its score, if known, was not used.
    pub fixture: Match,
    /// Expected goals and correction.
    pub rates: Rates,
    /// Probabilities of home, draw and away.
    pub probabilities: [f64; 3],
}

/// All forecasts of a match day, and the fit they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct DayForecast {
    /// The day.
    pub day: MatchDay,
    /// The strengths before it.
    pub fit: Fit,
    /// One per match of the day, by home team.
    pub matches: Vec<MatchForecast>,
}

/// Why a match day has no forecast.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// There is no fit, such as on the first days of a history.
    #[error("no forecast for {day}")]
    NoFit {
        /// The match day.
        day: MatchDay,
        /// Why.
        #[source]
        source: FitError,
    },
    /// The strengths give impossible rates.
    #[error("no scores on {day}")]
    NoGrid {
        /// The match day.
        day: MatchDay,
        /// Why.
        #[source]
        source: InvalidRates,
    },
}

/// Walks through a history, a match day at a time: see [`walk_forward`].
#[derive(Debug, Clone)]
pub struct WalkForward<'a> {
    history: &'a History,
    rules: FitRules,
    next: usize,
    end: usize,
}

/// Forecasts every match day from `from` (included) to `until` (not included), each by a fit of its own to the results
/// of all days before it.
///
/// Nothing of a day or of a later one reaches its forecast but the fixture list: which teams play in its season. A day
/// without a forecast is an error item, and the walk goes on behind it.
///
/// ```
/// use tragen_domain::agents::football::{FitRules, ForecastError, History, MatchDay, walk_forward};
/// let history = History::new(&[])?;
/// let mut days = walk_forward(&history, &FitRules::default(), MatchDay::from_days(0), MatchDay::from_days(30_000));
/// assert!(days.next().is_none());
/// # Ok::<(), tragen_domain::agents::football::HistoryError>(())
/// ```
#[must_use]
pub fn walk_forward<'a>(history: &'a History, rules: &FitRules, from: MatchDay, until: MatchDay) -> WalkForward<'a> {
    let (next, end) = (history.before(from).len(), history.before(until).len());
    WalkForward { history, rules: *rules, next, end }
}

impl Iterator for WalkForward<'_> {
    type Item = Result<DayForecast, ForecastError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next;
        let rest = self.history.matches().get(start..self.end)?;
        let day = rest.first()?.day;
        self.next = start + rest.partition_point(|m| m.day == day);
        Some(forecast_day(self.history, &self.rules, day, start..self.next))
    }
}

fn forecast_day(
    history: &History,
    rules: &FitRules,
    day: MatchDay,
    places: std::ops::Range<usize>,
) -> Result<DayForecast, ForecastError> {
    let fit = fit(history, day, rules).map_err(|source| ForecastError::NoFit { day, source })?;
    let mut matches = Vec::with_capacity(places.len());
    for (index, fixture) in places.clone().zip(&history.matches()[places]) {
        // Every team of the season is in the fit.
        let Some(rates) = fit.rates(fixture.home, fixture.away) else { continue };
        let grid = ScoreGrid::new(rates).map_err(|source| ForecastError::NoGrid { day, source })?;
        matches.push(MatchForecast { index, fixture: *fixture, rates, probabilities: grid.outcomes() });
    }
    Ok(DayForecast { day, fit, matches })
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::league;
    use super::*;

    #[test]
    fn each_match_is_forecast_once_and_only_from_the_past() {
        let rows = league(2);
        let history = History::new(&rows).expect("valid");
        let (from, until) = (history.matches()[400].day, MatchDay::from_days(i32::MAX));
        let rules = FitRules::default();
        let days: Vec<DayForecast> =
            walk_forward(&history, &rules, from, until).collect::<Result<_, _>>().expect("enough matches");
        let places: Vec<usize> = days.iter().flat_map(|day| day.matches.iter().map(|m| m.index)).collect();
        let first = history.before(from).len();
        assert_eq!(places, (first..history.matches().len()).collect::<Vec<_>>());

        // Another result of a day changes the forecasts of later days and no other.
        let changed_day = days[20].day;
        let mut changed = rows.clone();
        for row in changed.iter_mut().filter(|row| row.day == changed_day) {
            row.score = row.score.map(|score| super::super::Score { home: score.away + 5, away: score.home });
        }
        let changed = History::new(&changed).expect("valid");
        for (before, after) in days.iter().zip(walk_forward(&changed, &rules, from, until)) {
            let after = after.expect("enough matches");
            let is_same = before.matches.iter().zip(&after.matches).all(|(b, a)| b.probabilities == a.probabilities);
            assert_eq!(is_same, before.day <= changed_day, "{}", before.day);
        }
    }

    #[test]
    fn days_without_enough_past_are_errors_and_do_not_end_the_walk() {
        let history = History::new(&league(1)).expect("valid");
        let (from, until) = (MatchDay::from_days(0), MatchDay::from_days(i32::MAX));
        let days: Vec<_> = walk_forward(&history, &FitRules::default(), from, until).collect();
        assert!(matches!(days[0], Err(ForecastError::NoFit { source: FitError::TooFewMatches { played: 0, .. }, .. })));
        assert!(days.last().expect("days").is_ok());
    }
}
