//! The one task that decides: it owns the state, the journal and the venue, so
//! a halt, a decision and a submission can never pass each other.

use crate::{
    command::Command,
    config::Config,
    control, market, metrics, outcome,
    journal::Journal,
    reports::{LastReports, Reports},
    wire::{Ticket, closed_record, fact_records},
};
use ::metrics::{counter, gauge, histogram};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use opentelemetry::trace::SpanKind;
use prost::Message as _;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use tragen_bus::{Bus, Delivery, Followed, Follower, PublishError, Puller};
use tragen_contracts::v1;
use tragen_domain::{
    id::OrderId,
    money::Overflow,
    order::TradeStatus,
    risk::{Approved, Executed, Order, Record, State, check_invariants},
    time::Timestamp,
};
use tragen_host::Context;
use tragen_venue::{PaperVenue, VenueError, VenueReport};

/// How long to wait before asking the venue again.
const VENUE_RETRY: Duration = Duration::from_millis(20);
/// Facts taken at once before looking at anything else.
const FACTS_AT_ONCE: usize = 256;

/// Why a term ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The process stops.
    #[error("the process stops")]
    Stopped,
    /// Another guard holds the lease.
    #[error("another guard leads")]
    Deposed,
    /// The journal could not be written: another guard has, or nobody knows.
    #[error("the journal was not written")]
    Journal(#[from] PublishError),
    /// The state contradicts itself.
    #[error("a record does not fit the state")]
    Overflow(#[from] Overflow),
}

/// Everything one term decides with.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Of this term, not of the process.
    pub(crate) context: Context,
    pub(crate) bus: Bus,
    pub(crate) config: Arc<Config>,
    pub(crate) venue: PaperVenue,
    pub(crate) state: State,
    pub(crate) journal: Journal,
    pub(crate) reports: Reports,
    pub(crate) tickets: HashMap<OrderId, Ticket>,
    pub(crate) last_reports: LastReports,
    pub(crate) control: watch::Sender<v1::ControlState>,
    pub(crate) work: Work,
}

/// What is under way outside the task.
#[derive(Debug, Default)]
pub(crate) struct Work {
    at_venue: FuturesUnordered<BoxFuture<'static, VenueAnswer>>,
    submissions: usize,
    recoveries: usize,
    /// Reports being stored; each may leave a record for the next journal message.
    pub(crate) storing: FuturesUnordered<BoxFuture<'static, Option<v1::JournalRecord>>>,
    /// Finished orders, to be journaled with the next decisions.
    pub(crate) closed: Vec<v1::JournalRecord>,
}

/// Where a term's input comes from.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) proposals: Puller<v1::ProposalBatch>,
    pub(crate) ledger: Follower,
    pub(crate) market: Follower,
    pub(crate) lost: CancellationToken,
    pub(crate) stopped: CancellationToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Submit,
    Cancel,
    Recover,
}

#[derive(Debug)]
struct VenueAnswer {
    asked: Asked,
    order: OrderId,
    valid_until: Timestamp,
    traceparent: String,
    answer: Result<VenueReport, VenueError>,
    done: Option<oneshot::Sender<()>>,
}

enum Event {
    Ended(Ended),
    Command(Command),
    Venue(VenueAnswer),
    Stored(Option<v1::JournalRecord>),
    Fact(Followed),
    Market(Followed),
    Connected,
    Tick,
    Proposals(Delivery<v1::ProposalBatch>),
}

impl Gate {
    /// Decides until the term ends; what waits is given back then.
    pub(crate) async fn run(mut self, mut inputs: Inputs, ready: impl Fn()) -> Ended {
        self.recover();
        let mut tick = tokio::time::interval(Duration::from_millis(self.config.tick_ms));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut connections = self.bus.connections();
        connections.borrow_and_update();
        let mut is_ready = false;
        let ended = loop {
            if self.work.recoveries == 0 && !is_ready {
                is_ready = true;
                ready();
            }
            let event = self.next(&mut inputs, &mut tick, &mut connections).await;
            if let Err(ended) = self.handle(event, &mut inputs).await {
                break ended;
            }
        };
        if matches!(ended, Ended::Stopped) {
            self.finish().await;
        }
        inputs.proposals.give_back().await;
        ended
    }

