//! What was measured: counts by outcome and a histogram of latencies.

use crate::answered::Class;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// Longest latency told apart: ten minutes.
const LATENCY_MICROS_MAX: u64 = 600_000_000;
/// Latencies are exact to one in a thousand.
const SIGNIFICANT_DIGITS: u8 = 3;
/// Where the buckets of [`Second::buckets`] end, microseconds; the last one has no end.
pub const BUCKET_ENDS_MICROS: [u64; 13] =
    [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000];

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
    pub(crate) missed_by_status: BTreeMap<String, u64>,
    pub(crate) denied_by_code: BTreeMap<String, u64>,
    /// Of the ok ones those with a fill.
    pub(crate) trades: u64,
    pub(crate) errors_by_code: BTreeMap<String, u64>,
    pub(crate) errors_by_class: BTreeMap<String, u64>,
    latencies: Histogram<u64>,
    denials: Histogram<u64>,
}

/// A part of the operations: of one kind, or of one tier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Operations that came to what they were meant for: an order that was filled or rests as it should, a cancel
    /// that ended one, a read, an agent's decision.
    pub ok: u64,
    /// Of those, trades that were filled, wholly or in part.
    pub trades: u64,
    /// Operations that were answered otherwise, e.g. because the price was gone.
    pub missed: u64,
    /// Operations that the guard denied.
    pub denied: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Those by what kind of failure it is: `shed` (told when to come again), `overloaded`, `timeout`,
    /// `unavailable`, `refused`.
    pub errors_by_class: BTreeMap<String, u64>,
    /// From the (intended) start to the answer, of operations that were answered and not denied.
    pub latency: Latency,
}

/// What was answered within one second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Second {
    /// Which, from the beginning of the warm-up.
    pub second: u64,
    /// Whether it is of the warm-up.
    pub is_warm_up: bool,
    /// Operations that should have started in it; 0 in a closed loop.
    pub offered: u64,
    /// Operations that came in it to what they were meant for.
    pub ok: u64,
    /// Of those, trades that were filled.
    pub trades: u64,
    /// Operations that were answered otherwise in it.
    pub missed: u64,
    /// Operations that were denied in it.
    pub denied: u64,
    /// Operations that began in it and were denied, in it or later, by code.
    pub begun_and_denied: BTreeMap<String, u64>,
    /// Failures that came in it.
    pub errors: u64,
    /// Of the answers that came in it, but for denials.
    pub latency: Latency,
    /// How many of them took up to [`BUCKET_ENDS_MICROS`] and longer than the end before, and longer than all.
    pub buckets: [u64; 14],
}

