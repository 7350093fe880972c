//! Files that are wrong in every way people and feeds get them wrong: each fault is named by file, line and field,
//! counted, and shown in the report's `data_accuracy`; nothing wrong is traded on.

use super::{LIMITS, agent, conditions, play};
use crate::{
    agent_file,
    backtest::{conditions::Conditions, report::report},
};
use std::path::{Path, PathBuf};
use tragen_cost_monitor::{Config, PoolConfig, PoolFigure};
use tragen_domain::{agents::personality::AnalysisStyle, market::Timeframe};
use tragen_market_data::file::{self, Intake};

/// What is said of a file alone: its faults, or why all of it is refused.
fn said(name: &str, bytes: &[u8]) -> Result<Intake, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    file::read(&[path], LIMITS).map_err(|error| error.to_string())
}

/// 40 one-minute bars, with `bad` after the tenth.
fn minutes_with(bad: &str) -> String {
    let row = |minute: usize| format!("2024-03-04T10:{minute:02}:00Z,1.10,1.11,1.09,1.10\n");
    let rows: Vec<String> = (0..40).map(row).collect();
    format!("ts_utc,open,high,low,close\n{}{bad}\n{}", rows[..10].concat(), rows[10..].concat())
}

#[test]
fn a_bad_bar_is_named_counted_and_shown_in_the_report() {
    let check = |bad: &str, field: &str| {
        let intake = said("gbpusd_m1.csv", minutes_with(bad).as_bytes()).expect("the good rows are enough");
        let faults = &intake.reports()[0].faults;
        let expected = format!("gbpusd_m1.csv:12:{field}: ");
        assert!(faults[0].starts_with(&expected), "{bad}: {faults:?} does not begin with {expected}");
        let agents = [agent("a", AnalysisStyle::Scalper, "GBPUSD", Timeframe::Minute1)];
        let own = Conditions::default();
        let report = report(&play(&intake, &agents, &own), &intake, &own);
        assert_eq!((report.files[0].accepted, report.files[0].skipped), (40, 1), "{bad}");
        let accuracy = report.kpis.iter().find(|line| line.kpi == "data_accuracy").expect("a KPI");
        let share = accuracy.figure.value.expect("defined");
        assert!((share - 40.0 / 41.0).abs() < 1e-12, "{bad}: {share}");
        assert_eq!(accuracy.status, "CRITICAL", "{bad}");
    };
    let at = "2024-03-04T10:09:30Z";
    check("2024-03-04T10:09:00Z,1.10,1.11,1.09,1.10", "time"); // twice
    check("2024-03-04T10:05:00Z,1.10,1.11,1.09,1.10", "time"); // out of order
    check(&format!("{at},1.10,1.11,1.09,1.10"), "time"); // between two bars
    check("2024-13-04T10:10:00Z,1.10,1.11,1.09,1.10", "time");
    check("tomorrow,1.10,1.11,1.09,1.10", "time");
    for price in ["NaN", "inf", "-inf", "1e308", "0x1p3", "one", "", "-1.10", "0", "99999999999999999999"] {
        check(&format!("{at},{price},1.11,1.09,1.10"), "price_open");
        check(&format!("{at},1.10,1.11,1.09,{price}"), "price_close");
    }
    check(&format!("{at},1.10,1.09,1.11,1.10"), "price_high"); // upside down
    check(&format!("{at},1.10,1.11,1.09,1.12"), "price_high"); // closes outside
    check(&format!("{at},1.10,1.11,1.09"), "row"); // cut off
    check(&format!("{at},1.10,1.11,1.09,1.10,7"), "row"); // too wide
    check(&format!("{at},\"1.10,1.11,1.09,1.10"), "row"); // a quote that never ends takes the rest with it
}

