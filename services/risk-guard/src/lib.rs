//! The gate: one guard leads, decides every proposal, journals the decision
//! before it has any effect, sends approved orders to the venue and reports
//! every outcome. Without a leader nothing trades.

mod alert;
mod bookings;
mod breakers;
mod changed;
mod command;
mod config;
mod control;
mod forbidden;
mod gate;
mod halt;
mod hash;
mod inquiry;
mod journal;
mod lease;
mod limits;
mod market;
mod memory;
mod metrics;
mod orphans;
mod outcome;
mod proposals;
mod rebuild;
mod reconcile;
mod reductions;
pub mod replay;
mod replica;
mod reports;
mod resume;
mod snapshot;
mod term;
mod told;
mod wire;
mod workers;

pub use config::{CommandsConfig, Config, ConfigError, LimitsConfig, Profile};
pub use tragen_venue::PaperFaults;

use anyhow::Context as _;
use std::sync::Arc;
use tragen_bus::Bus;
use tragen_host::Context;

/// The venue of this guard, as written in subjects and spans.
const VENUE: &str = "paper";

/// Starts a guard: it stands by until no other one leads, then leads.
///
/// # Errors
/// When the configuration is not valid.
pub async fn run(context: Context, bus: Bus, config: Config) -> anyhow::Result<()> {
    config.validate().context("checking the guard's configuration")?;
    metrics::describe();
    if config.limits.house_accounts.is_empty() {
        tracing::warn!("limits on the house are off: {} (limits.house_accounts)", limits::NO_HOUSE);
    }
    context.set_not_ready("standing by");
    let config = Arc::new(config);
    context.clone().spawn("guard", term::serve(context, bus, config));
    Ok(())
}
