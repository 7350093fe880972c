//! What a run has shown, for people and for programs.

use crate::{
    audit::Audit,
    figures::{Latency, Part, Second},
    halt::Halted,
    machine::Machine,
    monitor::Usage,
    proof::Proof,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// The figures of one run, without its warm-up.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// How operations were started, e.g. `32 in flight`.
    pub load: String,
    /// What was traded.
    pub instrument_id: String,
    /// In how many names.
    pub accounts: usize,
    /// Of those, accounts whose turn it was.
    pub accounts_active: usize,
    /// Over how many connections.
    pub connections: usize,
    /// From the first measured start to the last measured answer, milliseconds.
    pub measured_ms: u64,
    /// Operations that were started, or should have been.
    pub offered: u64,
    /// Operations that were answered.
    pub ok: u64,
    /// Those by the trade's status; `READ` for reads.
    pub ok_by_status: BTreeMap<String, u64>,
    /// Operations that failed.
    pub errors: u64,
    /// Those by gRPC code.
    pub errors_by_code: BTreeMap<String, u64>,
    /// Those by class, as in [`Part::errors_by_class`].
    pub errors_by_class: BTreeMap<String, u64>,
    /// Failures during the warm-up, counted nowhere else.
    pub warm_up_errors: u64,
    /// Operations of the schedule that were never started, because too many were in flight.
    pub unsent: u64,
    /// Answered operations per second, rounded down.
    pub ok_per_second: u64,
    /// Answered orders and mandates per second, rounded down.
    pub trades_per_second: u64,
    /// From the (intended) start to the answer, of answered operations.
    pub latency: Latency,
    /// By kind of operation: `order`, `mandate`, `read`, `cancel`.
    pub by_operation: BTreeMap<String, Part>,
    /// By tier of the account.
    pub by_tier: BTreeMap<String, Part>,
    /// Second by second, by when answers came; the warm-up too.
    pub seconds: Vec<Second>,
    /// What processes used and services showed meanwhile.
    pub usage: Usage,
    /// Where it was measured.
    pub machine: Machine,
    /// The halt, if there was one.
    pub halt: Option<Halted>,
    /// What the audit found.
    pub audit: Audit,
    /// What the record of all requests and answers proved, if there is one.
    pub proof: Option<Proof>,
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
        writeln!(f, "throughput   {} ops/s, {} trades/s", self.ok_per_second, self.trades_per_second)?;
        writeln!(f, "latency ms   p50 {p50}   p90 {p90}   p99 {p99}   p99.9 {p999}   max {max}")?;
        self.write_parts(f)?;
        self.write_usage(f)?;
        if let Some(halt) = self.halt.as_ref().filter(|halt| !halt.failure.is_empty()) {
            writeln!(f, "halt         NOT ANSWERED: {}", halt.failure)?;
        } else if let Some(halt) = &self.halt {
            let Halted { workers_confirmed, workers_total, filled_afterwards, .. } = halt;
            let (closed, answered) = (halt.gate_closed_micros.unsigned_abs(), halt.answered_micros);
            writeln!(
                f,
                "halt         gate closed after {} ms, answered after {} ms",
                millis(closed),
                millis(answered)
            )?;
            writeln!(
                f,
                "             {workers_confirmed} of {workers_total} workers, {filled_afterwards} fills afterwards"
            )?;
        }
        if let Some(proof) = &self.proof {
            writeln!(f, "proof        {proof}")?;
        }
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

impl Report {
    /// Parts are only told where there are several.
    fn write_parts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, parts) in [("by operation", &self.by_operation), ("by tier", &self.by_tier)] {
            if parts.len() < 2 {
                continue;
            }
            for (index, (name, part)) in parts.iter().enumerate() {
                let title = if index == 0 { title } else { "" };
                let Latency { p50_micros, p99_micros, .. } = part.latency;
                let (p50, p99) = (millis(p50_micros), millis(p99_micros));
                let Part { ok, errors, errors_by_class, .. } = part;
                let classes = split(errors_by_class);
                writeln!(f, "{title:<12} {name:<9} {ok} ok, {errors} errors{classes}, p50 {p50} p99 {p99} ms")?;
            }
        }
        Ok(())
    }

    fn write_usage(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, process) in self.usage.processes.iter().enumerate() {
            let title = if index == 0 { "usage" } else { "" };
            let name = &process.name;
            let mebibytes = process.rss_bytes_max >> 20;
            let (cpu, written) = (process.cpu_micros_per_ok, process.written_bytes_per_ok);
            writeln!(f, "{title:<12} {name:<14} {cpu} us CPU/op, {written} bytes written/op, {mebibytes} MiB at most")?;
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