    /// Every branch is cancel-safe: channels, streams of futures, ticks. The order
    /// is the urgency; nothing earlier can come faster than what is later causes it,
    /// but for the market, which is taken in bounded gulps.
    async fn next(
        &mut self,
        inputs: &mut Inputs,
        tick: &mut tokio::time::Interval,
        connections: &mut watch::Receiver<u64>,
    ) -> Event {
        let has_room = self.has_room();
        let Work { at_venue, storing, .. } = &mut self.work;
        tokio::select! {
            biased;
            () = inputs.lost.cancelled() => Event::Ended(Ended::Deposed),
            () = inputs.stopped.cancelled() => Event::Ended(Ended::Stopped),
            Some(command) = inputs.commands.recv() => Event::Command(command),
            Some(answer) = at_venue.next(), if !at_venue.is_empty() => Event::Venue(answer),
            Some(stored) = storing.next(), if !storing.is_empty() => Event::Stored(stored),
            Some(fact) = inputs.ledger.next() => Event::Fact(fact),
            Some(fact) = inputs.market.next() => Event::Market(fact),
            Ok(()) = connections.changed() => Event::Connected,
            _ = tick.tick() => Event::Tick,
            Some(delivery) = inputs.proposals.next(), if has_room => Event::Proposals(delivery),
            else => Event::Ended(Ended::Stopped),
        }
    }

    async fn handle(&mut self, event: Event, inputs: &mut Inputs) -> Result<(), Ended> {
        match event {
            Event::Ended(ended) => return Err(ended),
            Event::Command(command) => self.answer(command).await?,
            Event::Venue(answer) => self.on_venue(answer).await?,
            Event::Stored(closed) => self.work.closed.extend(closed),
            Event::Fact(fact) => {
                self.on_fact(&fact)?;
                for _ in 1..FACTS_AT_ONCE {
                    let Some(fact) = inputs.ledger.try_next() else { break };
                    self.on_fact(&fact)?;
                }
            }
            Event::Market(fact) => {
                self.on_market(&fact).await?;
                for _ in 1..FACTS_AT_ONCE {
                    let Some(fact) = inputs.market.try_next() else { break };
                    self.on_market(&fact).await?;
                }
            }
            Event::Connected => {
                let (bus, state) = (self.bus.clone(), self.control.borrow().clone());
                self.context.spawn("control-again", async move {
                    control::tell(&bus, &state).await;
                    Ok(())
                });
            }
            Event::Tick => self.on_tick().await?,
            Event::Proposals(first) => {
                let mut count = first.message.proposals.len();
                let mut deliveries = vec![first];
                while count < self.config.batch_proposals_max
                    && let Some(delivery) = inputs.proposals.try_next()
                {
                    count += delivery.message.proposals.len();
                    deliveries.push(delivery);
                }
                self.take(deliveries).await?;
            }
        }
        Ok(())
    }

    /// More is taken only when everything it can cause has a place to go.
    fn has_room(&self) -> bool {
        self.work.recoveries == 0
            && self.work.at_venue.len() < self.config.in_flight_orders_max
            && self.work.storing.len() < self.config.waiting_reports_max
            && self.reports.room() >= self.config.batch_proposals_max
    }

    pub(crate) fn apply(&mut self, record: Record) -> Result<(), Ended> {
        Ok(self.state.apply(record)?)
    }

    /// Sends an approved order. The venue refuses it after its `valid_until`.
    pub(crate) fn submit(&mut self, order: Approved<Order>, traceparent: String) {
        let (venue, spans) = (self.venue.clone(), self.context.spans.clone());
        self.work.submissions += 1;
        self.work.at_venue.push(
            async move {
                let started = Instant::now();
                let mut span = spans.start("execute paper", SpanKind::Client, &traceparent);
                span.set("tragen.order_id", order.terms.id.to_string());
                let answer = venue.submit(&order).await;
                if let Err(error) = &answer {
                    span.fail("venue", error.to_string());
                }
                histogram!(metrics::VENUE_SECONDS).record(started.elapsed().as_secs_f64());
                let own = span.traceparent();
                VenueAnswer {
                    asked: Asked::Submit,
                    order: order.terms.id.clone(),
                    valid_until: order.valid_until,
                    traceparent: if own.is_empty() { traceparent } else { own },
                    answer,
                    done: None,
                }
            }
            .boxed(),
        );
    }

    /// Takes a working order out of the venue; `done` resolves once it has answered.
    pub(crate) fn cancel(&mut self, order: &OrderId, done: Option<oneshot::Sender<()>>) {
        self.ask_venue(Asked::Cancel, order, done);
    }

