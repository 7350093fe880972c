//! The paper venue without a file, a clock or a way to travel: for backtests,
//! which call it in one thread and say what time it is.

use super::book::Books;
use crate::VenueReport;
use tragen_domain::{
    id::OrderId,
    market::Quote,
    risk::{Approved, Order},
    time::Timestamp,
};

/// The books of [`super::PaperVenue`] in memory: the same fills at the same quotes.
#[derive(Debug)]
pub struct MemoryVenue {
    books: Books,
}

impl MemoryVenue {
    /// A venue without quotes; the oldest finished orders beyond `finished_orders_max` are forgotten.
    #[must_use]
    pub fn new(finished_orders_max: usize) -> Self {
        Self { books: Books::new(finished_orders_max) }
    }

    /// Takes an order at `now`; a repeat answers where the first one stands.
    pub fn submit(&mut self, order: &Approved<Order>, now: Timestamp) -> VenueReport {
        let report = self.books.arrive(order, now);
        self.forget_log();
        report
    }

    /// The market moved: resting orders it crosses are filled at their limit.
    pub fn on_quote(&mut self, quote: &Quote, now: Timestamp) -> Vec<VenueReport> {
        if !self.books.has_resting(&quote.instrument) {
            self.books.set_quote(quote);
            return Vec::new();
        }
        let reports = self.books.on_quote(quote, now);
        self.forget_log();
        reports
    }

    /// Takes a resting order out; answers where it stands then, `None` if it is unknown.
    pub fn cancel(&mut self, order: &OrderId) -> Option<VenueReport> {
        let report = self.books.cancel(order);
        self.forget_log();
        report
    }

    /// What would be written to the file; nobody asks for it here.
    fn forget_log(&mut self) {
        self.books.forget_changes();
    }
}
