//! Elo ratings of teams: one number for how strong each is, moved by every result.
//!
//! Elo 1978; for football with a factor for the goal difference as in the World Football Elo ratings; Hvattum and
//! Arntzen 2010, International Journal of Forecasting 26:460, turn the difference into probabilities by an ordered
//! logit ([`super::ordered_logit`]).

use super::calendar::MatchDay;
use super::dixon_coles::FitError;
use super::fingerprint::Fingerprint;
use super::history::{History, Match, Score, TeamIndex};
use crate::agents::fair_line::Outcome;

/// The numbers of the ratings, all in rating points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EloRules {
    /// Most points that a result by one goal moves.
    pub step: f64,
    /// What playing at home is worth.
    pub home_advantage: f64,
    /// Rating of the teams of the first season of the history.
    pub initial: f64,
    /// Rating of a team that comes later, by promotion.
    pub newcomer: f64,
}

impl Default for EloRules {
    /// Step 20, home 60, first season 1500, promoted for the first time 1350.
    fn default() -> Self {
        Self { step: 20.0, home_advantage: 60.0, initial: 1_500.0, newcomer: 1_350.0 }
    }
}

impl EloRules {
    /// Refuses numbers that would spread through every rating.
    ///
    /// # Errors
    /// [`FitError::InvalidRule`] with the first rule that is not finite or out of its range.
    pub fn check(&self) -> Result<(), FitError> {
        let limits = [
            ("step", self.step, 0.0, 1_000.0),
            ("home_advantage", self.home_advantage, -1_000.0, 1_000.0),
            ("initial", self.initial, 0.0, 10_000.0),
            ("newcomer", self.newcomer, 0.0, 10_000.0),
        ];
        let bad = limits.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value));
        bad.map_or(Ok(()), |(name, value, _, _)| Err(FitError::InvalidRule { name, value }))
    }

    /// A fingerprint of the rules.
    #[must_use]
    pub fn version(&self) -> u128 {
        let Self { step, home_advantage, initial, newcomer } = *self;
        let mut fingerprint = Fingerprint::new();
        for number in [step, home_advantage, initial, newcomer] {
            fingerprint.add(&number.to_bits().to_le_bytes());
        }
        fingerprint.bits()
    }
}

/// The ratings on a day. A team that was relegated keeps its rating until it returns.
#[derive(Debug, Clone, PartialEq)]
pub struct EloRatings {
    rules: EloRules,
    /// One per team of the history; None for one that has not played.
    ratings: Vec<Option<f64>>,
}

impl EloRatings {
    /// The ratings after all results before a day.
    #[must_use]
    pub fn before(history: &History, day: MatchDay, rules: &EloRules) -> Self {
        let mut ratings = Self::start(history, rules);
        for played in history.before(day) {
            ratings.admit(history, played);
            ratings.update(played);
        }
        ratings
    }

    fn start(history: &History, rules: &EloRules) -> Self {
        Self { rules: *rules, ratings: vec![None; history.teams().len()] }
    }

    /// The rating of a team; None for one that has not played yet.
    #[must_use]
    pub fn rating(&self, team: TeamIndex) -> Option<f64> {
        self.ratings.get(team.get()).copied().flatten()
    }

    /// By how much the home team is better, its home advantage included. A team that has not played counts as a
    /// newcomer.
    #[must_use]
    pub fn difference(&self, home: TeamIndex, away: TeamIndex) -> f64 {
        let rating = |team| self.rating(team).unwrap_or(self.rules.newcomer);
        rating(home) + self.rules.home_advantage - rating(away)
    }

    /// Gives teams that have no rating their first one.
    fn admit(&mut self, history: &History, fixture: &Match) {
        let is_first_season = history.matches().first().is_some_and(|first| first.season == fixture.season);
        let unknown = if is_first_season { self.rules.initial } else { self.rules.newcomer };
        for team in [fixture.home, fixture.away] {
            self.ratings[team.get()].get_or_insert(unknown);
        }
    }

