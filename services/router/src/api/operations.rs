//! Costs, the health of the parts, and dead letters.

use super::{Api, Call};
use crate::refusal::Refusal;
use std::time::Duration;
use tonic::Code;
use tragen_bus::{Ask, ask::NoAnswer, dead_letter};
use tragen_contracts::v1::{
    DeadLetter, GetCostsRequest, GetCostsResponse, GetRiskStateRequest, GetStatusResponse, GuardAnswer, GuardQuestion,
    LedgerAnswer, LedgerQuestion, ListDeadLettersRequest, ListDeadLettersResponse, ListInstrumentsRequest,
    MarketAnswer, MarketQuestion, OutcomesQuestion, PartStatus, ReplayDeadLetterRequest, ReplayDeadLetterResponse,
    guard_answer, guard_question, ledger_question, market_question,
};
use tragen_domain::{routing::check_page_size, time::Timestamp};

/// How long a part may take to show that it is there.
const STATUS_TIMEOUT: Duration = Duration::from_millis(500);

impl Api {
    /// `Costs/GetCosts`.
    pub(crate) async fn get_costs(&self, call: &Call, request: GetCostsRequest) -> Result<GetCostsResponse, Refusal> {
        Ok(self.bus.ask(Ask::Cost, &request, self.patience(call)).await?)
    }

    /// `Operations/GetStatus`: asks every part at the same time.
    pub(crate) async fn get_status(&self, call: &Call) -> GetStatusResponse {
        let guard = GuardQuestion {
            principal: call.caller.account.as_str().to_owned(),
            question: Some(guard_question::Question::GetState(GetRiskStateRequest {})),
            traceparent: call.traceparent.clone(),
        };
        let ledger = LedgerQuestion {
            account_id: String::new(),
            question: Some(ledger_question::Question::Outcomes(OutcomesQuestion::default())),
            traceparent: call.traceparent.clone(),
        };
        let instruments = ListInstrumentsRequest { page_size: 1, ..ListInstrumentsRequest::default() };
        let market = MarketQuestion {
            question: Some(market_question::Question::Instruments(instruments)),
            traceparent: call.traceparent.clone(),
        };
        let (guard, ledger, market, cost) = tokio::join!(
            self.bus.ask::<_, GuardAnswer>(Ask::Guard, &guard, STATUS_TIMEOUT),
            self.bus.ask::<_, LedgerAnswer>(Ask::Ledger, &ledger, STATUS_TIMEOUT),
            self.bus.ask::<_, MarketAnswer>(Ask::Market, &market, STATUS_TIMEOUT),
            self.bus.ask::<_, GetCostsResponse>(Ask::Cost, &GetCostsRequest {}, STATUS_TIMEOUT),
        );
        let mut parts = vec![part("router", Ok("answers".to_owned()))];
        let nats = if self.bus.is_connected() { Ok("connected".to_owned()) } else { Err("disconnected".to_owned()) };
        parts.push(part("nats", nats));
        let workers = match &guard {
            Ok(GuardAnswer { answer: Some(guard_answer::Answer::State(state)) }) if !state.workers.is_empty() => {
                Ok(format!("{} of them", state.workers.len()))
            }
            Ok(_) => Err("none has been seen lately".to_owned()),
            Err(_) => Err("not known: the guard does not answer".to_owned()),
        };
        parts.push(part("agent-worker", workers));
        parts.push(part("risk-guard", answered(guard)));
        parts.push(part("market-data", answered(market)));
        parts.push(part("cost-monitor", answered(cost)));
        parts.push(part("ledger", answered(ledger)));
        let is_healthy = parts.iter().all(|part| part.is_healthy);
        GetStatusResponse { is_healthy, parts, version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// `Operations/ListDeadLetters`.
    pub(crate) async fn list_dead_letters(
        &self,
        call: &Call,
        request: ListDeadLettersRequest,
    ) -> Result<ListDeadLettersResponse, Refusal> {
        let account = &call.caller.account;
        let page_size = usize::try_from(check_page_size(request.page_size)?).unwrap_or(0);
        let before = self.pages.open(account, "dead-letters", &request.page_token)?;
        let before = before.parse::<u64>().ok();
        let letters = self.bus.dead_letters(before, page_size).await.map_err(|_| bus_unavailable())?;
        let last = letters.last().filter(|_| letters.len() == page_size).map(|letter| letter.sequence.to_string());
        let next_page_token = self.pages.seal(account, "dead-letters", &last.unwrap_or_default())?;
        Ok(ListDeadLettersResponse { dead_letters: letters.into_iter().map(public).collect(), next_page_token })
    }

    /// `Operations/ReplayDeadLetter`.
    pub(crate) async fn replay_dead_letter(
        &self,
        request: ReplayDeadLetterRequest,
    ) -> Result<ReplayDeadLetterResponse, Refusal> {
        let missing = || Refusal::not_found("DEAD_LETTER_NOT_FOUND", "there is no such dead letter");
        let sequence = u64::try_from(request.sequence).ok().filter(|sequence| *sequence > 0).ok_or_else(missing)?;
        let subject = self.bus.replay_dead_letter(sequence).await.map_err(|_| bus_unavailable())?;
        Ok(ReplayDeadLetterResponse { subject: subject.ok_or_else(missing)? })
    }
}

fn public(letter: dead_letter::DeadLetter) -> DeadLetter {
    DeadLetter {
        sequence: i64::try_from(letter.sequence).unwrap_or(i64::MAX),
        subject: letter.subject,
        consumer: letter.consumer,
        reason: letter.reason,
        payload: letter.payload,
        deliveries: i32::try_from(letter.deliveries).unwrap_or(i32::MAX),
        dead_at: Some(tragen_contracts::convert::timestamp(Timestamp::from_micros(letter.dead_at_micros))),
    }
}

fn part(name: &str, state: Result<String, String>) -> PartStatus {
    let is_healthy = state.is_ok();
    let (Ok(detail) | Err(detail)) = state;
    PartStatus { part: name.to_owned(), is_healthy, detail }
}

fn answered<A>(answer: Result<A, NoAnswer>) -> Result<String, String> {
    answer.map(|_| "answers".to_owned()).map_err(|error| error.to_string())
}

fn bus_unavailable() -> Refusal {
    Refusal::new(Code::Unavailable, "BUS_UNAVAILABLE", "the bus cannot be reached")
}
