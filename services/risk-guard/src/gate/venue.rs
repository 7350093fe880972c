//! The gate's dealings with the venue: what is sent, asked, answered and told on.

use super::{Ended, Gate, PRINCIPAL};
use crate::{
    alert,
    config::now,
    metrics, outcome,
    reports::Kept,
    wire::{closed_record, executed_record, parse_scope},
};
use ::metrics::{counter, histogram};
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use opentelemetry::trace::SpanKind;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tracing::{error, warn};
use tragen_bus::Severity;
use tragen_contracts::v1;
use tragen_domain::{
    id::{InstrumentId, OrderId, TradeId},
    money::Quantity,
    order::TradeStatus,
    risk::{
        Anomaly, Approved, CallCounts, CallOutcome, Event, Executed, OpenOrder, Order, Purpose, Record, Scope, Seen,
        Stage, Step, TradingState, read_report, step, tighten,
    },
    time::Timestamp,
};
use tragen_host::clock;
use tragen_venue::{PaperVenue, VenueError, VenueReport};

/// How long to wait before asking the venue again.
const VENUE_RETRY: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Submit,
    /// Like [`Asked::Submit`], but a halt came first: it was never sent, so nobody needs to be asked about it.
    Withheld,
    Cancel,
    /// What an order of the term before came to; nothing new is decided until all of them have said so.
    Recover,
    /// The same for an order of this term: its hold waits for the answer, and nobody else does.
    Find,
    /// Like [`Asked::Cancel`], for an order that is not in the state.
    Orphan,
}

#[derive(Debug)]
pub(super) struct VenueAnswer {
    pub(super) asked: Asked,
    pub(super) order: OrderId,
    pub(super) valid_until: Timestamp,
    pub(super) traceparent: String,
    pub(super) answer: Result<VenueReport, VenueError>,
    pub(super) done: Option<oneshot::Sender<()>>,
}

