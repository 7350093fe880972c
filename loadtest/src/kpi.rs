//! What a run must reach: figures of the report beside a target and a critical value.

use crate::{
    figures::Part,
    report::{Report, millis},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A figure with a goal. Its unit stands at the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kpi {
    /// Filled and committed trades per second.
    TradesPerSecond,
    /// Operations per second that came to what they were meant for.
    OperationsPerSecond,
    /// Orders and mandates that the guard denied, parts per million of those answered. A scenario that halts has no
    /// such goal: from the halt on denials are what is meant.
    DeniedPpm,
    /// Operations that failed or were never sent, parts per million of those offered.
    ErrorPpm,
    /// Half of all answers came within this.
    P50Micros,
    /// 99 % of all answers.
    P99Micros,
    /// 99.9 % of all answers.
    P999Micros,
    /// 99 % of the answers to premium accounts.
    PremiumP99Micros,
    /// Operations turned away without being told when to come again.
    OverloadedOperations,
    /// Answers of the audit and the proof that do not hold, one way or the other.
    BrokenPromises,
    /// From the end of a spike to the first second in which all is as before it, seconds.
    RecoverySecs,
    /// Most memory of all watched processes together but the load test, bytes.
    RssBytesMax,
    /// From the receipt of a halt to its durable entry.
    HaltGateClosedMicros,
    /// From the call of a halt to its answer with all workers confirmed.
    HaltConfirmedMicros,
    /// Trades filled that were asked for after that answer.
    FilledAfterHalt,
}

/// Where a figure should be, and where it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// Met at this value or better.
    pub target: u64,
    /// Failed when worse than this.
    pub critical: u64,
}

/// How a figure stands to its goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// At the target or better.
    Met,
    /// Between target and critical value.
    Warned,
    /// Worse than the critical value.
    Failed,
    /// There is no such figure in this run; that is a failure, a goal must be measured.
    Undefined,
    /// A rate whose target was never offered: it says nothing.
    Idle,
}

/// One goal of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Which figure.
    pub kpi: Kpi,
    /// Its goal.
    pub goal: Goal,
    /// What was measured.
    pub value: Option<u64>,
    /// How it stands.
    pub standing: Standing,
}

impl Verdict {
    /// `kpi` in `report`; `spike_end_second` is when a spike was over, counted from the beginning of the warm-up.
    #[must_use]
    pub fn of(kpi: Kpi, goal: Goal, report: &Report, spike_end_second: Option<u64>) -> Self {
        let value = kpi.value(report, spike_end_second);
        let standing = match value {
            None => Standing::Undefined,
            Some(value) => kpi.standing(value, goal, report),
        };
        Self { kpi, goal, value, standing }
    }

