//! The one writer: takes what waits, decides it in memory, commits it in one
//! transaction and hands the facts on. Reports and deposits go through here and
//! nowhere else, so nothing races.

use crate::{
    batch::{Outcome, decide, keys_of},
    intake::Item,
    metrics as names,
    publish::{Committed, Published},
    store::{Known, Store, StoreError},
};
use metrics::{counter, histogram};
use opentelemetry::trace::SpanKind;
use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, error, warn};
use tragen_bus::{Delivery, Puller};
use tragen_contracts::v1;
use tragen_host::{
    Context,
    clock::now_micros,
    retry::Backoff,
    trace::{ActiveSpan, trace_id_of},
};

/// Messages that may be held: what the bus hands out unacked.
const HELD_MAX: usize = 1_024;
/// How often the bus hears that what was pulled is in hand: well within its ack wait.
const PROGRESS_EVERY: Duration = Duration::from_millis(1_500);
/// Longest pause between two attempts to reach the database; well below the bus's ack wait.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);

/// A deposit on its way to the writer.
#[derive(Debug)]
pub(crate) struct DepositCommand {
    /// What to book.
    pub(crate) item: Item,
    /// Where the answer goes.
    pub(crate) reply: oneshot::Sender<v1::LedgerAnswer>,
}

/// The writer's ends.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) context: Context,
    pub(crate) store: Store,
    pub(crate) reports: Puller<v1::ExecutionBatch>,
    pub(crate) deposits: mpsc::Receiver<DepositCommand>,
    pub(crate) publisher: mpsc::Sender<Committed>,
    pub(crate) published: Published,
    /// Bumped with every commit, for questions that wait for a version.
    pub(crate) commits: watch::Sender<u64>,
    pub(crate) batch_items_max: usize,
    /// Pulled but not yet in a batch.
    pub(crate) held: VecDeque<Delivery<v1::ExecutionBatch>>,
}

/// What one transaction is made of.
#[derive(Debug, Default)]
struct Work {
    items: Vec<Item>,
    /// Deposits wait at these places of `items`.
    replies: Vec<(usize, oneshot::Sender<v1::LedgerAnswer>)>,
    deliveries: Vec<Delivery<v1::ExecutionBatch>>,
}

/// Why a batch was not committed.
enum Unfinished {
    /// The process stops.
    Stopping,
    /// Another writer has taken over, or the books are broken.
    Failed(anyhow::Error),
}

