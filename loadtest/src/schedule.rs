//! When an open loop starts its operations: at fixed times, whatever becomes of
//! the operations before. Latency counts from these times, so a stalled server
//! cannot hide the requests that would have come meanwhile.

use serde::Serialize;
use std::{fmt, time::Duration};

/// A ramp climbs by steps of this length.
const RAMP_STEP: Duration = Duration::from_millis(100);
/// The share of a day's mean rate in each of its hours, percent: quiet nights, a busy evening.
const HOURS: [u32; 24] =
    [35, 25, 20, 18, 20, 30, 50, 75, 95, 110, 120, 125, 130, 125, 120, 120, 130, 150, 180, 200, 190, 160, 110, 62];
const NANOS: u128 = 1_000_000_000;

/// How the rate of an open loop changes while it is measured. Rates are starts per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "shape", rename_all = "snake_case")]
pub enum Shape {
    /// Always the same.
    Constant {
        /// The rate.
        per_second: u32,
    },
    /// Evenly from one rate to another.
    Ramp {
        /// At the beginning.
        from_per_second: u32,
        /// At the end.
        to_per_second: u32,
    },
    /// A constant rate that is multiplied for a while.
    Spike {
        /// Before and after.
        per_second: u32,
        /// What it is multiplied by.
        factor: u32,
        /// When the spike begins, seconds from the first measured start.
        after_secs: u64,
        /// How long it lasts, seconds.
        lasts_secs: u64,
    },
    /// Days, each compressed into so many seconds: a fifth of the mean at night, twice the mean in the evening.
    Day {
        /// The mean of a day.
        per_second: u32,
        /// How long a day takes, seconds.
        day_secs: u64,
    },
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant { per_second } => write!(f, "{per_second}/s"),
            Self::Ramp { from_per_second, to_per_second } => write!(f, "{from_per_second} to {to_per_second}/s"),
            Self::Spike { per_second, factor, lasts_secs, .. } => {
                write!(f, "{per_second}/s, times {factor} for {lasts_secs} s")
            }
            Self::Day { per_second, day_secs } => write!(f, "{per_second}/s over days of {day_secs} s"),
        }
    }
}

/// A stretch of time with one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    length: Duration,
    per_second: u32,
}

/// The intended starts: the warm-up at the first rate of the shape, then the shape.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    steps: Vec<Step>,
}

impl Schedule {
    pub(crate) fn new(shape: Shape, warm_up: Duration, measured: Duration) -> Self {
        let mut steps = steps_of(shape, measured);
        let first = steps.first().map_or(0, |step| step.per_second);
        steps.insert(0, Step { length: warm_up, per_second: first });
        Self { steps }
    }

