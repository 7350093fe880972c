//! A Redis (or Valkey) server that may be away: each question has a short
//! deadline, and after one without an answer the server is left alone for a while.

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

/// How long one question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(100);
/// How long the server is left alone after it did not answer, microseconds.
const PAUSE_MICROS: i64 = 1_000_000;

/// A connection that heals itself; clones share it.
#[derive(Clone)]
pub(crate) struct Server {
    connection: ConnectionManager,
    /// Not asked before this time, microseconds since the epoch.
    asked_again_at: Arc<AtomicI64>,
}

impl Server {
    /// The server at `url`; the connection is made when it is first needed.
    pub(crate) fn new(url: &str) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(100))
            .set_connection_timeout(Some(ANSWER_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
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
        if now.micros() < self.asked_again_at.load(Ordering::Relaxed) {
            return None;
        }
        let mut connection = self.connection.clone();
        let failure = match tokio::time::timeout(ANSWER_TIMEOUT, script.invoke_async(&mut connection)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        let before = self.asked_again_at.fetch_max(now.micros().saturating_add(PAUSE_MICROS), Ordering::Relaxed);
        // Of all that were asked at the same time the first one says so.
        if before <= now.micros() {
            tracing::warn!("{meanwhile}: {failure}");
        }
        None
    }

    /// Time to live of a key, milliseconds.
    #[cfg(test)]
    pub(crate) async fn lives_ms(&self, key: impl ToString) -> i64 {
        let mut connection = self.connection.clone();
        redis::cmd("PTTL").arg(key.to_string()).query_async(&mut connection).await.expect("an answer")
    }
}
