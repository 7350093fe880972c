//! Bookings by hand, asked of the leading guard.

use super::{Api, Call};
use crate::refusal::{Refusal, malformed_answer};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tragen_contracts::v1::{
    BookingStatus, CashPosted, ConfirmBookingRequest, ConfirmBookingResponse, OutcomesQuestion, ProposeBookingRequest,
    ProposeBookingResponse, guard_answer::Answer, guard_question::Question, ledger_answer, ledger_fact,
    ledger_question,
};

/// How long whoever confirms waits for what the ledger makes of it.
const BOOKED_WITHIN: Duration = Duration::from_secs(2);
/// How often the ledger is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);

impl Api {
    /// `Operations/ProposeBooking`.
    pub(crate) async fn propose_booking(
        &self,
        call: &Call,
        request: ProposeBookingRequest,
    ) -> Result<ProposeBookingResponse, Refusal> {
        let Answer::ProposeBooking(answer) =
            self.ask_guard(call, Question::ProposeBooking(request), self.patience(call)).await?
        else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `Operations/ConfirmBooking`: what the ledger makes of it is part of the answer, if it is quick enough.
    pub(crate) async fn confirm_booking(
        &self,
        call: &Call,
        request: ConfirmBookingRequest,
    ) -> Result<ConfirmBookingResponse, Refusal> {
        let Answer::ConfirmBooking(mut answer) =
            self.ask_guard(call, Question::ConfirmBooking(request), self.patience(call)).await?
        else {
            return Err(malformed_answer());
        };
        answer.set_status(BookingStatus::Pending);
        let ids = std::mem::take(&mut answer.outcome_ids);
        if let Some(posted) = self.booked(call, ids, &answer).await {
            answer.set_status(if posted.denial.is_some() { BookingStatus::Refused } else { BookingStatus::Posted });
            answer.denial = posted.denial;
        }
        Ok(answer)
    }

    /// What the ledger has told of `booking` under one of `ids`; `None` when it has not told in time. The id of a
    /// correction may be that of another account's, which says nothing of this one.
    async fn booked(&self, call: &Call, ids: Vec<String>, booking: &ConfirmBookingResponse) -> Option<CashPosted> {
        let is_meant = |posted: &CashPosted| {
            let of = posted.account.as_ref().map_or("", |account| &account.account_id);
            posted.trade_id == booking.booking_id || of == booking.account_id
        };
        // Whoever asked must hear that it is journaled, and has little time, perhaps.
        let until = Instant::now() + (self.patience(call) / 2).min(BOOKED_WITHIN);
        while !ids.is_empty() && Instant::now() < until {
            let asked = OutcomesQuestion { trade_ids: ids.clone(), accept_partial: true };
            let question = ledger_question::Question::Outcomes(asked);
            let left = until.saturating_duration_since(Instant::now());
            let answer = self.ask_ledger("", question, &call.traceparent, left).await;
            // It is journaled whatever the ledger says now: only when it is booked is not known.
            if let Ok(ledger_answer::Answer::Outcomes(outcomes)) = answer {
                let mut told = outcomes.facts.into_iter().filter_map(|fact| match fact.kind {
                    Some(ledger_fact::Kind::Cash(posted)) => Some(posted),
                    Some(ledger_fact::Kind::Trade(_) | ledger_fact::Kind::Settled(_)) | None => None,
                });
                if let Some(posted) = told.find(is_meant) {
                    return Some(posted);
                }
            }
            sleep(ASK_EVERY.min(until.saturating_duration_since(Instant::now()))).await;
        }
        None
    }
}
