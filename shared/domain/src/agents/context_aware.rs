//! contextAwareAgent: the consensus, moved a little by what the calendar and the news say, then eplTradingAgent's
//! rule for buying.
//!
//! `logit(p) = logit(consensus) + sum(b x)` with a few fixed numbers `b` that are bounded, so that no feature, however
//! wrong, moves a probability far. The three outcomes are then made to sum to 1 again. Every part of the move is told,
//! and of a home win and an away win only the own team's features move it: the other's reach it through the sum.
//! The numbers `b` are our own, small on purpose: no history of missing players was at hand to fit them to.

use super::consensus::{logit, sigmoid};
use super::epl_trading::{EplTradingRefusal, EplTradingRules, NoIntent, TradeIntent, check_rules, orders};
use super::fair_line::{DroppedBook, FairLineError, Outcome, fair_line};
use super::scout::{MatchPhase, MatchView};
use super::sentiment::{EventKind, Sentiment};

/// Move of the log-odds for each day of rest more than the other team has had.
pub const REST_PER_DAY: f64 = 0.02;
/// Most that rest moves, either way.
pub const REST_CAP: f64 = 0.06;
/// Move of the log-odds for each key player who is missing.
pub const ABSENCE_EACH: f64 = -0.08;
/// Most that missing players move, down.
pub const ABSENCE_CAP: f64 = 0.25;
/// Move of the log-odds in a derby: none, it is told and counts for nothing.
pub const DERBY: f64 = 0.0;
/// Longest rest that is a rest and not a season's break, days.
pub const REST_DAYS_MAX: f64 = 60.0;
/// A team has eleven on the pitch; more missing is a fault of the data.
pub const ABSENCES_MAX: u32 = 11;

/// What is known of one team before the match.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TeamContext {
    /// Days since its last match; None when nobody knows.
    pub rest_days: Option<f64>,
    /// Key players who are injured or suspended.
    pub key_absences: u32,
}

/// What is known beside the prices.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MatchContext {
    /// The home team.
    pub home: TeamContext,
    /// The away team.
    pub away: TeamContext,
    /// Whether neighbors meet.
    pub is_derby: bool,
}

/// Something that moves a probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Days of rest against the other team's.
    Rest,
    /// Missing key players.
    KeyAbsences,
    /// A derby.
    Derby,
    /// The outcomes are made to sum to 1.
    Normalization,
}

/// By how much one feature moves an outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attribution {
    /// Which feature.
    pub feature: Feature,
    /// Its value: days, players, or 1 for a derby; 0 for the normalization.
    pub value: f64,
    /// The move of the log-odds.
    pub shift: f64,
}

/// An order worth making at the moved probability.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextIntent {
    /// The order, with the moved probability as fair.
    pub intent: TradeIntent,
    /// What moved the probability; the shifts sum to `logit(moved) - logit(consensus)`.
    pub attributions: Vec<Attribution>,
}

/// What the agent found in a match it could price. Every outcome is in exactly one of the two lists.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextReport {
    /// What the bookmakers believe: home, draw, away.
    pub consensus: [f64; 3],
    /// The same, moved.
    pub fair: [f64; 3],
    /// What moved each of them.
    pub attributions: [Vec<Attribution>; 3],
    /// How many books the consensus rests on.
    pub books_used: usize,
    /// The books left out.
    pub dropped_books: Vec<DroppedBook>,
    /// Orders that take an ask first, then by expected return.
    pub intents: Vec<ContextIntent>,
    /// The outcomes without an order, in the order home, draw, away.
    pub skipped: Vec<(Outcome, NoIntent)>,
}