impl Figures {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, SIGNIFICANT_DIGITS);
        let (ok_by_status, missed_by_status, denied_by_code) = Default::default();
        let (errors_by_code, errors_by_class) = Default::default();
        Ok(Self {
            ok_by_status,
            missed_by_status,
            denied_by_code,
            trades: 0,
            errors_by_code,
            errors_by_class,
            latencies: histogram()?,
            denials: histogram()?,
        })
    }

    /// An operation that was answered; `told` is the trade's status, or the code of its denial. Denials have
    /// latencies of their own, so that a quick no flatters nothing.
    pub(crate) fn add_answer(&mut self, class: Class, told: &str, latency: Duration) {
        let counts = match class {
            Class::Traded | Class::Done => &mut self.ok_by_status,
            Class::Missed => &mut self.missed_by_status,
            Class::Denied => &mut self.denied_by_code,
        };
        add_one(counts, told);
        self.trades += u64::from(class == Class::Traded);
        let latencies = if class == Class::Denied { &mut self.denials } else { &mut self.latencies };
        latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// An operation that failed; its latency is not counted, so that quick refusals flatter nothing.
    pub(crate) fn add_error(&mut self, code: &str, class: &str) {
        add_one(&mut self.errors_by_code, code);
        add_one(&mut self.errors_by_class, class);
    }

    /// As a part of all.
    pub(crate) fn part(&self) -> Part {
        let errors_by_class = self.errors_by_class.clone();
        Part {
            ok: self.ok(),
            trades: self.trades,
            missed: self.missed(),
            denied: self.denied(),
            errors: self.errors(),
            errors_by_class,
            latency: self.latency(),
        }
    }

    /// Everything that was started: answered in one way or another, or failed.
    pub(crate) fn started(&self) -> u64 {
        self.ok() + self.missed() + self.denied() + self.errors()
    }

    pub(crate) fn missed(&self) -> u64 {
        self.missed_by_status.values().sum()
    }

    pub(crate) fn denied(&self) -> u64 {
        self.denied_by_code.values().sum()
    }

    pub(crate) fn ok(&self) -> u64 {
        self.ok_by_status.values().sum()
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors_by_code.values().sum()
    }

    pub(crate) fn latency(&self) -> Latency {
        spread(&self.latencies)
    }

    /// How long denials took.
    pub(crate) fn denial_latency(&self) -> Latency {
        spread(&self.denials)
    }

    /// How many answers there are in each bucket.
    pub(crate) fn buckets(&self) -> [u64; 14] {
        let mut counts = [0; 14];
        for recorded in self.latencies.iter_recorded() {
            let bucket = BUCKET_ENDS_MICROS.partition_point(|end| *end < recorded.value_iterated_to());
            counts[bucket] += recorded.count_at_value();
        }
        counts
    }

    /// Starts over.
    pub(crate) fn clear(&mut self) {
        self.ok_by_status.clear();
        self.missed_by_status.clear();
        self.denied_by_code.clear();
        self.trades = 0;
        self.errors_by_code.clear();
        self.errors_by_class.clear();
        self.latencies.reset();
        self.denials.reset();
    }
}

fn spread(latencies: &Histogram<u64>) -> Latency {
    Latency {
        p50_micros: latencies.value_at_quantile(0.5),
        p90_micros: latencies.value_at_quantile(0.9),
        p99_micros: latencies.value_at_quantile(0.99),
        p999_micros: latencies.value_at_quantile(0.999),
        max_micros: latencies.max(),
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
        (1..=10_000).for_each(|micros| figures.add_answer(Class::Traded, "FILLED", Duration::from_micros(micros)));
        figures.add_error("UNAVAILABLE", "unavailable");
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
        assert_eq!(figures.buckets().iter().sum::<u64>(), 10_000);
        assert!(figures.buckets()[0].abs_diff(500) <= 1 && figures.buckets()[4].abs_diff(5_000) <= 8);
        figures.add_answer(Class::Traded, "FILLED", Duration::from_secs(3_600));
        assert!(figures.latency().max_micros >= LATENCY_MICROS_MAX, "beyond the range counts as its end");
    }

    #[test]
    fn a_denial_is_neither_throughput_nor_latency() {
        let mut figures = Figures::new().expect("valid bounds");
        figures.add_answer(Class::Traded, "FILLED", Duration::from_micros(500));
        figures.add_answer(Class::Done, "WORKING", Duration::from_micros(500));
        figures.add_answer(Class::Missed, "CANCELED", Duration::from_micros(500));
        figures.add_answer(Class::Denied, "TRADING_HALTED", Duration::from_micros(9));
        assert_eq!((figures.ok(), figures.trades, figures.missed(), figures.denied()), (2, 1, 1, 1));
        assert_eq!((figures.started(), figures.buckets().iter().sum::<u64>()), (4, 3));
        assert_eq!((figures.latency().p50_micros, figures.denial_latency().max_micros), (500, 9));
        figures.clear();
        assert_eq!((figures.started(), figures.trades, figures.denial_latency()), (0, 0, Latency::default()));
    }

    #[test]
    fn a_rate_is_rounded_down() {
        assert_eq!(per_second(1_999, Duration::from_secs(2)), 999);
        assert_eq!(per_second(0, Duration::ZERO), 0);
    }
}
