//! History through the program: the same files give the same run, and what cannot be used is named.

use crate::rig::tragen;
use serde_json::Value;
use std::{path::Path, process::Output};

const AGENT: &str = "[[agent]]
id = \"scalper-1\"
strategy = \"scalper\"
account = \"scalper-1\"
instruments = [\"GBPUSD\"]
timeframe = \"1m\"
risk_tolerance = 5
max_trades_per_day = 1000
";

/// Two days of minutes that swing around 1.5; the third row is broken.
fn write(folder: &Path) {
    let mut text = "ts_utc,open,high,low,close\n".to_owned();
    let mut last = 15_000_i64;
    for minute in 0..2_880_i64 {
        let next = 15_000 + (minute * 7_919 % 41 - 20) + if minute % 29 == 0 { 60 } else { 0 };
        let price = |points: i64| format!("{}.{:04}", points / 10_000, points % 10_000);
        let (day, hour, clock) = (minute / 1_440 + 1, minute / 60 % 24, minute % 60);
        let (high, low) = (last.max(next) + 2, last.min(next) - 2);
        let close = if minute == 2 { "NaN".to_owned() } else { price(next) };
        let (open, high, low) = (price(last), price(high), price(low));
        text.push_str(&format!("2030-01-{day:02}T{hour:02}:{clock:02}:00Z,{open},{high},{low},{close}\n"));
        last = next;
    }
    std::fs::write(folder.join("gbpusd_m1.csv"), text).expect("written");
    std::fs::write(folder.join("agents.toml"), AGENT).expect("written");
}

fn backtest(folder: &Path, more: &[&str]) -> Output {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (data, agents) = (path("gbpusd_m1.csv"), path("agents.toml"));
    let mut arguments = vec!["backtest", "--data", &data, "--agents", &agents];
    arguments.extend(more);
    tragen(&arguments)
}

#[test]
fn the_same_files_give_the_same_run_and_a_report() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let report = folder.path().join("report").to_string_lossy().into_owned();
    let runs: Vec<Value> = (0..2)
        .map(|_| {
            let output = backtest(folder.path(), &["-o", "json", "--report-dir", &report, "--check-future", "2"]);
            assert!(output.status.success(), "{output:?}");
            serde_json::from_slice(&output.stdout).expect("JSON")
        })
        .collect();
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0]["hash"].as_str().map(str::len), Some(64));
    assert!(runs[0]["total"]["trades"].as_u64().is_some_and(|trades| trades > 10), "{}", runs[0]["total"]);
    assert_eq!(runs[0]["files"][0]["skipped"], 1);
    let fault = runs[0]["files"][0]["faults"][0].as_str().expect("a fault");
    assert!(fault.starts_with("gbpusd_m1.csv:4:price_close: "), "{fault}");
    let page = std::fs::read_to_string(Path::new(&report).join("report.html")).expect("a page");
    assert!(page.starts_with("<!doctype html>") && page.contains("</html>") && !page.contains("<script"));
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let check = |more: &[&str], said: &str| {
        let output = backtest(folder.path(), more);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(said), "{said:?} is not in {text}");
    };
    check(&["--from", "2031-01-01"], "nothing in the files lies between");
    check(&["--from", "yesterday"], "\"yesterday\" is not a date");
    std::fs::write(folder.path().join("costs.toml"), "[bars]\nspread = \"1\"\n").expect("written");
    let costs = folder.path().join("costs.toml").to_string_lossy().into_owned();
    check(&["--costs", &costs], "unknown field `spread`");
    std::fs::write(folder.path().join("agents.toml"), AGENT.replace("= 5", "= 11")).expect("written");
    check(&[], "agents.toml:7: risk_tolerance: ");
}
