//! What a run has shown, for people and for programs.

use crate::{audit::Audit, figures::Latency};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// The figures of one run, without its warm-up.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How operations were started, e.g. `32 in flight`.
    pub load: String,
    /// What was traded.
    pub instrument_id: String,
    /// In how many names.
    pub accounts: usize,
    /// Over how many connections.
    pub connections: usize,
    /// From the first measured start to the last measured answer, milliseconds.
    pub measured_ms: u64,
    /// Operations that were started, or should have been.
    pub offered: u64,
    /// Operations answered with a trade.
    pub ok: u64,
    /// Those by the trade's status.
    pub ok_by_status: BTreeMap<String, u64>,
    /// Operations that failed.
    pub errors: u64,
    /// Those by gRPC code.
    pub errors_by_code: BTreeMap<String, u64>,
    /// Failures during the warm-up, counted nowhere else.
    pub warm_up_errors: u64,
    /// Operations of the schedule that were never started, because too many were in flight.
    pub unsent: u64,
    /// Answered operations per second, rounded down.
    pub ok_per_second: u64,
    /// From the (intended) start to the answer, of answered operations.
    pub latency: Latency,
    /// What the audit found.
    pub audit: Audit,
}

impl Report {
    /// Whether every operation, also of the warm-up, was answered with a trade.
    #[must_use]
    pub const fn is_without_errors(&self) -> bool {
        self.errors == 0 && self.warm_up_errors == 0 && self.unsent == 0
    }

    /// One row of [`Report::markdown`].
    fn row(&self) -> String {
        let Latency { p50_micros, p90_micros, p99_micros, p999_micros, max_micros } = self.latency;
        let times = [p50_micros, p90_micros, p99_micros, p999_micros, max_micros].map(millis).join(" | ");
        let audit = if self.audit.is_passed() { "passed" } else { "FAILED" };
        format!("| {} | {} | {} | {times} | {audit} |", self.load, self.ok_per_second, self.errors + self.unsent)
    }

    /// A markdown table with a row for each report.
    #[must_use]
    pub fn markdown(reports: &[Self]) -> String {
        let head = "| load | trades/s | errors | p50 ms | p90 ms | p99 ms | p99.9 ms | max ms | audit |\n\
                    |---|---:|---:|---:|---:|---:|---:|---:|---|";
        std::iter::once(head.to_owned()).chain(reports.iter().map(Self::row)).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency { p50_micros, p90_micros, p99_micros, p999_micros, max_micros } = self.latency;
        let [p50, p90, p99, p999, max] = [p50_micros, p90_micros, p99_micros, p999_micros, max_micros].map(millis);
        let Self { load, instrument_id, accounts, connections, .. } = self;
        writeln!(f, "load         {load}, {accounts} accounts, {connections} connections, {instrument_id}")?;
        writeln!(f, "measured     {} s", millis(self.measured_ms))?;
        writeln!(f, "offered      {}", self.offered)?;
        writeln!(f, "ok           {}{}", self.ok, split(&self.ok_by_status))?;
        writeln!(f, "errors       {}{}", self.errors, split(&self.errors_by_code))?;
        if self.warm_up_errors + self.unsent > 0 {
            writeln!(f, "             {} in the warm-up, {} never sent", self.warm_up_errors, self.unsent)?;
        }
        writeln!(f, "throughput   {} trades/s", self.ok_per_second)?;
        writeln!(f, "latency ms   p50 {p50}   p90 {p90}   p99 {p99}   p99.9 {p999}   max {max}")?;
        let Audit { trades_compared, accounts_compared, transfers_added, recovered, .. } = self.audit;
        let verdict = if self.audit.is_passed() { "passed" } else { "FAILED" };
        write!(
            f,
            "audit        {verdict}: {trades_compared} trades read again, cash of {accounts_compared} accounts, \
             {transfers_added} transfers, {recovered} trades found without an answer"
        )?;
        for finding in &self.audit.findings {
            write!(f, "\n  ! {finding}")?;
        }
        let untold = self.audit.findings_count - self.audit.findings.len();
        if untold > 0 {
            write!(f, "\n  ! and {untold} more")?;
        }
        Ok(())
    }
}

/// A thousandth of `count`, with three decimals.
pub(crate) fn millis(count: u64) -> String {
    format!("{}.{:03}", count / 1_000, count % 1_000)
}

fn split(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if parts.is_empty() { String::new() } else { format!("  ({})", parts.join(", ")) }
}
