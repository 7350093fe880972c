//! The one writer of a shard: takes what waits, decides it in memory, commits it
//! in one transaction and hands the facts on. Reports and deposits go through
//! here and nowhere else, so nothing races.
//!
//! Batches form by themselves: while one commits, the next one gathers. When much
//! waits, the next one is decided while the one before it is still committing; if
//! that commit fails, nothing of the next one has happened and it is decided anew.

mod settle;
mod waiting;
mod work;

use crate::{
    batch::{Decision, Frame, Outcome, decide, keys_of},
    cache::Cache,
    intake::{Action, Item, SettlementAction},
    metrics as names,
    publish::{self, Committed},
    slot::{Directory, Slots},
    store::{Keys, Known, Store, StoreError, rows::ShardRow},
    unbookable::Unbookable,
};
use metrics::{counter, histogram};
use opentelemetry::trace::SpanKind;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tracing::warn;
use tragen_bus::{Delivery, Puller};
use tragen_contracts::v1;
use tragen_domain::ledger::ResultCode;
use tragen_host::{Context, clock::now_micros, retry::Backoff, trace::ActiveSpan};
pub(crate) use waiting::Waiting;
pub(crate) use work::DepositCommand;
use work::{Work, answer, report};

/// Messages that may be held: what the bus hands out unacked.
const HELD_MAX: usize = 1_024;
/// How often the bus hears that what was pulled is in hand: well within its ack wait.
const PROGRESS_EVERY: Duration = Duration::from_millis(600);
/// How often a writer that commits nothing looks whether it still may.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longest pause between two attempts to reach the database; well below the bus's ack wait.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);
/// How long the end of a term waits for the commit that is on its way.
const END_WAIT: Duration = Duration::from_secs(1);

/// The writer's ends.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) context: Context,
    pub(crate) store: Store,
    /// The shard row after everything decided so far.
    pub(crate) shard: ShardRow,
    pub(crate) slots: Slots,
    pub(crate) directory: Directory,
    pub(crate) settled: HashMap<String, SettlementAction>,
    pub(crate) cache: Cache,
    pub(crate) reports: Puller<v1::ExecutionBatch>,
    pub(crate) deposits: mpsc::Receiver<DepositCommand>,
    pub(crate) publisher: mpsc::Sender<Committed>,
    /// Bumped with every commit, for questions that wait for a version.
    pub(crate) commits: watch::Sender<u64>,
    pub(crate) batch_items_max: usize,
    /// Pulled but not yet in a batch.
    pub(crate) held: VecDeque<Delivery<v1::ExecutionBatch>>,
    /// What is for slots on their way out.
    pub(crate) waiting: Waiting,
    /// When the bus last heard that everything pulled is in hand.
    pub(crate) heard_at: Instant,
}

/// Why the writer ends.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The process stops, or the shard is given up.
    Stopped,
    /// Another writer has taken over.
    Fenced,
}

/// A batch that is decided.
struct Prepared {
    decision: Decision,
    spans: Vec<ActiveSpan>,
    started: Instant,
}

/// A batch on its way into the database.
struct Flight {
    work: Work,
    committing: JoinHandle<Result<(), StoreError>>,
    done: Done,
}

/// What follows from a committed part.
struct Done {
    decision: Decision,
    spans: Vec<ActiveSpan>,
    started: Instant,
}

impl Writer {
    /// Works until the shard is given up or somebody else has it.
    pub(crate) async fn run(mut self) -> anyhow::Result<Ended> {
        let mut next = Work::default();
        let mut flight: Option<Flight> = None;
        let mut looked_at = Instant::now();
        let ended = loop {
            if flight.is_none() && looked_at.elapsed() >= LOOK_EVERY {
                looked_at = Instant::now();
                if self.is_fenced().await {
                    break Ended::Fenced;
                }
            }
            match self.step(&mut next, &mut flight).await {
                Ok(true) => {}
                Ok(false) => break Ended::Stopped,
                Err(StoreError::Fenced { .. }) => break Ended::Fenced,
                Err(StoreError::Unavailable(error) | StoreError::Refused(error)) => return Err(error),
            }
        };
        // Committed or not, everything is safe to be delivered again: first it goes back, so that
        // whoever has the shard now need not wait for a database that hangs.
        self.held.extend(next.deliveries);
        self.held.extend(self.waiting.take());
        let committing = flight.map(|flight| {
            self.held.extend(flight.work.deliveries);
            flight.committing
        });
        for delivery in &self.held {
            delivery.retry(Duration::ZERO).await;
        }
        self.reports.give_back().await;
        if let Some(mut committing) = committing
            && tokio::time::timeout(END_WAIT, &mut committing).await.is_err()
        {
            committing.abort();
        }
        self.store.close().await;
        Ok(ended)
    }