    fn update(&mut self, played: &Match) {
        let Some(score) = played.score else { return };
        let expected = expected_score(self.difference(played.home, played.away));
        let points = match score.outcome() {
            Outcome::Home => 1.0,
            Outcome::Draw => 0.5,
            Outcome::Away => 0.0,
        };
        let moved = self.rules.step * goal_factor(score) * (points - expected);
        for (team, by) in [(played.home, moved), (played.away, -moved)] {
            self.ratings[team.get()].iter_mut().for_each(|rating| *rating += by);
        }
    }
}

/// [`EloRatings::difference`] before every match of the history, in its order, each from the days before only.
#[must_use]
pub fn elo_differences(history: &History, rules: &EloRules) -> Vec<f64> {
    let mut ratings = EloRatings::start(history, rules);
    let mut differences = Vec::with_capacity(history.matches().len());
    for day in history.matches().chunk_by(|a, b| a.day == b.day) {
        for fixture in day {
            ratings.admit(history, fixture);
            differences.push(ratings.difference(fixture.home, fixture.away));
        }
        day.iter().for_each(|played| ratings.update(played));
    }
    differences
}

/// Expected points of the home team, 0 to 1: `1 / (1 + 10^(-difference / 400))`.
#[must_use]
pub fn expected_score(difference: f64) -> f64 {
    1.0 / (1.0 + 10.0_f64.powf(-difference / 400.0))
}

/// 1 for a difference up to one goal, 1.5 for two, `(11 + difference) / 8` from three on.
fn goal_factor(score: Score) -> f64 {
    match score.home.abs_diff(score.away) {
        0 | 1 => 1.0,
        2 => 1.5,
        more => (11.0 + f64::from(more)) / 8.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::league;
    use super::super::{MatchRow, Season};
    use super::*;

    fn row(day: i32, season: u16, home: &str, away: &str, score: Option<(u8, u8)>) -> MatchRow {
        MatchRow {
            day: MatchDay::from_days(day),
            season: Season::beginning(season),
            home: home.to_owned(),
            away: away.to_owned(),
            score: score.map(|(home, away)| Score { home, away }),
        }
    }

    #[test]
    fn results_move_ratings() {
        let check = |score: (u8, u8), moved: f64| {
            let history = History::new(&[row(1, 2020, "A", "B", Some(score))]).expect("valid");
            let ratings = EloRatings::before(&history, MatchDay::from_days(2), &EloRules::default());
            let [a, b] = [0, 1].map(|team| ratings.rating(TeamIndex(team)).expect("rated"));
            assert!((a - 1_500.0 - moved).abs() < 1e-9 && (a + b - 3_000.0).abs() < 1e-9, "{score:?}: {a} {b}");
        };
        // 60 points of home advantage: expected 1 / (1 + 10^-0.15) = 0.5855.
        let expected = 1.0 / (1.0 + 10.0_f64.powf(-0.15));
        check((1, 0), 20.0 * (1.0 - expected));
        check((1, 1), 20.0 * (0.5 - expected));
        check((0, 2), -30.0 * expected);
        check((4, 1), 20.0 * 14.0 / 8.0 * (1.0 - expected));
    }

    #[test]
    fn newcomers_begin_low_and_relegated_teams_keep_their_rating() {
        let rows =
            [row(1, 2020, "A", "B", Some((3, 0))), row(400, 2021, "A", "C", None), row(800, 2022, "B", "A", None)];
        let history = History::new(&rows).expect("valid");
        let ratings = EloRatings::before(&history, MatchDay::from_days(900), &EloRules::default());
        assert_eq!(ratings.rating(TeamIndex(2)), Some(1_350.0));
        let first = EloRatings::before(&history, MatchDay::from_days(2), &EloRules::default());
        assert_eq!(first.rating(TeamIndex(1)), ratings.rating(TeamIndex(1)));
        assert_eq!(first.rating(TeamIndex(2)), None);
    }

    #[test]
    fn differences_are_those_before_each_day() {
        let history = History::new(&league(2)).expect("valid");
        let rules = EloRules::default();
        let differences = elo_differences(&history, &rules);
        assert_eq!(differences.len(), history.matches().len());
        assert!((differences[0] - 60.0).abs() < 1e-9);
        for index in [10, 379, 400, 759] {
            let m = history.matches()[index];
            let before = EloRatings::before(&history, m.day, &rules).difference(m.home, m.away);
            assert!((differences[index] - before).abs() < 1e-9, "{index}");
        }
    }
}
