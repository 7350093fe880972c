//! Models of football results: which team is how strong, and what that makes of the next match.
//!
//! | file | what it answers |
//! |---|---|
//! | [`calendar`], [`history`] | which matches were and will be played? (`fingerprint`: which version of them is it?) |
//! | [`dixon_coles`] | attack and defense of every team, by the results of the last years |
//! | `likelihood` | the function that fit maximises |
//! | [`score_grid`], [`markets`] | how likely is each score, and what follows for every market? |
//! | [`elo`], [`ordered_logit`] | a rating per team, and probabilities from their difference |
//! | [`form`] | last results, last meetings, days of rest |
//! | [`walk_forward`] | what would the model have said before each match day? |

pub mod calendar;
pub mod dixon_coles;
pub mod elo;
mod fingerprint;
pub mod form;
pub mod history;
mod likelihood;
pub mod markets;
pub mod ordered_logit;
pub mod score_grid;
#[cfg(test)]
pub(super) mod synthetic;
pub mod walk_forward;

pub use calendar::{InvalidDate, MatchDay, Season};
pub use dixon_coles::{DIXON_COLES_VERSION, Fit, FitError, FitRules, Strength, fit};
pub use elo::{EloRatings, EloRules, elo_differences};
pub use form::{Form, form, head_to_head, rest_days};
pub use history::{DataVersion, History, HistoryError, Match, MatchRow, Score, TeamIndex, UnknownTeam};
pub use markets::{Estimate, Event, LineBet, QuarterGoals, StakeShares, UncertainGrid};
pub use ordered_logit::{LOGIT_SEASONS, LogitError, OrderedLogit, elo_forecasts};
pub use score_grid::{GoalModel, InvalidRates, Rates, ScoreGrid};
pub use walk_forward::{DayForecast, ForecastError, MatchForecast, WalkForward, walk_forward};
