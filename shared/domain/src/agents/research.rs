//! researchAgent: were the forecasts good, did the bets beat the closing line, has a model become worse, which agents are
//! worth their capital?
//!
//! It reads the decisions log after the fact and decides nothing about a trade. Pools follow its figures.

use super::evaluation::calibration::{Bin, CalibrationError, Called, Recalibration, calibration_bins, recalibrate};
use super::evaluation::closing_line::{MeanWithT, closing_line_value, mean_with_t};
use super::evaluation::drift::{Drift, DriftError, DriftRules, drift};
use super::evaluation::forecast::{ForecastScore, InvalidForecast, Judged, forecast_score};
use super::fair_line::Outcome;
use super::pool_metrics::PoolMetrics;
use crate::portfolio::{ScoreInputs, Standing, Undefined, performance_score};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// A forecast of a match that is decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoggedForecast<'a> {
    /// When it was made.
    pub at: Timestamp,
    /// Name of the model.
    pub model: &'a str,
    /// Probabilities of home, draw and away.
    pub probabilities: [f64; 3],
    /// Fair probabilities of the last odds before the kick-off; None where nobody recorded them.
    pub closing: Option<[f64; 3]>,
    /// What happened.
    pub outcome: Outcome,
}

/// A contract bought before a match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoggedBet<'a> {
    /// Name of the agent.
    pub agent: &'a str,
    /// What it paid per contract that pays 1, fee included.
    pub price_paid: f64,
    /// Fair probability of the outcome by the last odds before the kick-off; None where nobody recorded them.
    pub closing: Option<f64>,
}

/// Figures of one agent's closed trades.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoggedAgent<'a> {
    /// Name of the agent.
    pub agent: &'a str,
    /// What its score is made of.
    pub figures: ScoreInputs,
}

/// One market that pools follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoggedMarket<'a> {
    /// The instrument.
    pub market: &'a str,
    /// Its liveliness and direction after the last bar.
    pub metrics: PoolMetrics,
}

/// Everything that is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DecisionsLog<'a> {
    /// In any order; the report sorts them by time.
    pub forecasts: &'a [LoggedForecast<'a>],
    /// In any order.
    pub bets: &'a [LoggedBet<'a>],
    /// One entry per agent.
    pub agents: &'a [LoggedAgent<'a>],
    /// One entry per market.
    pub markets: &'a [LoggedMarket<'a>],
}

/// How good one model is.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelReport {
    /// Its name.
    pub model: String,
    /// Its mean measures over all forecasts.
    pub score: ForecastScore,
    /// Its measures over the forecasts of matches that have a closing line; None without one.
    pub score_where_closed: Option<ForecastScore>,
    /// The closing line's over the same matches.
    pub closing_score: Option<ForecastScore>,
    /// Log-loss above the closing line's, with its t; above 0 the market knew more.
    pub excess_log_loss: Option<MeanWithT>,
    /// What was called against what happened, all three outcomes of every match.
    pub bins: Vec<Bin>,
    /// The line between both, or why there is none. Its errors take outcomes as independent, which three of one match
    /// are not, so they are a little too small.
    pub recalibration: Result<Recalibration, CalibrationError>,
    /// Whether its log-loss above the closing line's (where there is none: its log-loss) has risen, in time order.
    pub drift: Result<Drift, DriftError>,
}

/// How an agent bought.
#[derive(Debug, Clone, PartialEq)]
pub struct BetsReport {
    /// Its name.
    pub agent: String,
    /// How many bets, with and without a closing line.
    pub bets: usize,
    /// Mean value against the closing line with its t, of the bets that have one; or why there is none.
    pub closing_line_value: Result<MeanWithT, NoClosingLine>,
}

/// Why bets have no value against the closing line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("none of {bets} bets has a closing line yet")]
pub struct NoClosingLine {
    /// How many bets there are.
    pub bets: usize,
}

/// What an agent's trades are worth in one number.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentReport {
    /// Its name.
    pub agent: String,
    /// 0 to 1, or why there is none.
    pub score: Result<f64, Undefined>,
    /// The pool it belongs to.
    pub standing: Standing,
}

/// What pools follow.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketReport {
    /// The instrument.
    pub market: String,
    /// Liveliness and direction.
    pub metrics: PoolMetrics,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Position among the forecasts, from 0.
    Forecast(usize),
    /// Position among the bets, from 0.
    Bet(usize),
}

/// Why an entry does not count.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum EntryFault {
    /// The forecast is none.
    #[error("the forecast cannot be judged")]
    Forecast(#[source] InvalidForecast),
    /// The closing line is none.
    #[error("the closing line cannot be judged")]
    ClosingLine(#[source] InvalidForecast),
    /// A price or closing probability is outside (0, 1).
    #[error("the price {price} or closing probability {closing:?} is outside (0, 1)")]
    Bet {
        /// As given.
        price: f64,
        /// As given.
        closing: Option<f64>,
    },
}

/// The report; every list is sorted by name.
#[derive(Debug, Clone, PartialEq)]
pub struct ResearchFindings {
    /// One per model.
    pub models: Vec<ModelReport>,
    /// One per agent that bought.
    pub bets: Vec<BetsReport>,
    /// One per agent with figures.
    pub agents: Vec<AgentReport>,
    /// One per market.
    pub markets: Vec<MarketReport>,
    /// The entries left out.
    pub skipped: Vec<(Entry, EntryFault)>,
}

/// Why there is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FindingsRefusal {
    /// There is nothing to look at.
    #[error("the log is empty")]
    EmptyLog,
}

