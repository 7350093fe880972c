//! The life of one shard in this process: wait for its lease, take over, write
//! until the lease or the epoch is lost, and begin again.

use crate::{
    answer::Owned,
    arrivals::Arrivals,
    cache::Cache,
    config::{Config, ShardConfig},
    intake::{Note, SettlementAction},
    metrics as names,
    publish::{Limits, Publisher},
    slot::Directory,
    store::{Books, Store, lease::Leases, rows::SettlementRow},
    writer::{Ended, Waiting, Writer, until_stopped},
};
use metrics::gauge;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
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
    /// Those of all shards, by number.
    pub(crate) all_books: Arc<[Books]>,
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

    /// Takes a place, if there is one.
    fn enter(&self) -> bool {
        self.change(|held, share| if held < share { held + 1 } else { held })
    }

    fn leave(&self) {
        self.change(|held, _| held.saturating_sub(1));
    }

    /// Gives a place up, if there are more taken than there should be.
    fn leave_if_too_many(&self) -> bool {
        self.change(|held, share| if held > share { held - 1 } else { held })
    }

    /// Whether `change` has changed how many are held.
    fn change(&self, change: impl Fn(usize, usize) -> usize) -> bool {
        let share = *self.share.borrow();
        let is_changed = self.held.send_if_modified(|held| {
            let after = change(*held, share);
            std::mem::replace(held, after) != after
        });
        gauge!(names::SHARDS_OWNED).set(f64::from(u32::try_from(*self.held.borrow()).unwrap_or(u32::MAX)));
        is_changed
    }
}

