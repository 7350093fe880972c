//! What can be set about the router.

use serde::Deserialize;
use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};
use tragen_cache::Budget;
use tragen_domain::{
    cost::pool::shares::Shares,
    routing::{RequestLimits, RoomLimits, TurnLimits},
    tier::Tier,
};

/// The router's configuration; every queue, wait and size has its limit here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gRPC and HTTP are served; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the keys are, in the folder `keys`.
    pub data_dir: PathBuf,
    /// Who must have issued a token (`iss`).
    pub issuer: String,
    /// Whom a token must be meant for (`aud`).
    pub audience: String,
    /// Longest life of a token, from `iat` to `exp`, seconds.
    pub token_lifetime_secs_max: u64,
    /// How far clocks may differ when tokens are checked, seconds.
    pub token_leeway_secs: u64,
    /// Checked tokens that are remembered.
    pub checked_tokens_max: u64,
    /// Ids (`jti`) of tokens that are refused.
    pub revoked_token_ids: BTreeSet<String>,
    /// Accounts that are refused.
    pub suspended_accounts: BTreeSet<String>,
    /// Trades a minute of one account in the free tier.
    pub free_trades_per_minute: u32,
    /// Trades a minute of one account in the standard tier.
    pub standard_trades_per_minute: u32,
    /// Trades a minute of one account in the premium tier.
    pub premium_trades_per_minute: u32,
    /// Cancels a minute of one account.
    pub cancels_per_minute: u32,
    /// Reads a minute of one account.
    pub reads_per_minute: u32,
    /// Deposits, withdrawals and sendings a minute of one account.
    pub cash_moves_per_minute: u32,
    /// Questions to agents a minute of one account.
    pub analyses_per_minute: u32,
    /// Accounts whose rates are counted at a time.
    pub limited_accounts_max: u64,
    /// Balances that are remembered for display.
    pub cached_balances_max: u64,
    /// Redis or Valkey that routers share limits, balances and answers in, e.g. `redis://127.0.0.1:6379`; empty for none.
    pub cache_url: String,
    /// Most contracts or base units of one order, 1e-6.
    pub order_quantity_micros_max: i64,
    /// Most an order may be worth, 1e-6 of the quote currency.
    pub order_value_micros_max: i64,
    /// How long a caller waits who does not say, milliseconds.
    pub wait_default_ms: u64,
    /// Longest wait of a caller, milliseconds.
    pub wait_max_ms: u64,
    /// Trades that may be on their way at a time.
    pub waiting_trades_max: usize,
    /// Trades that may be between their turn and their outcome at a time, whatever is measured; more wait for their
    /// turn. Behind it every queue is first come, first served, so this bounds how long premium waits there.
    pub in_flight_max: usize,
    /// Of them, of one account: whoever sends more waits for its own and not in front of others.
    pub in_flight_per_account_max: usize,
    /// So many trades may be on their way at least, whatever is measured.
    pub in_flight_min: usize,
    /// Between the two the bound is held where a trade takes this much longer than when it is alone, milliseconds.
    pub queueing_ms: u32,
    /// How long a trade may wait for its turn, milliseconds; more than goes on in that time is sent away.
    pub turn_wait_ms: u32,
    /// So many trades may always wait for their turn, if `waiting_trades_max` allows it: a burst is no overload.
    pub turns_waiting_min: usize,
    /// A trade without an outcome keeps its place for at most this long, milliseconds.
    pub in_flight_ms_max: u64,
    /// Turns of premium, standard and free while all have trades waiting.
    pub turn_weights: [u16; 3],
    /// How long a trade without an outcome is kept in mind, seconds.
    pub waiting_secs_max: u64,
    /// Answers that are remembered for repeats.
    pub recent_answers_max: u64,
    /// How long answers are remembered, seconds.
    pub recent_answer_secs: u64,
    /// Request ids older than this are looked up in the ledger first, seconds.
    pub lookup_after_secs: u64,
    /// Trades that may wait for one lane's next message.
    pub lane_queue_max: usize,
    /// How long one question to another service may take, milliseconds.
    pub ask_timeout_ms: u64,
    /// How long an agent may take to answer, milliseconds.
    pub analysis_timeout_ms: u64,
    /// How long an answer about quotes is good for everybody, milliseconds.
    pub quote_analysis_age_ms: u64,
    /// How long an answer about results is good for everybody, milliseconds.
    pub result_analysis_age_ms: u64,
    /// How long an answer about results is good in the cache that routers share, milliseconds.
    pub shared_analysis_age_ms: u64,
    /// Largest share of the enabled agents that one strategy may have, parts per million. 1,000,000, the default, lets
    /// everything into the registry: who of it trades is then a matter of the pools.
    pub strategy_share_max_ppm: u64,
    /// The same of one timeframe.
    pub timeframe_share_max_ppm: u64,
    /// With fewer enabled agents than this a share says nothing.
    pub shares_from_agents: u64,
    /// Streams of trade and market changes that may be open.
    pub watchers_max: usize,
    /// Most of them for one account.
    pub watchers_per_account_max: usize,
    /// Changes a slow reader may be behind before it is cut off.
    pub watch_buffer_max: usize,
    /// Largest request, bytes.
    pub request_bytes_max: usize,
    /// Connections at a time.
    pub connections_max: usize,
    /// Calls at a time on one connection.
    pub streams_per_connection_max: u32,
    /// Largest sum of a request's headers, bytes.
    pub header_bytes_max: u32,
    /// How long a connection may last before it is asked to leave, seconds.
    pub connection_age_secs: u64,
    /// A silent connection is asked for a sign of life after this, seconds.
    pub keepalive_secs: u64,
    /// How long callers keep waiting after the stop signal, milliseconds.
    pub drain_ms: u64,
    /// Whether the API describes itself by gRPC reflection; off in production.
    pub is_reflection_on: bool,
}

