//! Stopping, reducing and resuming, asked of the leading guard.

use super::{Api, Call};
use crate::refusal::{Refusal, malformed_answer};
use std::time::Duration;
use tragen_bus::Ask;
use tragen_contracts::v1::{
    self, ConfirmResumeRequest, ConfirmResumeResponse, FlattenRequest, FlattenResponse, GetRiskHistoryRequest,
    GetRiskHistoryResponse, GetRiskStateRequest, GetRiskStateResponse, GuardAnswer, GuardQuestion, HaltRequest,
    HaltResponse, ProposeResumeRequest, ProposeResumeResponse, ReducePositionsRequest, ReducePositionsResponse,
    ShutdownAgentRequest, ShutdownAgentResponse, guard_answer::Answer, guard_question::Question,
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
        request.wait_ms = wait_ms(request.wait_ms);
        let patience = self.with_workers(request.wait_ms);
        let Answer::Halt(answer) = self.ask_guard(call, Question::Halt(request), patience).await? else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/ShutdownAgent`.
    pub(crate) async fn shutdown_agent(
        &self,
        call: &Call,
        mut request: ShutdownAgentRequest,
    ) -> Result<ShutdownAgentResponse, Refusal> {
        request.wait_ms = wait_ms(request.wait_ms);
        let patience = self.with_workers(request.wait_ms);
        let question = Question::ShutdownAgent(request);
        let Answer::ShutdownAgent(answer) = self.ask_guard(call, question, patience).await? else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/ReducePositions`.
    pub(crate) async fn reduce_positions(
        &self,
        call: &Call,
        mut request: ReducePositionsRequest,
    ) -> Result<ReducePositionsResponse, Refusal> {
        request.wait_ms = wait_ms(request.wait_ms);
        let patience = self.with_workers(request.wait_ms);
        let question = Question::ReducePositions(request);
        let Answer::ReducePositions(answer) = self.ask_guard(call, question, patience).await? else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/Flatten`.
    pub(crate) async fn flatten(&self, call: &Call, request: FlattenRequest) -> Result<FlattenResponse, Refusal> {
        let question = Question::Flatten(request);
        let Answer::Flatten(answer) = self.ask_guard(call, question, self.patience(call)).await? else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/GetRiskHistory`.
    pub(crate) async fn get_risk_history(
        &self,
        call: &Call,
        request: GetRiskHistoryRequest,
    ) -> Result<GetRiskHistoryResponse, Refusal> {
        let question = Question::History(request);
        let Answer::History(answer) = self.ask_guard(call, question, self.patience(call)).await? else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/ListLimits`.
    pub(crate) async fn list_limits(
        &self,
        call: &Call,
        request: v1::ListLimitsRequest,
    ) -> Result<v1::ListLimitsResponse, Refusal> {
        let Answer::ListLimits(answer) =
            self.ask_guard(call, Question::ListLimits(request), self.patience(call)).await?
        else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/ProposeLimit`.
    pub(crate) async fn propose_limit(
        &self,
        call: &Call,
        request: v1::ProposeLimitRequest,
    ) -> Result<v1::ProposeLimitResponse, Refusal> {
        let Answer::ProposeLimit(answer) =
            self.ask_guard(call, Question::ProposeLimit(request), self.patience(call)).await?
        else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/ConfirmLimit`.
    pub(crate) async fn confirm_limit(
        &self,
        call: &Call,
        request: v1::ConfirmLimitRequest,
    ) -> Result<v1::ConfirmLimitResponse, Refusal> {
        let Answer::ConfirmLimit(answer) =
            self.ask_guard(call, Question::ConfirmLimit(request), self.patience(call)).await?
        else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/ProposeReductionEnd`.
    pub(crate) async fn propose_reduction_end(
        &self,
        call: &Call,
        request: v1::ProposeReductionEndRequest,
    ) -> Result<v1::ProposeReductionEndResponse, Refusal> {
        let question = Question::ProposeReductionEnd(request);
        let Answer::ProposeReductionEnd(answer) = self.ask_guard(call, question, self.patience(call)).await? else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    /// `RiskControl/ConfirmReductionEnd`.
    pub(crate) async fn confirm_reduction_end(
        &self,
        call: &Call,
        request: v1::ConfirmReductionEndRequest,
    ) -> Result<v1::ConfirmReductionEndResponse, Refusal> {
        let question = Question::ConfirmReductionEnd(request);
        let Answer::ConfirmReductionEnd(answer) = self.ask_guard(call, question, self.patience(call)).await? else {
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

    /// The gate closes at once; the answer comes when the workers have confirmed.
    fn with_workers(&self, wait_ms: i32) -> Duration {
        self.config.ask_timeout() + Duration::from_millis(u64::from(wait_ms.unsigned_abs()))
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

const fn wait_ms(asked: i32) -> i32 {
    match asked {
        ..=0 => HALT_WAIT_MS,
        HALT_WAIT_MS_MAX.. => HALT_WAIT_MS_MAX,
        asked => asked,
    }
}
