//! When an open loop starts its operations: at fixed times, whatever becomes of
//! the operations before. Latency counts from these times, so a stalled server
//! cannot hide the requests that would have come meanwhile.

use std::time::Duration;

/// Starts at a fixed rate from 0 until an end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    per_second: u32,
    length: Duration,
}

impl Schedule {
    pub(crate) const fn new(per_second: u32, length: Duration) -> Self {
        Self { per_second, length }
    }

    /// The intended starts, ascending, counted from the beginning.
    pub(crate) fn starts(self) -> impl Iterator<Item = Duration> {
        // From the number each time: nothing adds up, however long it runs.
        (0_u64..).map(move |number| self.start(number)).take_while(move |start| *start < self.length)
    }

    /// How many there are.
    pub(crate) fn count(self) -> u64 {
        let nanos = self.length.as_nanos() * u128::from(self.per_second);
        u64::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
    }

    /// From the beginning to the end.
    pub(crate) const fn length(self) -> Duration {
        self.length
    }

    fn start(self, number: u64) -> Duration {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.per_second.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(per_second: u32, length: Duration, count: u64) {
        let starts: Vec<_> = Schedule::new(per_second, length).starts().collect();
        assert_eq!(u64::try_from(starts.len()), Ok(count), "{per_second}/s for {length:?}");
        assert_eq!(Schedule::new(per_second, length).count(), count);
        assert!(starts.is_sorted() && starts.iter().all(|start| *start < length));
    }

    #[test]
    fn a_rate_for_a_time_is_that_many_starts() {
        check(5_000, Duration::from_secs(3), 15_000);
        check(3, Duration::from_secs(1), 3);
        check(7, Duration::from_millis(1_500), 11);
        check(1, Duration::from_millis(10), 1);
        check(1_000, Duration::ZERO, 0);
    }

    #[test]
    fn starts_do_not_drift() {
        let hour = Schedule::new(3, Duration::from_secs(3_600));
        assert_eq!(hour.starts().nth(3 * 1_800), Some(Duration::from_secs(1_800)));
    }
}
