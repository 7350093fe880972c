//! The paper venue's books: one best bid and ask an instrument, and the orders.

use super::{entry::Entry, history::Execution};
use crate::{Rejection, VenueReport};
use std::collections::{HashMap, VecDeque};
use tragen_domain::{
    arrivals::ROOM_MAX,
    id::{InstrumentId, OrderId},
    instrument::Liquidity,
    market::{Level, Quote},
    money::{Overflow, Quantity},
    order::{Side, TimeInForce, TradeStatus},
    risk::Order,
    time::Timestamp,
};

/// Every order the venue remembers and what each quote has left.
#[derive(Debug)]
pub(super) struct Books {
    /// In boxes: a table that grows moves everything in it at once.
    entries: HashMap<OrderId, Box<Entry>>,
    finished: VecDeque<OrderId>,
    finished_max: usize,
    books: HashMap<InstrumentId, Book>,
    /// Orders changed since they were last written.
    changed: Vec<OrderId>,
    /// Executions since they were last taken, oldest first.
    executed: Vec<Execution>,
}

#[derive(Debug, Default)]
struct Book {
    bid: Option<Level>,
    ask: Option<Level>,
    /// In order of arrival.
    resting: Vec<OrderId>,
}

impl Books {
    pub(super) fn new(finished_max: usize) -> Self {
        Self {
            entries: HashMap::with_capacity(finished_max.min(ROOM_MAX)),
            finished: VecDeque::with_capacity(finished_max.min(ROOM_MAX)),
            finished_max,
            books: HashMap::new(),
            changed: Vec::new(),
            executed: Vec::new(),
        }
    }

