//! researchAgent: how good were a model's forecasts, each made from earlier results only, and what the agents bought?
//! A season is refitted before each of its days, so it runs off the trading path and once.

use super::{
    Desk, Finding, Said,
    closing_values::{closing_values, fair},
    figures::{count, micros, ppm, share_ppm},
    refused::Refused,
    results::Known,
};
use std::sync::Arc;
use tragen_contracts::{convert, v1};
use tragen_domain::agents::{
    evaluation::{
        calibration::{Called, calibration_bins, recalibrate},
        drift::{DriftRules, drift},
        forecast::{Judged, forecast_score},
    },
    fair_line::Outcome,
    football::{EloRules, FitRules, History, Match, MatchDay, elo_forecasts, walk_forward},
};

/// The shared agent.
const AGENT: &str = "researchAgent";
/// Version of the arithmetic; it changes when equal data would give other numbers.
const MODEL_VERSION: &str = "forecast-evaluation-1";

const DAY_MICROS: i64 = 86_400_000_000;

/// The models whose forecasts can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    DixonColes,
    Elo,
    ClosingLine,
}

pub(super) async fn analyze(desk: &Desk, asked: &v1::CalibrationRequest) -> Said {
    let known = desk.results.now(&desk.sources).await?;
    let model = match asked.model.as_str() {
        "dixon-coles" => Model::DixonColes,
        "elo" => Model::Elo,
        "closing-line" => Model::ClosingLine,
        other => return Err(Refused::Unpriceable(format!("there is no model {other:?}"))),
    };
    let day = |given: &Option<pbjson_types::Timestamp>| {
        let at = given.as_ref().and_then(|at| convert::time("from", at).ok());
        at.map(MatchDay::of).ok_or_else(|| Refused::Unpriceable("the period has no beginning or no end".to_owned()))
    };
    let period = (day(&asked.from)?, day(&asked.to)?);
    // A cost monitor that is silent takes nothing from what is said of the model.
    let bets = desk.sources.bets(midnight(period.0), midnight(period.1)).await;
    let agents_unknown = bets.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let own = Arc::clone(&known);
    let judging = tokio::task::spawn_blocking(move || {
        let agents = closing_values(&own, &bets.unwrap_or_default());
        judged(&own, model, period).map(|result| v1::CalibrationResult { agents, ..result })
    });
    let result = v1::CalibrationResult {
        model: asked.model.clone(),
        data_version: known.history.version().to_string(),
        agents_unknown,
        ..judging.await.map_err(|_| Refused::Broken)??
    };
    let (used, skipped) = (result.matches, result.skipped);
    let info = v1::AnalysisInfo {
        agent: AGENT.to_owned(),
        model_version: MODEL_VERSION.to_owned(),
        data_asof: Some(known.as_of()),
        confidence_ppm: share_ppm(
            usize::try_from(used).unwrap_or(0),
            usize::try_from(used.saturating_add(skipped)).unwrap_or(0),
        ),
        source: v1::AnalysisSource::Model.into(),
        explanation: explanation(&result),
    };
    Ok((info, Finding::Calibration(result)))
}

/// The first moment of a day, microseconds since the epoch.
fn midnight(day: MatchDay) -> i64 {
    i64::from(day.days()).saturating_mul(DAY_MICROS)
}

fn explanation(result: &v1::CalibrationResult) -> String {
    let units = crate::bars::as_units;
    let (own, closing) = (units(result.log_loss_micros), units(result.closing_log_loss_micros));
    let better = if own < closing { "better" } else { "not better" };
    format!(
        "On {} matches the log-loss of {} is {own:.4}, that of the closing line {closing:.4}: {better} than the market.",
        result.matches, result.model
    )
}

