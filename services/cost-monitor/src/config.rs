//! The cost monitor's configuration.

use serde::Deserialize;
use std::collections::BTreeSet;
use tragen_domain::{
    cost::{
        Rates,
        pool::{
            PoolMetric, PoolRule,
            shares::{Shares, SharesError},
        },
    },
    id::{InstrumentId, PoolId},
    market::Timeframe,
};

/// Every knob of the cost monitor, with its unit in the name.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// One core for an hour, 1e-6 USD.
    pub cpu_core_hour_micros: u64,
    /// 10^9 bytes of memory for an hour, 1e-6 USD.
    pub memory_gb_hour_micros: u64,
    /// 10^9 bytes of storage for 30.4375 days, 1e-6 USD.
    pub storage_gb_month_micros: u64,
    /// One API call, 1e-6 USD.
    pub api_call_micros: u64,
    /// Agents told apart; the work of more is put on the platform.
    pub agents_max: usize,
    /// Usage reports remembered, so that none counts twice.
    pub recent_reports_max: usize,
    /// Finished trades remembered, so that none counts twice. More than the bus may have
    /// under way unacknowledged: 1,024 messages, at 5,000 trades/s some 100,000 trades.
    pub recent_trades_max: usize,
    /// Messages taken at a time.
    pub messages_at_once_max: usize,
    /// Pools that grow and shrink; the agents of all others trade as they are.
    pub pools: Vec<PoolConfig>,
    /// Most places of all pools together.
    pub pool_agents_max: u32,
    /// How often the pools are sized, milliseconds.
    pub pools_interval_ms: u64,
    /// Largest share of the trading agents that one strategy may have, parts per million.
    pub strategy_share_max_ppm: u64,
    /// Largest share of the trading agents that one timeframe may have, parts per million.
    pub timeframe_share_max_ppm: u64,
    /// With fewer trading agents than this a share says nothing.
    pub shares_from_agents: u64,
    /// Configured agents whose record is kept.
    pub scored_agents_max: usize,
    /// How often records and bets that have changed are stored, milliseconds.
    pub scores_interval_ms: u64,
    /// Matches whose bets are kept; the one that began first makes room.
    pub bet_matches_max: usize,
}

/// One pool that grows and shrinks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolConfig {
    /// Which: the `pool` of its agents, or the strategy's name.
    pub pool: String,
    /// Fewest agents.
    pub agents_min: u32,
    /// Most agents.
    pub agents_max: u32,
    /// The figure it follows.
    pub metric: PoolFigure,
    /// Of which instrument.
    pub instrument: String,
    /// Of which bars: 1m, 5m, 1h, 4h or 1d.
    pub timeframe: String,
}

/// A figure that a pool follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolFigure {
    /// Where the volatility stands among those of the last 500 bars.
    MarketVolatility,
    /// How clearly the market has a direction.
    TrendStrength,
}

/// A pool as the rules see it.
#[derive(Debug, Clone)]
pub(crate) struct SizedPool {
    pub(crate) pool: PoolId,
    pub(crate) rule: PoolRule,
    pub(crate) instrument: InstrumentId,
    pub(crate) timeframe: Timeframe,
}

impl Default for Config {
    fn default() -> Self {
        let rates = Rates::default();
        Self {
            cpu_core_hour_micros: rates.cpu_core_hour_micros,
            memory_gb_hour_micros: rates.memory_gb_hour_micros,
            storage_gb_month_micros: rates.storage_gb_month_micros,
            api_call_micros: rates.api_call_micros,
            agents_max: 1_000,
            recent_reports_max: 65_536,
            recent_trades_max: 262_144,
            messages_at_once_max: 64,
            pools: Vec::new(),
            pool_agents_max: 10_000,
            pools_interval_ms: 5_000,
            strategy_share_max_ppm: 300_000,
            timeframe_share_max_ppm: 400_000,
            shares_from_agents: 10,
            scored_agents_max: 10_000,
            scores_interval_ms: 60_000,
            bet_matches_max: 2_000,
        }
    }
}

