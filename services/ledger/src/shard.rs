//! The life of one shard in this process: wait for its lease, take over, write
//! until the lease or the epoch is lost, and begin again.

use crate::{
    answer::Owned,
    cache::Cache,
    config::{Config, ShardConfig},
    intake::{Note, SettlementAction},
    metrics as names,
    publish::{Limits, Publisher},
    slot::Directory,
    store::{Books, Store, lease::Leases, rows::SettlementRow},
    writer::{Ended, Writer},
};
use metrics::gauge;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use tragen_bus::{Bus, Consumer};
use tragen_domain::{id::InstrumentId, ledger::VenueId, money::Price};
use tragen_host::{Context, failpoint, retry::Backoff};

/// A term that lasted this long was a good one: the next one begins without a pause.
const SETTLED_AFTER: Duration = Duration::from_millis(500);

/// What all terms of a shard share.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    pub(crate) context: Context,
    pub(crate) bus: Bus,
    pub(crate) books: Books,
    pub(crate) place: ShardConfig,
    /// Shards that share the slots from the beginning.
    pub(crate) shards_at_creation: u16,
    pub(crate) config: Arc<Config>,
    pub(crate) directory: Directory,
    pub(crate) owned: Owned,
    pub(crate) leases: Leases,
    /// How many shards there are, to share them fairly.
    pub(crate) fair: Fair,
}

/// How many shards this process holds, and how many it should at most.
#[derive(Debug, Clone)]
pub(crate) struct Fair {
    held: watch::Sender<usize>,
    pub(crate) share: watch::Sender<usize>,
}

impl Fair {
    /// At first every shard is welcome.
    pub(crate) fn new() -> Self {
        Self { held: watch::Sender::new(0), share: watch::Sender::new(usize::MAX) }
    }

    fn has_room(&self) -> bool {
        *self.held.borrow() < *self.share.borrow()
    }

    fn has_too_many(&self) -> bool {
        *self.held.borrow() > *self.share.borrow()
    }

    fn add(&self, change: isize) {
        self.held.send_modify(|held| *held = held.saturating_add_signed(change));
        gauge!(names::SHARDS_OWNED).set(f64::from(u32::try_from(*self.held.borrow()).unwrap_or(u32::MAX)));
    }
}

