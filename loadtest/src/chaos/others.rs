//! I9: what users feel of a fault who do not need what is broken. Their p99 in the fault's window, from its beginning
//! until everything trades again, is held against their p99 in all quiet times of the run.

use super::{
    bystander::{Asked, Sample},
    fault::{Part, Server, Trouble},
};
use crate::report::millis;
use serde::Serialize;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// With fewer questions in a window nothing is said of its p99; of so few it is the slowest one.
const SAMPLES_MIN: usize = 20;
/// By so much p99 may be slower.
const SLOWER_MAX: u32 = 2;
/// Never judged slow: what is promised of every trade at any time.
const PROMISED: Duration = Duration::from_millis(50);
/// After a window and before the next quiet time: queues empty.
const SETTLE: Duration = Duration::from_secs(1);

/// From the beginning of a fault until everything trades again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

/// What others felt of one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Others {
    /// What they asked for, e.g. `reads`.
    pub asked: String,
    /// Questions in the window.
    pub samples: usize,
    /// Their p99, microseconds; `None` where it was not answered, or where there were too few to tell.
    pub p99_micros: Option<u64>,
    /// The p99 that was allowed, microseconds.
    pub allowed_micros: u64,
    /// How it stands.
    pub standing: Felt,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Felt {
    /// Within what is allowed.
    Kept,
    /// Slower than that, or without an answer.
    Slower,
    /// The window had too few questions to say anything.
    TooFew,
}

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, samples, p99_micros, allowed_micros, standing } = self;
        let p99 = p99_micros.map_or_else(|| "none".to_owned(), |micros| format!("{} ms", millis(micros)));
        match standing {
            Felt::TooFew => write!(f, "{asked} of others: too few to judge ({samples} of {SAMPLES_MIN})"),
            Felt::Kept => write!(f, "{asked} of others: p99 {p99} of {samples}"),
            Felt::Slower => {
                write!(f, "{asked} of others: p99 {p99} of {samples}, {} ms allowed", millis(*allowed_micros))
            }
        }
    }
}

/// Who is a bystander of a trouble: whoever asks for something that goes another way. Everything passes the router, and
/// nothing is answered without the bus, the ledger or its database.
pub(super) const fn bystanders(trouble: Trouble) -> &'static [Asked] {
    match trouble {
        Trouble::Kill(part) | Trouble::Freeze(part) | Trouble::BusWire(part, _) | Trouble::ClockJump(part, _) => {
            match part {
                Part::Router | Part::Ledger => &[],
                Part::AgentWorker | Part::RiskGuard | Part::MarketData => &[Asked::Read],
                Part::CostMonitor => &[Asked::Read, Asked::Order],
            }
        }
        Trouble::KillServer(server) | Trouble::FreezeServer(server) | Trouble::FillDisk(server) => match server {
            Server::Nats | Server::Postgres => &[],
            Server::Valkey => &[Asked::Read, Asked::Order],
        },
        Trouble::DatabaseWire(_) | Trouble::WipeBus => &[],
        Trouble::DeliverAgain => &[Asked::Read, Asked::Order],
    }
}

/// The p99 of quiet times by what was asked; `None` where nothing was asked then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Baseline {
    reads: Option<Duration>,
    orders: Option<Duration>,
}

impl Baseline {
    /// Of all samples that began in none of `windows`, nor soon after one; `end` is when the load was halted.
    pub(super) fn of(samples: &[Sample], windows: &[Window], end: Instant) -> Self {
        let is_quiet = |sample: &&Sample| {
            let is_in = |window: &Window| sample.at >= window.from && sample.at < window.to + SETTLE;
            sample.at < end && !windows.iter().any(is_in)
        };
        let of = |asked| p99(samples.iter().filter(is_quiet).filter(|sample| sample.asked == asked)).1.flatten();
        Self { reads: of(Asked::Read), orders: of(Asked::Order) }
    }

    fn allowed(self, asked: Asked) -> Duration {
        let usual = match asked {
            Asked::Read => self.reads,
            Asked::Order => self.orders,
        };
        (usual.unwrap_or_default() * SLOWER_MAX).max(PROMISED)
    }

