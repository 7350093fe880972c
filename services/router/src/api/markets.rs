//! Instruments and quotes, asked of market-data.

use super::{Api, Call};
use crate::refusal::{Refusal, malformed_answer};
use tragen_bus::Ask;
use tragen_contracts::v1::{
    GetQuoteRequest, GetQuoteResponse, ListInstrumentsRequest, ListInstrumentsResponse, MarketAnswer, MarketQuestion,
    market_answer::Answer, market_question::Question,
};
use tragen_domain::routing::{check_instrument, check_page_size};

impl Api {
    /// `Markets/ListInstruments`.
    pub(crate) async fn list_instruments(
        &self,
        call: &Call,
        request: ListInstrumentsRequest,
    ) -> Result<ListInstrumentsResponse, Refusal> {
        let account = &call.caller.account;
        let page_size = check_page_size(request.page_size)?;
        let page_token = self.pages.open(account, "instruments", &request.page_token)?;
        let question =
            Question::Instruments(ListInstrumentsRequest { match_id: request.match_id, page_size, page_token });
        let Answer::Instruments(mut page) = self.ask_market(call, question).await? else {
            return Err(malformed_answer());
        };
        page.next_page_token = self.pages.seal(account, "instruments", &page.next_page_token)?;
        Ok(page)
    }

    /// `Markets/GetQuote`.
    pub(crate) async fn get_quote(&self, call: &Call, request: GetQuoteRequest) -> Result<GetQuoteResponse, Refusal> {
        check_instrument("instrument_id", &request.instrument_id)?;
        let Answer::Quote(answer) = self.ask_market(call, Question::Quote(request)).await? else {
            return Err(malformed_answer());
        };
        Ok(answer)
    }

    async fn ask_market(&self, call: &Call, question: Question) -> Result<Answer, Refusal> {
        let question = MarketQuestion { question: Some(question), traceparent: call.traceparent.clone() };
        let answer: MarketAnswer = self.bus.ask(Ask::Market, &question, self.patience(call)).await?;
        match answer.answer {
            Some(Answer::Error(error)) => Err(error.into()),
            Some(answer) => Ok(answer),
            None => Err(malformed_answer()),
        }
    }
}
