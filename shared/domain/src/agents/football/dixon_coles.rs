//! The Dixon-Coles model: how strong is each team's attack and defense, by the results of the last years?
//!
//! Dixon and Coles 1997, Applied Statistics 46:265. The home team scores Poisson goals with the rate
//! `exp(intercept + home advantage + attack[home] + defense[away])`, the away team with
//! `exp(intercept + attack[away] + defense[home])`; a *higher* defense lets in *more* goals. Low scores are corrected by
//! rho. A match of age `t` days counts `exp(-decay t)`. A ridge pulls strengths to 0, those of promoted teams to what
//! promoted teams usually are, which makes the estimate the most probable one under normal priors (MAP) and gives every
//! team of the season a strength from its first day on.

use super::calendar::{MatchDay, Season};
use super::fingerprint::Fingerprint;
use super::history::{History, TeamIndex};
use super::likelihood::{Free, Likelihood, Pull, Sample, all_parameters, free_parameters, incidence, natural, project};
use super::score_grid::{GoalModel, Rates};
use crate::agents::newton::{NoTop, Top, climb, dot};

/// Fewest played matches that a fit needs: ten rounds of a league of twenty.
pub const FIT_MATCHES_MIN: usize = 100;
/// Most teams in one fit; time grows with the cube of it.
pub const FIT_TEAMS_MAX: usize = 128;
/// Version of the model's arithmetic; it changes when equal data would give other numbers.
pub const DIXON_COLES_VERSION: &str = "dixon-coles-map-1";

/// The numbers of the fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitRules {
    /// How fast results are forgotten, per day.
    pub decay_per_day: f64,
    /// Results older than this many days do not count.
    pub window_days: u16,
    /// How strongly strengths are pulled: half of it times the squared distance is taken from the log-likelihood.
    pub ridge: f64,
    /// The attack to which a promoted team's is pulled; other teams' are pulled to 0.
    pub promoted_attack: f64,
    /// The same of the defense.
    pub promoted_defense: f64,
    /// How goals depend on each other.
    pub model: GoalModel,
}

impl Default for FitRules {
    /// Tuned on the seasons 2022-23 and 2023-24: decay 0.003 per day, three years, ridge 10, promoted -0.25 / +0.20.
    fn default() -> Self {
        Self {
            decay_per_day: 0.003,
            window_days: 3 * 365,
            ridge: 10.0,
            promoted_attack: -0.25,
            promoted_defense: 0.20,
            model: GoalModel::DixonColes,
        }
    }
}

impl FitRules {
    /// A fingerprint of the rules: fits by rules with equal versions to equal histories are equal.
    #[must_use]
    pub fn version(&self) -> u128 {
        let Self { decay_per_day, window_days, ridge, promoted_attack, promoted_defense, model } = *self;
        let mut fingerprint = Fingerprint::new();
        for number in [decay_per_day, ridge, promoted_attack, promoted_defense, f64::from(window_days)] {
            fingerprint.add(&number.to_bits().to_le_bytes());
        }
        fingerprint.add(&[match model {
            GoalModel::Poisson => 0,
            GoalModel::DixonColes => 1,
        }]);
        fingerprint.bits()
    }
}

/// Why there is no fit.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum FitError {
    /// A rule is not a finite number in its range.
    #[error("the rule {name} is {value}, not a finite number in its range")]
    InvalidRule {
        /// The field.
        name: &'static str,
        /// The number as given.
        value: f64,
    },
    /// There is too little to learn from.
    #[error("{played} played matches before {as_of}, a fit needs {FIT_MATCHES_MIN}")]
    TooFewMatches {
        /// Played matches in the window.
        played: usize,
        /// The day of the fit.
        as_of: MatchDay,
    },
    /// More than [`FIT_TEAMS_MAX`].
    #[error("{teams} teams are more than a fit's {FIT_TEAMS_MAX}")]
    TooManyTeams {
        /// Teams in the window.
        teams: usize,
    },
    /// The data have no best answer, such as a team that never scored, without a ridge.
    #[error("the likelihood has no top")]
    NoTop,
    /// The data leave a strength open, such as two groups of teams that never met, without a ridge.
    #[error("the likelihood does not fix every strength")]
    NotUnique,
}

