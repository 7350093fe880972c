//! What one transaction is made of, and how it is answered.

use super::{busy, set_aside_alert, waiting::back_to_the_bus};
use crate::{
    batch::{Decision, Outcome, Refused},
    intake::{Action, Item},
    metrics as names,
    publish::{self, HandedOn},
    slot::{Directory, Place, Slots},
};
use metrics::counter;
use tokio::sync::oneshot;
use tracing::{debug, error};
use tragen_bus::Delivery;
use tragen_contracts::v1;
use tragen_domain::ledger::ResultCode;
use tragen_host::trace::trace_id_of;

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

    /// Takes what is for the shard `own` out of a message. What is for a slot on its way out gets a message of its own,
    /// so that no other account waits with it; a message that must wait is given back.
    pub(super) async fn reports(
        &mut self,
        mut delivery: Delivery<v1::ExecutionBatch>,
        slots: &Slots,
        (own, directory): (u16, &Directory),
    ) -> Option<Delivery<v1::ExecutionBatch>> {
        let (venue, is_handed_on) = origin_of(&delivery);
        if is_handed_on {
            let places = delivery.message.reports.iter().map(|report| (slots.place(account_of(report)), report));
            let (mut is_leaving, mut is_coming) = (false, false);
            for (place, report) in places {
                is_leaving |= matches!(place, Place::Leaving { .. });
                // The slot has just come: the next term has it.
                is_coming |= place == Place::Elsewhere && directory.shard_of(account_of(report)) == own;
            }
            if is_leaving {
                return Some(delivery);
            }
            if is_coming {
                back_to_the_bus(&delivery).await;
                return None;
            }
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
        None
    }

    /// Sends what a message has to the shard `own` once more, together with what else goes there.
    pub(super) fn send_anew(&mut self, own: u16, mut delivery: Delivery<v1::ExecutionBatch>) {
        let (venue, _) = origin_of(&delivery);
        let reports = std::mem::take(&mut delivery.message.reports);
        self.handed_on.extend(reports.into_iter().map(|report| (own, venue.clone(), report)));
        self.deliveries.push(delivery);
    }
}

/// The venue that a message is from; and whether a shard has handed it on. `exec.<venue>` is seen by every shard, what
/// was handed on by this one only, so it must not be lost.
fn origin_of(delivery: &Delivery<v1::ExecutionBatch>) -> (String, bool) {
    let subject = delivery.subject().strip_prefix("exec.").unwrap_or_default();
    match subject.split_once('.') {
        Some((venue, _)) => (venue.to_owned(), true),
        None => (subject.to_owned(), false),
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
pub(super) fn report(items: &[Item], decision: &Decision) -> Vec<v1::Alert> {
    let mut alerts = Vec::new();
    for (item, outcome) in items.iter().zip(&decision.outcomes) {
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
            Outcome::Refused(..) => "refused",
            Outcome::SetAside(why) => {
                let trade_id = item.raw_key().trade_id;
                error!(trade.id = %trade_id, "report of trade {trade_id} cannot be booked and is set aside: {why}");
                alerts.push(set_aside_alert(item, why));
                "set_aside"
            }
        };
        counter!(names::ITEMS, "outcome" => name, "code" => outcome.code().as_str()).increment(1);
    }
    for account in &decision.frozen {
        error!(account.id = %account, "account {account} could not cover a payment and is frozen");
        counter!(names::FROZEN).increment(1);
        let message = format!("account {account} could not cover a payment and is frozen");
        let severity = v1::AlertSeverity::Critical;
        alerts.push(publish::alert(severity, publish::code::ACCOUNT_FROZEN, account, account, message));
    }
    for Refused { booking_id, account_id, why } in &decision.refused {
        error!(booking.id = %booking_id, "booking {booking_id} for {account_id} is refused, nothing was booked: {why}");
        counter!(names::REFUSED).increment(1);
        let message = format!("booking {booking_id} for {account_id} is refused, nothing was booked: {why}");
        let (severity, code) = (v1::AlertSeverity::Warning, publish::code::BOOKING_REFUSED);
        alerts.push(publish::alert(severity, code, booking_id, account_id, message));
    }
    alerts
}

pub(super) fn answer(outcome: &Outcome) -> v1::LedgerAnswer {
    let not_booked = |message: String| {
        let reason = outcome.code().as_str().to_owned();
        v1::ledger_answer::Answer::Error(v1::AskError { code: 13, reason, message })
    };
    let answer = match outcome {
        Outcome::Deposited(account) => {
            v1::ledger_answer::Answer::Deposit(v1::DepositResponse { account: Some(account.clone()) })
        }
        Outcome::Refused(_, error) => v1::ledger_answer::Answer::Error(error.clone()),
        Outcome::SetAside(why) => not_booked(why.to_string()),
        Outcome::Booked | Outcome::Known => not_booked("the deposit was not taken for one".to_owned()),
    };
    v1::LedgerAnswer { answer: Some(answer) }
}
