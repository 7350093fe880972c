//! Leaving a server alone that fails: 5 failures in 30 s open the breaker for 60 s, then one call tries.

use crate::time::Timestamp;

/// Failures that open it.
pub const FAILURES_MAX: usize = 5;
/// Within this time, milliseconds.
pub const WINDOW_MS: i64 = 30_000;
/// How long it stays open, milliseconds.
pub const OPEN_MS: i64 = 60_000;

/// The breaker of one server.
#[derive(Debug, Clone, Default)]
pub struct ServerBreaker {
    failures: Vec<Timestamp>,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        since: Timestamp,
    },
    /// One call is trying; if it never comes back, another may try after as long again.
    Trying {
        since: Timestamp,
    },
}

impl ServerBreaker {
    /// Whether a call may be made now. A yes to an open breaker is the one call that tries.
    pub fn admits(&mut self, now: Timestamp) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { since } | State::Trying { since } => {
                let is_over = now.millis_since(since) >= OPEN_MS;
                if is_over {
                    self.state = State::Trying { since: now };
                }
                is_over
            }
        }
    }

    /// A call came back with an answer.
    pub fn succeed(&mut self) {
        self.failures.clear();
        self.state = State::Closed;
    }

    /// A call failed.
    pub fn fail(&mut self, now: Timestamp) {
        match self.state {
            State::Trying { .. } => self.state = State::Open { since: now },
            // A call that began before the breaker opened.
            State::Open { .. } => {}
            State::Closed => {
                self.failures.retain(|failed| now.millis_since(*failed) < WINDOW_MS);
                self.failures.push(now);
                if self.failures.len() >= FAILURES_MAX {
                    self.failures.clear();
                    self.state = State::Open { since: now };
                }
            }
        }
    }

    /// Whether calls are kept away.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        match self.state {
            State::Closed => false,
            State::Open { .. } | State::Trying { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    fn failed(times: &[i64]) -> ServerBreaker {
        let mut breaker = ServerBreaker::default();
        times.iter().for_each(|millis| breaker.fail(at(*millis)));
        breaker
    }

    #[test]
    fn five_failures_in_half_a_minute_open_it() {
        assert!(!failed(&[0, 1, 2, 3]).is_open());
        assert!(failed(&[0, 1, 2, 3, 29_999]).is_open());
        assert!(!failed(&[0, 1, 2, 3, 30_000]).is_open());
        let mut breaker = failed(&[0, 1, 2, 3]);
        breaker.succeed();
        breaker.fail(at(4));
        assert!(!breaker.is_open());
    }

    #[test]
    fn one_call_tries_after_a_minute() {
        let mut breaker = failed(&[0, 0, 0, 0, 0]);
        assert!(!breaker.admits(at(59_999)));
        assert!(breaker.admits(at(60_000)) && !breaker.admits(at(60_001)), "only one tries");
        breaker.fail(at(61_000));
        assert!(!breaker.admits(at(120_999)));
        assert!(breaker.admits(at(121_000)));
        breaker.succeed();
        assert!(breaker.admits(at(121_001)) && !breaker.is_open());
    }

    #[test]
    fn a_try_that_never_comes_back_does_not_keep_it_open_for_ever() {
        let mut breaker = failed(&[0, 0, 0, 0, 0]);
        assert!(breaker.admits(at(60_000)));
        assert!(!breaker.admits(at(119_999)) && breaker.admits(at(120_000)));
    }

    #[test]
    fn a_late_failure_does_not_prolong_it() {
        let mut breaker = failed(&[0, 0, 0, 0, 0]);
        breaker.fail(at(50_000));
        assert!(breaker.admits(at(60_000)));
    }
}
