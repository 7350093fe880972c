//! `fairness`: premium beside free, a quiet user beside a noisy one.

use super::{Output, print, print_json, size, target::TargetArgs, tell};
use crate::{Crowding, fairness};
use anyhow::Context as _;
use clap::{Args, value_parser};
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct FairnessArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Trades of premium users, and of the quiet user, per second
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Free users who ask for more than there is
    #[arg(long, default_value_t = 500, value_parser = value_parser!(u32).range(1..=1_000_000))]
    free_users: u32,
    /// Trades that they keep in flight together; more than the router lets wait, so that it must send some away
    #[arg(long, default_value_t = 2_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    free_in_flight: u32,
    /// Trades that the noisy user keeps in flight
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u32).range(1..=100_000))]
    noisy_in_flight: u32,
    /// Length of each measurement
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Load before each measurement
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u64).range(0..=600))]
    warm_up_secs: u64,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

impl FairnessArgs {
    pub(super) async fn run(self) -> anyhow::Result<bool> {
        let setup = self.target.setup()?;
        let issuer = setup.issuer.clone().context("--signing-key is missing: every crowd has a tier of its own")?;
        let crowding = Crowding {
            per_second: self.rate,
            free_users: size(self.free_users),
            free_in_flight: size(self.free_in_flight),
            noisy_in_flight: size(self.noisy_in_flight),
            warm_up: Duration::from_secs(self.warm_up_secs),
            measured: Duration::from_secs(self.seconds),
        };
        let found = fairness((&setup, &issuer), crowding, tell).await?;
        match self.output {
            Output::Table => print(&found)?,
            Output::Json => print_json(&found)?,
        }
        Ok(found.is_fair())
    }
}
