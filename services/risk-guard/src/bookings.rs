//! What two operators book by hand: proposed, confirmed, journaled, and told to
//! the ledger. A settlement is told when nothing of its instrument can execute
//! any more, so that no fill is booked after it.

use crate::{
    command::{Code, refusal},
    config::now,
    gate::{Ended, Gate},
    outcome,
    wire::{booking_record, told_record},
};
use futures::FutureExt as _;
use tokio::sync::oneshot;
use tracing::info;
use tragen_contracts::{
    cash_correction_id,
    convert::{self, InvalidField, required},
    execution_correction_id,
    v1::{self, guard_answer::Answer},
};
use tragen_domain::{
    id::InstrumentId,
    risk::{Booking, BookingKind, BookingRefused, Record, confirm_booking, propose_booking},
};

/// A booking that is journaled and not known to be stored on EXECUTIONS.
#[derive(Debug, Clone)]
pub(crate) struct Untold {
    pub(crate) settled: Option<InstrumentId>,
    pub(crate) report: v1::ExecutionReport,
}

impl Gate {
    /// First step.
    pub(crate) fn propose_booking(&mut self, principal: &str, request: &v1::ProposeBookingRequest) -> v1::GuardAnswer {
        let booking = match parse(request) {
            Ok(booking) => booking,
            Err(bad) => return refusal(Code::InvalidArgument, bad.reason, bad.to_string()),
        };
        let token = uuid::Uuid::new_v4().simple().to_string();
        match propose_booking(&mut self.state, booking, principal, token, now()) {
            Ok(proposal) => {
                let answer = Answer::ProposeBooking(v1::ProposeBookingResponse {
                    token: proposal.token,
                    expires_at: Some(convert::timestamp(proposal.expires_at)),
                });
                v1::GuardAnswer { answer: Some(answer) }
            }
            Err(refused) => refused_booking(refused),
        }
    }

    /// Second step: journals it, then obeys and tells it.
    ///
    /// # Errors
    /// [`Ended`] when the journal could not be written: the answer is not given then.
    pub(crate) async fn confirm_booking(
        &mut self,
        principal: &str,
        token: &str,
        traceparent: &str,
        reply: oneshot::Sender<v1::GuardAnswer>,
    ) -> Result<(), Ended> {
        let decided_at = now();
        let confirmed = match confirm_booking(&mut self.state, token, principal, decided_at) {
            Ok(confirmed) => confirmed,
            Err(refused) => {
                let _ = reply.send(refused_booking(refused));
                return Ok(());
            }
        };
        let booking_id = uuid::Uuid::now_v7().to_string();
        let record = booking_record(&booking_id, &confirmed, traceparent, decided_at);
        let report = outcome::booking(record.meta.as_ref(), record.key.as_ref(), (&confirmed).into());
        self.journal.append(vec![record], decided_at).await?;
        let settled = confirmed.booking.kind.settled().cloned();
        self.apply(Record::Booked { settled: settled.clone() })?;
        let (first, second, reason) = (&confirmed.proposed_by, &confirmed.confirmed_by, &confirmed.booking.reason);
        info!(booking.id = %booking_id, "booking {booking_id} is wanted by {first} and {second}: {reason}");
        let answer = Answer::ConfirmBooking(v1::ConfirmBookingResponse {
            outcome_ids: outcome_ids(&confirmed.booking.kind, &booking_id),
            account_id: confirmed.booking.kind.account().map(ToString::to_string).unwrap_or_default(),
            booking_id,
            status: v1::BookingStatus::Pending.into(),
            denial: None,
        });
        let _ = reply.send(v1::GuardAnswer { answer: Some(answer) });
        if settled.is_some() {
            // Approvals that were journaled before it may be on their way.
            self.settle_submissions().await?;
            self.cancel_forbidden();
        }
        self.work.untold.push(Untold { settled, report });
        self.tell_bookings().await;
        Ok(())
    }

    /// Tells every booking that waits for nothing any more; the journal learns when it is stored.
    pub(crate) async fn tell_bookings(&mut self) {
        if self.work.untold.is_empty() {
            return;
        }
        let (waiting, ready): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.work.untold).into_iter().partition(|untold| self.is_working(untold));
        self.work.untold = waiting;
        for untold in ready {
            let told = Box::new(told_record(&untold.report));
            let stored = self.reports.send(untold.report).await;
            self.work.storing.push(async move { stored.await.ok().map(|()| told) }.boxed());
        }
    }

    /// Whether an order of what it settles may still execute.
    fn is_working(&self, untold: &Untold) -> bool {
        let Some(settled) = &untold.settled else { return false };
        self.state.settled_orders().any(|open| open.order.terms.instrument == *settled)
    }
}

fn parse(request: &v1::ProposeBookingRequest) -> Result<Booking, InvalidField> {
    let booking = required("booking", request.booking.as_ref())?;
    Booking::try_from(booking).map_err(|bad| bad.inside("booking"))
}

/// What the ledger may call it: a correction that is booked has the name of what it takes back.
fn outcome_ids(kind: &BookingKind, booking_id: &str) -> Vec<String> {
    let mut ids = vec![booking_id.to_owned()];
    match kind {
        BookingKind::Adjustment { .. } | BookingKind::Unfreezing { .. } => {}
        BookingKind::Correction { reference, .. } => {
            ids.push(execution_correction_id(reference).to_string());
            ids.extend(uuid::Uuid::try_parse(reference).map(|cash| cash_correction_id(&cash).to_string()));
        }
        BookingKind::Settlement { .. } => ids.clear(),
    }
    ids
}

fn refused_booking(refused: BookingRefused) -> v1::GuardAnswer {
    let code = match refused {
        BookingRefused::ProposalUnknown => Code::NotFound,
        BookingRefused::UnknownInstrument | BookingRefused::UnknownAccount { .. } | BookingRefused::ValueOutOfRange => {
            Code::InvalidArgument
        }
        BookingRefused::TooManyProposals { .. } => Code::ResourceExhausted,
        BookingRefused::ProposalExpired | BookingRefused::SamePrincipal => Code::FailedPrecondition,
    };
    refusal(code, refused.as_str(), refused.to_string())
}
