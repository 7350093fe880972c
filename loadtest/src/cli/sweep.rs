//! `sweep`: the highest sustained rate.

use super::{Output, print, print_json, target::TargetArgs, tell};
use crate::{Bounds, Session, page, sweep};
use anyhow::{Context as _, ensure};
use clap::{Args, value_parser};
use std::{path::PathBuf, time::Duration};

#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The first rate, operations per second
    #[arg(long, default_value_t = 500, value_parser = value_parser!(u32).range(1..=1_000_000))]
    from: u32,
    /// No higher rate is tried
    #[arg(long, default_value_t = 50_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    to: u32,
    /// 99 % of the answers come within this, milliseconds
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u64).range(1..=60_000))]
    p99_ms: u64,
    /// How exact the answer is, percent
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=50))]
    exact_to_percent: u32,
    /// Length of each measurement
    #[arg(long, default_value_t = 15, value_parser = value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Load before each measurement
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u64).range(0..=600))]
    warm_up_secs: u64,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Also write the result as one HTML page into this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl SweepArgs {
    pub(super) async fn run(self) -> anyhow::Result<bool> {
        let bounds = Bounds {
            p99_micros_max: self.p99_ms * 1_000,
            from_per_second: self.from,
            to_per_second: self.to,
            exact_to_percent: self.exact_to_percent,
            warm_up: Duration::from_secs(self.warm_up_secs),
            measured: Duration::from_secs(self.seconds),
        };
        ensure!(self.from <= self.to, "--from {} is above --to {}", self.from, self.to);
        let session = Session::open(self.target.setup()?).await?;
        let curve = sweep(&session, bounds, tell).await?;
        let proof = session.prove(&self.target.database).await?;
        match self.output {
            Output::Table => {
                print(&curve)?;
                proof.iter().try_for_each(|proof| print(format_args!("proof: {proof}")))?;
            }
            Output::Json => print_json(&curve)?,
        }
        if let Some(file) = &self.html {
            let runs: Vec<_> = curve.steps.iter().map(|step| (step.report.clone(), Vec::new())).collect();
            let title = format!("Sweep: {}/s sustained", curve.sustained_per_second);
            std::fs::write(file, page(&title, &runs)).with_context(|| format!("writing {}", file.display()))?;
        }
        let is_kept = curve.steps.iter().all(|step| step.report.audit.is_passed());
        Ok(is_kept && curve.sustained_per_second > 0 && proof.as_ref().is_none_or(crate::Proof::is_passed))
    }
}
