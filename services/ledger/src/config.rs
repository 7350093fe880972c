//! What an operator can set.

use crate::slot::SLOTS;
use serde::Deserialize;
use std::path::PathBuf;

/// Where one shard of the books is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardConfig {
    /// `sqlite://<path>` or `postgres://<user>:<password>@<host>/<database>`. Shards may share a
    /// PostgreSQL database: each has a schema `shard_<n>` of its own.
    pub url: String,
    /// Read-only copies of the same PostgreSQL database.
    #[serde(default)]
    pub replica_urls: Vec<String>,
}

/// Where the books are kept, and every limit of the service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `sqlite://<path>` or `postgres://<user>:<password>@<host>/<database>`.
    pub store_url: String,
    /// Read-only copies of the one shard at `store_url`.
    pub replica_urls: Vec<String>,
    /// The shards by their number, when there are several; `store_url` and `replica_urls` are unused then.
    /// More may be added at the end later; they begin empty and get slots by `tragen ledger move-slot`.
    pub shards: Vec<ShardConfig>,
    /// How long a shard's owner may be silent before another process takes the shard, milliseconds.
    pub lease_ms: u64,
    /// How many wallets and positions each shard's writer keeps in memory.
    pub cached_rows_max: usize,
    /// How much of the past is told again when the bus has lost everything, hours.
    pub retell_hours: i64,
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
    /// The Ed25519 key that heads of the hash chain are signed with, PKCS #8 or 32 bytes; empty for none.
    pub signing_key_file: PathBuf,
    /// Whether the key is made if it is not there.
    pub creates_signing_key: bool,
    /// Where signed heads are added, one in a line; empty for the bus only.
    pub heads_file: PathBuf,
    /// How often the heads of the hash chains are signed, milliseconds.
    pub heads_every_ms: u64,
    /// How often the books are compared with themselves, the guard and the venue, milliseconds.
    pub reconcile_every_ms: u64,
    /// Accounts compared in one round beside those that have changed.
    pub reconcile_accounts_max: usize,
    /// Executions of the venue looked up in one round.
    pub reconcile_fills_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store_url: "sqlite://tragen-ledger.db".to_owned(),
            replica_urls: Vec::new(),
            shards: Vec::new(),
            lease_ms: 1_500,
            cached_rows_max: 200_000,
            retell_hours: 24,
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
            signing_key_file: PathBuf::new(),
            creates_signing_key: false,
            heads_file: PathBuf::new(),
            heads_every_ms: 60_000,
            reconcile_every_ms: 60_000,
            reconcile_accounts_max: 20_000,
            reconcile_fills_max: 50_000,
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
    /// The shards by their number.
    #[must_use]
    pub fn shards(&self) -> Vec<ShardConfig> {
        if self.shards.is_empty() {
            vec![ShardConfig { url: self.store_url.clone(), replica_urls: self.replica_urls.clone() }]
        } else {
            self.shards.clone()
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first bad key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let is_postgres = |url: &String| ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        let is_store = |url: &String| url.starts_with("sqlite://") || is_postgres(url);
        let shards = self.shards();
        let mut files: Vec<_> = shards.iter().map(|shard| &shard.url).filter(|url| !is_postgres(url)).collect();
        files.sort_unstable();
        let has_own_files = files.windows(2).all(|pair| pair[0] != pair[1]);
        let has_known_stores = shards.iter().all(|shard| is_store(&shard.url));
        let has_known_replicas = shards.iter().all(|shard| {
            shard.replica_urls.is_empty() || is_postgres(&shard.url) && shard.replica_urls.iter().all(is_postgres)
        });
        let rules = [
            ("store_url", has_known_stores, "must start with sqlite:// or postgres://"),
            ("shards", shards.len() <= usize::from(SLOTS), "must be at most 256"),
            ("shards", has_own_files, "must each have a SQLite file of their own"),
            ("replica_urls", has_known_replicas, "must be postgres:// copies of a postgres:// store"),
            ("lease_ms", (500..=60_000).contains(&self.lease_ms), "must be 500 to 60,000"),
            // A batch in flight must not be forgotten before it is visible in the database.
            (
                "cached_rows_max",
                (16 * self.batch_items_max..=10_000_000).contains(&self.cached_rows_max),
                "must be 16 x batch_items_max to 10,000,000",
            ),
            ("retell_hours", (1..=168).contains(&self.retell_hours), "must be 1 to 168"),
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
            ("heads_every_ms", (100..=3_600_000).contains(&self.heads_every_ms), "must be 100 to 3,600,000"),
            ("reconcile_every_ms", (100..=3_600_000).contains(&self.reconcile_every_ms), "must be 100 to 3,600,000"),
            (
                "reconcile_accounts_max",
                (1..=1_000_000).contains(&self.reconcile_accounts_max),
                "must be 1 to 1,000,000",
            ),
            ("reconcile_fills_max", (1..=1_000_000).contains(&self.reconcile_fills_max), "must be 1 to 1,000,000"),
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
