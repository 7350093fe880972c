//! What an operator can set.

use serde::Deserialize;

/// Where the books are kept, and every limit of the service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `sqlite://<path>` or `postgres://<user>:<password>@<host>/<database>`.
    pub store_url: String,
    /// Most items in one transaction.
    pub batch_items_max: usize,
    /// Committed batches that may wait to be published.
    pub publish_queue_max: usize,
    /// Most encoded bytes of one message of facts; the bus takes 1 MB at least.
    pub fact_message_bytes_max: usize,
    /// How long one attempt to publish facts may take before it is reported, milliseconds.
    pub publish_patience_ms: u64,
    /// Deposits that may wait for the writer.
    pub deposit_queue_max: usize,
    /// How long a deposit waits for its commit, milliseconds.
    pub deposit_wait_ms_max: u64,
    /// Connections for questions; the writer has its own.
    pub reader_connections_max: u32,
    /// How long the database may take to give a connection, milliseconds; below the bus's ack wait.
    pub connect_wait_ms_max: u64,
    /// How long a question waits for `min_version`, milliseconds.
    pub version_wait_ms_max: u64,
    /// Page size when none is asked for.
    pub page_size_default: i32,
    /// Largest page of trades, positions or transfers.
    pub page_size_max: i32,
    /// Largest page of accounts.
    pub accounts_page_size_max: i32,
    /// Most trades in one question for outcomes.
    pub outcomes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store_url: "sqlite://tragen-ledger.db".to_owned(),
            batch_items_max: 1_024,
            publish_queue_max: 4,
            fact_message_bytes_max: 512 * 1_024,
            publish_patience_ms: 5_000,
            deposit_queue_max: 1_024,
            deposit_wait_ms_max: 5_000,
            reader_connections_max: 4,
            connect_wait_ms_max: 2_000,
            version_wait_ms_max: 50,
            page_size_default: 50,
            page_size_max: 500,
            accounts_page_size_max: 5_000,
            outcomes_max: 1_000,
        }
    }
}

/// A key whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ledger.{key} {message}")]
pub struct ConfigError {
    /// The key.
    pub key: &'static str,
    /// What it must be.
    pub message: &'static str,
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first bad key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let is_known_store =
            ["sqlite://", "postgres://", "postgresql://"].iter().any(|s| self.store_url.starts_with(s));
        let rules = [
            ("store_url", is_known_store, "must start with sqlite:// or postgres://"),
            ("batch_items_max", (1..=8_192).contains(&self.batch_items_max), "must be 1 to 8,192"),
            ("publish_queue_max", (1..=64).contains(&self.publish_queue_max), "must be 1 to 64"),
            (
                "fact_message_bytes_max",
                (16_384..=900_000).contains(&self.fact_message_bytes_max),
                "must be 16,384 to 900,000",
            ),
            ("publish_patience_ms", (100..=60_000).contains(&self.publish_patience_ms), "must be 100 to 60,000"),
            ("deposit_queue_max", (1..=65_536).contains(&self.deposit_queue_max), "must be 1 to 65,536"),
            ("deposit_wait_ms_max", (1..=60_000).contains(&self.deposit_wait_ms_max), "must be 1 to 60,000"),
            ("reader_connections_max", (1..=64).contains(&self.reader_connections_max), "must be 1 to 64"),
            ("connect_wait_ms_max", (100..=4_000).contains(&self.connect_wait_ms_max), "must be 100 to 4,000"),
            ("version_wait_ms_max", self.version_wait_ms_max <= 1_000, "must be at most 1,000"),
            (
                "page_size_default",
                (1..=self.page_size_max).contains(&self.page_size_default),
                "must be 1 to page_size_max",
            ),
            ("page_size_max", (1..=5_000).contains(&self.page_size_max), "must be 1 to 5,000"),
            ("accounts_page_size_max", (1..=5_000).contains(&self.accounts_page_size_max), "must be 1 to 5,000"),
            ("outcomes_max", (1..=1_000).contains(&self.outcomes_max), "must be 1 to 1,000"),
        ];
        match rules.into_iter().find(|(_, is_met, _)| !is_met) {
            Some((key, _, message)) => Err(ConfigError { key, message }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let bad = Config { store_url: "mysql://x".into(), ..Config::default() };
        assert_eq!(bad.validate().map_err(|e| e.key), Err("store_url"));
        let bad = Config { page_size_default: 501, ..Config::default() };
        assert_eq!(bad.validate().map_err(|e| e.key), Err("page_size_default"));
    }
}
