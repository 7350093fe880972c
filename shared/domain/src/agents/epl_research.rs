//! eplResearchAgent: what do the results of the last years say about the next match of two teams?
//!
//! A [`ResearchModel`] is fitted once per day and [`ModelKey`] (it takes milliseconds and belongs off the trading path);
//! [`research`] then answers in microseconds. It speaks of matches that have not begun: nothing in it knows a score.

use super::fair_line::Outcome;
use super::football::{
    DIXON_COLES_VERSION, DataVersion, EloRatings, EloRules, Estimate, Event, Fit, FitError, FitRules, Form, History,
    InvalidRates, LineBet, LogitError, MatchDay, OrderedLogit, QuarterGoals, Rates, Score, StakeShares, Strength,
    TeamIndex, UncertainGrid, UnknownTeam, fit, form, head_to_head, rest_days,
};
use super::scout::MatchPhase;

/// Over and under are told for so many goals and a half, from 0.5 on.
pub const TOTALS: u8 = 6;
/// Handicaps are told from minus to plus so many quarters of a goal.
pub const HANDICAP_QUARTERS: i16 = 8;
/// How many of the likeliest scores are told.
pub const SCORES_TOLD: usize = 6;

/// The numbers of the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ResearchRules {
    /// Of the Dixon-Coles fit.
    pub fit: FitRules,
    /// Of the Elo ratings.
    pub elo: EloRules,
}

/// What a fitted model depends on: two models with equal keys are equal, so a cache may keep one by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelKey {
    /// The matches.
    pub data: DataVersion,
    /// The day before whose matches it is fitted.
    pub as_of: MatchDay,
    /// The arithmetic.
    pub model: &'static str,
    /// Fingerprints of the rules of the fit and of the ratings.
    pub rules: [u128; 2],
}

/// Everything that is learned from a history for one day.
#[derive(Debug, Clone, PartialEq)]
pub struct ResearchModel {
    key: ModelKey,
    history: History,
    fit: Fit,
    elo: EloRatings,
    logit: Result<OrderedLogit, LogitError>,
}

/// Two teams, and where their match is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResearchQuestion<'a> {
    /// Name of the home team.
    pub home: &'a str,
    /// Name of the away team.
    pub away: &'a str,
    /// Where the match is.
    pub phase: MatchPhase,
}

/// A number of goals and how likely more and fewer are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Total {
    /// The line is this and a half.
    pub goals: u8,
    /// More.
    pub over: Estimate,
    /// Not more.
    pub under: Estimate,
}

/// An Asian handicap on the home team and what a stake on each side does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Handicap {
    /// Added to the home team's goals.
    pub line: QuarterGoals,
    /// A stake on the home team.
    pub home: StakeShares,
    /// A stake on the away team, at minus the line.
    pub away: StakeShares,
}

/// The second opinion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EloView {
    /// Rating of the home team; None for one that has not played.
    pub home: Option<f64>,
    /// Rating of the away team.
    pub away: Option<f64>,
    /// By how much the home team is better, home advantage included; points.
    pub difference: f64,
    /// Probabilities of home, draw and away, or why there are none.
    pub probabilities: Result<[f64; 3], LogitError>,
}

/// A team before the match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TeamView {
    /// Its attack and defense.
    pub strength: Strength,
    /// Its last five results.
    pub form: Form,
    /// Days since its last match of the league; None if it has not played.
    pub rest_days: Option<i32>,
}

/// Where the figures come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Provenance {
    /// Data, day and arithmetic.
    pub key: ModelKey,
    /// Day of the latest result used; None without one.
    pub latest_result: Option<MatchDay>,
    /// Matches in the fit.
    pub matches: usize,
    /// So many fresh matches would say as much.
    pub weight: f64,
}

