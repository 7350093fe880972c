//! What all commands that make load have in common: where to, in whose name, how careful.

use super::size;
use crate::{Crowd, Issuer, Mix, Setup, Watched, read_accounts, session::PATIENCE};
use anyhow::{Context as _, ensure};
use clap::{ArgGroup, Args, ValueEnum, value_parser};
use std::{path::PathBuf, sync::Arc, time::Duration};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("in whose name").required(true).args(["tokens", "signing_key"])))]
pub(super) struct TargetArgs {
    /// The public API
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "TRAGEN_ENDPOINT")]
    endpoint: String,
    /// A file with one `account token` a line
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// The key that signs tokens, `keys/token.pkcs8` in the data folder: any number of accounts, no file of tokens.
    /// Whoever has it may act for everybody: for private test systems only
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// With --signing-key: accounts; of each hundred one is premium, nine are standard, the others free
    #[arg(long, default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=10_000_000))]
    users: u32,
    /// With --signing-key: the accounts' names are this and a number from 0
    #[arg(long, default_value = "user-")]
    account_prefix: String,
    /// Accounts act by chance, the n-th with 1/n to this power: 1 is Zipf's law [default: one after another]
    #[arg(long, value_name = "EXPONENT")]
    zipf: Option<f64>,
    /// The same seed takes the same turns
    #[arg(long, default_value_t = 0)]
    turn_seed: u64,
    /// What is done
    #[arg(long, value_enum, default_value_t = MixName::Orders)]
    mix: MixName,
    /// What to trade; by default the first open prediction with a bid and an offer
    #[arg(long, value_name = "ID")]
    instrument: Option<String>,
    /// Size of each order, 1e-6; by default the smallest allowed
    #[arg(long, value_parser = value_parser!(i64).range(1..))]
    quantity_micros: Option<i64>,
    /// HTTP/2 connections
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u32).range(1..=1_000))]
    connections: u32,
    /// When an operation counts as failed
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=600))]
    deadline_secs: u64,
    /// Paid into each account beforehand, whole units of the instrument's currency
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(i64).range(1..=1_000_000_000))]
    deposit: i64,
    /// Pay nothing in: the accounts have money
    #[arg(long, conflicts_with = "deposit")]
    no_deposit: bool,
    /// Answers to read again and compare after the load, at most
    #[arg(long, default_value_t = 2_000)]
    audit_trades: u32,
    /// Accounts whose transfers are added up after the load, at most
    #[arg(long, default_value_t = 4)]
    audit_transfers_of: u32,
    /// Look at a process or at metrics meanwhile: NAME=PID or NAME=http://HOST:PORT/metrics
    #[arg(long, value_name = "NAME=WHAT")]
    watch: Vec<Watched>,
    /// Record every request and answer in this file, and prove afterwards that each answer is in the ledger once
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// With --record: prove it in the ledger's databases too, one address for each shard in order
    #[arg(long, value_name = "URL", requires = "record", hide_env_values = true, env = "TRAGEN_LEDGER_DATABASES")]
    #[arg(value_delimiter = ',')]
    pub(super) database: Vec<String>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MixName {
    /// Orders only
    Orders,
    /// 60 % orders, 20 % mandates, 15 % reads, 5 % cancels
    Users,
}

/// Who acts, in place of what the flags say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cast {
    pub(super) users: u32,
    pub(super) zipf_exponent: Option<f64>,
    pub(super) seed: u64,
    pub(super) mix: Mix,
}

impl TargetArgs {
    /// What the flags say.
    pub(super) fn setup(&self) -> anyhow::Result<Setup> {
        let mix = match self.mix {
            MixName::Orders => Mix::ORDERS,
            MixName::Users => Mix::USERS,
        };
        let crowd = match (&self.tokens, self.issuer()?) {
            (Some(tokens), _) => Crowd::listed(read_accounts(tokens)?),
            (None, Some(issuer)) => Crowd::issued(issuer, &self.account_prefix, size(self.users)),
            (None, None) => anyhow::bail!("--tokens or --signing-key is missing"),
        };
        self.with(crowd, (self.zipf, self.turn_seed), mix)
    }

    /// What a scenario says.
    pub(super) fn setup_for(&self, cast: Cast) -> anyhow::Result<Setup> {
        let crowd = match (&self.tokens, self.issuer()?) {
            (Some(tokens), _) => {
                let mut accounts = read_accounts(tokens)?;
                let (known, needed) = (accounts.len(), size(cast.users));
                ensure!(known >= needed, "the scenario has {needed} users, {} {known}", tokens.display());
                accounts.truncate(needed);
                Crowd::listed(accounts)
            }
            (None, Some(issuer)) => Crowd::issued(issuer, &self.account_prefix, size(cast.users)),
            (None, None) => anyhow::bail!("--tokens or --signing-key is missing"),
        };
        self.with(crowd, (cast.zipf_exponent, cast.seed), cast.mix)
    }

    fn with(&self, crowd: Crowd, (zipf, seed): (Option<f64>, u64), mix: Mix) -> anyhow::Result<Setup> {
        let crowd = match zipf {
            None => crowd,
            Some(exponent) => {
                ensure!((0.0..=4.0).contains(&exponent), "the exponent of activity must be from 0 to 4");
                crowd.with_zipf(exponent, seed)
            }
        };
        Ok(Setup {
            endpoint: self.endpoint.clone(),
            crowd: Arc::new(crowd),
            issuer: self.issuer()?,
            mix,
            connections: size(self.connections),
            instrument_id: self.instrument.clone(),
            quantity_micros: self.quantity_micros,
            deposit_micros: if self.no_deposit { 0 } else { self.deposit * 1_000_000 },
            deadline: Duration::from_secs(self.deadline_secs),
            retry_for: Duration::ZERO,
            doubled_percent: 0,
            audit_trades_max: size(self.audit_trades),
            audit_transfers_of_max: size(self.audit_transfers_of),
            patience: PATIENCE,
            record: self.record.clone(),
            watched: self.watch.clone(),
        })
    }

    fn issuer(&self) -> anyhow::Result<Option<Issuer>> {
        self.signing_key.as_deref().map(Issuer::read).transpose().context("--signing-key")
    }
}