#[test]
fn a_clock_put_forward_or_back_leaves_a_gap_or_repeats_and_nothing_is_made_up() {
    let hour = |day: usize, hour: usize| format!("2024-03-{day:02} {hour:02}:00,1.10,1.11,1.09,1.10\n");
    let mut rows: Vec<String> = (1..30).flat_map(|day| (0..24).map(move |at| hour(day, at))).collect();
    rows.remove(30 * 24 - 24 - 1); // put forward: an hour is missing
    rows.insert(100, rows[99].clone()); // put back: an hour comes twice
    let text = format!("time,open,high,low,close\n{}", rows.concat());
    let intake = said("eurusd_h1.csv", text.as_bytes()).expect("usable");
    let report = &intake.reports()[0];
    assert_eq!((report.accepted, report.skipped), (29 * 24 - 1, 1), "{:?}", report.faults);
    assert!(report.faults[0].starts_with("eurusd_h1.csv:102:time: "), "{:?}", report.faults);
}

#[test]
fn files_without_a_usable_row_are_refused_with_their_name() {
    let check = |name: &str, bytes: &[u8], expected: &str| {
        let refused = said(name, bytes).expect_err("refused");
        assert!(refused.contains(name) && refused.contains(expected), "{refused} is not {expected}");
    };
    check("empty_m1.csv", b"", "no header");
    check("gbpusd_m1.csv", b"ts_utc,open,high,low,close\n", "none of 0 rows");
    check("gbpusd_m1.csv", b"ts_utc,open,high,low,close\nx,1,1,1,1\n", "gbpusd_m1.csv:2:time");
    check("gbpusd_m1.csv", b"colour,taste\nred,sweet\n", "a header of matches");
    check("gbpusd_m1.csv", b"\xff\xfe\x00\x01", "gbpusd_m1.csv:1");
    check("m.csv", b"date,home,away,fthg,ftag\n2024-08-17,A,B,1,0\n", "without them a match has no prices");
}

#[test]
fn impossible_odds_and_results_are_named_and_never_bet_on() {
    const HEADER: &str = "date,home,away,fthg,ftag,ftr,b365_h,b365_d,b365_a";
    let check = |bad: &str, field: &str| {
        let good = "2024-08-16,Arsenal,Wolves,2,0,H,1.20,7.00,15.0";
        let intake = said("m.csv", format!("{HEADER}\n{good}\n{bad}\n").as_bytes()).expect("usable");
        let report = &intake.reports()[0];
        assert_eq!((report.accepted, report.skipped), (1, 1), "{bad}: {:?}", report.faults);
        let expected = format!("m.csv:3:{field}");
        assert!(report.faults.iter().any(|fault| fault.starts_with(&expected)), "{bad}: {:?}", report.faults);
    };
    for odds in ["1", "1.0", "0.5", "0", "-2.5", "NaN", "inf", "1e9", "evens", "7/2"] {
        check(&format!("2024-08-17,Everton,Brighton,0,3,A,{odds},3.40,2.10"), "opening odds of bet365");
    }
    check("2024-08-17,Everton,Everton,0,3,A,3.00,3.40,2.10", "away");
    check("2024-08-17,Everton,Brighton,0,3,H,3.00,3.40,2.10", "ftr");
    check("2024-08-17,Everton,Brighton,-1,3,A,3.00,3.40,2.10", "fthg");
    check("2024-08-17,Everton,Brighton,0,99,A,3.00,3.40,2.10", "ftag");
    check("17.8.2024,Everton,Brighton,0,3,A,3.00,3.40,2.10", "date");
    check("2024-08-16,Arsenal,Wolves,2,0,H,1.20,7.00,15.0", "match");
}

#[test]
fn a_file_of_agents_is_taken_whole_or_not_at_all() {
    let good = "[[agent]]\nid = \"a\"\ntemplate = \"scalping\"\naccount = \"fund\"\ninstruments = [\"GBPUSD\"]\n";
    let check = |line: &str, expected: &str| {
        let refused = agent_file::read("agents.toml", &format!("{good}{line}\n")).expect_err("refused").to_string();
        assert!(refused.starts_with(&format!("agents.toml:{expected}")), "{line}: {refused}");
    };
    check("risk_tolerance = 0", "6: risk_tolerance");
    check("risk_tolerance = nan", "6: risk_tolerance");
    check("risk_tolerance = 99999999999999999999", "6: ");
    check("max_trades_per_day = -1", "6: max_trades_per_day");
    check("leverage = 100", "6: leverage");
    check(good, "7: id");
    check("[agents]", "6: agents");
}

