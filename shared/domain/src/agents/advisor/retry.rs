//! How long a question may take, and whether it is asked a second time.

use super::NoOpinion;

/// Kept back of a request's time for everything after the advisor, milliseconds.
pub const KEPT_BACK_MS: i64 = 300;
/// Longest that anybody waits for an advisor, milliseconds.
pub const TOTAL_MS_MAX: i64 = 8_000;
/// Wait before a second attempt when the server names none, milliseconds.
pub const PAUSE_MS: i64 = 100;

/// How long somebody may wait for an answer, milliseconds: what is left until the request's deadline less
/// [`KEPT_BACK_MS`], at most `longest_ms`. `None` when that is nothing.
///
/// ```
/// use tragen_domain::agents::advisor::retry::wait_ms;
/// let longest = 8_000;
/// assert_eq!(wait_ms(Some(2_000), longest), Some(1_700));
/// assert_eq!((wait_ms(None, longest), wait_ms(Some(300), longest)), (Some(8_000), None));
/// ```
#[must_use]
pub fn wait_ms(left_until_deadline_ms: Option<i64>, longest_ms: i64) -> Option<i64> {
    let left = left_until_deadline_ms.map_or(longest_ms, |left| left.saturating_sub(KEPT_BACK_MS));
    (left > 0).then(|| left.min(longest_ms))
}

/// The wait before the second and last attempt, milliseconds; `None` when there is none: the failure is no matter of
/// luck, less than half of the time would be left, or the server wants to be left alone for longer.
#[must_use]
pub fn pause_ms(failure: &NoOpinion, retry_after_ms: Option<i64>, left_ms: i64, total_ms: i64) -> Option<i64> {
    let may_pass = match failure {
        NoOpinion::Unreachable => true,
        NoOpinion::Status { status } => *status == 429 || (500..=599).contains(status),
        NoOpinion::Budget(_)
        | NoOpinion::Price(_)
        | NoOpinion::NoTime
        | NoOpinion::ServerRests
        | NoOpinion::Busy
        | NoOpinion::TimedOut
        | NoOpinion::BrokenOff
        | NoOpinion::TooLong { .. }
        | NoOpinion::NotAChat
        | NoOpinion::Refused
        | NoOpinion::CutOff
        | NoOpinion::Malformed
        | NoOpinion::Rejected(_) => false,
    };
    let pause = retry_after_ms.unwrap_or(0).max(PAUSE_MS);
    let left = left_ms.saturating_sub(pause);
    (may_pass && left.saturating_mul(2) >= total_ms).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_more_attempt_while_half_of_the_time_is_left() {
        let check = |failure: NoOpinion, retry_after, left, expected| {
            assert_eq!(pause_ms(&failure, retry_after, left, 8_000), expected, "{failure:?} {retry_after:?} {left}");
        };
        check(NoOpinion::Status { status: 500 }, None, 4_100, Some(100));
        check(NoOpinion::Status { status: 500 }, None, 4_099, None);
        check(NoOpinion::Status { status: 429 }, Some(1_000), 7_000, Some(1_000));
        check(NoOpinion::Status { status: 429 }, Some(10), 7_000, Some(100));
        check(NoOpinion::Status { status: 429 }, Some(60_000), 7_999, None);
        check(NoOpinion::Status { status: 400 }, None, 8_000, None);
        check(NoOpinion::Status { status: 600 }, None, 8_000, None);
        check(NoOpinion::Unreachable, None, 8_000, Some(100));
        check(NoOpinion::TimedOut, None, 8_000, None);
        check(NoOpinion::Malformed, None, 8_000, None);
    }

    #[test]
    fn the_deadline_bounds_the_time() {
        assert_eq!(wait_ms(Some(60_000), TOTAL_MS_MAX), Some(TOTAL_MS_MAX));
        assert_eq!(wait_ms(Some(301), TOTAL_MS_MAX), Some(1));
        assert_eq!((wait_ms(Some(0), TOTAL_MS_MAX), wait_ms(Some(-5), TOTAL_MS_MAX)), (None, None));
    }
}
