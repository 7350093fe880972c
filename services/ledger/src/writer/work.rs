//! What one transaction is made of, and how it is answered.

use super::{busy, set_aside_alert};
use crate::{
    batch::Outcome,
    intake::{Action, Item},
    metrics as names,
    publish::{self, HandedOn},
    slot::{Directory, Place, Slots},
};
use metrics::counter;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::{debug, error};
use tragen_bus::Delivery;
use tragen_contracts::v1;
use tragen_domain::ledger::ResultCode;
use tragen_host::trace::trace_id_of;

/// How long a report for a slot that is leaving waits before it comes again; longer with every time.
const LEAVING_DELAY: Duration = Duration::from_millis(200);
/// The delay grows up to this many times: a move that was cut short may take hours to be finished.
const LEAVING_DELAYS_MAX: u64 = 25;
/// A message taken in by the bus later than this after a slot has gone was seen by its new
/// keeper: clocks of two machines differ by less.
const GONE_MARGIN_MICROS: i64 = 60_000_000;

/// A deposit on its way to the writer.
#[derive(Debug)]
pub(crate) struct DepositCommand {
    /// What to book.
    pub(crate) item: Item,
    /// Where the answer goes.
    pub(crate) reply: oneshot::Sender<v1::LedgerAnswer>,
}

/// What one transaction is made of.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) items: Vec<Item>,
    /// Decided markets: booked one after the other, each with its payouts.
    pub(super) settlements: Vec<Item>,
    /// Deposits wait at these places of `items`.
    pub(super) replies: Vec<(usize, oneshot::Sender<v1::LedgerAnswer>)>,
    /// Reports of accounts that have gone to another shard.
    pub(super) handed_on: Vec<HandedOn>,
    pub(super) deliveries: Vec<Delivery<v1::ExecutionBatch>>,
}

impl Work {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.settlements.is_empty() && self.deliveries.is_empty()
    }

    pub(super) fn deposit(&mut self, command: DepositCommand, slots: &Slots) {
        let account_id = command.item.raw_key().account_id;
        if slots.place(&account_id) == Place::Here {
            self.replies.push((self.items.len(), command.reply));
            self.items.push(command.item);
        } else {
            let message = format!("account {account_id} is moving to another shard; repeat the request");
            let error = busy(ResultCode::SlotMoving.as_str(), message);
            let answer = v1::LedgerAnswer { answer: Some(v1::ledger_answer::Answer::Error(error)) };
            let _ = command.reply.send(answer);
        }
    }

    /// Takes what is for the shard `own` out of a message. What is for a slot on its way out waits
    /// on the bus in a message of its own, so that no other account waits with it.
    pub(super) async fn reports(
        &mut self,
        mut delivery: Delivery<v1::ExecutionBatch>,
        slots: &Slots,
        (own, directory): (u16, &Directory),
    ) {
        let subject = delivery.subject().strip_prefix("exec.").unwrap_or_default();
        // `exec.<venue>` is seen by every shard; what was handed on is seen by this one only, and must not be lost.
        let (venue, is_handed_on) = match subject.split_once('.') {
            Some((venue, _)) => (venue.to_owned(), true),
            None => (subject.to_owned(), false),
        };
        let must_wait = |report: &v1::ExecutionReport| match slots.place(account_of(report)) {
            Place::Leaving { .. } => true,
            Place::Elsewhere => directory.shard_of(account_of(report)) == own,
            Place::Here | Place::Gone { .. } => false,
        };
        if is_handed_on && delivery.message.reports.iter().any(must_wait) {
            let times = u32::try_from(delivery.deliveries.clamp(1, LEAVING_DELAYS_MAX)).unwrap_or(1);
            delivery.retry(LEAVING_DELAY * times).await;
            return;
        }
        for report in std::mem::take(&mut delivery.message.reports) {
            if is_settlement(&report) {
                // Every shard pays its own holders.
                match Item::report(report, &venue, delivery.deliveries) {
                    item if matches!(item.action, Ok(Action::Settlement(_))) => self.settlements.push(item),
                    item => self.items.push(item),
                }
                continue;
            }
            let to = match slots.place(account_of(&report)) {
                Place::Here => {
                    self.items.push(Item::report(report, &venue, delivery.deliveries));
                    continue;
                }
                Place::Leaving { .. } => own,
                // Its new keeper may have passed over it while the slot was not his yet.
                Place::Gone { to, at } if is_handed_on || delivery.published_micros < at + GONE_MARGIN_MICROS => to,
                Place::Elsewhere if is_handed_on => directory.shard_of(account_of(&report)),
                Place::Gone { .. } | Place::Elsewhere => continue,
            };
            counter!(names::HANDED_ON).increment(1);
            self.handed_on.push((to, venue.clone(), report));
        }
        self.deliveries.push(delivery);
    }
}

fn account_of(report: &v1::ExecutionReport) -> &str {
    report.key.as_ref().map_or("", |key| key.account_id.as_str())
}

fn is_settlement(report: &v1::ExecutionReport) -> bool {
    matches!(&report.kind, Some(v1::execution_report::Kind::Booking(booking))
        if matches!(booking.kind, Some(v1::booking::Kind::Settlement(_))))
}

/// Counts the outcomes, and calls for a person where one is needed.
pub(super) fn report(items: &[Item], outcomes: &[Outcome], frozen: &[String]) -> Vec<v1::Alert> {
    let mut alerts = Vec::new();
    for (item, outcome) in items.iter().zip(outcomes) {
        let name = match outcome {
            Outcome::Booked => {
                if tracing::enabled!(tracing::Level::DEBUG) {
                    let trade_id = item.raw_key().trade_id;
                    debug!(
                        trace_id = trace_id_of(&item.traceparent),
                        trade.id = trade_id,
                        "trade {trade_id} is booked"
                    );
                }
                "booked"
            }
            Outcome::Known => "known",
            Outcome::Deposited(_) => "deposited",
            Outcome::Refused(_) => "refused",
            Outcome::SetAside { reason } => {
                let trade_id = item.raw_key().trade_id;
                error!(trade.id = %trade_id, "report of trade {trade_id} cannot be booked and is set aside: {reason}");
                alerts.push(set_aside_alert(item, reason));
                "set_aside"
            }
        };
        counter!(names::ITEMS, "outcome" => name, "code" => outcome.code().as_str()).increment(1);
    }
    for account in frozen {
        error!(account.id = %account, "account {account} could not cover a payment and is frozen");
        counter!(names::FROZEN).increment(1);
        let message = format!("account {account} could not cover a payment and is frozen");
        let severity = v1::AlertSeverity::Critical;
        alerts.push(publish::alert(severity, publish::code::ACCOUNT_FROZEN, account, account, message));
    }
    alerts
}

pub(super) fn answer(outcome: &Outcome) -> v1::LedgerAnswer {
    let not_booked = |message: String| {
        let reason = "DEPOSIT_NOT_BOOKED".to_owned();
        v1::ledger_answer::Answer::Error(v1::AskError { code: 13, reason, message })
    };
    let answer = match outcome {
        Outcome::Deposited(account) => {
            v1::ledger_answer::Answer::Deposit(v1::DepositResponse { account: Some(account.clone()) })
        }
        Outcome::Refused(error) => v1::ledger_answer::Answer::Error(error.clone()),
        Outcome::SetAside { reason } => not_booked(reason.clone()),
        Outcome::Booked | Outcome::Known => not_booked("the deposit was not taken for one".to_owned()),
    };
    v1::LedgerAnswer { answer: Some(answer) }
}