    /// Whether the run has failed because of it.
    #[must_use]
    pub const fn is_failed(&self) -> bool {
        match self.standing {
            Standing::Failed | Standing::Undefined => true,
            Standing::Met | Standing::Warned | Standing::Idle => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.standing {
            Standing::Met => "met",
            Standing::Warned => "WARNED",
            Standing::Failed => "FAILED",
            Standing::Undefined => "UNDEFINED",
            Standing::Idle => "idle",
        };
        let value = self.value.map_or_else(|| "not measured".to_owned(), |value| self.kpi.shown(value));
        let Goal { target, critical } = self.goal;
        let (target, critical) = (self.kpi.shown(target), self.kpi.shown(critical));
        write!(f, "{:<24} {value:>14}  target {target}, critical {critical}: {word}", self.kpi.name())
    }
}

impl Kpi {
    /// As in scenario files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TradesPerSecond => "trades_per_second",
            Self::OperationsPerSecond => "operations_per_second",
            Self::DeniedPpm => "denied_ppm",
            Self::ErrorPpm => "error_ppm",
            Self::P50Micros => "p50_micros",
            Self::P99Micros => "p99_micros",
            Self::P999Micros => "p999_micros",
            Self::PremiumP99Micros => "premium_p99_micros",
            Self::OverloadedOperations => "overloaded_operations",
            Self::BrokenPromises => "broken_promises",
            Self::RecoverySecs => "recovery_secs",
            Self::RssBytesMax => "rss_bytes_max",
            Self::HaltGateClosedMicros => "halt_gate_closed_micros",
            Self::HaltConfirmedMicros => "halt_confirmed_micros",
            Self::FilledAfterHalt => "filled_after_halt",
        }
    }

    /// Whether more is better.
    const fn is_rate(self) -> bool {
        match self {
            Self::TradesPerSecond | Self::OperationsPerSecond => true,
            Self::ErrorPpm
            | Self::DeniedPpm
            | Self::P50Micros
            | Self::P99Micros
            | Self::P999Micros
            | Self::PremiumP99Micros
            | Self::OverloadedOperations
            | Self::BrokenPromises
            | Self::RecoverySecs
            | Self::RssBytesMax
            | Self::HaltGateClosedMicros
            | Self::HaltConfirmedMicros
            | Self::FilledAfterHalt => false,
        }
    }

    fn standing(self, value: u64, goal: Goal, report: &Report) -> Standing {
        if !self.is_rate() {
            return if value <= goal.target {
                Standing::Met
            } else if value <= goal.critical {
                Standing::Warned
            } else {
                Standing::Failed
            };
        }
        let offered_per_second = (report.offered * 1_000).checked_div(report.measured_ms).unwrap_or(0);
        if value >= goal.target {
            Standing::Met
        } else if offered_per_second < goal.target && report.is_all_as_meant() {
            Standing::Idle
        } else if value >= goal.critical {
            Standing::Warned
        } else {
            Standing::Failed
        }
    }

    fn value(self, report: &Report, spike_end_second: Option<u64>) -> Option<u64> {
        let has_answers = report.ok + report.missed > 0;
        let latency = report.latency;
        let halt = report.halt.as_ref().filter(|halt| halt.failure.is_empty());
        match self {
            Self::TradesPerSecond => Some(report.trades_per_second),
            Self::OperationsPerSecond => Some(report.ok_per_second),
            Self::DeniedPpm => {
                let asked = ["order", "mandate"].into_iter().filter_map(|kind| report.by_operation.get(kind));
                let answered: u64 = asked.map(|part| part.ok + part.missed + part.denied).sum();
                (report.denied * 1_000_000).checked_div(answered)
            }
            Self::ErrorPpm => ((report.errors + report.unsent) * 1_000_000).checked_div(report.offered),
            Self::P50Micros => has_answers.then_some(latency.p50_micros),
            Self::P99Micros => has_answers.then_some(latency.p99_micros),
            Self::P999Micros => has_answers.then_some(latency.p999_micros),
            Self::PremiumP99Micros => report
                .by_tier
                .get("premium")
                .filter(|part: &&Part| part.ok + part.missed > 0)
                .map(|part| part.latency.p99_micros),
            Self::OverloadedOperations => Some(report.errors_by_class.get("overloaded").copied().unwrap_or(0)),
            Self::BrokenPromises => {
                let proved = report.proof.as_ref().map_or(0, |proof| proof.findings_count);
                u64::try_from(report.audit.findings_count + proved).ok()
            }
            Self::RecoverySecs => recovery(report, spike_end_second?),
            Self::RssBytesMax => {
                let processes = report.usage.processes.iter().filter(|process| process.name != "load test");
                let sum: u64 = processes.map(|process| process.rss_bytes_max).sum();
                (sum > 0).then_some(sum)
            }
            Self::HaltGateClosedMicros => halt.map(|halt| halt.gate_closed_micros.unsigned_abs()),
            Self::HaltConfirmedMicros => {
                let all = halt.filter(|halt| halt.workers_confirmed == halt.workers_total);
                all.map(|halt| halt.answered_micros)
            }
            Self::FilledAfterHalt => halt.map(|halt| halt.filled_afterwards),
        }
    }

    fn shown(self, value: u64) -> String {
        match self {
            Self::P50Micros
            | Self::P99Micros
            | Self::P999Micros
            | Self::PremiumP99Micros
            | Self::HaltGateClosedMicros
            | Self::HaltConfirmedMicros => format!("{} ms", millis(value)),
            Self::RssBytesMax => format!("{} MiB", value >> 20),
            Self::TradesPerSecond
            | Self::OperationsPerSecond
            | Self::ErrorPpm
            | Self::DeniedPpm
            | Self::OverloadedOperations
            | Self::BrokenPromises
            | Self::RecoverySecs
            | Self::FilledAfterHalt => value.to_string(),
        }
    }
}