/// The pure part: the same results give the same measures.
fn judged(known: &Known, model: Model, (from, to): (MatchDay, MatchDay)) -> Result<v1::CalibrationResult, Refused> {
    let history = &known.history;
    let places = history.before(from).len()..history.before(to).len();
    let forecasts = match model {
        Model::DixonColes => dixon_coles(history, from, to),
        Model::Elo => elo_forecasts(history, &EloRules::default()),
        Model::ClosingLine => vec![None; history.matches().len()],
    };
    let (mut own, mut closing, mut skipped) = (Vec::new(), Vec::new(), 0_usize);
    for place in places {
        let Some(played) = history.matches().get(place).filter(|m| m.score.is_some()) else { continue };
        let line = closing_line(known, played);
        let forecast = match model {
            Model::DixonColes | Model::Elo => forecasts.get(place).copied().flatten(),
            Model::ClosingLine => line,
        };
        match (forecast.and_then(|p| judge(p, played)), line.and_then(|p| judge(p, played))) {
            (Some(forecast), Some(line)) => {
                own.push(forecast);
                closing.push(line);
            }
            (Some(_) | None, Some(_) | None) => skipped += 1,
        }
    }
    let nothing = || Refused::Unpriceable("no match of the period has both a forecast and a closing line".to_owned());
    let (score, line) = (forecast_score(&own).ok_or_else(nothing)?, forecast_score(&closing).ok_or_else(nothing)?);
    let called = called(&own);
    let recalibration = recalibrate(&called).ok();
    let losses: Vec<f64> = own.iter().zip(&closing).map(|(own, line)| own.log_loss() - line.log_loss()).collect();
    Ok(v1::CalibrationResult {
        matches: count(score.matches),
        skipped: count(skipped),
        log_loss_micros: micros(score.log_loss),
        rps_micros: micros(score.ranked_probability_score),
        brier_micros: micros(score.brier_score),
        closing_log_loss_micros: micros(line.log_loss),
        slope_micros: recalibration.map_or(0, |line| micros(line.slope)),
        intercept_micros: recalibration.map_or(0, |line| micros(line.intercept)),
        bins: bins(&called),
        has_drifted: drift(&losses, &DriftRules::default()).is_ok_and(|drift| drift.alarm_at.is_some()),
        ..v1::CalibrationResult::default()
    })
}

/// Forecasts by place in the history.
fn dixon_coles(history: &History, from: MatchDay, to: MatchDay) -> Vec<Option<[f64; 3]>> {
    let mut forecasts = vec![None; history.matches().len()];
    for day in walk_forward(history, &FitRules::default(), from, to).flatten() {
        for forecast in day.matches {
            if let Some(own) = forecasts.get_mut(forecast.index) {
                *own = Some(forecast.probabilities);
            }
        }
    }
    forecasts
}

/// What the last odds before the kick-off said, without the margin.
fn closing_line(known: &Known, played: &Match) -> Option<[f64; 3]> {
    let history = &known.history;
    fair(&known.closing_odds(played.day, history.name(played.home), history.name(played.away))?)
}

fn judge(probabilities: [f64; 3], played: &Match) -> Option<Judged> {
    Judged::new(probabilities, played.score?.outcome()).ok()
}

/// Every outcome of every forecast.
fn called(judged: &[Judged]) -> Vec<Called> {
    let of = |own: &Judged| {
        let (probabilities, happened) = (own.probabilities(), own.outcome());
        Outcome::ALL
            .map(|outcome| Called { probability: outcome.of(&probabilities), has_happened: outcome == happened })
    };
    judged.iter().flat_map(of).collect()
}

fn bins(called: &[Called]) -> Vec<v1::CalibrationBin> {
    let bins = calibration_bins(called).unwrap_or_default();
    bins.iter()
        .map(|bin| v1::CalibrationBin {
            low_ppm: ppm(bin.low),
            high_ppm: ppm(bin.high),
            forecasts: count(bin.count),
            called_ppm: ppm(bin.mean_probability),
            happened_ppm: ppm(bin.frequency),
        })
        .collect()
}
