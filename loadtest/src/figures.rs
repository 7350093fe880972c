//! What was measured: counts by outcome and a histogram of latencies.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// Longest latency told apart: ten minutes.
const LATENCY_MICROS_MAX: u64 = 600_000_000;
/// Latencies are exact to one in a thousand.
const SIGNIFICANT_DIGITS: u8 = 3;

/// The spread of latencies, microseconds; all 0 without an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half of the answers came within this.
    pub p50_micros: u64,
    /// 90 % came within this.
    pub p90_micros: u64,
    /// 99 % came within this.
    pub p99_micros: u64,
    /// 99.9 % came within this.
    pub p999_micros: u64,
    /// The slowest answer.
    pub max_micros: u64,
}

/// Counts and latencies of a stretch of time.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) ok_by_status: BTreeMap<String, u64>,
    pub(crate) errors_by_code: BTreeMap<String, u64>,
    latencies: Histogram<u64>,
}

impl Figures {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, SIGNIFICANT_DIGITS)?;
        Ok(Self { ok_by_status: BTreeMap::new(), errors_by_code: BTreeMap::new(), latencies })
    }

    /// An operation that was answered with a trade.
    pub(crate) fn add_ok(&mut self, status: &str, latency: Duration) {
        add_one(&mut self.ok_by_status, status);
        self.latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// An operation that failed; its latency is not counted, so that quick refusals flatter nothing.
    pub(crate) fn add_error(&mut self, code: &str) {
        add_one(&mut self.errors_by_code, code);
    }

    pub(crate) fn ok(&self) -> u64 {
        self.ok_by_status.values().sum()
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors_by_code.values().sum()
    }

    pub(crate) fn latency(&self) -> Latency {
        Latency {
            p50_micros: self.latencies.value_at_quantile(0.5),
            p90_micros: self.latencies.value_at_quantile(0.9),
            p99_micros: self.latencies.value_at_quantile(0.99),
            p999_micros: self.latencies.value_at_quantile(0.999),
            max_micros: self.latencies.max(),
        }
    }

    /// Starts over.
    pub(crate) fn clear(&mut self) {
        self.ok_by_status.clear();
        self.errors_by_code.clear();
        self.latencies.reset();
    }
}

fn add_one(counts: &mut BTreeMap<String, u64>, key: &str) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => {
            counts.insert(key.to_owned(), 1);
        }
    }
}

/// `count` per second over `time`, rounded down.
pub(crate) fn per_second(count: u64, time: Duration) -> u64 {
    let micros = time.as_micros().max(1);
    u64::try_from(u128::from(count) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_answers_to_one_in_a_thousand() {
        let mut figures = Figures::new().expect("valid bounds");
        assert_eq!(figures.latency(), Latency::default());
        (1..=10_000).for_each(|micros| figures.add_ok("FILLED", Duration::from_micros(micros)));
        figures.add_error("UNAVAILABLE");
        let latency = figures.latency();
        for (got, exact) in [
            (latency.p50_micros, 5_000),
            (latency.p90_micros, 9_000),
            (latency.p99_micros, 9_900),
            (latency.p999_micros, 9_990),
            (latency.max_micros, 10_000),
        ] {
            assert!(got.abs_diff(exact) <= exact / 1_000 + 1, "{got} is not {exact}");
        }
        assert_eq!((figures.ok(), figures.errors()), (10_000, 1));
        figures.add_ok("FILLED", Duration::from_secs(3_600));
        assert!(figures.latency().max_micros >= LATENCY_MICROS_MAX, "beyond the range counts as its end");
    }

    #[test]
    fn a_rate_is_rounded_down() {
        assert_eq!(per_second(1_999, Duration::from_secs(2)), 999);
        assert_eq!(per_second(0, Duration::ZERO), 0);
    }
}