impl Writer {
    /// Works until the process stops.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let stopped = self.context.stopped();
        tokio::pin!(stopped);
        let mut progress_at = Instant::now();
        loop {
            let mut work = Work::default();
            if self.held.is_empty() {
                // All three are cancel-safe: a message is either here or still in its queue.
                tokio::select! {
                    biased;
                    () = &mut stopped => break,
                    Some(command) = self.deposits.recv() => work.deposit(command),
                    delivery = self.reports.next() => match delivery {
                        Some(delivery) => self.held.push_back(delivery),
                        None => break,
                    },
                }
            }
            self.gather(&mut work);
            if progress_at.elapsed() > PROGRESS_EVERY {
                // A backlog takes longer than the ack wait; without this all of it would come again.
                self.say_in_progress(&work).await;
                progress_at = Instant::now();
            }
            match self.book(&mut work).await {
                Ok(committed) => {
                    if self.publisher.send(committed).await.is_err() {
                        anyhow::bail!("the publisher of facts has ended");
                    }
                }
                Err(Unfinished::Stopping) => {
                    self.held.extend(work.deliveries);
                    break;
                }
                Err(Unfinished::Failed(error)) => return Err(error),
            }
        }
        for delivery in &self.held {
            delivery.retry(Duration::ZERO).await;
        }
        self.reports.give_back().await;
        Ok(())
    }

    /// Adds what waits, without waiting for more.
    fn gather(&mut self, work: &mut Work) {
        while work.items.len() < self.batch_items_max {
            match self.deposits.try_recv() {
                Ok(command) => work.deposit(command),
                Err(_) => break,
            }
        }
        while work.items.len() < self.batch_items_max {
            match self.held.pop_front().or_else(|| self.reports.try_next()) {
                Some(delivery) => work.reports(delivery),
                None => break,
            }
        }
    }

    /// Commits everything in `work`, however long the database takes. A part the
    /// database refuses is halved until the one bad item is found and set aside.
    async fn book(&mut self, work: &mut Work) -> Result<Committed, Unfinished> {
        histogram!(names::BATCH_ITEMS).record(f64::from(u32::try_from(work.items.len()).unwrap_or(u32::MAX)));
        let mut committed = Committed::default();
        let mut outcomes = Vec::with_capacity(work.items.len());
        let mut parts: Vec<_> = std::iter::once(0..work.items.len()).collect();
        let mut backoff = Backoff::new(Duration::from_millis(10), RETRY_DELAY_MAX);
        while let Some(part) = parts.pop() {
            match self.attempt(&mut work.items[part.clone()]).await {
                Ok(done) => {
                    outcomes.extend(done.outcomes);
                    committed.facts.extend(done.facts);
                    committed.fact_sequence = done.fact_sequence;
                    self.context.set_ready();
                }
                Err(StoreError::Refused(cause)) if part.len() == 1 => {
                    counter!(names::STORE_FAILURES).increment(1);
                    work.items[part.start].action = Err(format!("the database refuses it: {cause}"));
                    parts.push(part);
                }
                Err(StoreError::Refused(cause)) => {
                    counter!(names::STORE_FAILURES).increment(1);
                    warn!("the database refuses {} items, looking for the bad one: {cause}", part.len());
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                }
                Err(StoreError::Unavailable(cause)) => {
                    counter!(names::STORE_FAILURES).increment(1);
                    warn!("the ledger's database does not answer: {cause}");
                    self.context.set_not_ready("the ledger's database does not answer");
                    parts.push(part);
                    self.say_in_progress(work).await;
                    if self.context.is_stopping() {
                        return Err(Unfinished::Stopping);
                    }
                    backoff.wait().await;
                }
                Err(fenced @ StoreError::Fenced { .. }) => {
                    return Err(Unfinished::Failed(anyhow::Error::new(fenced)));
                }
            }
        }
        // Parts share facts only when one was told again; keep the order.
        committed.facts.sort_by_key(|fact| fact.sequence);
        committed.replies = work.replies.drain(..).map(|(place, reply)| (reply, answer(&outcomes[place]))).collect();
        committed.deliveries = std::mem::take(&mut work.deliveries);
        Ok(committed)
    }

    /// One transaction.
    async fn attempt(&self, items: &mut [Item]) -> Result<Done, StoreError> {
        let started = Instant::now();
        let known = self.store.load(keys_of(items)).await?;
        let mut spans = self.spans(items, &known);
        let decision = decide(items, known, self.published.sequence(), now_micros());
        if decision.is_change()
            && let Err(error) = self.store.commit(&decision.changes).await
        {
            for span in &mut spans {
                span.fail("commit", error.to_string());
            }
            return Err(error);
        }
        for (span, outcome) in spans.iter_mut().zip(&decision.outcomes) {
            if let Outcome::SetAside { reason } = outcome {
                span.fail("set_aside", reason.clone());
            }
        }
        histogram!(names::COMMIT_SECONDS).record(started.elapsed().as_secs_f64());
        counter!(names::TRANSFERS).increment(u64::try_from(decision.changes.transfers.len()).unwrap_or(0));
        self.commits.send_modify(|count| *count = count.wrapping_add(1));
        report(items, &decision.outcomes, &decision.frozen);
        Ok(Done {
            outcomes: decision.outcomes,
            facts: decision.facts,
            fact_sequence: decision.changes.after.fact_sequence,
        })
    }

    /// A span per item, continuing the trace of what caused it. A redelivery of
    /// something booked is linked to it instead.
    fn spans(&self, items: &mut [Item], known: &Known) -> Vec<ActiveSpan> {
        if !self.context.spans.is_enabled() {
            return Vec::new();
        }
        let trades = known.trades.iter().map(|row| row.trade_id.as_str());
        let booked: HashSet<_> = trades.chain(known.cash.iter().map(|row| row.trade_id.as_str())).collect();
        let start = |item: &mut Item| {
            let cause = item.report.meta.as_ref().map_or("", |meta| meta.traceparent.as_str());
            let is_repeat = item.deliveries > 1
                && item.report.key.as_ref().is_some_and(|key| booked.contains(key.trade_id.as_str()));
            let (parent, linked) = if is_repeat { ("", cause) } else { (cause, "") };
            let mut span = self.context.spans.start_linked("post trade", SpanKind::Consumer, parent, linked);
            span.set("messaging.system", "nats");
            span.set("db.system.name", self.store.system());
            item.traceparent = span.traceparent();
            span
        };
        items.iter_mut().map(start).collect()
    }

    /// Tells the bus that everything pulled is in hand.
    async fn say_in_progress(&mut self, work: &Work) {
        while self.held.len() < HELD_MAX {
            match self.reports.try_next() {
                Some(delivery) => self.held.push_back(delivery),
                None => break,
            }
        }
        for delivery in work.deliveries.iter().chain(&self.held) {
            delivery.in_progress().await;
        }
    }
}

