//! Puts the market on the bus: changes as they come, quotes again and again so
//! that they stay fresh, and everything once more when the bus has lost it.

use crate::{
    config::Config,
    market::{Market, Update},
};
use futures::{StreamExt as _, TryStreamExt as _};
use metrics::counter;
use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
    time::Duration,
};
use tracing::{debug, info};
use tragen_bus::{Bus, PublishError, PublishOptions, Stream, Subject};
use tragen_contracts::v1;
use tragen_domain::{
    id::{InstrumentId, MatchId},
    market::{Bar, Timeframe},
    time::Timestamp,
};
use tragen_host::clock;

/// Messages on their way at the same time.
const IN_FLIGHT: usize = 128;
/// How long one message is tried before everything is published anew.
const PATIENCE: Duration = Duration::from_millis(500);

/// Owns what is on the bus.
#[derive(Debug)]
pub(crate) struct Publisher {
    bus: Bus,
    market: Arc<RwLock<Market>>,
    lane_messages_max: i64,
    /// Start of the last published bar of each kind.
    published: BTreeMap<(Timeframe, InstrumentId), Timestamp>,
    /// The stream's sequence after the last published bar.
    bars_sequence: u64,
    is_behind: bool,
}

/// The bus did not take everything; it is told again by [`Publisher::refill`].
#[derive(Debug)]
pub(crate) struct Behind;

impl Publisher {
    pub(crate) fn new(bus: Bus, market: Arc<RwLock<Market>>, config: &Config) -> Self {
        Self {
            bus,
            market,
            lane_messages_max: config.lane_messages_max,
            published: BTreeMap::new(),
            bars_sequence: 0,
            is_behind: true,
        }
    }

    /// Changes with every connection to the bus.
    pub(crate) fn connections(&self) -> tokio::sync::watch::Receiver<u64> {
        self.bus.connections()
    }

    /// Whether the bus lacks something.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Publishes what has changed.
    pub(crate) async fn publish_changes(&mut self) -> Result<(), Behind> {
        let changes = write(&self.market).take_changes(now());
        self.publish(changes).await?;
        self.publish_bars().await
    }

    /// Publishes the quotes of all open instruments again.
    pub(crate) async fn refresh(&mut self) -> Result<(), Behind> {
        let quotes = write(&self.market).open_quotes(now());
        self.publish(quotes).await
    }

    /// Puts the topology in place and publishes everything but the bars, which
    /// follow with [`Publisher::publish_bars`] if the bus has lost them.
    pub(crate) async fn refill(&mut self) -> Result<(), Behind> {
        self.is_behind = true;
        if !self.bus.is_connected() {
            return Err(Behind);
        }
        self.bus.apply(self.lane_messages_max).await.map_err(|error| self.failed(&error))?;
        let last = self.bus.last_sequence(Stream::Bars).await.map_err(|error| self.failed(&error))?;
        if last < self.bars_sequence {
            info!("the bus has lost its bars: publishing them again");
            self.published.clear();
            self.bars_sequence = 0;
        }
        write(&self.market).mark_all_changed();
        self.is_behind = false;
        counter!("market_data_refills_total").increment(1);
        let changes = write(&self.market).take_changes(now());
        self.publish(changes).await
    }

    async fn publish(&mut self, updates: Vec<Update>) -> Result<(), Behind> {
        let bus = &self.bus;
        let sent = futures::stream::iter(updates).map(|update| send(bus, update)).buffered(IN_FLIGHT);
        let done = sent.try_for_each(|()| std::future::ready(Ok(()))).await;
        done.map_err(|error| self.failed(&error))
    }

    /// Publishes the bars that the bus does not have.
    pub(crate) async fn publish_bars(&mut self) -> Result<(), Behind> {
        let mut bars = read(&self.market).bars_after(&self.published);
        // Oldest first, so that a reader who stops in the middle misses nothing older.
        bars.sort_by_key(|bar| bar.start);
        // Only the newest bar of each kind is news; those before it are history to look at.
        let newest: BTreeMap<_, _> =
            bars.iter().map(|bar| ((bar.timeframe, bar.instrument.clone()), bar.start)).collect();
        let at = now();
        let bus = self.bus.clone();
        let sent = futures::stream::iter(bars).map(|bar| {
            let is_news = newest.get(&(bar.timeframe, bar.instrument.clone())) == Some(&bar.start);
            let published_at = if is_news { at } else { Timestamp::default() };
            send_bar(&bus, Bar { published_at, ..bar })
        });
        let mut sent = sent.buffered(IN_FLIGHT);
        while let Some(sent) = sent.next().await {
            let (kind, start, sequence) = sent.map_err(|error| self.failed(&error))?;
            self.published.insert(kind, start);
            self.bars_sequence = self.bars_sequence.max(sequence);
        }
        Ok(())
    }

    fn failed(&mut self, error: &dyn std::error::Error) -> Behind {
        self.is_behind = true;
        counter!("market_data_publish_failures_total").increment(1);
        debug!("publishing the market: {error}");
        Behind
    }
}

async fn send(bus: &Bus, update: Update) -> Result<(), PublishError> {
    let options = PublishOptions::default();
    let kind = match update {
        Update::Instrument(instrument) => {
            // Ids come from the market and are valid.
            let Ok(id) = InstrumentId::new(&instrument.instrument_id) else { return Ok(()) };
            bus.publish(&Subject::Instrument(id), &instrument, &options, PATIENCE).await?;
            "instrument"
        }
        Update::Odds(odds) => {
            let Ok(id) = MatchId::new(&odds.match_id) else { return Ok(()) };
            bus.publish(&Subject::Odds(id), &odds, &options, PATIENCE).await?;
            "odds"
        }
        Update::Match(game) => {
            let Ok(id) = MatchId::new(&game.match_id) else { return Ok(()) };
            bus.publish(&Subject::Match(id), &game, &options, PATIENCE).await?;
            "match"
        }
        Update::Quote(quote) => {
            let Ok(id) = InstrumentId::new(&quote.instrument_id) else { return Ok(()) };
            bus.publish(&Subject::Quote(id), &quote, &options, PATIENCE).await?;
            "quote"
        }
    };
    counter!("market_data_messages_published_total", "kind" => kind).increment(1);
    Ok(())
}

async fn send_bar(bus: &Bus, bar: Bar) -> Result<((Timeframe, InstrumentId), Timestamp, u64), PublishError> {
    let subject = Subject::Bar(bar.timeframe, bar.instrument.clone());
    let sequence = bus.publish(&subject, &v1::Bar::from(&bar), &PublishOptions::default(), PATIENCE).await?;
    counter!("market_data_messages_published_total", "kind" => "bar").increment(1);
    Ok(((bar.timeframe, bar.instrument), bar.start, sequence))
}

/// The market, also after a task has panicked while it held it: it is only replaced piece by piece.
pub(crate) fn read(market: &RwLock<Market>) -> std::sync::RwLockReadGuard<'_, Market> {
    market.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// As [`read`], to change it.
pub(crate) fn write(market: &RwLock<Market>) -> std::sync::RwLockWriteGuard<'_, Market> {
    market.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn now() -> Timestamp {
    Timestamp::from_micros(clock::now_micros())
}