/// Seconds from the end of a spike until a second without failures and denials whose p99 is at most twice the usual one of
/// the measured seconds before the spike; `None` if it never came.
fn recovery(report: &Report, end: u64) -> Option<u64> {
    let usual = report.seconds.iter().filter(|second| !second.is_warm_up && second.ok > 0);
    let usual = usual.map(|second| second.latency.p99_micros).min()?;
    let mut later = report.seconds.iter().filter(|second| second.second >= end && second.ok > 0);
    let calm = later
        .find(|second| second.errors + second.denied == 0 && second.latency.p99_micros <= usual.saturating_mul(2))?;
    Some(calm.second - end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Latency, Second};

    fn report() -> Report {
        let part = Part { ok: 90, missed: 9, denied: 1, ..Part::default() };
        Report {
            offered: 1_000,
            ok: 998,
            denied: 1,
            errors: 1,
            measured_ms: 10_000,
            trades_per_second: 99,
            by_operation: [("order".to_owned(), part)].into(),
            ..Report::default()
        }
    }

    fn check(kpi: Kpi, (target, critical): (u64, u64), report: &Report, expected: Standing) {
        let verdict = Verdict::of(kpi, Goal { target, critical }, report, Some(3));
        assert_eq!(verdict.standing, expected, "{verdict}");
    }

    #[test]
    fn figures_stand_at_beside_or_beyond_their_goals() {
        let report = report();
        for (target, critical, expected) in
            [(1_000, 10_000, Standing::Met), (999, 1_000, Standing::Warned), (100, 999, Standing::Failed)]
        {
            check(Kpi::ErrorPpm, (target, critical), &report, expected);
        }
        check(Kpi::TradesPerSecond, (99, 50), &report, Standing::Met);
        check(Kpi::TradesPerSecond, (100, 50), &report, Standing::Warned);
        check(Kpi::TradesPerSecond, (200, 100), &report, Standing::Failed);
        check(Kpi::PremiumP99Micros, (1, 1), &report, Standing::Undefined);
        check(Kpi::DeniedPpm, (10_000, 10_000), &report, Standing::Met);
        check(Kpi::DeniedPpm, (9_999, 10_000), &report, Standing::Warned);
        check(Kpi::DeniedPpm, (0, 9_999), &report, Standing::Failed);
        check(Kpi::DeniedPpm, (0, 0), &Report::default(), Standing::Undefined);
        let denied = Report { errors: 0, ..report.clone() };
        check(Kpi::TradesPerSecond, (200, 100), &denied, Standing::Failed);
        let calm = Report { errors: 0, denied: 0, ..report };
        check(Kpi::TradesPerSecond, (200, 100), &calm, Standing::Idle);
    }

    #[test]
    fn a_spike_is_over_when_a_second_is_as_before() {
        let second = |second, p99_micros, errors| Second {
            second,
            ok: 10,
            errors,
            latency: Latency { p99_micros, ..Latency::default() },
            ..Second::default()
        };
        let seconds = vec![second(0, 5, 0), second(1, 90, 3), second(2, 80, 0), second(3, 60, 0), second(4, 9, 1)];
        let report = Report { seconds: [seconds, vec![second(5, 10, 0)]].concat(), ..report() };
        check(Kpi::RecoverySecs, (2, 2), &report, Standing::Met);
        check(Kpi::RecoverySecs, (1, 1), &report, Standing::Failed);
    }

    #[test]
    fn names_are_those_of_scenario_files() {
        for kpi in [Kpi::P999Micros, Kpi::RssBytesMax, Kpi::FilledAfterHalt, Kpi::PremiumP99Micros, Kpi::P50Micros] {
            assert_eq!(serde_json::to_value(kpi).expect("a name"), kpi.name());
        }
    }
}