/// Looks back over the log.
///
/// # Errors
/// [`FindingsRefusal`].
pub fn look_back(log: &DecisionsLog<'_>, rules: &DriftRules) -> Result<ResearchFindings, FindingsRefusal> {
    if log.forecasts.is_empty() && log.bets.is_empty() && log.agents.is_empty() && log.markets.is_empty() {
        return Err(FindingsRefusal::EmptyLog);
    }
    let mut skipped = Vec::new();
    let models = models(log.forecasts, rules, &mut skipped);
    let bets = bets(log.bets, &mut skipped);
    let scored = |logged: &LoggedAgent<'_>| {
        let score = performance_score(&logged.figures);
        AgentReport { agent: logged.agent.to_owned(), score, standing: Standing::of(score) }
    };
    let mut agents: Vec<AgentReport> = log.agents.iter().map(scored).collect();
    agents.sort_by(|a, b| a.agent.cmp(&b.agent));
    let followed =
        |logged: &LoggedMarket<'_>| MarketReport { market: logged.market.to_owned(), metrics: logged.metrics };
    let mut markets: Vec<MarketReport> = log.markets.iter().map(followed).collect();
    markets.sort_by(|a, b| a.market.cmp(&b.market));
    Ok(ResearchFindings { models, bets, agents, markets, skipped })
}

/// A judged forecast, with the closing line's of the same match.
type Pair = (Judged, Option<Judged>);

fn models(
    forecasts: &[LoggedForecast<'_>],
    rules: &DriftRules,
    skipped: &mut Vec<(Entry, EntryFault)>,
) -> Vec<ModelReport> {
    let mut order: Vec<usize> = (0..forecasts.len()).collect();
    order.sort_by_key(|position| (forecasts[*position].at, *position));
    let mut by_model: BTreeMap<&str, Vec<Pair>> = BTreeMap::new();
    for position in order {
        let logged = &forecasts[position];
        match judge(logged) {
            Ok(pair) => by_model.entry(logged.model).or_default().push(pair),
            Err(fault) => skipped.push((Entry::Forecast(position), fault)),
        }
    }
    by_model.into_iter().filter_map(|(model, pairs)| report(model, &pairs, rules)).collect()
}

fn judge(logged: &LoggedForecast<'_>) -> Result<Pair, EntryFault> {
    let own = Judged::new(logged.probabilities, logged.outcome).map_err(EntryFault::Forecast)?;
    let closing = logged.closing.map(|fair| Judged::new(fair, logged.outcome)).transpose();
    Ok((own, closing.map_err(EntryFault::ClosingLine)?))
}

fn report(model: &str, pairs: &[Pair], rules: &DriftRules) -> Option<ModelReport> {
    let own: Vec<Judged> = pairs.iter().map(|(own, _)| *own).collect();
    let (where_closed, closing): (Vec<Judged>, Vec<Judged>) =
        pairs.iter().filter_map(|(own, closing)| Some((*own, (*closing)?))).unzip();
    let excess: Vec<f64> =
        where_closed.iter().zip(&closing).map(|(own, line)| own.log_loss() - line.log_loss()).collect();
    let called: Vec<Called> = own.iter().flat_map(called).collect();
    let watched = if excess.is_empty() { own.iter().map(Judged::log_loss).collect() } else { excess.clone() };
    Some(ModelReport {
        model: model.to_owned(),
        score: forecast_score(&own)?,
        score_where_closed: forecast_score(&where_closed),
        closing_score: forecast_score(&closing),
        excess_log_loss: mean_with_t(&excess),
        bins: calibration_bins(&called).unwrap_or_default(),
        recalibration: recalibrate(&called),
        drift: drift(&watched, rules),
    })
}

fn called(judged: &Judged) -> [Called; 3] {
    Outcome::ALL.map(|outcome| Called {
        probability: outcome.of(&judged.probabilities()),
        has_happened: outcome == judged.outcome(),
    })
}

fn bets(bets: &[LoggedBet<'_>], skipped: &mut Vec<(Entry, EntryFault)>) -> Vec<BetsReport> {
    let mut by_agent: BTreeMap<&str, (usize, Vec<f64>)> = BTreeMap::new();
    let is_inside = |p: f64| p > 0.0 && p < 1.0;
    for (position, bet) in bets.iter().enumerate() {
        if !is_inside(bet.price_paid) || bet.closing.is_some_and(|closing| !is_inside(closing)) {
            let fault = EntryFault::Bet { price: bet.price_paid, closing: bet.closing };
            skipped.push((Entry::Bet(position), fault));
            continue;
        }
        let (count, values) = by_agent.entry(bet.agent).or_default();
        *count += 1;
        values.extend(bet.closing.map(|closing| closing_line_value(closing, bet.price_paid)));
    }
    let report = |(agent, (bets, values)): (&str, (usize, Vec<f64>))| BetsReport {
        agent: agent.to_owned(),
        bets,
        closing_line_value: mean_with_t(&values).ok_or(NoClosingLine { bets }),
    };
    by_agent.into_iter().map(report).collect()
}

#[cfg(test)]
mod tests;
