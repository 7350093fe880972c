//! Backtests of value bets on real odds, against figures computed by other code.

use super::football::{by_place, closing_lines, forecasts, held_out, match_rows};
use super::reference::{list, number, vectors};
use super::{Table, close, count};
use serde_json::Value;
use tragen_domain::agents::evaluation::bet_book::BetReport;
use tragen_domain::agents::fair_line::Outcome;
use tragen_domain::agents::football::{History, MatchForecast};
use tragen_domain::agents::value_bet::{
    ModelRow, ModelRules, SharpRow, SharpRules, play_model_value, play_sharp_anchor,
};

fn outcome(matches: &Table, row: &[String]) -> Outcome {
    match row[matches.column("ftr")].as_str() {
        "H" => Outcome::Home,
        "D" => Outcome::Draw,
        "A" => Outcome::Away,
        other => panic!("no result {other}"),
    }
}

/// The matches of a run: from which season on, and whose closing line its CLV is measured against. The reference says
/// so only by a name; these are the ones that give its figures.
fn sample(matches: &Table, history: &History, run: &Value) -> Vec<SharpRow> {
    let text = |name: &str| run[name].as_str().expect("text");
    let (from, closing) = match text("sample") {
        "all open" => ("2012-13", "psc"),
        "2019+ open" => ("2019-20", "avgc"),
        "2019+ close" => ("2019-20", text("ref")),
        "bfe vs avg" | "open bfe" => ("2024-25", "avgc"),
        other => panic!("no sample {other}"),
    };
    let read = |row: &[String]| {
        (row[matches.column("season")].as_str() >= from).then_some(())?;
        Some(SharpRow {
            reference: matches.odds(row, text("ref"))?,
            offered: matches.odds(row, text("bet"))?,
            closing: matches.odds(row, closing),
            outcome: outcome(matches, row),
        })
    };
    by_place(matches, history, read).into_iter().flatten().collect()
}

/// The reference also saw 2025-26. Without it the figures are those of the seasons that are there; what is missing must
/// then be able to be a season's: some bets, with edges in the rule's range.
fn check_run(report: &BetReport, run: &Value, rules: &SharpRules, is_complete: bool) {
    let field = |name: &str| number(&run[name]);
    let (bets, wins) = (count(&run["bets"]).expect("a count"), count(&run["wins"]).expect("a count"));
    let name = format!("{} at {} from {:.0} %", run["ref"], run["bet"], 100.0 * rules.min_edge);
    let (clv, per_bet) = (report.closing_line_value.expect("closing lines"), report.return_per_bet.expect("bets"));
    println!(
        "{name}: {} bets of {bets}, ROI {:+.1} % (t {:.1}), CLV {:+.1} % (t {:.1})",
        report.bets,
        100.0 * report.return_on_stake.expect("bets"),
        per_bet.t.unwrap_or(f64::NAN),
        100.0 * clv.mean,
        clv.t.unwrap_or(f64::NAN),
    );
    let mean_edge = report.mean_edge.expect("bets");
    if is_complete {
        assert_eq!((report.bets, report.wins), (bets, wins), "{name}");
        close(report.profit, field("pnl"), &name);
        close(report.return_on_stake.expect("bets"), field("roi"), &name);
        close(mean_edge, field("mean_edge"), &name);
        close(clv.mean, field("mean_clv"), &name);
        close(report.max_drawdown, field("max_dd"), &name);
    } else {
        assert!(report.bets <= bets && report.wins <= wins && report.max_drawdown <= field("max_dd") + 1e-12, "{name}");
        let of = |bets: usize| f64::from(u32::try_from(bets).expect("few"));
        let missing = (field("mean_edge") * of(bets) - mean_edge * of(report.bets)) / of(bets - report.bets);
        assert!((rules.min_edge..=rules.max_edge).contains(&missing), "{name}: missing bets with an edge of {missing}");
    }
}

#[test]
fn sharp_anchor_earns_what_it_does_in_the_reference() {
    let (Some(reference), Some(matches)) = (vectors("backtest_sharp_anchor"), Table::read("epl_matches")) else {
        return;
    };
    let history = History::new(&match_rows(&matches)).expect("valid");
    let is_complete = held_out(&history).len() == 2;
    for run in list(&reference["runs"]) {
        let rules = SharpRules { min_edge: number(&run["edge"]), ..SharpRules::default() };
        let report = play_sharp_anchor(&sample(&matches, &history, run), &rules).expect("readable odds");
        check_run(&report, run, &rules, is_complete);
    }
}

/// The same bets, so the same wins and closing line value to the last digit. Stakes follow the probabilities, of which the
/// reference's are good to about 1e-5 (see the test of the forecasts): the return differs by at most 3e-5, the bank by
/// less than 1 in 10,000.
fn check_model_run(report: &BetReport, run: &Value) {
    let field = |name: &str| number(&run[name]);
    let name = format!("{} {} from {:.0} %", run["season"], run["odds"], 100.0 * field("min_edge"));
    let (roi, clv) = (report.return_on_stake.expect("bets"), report.closing_line_value.expect("closing lines"));
    let (bets, wins) = (count(&run["bets"]).expect("a count"), count(&run["wins"]).expect("a count"));
    println!("{name}: {bets} bets, ROI {:+.2} %, CLV {:+.2} %, bank {:.1}", 100.0 * roi, 100.0 * clv.mean, report.bank);
    assert_eq!((report.bets, report.wins), (bets, wins), "{name}");
    close(clv.mean, field("mean_clv"), &name);
    let near = |got: f64, expected: f64, tolerance: f64| assert!((got - expected).abs() < tolerance, "{name}: {got}");
    near(roi, field("roi"), 3e-5);
    near(report.bank, field("final_bank"), 0.1);
    near(report.staked, field("staked"), 0.5);
    near(report.max_drawdown, field("max_drawdown"), 1e-4);
}

#[test]
fn model_value_loses_what_it_does_in_the_reference() {
    let (Some(reference), Some(matches)) = (vectors("backtest_value"), Table::read("epl_matches")) else { return };
    let history = History::new(&match_rows(&matches)).expect("valid");
    let closing = closing_lines(&matches, &history);
    for (season, from, until) in held_out(&history) {
        let model = forecasts(&history, from, until);
        for run in list(&reference["runs"]).iter().filter(|run| run["season"] == season) {
            let field = |name: &str| number(&run[name]);
            let odds = by_place(&matches, &history, |row| matches.odds(row, run["odds"].as_str().expect("text")));
            let row = |forecast: &MatchForecast| {
                Some(ModelRow {
                    model: forecast.probabilities,
                    offered: odds[forecast.index]?,
                    closing: closing[forecast.index],
                    outcome: forecast.fixture.score?.outcome(),
                })
            };
            let rules = ModelRules {
                min_edge: field("min_edge"),
                kelly_fraction: field("kelly_fraction"),
                stake_cap: field("stake_cap"),
                shrink_to_market: field("shrink_to_market"),
                bank: 1_000.0,
            };
            let rows: Vec<ModelRow> = model.iter().filter_map(row).collect();
            check_model_run(&play_model_value(&rows, &rules).expect("readable odds"), run);
        }
    }
}