    /// Asks the venue about every order whose end is not known.
    fn recover(&mut self) {
        let open: Vec<OrderId> = self.state.orders().map(|open| open.order.terms.id.clone()).collect();
        self.work.recoveries = open.len();
        for order in &open {
            self.ask_venue(Asked::Recover, order, None);
        }
    }

    fn ask_venue(&mut self, asked: Asked, order: &OrderId, done: Option<oneshot::Sender<()>>) {
        let Some(open) = self.state.order(order) else { return };
        let (venue, order, valid_until) = (self.venue.clone(), order.clone(), open.order.valid_until);
        self.work.at_venue.push(
            async move {
                let answer = stand_of(&venue, asked, &order, valid_until).await;
                VenueAnswer { asked, order, valid_until, traceparent: String::new(), answer, done }
            }
            .boxed(),
        );
    }

    async fn on_venue(&mut self, answer: VenueAnswer) -> Result<(), Ended> {
        let VenueAnswer { asked, order, valid_until, traceparent, answer, done } = answer;
        match asked {
            Asked::Submit => self.work.submissions -= 1,
            Asked::Recover => self.work.recoveries -= 1,
            Asked::Cancel => {}
        }
        match answer {
            Ok(report) => self.on_report(report, &traceparent).await?,
            Err(venue_error) => {
                // It may have arrived: the hold stays until the venue tells.
                error!("the venue did not answer for {order}: {venue_error}");
                let asked = if asked == Asked::Submit { Asked::Recover } else { asked };
                self.work.recoveries += usize::from(asked == Asked::Recover);
                let venue = self.venue.clone();
                self.work.at_venue.push(
                    async move {
                        tokio::time::sleep(VENUE_RETRY).await;
                        let answer = stand_of(&venue, asked, &order, valid_until).await;
                        VenueAnswer { asked, order, valid_until, traceparent, answer, done: None }
                    }
                    .boxed(),
                );
            }
        }
        if let Some(done) = done {
            let _ = done.send(());
        }
        Ok(())
    }

    /// Books what is new in a report and tells it. `EXECUTIONS` first, then the journal's
    /// "closed": if the guard dies between them the next one finds the report and
    /// closes the order by it; the other way round the outcome could be lost.
    async fn on_report(&mut self, report: VenueReport, traceparent: &str) -> Result<(), Ended> {
        let VenueReport { order, status, fills, rejection } = report;
        let Some(open) = self.state.order(&order) else { return Ok(()) };
        let Some(ticket) = self.tickets.get_mut(&order) else { return Ok(()) };
        let executions = fills.len();
        let fills: Vec<_> = fills.into_iter().filter(|fill| !open.executions.contains(&fill.id)).collect();
        if !status.is_final() && fills.is_empty() && ticket.is_working_reported {
            return Ok(());
        }
        ticket.is_working_reported |= !status.is_final();
        if !traceparent.is_empty() {
            traceparent.clone_into(&mut ticket.traceparent);
        }
        let told = outcome::of_order(ticket, status, (&fills, executions), &rejection);
        let own = &open.order;
        let executed = Executed {
            trade: own.trade.clone(),
            order: order.clone(),
            account: own.account.clone(),
            instrument: own.terms.instrument.clone(),
            side: own.terms.side,
            settlement: own.settlement.clone(),
            fills,
            status,
        };
        let filled_before = open.filled;
        let filled = executed.fills.iter().try_fold(filled_before, |sum, fill| sum.plus(fill.quantity))?;
        let trade = own.trade.clone();
        self.apply(Record::Executed(Box::new(executed)))?;
        counter!(metrics::REPORTS, "status" => v1::TradeStatus::from(status).as_str_name()).increment(1);
        let mut closed = None;
        if status.is_final() {
            closed = self.tickets.remove(&order).map(|ticket| closed_record(&ticket, status, filled.micros()));
            self.last_reports.keep(trade, told.clone());
        }
        let stored = self.reports.send(told).await;
        self.work.storing.push(async move { stored.await.ok().and(closed) }.boxed());
        Ok(())
    }

    fn on_fact(&mut self, fact: &Followed) -> Result<(), Ended> {
        let batch = match v1::LedgerFactBatch::decode(fact.payload.clone()) {
            Ok(batch) => batch,
            Err(malformed) => {
                error!("a malformed fact of the ledger at {}: {malformed}", fact.sequence);
                return Ok(());
            }
        };
        for fact in &batch.facts {
            match fact_records(fact) {
                Ok(records) => records.into_iter().try_for_each(|record| self.apply(record))?,
                // Not taken: holds stay where they are, which only denies too much.
                Err(malformed) => error!("fact {} of the ledger: {malformed}", fact.sequence),
            }
        }
        Ok(())
    }

