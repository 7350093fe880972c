//! Every limit that has a drill trips when it should, and not one step earlier.

use crate::rig::tragen;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Report {
    drills: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    limit: String,
    action: String,
    reset: String,
    problem: String,
}

#[test]
fn every_drill_goes_as_expected() {
    let listed = tragen(&["drill", "--list", "-o", "csv"]);
    let listed = String::from_utf8(listed.stdout).expect("text").lines().count() - 1;
    let output = tragen(&["drill", "--all", "--allow-missing", "-o", "json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    for row in &report.drills {
        assert!(row.problem.is_empty(), "{}: {}", row.limit, row.problem);
        assert!(!row.action.is_empty() && !row.reset.is_empty(), "{row:?}");
    }
    assert_eq!(report.drills.len(), listed);
    assert!(output.status.success(), "{said}");
}

#[test]
fn what_is_not_drilled_is_refused_with_its_reason() {
    let output = tragen(&["drill", "no_capital"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("no_capital is not drilled: no wallet goes below zero"),
        "{said}"
    );
    let output = tragen(&["drill", "gravity"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("there is no drill gravity"), "{said}");
}
