//! The highest rate that is sustained: bracketed by doubling, then narrowed by halving.

use crate::{Load, Report, Run, Session, report::millis};
use serde::Serialize;
use std::{fmt, time::Duration};

/// Within what a rate counts as sustained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// 99 % of the answers come within this, microseconds.
    pub p99_micros_max: u64,
    /// The first rate that is tried, operations per second.
    pub from_per_second: u32,
    /// No rate above this is tried; at least the first one.
    pub to_per_second: u32,
    /// The answer is exact to so many percent.
    pub exact_to_percent: u32,
    /// Load before each measurement.
    pub warm_up: Duration,
    /// Length of each measurement.
    pub measured: Duration,
}

/// One rate that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Operations that should have started per second.
    pub per_second: u32,
    /// Whether it was sustained.
    pub is_sustained: bool,
    /// Why not; empty if it was.
    pub reason: String,
    /// What was measured.
    pub report: Report,
}

/// The curve of a sweep.
#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    /// The highest rate that was sustained, operations per second; 0 if none was.
    pub sustained_per_second: u32,
    /// Every rate that was tried, in the order of the attempts.
    pub steps: Vec<Step>,
}

/// Tries rates until the highest sustained one is known; `progress` is given a line each second.
///
/// # Errors
/// When the load cannot be run.
pub async fn sweep(session: &Session, bounds: Bounds, progress: impl Fn(&str)) -> anyhow::Result<Curve> {
    let mut search = Search::new(bounds);
    let mut steps = Vec::new();
    while let Some(per_second) = search.next() {
        // Twice the p99 limit's worth of operations may wait, and no more: beyond that nothing is sustained.
        let in_flight_max = usize::try_from(per_second.saturating_mul(2)).unwrap_or(usize::MAX);
        let load = Load::constant(per_second, in_flight_max.max(1_000));
        let report = session.run(Run::new(load, bounds.warm_up, bounds.measured), &progress).await?;
        let reason = unsustained(&report, bounds, per_second);
        let is_sustained = reason.is_empty();
        let step = Step { per_second, is_sustained, reason, report };
        progress(&step.to_string());
        search.tell(per_second, is_sustained);
        steps.push(step);
    }
    Ok(Curve { sustained_per_second: search.sustained, steps })
}

/// Why a rate was not sustained; empty if it was.
fn unsustained(report: &Report, bounds: Bounds, per_second: u32) -> String {
    let failed = report.errors + report.warm_up_errors + report.unsent;
    if failed > 0 {
        return format!("{failed} operations failed");
    }
    if report.denied > 0 {
        let codes: Vec<_> = report.denied_by_code.keys().map(String::as_str).collect();
        return format!("{} operations were denied: {}", report.denied, codes.join(", "));
    }
    if !report.audit.is_passed() {
        return "the audit failed".to_owned();
    }
    if report.latency.p99_micros > bounds.p99_micros_max {
        return format!("p99 is {} ms", millis(report.latency.p99_micros));
    }
    // The last answers come after the last start, so a little less than the rate is all there can be.
    if report.ok_per_second * 100 < u64::from(per_second) * 97 {
        return format!("only {}/s came to what they were meant for", report.ok_per_second);
    }
    String::new()
}

/// What is known of the rate: sustained up to here, not from there on.
#[derive(Debug, Clone, Copy)]
struct Search {
    bounds: Bounds,
    sustained: u32,
    failed: Option<u32>,
    is_over: bool,
}

impl Search {
    const fn new(bounds: Bounds) -> Self {
        Self { bounds, sustained: 0, failed: None, is_over: false }
    }

    /// The next rate to try; `None` when the answer is exact enough.
    fn next(&self) -> Option<u32> {
        let Bounds { from_per_second, to_per_second, exact_to_percent, .. } = self.bounds;
        if self.is_over {
            return None;
        }
        match (self.sustained, self.failed) {
            (0, None) => Some(from_per_second.min(to_per_second)),
            (sustained, None) => (sustained < to_per_second).then(|| sustained.saturating_mul(2).min(to_per_second)),
            (sustained, Some(failed)) => {
                let is_exact =
                    u64::from(failed - sustained) * 100 <= u64::from(sustained) * u64::from(exact_to_percent);
                (!is_exact && failed - sustained > 1).then(|| sustained + (failed - sustained) / 2)
            }
        }
    }

    fn tell(&mut self, per_second: u32, is_sustained: bool) {
        if is_sustained {
            self.sustained = self.sustained.max(per_second);
        } else {
            self.failed = Some(self.failed.map_or(per_second, |failed| failed.min(per_second)));
        }
        self.is_over = self.sustained == 0 && per_second == 1;
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latency = self.report.latency;
        let [p50, p99, p999] = [latency.p50_micros, latency.p99_micros, latency.p999_micros].map(millis);
        let verdict = if self.is_sustained { "sustained" } else { self.reason.as_str() };
        let (per_second, done, trades) = (self.per_second, self.report.ok_per_second, self.report.trades_per_second);
        write!(f, "| {per_second} | {done} | {trades} | {p50} | {p99} | {p999} | {verdict} |")
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| rate/s | as meant/s | trades/s | p50 ms | p99 ms | p99.9 ms | |")?;
        writeln!(f, "|---:|---:|---:|---:|---:|---:|---|")?;
        let mut steps: Vec<_> = self.steps.iter().collect();
        steps.sort_by_key(|step| step.per_second);
        for step in steps {
            writeln!(f, "{step}")?;
        }
        write!(f, "sustained: {}/s", self.sustained_per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        p99_micros_max: 50_000,
        from_per_second: 100,
        to_per_second: 10_000,
        exact_to_percent: 5,
        warm_up: Duration::ZERO,
        measured: Duration::ZERO,
    };

    fn found(bounds: Bounds, limit: u32) -> (u32, Vec<u32>) {
        let mut search = Search::new(bounds);
        let mut tried = Vec::new();
        while let Some(rate) = search.next() {
            assert!(tried.len() < 40, "{tried:?}");
            tried.push(rate);
            search.tell(rate, rate <= limit);
        }
        (search.sustained, tried)
    }

    #[test]
    fn the_limit_is_bracketed_and_narrowed() {
        let (sustained, tried) = found(BOUNDS, 1_234);
        assert!((1_172..=1_234).contains(&sustained), "{sustained}: {tried:?}");
        assert_eq!(tried[..5], [100, 200, 400, 800, 1_600]);
        assert_eq!(found(BOUNDS, 1_000_000).0, 10_000, "no more than asked");
        assert!((57..=60).contains(&found(BOUNDS, 60).0), "below the first rate");
        assert_eq!(found(BOUNDS, 0).0, 0, "nothing is sustained");
    }

    #[test]
    fn a_rate_is_sustained_without_failures_and_within_the_limit() {
        let mut report = Report { ok: 100, ok_per_second: 99, ..Report::default() };
        report.latency.p99_micros = 50_000;
        assert_eq!(unsustained(&report, BOUNDS, 100), "");
        assert_eq!(unsustained(&report, BOUNDS, 103), "only 99/s came to what they were meant for");
        let denied = [("TRADING_HALTED".to_owned(), 7)].into();
        let halted = Report { denied: 7, denied_by_code: denied, ..report.clone() };
        assert_eq!(unsustained(&halted, BOUNDS, 100), "7 operations were denied: TRADING_HALTED");
        report.latency.p99_micros = 50_001;
        assert_eq!(unsustained(&report, BOUNDS, 100), "p99 is 50.001 ms");
        report.unsent = 1;
        assert_eq!(unsustained(&report, BOUNDS, 100), "1 operations failed");
    }
}
