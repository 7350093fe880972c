//! Which books a command is about: those of one shard, or all shards of a
//! configuration.

use crate::{
    config::Config,
    service::{store_in, store_url},
};
use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::{path::PathBuf, time::Duration};

/// The books of one shard.
#[derive(Debug, Args)]
pub(crate) struct BooksArgs {
    /// The data folder of `tragen up`.
    #[arg(long, env = "TRAGEN_DATA_DIR", default_value = "data", value_name = "DIR")]
    data_dir: PathBuf,
    /// The database instead: a sqlite:// or postgres:// address.
    #[arg(long, env = "TRAGEN_STORE", hide_env_values = true, value_name = "URL")]
    store: Option<String>,
}

impl BooksArgs {
    /// The address of the books.
    pub(super) fn url(&self) -> anyhow::Result<String> {
        match self.store.as_deref() {
            Some(store) if store != "sqlite" => store_url(store, &self.data_dir),
            _ => Ok(store_in(&self.data_dir)?.url),
        }
    }

    /// The address of books that are to be put there: the data folder is made, a place of one's own is not.
    pub(super) fn new_url(&self) -> anyhow::Result<String> {
        if self.is_in_data_dir() {
            std::fs::create_dir_all(&self.data_dir)
                .with_context(|| format!("making the data folder {}", self.data_dir.display()))?;
        }
        self.url()
    }

    fn is_in_data_dir(&self) -> bool {
        self.store.as_deref().is_none_or(|store| store == "sqlite")
    }

    /// The address of books that must be there.
    pub(super) fn existing(&self) -> anyhow::Result<String> {
        if self.is_in_data_dir() {
            let books = store_in(&self.data_dir)?;
            anyhow::ensure!(books.path.is_file(), "there are no books at {}", books.path.display());
        }
        self.url()
    }
}

/// All shards.
#[derive(Debug, Args)]
pub(crate) struct ShardsArgs {
    /// The TOML file of the ledgers, with `[[ledger.shards]]`; variables such as TRAGEN__LEDGER__SHARDS win over it.
    #[arg(long, env = "TRAGEN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ShardsArgs {
    /// Whether a configuration was named.
    pub(super) const fn is_given(&self) -> bool {
        self.config.is_some()
    }

    /// The configuration of the ledgers.
    pub(super) fn load(&self) -> anyhow::Result<tragen_ledger::Config> {
        let config: Config = tragen_host::config::load(self.config.as_deref(), "TRAGEN", std::env::vars())?;
        config.ledger.validate()?;
        Ok(config.ledger)
    }
}

/// A bar that is drawn only on a terminal; its length is told later.
pub(super) fn bar(of_what: &str) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new(0);
    let template = format!("{{bar:40}} {{human_pos}} of {{human_len}} {of_what}, {{elapsed}}");
    bar.set_style(ProgressStyle::with_template(&template)?);
    bar.enable_steady_tick(Duration::from_millis(100));
    Ok(bar)
}
