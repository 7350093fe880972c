//! How often the venue was asked and how often it failed, within the last minute.

use std::collections::VecDeque;

/// How long a call counts, seconds.
const WINDOW_SECS: u64 = 60;

/// How a call of the venue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// The venue answered, whatever it said.
    Answered,
    /// No answer in time, or none that can be read.
    Failed,
}

/// Calls of the last 60 s; rounded up to whole seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// All.
    pub calls: u32,
    /// Those that failed.
    pub failures: u32,
}

/// Counts calls by the second.
///
/// ```
/// use tragen_domain::risk::{CallCounts, CallOutcome, VenueCalls};
/// let mut calls = VenueCalls::default();
/// calls.record(100, CallOutcome::Answered);
/// calls.record(130, CallOutcome::Failed);
/// assert_eq!(calls.counts(159), CallCounts { calls: 2, failures: 1 });
/// assert_eq!(calls.counts(160), CallCounts { calls: 1, failures: 1 });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VenueCalls {
    /// By second, oldest first: at most [`WINDOW_SECS`] of them.
    seconds: VecDeque<(u64, CallCounts)>,
}

impl VenueCalls {
    /// Counts a call that ended at `at_secs`, on a clock that never jumps.
    pub fn record(&mut self, at_secs: u64, outcome: CallOutcome) {
        while self.seconds.front().is_some_and(|(second, _)| second + WINDOW_SECS <= at_secs) {
            self.seconds.pop_front();
        }
        if self.seconds.back().is_none_or(|(second, _)| *second < at_secs) {
            self.seconds.push_back((at_secs, CallCounts::default()));
        }
        if let Some((_, counts)) = self.seconds.back_mut() {
            counts.calls = counts.calls.saturating_add(1);
            counts.failures = counts.failures.saturating_add(u32::from(outcome == CallOutcome::Failed));
        }
    }

    /// What counts at `now_secs`.
    #[must_use]
    pub fn counts(&self, now_secs: u64) -> CallCounts {
        let counted = self.seconds.iter().filter(|(second, _)| second + WINDOW_SECS > now_secs);
        counted.fold(CallCounts::default(), |sum, (_, own)| CallCounts {
            calls: sum.calls.saturating_add(own.calls),
            failures: sum.failures.saturating_add(own.failures),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_for_a_minute_in_the_second_it_ended() {
        let mut calls = VenueCalls::default();
        let ended = [
            (100, CallOutcome::Answered),
            (100, CallOutcome::Failed),
            (101, CallOutcome::Failed),
            (159, CallOutcome::Answered),
        ];
        for (at, outcome) in ended {
            calls.record(at, outcome);
        }
        let counts = |calls: &VenueCalls, now| (calls.counts(now).calls, calls.counts(now).failures);
        assert_eq!(calls.seconds.len(), 3, "one entry a second");
        assert_eq!([159, 160, 161, 218, 219].map(|now| counts(&calls, now)), [(4, 2), (2, 1), (1, 0), (1, 0), (0, 0)]);
        // What counts no more is forgotten, what still counts is not.
        calls.record(160, CallOutcome::Answered);
        assert_eq!((calls.seconds.len(), counts(&calls, 160)), (3, (3, 1)));
    }
}