    /// One step of the loop; false when the shard is given up.
    async fn step(&mut self, next: &mut Work, flight: &mut Option<Flight>) -> Result<bool, StoreError> {
        self.gather(next).await;
        if self.heard_at.elapsed() > PROGRESS_EVERY {
            // A backlog takes longer than the ack wait; without this all of it would come again.
            self.say_in_progress(next, flight.as_ref()).await;
        }
        if self.context.is_stopping() {
            return Ok(false);
        }
        let is_much = next.items.len() * 2 >= self.batch_items_max;
        match flight.as_mut() {
            Some(_) if is_much && next.settlements.is_empty() => return self.relay(next, flight).await,
            Some(current) => {
                let stopped = self.context.stopped();
                tokio::select! {
                    biased;
                    landed = &mut current.committing => {
                        self.land(flight, landed).await?;
                    }
                    () = stopped => return Ok(false),
                    () = tokio::time::sleep(PROGRESS_EVERY) => {}
                    Some(command) = self.deposits.recv() => next.deposit(command, &self.slots),
                    Some(delivery) = self.reports.next(), if !is_much => self.held.push_back(delivery),
                }
            }
            None if !next.settlements.is_empty() => self.settle(std::mem::take(next)).await?,
            None if next.is_empty() => {
                let stopped = self.context.stopped();
                // All are cancel-safe: a message is either here or still in its queue.
                tokio::select! {
                    biased;
                    () = stopped => return Ok(false),
                    Some(command) = self.deposits.recv() => next.deposit(command, &self.slots),
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    delivery = self.reports.next() => match delivery {
                        Some(delivery) => self.held.push_back(delivery),
                        None => return Ok(false),
                    },
                }
            }
            None => {
                let context = self.context.clone();
                match until_stopped(&context, self.prepare(&mut next.items)).await {
                    Some(Ok(prepared)) => *flight = Some(self.launch(std::mem::take(next), prepared)),
                    Some(Err(error)) => {
                        self.recover(error).await?;
                        self.book_and_publish(std::mem::take(next)).await?;
                    }
                    None => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// Decides the next batch while the one before it commits, and sends it after it; false when the
    /// shard is given up.
    async fn relay(&mut self, next: &mut Work, flight: &mut Option<Flight>) -> Result<bool, StoreError> {
        let Some(current) = flight.as_mut() else { return Ok(true) };
        let context = self.context.clone();
        let Some(prepared) = until_stopped(&context, self.prepare(&mut next.items)).await else { return Ok(false) };
        let Some(landed) = self.landing(next, current).await else { return Ok(false) };
        match (landed, prepared) {
            (Ok(Ok(())), Ok(prepared)) => {
                // The database goes on first; what follows from the landed batch can be told meanwhile.
                let launched = self.launch(std::mem::take(next), prepared);
                if let Some(Flight { work, done, .. }) = flight.replace(launched) {
                    self.tell(work, done).await;
                }
            }
            (landed, prepared) => {
                // Decided on books that are not: it stays in `next` and is decided anew.
                self.land(flight, landed).await?;
                if let Err(error) = prepared {
                    self.recover(error).await?;
                }
            }
        }
        Ok(true)
    }

    /// Waits for the commit on its way; `None` when the shard is given up before.
    async fn landing(
        &mut self,
        next: &mut Work,
        flight: &mut Flight,
    ) -> Option<Result<Result<(), StoreError>, tokio::task::JoinError>> {
        let stopped = self.context.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                biased;
                landed = &mut flight.committing => return Some(landed),
                () = &mut stopped => return None,
                () = tokio::time::sleep(PROGRESS_EVERY) => self.say_in_progress(next, Some(flight)).await,
            }
        }
    }

    /// Whether somebody else has the shard, or has had it: a slot that went or came. Whoever
    /// commits hears of it anyway; this is for the writer that has nothing to commit.
    async fn is_fenced(&self) -> bool {
        let looked = until_stopped(&self.context, self.store.load(Keys::default())).await;
        matches!(looked, Some(Err(StoreError::Fenced { .. })))
    }

    /// Adds what waits, without waiting for more.
    async fn gather(&mut self, work: &mut Work) {
        while work.items.len() < self.batch_items_max {
            match self.deposits.try_recv() {
                Ok(command) => work.deposit(command, &self.slots),
                Err(_) => break,
            }
        }
        while work.items.len() < self.batch_items_max && work.settlements.is_empty() {
            match self.held.pop_front().or_else(|| self.reports.try_next()) {
                Some(delivery) => {
                    let own = self.store.books.shard;
                    if let Some(waits) = work.reports(delivery, &self.slots, (own, &self.directory)).await {
                        self.waiting.keep(waits, (own, &mut *work)).await;
                    }
                }
                None => break,
            }
        }
    }

    /// Reads what is not remembered, and decides.
    async fn prepare(&mut self, items: &mut [Item]) -> Result<Prepared, StoreError> {
        self.prepare_for(items, keys_of(items)).await
    }

    async fn prepare_for(&mut self, items: &mut [Item], asked: Keys) -> Result<Prepared, StoreError> {
        let started = Instant::now();
        if let Some(wanted) = self.cache.wanted_trade_ids() {
            let ids = self.store.newest_trade_ids(wanted).await?;
            self.cache.know_trade_ids(ids, wanted);
        }
        let (mut known, keys) = self.cache.recall(&asked);
        // With nothing to read, the commit is what tells whether the shard is still ours.
        let read = if keys.is_empty() { Known::default() } else { self.store.load(keys.clone()).await? };
        self.cache.merge(&keys, &asked, read, &mut known);
        known.shard = self.shard.clone();
        let spans = self.spans(items, &known);
        let frame = Frame {
            shard: self.store.books.shard,
            slots: &self.slots,
            directory: &self.directory,
            settled: &self.settled,
            now: now_micros(),
        };
        let decision = decide(items, known, frame);
        self.shard = decision.changes.after.clone();
        self.cache.remember(&decision.changes);
        Ok(Prepared { decision, spans, started })
    }

    /// Starts the commit of a decided batch.
    fn launch(&self, work: Work, prepared: Prepared) -> Flight {
        histogram!(names::BATCH_ITEMS).record(f64::from(u32::try_from(work.items.len()).unwrap_or(u32::MAX)));
        let Prepared { decision, spans, started } = prepared;
        let is_change = decision.is_change();
        let transfers = decision.changes.transfers.len();
        let changes = Arc::clone(&decision.changes);
        counter!(names::TRANSFERS).increment(u64::try_from(transfers).unwrap_or(0));
        let store = self.store.clone();
        let committing = tokio::spawn(async move { if is_change { store.commit(changes).await } else { Ok(()) } });
        Flight { work, committing, done: Done { decision, spans, started } }
    }

    /// Takes a batch out of the air: what it did is told, or it is booked again step by step.
    async fn land(
        &mut self,
        flight: &mut Option<Flight>,
        landed: Result<Result<(), StoreError>, tokio::task::JoinError>,
    ) -> Result<(), StoreError> {
        let Some(Flight { work, done, .. }) = flight.take() else { return Ok(()) };
        let error = match landed {
            Ok(Ok(())) => {
                self.tell(work, done).await;
                return Ok(());
            }
            Ok(Err(error)) => error,
            Err(panic) => StoreError::unavailable(anyhow::Error::new(panic)),
        };
        fail(done.spans, &error);
        self.recover(error).await?;
        self.book_and_publish(work).await
    }

    /// Gives what a committed batch did to the publisher.
    async fn tell(&self, work: Work, done: Done) {
        let mut committed = Committed::default();
        let outcomes = self.finish(&work.items, done, &mut committed);
        self.hand_over(work, outcomes, committed).await;
    }

    /// After a failure nothing is known but what is stored. Only a new owner ends the work.
    async fn recover(&mut self, error: StoreError) -> Result<(), StoreError> {
        counter!(names::STORE_FAILURES).increment(1);
        self.cache.clear();
        match error {
            StoreError::Fenced { .. } => return Err(error),
            StoreError::Unavailable(cause) => {
                warn!("the ledger's database does not answer: {cause:#}");
                self.context.set_not_ready("the ledger's database does not answer");
            }
            StoreError::Refused(cause) => warn!("the ledger's database refuses a batch: {cause:#}"),
        }
        Ok(())
    }

    async fn book_and_publish(&mut self, mut work: Work) -> Result<(), StoreError> {
        let Some((outcomes, committed)) = self.book(&mut work).await? else {
            self.held.extend(work.deliveries);
            return Ok(());
        };
        self.hand_over(work, outcomes, committed).await;
        Ok(())
    }

    /// Commits everything in `work` without a flight, however long the database
    /// takes. A part that the database refuses is halved until the one bad item is
    /// found and set aside. `None` when the shard is given up.
    async fn book(&mut self, work: &mut Work) -> Result<Option<(Vec<Outcome>, Committed)>, StoreError> {
        let mut committed = Committed::default();
        let mut outcomes = Vec::with_capacity(work.items.len());
        let mut parts: Vec<_> = std::iter::once(0..work.items.len()).collect();
        let mut backoff = Backoff::new(Duration::from_millis(10), RETRY_DELAY_MAX);
        let context = self.context.clone();
        while let Some(part) = parts.pop() {
            let (held, waiting) = (std::mem::take(&mut self.held), self.waiting.lend());
            let attempted = tokio::select! {
                biased;
                attempted = self.attempt(&mut work.items[part.clone()]) => Some(attempted),
                () = context.stopped() => None,
                () = keep_in_progress(work.deliveries.iter().chain(&held).chain(waiting.iter())) => None,
            };
            (self.held, self.waiting) = (held, waiting);
            let Some(attempted) = attempted else { return Ok(None) };
            match attempted {
                Ok(done) => {
                    outcomes.extend(self.finish(&work.items[part], done, &mut committed));
                    self.context.set_ready();
                }
                Err(StoreError::Refused(cause)) if part.len() == 1 => {
                    self.cache.clear();
                    work.items[part.start].action =
                        Err(Unbookable::new(ResultCode::StoreRefused, format!("the database refuses it: {cause:#}")));
                    parts.push(part);
                }
                Err(StoreError::Refused(cause)) => {
                    self.cache.clear();
                    warn!("the database refuses {} items, looking for the bad one: {cause:#}", part.len());
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                }
                Err(error) => {
                    self.recover(error).await?;
                    parts.push(part);
                    self.say_in_progress(work, None).await;
                    if self.context.is_stopping() {
                        return Ok(None);
                    }
                    backoff.wait().await;
                }
            }
        }
        // Parts share facts only when one was told again; keep the order.
        committed.facts.sort_by_key(|fact| fact.sequence);
        Ok(Some((outcomes, committed)))
    }

    /// One transaction on what is stored.
    async fn attempt(&mut self, items: &mut [Item]) -> Result<Done, StoreError> {
        // A commit whose answer was lost may have happened: look before deciding.
        self.shard = self.store.load(Keys::default()).await?.shard;
        self.look_at_markets(items).await?;
        let prepared = self.prepare_for(items, keys_of(items).with_fills()).await?;
        let Prepared { decision, spans, started } = prepared;
        if decision.is_change()
            && let Err(error) = self.store.commit(Arc::clone(&decision.changes)).await
        {
            fail(spans, &error);
            self.cache.clear();
            return Err(error);
        }
        Ok(Done { decision, spans, started })
    }

    /// Counts, and collects what must be told of a committed part.
    fn finish(&self, items: &[Item], mut done: Done, committed: &mut Committed) -> Vec<Outcome> {
        let decision = &mut done.decision;
        for (span, outcome) in done.spans.iter_mut().zip(&decision.outcomes) {
            if let Outcome::SetAside(why) = outcome {
                span.fail("set_aside", why.to_string());
            }
        }
        histogram!(names::COMMIT_SECONDS).record(done.started.elapsed().as_secs_f64());
        self.commits.send_modify(|count| *count = count.wrapping_add(1));
        committed.alerts.extend(report(items, decision));
        committed.facts.append(&mut decision.facts);
        committed.fact_sequence = decision.changes.after.fact_sequence;
        let arrivals = decision.arrivals.drain(..);
        committed.handed_on.extend(arrivals.map(|(to, report)| (to, crate::intake::LEDGER_VENUE.to_owned(), report)));
        std::mem::take(&mut decision.outcomes)
    }

    /// Gives what was committed to the publisher.
    async fn hand_over(&self, mut work: Work, outcomes: Vec<Outcome>, mut committed: Committed) {
        committed.replies = work.replies.drain(..).map(|(place, reply)| (reply, answer(&outcomes[place]))).collect();
        committed.handed_on.append(&mut work.handed_on);
        committed.deliveries = work.deliveries;
        // Only a publisher that is gone refuses: the facts are told again by whoever starts next.
        let _ = self.publisher.send(committed).await;
    }

    /// A span per item, continuing the trace of what caused it. A redelivery of
    /// something booked is linked to it instead.
    fn spans(&self, items: &mut [Item], known: &Known) -> Vec<ActiveSpan> {
        if !self.context.spans.is_enabled() {
            return Vec::new();
        }
        let trades = known.trades.iter().map(|row| row.trade_id);
        let booked: HashSet<_> = trades.chain(known.cash.iter().map(|row| row.trade_id)).collect();
        let start = |item: &mut Item| {
            let cause = item.report.meta.as_ref().map_or("", |meta| meta.traceparent.as_str());
            let is_booked = match &item.action {
                Ok(Action::Account(key, _)) => booked.contains(&key.trade_id),
                Ok(Action::Settlement(_)) | Err(_) => false,
            };
            let (parent, linked) = if item.deliveries > 1 && is_booked { ("", cause) } else { (cause, "") };
            let mut span = self.context.spans.start_linked("post trade", SpanKind::Consumer, parent, linked);
            span.set("messaging.system", "nats");
            span.set("db.system.name", self.store.books.system());
            item.traceparent = span.traceparent();
            span
        };
        items.iter_mut().map(start).collect()
    }

    /// Tells the bus that everything pulled is in hand.
    async fn say_in_progress(&mut self, work: &mut Work, flight: Option<&Flight>) {
        while self.held.len() < HELD_MAX {
            match self.reports.try_next() {
                Some(delivery) => self.held.push_back(delivery),
                None => break,
            }
        }
        let flying = flight.iter().flat_map(|flight| &flight.work.deliveries);
        for delivery in work.deliveries.iter().chain(&self.held).chain(self.waiting.iter()).chain(flying) {
            delivery.in_progress().await;
        }
        self.heard_at = Instant::now();
    }
}

/// Tells the bus again and again that `deliveries` are in hand.
async fn keep_in_progress(deliveries: impl Iterator<Item = &Delivery<v1::ExecutionBatch>> + Clone) {
    loop {
        tokio::time::sleep(PROGRESS_EVERY).await;
        for delivery in deliveries.clone() {
            delivery.in_progress().await;
        }
    }
}

/// What `work` gives, unless the shard is given up first.
pub(crate) async fn until_stopped<T>(context: &Context, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        given = work => Some(given),
        () = context.stopped() => None,
    }
}

fn fail(mut spans: Vec<ActiveSpan>, error: &StoreError) {
    for span in &mut spans {
        span.fail("commit", error.to_string());
    }
}

/// Why a delivery that is here cannot be booked here for the moment.
pub(crate) fn busy(reason: &str, message: String) -> v1::AskError {
    v1::AskError { code: 14, reason: reason.to_owned(), message }
}

/// The alert about a report that could not be booked.
pub(crate) fn set_aside_alert(item: &Item, why: &Unbookable) -> v1::Alert {
    let key = item.raw_key();
    let id = if item.event_id().is_empty() { key.trade_id.as_str() } else { item.event_id() };
    let message = format!("report of trade {} cannot be booked and is set aside: {why}", key.trade_id);
    publish::alert(v1::AlertSeverity::Critical, publish::code::REPORT_SET_ASIDE, id, &key.account_id, message)
}
