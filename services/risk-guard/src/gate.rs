//! The one task that decides: it owns the state, the journal and the venue, so
//! a halt, a decision and a submission can never pass each other.

mod checkpoint;
mod orphaned;
mod venue;

pub(crate) use checkpoint::Checkpoints;

use crate::{
    bookings::Untold,
    breakers::BreakerWork,
    command::Command,
    config::{Config, now},
    control,
    forbidden::Canceling,
    inquiry::Inquiry,
    journal::Journal,
    lease::Lease,
    market, metrics,
    reductions::{Named, Slices, ToldOverdue},
    reports::{LastReports, Reports},
    wire::{Ticket, fact_records},
    workers::Workers,
};
use ::metrics::gauge;
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
pub(crate) use orphaned::Orphaned;
use prost::Message as _;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use tragen_bus::{Bus, Delivery, Followed, Follower, PublishError, Puller};
use tragen_contracts::v1;
use tragen_domain::{
    id::OrderId,
    money::Overflow,
    risk::{LimitChange, Record, State, VenueCalls},
};
use tragen_host::Context;
use tragen_venue::PaperVenue;
use venue::VenueAnswer;

/// Facts taken at once before looking at anything else.
const FACTS_AT_ONCE: usize = 256;
/// While proposals wait an inquiry is answered this often at most: it costs as much as some hundred decisions.
const INQUIRY_INTERVAL: Duration = Duration::from_millis(20);

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
    /// The newest change of every limit that was changed, to be kept in a file.
    pub(crate) changed_limits: watch::Sender<Vec<LimitChange>>,
    pub(crate) workers: Workers,
    pub(crate) slices: Slices,
    pub(crate) work: Work,
    /// Nothing is sent that may have been another's to send.
    pub(crate) lease: Lease,
    /// The last message on LEDGER that is in the state.
    pub(crate) ledger_sequence: u64,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) breakers: BreakerWork,
}

/// Who changes a scope that nobody has asked to change.
pub(crate) const PRINCIPAL: &str = "risk-guard";

/// What is under way outside the task.
#[derive(Debug, Default)]
pub(crate) struct Work {
    at_venue: FuturesUnordered<BoxFuture<'static, VenueAnswer>>,
    submissions: usize,
    /// Orders of the term before whose end is not known yet.
    recoveries: usize,
    /// Approved orders of this term that a halt has kept from the venue.
    pub(crate) withheld: usize,
    pub(crate) canceling: Canceling,
    /// What the lost journal knew, until it is brought to an end.
    pub(crate) orphans: Orphaned,
    pub(crate) named: Named,
    pub(crate) told_overdue: ToldOverdue,
    /// Reports being stored; each may leave a record for the next journal message.
    pub(crate) storing: FuturesUnordered<BoxFuture<'static, Option<Box<v1::JournalRecord>>>>,
    /// Finished orders, to be journaled with the next decisions.
    pub(crate) closed: Vec<v1::JournalRecord>,
    /// Bookings to be told, oldest first.
    pub(crate) untold: Vec<Untold>,
    /// How the venue answers.
    pub(crate) venue_calls: VenueCalls,
    /// When the last inquiry was answered.
    pub(crate) inquired: Option<Instant>,
}

impl Work {
    /// What the term before has left: bookings to be told, and what the journal has still to learn.
    pub(crate) fn of_the_term_before(untold: BTreeMap<String, Untold>, closed: Vec<v1::JournalRecord>) -> Self {
        Self { untold: untold.into_values().collect(), closed, ..Self::default() }
    }
}

/// Where a term's input comes from.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) inquiries: mpsc::Receiver<Inquiry>,
    pub(crate) proposals: Puller<v1::ProposalBatch>,
    pub(crate) ledger: Follower,
    pub(crate) market: Follower,
    pub(crate) lost: CancellationToken,
    pub(crate) stopped: CancellationToken,
}

enum Event {
    Ended(Ended),
    Command(Command),
    Venue(VenueAnswer),
    Stored(Option<Box<v1::JournalRecord>>),
    Fact(Followed),
    Market(Followed),
    Connected,
    Tick,
    Proposals(Box<Delivery<v1::ProposalBatch>>),
    Inquiry(Inquiry),
}

