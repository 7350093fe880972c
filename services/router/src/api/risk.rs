//! Stopping and resuming, asked of the leading guard.

use super::{Api, Call};
use crate::refusal::{Refusal, malformed_answer};
use std::time::Duration;
use tragen_bus::Ask;
use tragen_contracts::v1::{
    ConfirmResumeRequest, ConfirmResumeResponse, GetRiskStateRequest, GetRiskStateResponse, GuardAnswer, GuardQuestion,
    HaltRequest, HaltResponse, ProposeResumeRequest, ProposeResumeResponse, guard_answer::Answer,
    guard_question::Question,
};

/// How long the guard waits for the workers when the caller does not say, milliseconds.
const HALT_WAIT_MS: i32 = 1_000;
/// Longest that it waits, milliseconds.
const HALT_WAIT_MS_MAX: i32 = 10_000;

impl Api {
    /// `RiskControl/GetRiskState`.
    pub(crate) async fn get_risk_state(
        &self,
        call: &Call,
        request: GetRiskStateRequest,
    ) -> Result<GetRiskStateResponse, Refusal> {
        let Answer::State(answer) = self.ask_guard(call, Question::GetState(request), self.patience(call)).await?
        else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/Halt`: never refused for its form.
    pub(crate) async fn halt(&self, call: &Call, mut request: HaltRequest) -> Result<HaltResponse, Refusal> {
        if request.reason.is_empty() {
            "UNSPECIFIED".clone_into(&mut request.reason);
        }
        if request.wait_ms <= 0 {
            request.wait_ms = HALT_WAIT_MS;
        }
        request.wait_ms = request.wait_ms.min(HALT_WAIT_MS_MAX);
        // The gate closes at once; the answer comes when the workers have confirmed.
        let workers = Duration::from_millis(u64::from(request.wait_ms.unsigned_abs()));
        let Answer::Halt(answer) =
            self.ask_guard(call, Question::Halt(request), self.config.ask_timeout() + workers).await?
        else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/ProposeResume`.
    pub(crate) async fn propose_resume(
        &self,
        call: &Call,
        request: ProposeResumeRequest,
    ) -> Result<ProposeResumeResponse, Refusal> {
        let Answer::ProposeResume(answer) =
            self.ask_guard(call, Question::ProposeResume(request), self.patience(call)).await?
        else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/ConfirmResume`.
    pub(crate) async fn confirm_resume(
        &self,
        call: &Call,
        request: ConfirmResumeRequest,
    ) -> Result<ConfirmResumeResponse, Refusal> {
        let Answer::ConfirmResume(answer) =
            self.ask_guard(call, Question::ConfirmResume(request), self.patience(call)).await?
        else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    pub(super) async fn ask_guard(
        &self,
        call: &Call,
        question: Question,
        timeout: Duration,
    ) -> Result<Answer, Refusal> {
        let question = GuardQuestion {
            principal: call.caller.account.as_str().to_owned(),
            question: Some(question),
            traceparent: call.traceparent.clone(),
        };
        let answer: GuardAnswer = self.bus.ask(Ask::Guard, &question, timeout).await?;
        match answer.answer {
            Some(Answer::Error(error)) => Err(error.into()),
            Some(answer) => Ok(answer),
            None => Err(malformed_answer()),
        }
    }
}
