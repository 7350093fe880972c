//! Brings orphans to an end: nothing is decided before the venue has answered for each of them.

use super::{
    Ended, Gate,
    venue::{Asked, VenueAnswer, stand_of},
};
use crate::{
    config::now,
    metrics,
    orphans::{self, Orphan},
    wire::executed_record,
};
use ::metrics::counter;
use futures::FutureExt as _;
use std::collections::HashMap;
use tokio::sync::oneshot;
use tracing::{error, info, warn};
use tragen_domain::{
    id::OrderId,
    risk::{asked_again_until, is_asked_again},
    time::Timestamp,
};
use tragen_venue::VenueReport;

/// The orphans of a term.
#[derive(Debug, Default)]
pub(crate) struct Orphaned {
    orders: HashMap<OrderId, Orphan>,
    /// Answers with fills of an instrument that the market has not told of so far.
    unsettled: Vec<VenueReport>,
    /// Until when an order that is asked for once more may be at the venue already; `None`: the journal is whole.
    asked_again_until: Option<Timestamp>,
}

impl Orphaned {
    /// Whether this order is one.
    pub(super) fn has(&self, order: &OrderId) -> bool {
        self.orders.contains_key(order)
    }
}

impl Gate {
    /// Asks the ledger for the trades that work, if the journal was lost not long ago; how many it does not know.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub(crate) async fn find_orphans(&mut self) -> anyhow::Result<usize> {
        let until = asked_again_until(self.state.changes(), now());
        if until.is_some() {
            let found = orphans::of_the_books(&self.bus, &self.config, &self.state).await?;
            self.work.orphans.orders = found.into_iter().map(|orphan| (orphan.order.clone(), orphan)).collect();
        }
        self.work.orphans.asked_again_until = until;
        Ok(self.work.orphans.orders.len())
    }

    /// Asks the venue to take out every orphan; each counts as an order whose end is not known.
    pub(super) fn ask_for_orphans(&mut self) {
        let orders: Vec<OrderId> = self.work.orphans.orders.keys().cloned().collect();
        for order in orders {
            self.ask_for_orphan(order);
        }
    }

    /// Takes an order on that is asked for once more and is at the venue already; resolves when its end is stored.
    pub(crate) fn adopt(&mut self, mut orphan: Orphan) -> oneshot::Receiver<()> {
        let (done, stored) = oneshot::channel();
        let order = orphan.order.clone();
        if let Some(known) = self.work.orphans.orders.get_mut(&order) {
            known.waiting.push(done);
        } else {
            orphan.waiting.push(done);
            self.work.orphans.orders.insert(order.clone(), orphan);
            self.ask_for_orphan(order);
        }
        stored
    }

    /// Whether the venue may have executed an order that the lost journal had approved; one that it cannot be asked
    /// about is not there.
    pub(crate) fn is_at_venue(&self, order: &OrderId) -> bool {
        let is_asked = is_asked_again(self.work.orphans.asked_again_until, now());
        is_asked && self.venue.order_status(order).is_ok_and(|stand| stand.is_some())
    }

    fn ask_for_orphan(&mut self, order: OrderId) {
        self.work.recoveries += 1;
        let venue = self.venue.clone();
        // What the guard before this one has approved cannot arrive later.
        let valid_until = now().plus_millis(self.state.limits().approval_valid_ms);
        self.work.at_venue.push(
            async move {
                let answer = stand_of(&venue, Asked::Orphan, &order, valid_until).await;
                VenueAnswer { asked: Asked::Orphan, order, valid_until, traceparent: String::new(), answer, done: None }
            }
            .boxed(),
        );
    }

    /// Tells an orphan's end. A report on EXECUTIONS is enough: the journal has nothing of it that must be closed.
    pub(super) async fn on_orphan(&mut self, report: VenueReport) -> Result<(), Ended> {
        let Some(orphan) = self.work.orphans.orders.get(&report.order) else { return Ok(()) };
        let seen = orphan.read(&report)?;
        let instrument = self.state.instrument(&orphan.instrument);
        if !seen.stage.is_over() {
            self.ask_again(Asked::Orphan, (report.order, now()), String::new());
            return Ok(());
        }
        if instrument.is_none() && !seen.fills.is_empty() {
            warn!("order {} was filled, and the market has not told how it settles", report.order);
            self.work.orphans.unsettled.push(report);
            return Ok(());
        }
        let end = orphan.end((&report, &seen), instrument.map(|own| (&own.settlement).into()))?;
        let Some(orphan) = self.work.orphans.orders.remove(&report.order) else { return Ok(()) };
        match executed_record(&end.report) {
            Ok(Some(executed)) => self.apply(executed)?,
            // Nothing was filled: there is nothing to count.
            Ok(None) => {}
            Err(malformed) => error!("the end of {} cannot be counted: {malformed}", report.order),
        }
        info!("order {} of the lost journal is over: {:?}", report.order, report.status);
        counter!(metrics::ORPHANS).increment(1);
        self.raise((&report.order, Some(orphan.instrument.clone())), &seen.anomalies).await?;
        self.last_reports.keep(orphan.trade, end.kept);
        let (stored, waiting) = (self.reports.send(end.report).await, orphan.waiting);
        let storing = async move {
            if stored.await.is_ok() {
                for waiting in waiting {
                    let _ = waiting.send(());
                }
            }
            None
        };
        self.work.storing.push(storing.boxed());
        Ok(())
    }

    /// Tells the ends that waited for the market.
    pub(super) async fn end_orphans(&mut self) -> Result<(), Ended> {
        let unsettled = std::mem::take(&mut self.work.orphans.unsettled);
        let is_settled = |report: &VenueReport| {
            let orphan = self.work.orphans.orders.get(&report.order);
            orphan.is_none_or(|orphan| self.state.instrument(&orphan.instrument).is_some())
        };
        let (ready, waiting): (Vec<_>, Vec<_>) = unsettled.into_iter().partition(is_settled);
        self.work.orphans.unsettled = waiting;
        for report in ready {
            self.on_orphan(report).await?;
        }
        Ok(())
    }
}