impl Default for Config {
    fn default() -> Self {
        let limits = RequestLimits::default();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data_dir: PathBuf::from("data"),
            issuer: crate::token::DEFAULT_ISSUER.to_owned(),
            audience: crate::token::DEFAULT_AUDIENCE.to_owned(),
            token_lifetime_secs_max: 3_600,
            token_leeway_secs: 5,
            checked_tokens_max: 100_000,
            revoked_token_ids: BTreeSet::new(),
            suspended_accounts: BTreeSet::new(),
            free_trades_per_minute: 10,
            standard_trades_per_minute: 60,
            premium_trades_per_minute: 600,
            cancels_per_minute: 600,
            reads_per_minute: 1_200,
            cash_moves_per_minute: 60,
            analyses_per_minute: 120,
            limited_accounts_max: 200_000,
            cached_balances_max: 100_000,
            cache_url: String::new(),
            order_quantity_micros_max: limits.order_quantity_max.micros(),
            order_value_micros_max: limits.order_value_max.micros(),
            wait_default_ms: 10_000,
            wait_max_ms: 30_000,
            waiting_trades_max: 20_000,
            in_flight_max: 1_024,
            in_flight_min: 16,
            queueing_ms: 60,
            turn_wait_ms: 500,
            turns_waiting_min: 400,
            in_flight_per_account_max: 16,
            in_flight_ms_max: 5_000,
            turn_weights: [8, 4, 1],
            waiting_secs_max: 60,
            recent_answers_max: 100_000,
            recent_answer_secs: 300,
            lookup_after_secs: 120,
            lane_queue_max: 8_192,
            ask_timeout_ms: 2_000,
            analysis_timeout_ms: 10_000,
            quote_analysis_age_ms: 1_000,
            result_analysis_age_ms: 60_000,
            shared_analysis_age_ms: 300_000,
            strategy_share_max_ppm: 1_000_000,
            timeframe_share_max_ppm: 1_000_000,
            shares_from_agents: 10,
            watchers_max: 1_000,
            watchers_per_account_max: 20,
            watch_buffer_max: 8_192,
            request_bytes_max: 64 * 1_024,
            connections_max: 10_000,
            streams_per_connection_max: 1_000,
            header_bytes_max: 32 * 1_024,
            connection_age_secs: 3_600,
            keepalive_secs: 30,
            drain_ms: 5_000,
            is_reflection_on: true,
        }
    }
}