/// A team in a fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strength {
    /// Which team of the history.
    pub team: TeamIndex,
    /// Logarithm of how many times the average it scores.
    pub attack: f64,
    /// Logarithm of how many times the average it lets in; higher is weaker.
    pub defense: f64,
    /// Its played matches in the window.
    pub matches: usize,
    /// It is in this season but was not in the one before.
    pub is_promoted: bool,
}

/// Strengths of all teams on a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    as_of: MatchDay,
    season: Season,
    strengths: Vec<Strength>,
    matches: usize,
    weight: f64,
    free: Vec<Free>,
    parameters: Vec<f64>,
    top: Top,
}

/// Fits the model to all results before `as_of`, never to one of that day or later.
///
/// The season is that of the next match from `as_of` on; its teams, by the fixture list, are all in the fit. About a
/// millisecond for three Premier League seasons, always from the same start, so that a backtest and a live worker get
/// the same bits.
///
/// # Errors
/// [`FitError`].
pub fn fit(history: &History, as_of: MatchDay, rules: &FitRules) -> Result<Fit, FitError> {
    check_rules(rules)?;
    let earlier = history.before(as_of);
    let is_recent = |day: MatchDay| as_of.days_since(day) <= i32::from(rules.window_days);
    let window = &earlier[earlier.partition_point(|m| !is_recent(m.day))..];
    let played = window.iter().filter_map(|m| Some((m, m.score?)));
    let matches = played.clone().count();
    let season = history.season_on(as_of).filter(|_| matches >= FIT_MATCHES_MIN);
    let Some(season) = season else { return Err(FitError::TooFewMatches { played: matches, as_of }) };

    let strengths = teams_in_fit(history, season, played.clone().flat_map(|(m, _)| [m.home, m.away]));
    if strengths.len() > FIT_TEAMS_MAX {
        return Err(FitError::TooManyTeams { teams: strengths.len() });
    }
    let place = |team: TeamIndex| strengths.binary_search_by_key(&team, |s| s.team).unwrap_or_default();
    let samples: Vec<Sample> = played
        .map(|(m, score)| {
            let age = f64::from(as_of.days_since(m.day));
            Sample::new([place(m.home), place(m.away)], [score.home, score.away], (-rules.decay_per_day * age).exp())
        })
        .collect();
    let weight = samples.iter().map(|s| s.weight).sum();
    let free = free_parameters(strengths.len(), rules.model);
    let top = maximize(&samples, &strengths, &free, rules)?;
    let parameters = all_parameters(&top.at, &free, strengths.len());
    let fit = Fit { as_of, season, strengths, matches, weight, free, parameters, top };
    Ok(fit.with_strengths())
}

fn check_rules(rules: &FitRules) -> Result<(), FitError> {
    let limits = [
        ("decay_per_day", rules.decay_per_day, 0.0, 1.0),
        ("ridge", rules.ridge, 0.0, 1e6),
        ("promoted_attack", rules.promoted_attack, -3.0, 3.0),
        ("promoted_defense", rules.promoted_defense, -3.0, 3.0),
    ];
    let bad = limits.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value));
    bad.map_or(Ok(()), |(name, value, _, _)| Err(FitError::InvalidRule { name, value }))
}

/// The teams that played, and those of the season, in alphabetical order; their strengths are not known yet.
fn teams_in_fit(history: &History, season: Season, played: impl Iterator<Item = TeamIndex>) -> Vec<Strength> {
    let mut matches = vec![0_usize; history.teams().len()];
    for team in played {
        matches[team.get()] += 1;
    }
    let (now, before) = (history.teams_of(season), history.teams_of(season.previous()));
    let is_in = |teams: &[TeamIndex], team: TeamIndex| teams.binary_search(&team).is_ok();
    let strength = |(index, matches): (usize, &usize)| {
        let team = TeamIndex(index);
        // Of the first season known nobody can say who was promoted.
        let is_promoted = !before.is_empty() && is_in(&now, team) && !is_in(&before, team);
        let is_needed = *matches > 0 || is_in(&now, team);
        is_needed.then_some(Strength { team, attack: 0.0, defense: 0.0, matches: *matches, is_promoted })
    };
    matches.iter().enumerate().filter_map(strength).collect()
}

