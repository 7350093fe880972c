//! Exact rate limits: in the process, or shared by all routers in Redis. When
//! Redis does not answer, the process limits on its own; nobody is ever unlimited.

use crate::{key::RateKey, server::Server};
use metrics::counter;
use redis::{RedisError, Script};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tragen_domain::{
    routing::{RateDecision, SlidingLog},
    time::Timestamp,
};

/// Counts requests per account; clones share the counts.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    local: moka::sync::Cache<RateKey, Arc<Mutex<SlidingLog>>>,
    shared: Option<SharedLimits>,
}

/// Limits kept in Redis under the server's own clock, so that routers with
/// different clocks count alike.
#[derive(Clone)]
pub struct SharedLimits {
    server: Server,
    script: Arc<Script>,
}

/// The same rule as [`SlidingLog::take`], in one atomic step. Times are written
/// with all digits: Lua would round microseconds.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit, window, ttl = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - window))
local count = redis.call('ZCARD', KEYS[1])
local allowed = 0
if count < limit then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now), string.format('%.0f-%d', now, count))
  redis.call('PEXPIRE', KEYS[1], ttl)
  allowed, count = 1, count + 1
end
local retry = 0
if count >= limit then
  local oldest = redis.call('ZRANGE', KEYS[1], count - limit, count - limit, 'WITHSCORES')[2]
  if oldest then retry = tonumber(oldest) + window - now end
end
return {allowed, math.max(limit - count, 0), retry}
";

impl std::fmt::Debug for SharedLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedLimits").finish_non_exhaustive()
    }
}

impl SharedLimits {
    /// Limits at `url`, e.g. `redis://127.0.0.1:6379`. The connection is made
    /// when it is first needed, and again whenever it breaks.
    ///
    /// # Errors
    /// When `url` is not the address of a Redis server.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        Ok(Self { server: Server::new(url)?, script: Arc::new(Script::new(TAKE)) })
    }

    /// `None` when Redis does not answer.
    async fn take(&self, key: &RateKey, limit: u32, now: Timestamp) -> Option<RateDecision> {
        let mut question = self.script.key(key.to_string());
        question.arg(limit).arg(window_micros()).arg(millis(RateKey::TIME_TO_LIVE));
        let answer = self.server.run(&question, now, "rate limits are kept in the process for now").await;
        let (allowed, remaining, retry_after_micros): (i64, i64, i64) = answer?;
        let remaining = u32::try_from(remaining).unwrap_or(0);
        Some(RateDecision { is_allowed: allowed == 1, remaining, retry_after_micros })
    }
}

impl RateLimiter {
    /// Limits of at most `accounts_max` accounts at a time; shared with other processes if `shared` is given.
    #[must_use]
    pub fn new(accounts_max: u64, shared: Option<SharedLimits>) -> Self {
        let local = moka::sync::Cache::builder().max_capacity(accounts_max).time_to_idle(RateKey::TIME_TO_LIVE).build();
        Self { local, shared }
    }

    /// Takes one of `limit` places a minute at `now`, if one is free.
    pub async fn take(&self, key: RateKey, limit: u32, now: Timestamp) -> RateDecision {
        let decision = match &self.shared {
            Some(shared) => match shared.take(&key, limit, now).await {
                Some(decision) => decision,
                None => {
                    counter!("cache_rate_fallbacks_total").increment(1);
                    self.take_local(&key, limit, now)
                }
            },
            None => self.take_local(&key, limit, now),
        };
        if !decision.is_allowed {
            counter!("cache_rate_limited_total", "budget" => key.budget.as_str()).increment(1);
        }
        decision
    }

    fn take_local(&self, key: &RateKey, limit: u32, now: Timestamp) -> RateDecision {
        let log = self.local.get_with_by_ref(key, Arc::default);
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.take(now, limit, window_micros())
    }
}

fn window_micros() -> i64 {
    i64::try_from(RateKey::WINDOW.as_micros()).unwrap_or(i64::MAX)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
