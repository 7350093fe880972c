//! Reports over made-up logs.

use super::*;

const FAIR: [f64; 3] = [0.5, 0.3, 0.2];

/// Outcomes in the proportions of [`FAIR`].
fn outcome(n: usize) -> Outcome {
    [Outcome::Home, Outcome::Draw, Outcome::Home, Outcome::Away, Outcome::Home]
        .into_iter()
        .chain([Outcome::Draw, Outcome::Home, Outcome::Away, Outcome::Home, Outcome::Draw])
        .nth(n % 10)
        .unwrap_or(Outcome::Home)
}

fn forecast(model: &str, n: usize, probabilities: [f64; 3]) -> LoggedForecast<'_> {
    let at = Timestamp::from_micros(i64::try_from(n).unwrap_or_default());
    LoggedForecast { at, model, probabilities, closing: Some(FAIR), outcome: outcome(n) }
}

fn look(forecasts: &[LoggedForecast<'_>]) -> ResearchFindings {
    look_back(&DecisionsLog { forecasts, ..DecisionsLog::default() }, &DriftRules::default()).expect("a log")
}

#[test]
fn models_are_held_against_the_closing_line() {
    // Two levels, so that calibration has a line: the better model calls them as they come.
    let mut log: Vec<LoggedForecast<'_>> = (0..200).map(|n| forecast("exact", n, FAIR)).collect();
    log.extend((0..200).map(|n| forecast("bold", n, [0.7, 0.2, 0.1])));
    let findings = look(&log);
    let [bold, exact] = findings.models.as_slice() else { panic!("{findings:?}") };
    assert_eq!((bold.model.as_str(), exact.model.as_str()), ("bold", "exact"));
    assert!(exact.excess_log_loss.expect("closed").mean.abs() < 1e-12);
    assert!(bold.excess_log_loss.expect("closed").mean > 0.05);
    assert_eq!(bold.closing_score, Some(exact.score));
    let slope = |report: &ModelReport| report.recalibration.expect("a line").slope;
    assert!((slope(exact) - 1.0).abs() < 1e-6 && slope(bold) < 0.8, "{} {}", slope(exact), slope(bold));
    assert_eq!(exact.bins.iter().map(|bin| bin.count).sum::<usize>(), 600);
    // A model that equals the closing line never varies against it.
    assert_eq!((exact.drift, bold.drift.expect("varies").alarm_at), (Err(DriftError::NoVariation), None));
}

#[test]
fn a_model_that_becomes_worse_rings() {
    let worse = |n: usize| if n < 150 { [0.52, 0.29, 0.19] } else { [0.1, 0.1, 0.8] };
    let mut log: Vec<LoggedForecast<'_>> = (0..200).map(|n| forecast("model", n, worse(n))).collect();
    let alarm = look(&log).models[0].drift.expect("varies").alarm_at.expect("an alarm");
    assert!((150..160).contains(&alarm), "{alarm}");
    // The order of the log is no matter.
    log.reverse();
    assert_eq!(look(&log).models[0].drift.expect("varies").alarm_at, Some(alarm));
}

#[test]
fn bets_scores_and_markets_are_told_by_name() {
    let bet = |agent, price_paid, closing| LoggedBet { agent, price_paid, closing };
    let bets = [bet("b", 0.40, Some(0.42)), bet("a", 0.50, None), bet("b", 0.50, Some(0.51)), bet("b", 1.0, None)];
    let figures = ScoreInputs {
        trades: 40,
        profit_factor: Ok(2.0),
        win_rate: Ok(0.7),
        sharpe: Ok(2.0),
        max_drawdown: Err(Undefined::NoCapital),
    };
    let known = ScoreInputs { max_drawdown: Ok(0.0), ..figures };
    let agents = [LoggedAgent { agent: "z", figures }, LoggedAgent { agent: "y", figures: known }];
    let markets = [LoggedMarket { market: "EURUSD", metrics: PoolMetrics::default() }];
    let log = DecisionsLog { bets: &bets, agents: &agents, markets: &markets, ..DecisionsLog::default() };
    let findings = look_back(&log, &DriftRules::default()).expect("a log");
    let [a, b] = findings.bets.as_slice() else { panic!("{findings:?}") };
    assert_eq!((a.bets, a.closing_line_value, b.bets), (1, Err(NoClosingLine { bets: 1 }), 2));
    assert!((b.closing_line_value.expect("closed").mean - 0.035).abs() < 1e-12);
    let scores: Vec<(&str, Standing)> = findings.agents.iter().map(|a| (a.agent.as_str(), a.standing)).collect();
    assert_eq!(scores, [("y", Standing::HighPerformer), ("z", Standing::Testing)]);
    assert_eq!(findings.agents[1].score, Err(Undefined::NoCapital));
    assert_eq!(findings.markets[0].market, "EURUSD");
    assert_eq!(findings.skipped, [(Entry::Bet(3), EntryFault::Bet { price: 1.0, closing: None })]);
}

#[test]
fn broken_entries_are_left_out_and_named() {
    let mut broken = forecast("model", 0, [0.5, 0.5, 0.5]);
    let findings = look(&[broken, forecast("model", 1, FAIR)]);
    let fault = EntryFault::Forecast(InvalidForecast::SumNotOne { sum: 1.5 });
    assert_eq!((findings.models[0].score.matches, findings.skipped), (1, vec![(Entry::Forecast(0), fault)]));
    broken.probabilities = FAIR;
    broken.closing = Some([1.0, 0.0, 0.0]);
    let findings = look(&[broken]);
    assert!(findings.models.is_empty() && matches!(findings.skipped[0].1, EntryFault::ClosingLine(_)));
    let empty = look_back(&DecisionsLog::default(), &DriftRules::default());
    assert_eq!(empty, Err(FindingsRefusal::EmptyLog));
}