impl Gate {
    /// Sends an approved order, unless it has been halted since. The venue refuses it after its `valid_until`.
    pub(crate) fn submit(&mut self, order: Approved<Order>, traceparent: String) {
        let (venue, spans, lease) = (self.venue.clone(), self.context.spans.clone(), self.lease.clone());
        let states = self.control.subscribe();
        self.work.submissions += 1;
        self.work.at_venue.push(
            async move {
                let started = Instant::now();
                let mut span = spans.start("execute paper", SpanKind::Client, &traceparent);
                span.set("tragen.order_id", order.terms.id.to_string());
                // Whoever was paused since the journal took it may have been deposed meanwhile.
                let may_go = lease.is_fresh() && now() <= order.valid_until;
                let (asked, answer) = if may_go && is_halted(&states.borrow(), &order) {
                    (Asked::Withheld, Ok(ended_unsent(&order.terms.id, TradeStatus::Canceled)))
                } else if may_go {
                    (Asked::Submit, venue.submit(&order).await)
                } else {
                    (Asked::Submit, Err(VenueError::NotSent))
                };
                if let Err(error) = &answer {
                    span.fail("venue", error.to_string());
                }
                histogram!(metrics::VENUE_SECONDS).record(started.elapsed().as_secs_f64());
                let own = span.traceparent();
                VenueAnswer {
                    asked,
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

    /// Asks the venue about every order whose end is not known, as `asked` says, and takes out those
    /// that may not stand any more. Nothing else may be on its way to the venue.
    pub(super) fn recover(&mut self, asked: Asked) {
        let open: Vec<OrderId> = self.state.orders().map(|open| open.order.terms.id.clone()).collect();
        self.work.recoveries = if asked == Asked::Recover { open.len() } else { 0 };
        for order in &open {
            self.ask_venue(asked, order, None);
        }
        self.ask_for_orphans();
        self.cancel_forbidden();
    }

    /// Calls of the venue within the last minute, and how many failed.
    pub(crate) fn venue_calls(&self) -> CallCounts {
        self.work.venue_calls.counts(clock::boot_time().as_secs())
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
            Asked::Withheld => {
                self.work.submissions -= 1;
                self.work.withheld += 1;
            }
            Asked::Recover | Asked::Orphan => self.work.recoveries -= 1,
            // A cancel without an answer is asked again and again, once at a time.
            Asked::Find => {}
            Asked::Cancel if answer.is_ok() => self.work.canceling.answered(&order),
            Asked::Cancel => {}
        }
        if asked != Asked::Withheld
            && let Some(call) = outcome_of_call(&answer)
        {
            self.work.venue_calls.record(clock::boot_time().as_secs(), call);
        }
        match answer {
            Ok(report) if asked == Asked::Orphan => self.on_orphan(report).await?,
            Ok(report) => self.on_report(report, &traceparent).await?,
            Err(venue_error) => {
                counter!(metrics::VENUE_FAILURES).increment(1);
                // It may have arrived: the hold stays until the venue tells.
                error!("the venue did not answer for {order}: {venue_error}");
                if asked == Asked::Orphan || step(self.stage_of(&order), Event::NoAnswer).1 == Step::Ask {
                    let asked = if asked == Asked::Submit { Asked::Find } else { asked };
                    self.ask_again(asked, (order, valid_until), traceparent);
                } else {
                    self.work.canceling.answered(&order);
                }
            }
        }
        if let Some(done) = done {
            let _ = done.send(());
        }
        Ok(())
    }

    pub(super) fn ask_again(&mut self, asked: Asked, (order, valid_until): (OrderId, Timestamp), traceparent: String) {
        self.work.recoveries += usize::from(matches!(asked, Asked::Recover | Asked::Orphan));
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

    /// Where an open order stands; a forgotten one is over.
    fn stage_of(&self, order: &OrderId) -> Stage {
        match self.tickets.get(order) {
            Some(_) if self.state.order(order).is_none() => Stage::Filled,
            Some(ticket) if ticket.is_working_reported => Stage::Working,
            Some(_) => Stage::Sent,
            None => Stage::Filled,
        }
    }

    /// Books what is new in a report and tells it. `EXECUTIONS` first, then the journal's
    /// "closed": if the guard dies between them the next one finds the report and
    /// closes the order by it; the other way round the outcome could be lost.
    async fn on_report(&mut self, report: VenueReport, traceparent: &str) -> Result<(), Ended> {
        let stage = self.stage_of(&report.order);
        let Some(open) = self.state.order(&report.order) else {
            // What the market does to an orphan is in the answer to its cancel, too.
            return if self.work.orphans.has(&report.order) { Ok(()) } else { self.on_late_report(report).await };
        };
        let (ordered, instrument) = (open.order.terms.quantity, open.order.terms.instrument.clone());
        let told = (report.status, report.fills.as_slice());
        let seen = read_report(stage, (ordered, open.filled), &open.executions, told)?;
        if report.status.is_final() && !seen.stage.is_over() {
            warn!("the venue says that {} is over, but not all of its fills", report.order);
            let again = (report.order.clone(), open.order.valid_until);
            self.ask_again(Asked::Find, again, traceparent.to_owned());
        }
        if !seen.is_news {
            return Ok(());
        }
        self.raise((&report.order, Some(instrument)), &seen.anomalies).await?;
        let (Some(open), Some(ticket)) = (self.state.order(&report.order), self.tickets.get_mut(&report.order)) else {
            return Ok(());
        };
        let status = seen.stage.status();
        ticket.is_working_reported |= !status.is_final();
        if !traceparent.is_empty() {
            traceparent.clone_into(&mut ticket.traceparent);
        }
        let told = outcome::of_order(ticket, status, (&seen.fills, report.fills.len()), &report.rejection);
        let executed = executed(open, &seen);
        let (mut executions, mut filled) = (open.executions.clone(), open.filled);
        for fill in &seen.fills {
            executions.push(fill.id.clone());
            filled = filled.plus(fill.quantity)?;
        }
        let closed = status.is_final().then(|| Box::new(closed_record(ticket, status, filled.micros())));
        let trade = open.order.trade.clone();
        self.apply(Record::Executed(Box::new(executed)))?;
        counter!(metrics::REPORTS, "status" => v1::TradeStatus::from(status).as_str_name()).increment(1);
        if closed.is_some() {
            self.last_reports.keep(trade, Kept { report: told.clone(), executions, filled });
        }
        let stored = self.reports.send(told).await;
        self.work.storing.push(async move { stored.await.ok().and(closed) }.boxed());
        Ok(())
    }

    /// A report of an order that is over: a fill in it that nobody knows is a fact all the
    /// same. It is booked, told, and somebody should look at it.
    async fn on_late_report(&mut self, report: VenueReport) -> Result<(), Ended> {
        let trade = report.order.as_str().strip_suffix("-o").and_then(|trade| TradeId::new(trade).ok());
        let kept = trade.as_ref().and_then(|trade| self.last_reports.get(trade));
        let Some((trade, kept)) = trade.as_ref().zip(kept) else {
            if !report.fills.is_empty() {
                warn!("the venue tells of {}, which nobody here remembers", report.order);
                self.alert(Severity::Critical, alert::code::UNKNOWN_ORDER, &report.order);
            }
            return Ok(());
        };
        let Some(v1::execution_report::Kind::Trade(last)) = &kept.report.kind else { return Ok(()) };
        let status = TradeStatus::try_from(last.status()).unwrap_or(TradeStatus::Canceled);
        // Without terms, where it ended before it was ordered here: then every fill of it is one too many.
        let terms = last.terms.clone().unwrap_or_default();
        let instrument = InstrumentId::new(terms.instrument_id).ok();
        let quantities = (Quantity::from_micros(terms.quantity_micros), kept.filled);
        let seen =
            read_report(Stage::of(status), quantities, &kept.executions, (report.status, report.fills.as_slice()))?;
        if seen.fills.is_empty() {
            return Ok(());
        }
        let told = outcome::late(&kept.report, seen.stage.status(), &seen.fills, kept.executions.len());
        let mut late = Kept { report: told.clone(), ..kept };
        for fill in &seen.fills {
            late.executions.push(fill.id.clone());
            late.filled = late.filled.plus(fill.quantity)?;
        }
        let trade = trade.clone();
        match executed_record(&told) {
            Ok(Some(executed)) => self.apply(executed)?,
            Ok(None) => {}
            Err(malformed) => error!("a late fill of {} cannot be counted: {malformed}", report.order),
        }
        self.raise((&report.order, instrument), &seen.anomalies).await?;
        self.last_reports.keep(trade, late);
        let stored = self.reports.send(told).await;
        self.work.storing.push(async move { stored.await.ok().and(None) }.boxed());
        Ok(())
    }

    /// Calls a person. Where more was filled than was asked for, the market is stopped, too: venue and guard do not
    /// agree about it. Before the fill is told: what is told and closed is not seen again by the next guard.
    ///
    /// # Errors
    /// [`Ended`] when the stop could not be journaled.
    pub(super) async fn raise(
        &mut self,
        (order, instrument): (&OrderId, Option<InstrumentId>),
        anomalies: &[Anomaly],
    ) -> Result<(), Ended> {
        for anomaly in anomalies {
            let (severity, code) = match anomaly {
                Anomaly::LateFill => (Severity::Warning, alert::code::LATE_FILL),
                Anomaly::Overfill => (Severity::Critical, alert::code::OVERFILL),
                Anomaly::RejectedAfterAccepted => (Severity::Warning, alert::code::REJECTED_AFTER_ACCEPTED),
            };
            counter!(metrics::ANOMALIES, "kind" => code).increment(1);
            warn!("order {order}: {code}");
            self.alert(severity, code, order);
            if let (Anomaly::Overfill, Some(instrument)) = (anomaly, &instrument) {
                self.stop_overfilled(order, instrument).await?;
            }
        }
        Ok(())
    }

    async fn stop_overfilled(&mut self, order: &OrderId, instrument: &InstrumentId) -> Result<(), Ended> {
        let scope = Scope::Instrument(instrument.clone());
        if self.state.state_of(&scope) == TradingState::Halted {
            return Ok(());
        }
        let reason = format!("OVERFILL: more of order {order} was filled than was asked for");
        error!("{scope} is stopped: {reason}");
        let halt = tighten(&self.state, scope, TradingState::Halted, PRINCIPAL, &reason, now());
        self.change_state(halt).await?;
        self.tell_control();
        Ok(())
    }

    fn alert(&self, severity: Severity, code: &'static str, order: &OrderId) {
        let (bus, subject) = (self.bus.clone(), order.to_string());
        self.context.spawn("alert", async move {
            alert::raise(&bus, (severity, code), &subject, format!("order {subject} at the venue")).await;
            Ok(())
        });
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
                    self.work.canceling.forget();
                    self.work.submissions = 0;
                    let is_beginning = self.work.recoveries > 0;
                    self.recover(if is_beginning { Asked::Recover } else { Asked::Find });
                    break;
                }
            }
        }
        Ok(())
    }
}

/// How the venue has answered; `None` for what was not sent, which says nothing of the venue.
const fn outcome_of_call<T>(answer: &Result<T, VenueError>) -> Option<CallOutcome> {
    match answer {
        Ok(_) => Some(CallOutcome::Answered),
        Err(VenueError::NotSent) => None,
        Err(_) => Some(CallOutcome::Failed),
    }
}

fn executed(open: &OpenOrder, seen: &Seen) -> Executed {
    let own = &open.order;
    Executed {
        trade: own.trade.clone(),
        order: own.terms.id.clone(),
        account: own.account.clone(),
        instrument: own.terms.instrument.clone(),
        agent: own.agent.clone(),
        side: own.terms.side,
        settlement: own.settlement.clone(),
        fills: seen.fills.clone(),
        status: seen.stage.status(),
    }
}

/// Whether a scope of `order` has been halted since it was approved. The flatten lane stays open.
fn is_halted(control: &v1::ControlState, order: &Order) -> bool {
    let halted = control.scopes.iter().filter(|own| own.state() == v1::TradingState::Halted);
    let mut scopes = halted.map(|own| parse_scope(own.scope.as_ref()));
    !matches!(order.purpose, Purpose::Flatten(_)) && scopes.any(|scope| scope.is_ok_and(|own| order.is_in(&own)))
}

/// What is told of an order that the venue has never seen.
fn ended_unsent(order: &OrderId, status: TradeStatus) -> VenueReport {
    VenueReport { order: order.clone(), status, fills: Vec::new(), rejection: String::new() }
}

/// Asks until the venue knows the order, or until it can no longer arrive.
pub(super) async fn stand_of(
    venue: &PaperVenue,
    asked: Asked,
    order: &OrderId,
    valid_until: Timestamp,
) -> Result<VenueReport, VenueError> {
    loop {
        let stand = match asked {
            Asked::Submit | Asked::Withheld | Asked::Recover | Asked::Find => venue.order_status(order)?,
            Asked::Cancel | Asked::Orphan => venue.cancel(order).await?,
        };
        if let Some(report) = stand {
            return Ok(report);
        }
        // The venue itself refuses it after `valid_until`, so even an earlier leader
        // that wakes up now cannot execute what is told to have expired.
        if now() > valid_until {
            return Ok(ended_unsent(order, TradeStatus::Expired));
        }
        tokio::time::sleep(VENUE_RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_is_no_failure_of_the_venue() {
        assert_eq!(outcome_of_call(&Ok(())), Some(CallOutcome::Answered));
        assert_eq!(outcome_of_call::<()>(&Err(VenueError::TimedOut)), Some(CallOutcome::Failed));
        assert_eq!(outcome_of_call::<()>(&Err(VenueError::NotSent)), None);
    }
}