    /// What was felt of `trouble` in its window.
    pub(super) fn others(self, samples: &[Sample], trouble: Trouble, window: Window) -> Vec<Others> {
        let of = |asked: &Asked| {
            let is_in = |sample: &&Sample| sample.asked == *asked && sample.at >= window.from && sample.at < window.to;
            let (samples, p99) = p99(samples.iter().filter(is_in));
            let allowed = self.allowed(*asked);
            let p99 = p99.flatten();
            let standing = match p99 {
                _ if samples < SAMPLES_MIN => Felt::TooFew,
                Some(p99) if p99 <= allowed => Felt::Kept,
                Some(_) | None => Felt::Slower,
            };
            let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            Others {
                asked: match asked {
                    Asked::Read => "reads",
                    Asked::Order => "orders",
                }
                .to_owned(),
                samples,
                p99_micros: p99.filter(|_| standing != Felt::TooFew).map(micros),
                allowed_micros: micros(allowed),
                standing,
            }
        };
        bystanders(trouble).iter().map(of).collect()
    }
}

/// How many there are, and within what 99 % of them were answered: `Some(None)` if that many were not.
fn p99<'a>(samples: impl Iterator<Item = &'a Sample>) -> (usize, Option<Option<Duration>>) {
    // What was never answered is the slowest of all.
    let mut took: Vec<Duration> = samples.map(|sample| sample.took.unwrap_or(Duration::MAX)).collect();
    took.sort_unstable();
    let place = (took.len() * 99).div_ceil(100).saturating_sub(1);
    let slowest = took.get(place).copied();
    (took.len(), slowest.map(|slowest| Some(slowest).filter(|slowest| *slowest < Duration::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(from: Instant, count: u64, took_ms: impl Fn(u64) -> Option<u64>) -> Vec<Sample> {
        let sample = |number: u64| Sample {
            asked: Asked::Read,
            at: from + Duration::from_millis(20 * number),
            took: took_ms(number).map(Duration::from_millis),
        };
        (0..count).map(sample).collect()
    }

    #[test]
    fn a_window_is_held_against_quiet_times() {
        let begin = Instant::now();
        let second = Duration::from_secs(1);
        // 400 questions in 8 s; from 2 s to 4 s is the window, until 5 s it settles.
        let window = Window { from: begin + 2 * second, to: begin + 4 * second };
        let felt = |slow_ms: Option<u64>, every: u64| {
            let is_in = |number: u64| (100..200).contains(&number);
            let all =
                samples(
                    begin,
                    400,
                    |number| {
                        if is_in(number) && number.is_multiple_of(every) { slow_ms } else { Some(40) }
                    },
                );
            let baseline = Baseline::of(&all, &[window], begin + 8 * second);
            assert_eq!(baseline.reads, Some(Duration::from_millis(40)));
            let trouble = Trouble::Kill(Part::RiskGuard);
            baseline
                .others(&all, trouble, window)
                .into_iter()
                .map(|own| (own.samples, own.standing))
                .collect::<Vec<_>>()
        };
        assert_eq!(felt(Some(80), 1), [(100, Felt::Kept)], "twice the usual 40 ms");
        assert_eq!(felt(Some(81), 1), [(100, Felt::Slower)]);
        assert_eq!(felt(Some(81), 100), [(100, Felt::Kept)], "one of a hundred may be slow");
        assert_eq!(felt(None, 50), [(100, Felt::Slower)], "two of a hundred were never answered");
    }

    #[test]
    fn what_is_quick_enough_is_never_slow_and_few_questions_say_nothing() {
        let begin = Instant::now();
        let all = samples(begin, 200, |number| Some(if number < 100 { 1 } else { 50 }));
        let at = |number: u32| begin + Duration::from_millis(20) * number;
        let window = Window { from: at(100), to: at(200) };
        let baseline = Baseline::of(&all, &[window], at(200));
        let standing = |window| baseline.others(&all, Trouble::Kill(Part::AgentWorker), window)[0].standing;
        assert_eq!(standing(window), Felt::Kept);
        assert_eq!(standing(Window { to: at(119), ..window }), Felt::TooFew);
        assert_eq!(standing(Window { to: at(120), ..window }), Felt::Kept);
        assert!(baseline.others(&all, Trouble::Kill(Part::Router), window).is_empty(), "all need the router");
    }
}
