//! `tragen token`: access tokens signed with the key of a data folder.

use crate::{
    Verdict,
    output::{Format, print},
};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use std::{
    fs::OpenOptions,
    io::{BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tragen_domain::id::AccountId;
use tragen_router::token::{Claims, Keys};

/// What the token says.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  export TRAGEN_TOKEN=$(tragen token --data-dir data --account alice)\n  tragen token --data-dir data --count 1000 --account-prefix load- --tier premium --out tokens.txt"
)]
pub(crate) struct TokenArgs {
    /// Whose key signs it: the data folder of `tragen up` or of the router.
    #[arg(long, env = "TRAGEN_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
    /// Whose account.
    #[arg(long, required_unless_present = "count")]
    account: Option<String>,
    /// How urgently the caller is served.
    #[arg(long, default_value = "standard")]
    tier: Tier,
    /// What the caller may do besides trading.
    #[arg(long, default_value = "trader")]
    role: Role,
    /// How long it is valid, minutes; the router takes no more than 60 unless it is told to.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// Write this many lines `account token` instead, for a load test.
    #[arg(long, requires = "out", conflicts_with = "account", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    count: Option<u32>,
    /// The accounts' names: this and a number from 0.
    #[arg(long, default_value = "load-")]
    account_prefix: String,
    /// The file for --count; only its owner can read it.
    #[arg(long, requires = "count")]
    out: Option<PathBuf>,
}

/// How urgently a caller is served.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tier {
    Premium,
    Standard,
    Free,
}

/// What a caller may do besides trading.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Role {
    Trader,
    Operator,
    RiskAdmin,
}

impl TokenArgs {
    pub(super) fn run(self, format: Format) -> anyhow::Result<Verdict> {
        let keys = self.keys()?;
        if let (Some(count), Some(out)) = (self.count, &self.out) {
            self.write_many(&keys, count, out)?;
            return Ok(Verdict::Good);
        }
        let account = self.account.as_deref().context("--account is missing")?;
        let token = self.issue(&keys, account).context("--account")?;
        match format {
            Format::Table | Format::Csv => print(&token)?,
            Format::Json => print(&serde_json::json!({ "account": account, "token": token }).to_string())?,
        }
        Ok(Verdict::Good)
    }

    /// The key of a folder that is there. A new key is said to be one: whoever has mistyped the folder must see it.
    fn keys(&self) -> anyhow::Result<Keys> {
        let folder = self.data_dir.display();
        anyhow::ensure!(
            self.data_dir.is_dir(),
            "--data-dir: there is no folder {folder}; it is the one of `tragen up --data-dir` or of the router"
        );
        let is_known = Keys::are_in(&self.data_dir);
        let keys = Keys::load_or_create(&self.data_dir)?;
        if !is_known {
            eprintln!("made a new key in {folder}: only a router that is started with this folder takes its tokens");
        }
        Ok(keys)
    }

    fn write_many(&self, keys: &Keys, count: u32, out: &Path) -> anyhow::Result<()> {
        let writing = || format!("--out: writing {}", out.display());
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(out);
        let mut file = BufWriter::new(file.with_context(writing)?);
        for number in 0..count {
            let account = format!("{}{number}", self.account_prefix);
            let token = self.issue(keys, &account).context("--account-prefix")?;
            writeln!(file, "{account} {token}").with_context(writing)?;
        }
        file.flush().with_context(writing)
    }

    fn issue(&self, keys: &Keys, account: &str) -> anyhow::Result<String> {
        use tragen_domain::tier::Tier as Known;
        use tragen_router::token::Role as May;
        let tier = match self.tier {
            Tier::Premium => Known::Premium,
            Tier::Standard => Known::Standard,
            Tier::Free => Known::Free,
        };
        let role = match self.role {
            Role::Trader => May::Trader,
            Role::Operator => May::Operator,
            Role::RiskAdmin => May::RiskAdmin,
        };
        let lifetime = Duration::from_secs(u64::from(self.minutes) * 60);
        Ok(keys.issue(&Claims { lifetime, ..Claims::new(AccountId::new(account)?, tier, role) })?)
    }
}