    /// Forgets the orders, not the quotes: they are read again.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.finished.clear();
        self.changed.clear();
        self.executed.clear();
        for book in self.books.values_mut() {
            book.resting.clear();
        }
    }

    /// Takes over what the file says of one order.
    pub(super) fn restore(&mut self, entry: Entry) {
        let id = entry.id.clone();
        let own = self.entries.get(&id);
        let (was_working, known) =
            (own.map(|own| own.status == TradeStatus::Working), own.map_or(0, |own| own.fills.len()));
        self.executed.extend(entry.fills.iter().skip(known).map(|fill| (id.clone(), fill.clone())));
        let is_working = entry.status == TradeStatus::Working;
        if is_working && was_working != Some(true) {
            self.books.entry(entry.instrument.clone()).or_default().resting.push(id.clone());
        }
        if !is_working && was_working != Some(false) {
            self.finish(&entry.instrument, id.clone());
        }
        self.entries.insert(id, Box::new(entry));
    }

    /// Executions since the last call, oldest first.
    pub(super) const fn executed(&mut self) -> &mut Vec<Execution> {
        &mut self.executed
    }

    /// Drops what was changed and executed since it was last taken: nothing is written of it.
    pub(super) fn forget_changes(&mut self) {
        self.changed.clear();
        self.executed.clear();
    }

    /// Lines of the orders changed since the last call.
    pub(super) fn take_changed(&mut self) -> Vec<String> {
        let changed = std::mem::take(&mut self.changed);
        changed.iter().filter_map(|id| self.entries.get(id)).map(ToString::to_string).collect()
    }

    /// Lines of everything remembered, oldest finished first.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let resting = self.books.values().flat_map(|book| &book.resting);
        self.finished.iter().chain(resting).filter_map(|id| self.entries.get(id)).map(ToString::to_string)
    }

    pub(super) fn report(&self, order: &OrderId) -> Option<VenueReport> {
        self.entries.get(order).map(|entry| entry.report())
    }

    pub(super) fn has_resting(&self, instrument: &InstrumentId) -> bool {
        self.books.get(instrument).is_some_and(|book| !book.resting.is_empty())
    }

    pub(super) fn is_any_over(&self, now: Timestamp) -> bool {
        self.books.values().flat_map(|book| &book.resting).any(|id| self.is_over(id, now))
    }

    pub(super) fn set_quote(&mut self, quote: &Quote) {
        let book = self.books.entry(quote.instrument.clone()).or_default();
        (book.bid, book.ask) = (quote.bid, quote.ask);
    }

    pub(super) fn arrive(&mut self, order: &Order, now: Timestamp) -> VenueReport {
        if let Some(known) = self.report(&order.terms.id) {
            return known;
        }
        let mut entry = Entry::new(order);
        if now > order.valid_until || entry.is_over(now) {
            entry.status = TradeStatus::Expired;
        } else if order.terms.is_post_only && self.is_crossing(&entry) {
            entry.reject(Rejection::PostOnlyWouldTrade);
        } else if let Err(Overflow) = self.execute(&mut entry, now) {
            entry.reject(Rejection::ValueTooLarge);
        }
        let report = entry.report();
        self.changed.push(entry.id.clone());
        self.restore(entry);
        report
    }

    /// Whether somebody quotes its price or a better one, even if nothing is left there: the next quote would meet it.
    fn is_crossing(&mut self, entry: &Entry) -> bool {
        self.books.get_mut(&entry.instrument).is_some_and(|book| book.against(entry).is_some())
    }

    /// Fills what the quote has, then rests or ends.
    fn execute(&mut self, entry: &mut Entry, now: Timestamp) -> Result<(), Overflow> {
        let Some(book) = self.books.get_mut(&entry.instrument) else {
            entry.reject(Rejection::NoMarket);
            return Ok(());
        };
        let level = book.against(entry);
        let depth = level.as_ref().map_or(Quantity::ZERO, |level| level.quantity);
        let takes = entry.takes(depth);
        if entry.time_in_force == TimeInForce::Fok && takes < entry.quantity {
            entry.status = TradeStatus::Canceled;
            return Ok(());
        }
        if let Some(level) = level
            && !takes.is_zero()
        {
            entry.fill((level.price, takes), Liquidity::Taker, now)?;
            level.quantity = level.quantity.minus(takes)?;
        }
        if entry.status == TradeStatus::Working && !entry.time_in_force.is_resting() {
            entry.end(TradeStatus::Canceled);
        }
        Ok(())
    }

    pub(super) fn on_quote(&mut self, quote: &Quote, now: Timestamp) -> Vec<VenueReport> {
        self.set_quote(quote);
        let mut reports = self.expire(now);
        let resting = self.books.get(&quote.instrument).map(|book| book.resting.clone()).unwrap_or_default();
        for id in resting {
            let (Some(entry), Some(book)) = (self.entries.get(&id), self.books.get_mut(&quote.instrument)) else {
                continue;
            };
            let mut entry = Entry::clone(entry);
            let Some(level) = book.against(&entry) else { continue };
            let takes = entry.takes(level.quantity);
            // It was there first, so it trades at its own limit and is the maker.
            if takes.is_zero() || entry.fill((entry.limit, takes), Liquidity::Maker, now).is_err() {
                continue;
            }
            level.quantity = level.quantity.minus(takes).unwrap_or_default();
            reports.push(self.changed_to(entry));
        }
        reports
    }

    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<VenueReport> {
        let resting = self.books.values().flat_map(|book| &book.resting);
        let over: Vec<OrderId> = resting.filter(|id| self.is_over(id, now)).cloned().collect();
        over.iter().filter_map(|id| self.end(id, TradeStatus::Expired)).collect()
    }

    pub(super) fn cancel(&mut self, order: &OrderId) -> Option<VenueReport> {
        if self.entries.get(order)?.status == TradeStatus::Working {
            self.end(order, TradeStatus::Canceled)
        } else {
            self.report(order)
        }
    }

    /// Fills what was left of an order that is over, at its limit.
    pub(super) fn fill_late(&mut self, order: &OrderId, now: Timestamp) -> Option<VenueReport> {
        let mut entry = Entry::clone(self.entries.get(order)?);
        let left = entry.remaining();
        if left <= Quantity::ZERO || entry.status == TradeStatus::Working {
            return None;
        }
        // What has rested trades at its limit, and is the maker.
        let liquidity = if entry.time_in_force.is_resting() { Liquidity::Maker } else { Liquidity::Taker };
        entry.fill((entry.limit, left), liquidity, now).ok()?;
        Some(self.changed_to(entry))
    }

    /// Fills one unit more than was asked for of an order that is filled.
    pub(super) fn overfill(&mut self, order: &OrderId, now: Timestamp) -> Option<VenueReport> {
        let mut entry = Entry::clone(self.entries.get(order)?);
        let last = entry.fills.last()?;
        let (price, liquidity) = (last.price, if last.fee.is_zero() { Liquidity::Maker } else { Liquidity::Taker });
        if entry.status != TradeStatus::Filled {
            return None;
        }
        entry.fill((price, Quantity::from_micros(1_000_000)), liquidity, now).ok()?;
        Some(self.changed_to(entry))
    }

    /// Refuses an order that rests.
    pub(super) fn reject(&mut self, order: &OrderId) -> Option<VenueReport> {
        let mut entry = Entry::clone(self.entries.get(order)?);
        if entry.status != TradeStatus::Working {
            return None;
        }
        entry.reject(Rejection::TakenBack);
        Some(self.changed_to(entry))
    }

    fn end(&mut self, order: &OrderId, otherwise: TradeStatus) -> Option<VenueReport> {
        let mut entry = Entry::clone(self.entries.get(order)?);
        entry.end(otherwise);
        Some(self.changed_to(entry))
    }

    fn changed_to(&mut self, entry: Entry) -> VenueReport {
        let report = entry.report();
        self.changed.push(entry.id.clone());
        self.restore(entry);
        report
    }

    fn is_over(&self, order: &OrderId, now: Timestamp) -> bool {
        self.entries.get(order).is_some_and(|entry| entry.is_over(now))
    }

    fn finish(&mut self, instrument: &InstrumentId, order: OrderId) {
        if let Some(book) = self.books.get_mut(instrument) {
            book.resting.retain(|resting| *resting != order);
        }
        self.finished.push_back(order);
        while self.finished.len() > self.finished_max {
            if let Some(oldest) = self.finished.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }
}

impl Book {
    /// What `entry` can trade against at its limit or better.
    fn against(&mut self, entry: &Entry) -> Option<&mut Level> {
        match entry.side {
            Side::Buy => self.ask.as_mut().filter(|ask| ask.price <= entry.limit),
            Side::Sell => self.bid.as_mut().filter(|bid| bid.price >= entry.limit),
        }
    }
}