fn maximize(samples: &[Sample], teams: &[Strength], free: &[Free], rules: &FitRules) -> Result<Top, FitError> {
    let pull = |team: &Strength| {
        let [attack, defense] =
            if team.is_promoted { [rules.promoted_attack, rules.promoted_defense] } else { [0.0, 0.0] };
        Pull { attack, defense }
    };
    let pulls: Vec<Pull> = teams.iter().map(pull).collect();
    let likelihood = Likelihood { samples, pulls: &pulls, ridge: rules.ridge, free };
    // A start near every league's averages: 1.2 away goals, 1.5 home goals.
    let mut start = vec![0.0; free.len()];
    start[..2].fill(0.2);
    climb(&likelihood, start).map_err(|why| match why {
        NoTop::NotReached => FitError::NoTop,
        NoTop::NotUnique => FitError::NotUnique,
    })
}

impl Fit {
    fn with_strengths(mut self) -> Self {
        let teams = self.strengths.len();
        for (i, strength) in self.strengths.iter_mut().enumerate() {
            strength.attack = self.parameters[3 + i];
            strength.defense = self.parameters[3 + teams + i];
        }
        self
    }

    /// The day before whose matches it was made.
    #[must_use]
    pub const fn as_of(&self) -> MatchDay {
        self.as_of
    }

    /// The season that decides who is promoted.
    #[must_use]
    pub const fn season(&self) -> Season {
        self.season
    }

    /// All teams, in alphabetical order.
    #[must_use]
    pub fn strengths(&self) -> &[Strength] {
        &self.strengths
    }

    /// Logarithm of the goals of an average away team.
    #[must_use]
    pub fn intercept(&self) -> f64 {
        self.parameters[0]
    }

    /// Logarithm of how many times more a home team scores.
    #[must_use]
    pub fn home_advantage(&self) -> f64 {
        self.parameters[1]
    }

    /// The correction of low scores.
    #[must_use]
    pub fn rho(&self) -> f64 {
        self.parameters[2]
    }

    /// Log-likelihood minus the penalty.
    #[must_use]
    pub const fn penalized_log_likelihood(&self) -> f64 {
        self.top.value
    }

    /// How many matches it rests on.
    #[must_use]
    pub const fn matches(&self) -> usize {
        self.matches
    }

    /// Sum of the matches' weights: so many fresh matches would say as much.
    #[must_use]
    pub const fn weight(&self) -> f64 {
        self.weight
    }

    /// Expected goals of a match; None for a team that is not in the fit.
    #[must_use]
    pub fn rates(&self, home: TeamIndex, away: TeamIndex) -> Option<Rates> {
        let [log_home, log_away, rho] = natural(&self.parameters, self.place(home)?, self.place(away)?);
        Some(Rates { home: log_home.exp(), away: log_away.exp(), rho })
    }

    /// Covariance of the logarithms of the home and away rate and of rho: from the inverse of the negative second
    /// derivatives at the top (Laplace's approximation of the posterior). None for a team that is not in the fit.
    #[must_use]
    pub fn covariance(&self, home: TeamIndex, away: TeamIndex) -> Option<[[f64; 3]; 3]> {
        let (home, away) = (self.place(home)?, self.place(away)?);
        let mut directions = [(); 3].map(|()| vec![0.0; self.parameters.len()]);
        for (parameter, which) in incidence(home, away, self.strengths.len()) {
            directions[which][parameter] = 1.0;
        }
        let roots = directions.map(|direction| self.top.information.half_solve(&project(&direction, &self.free)));
        Some([0, 1, 2].map(|i| [0, 1, 2].map(|j| dot(&roots[i], &roots[j]))))
    }

    fn place(&self, team: TeamIndex) -> Option<usize> {
        self.strengths.binary_search_by_key(&team, |s| s.team).ok()
    }
}

#[cfg(test)]
mod tests;