/// A committed part.
struct Done {
    outcomes: Vec<Outcome>,
    facts: Vec<v1::LedgerFact>,
    fact_sequence: i64,
}

impl Work {
    fn deposit(&mut self, command: DepositCommand) {
        self.replies.push((self.items.len(), command.reply));
        self.items.push(command.item);
    }

    fn reports(&mut self, mut delivery: Delivery<v1::ExecutionBatch>) {
        let venue = delivery.subject().strip_prefix("exec.").unwrap_or_default().to_owned();
        let reports = std::mem::take(&mut delivery.message.reports);
        self.items.extend(reports.into_iter().map(|report| Item::report(report, &venue, delivery.deliveries)));
        self.deliveries.push(delivery);
    }
}

/// Counts the outcomes, and calls for a person where one is needed.
fn report(items: &[Item], outcomes: &[Outcome], frozen: &[String]) {
    for (item, outcome) in items.iter().zip(outcomes) {
        let name = match outcome {
            Outcome::Booked => {
                let trade_id = item.raw_key().trade_id;
                debug!(trace_id = trace_id_of(&item.traceparent), trade.id = trade_id, "trade {trade_id} is booked");
                "booked"
            }
            Outcome::Known => "known",
            Outcome::Deposited(_) => "deposited",
            Outcome::Refused(_) => "refused",
            Outcome::SetAside { reason } => {
                let trade_id = item.raw_key().trade_id;
                error!(trade.id = %trade_id, "report of trade {trade_id} cannot be booked and is set aside: {reason}");
                "set_aside"
            }
        };
        counter!(names::ITEMS, "outcome" => name).increment(1);
    }
    for account in frozen {
        error!(account.id = %account, "account {account} could not cover a payment and is frozen");
        counter!(names::FROZEN).increment(1);
    }
}

fn answer(outcome: &Outcome) -> v1::LedgerAnswer {
    let answer = match outcome {
        Outcome::Deposited(account) => {
            v1::ledger_answer::Answer::Deposit(v1::DepositResponse { account: Some(account.clone()) })
        }
        Outcome::Refused(error) => v1::ledger_answer::Answer::Error(error.clone()),
        Outcome::SetAside { reason } => v1::ledger_answer::Answer::Error(v1::AskError {
            code: 13,
            reason: "DEPOSIT_NOT_BOOKED".to_owned(),
            message: reason.clone(),
        }),
        Outcome::Booked | Outcome::Known => v1::ledger_answer::Answer::Error(v1::AskError {
            code: 13,
            reason: "DEPOSIT_NOT_BOOKED".to_owned(),
            message: "the deposit was not taken for one".to_owned(),
        }),
    };
    v1::LedgerAnswer { answer: Some(answer) }
}
