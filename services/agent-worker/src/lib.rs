//! The worker: a shared pool of stateless agents. It turns requests and bars
//! into order proposals, and does nothing while the guard is halted or silent.
//!
//! Invariant: no venue key, no database credential and no user's state is here.

pub mod advisor;
mod alert;
mod analysis;
mod autonomous;
pub mod bar_order;
mod bar_signals;
pub mod bars;
mod claims;
pub mod config;
mod control;
mod holdings;
mod lanes;
mod live_exits;
mod mandate;
mod market_making;
mod market_view;
mod match_bets;
pub mod match_look;
pub mod match_wish;
mod matches;
mod metrics;
mod news;
mod odds;
mod order;
mod proposal;
mod reducing;
mod registry;
pub mod roster;
mod standings;

pub use config::Config;

use crate::{advisor::Advisor, control::Control, market_view::MarketView, proposal::Proposer, registry::Registry};
use anyhow::Context as _;
use std::{sync::Arc, time::Duration};
use tragen_bus::{Bus, usage::Usage};
use tragen_host::Context;

/// Starts the worker; it is ready once it knows the trading state and the market.
///
/// # Errors
/// When the configuration is wrong or the bus cannot be read.
pub async fn run(context: Context, bus: Bus, config: Config) -> anyhow::Result<()> {
    config.validate().context("checking the worker's configuration")?;
    metrics::describe();
    context.set_not_ready("waiting for the trading state");
    let config = Arc::new(config);

    let usage = Usage::start(&context, &bus, Duration::from_millis(config.usage_interval_ms));
    let (control, handed) = Control::start(&context, &bus, &config).await.context("reading the trading state")?;
    let market = MarketView::start(&context, &bus).await.context("following the market")?;
    let registry = Registry::start(&context, &bus).await.context("reading the agent registry")?;
    control.count_agents(&registry);
    let proposer = Proposer::start(&context, &bus, &config, &control);

    reducing::start(&context, (control.clone(), market.clone()), &proposer, handed);

    let analysis = Arc::new(analysis::Desk::new(&context, &bus, &config, &usage));
    analysis.news().follow(&context, &bus).await.context("following the news")?;
    analysis.odds().follow(&context, &bus).await.context("following the odds")?;
    let advisor = Advisor::new(&context, &config.advisor, &usage, &|name: &str| std::env::var(name).ok());
    let advisor = advisor.context("preparing the advisor")?;
    let desk_parts = mandate::Parts { proposer: &proposer, usage: &usage, analysis: &analysis, advisor };
    let desk = mandate::Desk::new(&bus, &config, desk_parts);
    lanes::start(
        &context,
        &bus,
        &config,
        lanes::Parts {
            control: control.clone(),
            proposer: proposer.clone(),
            desk,
            market: market.clone(),
            analysis: Arc::clone(&analysis),
            usage: usage.clone(),
        },
    );
    let parts = autonomous::Parts { control: control.clone(), market, registry, proposer, usage };
    matches::start(&context, &bus, &config, (parts.clone(), &analysis));
    autonomous::start(&context, &bus, &config, parts).await.context("following the bars")?;
    analysis::start(&context, &bus, &analysis).await.context("answering questions to agents")?;
    control.announce_ready();
    Ok(())
}