/// Why a match is not priced at all.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ContextRefusal {
    /// The features are about a match that has not begun.
    #[error("the match is in play and its calendar does not price it")]
    InPlay,
    /// There is nothing left to bet on.
    #[error("the match is finished")]
    Finished,
    /// No bookmaker can be used.
    #[error("there is no fair line")]
    NoFairLine(#[source] FairLineError),
    /// A rest is not a number of days between 0 and [`REST_DAYS_MAX`].
    #[error("a rest of {days} days is not between 0 and {REST_DAYS_MAX}")]
    InvalidRest {
        /// The number as given.
        days: f64,
    },
    /// More players are missing than a team has.
    #[error("{absences} key players are missing, a team has {ABSENCES_MAX}")]
    InvalidAbsences {
        /// The number as given.
        absences: u32,
    },
    /// A rule is out of range.
    #[error("the rules cannot be used")]
    InvalidRules(#[source] EplTradingRefusal),
}

/// Prices a match from the books and its context, and decides what to order.
///
/// Example: two more days of rest move a home win from 0.50 by +0.04 to 0.51, one missing key player by -0.08 to 0.48,
/// both before the outcomes are made to sum to 1.
///
/// # Errors
/// [`ContextRefusal`] when the match has begun, no book is usable, or context or rules make no sense.
pub fn context_aware(
    view: &MatchView<'_>,
    context: &MatchContext,
    rules: &EplTradingRules,
) -> Result<ContextReport, ContextRefusal> {
    match view.phase {
        MatchPhase::PreMatch => {}
        MatchPhase::InPlay => return Err(ContextRefusal::InPlay),
        MatchPhase::Finished => return Err(ContextRefusal::Finished),
    }
    check_rules(rules).map_err(ContextRefusal::InvalidRules)?;
    let moves = moves(context)?;
    let line = fair_line(view.books, rules.method).map_err(ContextRefusal::NoFairLine)?;
    let (fair, attributions) = moved(&line.probabilities, moves);
    let (found, skipped) = orders(&fair, &view.quotes, rules);
    let [home, draw, away] = &attributions;
    let explained =
        |intent: TradeIntent| ContextIntent { intent, attributions: intent.outcome.of(&[home, draw, away]).clone() };
    let intents = found.into_iter().map(explained).collect();
    Ok(ContextReport {
        consensus: line.probabilities,
        fair,
        attributions,
        books_used: line.books_used,
        dropped_books: line.dropped,
        intents,
        skipped,
    })
}

/// How many of a team's key players are missing by the news about each of them: the newest word on whether one can
/// play decides, a doubt and a transfer count for nothing.
///
/// Example: injured yesterday and fit again today is not missing.
#[must_use]
pub fn key_absences(players: &[Sentiment]) -> u32 {
    let is_missing = |player: &&Sentiment| {
        let newest = player.events.iter().map(|event| event.kind).find(|kind| match kind {
            EventKind::Injured | EventKind::Suspended | EventKind::Fit => true,
            EventKind::Doubtful | EventKind::Transfer => false,
        });
        matches!(newest, Some(EventKind::Injured | EventKind::Suspended))
    };
    u32::try_from(players.iter().filter(is_missing).count()).unwrap_or(u32::MAX)
}

/// The features of home, draw and away; a draw has none of its own.
fn moves(context: &MatchContext) -> Result<[Vec<Attribution>; 3], ContextRefusal> {
    // One team's rest says nothing without the other's.
    let rest = rest(&context.home)?.zip(rest(&context.away)?).map(|(home, away)| home - away);
    let home = team(&context.home, rest, context.is_derby)?;
    let away = team(&context.away, rest.map(|days| -days), context.is_derby)?;
    Ok([home, Vec::new(), away])
}

fn team(team: &TeamContext, rest: Option<f64>, is_derby: bool) -> Result<Vec<Attribution>, ContextRefusal> {
    if team.key_absences > ABSENCES_MAX {
        return Err(ContextRefusal::InvalidAbsences { absences: team.key_absences });
    }
    let absences = f64::from(team.key_absences);
    let rest = rest.map(|days| Attribution {
        feature: Feature::Rest,
        value: days,
        shift: (REST_PER_DAY * days).clamp(-REST_CAP, REST_CAP),
    });
    let absences = (team.key_absences > 0).then(|| Attribution {
        feature: Feature::KeyAbsences,
        value: absences,
        shift: (ABSENCE_EACH * absences).max(-ABSENCE_CAP),
    });
    let derby = is_derby.then_some(Attribution { feature: Feature::Derby, value: 1.0, shift: DERBY });
    Ok([rest, absences, derby].into_iter().flatten().collect())
}

fn rest(team: &TeamContext) -> Result<Option<f64>, ContextRefusal> {
    match team.rest_days {
        Some(days) if !(0.0..=REST_DAYS_MAX).contains(&days) => Err(ContextRefusal::InvalidRest { days }),
        Some(_) | None => Ok(team.rest_days),
    }
}

fn moved(consensus: &[f64; 3], mut moves: [Vec<Attribution>; 3]) -> ([f64; 3], [Vec<Attribution>; 3]) {
    if moves.iter().flatten().all(|part| part.shift == 0.0) {
        return (*consensus, moves);
    }
    let mut fair = *consensus;
    for (p, parts) in fair.iter_mut().zip(&moves) {
        *p = sigmoid(logit(*p) + parts.iter().map(|part| part.shift).sum::<f64>());
    }
    let total: f64 = fair.iter().sum();
    for (p, parts) in fair.iter_mut().zip(&mut moves) {
        let raw = *p;
        *p = raw / total;
        parts.push(Attribution { feature: Feature::Normalization, value: 0.0, shift: logit(*p) - logit(raw) });
    }
    (fair, moves)
}

#[cfg(test)]
mod tests;