    /// The intended starts, ascending, counted from the beginning.
    pub(crate) fn starts(&self) -> impl Iterator<Item = Duration> + '_ {
        let mut begin = Duration::ZERO;
        // What all steps before have made, 1e-9 of a start: nothing is lost or rounded between steps.
        let mut done: u128 = 0;
        self.steps.iter().flat_map(move |step| {
            let (from, made) = (begin, done);
            begin += step.length;
            done += made_in(*step);
            let numbers = made.div_ceil(NANOS)..done.div_ceil(NANOS);
            let per_second = u128::from(step.per_second.max(1));
            // From the number each time: nothing adds up, however long it runs.
            numbers.map(move |number| from + nanos((number * NANOS - made) / per_second))
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        let made: u128 = self.steps.iter().map(|step| made_in(*step)).sum();
        u64::try_from(made.div_ceil(NANOS)).unwrap_or(u64::MAX)
    }

    /// How many there are in the second `second` from the beginning.
    pub(crate) fn in_second(&self, second: u64) -> u64 {
        let until = |time: Duration| {
            let mut left = time;
            let mut made = 0;
            for step in &self.steps {
                let length = step.length.min(left);
                made += made_in(Step { length, ..*step });
                left -= length;
            }
            made.div_ceil(NANOS)
        };
        let (from, to) = (Duration::from_secs(second), Duration::from_secs(second.saturating_add(1)));
        u64::try_from(until(to) - until(from)).unwrap_or(u64::MAX)
    }

    /// From the beginning to the end.
    pub(crate) fn length(&self) -> Duration {
        self.steps.iter().map(|step| step.length).sum()
    }
}

/// Starts in a step, 1e-9 each.
fn made_in(step: Step) -> u128 {
    step.length.as_nanos() * u128::from(step.per_second)
}

fn nanos(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

fn steps_of(shape: Shape, measured: Duration) -> Vec<Step> {
    match shape {
        Shape::Constant { per_second } => vec![Step { length: measured, per_second }],
        Shape::Ramp { from_per_second, to_per_second } => ramp(from_per_second, to_per_second, measured),
        Shape::Spike { per_second, factor, after_secs, lasts_secs } => {
            let before = Duration::from_secs(after_secs).min(measured);
            let during = Duration::from_secs(lasts_secs).min(measured - before);
            vec![
                Step { length: before, per_second },
                Step { length: during, per_second: per_second.saturating_mul(factor) },
                Step { length: measured - before - during, per_second },
            ]
        }
        Shape::Day { per_second, day_secs } => {
            let hour = Duration::from_secs(day_secs.max(1)) / 24;
            let mut left = measured;
            let mut steps = Vec::new();
            for share in HOURS.iter().cycle() {
                if left.is_zero() {
                    break;
                }
                let length = hour.min(left);
                let share = u64::from(per_second) * u64::from(*share) / 100;
                steps.push(Step { length, per_second: u32::try_from(share).unwrap_or(u32::MAX) });
                left -= length;
            }
            steps
        }
    }
}

/// Steps from one rate to another, each at the rate of its middle.
fn ramp(from: u32, to: u32, measured: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = Duration::ZERO;
    while at < measured {
        let length = RAMP_STEP.min(measured - at);
        let middle = (at + length / 2).as_nanos();
        let whole = measured.as_nanos();
        let rate = (u128::from(from) * (whole - middle) + u128::from(to) * middle) / whole;
        steps.push(Step { length, per_second: u32::try_from(rate).unwrap_or(u32::MAX) });
        at += length;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(shape: Shape, length: Duration) -> Schedule {
        Schedule::new(shape, Duration::ZERO, length)
    }

    fn check(shape: Shape, length: Duration, count: u64) {
        let schedule = schedule(shape, length);
        let starts: Vec<_> = schedule.starts().collect();
        assert_eq!(u64::try_from(starts.len()), Ok(count), "{shape:?} for {length:?}");
        assert_eq!(schedule.count(), count);
        assert!(starts.is_sorted() && starts.iter().all(|start| *start < length));
        let by_second: u64 = (0..=length.as_secs()).map(|second| schedule.in_second(second)).sum();
        assert_eq!(by_second, count);
    }

    #[test]
    fn a_rate_for_a_time_is_that_many_starts() {
        for (per_second, millis, count) in [(5_000, 3_000, 15_000), (3, 1_000, 3), (7, 1_500, 11), (1, 10, 1)] {
            check(Shape::Constant { per_second }, Duration::from_millis(millis), count);
        }
        check(Shape::Constant { per_second: 1_000 }, Duration::ZERO, 0);
    }

    #[test]
    fn a_ramp_a_spike_and_a_day_have_the_area_under_their_curve() {
        let minute = Duration::from_secs(60);
        check(Shape::Ramp { from_per_second: 0, to_per_second: 100 }, minute, 2_970);
        check(Shape::Ramp { from_per_second: 100, to_per_second: 100 }, minute, 6_000);
        let spike = Shape::Spike { per_second: 10, factor: 10, after_secs: 20, lasts_secs: 10 };
        check(spike, minute, 50 * 10 + 10 * 100);
        check(Shape::Day { per_second: 100, day_secs: 24 }, Duration::from_secs(48), 4_800);
        let of_spike = schedule(spike, minute);
        assert_eq!([19, 20, 29, 30].map(|second| of_spike.in_second(second)), [10, 100, 100, 10]);
        let of_day = schedule(Shape::Day { per_second: 100, day_secs: 24 }, minute);
        assert_eq!([3, 19, 43].map(|second| of_day.in_second(second)), [18, 200, 200]);
    }

    #[test]
    fn the_warm_up_comes_first_at_the_first_rate() {
        let spike = Shape::Spike { per_second: 10, factor: 10, after_secs: 1, lasts_secs: 1 };
        let schedule = Schedule::new(spike, Duration::from_secs(2), Duration::from_secs(3));
        assert_eq!([0, 1, 2, 3, 4, 5].map(|second| schedule.in_second(second)), [10, 10, 10, 100, 10, 0]);
        assert_eq!(schedule.length(), Duration::from_secs(5));
    }

    #[test]
    fn starts_do_not_drift() {
        let hour = schedule(Shape::Constant { per_second: 3 }, Duration::from_secs(3_600));
        assert_eq!(hour.starts().nth(3 * 1_800), Some(Duration::from_secs(1_800)));
    }
}
