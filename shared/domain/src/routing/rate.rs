//! How often a caller may ask: an exact log of the last times, so that no
//! window of the given length ever holds more than the limit. A fixed window
//! would let twice the limit pass at its edge, a bucket at its start.

use crate::time::Timestamp;
use std::collections::VecDeque;

/// The times of one caller's accepted requests within the window; never more than the limit.
#[derive(Debug, Clone, Default)]
pub struct SlidingLog {
    times: VecDeque<Timestamp>,
}

/// What the limit says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateDecision {
    /// Whether it may pass.
    pub is_allowed: bool,
    /// How many more may pass now.
    pub remaining: u32,
    /// When the next place is free, microseconds from now; 0 if one is.
    pub retry_after_micros: i64,
}

impl SlidingLog {
    /// Takes one of `limit` places within `window_micros`, if one is free.
    ///
    /// ```
    /// use tragen_domain::{routing::SlidingLog, time::Timestamp};
    /// let mut log = SlidingLog::default();
    /// let at = Timestamp::from_micros;
    /// assert!(log.take(at(59_000_000), 1, 60_000_000).is_allowed);
    /// assert_eq!(log.take(at(60_000_000), 1, 60_000_000).retry_after_micros, 59_000_000);
    /// assert!(log.take(at(119_000_000), 1, 60_000_000).is_allowed);
    /// ```
    pub fn take(&mut self, now: Timestamp, limit: u32, window_micros: i64) -> RateDecision {
        let places = usize::try_from(limit).unwrap_or(usize::MAX);
        // A clock that steps back must neither free nor block a place early.
        let now = self.times.back().map_or(now, |newest| now.max(*newest));
        let end = now.micros().saturating_sub(window_micros);
        while self.times.front().is_some_and(|time| time.micros() <= end) {
            self.times.pop_front();
        }
        let is_allowed = self.times.len() < places;
        if is_allowed {
            self.times.push_back(now);
        }
        let free = places.saturating_sub(self.times.len());
        // With a lowered limit, as many must leave as are too many.
        let blocking = self.times.len().checked_sub(places).and_then(|surplus| self.times.get(surplus));
        let retry_after_micros = match blocking {
            Some(time) => time.micros().saturating_sub(end),
            None => 0,
        };
        RateDecision { is_allowed, remaining: u32::try_from(free).unwrap_or(u32::MAX), retry_after_micros }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    /// Sends at each of `seconds` and expects as many to pass as `allowed` says.
    fn check(limit: u32, seconds: &[i64], allowed: &[bool]) {
        let mut log = SlidingLog::default();
        let passed: Vec<bool> = seconds
            .iter()
            .map(|second| log.take(Timestamp::from_micros(second * 1_000_000), limit, MINUTE).is_allowed)
            .collect();
        assert_eq!(passed, allowed, "at {seconds:?}");
    }

    #[test]
    fn no_window_holds_more_than_the_limit() {
        check(2, &[0, 0, 0], &[true, true, false]);
        check(2, &[0, 59, 59, 60, 60, 119], &[true, true, false, true, false, true]);
        check(0, &[0], &[false]);
        check(1, &[100, 50, 159, 160], &[true, false, false, true]);
    }

    #[test]
    fn ten_at_the_end_of_a_minute_leave_none_for_the_start_of_the_next() {
        let mut log = SlidingLog::default();
        let passed = |second: i64, log: &mut SlidingLog| {
            (0..10).filter(|_| log.take(Timestamp::from_micros(second * 1_000_000), 10, MINUTE).is_allowed).count()
        };
        assert_eq!(passed(59, &mut log), 10);
        assert_eq!(passed(60, &mut log), 0);
        assert_eq!(passed(118, &mut log), 0);
        assert_eq!(passed(119, &mut log), 10);
    }

    #[test]
    fn any_sequence_passes_as_if_each_window_were_counted() {
        let mut log = SlidingLog::default();
        let (mut seed, mut now, mut passed) = (7_u64, 0_i64, Vec::new());
        for _ in 0..5_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now += i64::try_from(seed >> 40).expect("24 bits");
            let counted = passed.iter().rev().take_while(|time| now - **time < MINUTE).count();
            let decision = log.take(Timestamp::from_micros(now), 5, MINUTE);
            assert_eq!(decision.is_allowed, counted < 5, "at {now}");
            if decision.is_allowed {
                passed.push(now);
            }
        }
        assert!(passed.len() > 1_000 && passed.len() < 5_000, "{}", passed.len());
    }

    #[test]
    fn the_answer_says_what_is_left_and_when() {
        let mut log = SlidingLog::default();
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let expected = |is_allowed, remaining, seconds: i64| RateDecision {
            is_allowed,
            remaining,
            retry_after_micros: seconds * 1_000_000,
        };
        assert_eq!(log.take(at(0), 2, MINUTE), expected(true, 1, 0));
        assert_eq!(log.take(at(10), 2, MINUTE), expected(true, 0, 50));
        assert_eq!(log.take(at(20), 2, MINUTE), expected(false, 0, 40));
        assert_eq!(log.take(at(20), 1, MINUTE), expected(false, 0, 50));
    }
}
