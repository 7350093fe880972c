//! A venue on paper: it fills orders against the quotes it is fed. The depth of
//! a quote is used up by fills until the next quote. Its memory is a file that
//! is written before an answer is given, so it outlives its clients as a real
//! venue would; several processes may share one folder.

mod book;
mod entry;
mod faults;
mod history;
mod log;
mod memory;

pub use faults::PaperFaults;
pub use memory::MemoryVenue;

use crate::{VenueError, VenueReport};
use book::Books;
use faults::{Due, Fault, mixed};
use log::Log;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tragen_domain::{
    execution::Fill,
    id::OrderId,
    market::Quote,
    order::TradeStatus,
    risk::{Approved, Order},
    time::Timestamp,
};

/// How the paper venue behaves.
#[derive(Debug, Clone)]
pub struct PaperConfig {
    /// Where its file lies; made if missing.
    pub folder: PathBuf,
    /// Makes latencies repeatable.
    pub seed: u64,
    /// Shortest way to the venue, microseconds.
    pub latency_micros_min: u64,
    /// Longest way to the venue, microseconds.
    pub latency_micros_max: u64,
    /// How many finished orders are remembered.
    pub finished_orders_max: usize,
    /// The file is written anew with what is remembered when it is longer, bytes.
    pub log_bytes_max: u64,
    /// The venue's clock.
    pub clock: fn() -> Timestamp,
    /// What it does wrong.
    pub faults: PaperFaults,
}

/// A connection to the paper venue; clones share it.
#[derive(Debug, Clone)]
pub struct PaperVenue {
    config: Arc<PaperConfig>,
    venue: Arc<Mutex<Venue>>,
}

#[derive(Debug)]
struct Venue {
    books: Books,
    log: Log,
    /// What it still does wrong, at the next look.
    due: Vec<(OrderId, Due)>,
}

impl PaperVenue {
    /// Opens the venue with everything it remembers.
    ///
    /// # Errors
    /// [`VenueError`] when its file cannot be opened or is damaged.
    pub fn open(config: PaperConfig) -> Result<Self, VenueError> {
        let log = Log::open(&config.folder, config.log_bytes_max)?;
        let venue = Venue { books: Books::new(config.finished_orders_max), log, due: Vec::new() };
        let opened = Self { config: Arc::new(config), venue: Arc::new(Mutex::new(venue)) };
        opened.change(|_| Vec::new())?;
        Ok(opened)
    }

    /// Sends an order; a repeat answers where the first one stands. An order
    /// that arrives after its `valid_until` is `Expired` and never executes.
    ///
    /// # Errors
    /// [`VenueError`]: it may or may not have arrived, see [`PaperVenue::order_status`].
    pub async fn submit(&self, order: &Approved<Order>) -> Result<VenueReport, VenueError> {
        let id = &order.terms.id;
        self.travel(id).await;
        if self.hits(Fault::Lost, id) {
            return Err(VenueError::TimedOut);
        }
        let now = (self.config.clock)();
        let is_too_much = self.hits(Fault::Overfill, id);
        let mut reports = self.change(|books| {
            let report = books.arrive(order, now);
            let overfilled = if is_too_much { books.overfill(id, now) } else { None };
            vec![overfilled.unwrap_or(report)]
        })?;
        let mut report = reports.remove(0);
        self.note_due(&report);
        if self.hits(Fault::Unanswered, id) {
            return Err(VenueError::TimedOut);
        }
        if self.hits(Fault::RepeatedFill, id) {
            report.fills.extend(report.fills.clone());
        }
        Ok(report)
    }

    /// Takes a resting order out; answers where it stands then, `None` if it is unknown.
    ///
    /// # Errors
    /// [`VenueError`].
    pub async fn cancel(&self, order: &OrderId) -> Result<Option<VenueReport>, VenueError> {
        self.travel(order).await;
        let report = self.change(|books| books.cancel(order).into_iter().collect())?.pop();
        if let Some(report) = &report {
            self.note_due(report);
        }
        Ok(report)
    }

