//! A Redis (or Valkey) server that may be away: each question has a short
//! deadline, and after one without an answer the server is left alone for a while.
//! Then one question tries it again, for less time, while all others go on without.

use redis::{
    Client, FromRedisValue, RedisError, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tragen_domain::time::Timestamp;

/// How long one question may take: whoever asks it waits with a request in hand, and can do without.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(40);
/// The same for one that only tries whether the server is back.
const TRIAL_TIMEOUT: Duration = Duration::from_millis(20);
/// How long making a connection may take; nobody waits for all of it.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(100);
/// How long the server is left alone after it did not answer, microseconds.
const PAUSE_MICROS: i64 = 1_000_000;

/// A connection that heals itself; clones share it.
#[derive(Clone)]
pub(crate) struct Server {
    connection: ConnectionManager,
    /// Not asked before this time, microseconds since the epoch; 0 while it answers.
    asked_again_at: Arc<AtomicI64>,
}

impl Server {
    /// The server at `url`; the connection is made when it is first needed.
    pub(crate) fn new(url: &str) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(100))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_response_timeout(Some(CONNECTION_TIMEOUT));
        let connection = ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?;
        Ok(Self { connection, asked_again_at: Arc::default() })
    }

    /// Runs a script; `None` when the server does not answer. `meanwhile` says
    /// what is done without it, for the log.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        now: Timestamp,
        meanwhile: &str,
    ) -> Option<T> {
        let patience = self.patience(now)?;
        let mut connection = self.connection.clone();
        let failure = match tokio::time::timeout(patience, script.invoke_async(&mut connection)).await {
            Ok(Ok(answer)) => {
                self.asked_again_at.store(0, Ordering::Relaxed);
                return Some(answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        let before = self.asked_again_at.fetch_max(paused_until(now), Ordering::Relaxed);
        // Of all that were asked at the same time the first one says so; of trials each.
        if before == 0 || patience == TRIAL_TIMEOUT {
            tracing::warn!("{meanwhile}: {failure}");
        }
        None
    }

    /// How long a question at `now` may take; `None` if it is not to be asked.
    fn patience(&self, now: Timestamp) -> Option<Duration> {
        let again_at = self.asked_again_at.load(Ordering::Relaxed);
        if again_at == 0 {
            return Some(ANSWER_TIMEOUT);
        }
        // A clock that was set back must not keep it waiting for long.
        let is_due = now.micros() >= again_at || paused_until(now) < again_at;
        let trial =
            || self.asked_again_at.compare_exchange(again_at, paused_until(now), Ordering::Relaxed, Ordering::Relaxed);
        (is_due && trial().is_ok()).then_some(TRIAL_TIMEOUT)
    }

    /// Time to live of a key, milliseconds.
    #[cfg(test)]
    pub(crate) async fn lives_ms(&self, key: impl ToString) -> i64 {
        let mut connection = self.connection.clone();
        redis::cmd("PTTL").arg(key.to_string()).query_async(&mut connection).await.expect("an answer")
    }
}

fn paused_until(now: Timestamp) -> i64 {
    now.micros().saturating_add(PAUSE_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_question_tries_a_silent_server_again_and_all_others_go_on() {
        let server = Server::new("redis://127.0.0.1:1").expect("an address");
        let at = |millis: i64| Timestamp::from_micros(1_700_000_000_000_000 + millis * 1_000);
        assert_eq!([0, 0].map(|ms| server.patience(at(ms))), [Some(ANSWER_TIMEOUT); 2]);
        server.asked_again_at.store(paused_until(at(0)), Ordering::Relaxed);
        assert_eq!([0, 999].map(|ms| server.patience(at(ms))), [None; 2]);
        assert_eq!([1_000, 1_000, 1_999].map(|ms| server.patience(at(ms))), [Some(TRIAL_TIMEOUT), None, None]);
        assert_eq!(server.patience(at(-3_600_000)), Some(TRIAL_TIMEOUT), "an hour back");
        assert_eq!(server.patience(at(-3_600_000)), None);
    }
}
