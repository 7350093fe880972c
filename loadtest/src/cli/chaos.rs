//! `chaos`: faults by a seeded schedule.

use super::{Output, print, print_json, size, tell};
use crate::{Chaos, chaos, page, repository_tools};
use anyhow::{Context as _, ensure};
use clap::{Args, value_parser};
use std::{path::PathBuf, time::Duration};

#[derive(Debug, Args)]
pub(super) struct ChaosArgs {
    /// The same seed plays the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long faults are made
    #[arg(long, default_value_t = 5, conflicts_with = "seconds", value_parser = value_parser!(u64).range(1..=100_000))]
    minutes: u64,
    /// The same in seconds
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// From the beginning of one fault to the next
    #[arg(long, default_value_t = 15, value_parser = value_parser!(u64).range(2..=3_600))]
    every_secs: u64,
    /// Operations started per second
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Accounts that trade
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(1..=1_000_000))]
    accounts: u32,
    /// Only faults whose text contains this, e.g. `wipe` or `risk-guard`
    #[arg(long, default_value = "")]
    only: String,
    /// The built command `tragen` [default: beside this one]
    #[arg(long, value_name = "FILE", env = "TRAGEN_PROGRAM")]
    program: Option<PathBuf>,
    /// The repository's folder `tools`
    #[arg(long, value_name = "DIR")]
    tools: Option<PathBuf>,
    /// Where logs, books and the record are kept; it must not exist
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Also write the load's report as one HTML page into this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl ChaosArgs {
    pub(super) async fn run(self) -> anyhow::Result<bool> {
        ensure!(!self.folder.exists(), "{} is there already", self.folder.display());
        let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("tragen")));
        let program = self.program.or(beside).context("--program is missing")?;
        ensure!(program.exists(), "{} is not there; build it: cargo build -p tragen --bin tragen", program.display());
        let length = self.seconds.unwrap_or(self.minutes.saturating_mul(60));
        let plan = Chaos {
            seed: self.seed,
            length: Duration::from_secs(length),
            every: Duration::from_secs(self.every_secs),
            per_second: self.rate,
            accounts: size(self.accounts),
            program,
            tools: self.tools.unwrap_or_else(repository_tools),
            folder: self.folder,
            only: self.only,
        };
        let report = tokio::select! {
            report = chaos(&plan, tell) => report?,
            // Whoever stops the load test does not want six services left behind.
            stopped = stopped() => return stopped,
        };
        match self.output {
            Output::Table => {
                print(format_args!("{report}\nslowest recovery {} s", report.slowest_recovery_secs()))?;
            }
            Output::Json => print_json(&report)?,
        }
        if let Some(file) = &self.html {
            let title = format!("Chaos, seed {}", report.seed);
            let text = page(&title, &[(report.report.clone(), Vec::new())]);
            std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(report.is_passed())
    }
}

/// Waits for Ctrl-C or a polite end.
async fn stopped() -> anyhow::Result<bool> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).context("listening to signals")?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
    anyhow::bail!("it was stopped before its end")
}