/// A key with a value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("router.{key} {problem}")]
pub struct ConfigError {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Most timestamps an account's log may hold.
const PER_MINUTE_MAX: u32 = 1_000_000;

impl Config {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// The first key with an unusable value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let rates = [
            ("free_trades_per_minute", self.free_trades_per_minute),
            ("standard_trades_per_minute", self.standard_trades_per_minute),
            ("premium_trades_per_minute", self.premium_trades_per_minute),
            ("cancels_per_minute", self.cancels_per_minute),
            ("reads_per_minute", self.reads_per_minute),
            ("cash_moves_per_minute", self.cash_moves_per_minute),
            ("analyses_per_minute", self.analyses_per_minute),
        ];
        if let Some((key, _)) = rates.into_iter().find(|(_, rate)| !(1..=PER_MINUTE_MAX).contains(rate)) {
            return Err(ConfigError { key, problem: "must be from 1 to 1,000,000" });
        }
        let positive = [
            ("token_lifetime_secs_max", self.token_lifetime_secs_max > 0),
            ("order_quantity_micros_max", self.order_quantity_micros_max > 0),
            ("order_value_micros_max", self.order_value_micros_max > 0),
            ("wait_default_ms", self.wait_default_ms > 0),
            ("waiting_trades_max", self.waiting_trades_max > 0),
            ("in_flight_min", self.in_flight_min > 0),
            ("in_flight_max", self.in_flight_max >= self.in_flight_min),
            ("queueing_ms", self.queueing_ms > 0),
            ("turn_wait_ms", self.turn_wait_ms > 0),
            ("in_flight_per_account_max", self.in_flight_per_account_max > 0),
            ("in_flight_ms_max", self.in_flight_ms_max > 0),
            ("turn_weights", self.turn_weights.iter().all(|weight| *weight > 0)),
            ("lane_queue_max", self.lane_queue_max > 0),
            ("ask_timeout_ms", self.ask_timeout_ms > 0),
            ("analysis_timeout_ms", self.analysis_timeout_ms > 0),
            ("quote_analysis_age_ms", self.quote_analysis_age_ms > 0),
            ("result_analysis_age_ms", self.result_analysis_age_ms > 0),
            ("shared_analysis_age_ms", self.shared_analysis_age_ms > 0),
            ("watch_buffer_max", self.watch_buffer_max > 0),
            ("connections_max", self.connections_max > 0),
            ("streams_per_connection_max", self.streams_per_connection_max > 0),
            ("request_bytes_max", self.request_bytes_max >= 1_024),
            ("header_bytes_max", self.header_bytes_max >= 4_096),
            ("connection_age_secs", self.connection_age_secs > 0),
            ("keepalive_secs", self.keepalive_secs > 0),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, is_good)| !is_good) {
            return Err(ConfigError { key, problem: "is too small" });
        }
        self.shares()?;
        if self.wait_max_ms < self.wait_default_ms {
            return Err(ConfigError { key: "wait_max_ms", problem: "must not be below wait_default_ms" });
        }
        if self.issuer.is_empty() || self.audience.is_empty() {
            return Err(ConfigError { key: "issuer", problem: "and audience must be set" });
        }
        if self.token_leeway_secs > 60 {
            return Err(ConfigError { key: "token_leeway_secs", problem: "must not exceed 60" });
        }
        Ok(())
    }

    /// Places a minute of one account of `tier` in `budget`.
    #[must_use]
    pub const fn per_minute(&self, budget: Budget, tier: Tier) -> u32 {
        match (budget, tier) {
            (Budget::Place, Tier::Free) => self.free_trades_per_minute,
            (Budget::Place, Tier::Standard) => self.standard_trades_per_minute,
            (Budget::Place, Tier::Premium) => self.premium_trades_per_minute,
            (Budget::Cancel, _) => self.cancels_per_minute,
            (Budget::Read, _) => self.reads_per_minute,
            (Budget::Cash, _) => self.cash_moves_per_minute,
            (Budget::Analyze, _) => self.analyses_per_minute,
        }
    }

    pub(crate) fn request_limits(&self) -> RequestLimits {
        RequestLimits {
            order_quantity_max: tragen_domain::money::Quantity::from_micros(self.order_quantity_micros_max),
            order_value_max: tragen_domain::money::Money::from_micros(self.order_value_micros_max),
            ..RequestLimits::default()
        }
    }

    pub(crate) fn shares(&self) -> Result<Shares, ConfigError> {
        Shares::new(self.strategy_share_max_ppm, self.timeframe_share_max_ppm, self.shares_from_agents).map_err(|_| {
            ConfigError { key: "strategy_share_max_ppm", problem: "and timeframe_share_max_ppm must be 1 to 1,000,000" }
        })
    }

    pub(crate) const fn turn_limits(&self) -> TurnLimits {
        TurnLimits {
            in_flight_max: self.in_flight_max,
            in_flight_per_account_max: self.in_flight_per_account_max,
            waiting_max: self.waiting_trades_max,
            weights: self.turn_weights,
        }
    }

    pub(crate) fn room_limits(&self) -> RoomLimits {
        RoomLimits {
            in_flight_min: self.in_flight_min,
            in_flight_max: self.in_flight_max,
            // What is on its way waits at the desk, too.
            waiting_max: self.waiting_trades_max.saturating_sub(self.in_flight_max).max(1),
            waiting_min: self.turns_waiting_min,
            queueing_ms: i64::from(self.queueing_ms),
            waiting_ms: i64::from(self.turn_wait_ms),
        }
    }

    pub(crate) const fn ask_timeout(&self) -> Duration {
        Duration::from_millis(self.ask_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_values_are_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let key = |config: Config| config.validate().map_err(|e| e.key);
        assert_eq!(key(Config { free_trades_per_minute: 0, ..Config::default() }), Err("free_trades_per_minute"));
        assert_eq!(key(Config { wait_max_ms: 1, ..Config::default() }), Err("wait_max_ms"));
        assert_eq!(key(Config { token_leeway_secs: 61, ..Config::default() }), Err("token_leeway_secs"));
    }
}
