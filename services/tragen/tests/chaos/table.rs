//! What a run has shown, in one table.

use crate::audit::Verdict;
use std::{fmt::Write as _, time::Duration};

/// What one scenario has shown.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Faults.
    pub(crate) rounds: usize,
    pub(crate) verdict: Verdict,
    /// From the end of the fault to the first new trade that was acknowledged.
    pub(crate) recoveries: Vec<Duration>,
    pub(crate) took: Duration,
    /// What else there is to say.
    pub(crate) remarks: Vec<String>,
}

/// The table, and below it whatever is not as it should be.
pub(crate) fn table(rows: &[Row]) -> String {
    let widest = rows.iter().map(|row| row.name.len()).max().unwrap_or_default().max(8);
    let mut text = format!(
        "{:<widest$}  {:>6}  {:>8}  {:>5}  {:>7}  {:>5}  {:>14}  {:>14}  {:>6}\n",
        "scenario", "rounds", "requests", "lost", "doubled", "sums", "recovery p50", "recovery max", "took"
    );
    for row in rows {
        let mut recoveries = row.recoveries.clone();
        recoveries.sort_unstable();
        let shown =
            |recovery: Option<&Duration>| recovery.map_or("-".to_owned(), |time| format!("{} ms", time.as_millis()));
        let verdict = &row.verdict;
        let sums = if verdict.unbalanced == 0 { "ok" } else { "WRONG" };
        let _ = writeln!(
            text,
            "{:<widest$}  {:>6}  {:>8}  {:>5}  {:>7}  {:>5}  {:>14}  {:>14}  {:>4} s",
            row.name,
            row.rounds,
            verdict.requests,
            verdict.lost,
            verdict.doubled,
            sums,
            shown(recoveries.get(recoveries.len() / 2)),
            shown(recoveries.last()),
            row.took.as_secs()
        );
    }
    for row in rows {
        for remark in &row.remarks {
            let _ = writeln!(text, "{}: {remark}", row.name);
        }
        for problem in &row.verdict.problems {
            let _ = writeln!(text, "{}: PROBLEM: {problem}", row.name);
        }
    }
    text
}
