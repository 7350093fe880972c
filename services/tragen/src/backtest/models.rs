//! Football models walked forward: fitted before each match day to the results
//! known by then, and to nothing else. Whoever wants to tell them a result earlier
//! is refused.

use super::timeline::result_at;
use std::collections::HashMap;
use tragen_domain::{
    agents::football::{
        EloRatings, EloRules, FitRules, History, LOGIT_SEASONS, MatchDay, MatchRow as PlayedRow, OrderedLogit, Score,
        Season, walk_forward,
    },
    id::MatchId,
    time::Timestamp,
};
use tragen_market_data::file::MatchRow;

/// Results older than the window of the fit, and the season before it, say nothing.
const DIXON_COLES_DAYS: i32 = 4 * 366;
/// A season begins in August; one that was delayed, later.
const SEASON_MONTH: i64 = 7;

/// What is to be forecast with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) dixon_coles: bool,
    pub(crate) elo: bool,
}

/// Probabilities of home, draw and away by both models; `None` where one has none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ModelForecast {
    pub(crate) dixon_coles: Option<[f64; 3]>,
    pub(crate) elo: Option<[f64; 3]>,
}

/// A result that somebody wants to tell before it is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("look-ahead: the result of {id} is known at {known_at}, and was told at {now} (microseconds since the epoch)")]
pub(crate) struct FutureResult {
    id: MatchId,
    known_at: i64,
    now: i64,
}

/// The models and everything they have been told.
#[derive(Debug)]
pub(crate) struct Models {
    wanted: Wanted,
    played: Vec<PlayedRow>,
    logit: Option<(Season, Option<OrderedLogit>)>,
    today: HashMap<MatchId, ModelForecast>,
}

impl Models {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self { wanted, played: Vec::new(), logit: None, today: HashMap::new() }
    }

    /// Takes the result of a match that is over.
    ///
    /// # Errors
    /// [`FutureResult`] when it is not over at `now`.
    pub(crate) fn learn(&mut self, row: &MatchRow, now: Timestamp) -> Result<(), FutureResult> {
        let known_at = result_at(row);
        if now < known_at {
            return Err(FutureResult { id: row.id.clone(), known_at: known_at.micros(), now: now.micros() });
        }
        if self.wanted != Wanted::default() {
            self.played.push(played(row, Some(Score { home: row.goals.0, away: row.goals.1 })));
        }
        Ok(())
    }

    /// Forecasts the matches of a day before the first of them; an earlier day is forgotten.
    pub(crate) fn begin_day<'a>(&mut self, fixtures: impl Iterator<Item = &'a MatchRow> + Clone) {
        self.today.clear();
        if self.wanted == Wanted::default() {
            return;
        }
        let Some(day) = fixtures.clone().next().map(|row| MatchDay::of(row.day_start())) else { return };
        let upcoming: Vec<PlayedRow> = fixtures.clone().map(|row| played(row, None)).collect();
        let dixon_coles = if self.wanted.dixon_coles { self.dixon_coles(day, &upcoming) } else { HashMap::new() };
        let elo = if self.wanted.elo { self.elo(day, &upcoming) } else { HashMap::new() };
        for row in fixtures {
            let key = (row.home.clone(), row.away.clone());
            let own = ModelForecast { dixon_coles: dixon_coles.get(&key).copied(), elo: elo.get(&key).copied() };
            self.today.insert(row.id.clone(), own);
        }
    }

    /// What the models said of a match of today.
    pub(crate) fn forecast(&self, row: &MatchRow) -> ModelForecast {
        self.today.get(&row.id).copied().unwrap_or_default()
    }

    fn dixon_coles(&self, day: MatchDay, upcoming: &[PlayedRow]) -> HashMap<(String, String), [f64; 3]> {
        let recent = self.played.iter().filter(|row| day.days_since(row.day) <= DIXON_COLES_DAYS);
        let Some(history) = history(recent, upcoming) else { return HashMap::new() };
        let until = MatchDay::from_days(day.days() + 1);
        // A day without a fit, such as the first ones of the files, has no forecasts.
        let days = walk_forward(&history, &FitRules::default(), day, until).flatten();
        let name = |team| history.name(team).to_owned();
        days.flat_map(|day| day.matches)
            .map(|own| ((name(own.fixture.home), name(own.fixture.away)), own.probabilities))
            .collect()
    }

    fn elo(&mut self, day: MatchDay, upcoming: &[PlayedRow]) -> HashMap<(String, String), [f64; 3]> {
        let Some(history) = history(self.played.iter(), upcoming) else { return HashMap::new() };
        let rules = EloRules::default();
        let Some(season) = upcoming.first().map(|row| row.season) else { return HashMap::new() };
        if self.logit.as_ref().is_none_or(|(fitted_for, _)| *fitted_for != season) {
            self.logit = Some((season, OrderedLogit::of_seasons_before(&history, &rules, season).ok()));
        }
        let Some((_, Some(logit))) = &self.logit else { return HashMap::new() };
        let ratings = EloRatings::before(&history, day, &rules);
        let own = |row: &PlayedRow| {
            let (home, away) = (history.team(&row.home).ok()?, history.team(&row.away).ok()?);
            Some(((row.home.clone(), row.away.clone()), logit.probabilities(ratings.difference(home, away))))
        };
        upcoming.iter().filter_map(own).collect()
    }

    /// How often each outcome happened in the ten seasons before that of `row`, the simplest forecast of all.
    pub(crate) fn base_rates(&self, row: &MatchRow) -> Option<[f64; 3]> {
        let season = season(row).first_year();
        let first = season.saturating_sub(LOGIT_SEASONS);
        let used = self.played.iter().filter(|own| (first..season).contains(&own.season.first_year()));
        let outcomes = used.filter_map(|own| Some(own.score?.outcome()));
        tragen_domain::agents::evaluation::forecast::base_rates(outcomes)
    }
}

/// The season a match belongs to.
pub(crate) fn season(row: &MatchRow) -> Season {
    let month = row.day_start().utc_month();
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12));
    let begins = if month >= SEASON_MONTH { year } else { year - 1 };
    Season::beginning(u16::try_from(begins).unwrap_or_default())
}

fn played(row: &MatchRow, score: Option<Score>) -> PlayedRow {
    let (home, away) = (row.home.clone(), row.away.clone());
    PlayedRow { day: MatchDay::of(row.day_start()), season: season(row), home, away, score }
}

/// Matches that contradict each other, such as two of one team on one day, are no history.
fn history<'a>(known: impl Iterator<Item = &'a PlayedRow>, upcoming: &'a [PlayedRow]) -> Option<History> {
    let rows: Vec<PlayedRow> = known.chain(upcoming).cloned().collect();
    History::new(&rows).ok()
}
