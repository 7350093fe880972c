//! The cost monitor: gathers what every service reports of its work and what
//! became of the trades, answers what the agents cost, keeps the record of every
//! configured agent and what agents bet on matches, and sizes the pools of agents. It raises facts and never stops
//! anything itself.
//!
//! The costs live in memory and start from nothing with the process, which the
//! answer says (`since_micros`). Run one instance: several would each know a part.

mod answer;
mod bets;
mod config;
mod kept;
mod metrics;
mod pools;
mod recent;
mod scores;
mod trades;
mod usage;

pub use config::{Config, InvalidConfig, PoolConfig, PoolFigure};

use ::metrics::counter;
use anyhow::Context as _;
use prost::Message as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tragen_bus::{Ask, Bus, Consumer, Followed};
use tragen_contracts::v1;
use tragen_domain::{
    cost::{AgentName, Costs},
    market::{Bar, check_published},
    time::Timestamp,
};
use tragen_host::{Context, clock};

/// What an unnamed agent is called outside.
const PLATFORM: &str = "platform";

/// The costs; clones share them. Never locked across an await.
#[derive(Debug, Clone)]
struct SharedCosts(Arc<Mutex<Costs>>);

impl SharedCosts {
    fn lock(&self) -> MutexGuard<'_, Costs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the monitor: counts usage and trades, answers [`Ask::Cost`].
///
/// # Errors
/// When the configuration is invalid or the bus cannot be subscribed.
pub async fn run(context: Context, bus: Bus, config: Config) -> anyhow::Result<()> {
    config.validate().context("checking the configuration of the cost monitor")?;
    metrics::describe();
    let costs = SharedCosts(Arc::new(Mutex::new(Costs::new(config.rates(), config.agents_max))));

    bus.answer(&context, Ask::Cost, answer::answers(costs.clone(), clock::now_micros())).await?;
    let reports = bus.pull(&context, Consumer::CostUsage);
    context.spawn("count-usage", usage::count(reports, costs.clone(), config.clone()));
    let outcomes = bus.pull(&context, Consumer::CostExecutions);
    let bets = bets::start(&context, &bus, &config).await.context("keeping the agents' bets")?;
    let scores = scores::start(&context, &bus, &config, bets).await.context("scoring the agents")?;
    pools::start(&context, &bus, (&config, scores)).await.context("sizing the pools")?;
    context.spawn("count-trades", trades::count(outcomes, costs, context.spans.clone(), config));
    context.set_ready();
    Ok(())
}

/// The agent called `name` on the wire; `None` is the platform.
fn agent_named(name: &str) -> Result<Option<AgentName>, tragen_domain::id::IdError> {
    if name.is_empty() || name == PLATFORM { Ok(None) } else { AgentName::new(name).map(Some) }
}

/// The bar of a message; what is none, or is from the future, is counted and not taken.
fn bar_of(message: &Followed) -> Option<Bar> {
    let bar = v1::Bar::decode(message.payload.clone()).ok().and_then(|bar| Bar::try_from(&bar).ok());
    let Some(bar) = bar else {
        counter!(metrics::MALFORMED, "kind" => "bar").increment(1);
        return None;
    };
    match check_published(bar.published_at, Timestamp::from_micros(clock::now_micros())) {
        Ok(()) => Some(bar),
        Err(error) => {
            counter!(metrics::MALFORMED, "kind" => "bar_from_the_future").increment(1);
            tracing::warn!("a bar of {} is not taken: {error}", bar.instrument);
            None
        }
    }
}
