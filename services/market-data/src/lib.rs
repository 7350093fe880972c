//! Market data: plays a feed of matches and prices and publishes instruments,
//! matches, quotes and bars; answers questions about them.
//!
//! | file | what it does |
//! |---|---|
//! | [`file`], `csv`, `number` | reads match, event and bar files; names every bad row |
//! | `sample` | writes a made-up match day in the same formats |
//! | `catalog` | the rules of every instrument |
//! | [`feed`] | plays the files in market time, as a simulated venue would quote them |
//! | [`market`] | what is known now |
//! | `history` | results of the past and announced fixtures |
//! | `replay`, `publish` | wall clock, bus, freshness |
//! | `answer` | questions |
//! | `last_trade` | prices of Tragen's own trades |

mod answer;
mod catalog;
mod config;
mod csv;
pub mod feed;
pub mod file;
mod history;
mod last_trade;
pub mod market;
mod metrics;
mod number;
mod odds;
mod publish;
mod replay;
mod sample;

pub use catalog::{Listing, predictions};
pub use config::{Config, ConfigError, Feed};

use anyhow::Context as _;
use feed::{PlayRules, Player};
use file::{Intake, Limits, Window};
use market::Market;
use publish::Publisher;
use replay::{AtEnd, Pace, Replay};
use std::{
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};
use tracing::info;
use tragen_bus::Bus;
use tragen_domain::time::Timestamp;
use tragen_host::Context;

/// Starts market data; it is ready once the first quotes are on the bus.
///
/// # Errors
/// When the configuration, a file of the feed or the bus cannot be used.
pub async fn run(context: Context, bus: Bus, config: Config) -> anyhow::Result<()> {
    config.validate()?;
    metrics::describe();
    context.set_not_ready("loading the feed");
    bus.apply(config.lane_messages_max).await.context("putting the bus topology in place")?;
    let player = player(&config).await?;
    let first = player.as_ref().and_then(Player::next_at).unwrap_or(Timestamp::from_micros(0));
    let market = Arc::new(RwLock::new(Market::default()));
    answer::start(&context, &bus, Arc::clone(&market)).await?;
    last_trade::start(&context, &bus, Arc::clone(&market)).await?;
    let is_repeated = config.feed == Feed::Sample && config.is_sample_looped;
    let replay = Replay {
        context: context.clone(),
        publisher: Publisher::new(bus, Arc::clone(&market), &config),
        market,
        player,
        pace: Pace::new(&config, first),
        at_end: if is_repeated { AtEnd::StartAgain } else { AtEnd::Close },
        quote_refresh: Duration::from_millis(config.quote_refresh_ms),
        progress_every: Duration::from_secs(config.progress_secs),
    };
    context.spawn("replay", replay.run());
    Ok(())
}

/// The player of the configured feed; `None` without a feed.
async fn player(config: &Config) -> anyhow::Result<Option<Player>> {
    let start = match config.feed {
        Feed::None => return Ok(None),
        Feed::Sample => Some(sample::start()),
        Feed::Files(_) => None,
    };
    let reading = config.clone();
    let intake = tokio::task::spawn_blocking(move || read(&reading)).await.context("reading the feed")??;
    info!("the feed holds {}", intake.summary());
    let rules = PlayRules { listing_hours: config.listing_hours, start };
    Ok(Some(Player::new(Arc::new(intake), rules)?))
}

fn read(config: &Config) -> anyhow::Result<Intake> {
    let paths: Vec<PathBuf> = match &config.feed {
        Feed::None => Vec::new(),
        Feed::Sample => sample::write(&config.data_dir.join("sample"), config.seed)?,
        Feed::Files(paths) => paths.clone(),
    };
    let limits = Limits { file_mib_max: config.file_mib_max, rows_max: config.rows_max };
    let mut intake = file::read(&paths, limits)?;
    if config.feed == Feed::Sample {
        let past = sample::write_past(&config.data_dir.join("sample"), config.seed)?;
        intake.past = file::read(&[past], limits)?.matches;
        return Ok(intake);
    }
    let window = Window::parse(&config.from_date, &config.to_date).map_err(ConfigError::Date)?;
    Ok(intake.within(window)?)
}