impl Shard {
    /// Serves the shard whenever this process has its lease, until the process stops.
    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        let lasts = Duration::from_millis(self.config.lease_ms);
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        while let Some(held_until) = self.acquire(lasts).await {
            let (term, ending) = self.context.child();
            let mut has_left = false;
            let renewing = self.renew((held_until, lasts), ending.clone(), &mut has_left);
            let began = Instant::now();
            let served = tokio::select! {
                served = self.term(term) => served,
                () = renewing => Ok(Ended::Stopped),
            };
            ending.cancel();
            if !has_left {
                self.fair.leave();
            }
            // Who served for a while has no rival: a slot moved, and it goes on at once.
            if matches!(served, Ok(Ended::Stopped)) || began.elapsed() >= SETTLED_AFTER {
                backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
            }
            match served {
                Ok(Ended::Stopped) => {}
                Ok(Ended::Fenced) => info!("shard {} was taken over", self.books.shard),
                Err(error) => warn!("shard {} cannot be served: {error:#}", self.books.shard),
            }
            let releasing = self.leases.release(self.books.shard, &self.context.instance);
            match tokio::time::timeout(lasts, releasing).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!("the lease of shard {}: {:#}", self.books.shard, anyhow::Error::new(error)),
                Err(_) => debug!("the lease of shard {} cannot be given up", self.books.shard),
            }
            if !self.context.is_stopping() {
                backoff.wait().await;
            }
        }
        Ok(())
    }

    /// Waits for the lease, and says until when this process has it; `None` when the process stops.
    async fn acquire(&self, lasts: Duration) -> Option<Instant> {
        let mut tick = tokio::time::interval(lasts / 5);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stopped = self.context.stopped();
        tokio::pin!(stopped);
        let mut is_ready = false;
        loop {
            tokio::select! {
                () = &mut stopped => return None,
                _ = tick.tick() => {}
            }
            // Without the bus there is nothing to do here that another process could not do better.
            if !self.fair.has_room() || !self.bus.answers(lasts / 2).await {
                continue;
            }
            if !is_ready {
                // The database may have been away when the process started.
                match self.make_ready(lasts).await {
                    Ok(()) => is_ready = true,
                    Err(error) => {
                        let reason = format!("shard {} cannot be served: {error:#}", self.books.shard);
                        debug!("{reason}");
                        self.context.set_not_ready(reason);
                        continue;
                    }
                }
            }
            // The place is taken first: shards that are free at the same time must not come to more.
            if !self.fair.enter() {
                continue;
            }
            match self.hold(lasts).await {
                Some(Some(held_until)) => return Some(held_until),
                Some(None) | None => self.fair.leave(),
            }
        }
    }

    async fn make_ready(&self, wait: Duration) -> anyhow::Result<()> {
        let shard = self.books.shard;
        let begun = self.books.beginning().await?;
        match &begun {
            Some(begun) => anyhow::ensure!(
                begun.shard == shard && begun.shards == self.shards_at_creation,
                "its database holds shard {} of {}",
                begun.shard,
                begun.shards
            ),
            // Added later. Any other shard has had its beginning: an empty database is not its own.
            None => anyhow::ensure!(shard >= self.shards_at_creation, "its database is empty"),
        }
        self.books.update_tables(&self.place, wait).await?;
        if begun.is_none() {
            Store::begin(&self.books, &self.place, self.shards_at_creation, wait).await?;
        }
        Ok(())
    }

    /// Takes or renews the lease: until when this process has it by its own clock, `Some(None)` while
    /// somebody else does. `None` when the database does not say in time.
    async fn hold(&self, lasts: Duration) -> Option<Option<Instant>> {
        let asked = Instant::now();
        let holding = self.leases.hold(self.books.shard, &self.context.instance, lasts);
        match tokio::time::timeout(lasts / 2, holding).await {
            Ok(Ok(is_held)) => Some(is_held.then(|| asked + lasts)),
            Ok(Err(error)) => {
                debug!("the lease of shard {}: {:#}", self.books.shard, anyhow::Error::new(error));
                None
            }
            Err(_) => None,
        }
    }

    /// Renews the lease; ends the term when it is lost, has run out, or is given up for another process.
    /// Whether it was given up, `has_left` says.
    async fn renew(
        &self,
        (mut held_until, lasts): (Instant, Duration),
        ending: CancellationToken,
        has_left: &mut bool,
    ) {
        let mut tick = tokio::time::interval(lasts / 5);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // Without the bus another process may have the shard, once the lease has run out.
            *has_left = self.fair.leave_if_too_many();
            let renewed = if *has_left {
                Some(None)
            } else if self.bus.answers(lasts / 2).await {
                self.hold(lasts).await
            } else {
                None
            };
            match renewed {
                Some(Some(until)) => held_until = until,
                // A database that does not answer takes no commits either; the epoch keeps the order.
                None if Instant::now() < held_until => {}
                Some(None) | None => {
                    info!("shard {} is given up", self.books.shard);
                    ending.cancel();
                    // The term drains: what it holds goes back to the bus.
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// One term: from taking over to the end of the writer.
    async fn term(&self, context: Context) -> anyhow::Result<Ended> {
        let wait = Duration::from_millis(self.config.connect_wait_ms_max);
        let shard = self.books.shard;
        let taking_over = async {
            let (store, row) = Store::take_over(&self.books, &self.place, wait).await?;
            failpoint::pass("after_take_over");
            let (slots, settled) = (self.books.slots().await?, settled(store.settlements().await?)?);
            Ok::<_, anyhow::Error>((store, row, slots, settled))
        };
        // A database that hangs must not keep the shard from another process.
        let Some(taken_over) = until_stopped(&context, taking_over).await else { return Ok(Ended::Stopped) };
        let (store, row, slots, settled) = taken_over?;
        self.directory.learn(shard, &slots);
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
        let arrivals = Arrivals {
            context: context.clone(),
            bus: self.bus.clone(),
            books: Arc::clone(&self.all_books),
            shard,
            directory: self.directory.clone(),
        };
        context.spawn("ledger-arrivals", arrivals.watch());

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
            waiting: Waiting::new(self.config.fact_message_bytes_max),
            heard_at: Instant::now(),
        };
        let owned = self.owned.enter(&context, &self.bus, shard, deposit_sender, committed_count).await?;
        self.context.set_ready();
        let ended = writer.run().await;
        drop(owned);
        ended
    }
}

/// Decided markets by instrument.
pub(crate) fn settled(rows: Vec<SettlementRow>) -> anyhow::Result<HashMap<String, SettlementAction>> {
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
    bus: Bus,
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
        // A process without the bus leaves its part to the others.
        if !bus.answers(every).await {
            continue;
        }
        let instance = context.instance.as_ref();
        let seen = shards.iter().map(|(shard, leases)| async move {
            let announced = async {
                leases.announce(instance, every * 3).await?;
                leases.processes().await
            };
            match tokio::time::timeout(every, announced).await {
                Ok(Ok(seen)) => seen,
                Ok(Err(error)) => {
                    debug!("asking who serves shard {shard}: {:#}", anyhow::Error::new(error));
                    Vec::new()
                }
                Err(_) => Vec::new(),
            }
        });
        let mut processes: BTreeSet<String> = futures::future::join_all(seen).await.into_iter().flatten().collect();
        processes.insert(context.instance.to_string());
        let share = shards.len().div_ceil(processes.len());
        fair.share.send_replace(share.max(1));
    }
}
