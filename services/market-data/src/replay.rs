//! Plays the feed against the wall clock and keeps the bus up to date.

use crate::{
    config::Config,
    feed::{NotListed, Player},
    market::Market,
    number,
    publish::{Behind, Publisher, read, write},
};
use jiff::Timestamp as Clock;
use std::{
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{info, warn};
use tragen_domain::time::Timestamp;
use tragen_host::Context;

/// Events that are played before what changed is published.
const EVENTS_AT_ONCE: usize = 256;
/// When the feed is later than this, e.g. after the bus was away, it goes on from where it is.
const LATENESS_MAX: Duration = Duration::from_secs(1);
/// How soon a bus that did not answer is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// What happens at the end of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// It starts again a day later.
    StartAgain,
    /// Matches are finished, instruments closed.
    Close,
}

/// The feed on its way to the bus.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) context: Context,
    pub(crate) market: Arc<RwLock<Market>>,
    pub(crate) publisher: Publisher,
    /// `None` when there is no feed, or it has ended.
    pub(crate) player: Option<Player>,
    pub(crate) pace: Pace,
    pub(crate) at_end: AtEnd,
    pub(crate) quote_refresh: Duration,
    pub(crate) progress_every: Duration,
}

/// Market time against the wall clock.
#[derive(Debug)]
pub(crate) struct Pace {
    speed: f64,
    gap_secs_max: i64,
    warm_until: Timestamp,
    last: Timestamp,
    due: Instant,
}

impl Pace {
    /// Plays from `first`; the warm-up is played at once.
    pub(crate) fn new(config: &Config, first: Timestamp) -> Self {
        let warm_until = first.plus_millis(3_600_000 * i64::from(config.warm_up_hours));
        let gap_secs_max = i64::from(config.gap_secs_max);
        Self { speed: config.speed, gap_secs_max, warm_until, last: first, due: Instant::now() }
    }

    /// When the event at `next` is due.
    fn due(&self, next: Timestamp) -> Instant {
        if self.speed <= 0.0 || next <= self.warm_until {
            return self.due;
        }
        let gap_millis = next.millis_since(self.last.max(self.warm_until)).clamp(0, self.gap_secs_max * 1_000);
        let wait = Duration::try_from_secs_f64(number::float(gap_millis) / 1_000.0 / self.speed);
        self.due + wait.unwrap_or(Duration::MAX.min(Duration::from_secs(u64::from(u32::MAX))))
    }

    fn advance(&mut self, next: Timestamp, now: Instant) {
        self.due = self.due(next).max(now.checked_sub(LATENESS_MAX).unwrap_or(now));
        self.last = next;
    }
}

impl Replay {
    /// Runs until the process stops.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let stopped = self.context.stopped();
        tokio::select! {
            biased;
            () = stopped => Ok(()),
            // Everything it publishes is published again by the next run, so it may end anywhere.
            played = self.play() => played,
        }
    }

    async fn play(&mut self) -> anyhow::Result<()> {
        let mut connections = self.publisher.connections();
        connections.borrow_and_update();
        let mut refresh = tokio::time::interval(self.quote_refresh);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut progress = tokio::time::interval(self.progress_every);
        progress.reset();
        self.play_due()?;
        let _ = self.refill().await;
        loop {
            let is_behind = self.publisher.is_behind();
            let published = tokio::select! {
                biased;
                changed = connections.changed() => {
                    anyhow::ensure!(changed.is_ok(), "the bus connection is gone");
                    self.refill().await
                }
                () = tokio::time::sleep(RETRY), if is_behind => self.refill().await,
                _ = refresh.tick(), if !is_behind => self.publisher.refresh().await,
                _ = progress.tick(), if self.at_end == AtEnd::Close => {
                    self.log_progress();
                    Ok(())
                }
                () = wait_until(self.next_due()), if !is_behind => {
                    self.play_due()?;
                    self.publisher.publish_changes().await
                }
            };
            if published.is_err() && !is_behind {
                warn!("the bus does not take market data; the feed waits");
                self.context.set_not_ready("the bus does not take market data");
            }
        }
    }

    /// Publishes everything; ready as soon as the quotes are there.
    async fn refill(&mut self) -> Result<(), Behind> {
        self.publisher.refill().await?;
        self.context.set_ready();
        self.publisher.publish_bars().await
    }

    /// When the next event is due; `None` when there is none.
    fn next_due(&self) -> Option<Instant> {
        let next = self.player.as_ref()?.next_at();
        // At its end the feed is due at once: it is started again or closed.
        Some(next.map_or_else(Instant::now, |next| self.pace.due(next)))
    }

    /// Plays what is due, at most [`EVENTS_AT_ONCE`] events after the warm-up.
    fn play_due(&mut self) -> Result<(), NotListed> {
        let Some(player) = &mut self.player else { return Ok(()) };
        let mut market = write(&self.market);
        let now = Instant::now();
        let mut played = 0;
        while let Some(next) = player.next_at() {
            if played >= EVENTS_AT_ONCE || self.pace.due(next) > now {
                break;
            }
            played += usize::from(next > self.pace.warm_until);
            self.pace.advance(next, now);
            player.play_next(&mut market);
        }
        let at = player.progress().market_time;
        if player.next_at().is_none() {
            match self.at_end {
                AtEnd::StartAgain => player.start_again()?,
                AtEnd::Close => market.close(at),
            }
        }
        let (listed, open) = market.instrument_counts();
        drop(market);
        metrics::gauge!("market_data_instruments_open").set(number::float(i64::try_from(open).unwrap_or(i64::MAX)));
        metrics::gauge!("market_data_market_time_seconds").set(seconds(at));
        if self.player.as_ref().is_some_and(|player| player.next_at().is_none()) {
            self.log_progress();
            info!("the feed has ended: {listed} instruments are closed");
            self.player = None;
        }
        Ok(())
    }

    fn log_progress(&self) {
        let Some(player) = &self.player else { return };
        let progress = player.progress();
        let open = read(&self.market).instrument_counts().1;
        let time = Clock::from_microsecond(progress.market_time.micros()).unwrap_or_default();
        info!(
            market.time = %time,
            "market time {time}: {} of {} bars, {} of {} matches, {open} instruments open",
            progress.bars.0,
            progress.bars.1,
            progress.matches.0,
            progress.matches.1
        );
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn seconds(at: Timestamp) -> f64 {
    f64::from(u32::try_from(at.micros() / 1_000_000).unwrap_or_default())
}