    async fn on_market(&mut self, fact: &Followed) -> Result<(), Ended> {
        let Some(record) = market::record(fact) else { return Ok(()) };
        if let Record::Quote(quote) = &record {
            let reports = self.venue.on_quote(quote);
            self.on_reports(reports).await?;
        }
        self.apply(record)
    }

    /// Reads what the market shows now, so that the first proposal is not decided blind.
    pub(crate) async fn read_market(&mut self, market: &mut Follower) -> Result<(), Ended> {
        while let Some(fact) = market.next().await {
            self.on_market(&fact).await?;
            if fact.pending == 0 {
                return Ok(());
            }
        }
        Err(Ended::Stopped)
    }

    async fn on_tick(&mut self) -> Result<(), Ended> {
        gauge!(metrics::OPEN_ORDERS).set(f64::from(u32::try_from(self.state.open_orders()).unwrap_or(u32::MAX)));
        let reports = self.venue.expire();
        self.on_reports(reports).await?;
        if cfg!(debug_assertions)
            && let Err(broken) = check_invariants(&self.state)
        {
            error!("broken invariant: {broken}");
            debug_assert!(false, "{broken}");
        }
        self.journal_closed().await
    }

    async fn on_reports(&mut self, reports: Result<Vec<VenueReport>, VenueError>) -> Result<(), Ended> {
        match reports {
            Ok(reports) => {
                for report in reports {
                    self.on_report(report, "").await?;
                }
            }
            Err(venue_error) => warn!("looking after resting orders: {venue_error}"),
        }
        Ok(())
    }

    async fn journal_closed(&mut self) -> Result<(), Ended> {
        if self.work.closed.is_empty() {
            return Ok(());
        }
        let closed = std::mem::take(&mut self.work.closed);
        self.journal.append(closed, crate::config::now()).await?;
        Ok(())
    }

    /// Waits until no submission is on its way. One that the venue does not answer
    /// in time is dropped before it arrives or found again by its id.
    pub(crate) async fn settle_submissions(&mut self) -> Result<(), Ended> {
        let deadline = tokio::time::Instant::now() + Duration::from_millis(self.config.venue_settle_ms);
        while self.work.submissions > 0 {
            match tokio::time::timeout_at(deadline, self.work.at_venue.next()).await {
                Ok(Some(answer)) => self.on_venue(answer).await?,
                Ok(None) => break,
                Err(_) => {
                    warn!("{} submissions are cut off unanswered", self.work.submissions);
                    self.work.at_venue = FuturesUnordered::new();
                    self.work.submissions = 0;
                    self.recover();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Ends in order: what is sent is answered, told and journaled.
    async fn finish(&mut self) {
        let limit = Duration::from_millis(self.config.venue_settle_ms);
        let finishing = async {
            self.settle_submissions().await?;
            while let Some(closed) = self.work.storing.next().await {
                self.work.closed.extend(closed);
            }
            self.journal_closed().await
        };
        match tokio::time::timeout(limit * 2, finishing).await {
            Ok(Ok(())) => {}
            Ok(Err(ended)) => warn!("ending: {ended}"),
            Err(_) => warn!("ending: the bus is too slow; the next guard goes on from the journal"),
        }
    }
}

/// Asks until the venue knows the order, or until it can no longer arrive.
async fn stand_of(
    venue: &PaperVenue,
    asked: Asked,
    order: &OrderId,
    valid_until: Timestamp,
) -> Result<VenueReport, VenueError> {
    loop {
        let stand = match asked {
            Asked::Submit | Asked::Recover => venue.order_status(order)?,
            Asked::Cancel => venue.cancel(order).await?,
        };
        if let Some(report) = stand {
            return Ok(report);
        }
        // The venue itself refuses it after `valid_until`, so even an earlier leader
        // that wakes up now cannot execute what is told to have expired.
        if crate::config::now() > valid_until {
            let (fills, rejection) = (Vec::new(), String::new());
            return Ok(VenueReport { order: order.clone(), status: TradeStatus::Expired, fills, rejection });
        }
        tokio::time::sleep(VENUE_RETRY).await;
    }
}
