//! Bookings by hand, asked of the leading guard.

use super::{Api, Call};
use crate::refusal::{Refusal, malformed_answer};
use tragen_contracts::v1::{
    ConfirmBookingRequest, ConfirmBookingResponse, ProposeBookingRequest, ProposeBookingResponse, guard_answer::Answer,
    guard_question::Question,
};

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

    /// `Operations/ConfirmBooking`.
    pub(crate) async fn confirm_booking(
        &self,
        call: &Call,
        request: ConfirmBookingRequest,
    ) -> Result<ConfirmBookingResponse, Refusal> {
        let Answer::ConfirmBooking(answer) =
            self.ask_guard(call, Question::ConfirmBooking(request), self.patience(call)).await?
        else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }
}