    /// Where an order stands; `None` if it never arrived or is forgotten.
    ///
    /// # Errors
    /// [`VenueError`].
    pub fn order_status(&self, order: &OrderId) -> Result<Option<VenueReport>, VenueError> {
        let mut status = None;
        self.change(|books| {
            status = books.report(order);
            Vec::new()
        })?;
        Ok(status)
    }

    /// The market moved: resting orders it crosses are filled at their limit.
    ///
    /// # Errors
    /// [`VenueError`].
    pub fn on_quote(&self, quote: &Quote) -> Result<Vec<VenueReport>, VenueError> {
        let now = (self.config.clock)();
        {
            let mut venue = self.lock();
            if !venue.books.has_resting(&quote.instrument) {
                venue.books.set_quote(quote);
                return Ok(Vec::new());
            }
        }
        self.change(|books| books.on_quote(quote, now))
    }

    /// Looks after what rests: ends what is over.
    ///
    /// # Errors
    /// [`VenueError`].
    pub fn expire(&self) -> Result<Vec<VenueReport>, VenueError> {
        let now = (self.config.clock)();
        let (is_any_over, due) = {
            let mut venue = self.lock();
            (venue.books.is_any_over(now), std::mem::take(&mut venue.due))
        };
        if !is_any_over && due.is_empty() {
            return Ok(Vec::new());
        }
        let reports = self.change(|books| {
            let mut reports = books.expire(now);
            reports.extend(due.iter().filter_map(|(order, due)| match due {
                Due::Fill => books.fill_late(order, now),
                Due::Reject => books.reject(order),
            }));
            reports
        })?;
        reports.iter().for_each(|report| self.note_due(report));
        Ok(reports)
    }

    /// At most `limit` executions in the order they happened, from number `after`
    /// on (counted from 0), each with its order; and the number that comes next.
    /// Of millions the oldest are forgotten: then it goes on with those that are left.
    ///
    /// # Errors
    /// [`VenueError`].
    pub fn executions(&self, after: u64, limit: usize) -> Result<(Vec<(OrderId, Fill)>, u64), VenueError> {
        self.change(|_| Vec::new())?;
        self.lock().log.executions(after, limit)
    }

    fn hits(&self, fault: Fault, order: &OrderId) -> bool {
        self.config.faults.hits(fault, self.config.seed, order)
    }

    /// Remembers what is done wrong with an order later.
    fn note_due(&self, report: &VenueReport) {
        let due = match report.status {
            TradeStatus::Working => Due::Reject,
            TradeStatus::Canceled | TradeStatus::Expired | TradeStatus::PartiallyFilled => Due::Fill,
            TradeStatus::Pending
            | TradeStatus::Filled
            | TradeStatus::Rejected
            | TradeStatus::Denied
            | TradeStatus::NoTrade => return,
        };
        let fault = match due {
            Due::Fill => Fault::LateFill,
            Due::Reject => Fault::LateReject,
        };
        if self.hits(fault, &report.order) {
            self.lock().due.push((report.order.clone(), due));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Venue> {
        self.venue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step of the venue: read what other processes wrote, change, write, answer.
    fn change(&self, step: impl FnOnce(&mut Books) -> Vec<VenueReport>) -> Result<Vec<VenueReport>, VenueError> {
        let mut venue = self.lock();
        let Venue { books, log, .. } = &mut *venue;
        log.exclusively(books, step)
    }

    /// The same order always takes the same time.
    async fn travel(&self, order: &OrderId) {
        let (min, max) = (self.config.latency_micros_min, self.config.latency_micros_max);
        let delay = if self.hits(Fault::Delayed, order) { self.config.faults.delay_micros } else { 0 };
        if max == 0 && delay == 0 {
            return;
        }
        let span = max.saturating_sub(min) + 1;
        let micros = min + mixed(self.config.seed, order) % span + delay;
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}

/// SplitMix64, the usual seeded mixer.
const fn split_mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