impl Gate {
    /// Decides until the term ends; what waits is given back then.
    pub(crate) async fn run(mut self, mut inputs: Inputs, ready: impl Fn()) -> Ended {
        self.recover(venue::Asked::Recover);
        self.tell_bookings().await;
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
            Some(delivery) = inputs.proposals.next(), if has_room => Event::Proposals(Box::new(delivery)),
            Some(inquiry) = inputs.inquiries.recv() => Event::Inquiry(inquiry),
            else => Event::Ended(Ended::Stopped),
        }
    }

    async fn handle(&mut self, event: Event, inputs: &mut Inputs) -> Result<(), Ended> {
        match event {
            Event::Ended(ended) => return Err(ended),
            Event::Command(command) => self.answer(command).await?,
            Event::Venue(answer) => {
                self.on_venue(answer).await?;
                self.tell_bookings().await;
            }
            Event::Stored(closed) => {
                self.work.closed.extend(closed.map(|record| *record));
                // A gap between reports: the next tick may find none, and what waits for one waits on.
                self.checkpoint().await?;
            }
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
            Event::Connected => self.tell_control(),
            Event::Tick => self.on_tick().await?,
            Event::Proposals(first) => {
                let mut count = first.message.proposals.len();
                let mut deliveries = vec![*first];
                while count < self.config.batch_proposals_max
                    && let Some(delivery) = inputs.proposals.try_next()
                {
                    count += delivery.message.proposals.len();
                    deliveries.push(delivery);
                }
                self.take(deliveries).await?;
                // Under load nothing else would ever let one in.
                if self.work.inquired.is_none_or(|at| at.elapsed() >= INQUIRY_INTERVAL)
                    && let Ok(inquiry) = inputs.inquiries.try_recv()
                {
                    self.inquire(inquiry);
                }
            }
            Event::Inquiry(inquiry) => self.inquire(inquiry),
        }
        Ok(())
    }

    /// More is taken only when everything it can cause has a place to go.
    fn has_room(&self) -> bool {
        self.work.recoveries == 0
            && self.work.at_venue.len() < self.config.in_flight_orders_max
            && self.work.storing.len() < self.config.waiting_reports_max
            && self.reports.room() >= self.config.batch_proposals_max
            // Under load reports are always on their way; a late checkpoint waits for a gap and is given one.
            && (self.work.storing.is_empty() || !self.is_checkpoint_due(2))
    }

    pub(crate) fn apply(&mut self, record: Record) -> Result<(), Ended> {
        Ok(self.state.apply(record)?)
    }

    fn on_fact(&mut self, fact: &Followed) -> Result<(), Ended> {
        self.ledger_sequence = fact.sequence;
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
        let Some(record) = market::record(fact, now()) else { return Ok(()) };
        if let Record::Quote(quote) = &record {
            self.note_jump(quote);
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
        self.end_orphans().await?;
        self.cancel_forbidden();
        self.drive_reductions().await?;
        self.tell_bookings().await;
        self.watch_breakers().await?;
        self.check_state().await?;
        self.prepare_checkpoint();
        self.checkpoint().await?;
        self.journal_closed().await
    }

    async fn journal_closed(&mut self) -> Result<(), Ended> {
        if self.work.closed.is_empty() {
            return Ok(());
        }
        let closed = std::mem::take(&mut self.work.closed);
        self.forget_closed(&closed)?;
        self.journal.append(closed, now()).await?;
        Ok(())
    }

    /// What the journal is about to learn needs no ticket any more.
    pub(crate) fn forget_closed(&mut self, closed: &[v1::JournalRecord]) -> Result<(), Ended> {
        for record in closed {
            if let Some(v1::journal_record::Kind::Closed(own)) = &record.kind {
                self.tickets.remove(own.order_id.as_str());
            }
        }
        self.journaled(closed)
    }

    /// Tells every worker what the states are now.
    pub(crate) fn tell_control(&self) {
        let (bus, state) = (self.bus.clone(), self.control.borrow().clone());
        self.context.spawn("control-again", async move {
            control::tell(&bus, &state).await;
            Ok(())
        });
    }

    /// Ends in order: what is sent is answered, told and journaled.
    async fn finish(&mut self) {
        let limit = Duration::from_millis(self.config.venue_settle_ms);
        let finishing = async {
            self.settle_submissions().await?;
            while let Some(closed) = self.work.storing.next().await {
                self.work.closed.extend(closed.map(|record| *record));
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