fn pool(name: &str, agents_min: u32, agents_max: u32) -> PoolConfig {
    PoolConfig {
        pool: name.to_owned(),
        agents_min,
        agents_max,
        metric: PoolFigure::TrendStrength,
        instrument: "EURUSD".to_owned(),
        timeframe: "4h".to_owned(),
    }
}

/// The cases of the reference folder that are about what a backtest or the agents' files and pools read. All others
/// are about requests, tokens, the wire and the bus, and are tried by the services' own tests.
#[test]
fn the_reference_cases_are_refused_with_the_key() {
    let Some(folder) = std::env::var_os("TRAGEN_REFERENCE_DIR") else {
        println!("TRAGEN_REFERENCE_DIR is not set: no reference cases");
        return;
    };
    let path = PathBuf::from(folder).join("vectors/bad_inputs.json");
    let text = std::fs::read_to_string(&path).expect("readable cases");
    let cases: serde_json::Value = serde_json::from_str(&text).expect("valid cases");
    let (mut tried, mut left_out) = (Vec::new(), 0);
    for case in cases["cases"].as_array().expect("cases") {
        let id = case["id"].as_str().expect("an id");
        match refusal(id, &case["input"]) {
            Some(refused) => tried.push(format!("{id}: {}", refused.expect_err(id))),
            None => left_out += 1,
        }
    }
    println!("{left_out} cases are about something else; tried:\n{}", tried.join("\n"));
    assert_eq!(tried.len(), 4, "{tried:?}");
}

/// What the case is answered here; `None` for one that is about something else.
fn refusal(id: &str, input: &serde_json::Value) -> Option<Result<(), String>> {
    let places = |name: &str| u32::try_from(input["agent_pools"][name].as_u64().unwrap_or(0)).unwrap_or(0);
    let all = || u32::try_from(input["max_agents"].as_u64().unwrap_or(0)).unwrap_or(0);
    let pools = |pools: Vec<PoolConfig>| {
        let config = Config { pools, pool_agents_max: all(), ..Config::default() };
        Some(config.validate().map_err(|error| error.to_string()))
    };
    match id {
        // A threshold that is no number: here a cost of a backtest.
        "config-004" => Some(refused_costs("running_cost_per_day = nan")),
        "config-010" => {
            pools(vec![pool("conservative", 1, places("conservative")), pool("balanced", 1, places("balanced"))])
        }
        "config-011" => pools(vec![pool("scalper", places("scalping"), places("scalping")), pool("swing", 1, 5)]),
        "config-016" => Some(match (said("m.csv", b""), agent_file::read("agents.toml", "")) {
            (Err(data), Err(agents)) => Err(format!("{data}; {agents}")),
            (_, _) => Ok(()),
        }),
        _ => None,
    }
}

fn refused_costs(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path: &Path = &folder.path().join("costs.toml");
    std::fs::write(path, text).expect("written");
    Conditions::read(path).map(|_| ()).map_err(|error| format!("{error:#}"))
}

#[test]
fn costs_that_are_no_amounts_are_refused_by_line_and_key() {
    for (text, key) in [
        ("running_cost_per_day = nan", "running_cost_per_day"),
        ("starting_cash = \"NaN\"", "starting_cash"),
        ("starting_cash = \"-1\"", "starting_cash"),
        ("[bars]\nhalf_spread = \"1e9\"", "half_spread"),
        ("[matches]\nmodel_weight = nan", "model_weight"),
        ("[bars]\ncolour = 1", "colour"),
    ] {
        let refused = refused_costs(text).expect_err(text);
        assert!(refused.contains(key), "{text}: {refused}");
    }
    assert_eq!(conditions("starting_cash = \"5\"").starting_cash.to_string(), "5");
}
