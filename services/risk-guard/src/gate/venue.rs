//! The gate's dealings with the venue: what is sent, asked, answered and told on.

use super::{Ended, Gate};
use crate::{config::now, metrics, outcome, wire::closed_record};
use ::metrics::{counter, histogram};
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use opentelemetry::trace::SpanKind;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tracing::{error, warn};
use tragen_contracts::v1;
use tragen_domain::{
    id::OrderId,
    order::TradeStatus,
    risk::{Approved, Executed, Order, Record},
    time::Timestamp,
};
use tragen_venue::{PaperVenue, VenueError, VenueReport};

/// How long to wait before asking the venue again.
const VENUE_RETRY: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Submit,
    Cancel,
    Recover,
}

#[derive(Debug)]
pub(super) struct VenueAnswer {
    asked: Asked,
    order: OrderId,
    valid_until: Timestamp,
    traceparent: String,
    answer: Result<VenueReport, VenueError>,
    done: Option<oneshot::Sender<()>>,
}

impl Gate {
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

    /// Asks the venue about every order whose end is not known, and takes out those
    /// of settled instruments.
    pub(super) fn recover(&mut self) {
        let open: Vec<OrderId> = self.state.orders().map(|open| open.order.terms.id.clone()).collect();
        self.work.recoveries = open.len();
        for order in &open {
            self.ask_venue(Asked::Recover, order, None);
        }
        self.cancel_settled();
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

    pub(super) async fn on_venue(&mut self, answer: VenueAnswer) -> Result<(), Ended> {
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
            closed =
                self.tickets.remove(&order).map(|ticket| Box::new(closed_record(&ticket, status, filled.micros())));
            self.last_reports.keep(trade, told.clone());
        }
        let stored = self.reports.send(told).await;
        self.work.storing.push(async move { stored.await.ok().and(closed) }.boxed());
        Ok(())
    }

    pub(super) async fn on_reports(&mut self, reports: Result<Vec<VenueReport>, VenueError>) -> Result<(), Ended> {
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
        if now() > valid_until {
            let (fills, rejection) = (Vec::new(), String::new());
            return Ok(VenueReport { order: order.clone(), status: TradeStatus::Expired, fills, rejection });
        }
        tokio::time::sleep(VENUE_RETRY).await;
    }
}
