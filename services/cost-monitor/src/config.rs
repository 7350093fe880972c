//! The cost monitor's configuration.

use serde::Deserialize;
use tragen_domain::cost::Rates;

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
        const RECENT: &str = "1000 to 10000000";
        let is_rate = |rate: u64| rate <= 1_000_000_000;
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
        ];
        match rules.into_iter().find(|(_, is_valid, _)| !is_valid) {
            Some((key, _, must)) => Err(InvalidConfig { key, must }),
            None => Ok(()),
        }
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