/// All that is known of a match from results.
#[derive(Debug, Clone, PartialEq)]
pub struct ResearchReport {
    /// The day of their next match by the fixture list; None if it is not in it.
    pub next_match: Option<MatchDay>,
    /// Expected goals and the correction of low scores.
    pub rates: Rates,
    /// Home, draw and away.
    pub outcomes: [Estimate; 3],
    /// From 0.5 goals on.
    pub totals: Vec<Total>,
    /// Both teams score.
    pub both_score: Estimate,
    /// From the hardest for the home team to the easiest.
    pub handicaps: Vec<Handicap>,
    /// The likeliest scores, the likeliest first.
    pub scores: Vec<(Score, f64)>,
    /// By ratings.
    pub elo: EloView,
    /// The home team.
    pub home: TeamView,
    /// The away team.
    pub away: TeamView,
    /// Their last ten meetings, from the home team's side.
    pub head_to_head: Form,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ResearchRefusal {
    /// The models know nothing of the score and the minute.
    #[error("the match is in play and results of other matches do not price it")]
    InPlay,
    /// There is nothing left to forecast.
    #[error("the match is finished")]
    Finished,
    /// No such name.
    #[error(transparent)]
    UnknownTeam(#[from] UnknownTeam),
    /// Nobody plays himself.
    #[error("{team} does not play against itself")]
    SameTeam {
        /// The name.
        team: String,
    },
    /// The team has not played in the window of the fit and is not in this season.
    #[error("{team} is not in the league now and was not in the last years")]
    OutOfLeague {
        /// The name.
        team: String,
    },
    /// The model cannot be fitted.
    #[error("there is no model")]
    NoFit(#[from] FitError),
    /// The strengths give impossible rates.
    #[error("there are no scores")]
    NoGrid(#[from] InvalidRates),
}

impl ResearchModel {
    /// Learns from all results before a day.
    ///
    /// # Errors
    /// [`ResearchRefusal::NoFit`].
    pub fn new(history: History, as_of: MatchDay, rules: &ResearchRules) -> Result<Self, ResearchRefusal> {
        rules.elo.check()?;
        let fit = fit(&history, as_of, &rules.fit)?;
        let elo = EloRatings::before(&history, as_of, &rules.elo);
        let season = fit.season();
        let logit = OrderedLogit::of_seasons_before(&history, &rules.elo, season);
        let key = model_key(&history, as_of, rules);
        Ok(Self { key, history, fit, elo, logit })
    }

    /// What the model depends on.
    #[must_use]
    pub const fn key(&self) -> ModelKey {
        self.key
    }

    /// The matches it knows.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// The strengths.
    #[must_use]
    pub const fn fit(&self) -> &Fit {
        &self.fit
    }

    fn team(&self, name: &str) -> Result<(TeamIndex, TeamView), ResearchRefusal> {
        let team = self.history.team(name)?;
        let strength = self.fit.strengths().iter().find(|s| s.team == team);
        let Some(strength) = strength else { return Err(ResearchRefusal::OutOfLeague { team: name.to_owned() }) };
        let day = self.fit.as_of();
        let (form, rest_days) = (form(&self.history, team, day), rest_days(&self.history, team, day));
        Ok((team, TeamView { strength: *strength, form, rest_days }))
    }
}

/// The key of the model that [`ResearchModel::new`] would fit.
#[must_use]
pub fn model_key(history: &History, as_of: MatchDay, rules: &ResearchRules) -> ModelKey {
    let rules = [rules.fit.version(), rules.elo.version()];
    ModelKey { data: history.version(), as_of, model: DIXON_COLES_VERSION, rules }
}

/// Reports on a match that has not begun.
///
/// # Errors
/// [`ResearchRefusal`]; an unknown team with the nearest names.
pub fn research(model: &ResearchModel, question: &ResearchQuestion<'_>) -> Result<ResearchReport, ResearchRefusal> {
    match question.phase {
        MatchPhase::PreMatch => {}
        MatchPhase::InPlay => return Err(ResearchRefusal::InPlay),
        MatchPhase::Finished => return Err(ResearchRefusal::Finished),
    }
    let ((home, home_view), (away, away_view)) = (model.team(question.home)?, model.team(question.away)?);
    let no_match = || ResearchRefusal::SameTeam { team: question.home.to_owned() };
    let known = (home != away).then(|| model.fit.rates(home, away).zip(model.fit.covariance(home, away))).flatten();
    let (rates, covariance) = known.ok_or_else(no_match)?;
    let grid = UncertainGrid::new(rates, covariance)?;
    let (history, day) = (&model.history, model.fit.as_of());
    let upcoming = &history.matches()[history.before(day).len()..];
    Ok(ResearchReport {
        next_match: upcoming.iter().find(|m| (m.home, m.away) == (home, away)).map(|m| m.day),
        rates,
        outcomes: Outcome::ALL.map(|outcome| grid.estimate(Event::Outcome(outcome))),
        totals: (0..TOTALS).map(|goals| total(&grid, goals)).collect(),
        both_score: grid.estimate(Event::BothScore),
        handicaps: (-HANDICAP_QUARTERS..=HANDICAP_QUARTERS).map(|quarters| handicap(&grid, quarters)).collect(),
        scores: likeliest(&grid),
        elo: elo_view(model, home, away),
        home: home_view,
        away: away_view,
        head_to_head: head_to_head(history, home, away, day),
        provenance: Provenance {
            key: model.key(),
            latest_result: history.before(day).iter().rev().find(|m| m.score.is_some()).map(|m| m.day),
            matches: model.fit.matches(),
            weight: model.fit.weight(),
        },
    })
}

fn total(grid: &UncertainGrid, goals: u8) -> Total {
    Total { goals, over: grid.estimate(Event::Over(goals)), under: grid.estimate(Event::AtMost(goals)) }
}

fn handicap(grid: &UncertainGrid, quarters: i16) -> Handicap {
    let line = QuarterGoals::new(quarters);
    let away = grid.grid().line(LineBet::AwayHandicap(QuarterGoals::new(-quarters)));
    Handicap { line, home: grid.grid().line(LineBet::HomeHandicap(line)), away }
}

fn likeliest(grid: &UncertainGrid) -> Vec<(Score, f64)> {
    let goals = 0..=5;
    let all = goals.clone().flat_map(|home| goals.clone().map(move |away| Score { home, away }));
    let mut scores: Vec<(Score, f64)> = all.map(|s| (s, grid.grid().score(s.home, s.away))).collect();
    // Stable: of equally likely scores the one with fewer home goals comes first.
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    scores.truncate(SCORES_TOLD);
    scores
}

fn elo_view(model: &ResearchModel, home: TeamIndex, away: TeamIndex) -> EloView {
    let difference = model.elo.difference(home, away);
    EloView {
        home: model.elo.rating(home),
        away: model.elo.rating(away),
        difference,
        probabilities: model.logit.map(|logit| logit.probabilities(difference)),
    }
}

#[cfg(test)]
mod tests;
