//! The worker's configuration.

use crate::advisor::{AdvisorConfig, InvalidAdvisor};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Every knob of the worker, with its unit in the name.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Request batches handled at the same time.
    pub batches_at_once_max: usize,
    /// Share of the work given to premium, standard and free while all have work.
    pub tier_weights: [u16; 3],
    /// A proposal decided later than this after it was made is denied, milliseconds.
    pub proposal_valid_ms: i64,
    /// How long market-data or the ledger may take to answer, milliseconds.
    pub question_timeout_ms: u64,
    /// How often the guard is asked for a lease, milliseconds.
    pub lease_interval_ms: u64,
    /// Bars kept per instrument and timeframe, to start a new agent's rules on.
    pub bars_kept: usize,
    /// A bar that is older than this when it comes, on the wall clock, counts as missed, milliseconds: the next
    /// one makes up for it if nobody has acted on it after all.
    pub bar_age_ms_max: i64,
    /// Nobody acts on a bar older than this, milliseconds; longer than `bar_age_ms_max`, so that there is time
    /// for another worker to take over.
    pub claim_age_ms_max: i64,
    /// Bars that are acted on at the same time.
    pub claims_at_once_max: usize,
    /// How often a match in play is looked at by agents that leave what they hold, milliseconds.
    pub exit_look_ms: u64,
    /// Orders for one signal that are on their way to the guard at the same time.
    pub agents_at_once_max: usize,
    /// Risk tolerance of mandates, 1 to 10; scales the stake.
    pub mandate_risk_tolerance: u8,
    /// How often work done is reported, milliseconds.
    pub usage_interval_ms: u64,
    /// The language model that may talk agents out of trades; off by default.
    pub advisor: AdvisorConfig,
    /// Sources whose texts count, and how much, parts per million; texts of others are left out.
    pub news_sources_ppm: BTreeMap<String, u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batches_at_once_max: 64,
            tier_weights: [8, 4, 1],
            proposal_valid_ms: 5_000,
            question_timeout_ms: 1_000,
            lease_interval_ms: 250,
            bars_kept: 400,
            bar_age_ms_max: 5_000,
            claim_age_ms_max: 15_000,
            claims_at_once_max: 512,
            exit_look_ms: 1_000,
            agents_at_once_max: 256,
            mandate_risk_tolerance: 5,
            usage_interval_ms: 1_000,
            advisor: AdvisorConfig::default(),
            news_sources_ppm: {
                let sources =
                    [("premierleague", 1_000_000), ("bbc", 1_000_000), ("reuters", 1_000_000), ("guardian", 800_000)];
                sources.map(|(name, ppm)| (name.to_owned(), ppm)).into()
            },
        }
    }
}

/// A key with a value that cannot work.
#[derive(Debug, thiserror::Error)]
#[error("agent_worker.{key} must be {must}")]
pub struct InvalidConfig {
    key: String,
    must: &'static str,
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`InvalidConfig`] naming the key.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        const AGE: &str = "bar_age_ms_max to 900000";
        let rules = [
            ("batches_at_once_max", (1..=4_096).contains(&self.batches_at_once_max), "1 to 4096"),
            ("tier_weights", self.tier_weights.iter().all(|w| (1..=1_000).contains(w)), "three numbers from 1 to 1000"),
            ("proposal_valid_ms", (100..=60_000).contains(&self.proposal_valid_ms), "100 to 60000"),
            ("question_timeout_ms", (10..=30_000).contains(&self.question_timeout_ms), "10 to 30000"),
            ("lease_interval_ms", (50..=500).contains(&self.lease_interval_ms), "50 to 500"),
            ("bars_kept", (300..=5_000).contains(&self.bars_kept), "300 to 5000"),
            ("bar_age_ms_max", (100..=600_000).contains(&self.bar_age_ms_max), "100 to 600000"),
            ("claim_age_ms_max", (self.bar_age_ms_max..=900_000).contains(&self.claim_age_ms_max), AGE),
            ("claims_at_once_max", (1..=1_024).contains(&self.claims_at_once_max), "1 to 1024"),
            ("exit_look_ms", (100..=60_000).contains(&self.exit_look_ms), "100 to 60000"),
            ("agents_at_once_max", (1..=4_096).contains(&self.agents_at_once_max), "1 to 4096"),
            ("mandate_risk_tolerance", (1..=10).contains(&self.mandate_risk_tolerance), "1 to 10"),
            (
                "news_sources_ppm",
                self.news_sources_ppm.values().all(|ppm| (1..=1_000_000).contains(ppm)),
                "weights from 1 to 1000000",
            ),
            ("usage_interval_ms", (100..=60_000).contains(&self.usage_interval_ms), "100 to 60000"),
        ];
        match rules.into_iter().find(|(_, is_valid, _)| !is_valid) {
            Some((key, _, must)) => Err(InvalidConfig { key: key.to_owned(), must }),
            None => {
                let invalid =
                    |error: InvalidAdvisor| InvalidConfig { key: format!("advisor.{}", error.key), must: error.must };
                self.advisor.validate().map_err(invalid)
            }
        }
    }
}