/// A key with a value that cannot work.
#[derive(Debug, thiserror::Error)]
#[error("cost_monitor.{key} must be {must}")]
pub struct InvalidConfig {
    key: &'static str,
    must: &'static str,
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`InvalidConfig`] naming the key.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        const RATE: &str = "at most 1000000000 (1,000 USD)";
        const POOLS: &str = "names with 1 <= agents_min <= agents_max <= 10000, an instrument and a timeframe";
        const SHARE: &str = "1 to 1000000 (all of them)";
        const RECENT: &str = "1000 to 10000000";
        let is_rate = |rate: u64| rate <= 1_000_000_000;
        let is_share = |ppm: u64| (1..=1_000_000).contains(&ppm);
        let is_recent = |count: usize| (1_000..=10_000_000).contains(&count);
        let rules = [
            ("cpu_core_hour_micros", is_rate(self.cpu_core_hour_micros), RATE),
            ("memory_gb_hour_micros", is_rate(self.memory_gb_hour_micros), RATE),
            ("storage_gb_month_micros", is_rate(self.storage_gb_month_micros), RATE),
            ("api_call_micros", is_rate(self.api_call_micros), RATE),
            ("agents_max", (1..=100_000).contains(&self.agents_max), "1 to 100000"),
            ("recent_reports_max", is_recent(self.recent_reports_max), RECENT),
            ("recent_trades_max", is_recent(self.recent_trades_max), RECENT),
            ("messages_at_once_max", (1..=256).contains(&self.messages_at_once_max), "1 to 256"),
            ("pools_interval_ms", (50..=300_000).contains(&self.pools_interval_ms), "50 to 300000"),
            ("strategy_share_max_ppm", is_share(self.strategy_share_max_ppm), SHARE),
            ("timeframe_share_max_ppm", is_share(self.timeframe_share_max_ppm), SHARE),
            ("shares_from_agents", self.shares_from_agents <= 10_000, "at most 10000"),
            ("scored_agents_max", self.scored_agents_max <= 100_000, "at most 100000"),
            ("scores_interval_ms", (50..=3_600_000).contains(&self.scores_interval_ms), "50 to 3600000"),
            ("bet_matches_max", (1..=20_000).contains(&self.bet_matches_max), "1 to 20000"),
            ("pools", self.pools.iter().all(|pool| pool.sized().is_some()), POOLS),
            ("pools", self.are_pools_unique(), "of different names"),
            ("pools", self.places() <= u64::from(self.pool_agents_max), "of at most pool_agents_max places together"),
            ("pools", self.may_fill_each(), "small enough at agents_min for strategy_share_max_ppm of all places"),
        ];
        match rules.into_iter().find(|(_, is_valid, _)| !is_valid) {
            Some((key, _, must)) => Err(InvalidConfig { key, must }),
            None => Ok(()),
        }
    }

    /// The pools, checked by [`Self::validate`].
    pub(crate) fn sized_pools(&self) -> Vec<SizedPool> {
        self.pools.iter().filter_map(PoolConfig::sized).collect()
    }

    pub(crate) const fn shares(&self) -> Result<Shares, SharesError> {
        Shares::new(self.strategy_share_max_ppm, self.timeframe_share_max_ppm, self.shares_from_agents)
    }

    /// Most places of all pools.
    fn places(&self) -> u64 {
        self.pools.iter().map(|pool| u64::from(pool.agents_max)).sum()
    }

    /// Whether every pool may ever have its fewest agents: a pool is usually of one strategy, and where there are
    /// others it must not be more than a strategy's share of all.
    fn may_fill_each(&self) -> bool {
        let all = self.places();
        let limit = (all * self.strategy_share_max_ppm).div_ceil(1_000_000);
        let says_something = self.pools.len() > 1 && all >= self.shares_from_agents;
        !says_something || self.pools.iter().all(|pool| u64::from(pool.agents_min) <= limit)
    }

    fn are_pools_unique(&self) -> bool {
        let names: BTreeSet<&str> = self.pools.iter().map(|pool| pool.pool.as_str()).collect();
        names.len() == self.pools.len()
    }

    pub(crate) const fn rates(&self) -> Rates {
        Rates {
            cpu_core_hour_micros: self.cpu_core_hour_micros,
            memory_gb_hour_micros: self.memory_gb_hour_micros,
            storage_gb_month_micros: self.storage_gb_month_micros,
            api_call_micros: self.api_call_micros,
        }
    }
}

impl PoolConfig {
    fn sized(&self) -> Option<SizedPool> {
        let metric = match self.metric {
            PoolFigure::MarketVolatility => PoolMetric::MarketVolatility,
            PoolFigure::TrendStrength => PoolMetric::TrendStrength,
        };
        Some(SizedPool {
            pool: PoolId::new(&self.pool).ok()?,
            rule: PoolRule::new(self.agents_min, self.agents_max, metric).ok()?,
            instrument: InstrumentId::new(&self.instrument).ok()?,
            timeframe: Timeframe::parse(&self.timeframe)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> PoolConfig {
        PoolConfig {
            pool: "scalper".to_owned(),
            agents_min: 10,
            agents_max: 50,
            metric: PoolFigure::MarketVolatility,
            instrument: "EURUSD".to_owned(),
            timeframe: "4h".to_owned(),
        }
    }

    #[test]
    fn pools_that_make_no_sense_are_refused() {
        let key = |pools: Vec<PoolConfig>| Config { pools, ..Config::default() }.validate().err().map(|e| e.key);
        assert_eq!(key(vec![pool()]), None);
        assert_eq!(key(vec![PoolConfig { agents_min: 51, ..pool() }]), Some("pools"));
        assert_eq!(key(vec![PoolConfig { timeframe: "3m".to_owned(), ..pool() }]), Some("pools"));
        assert_eq!(key(vec![pool(), pool()]), Some("pools"));
        let named =
            |name: &str, agents_min, agents_max| PoolConfig { pool: name.to_owned(), agents_min, agents_max, ..pool() };
        assert_eq!(key(vec![named("a", 10, 50), named("b", 5, 20)]), None);
        assert_eq!(key(vec![named("a", 1, 9_000), named("b", 1, 1_001)]), Some("pools"), "too many places");
        assert_eq!(key(vec![named("a", 7, 15), named("b", 1, 5)]), Some("pools"), "7 of 20 are more than 30 %");
        assert_eq!(key(vec![named("a", 6, 15), named("b", 1, 5)]), None);
        let shares = Config { strategy_share_max_ppm: 0, ..Config::default() };
        assert_eq!(shares.validate().err().map(|e| e.key), Some("strategy_share_max_ppm"));
    }
}
