//! A stop is asked for until somebody answers: while the bus or the guard is away nothing is stopped, and whoever has
//! asked once would believe it was. Asking again is harmless: what is stopped stays stopped.

use std::time::{Duration, Instant};
use tonic::{Code, Status};

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(500);

/// Asks until there is an answer, at least once and for at most `patience`; each time there is none says on stderr
/// that `what` is not done yet.
///
/// # Errors
/// Anything but that nobody answers, at once; the last one when the patience is over.
pub(super) async fn until_answered<T>(
    what: &str,
    patience: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, Status>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        let status = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(status) if is_silence(status.code()) => status,
            Err(status) => return Err(status.into()),
        };
        if started.elapsed() >= patience {
            return Err(anyhow::Error::from(status).context(format!("NOT {what}: nobody has answered")));
        }
        eprintln!("NOT {what} YET: {}; asking again", status.message());
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether it is not known that anything was done.
const fn is_silence(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_is_asked_again_until_there_is_an_answer() {
        let mut asked = 0;
        let answer = until_answered("HALTED", Duration::from_secs(60), async || {
            asked += 1;
            if asked < 3 { Err(Status::unavailable("the guard did not answer")) } else { Ok(asked) }
        });
        assert_eq!(answer.await.expect("an answer"), 3);
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        let mut asked = 0;
        let answer: anyhow::Result<()> = until_answered("HALTED", Duration::from_secs(60), async || {
            asked += 1;
            Err(Status::permission_denied("not an operator"))
        })
        .await;
        assert!(format!("{:#}", answer.expect_err("a refusal")).contains("not an operator"));
        assert_eq!(asked, 1);
    }

    #[tokio::test]
    async fn patience_ends_and_says_that_nothing_is_stopped() {
        let mut asked = 0;
        let answer: anyhow::Result<()> = until_answered("HALTED", Duration::ZERO, async || {
            asked += 1;
            Err(Status::unavailable("the guard did not answer"))
        })
        .await;
        let told = format!("{:#}", answer.expect_err("no answer"));
        assert!(told.contains("NOT HALTED") && told.contains("the guard did not answer"), "{told}");
        assert_eq!(asked, 1);
    }
}