impl Shard {
    /// Serves the shard whenever this process has its lease, until the process stops.
    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        let lasts = Duration::from_millis(self.config.lease_ms);
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        while self.acquire(lasts).await {
            self.fair.add(1);
            let (term, ending) = self.context.child();
            let renewing = self.renew(lasts, ending.clone());
            let began = Instant::now();
            let served = tokio::select! {
                served = self.term(term) => served,
                () = renewing => Ok(Ended::Stopped),
            };
            ending.cancel();
            self.fair.add(-1);
            // Who served for a while has no rival: a slot moved, and it goes on at once.
            if matches!(served, Ok(Ended::Stopped)) || began.elapsed() >= SETTLED_AFTER {
                backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
            }
            match served {
                Ok(Ended::Stopped) => {}
                Ok(Ended::Fenced) => info!("shard {} was taken over", self.books.shard),
                Err(error) => warn!("shard {} cannot be served: {error:#}", self.books.shard),
            }
            if let Err(error) = self.leases.release(self.books.shard, &self.context.instance).await {
                debug!("releasing the lease of shard {}: {:#}", self.books.shard, anyhow::Error::new(error));
            }
            if !self.context.is_stopping() {
                backoff.wait().await;
            }
        }
        Ok(())
    }

    /// Waits for the lease; false when the process stops.
    async fn acquire(&self, lasts: Duration) -> bool {
        let mut tick = tokio::time::interval(lasts / 5);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stopped = self.context.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return false,
                _ = tick.tick() => {}
            }
            // Without the bus there is nothing to do here that another process could not do better.
            if !self.bus.is_connected() || !self.fair.has_room() {
                continue;
            }
            match self.leases.hold(self.books.shard, &self.context.instance, lasts).await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => debug!("the lease of shard {}: {:#}", self.books.shard, anyhow::Error::new(error)),
            }
        }
    }

    /// Renews the lease; ends when it is lost, or given up for another process.
    async fn renew(&self, lasts: Duration, ending: CancellationToken) {
        let mut tick = tokio::time::interval(lasts / 5);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if !self.bus.is_connected() {
                // Another process that has the bus may take the shard once the lease has run out.
                continue;
            }
            let held = if self.fair.has_too_many() {
                Ok(false)
            } else {
                self.leases.hold(self.books.shard, &self.context.instance, lasts).await
            };
            match held {
                Ok(true) => {}
                Ok(false) => {
                    info!("shard {} is given up", self.books.shard);
                    ending.cancel();
                    // The term drains: what it holds goes back to the bus.
                    std::future::pending::<()>().await;
                }
                // A database that does not answer takes no commits either; the epoch keeps the order.
                Err(error) => debug!("the lease of shard {}: {:#}", self.books.shard, anyhow::Error::new(error)),
            }
        }
    }

    /// One term: from taking over to the end of the writer.
    async fn term(&self, context: Context) -> anyhow::Result<Ended> {
        let wait = Duration::from_millis(self.config.connect_wait_ms_max);
        let shard = self.books.shard;
        let (store, row) = Store::take_over(&self.books, &self.place, self.shards_at_creation, wait).await?;
        failpoint::pass("after_take_over");
        let slots = self.books.slots().await?;
        self.directory.learn(shard, &slots);
        let settled = settled(store.settlements().await?)?;
        info!("shard {shard} is served from epoch {} on", row.epoch);

        let (publisher, committed) = mpsc::channel(self.config.publish_queue_max);
        let limits = Limits {
            message_bytes_max: self.config.fact_message_bytes_max,
            patience: Duration::from_millis(self.config.publish_patience_ms),
            retell_hours: self.config.retell_hours,
        };
        let publishing =
            Publisher::new(context.clone(), self.bus.clone(), self.books.clone(), committed, limits, row.fact_sequence)
                .run();
        context.spawn("ledger-publish", publishing);

        let (deposit_sender, deposits) = mpsc::channel(self.config.deposit_queue_max);
        let (commits, committed_count) = watch::channel(0);
        let writer = Writer {
            context: context.clone(),
            store,
            shard: row,
            slots,
            directory: self.directory.clone(),
            settled,
            cache: Cache::new(self.config.cached_rows_max),
            reports: self.bus.pull(&context, Consumer::Ledger(shard)),
            deposits,
            publisher,
            commits,
            batch_items_max: self.config.batch_items_max,
            held: VecDeque::new(),
        };
        let owned = self.owned.enter(&context, &self.bus, shard, deposit_sender, committed_count).await?;
        self.context.set_ready();
        let ended = writer.run().await;
        drop(owned);
        ended
    }
}

/// Decided markets by instrument.
fn settled(rows: Vec<SettlementRow>) -> anyhow::Result<HashMap<String, SettlementAction>> {
    let parsed = rows.into_iter().map(|row| {
        let settlement = SettlementAction {
            booking_id: row.booking_id,
            venue: VenueId::new(&row.venue)?,
            instrument: InstrumentId::new(&row.instrument_id)?,
            value: (!row.is_void).then(|| Price::from_micros(row.value)),
            note: Note { reason: row.reason, proposed_by: row.proposed_by, confirmed_by: row.confirmed_by },
        };
        Ok((row.instrument_id, settlement))
    });
    parsed.collect()
}

/// Lets processes share the shards: each takes its part, and gives up what is above it.
pub(crate) async fn share(
    context: Context,
    shards: Vec<(u16, Leases)>,
    fair: Fair,
    every: Duration,
) -> anyhow::Result<()> {
    let stopped = context.stopped();
    tokio::pin!(stopped);
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stopped => return Ok(()),
            _ = tick.tick() => {}
        }
        let mut processes = std::collections::BTreeSet::from([context.instance.to_string()]);
        for (shard, leases) in &shards {
            if let Err(error) = leases.announce(&context.instance, every * 3).await {
                debug!("announcing this process to shard {shard}: {:#}", anyhow::Error::new(error));
            }
            match leases.processes().await {
                Ok(seen) => processes.extend(seen),
                Err(error) => debug!("asking who serves shard {shard}: {:#}", anyhow::Error::new(error)),
            }
        }
        let share = shards.len().div_ceil(processes.len());
        fair.share.send_replace(share.max(1));
    }
}
