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
use std::{collections::BTreeMap, fmt, time::Instant};

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
    /// Operations that came to what they were meant for, as in [`Part::ok`]; what was denied is none of them.
    pub ok: u64,
    /// Those by the trade's status; `READ` for reads.
    pub ok_by_status: BTreeMap<String, u64>,
    /// Of those, trades that were filled, wholly or in part, and committed.
    pub trades: u64,
    /// Operations that were answered, but not as they were meant, e.g. because the price was gone.
    pub missed: u64,
    /// Those by the trade's status.
    pub missed_by_status: BTreeMap<String, u64>,
    /// Operations that the guard denied.
    pub denied: u64,
    /// Those by the code of the denial.
    pub denied_by_code: BTreeMap<String, u64>,
    /// From the (intended) start to the answer, of those.
    pub denial_latency: Latency,
    /// Operations that failed.
    pub errors: u64,
    /// Those by gRPC code.
    pub errors_by_code: BTreeMap<String, u64>,
    /// Those by class, as in [`Part::errors_by_class`].
    pub errors_by_class: BTreeMap<String, u64>,
    /// Operations of the warm-up, counted nowhere else.
    pub warm_up_offered: u64,
    /// Failures during the warm-up, counted nowhere else.
    pub warm_up_errors: u64,
    /// Operations of the schedule that were never started, because too many were in flight.
    pub unsent: u64,
    /// Operations per second that came to what they were meant for, rounded down.
    pub ok_per_second: u64,
    /// Filled and committed trades per second, rounded down.
    pub trades_per_second: u64,
    /// From the (intended) start to the answer, of operations that were answered and not denied.
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
    /// When its first second began.
    #[serde(skip)]
    pub(crate) began: Option<Instant>,
}

impl Report {
    /// Whether every operation, also of the warm-up, was answered, if only by a denial.
    #[must_use]
    pub const fn is_without_errors(&self) -> bool {
        self.errors == 0 && self.warm_up_errors == 0 && self.unsent == 0
    }

    /// Operations that were answered, as meant or otherwise.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.ok + self.missed + self.denied
    }

    /// Whether everything that was offered came to what it was meant for.
    pub(crate) const fn is_all_as_meant(&self) -> bool {
        self.missed + self.denied + self.errors + self.unsent == 0
    }

    /// One row of [`Report::markdown`].
    fn row(&self) -> String {
        let Latency { p50_micros, p90_micros, p99_micros, p999_micros, max_micros } = self.latency;
        let times = [p50_micros, p90_micros, p99_micros, p999_micros, max_micros].map(millis).join(" | ");
        let audit = if self.audit.is_passed() { "passed" } else { "FAILED" };
        let Self { load, trades_per_second, ok_per_second, missed, denied, .. } = self;
        let failed = self.errors + self.unsent;
        format!(
            "| {load} | {ok_per_second} | {trades_per_second} | {missed} | {denied} | {failed} | {times} | {audit} |"
        )
    }

    /// A markdown table with a row for each report.
    #[must_use]
    pub fn markdown(reports: &[Self]) -> String {
        let head = "| load | ops/s | trades/s | missed | denied | errors | p50 ms | p90 ms | p99 ms | p99.9 ms | max ms | audit |\n\
                    |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|";
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
        writeln!(f, "missed       {}{}", self.missed, split(&self.missed_by_status))?;
        writeln!(f, "denied       {}{}", self.denied, split(&self.denied_by_code))?;
        writeln!(f, "errors       {}{}", self.errors, split(&self.errors_by_code))?;
        if self.warm_up_errors + self.unsent > 0 {
            writeln!(f, "             {} in the warm-up, {} never sent", self.warm_up_errors, self.unsent)?;
        }
        writeln!(f, "throughput   {} ops/s as meant, {} trades/s filled", self.ok_per_second, self.trades_per_second)?;
        writeln!(f, "latency ms   p50 {p50}   p90 {p90}   p99 {p99}   p99.9 {p999}   max {max}")?;
        if self.denied > 0 {
            let [p50, p99] = [self.denial_latency.p50_micros, self.denial_latency.p99_micros].map(millis);
            writeln!(f, "denials ms   p50 {p50}   p99 {p99}")?;
        }
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
        let Audit { trades_compared, accounts_compared, transfers_added, recovered, left_resting, .. } = self.audit;
        let verdict = if self.audit.is_passed() { "passed" } else { "FAILED" };
        write!(
            f,
            "audit        {verdict}: {trades_compared} trades read again, cash of {accounts_compared} accounts, \
             {transfers_added} transfers, {recovered} trades found without an answer, {left_resting} of them resting"
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
                let Part { ok, trades, missed, denied, errors, errors_by_class, .. } = part;
                let classes = split(errors_by_class);
                writeln!(
                    f,
                    "{title:<12} {name:<9} {ok} ok ({trades} trades), {missed} missed, {denied} denied, \
                     {errors} errors{classes}, p50 {p50} p99 {p99} ms"
                )?;
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
            let (cpu_trade, written_trade) = (process.cpu_micros_per_trade, process.written_bytes_per_trade);
            writeln!(
                f,
                "{title:<12} {name:<14} {cpu} us CPU/op, {cpu_trade} us/trade; {written} bytes written/op, \
                 {written_trade} bytes/trade; {mebibytes} MiB at most"
            )?;
        }
        if let Some((cpu, written)) = self.usage.platform_per_trade() {
            writeln!(f, "{:<12} {:<14} {cpu} us CPU/trade, {written} bytes written/trade", "", "platform")?;
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
