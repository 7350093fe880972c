//! Answers of agents that are about the market alone, kept in Redis for all routers. They are shown to people and
//! nothing is decided by them. A value says when it was made, which question it answers, and a sum of its bytes:
//! what does not fit is not there.

use crate::{key::AnswerKey, server::Server};
use metrics::counter;
use redis::{RedisError, Script};
use std::{sync::Arc, time::Duration};
use tragen_domain::time::Timestamp;

/// Largest answer that is kept, bytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;

const READ: &str = "return redis.call('GET', KEYS[1])";
const KEEP: &str = "return redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])";

/// Answers kept in Redis; clones share the connection.
#[derive(Clone)]
pub struct SharedAnswers {
    server: Server,
    time_to_live: Duration,
    read: Arc<Script>,
    keep: Arc<Script>,
}

impl std::fmt::Debug for SharedAnswers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedAnswers").field("time_to_live", &self.time_to_live).finish_non_exhaustive()
    }
}

impl SharedAnswers {
    /// Answers at `url`, e.g. `redis://127.0.0.1:6379`, each for `time_to_live`. The connection is made when it is
    /// first needed, and again whenever it breaks.
    ///
    /// # Errors
    /// When `url` is not the address of a Redis server.
    pub fn new(url: &str, time_to_live: Duration) -> Result<Self, RedisError> {
        let script = |text| Arc::new(Script::new(text));
        Ok(Self { server: Server::new(url)?, time_to_live, read: script(READ), keep: script(KEEP) })
    }

    /// The answer to `question`, if there is one that is whole and young enough at `now`.
    pub async fn get(&self, question: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        let mut asked = self.read.prepare_invoke();
        asked.key(AnswerKey::of(question).to_string());
        let stored: Option<Vec<u8>> = self.server.run(&asked, now, "answers are cached in the process for now").await?;
        let found = stored.as_deref().map(|stored| open(stored, question, self.time_to_live, now));
        let outcome = match &found {
            Some(Some(_)) => "hit",
            Some(None) => "broken",
            None => "miss",
        };
        counter!("cache_lookups_total", "cache" => "shared_answers", "outcome" => outcome).increment(1);
        found.flatten()
    }

    /// Keeps the `answer` to `question`, made at `now`; one that is too large is not kept.
    pub async fn keep(&self, question: &[u8], answer: &[u8], now: Timestamp) {
        if answer.len() > ANSWER_BYTES_MAX {
            return;
        }
        let mut change = self.keep.prepare_invoke();
        change
            .key(AnswerKey::of(question).to_string())
            .arg(i64::try_from(self.time_to_live.as_millis()).unwrap_or(i64::MAX))
            .arg(seal(question, answer, now));
        let _: Option<String> = self.server.run(&change, now, "answers are not shared for now").await;
    }
}

/// Sum, moment, length of the question, question, answer; numbers in eight bytes, the lowest first.
fn seal(question: &[u8], answer: &[u8], now: Timestamp) -> Vec<u8> {
    let length = u64::try_from(question.len()).unwrap_or(u64::MAX);
    let body = [&now.micros().to_le_bytes()[..], &length.to_le_bytes(), question, answer].concat();
    [&sum(&body).to_le_bytes()[..], &body].concat()
}

/// The answer, if the value is whole, belongs to the question, and is neither too old nor from the future.
fn open(stored: &[u8], question: &[u8], time_to_live: Duration, now: Timestamp) -> Option<Vec<u8>> {
    let (own_sum, body) = stored.split_first_chunk::<8>()?;
    let (made_at, rest) = body.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let (own_question, answer) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let age_micros = now.micros().checked_sub(i64::from_le_bytes(*made_at))?;
    let oldest = i64::try_from(time_to_live.as_micros()).unwrap_or(i64::MAX);
    let is_good = u64::from_le_bytes(*own_sum) == sum(body)
        && own_question == question
        && (-CLOCKS_APART_MICROS..=oldest).contains(&age_micros);
    is_good.then(|| answer.to_vec())
}

/// How far the clocks of two routers may be apart, microseconds.
const CLOCKS_APART_MICROS: i64 = 5_000_000;

/// FNV-1a, 64 bits (Fowler, Noll and Vo): finds what is broken, not who means harm; whoever can write there could
/// also write a whole answer, so nothing is decided by one.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::valkey::Valkey;

    const LIVES: Duration = Duration::from_secs(300);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn the_sum_is_that_of_the_definition() {
        assert_eq!(
            (sum(b""), sum(b"a"), sum(b"foobar")),
            (0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8)
        );
    }

    #[test]
    fn what_is_not_whole_not_of_the_question_or_too_old_is_not_there() {
        let sealed = seal(b"q", b"answer", at(0));
        let opened = |stored: &[u8], question: &[u8], now| open(stored, question, LIVES, now);
        assert_eq!(opened(&sealed, b"q", at(300)).as_deref(), Some(&b"answer"[..]));
        assert_eq!(opened(&sealed, b"q", at(301)), None);
        assert_eq!(opened(&sealed, b"q", at(-6)), None, "from the future");
        assert_eq!(opened(&sealed, b"p", at(0)), None);
        for cut in 0..sealed.len() {
            assert_eq!(opened(&sealed[..cut], b"q", at(0)), None, "cut after {cut}");
            let mut broken = sealed.clone();
            broken[cut] ^= 1;
            assert_eq!(opened(&broken, b"q", at(0)), None, "bit of byte {cut}");
        }
        assert_eq!(opened(&[0xff; 40], b"q", at(0)), None);
    }

    #[tokio::test]
    async fn routers_share_answers_in_valkey_and_do_without_it() {
        let mut valkey = Valkey::start().await;
        let answers = || SharedAnswers::new(&valkey.url(), LIVES).expect("a URL of a socket");
        let (one, two) = (answers(), answers());
        assert_eq!(one.get(b"q", at(0)).await, None);
        one.keep(b"q", b"\x00\xffbytes", at(0)).await;
        assert_eq!(two.get(b"q", at(1)).await.as_deref(), Some(&b"\x00\xffbytes"[..]));
        assert_eq!(two.get(b"p", at(1)).await, None);
        let lives_ms = one.server.lives_ms(AnswerKey::of(b"q")).await;
        assert!((1..=300_000).contains(&lives_ms), "{lives_ms}");
        one.keep(b"large", &vec![0; ANSWER_BYTES_MAX + 1], at(0)).await;
        assert_eq!(two.get(b"large", at(0)).await, None);
        valkey.stop();
        assert_eq!(one.get(b"q", at(2)).await, None, "no server is no answer");
        one.keep(b"q", b"x", at(4)).await;
    }
}
