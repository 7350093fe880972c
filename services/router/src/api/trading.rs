//! Placing, reading and canceling trades.

use super::{Api, Call};
use crate::{
    desk::{Posted, Waiting},
    errand::{Errand, trade_id, trade_key},
    refusal::{Refusal, malformed_answer},
    sent::Outgoing,
};
use opentelemetry::trace::SpanKind;
use std::sync::Arc;
use tonic::Code;
use tragen_bus::{Source, Subject};
use tragen_contracts::v1::{
    self, CancelRequested, CancelTradeRequest, CancelTradeResponse, GetTradeRequest, GetTradeResponse,
    ListTradesRequest, ListTradesResponse, PlaceTradeRequest, PlaceTradeResponse, Proposal, Trade, TradePosted,
    TradeStatus, get_trade_request::Key, ledger_answer::Answer, ledger_question::Question, place_trade_request::Intent,
};
use tragen_domain::{
    id::TradeId,
    order::Side,
    routing::{
        IntentFields, Lifetime, MandateFields, OrderFields, PriceKind, TradeFields, check_page_size, check_request_id,
        check_trade, check_trade_id,
    },
    time::Timestamp,
};
use tragen_host::clock::now_micros;

impl Api {
    /// `Trading/PlaceTrade`.
    pub(crate) async fn place_trade(
        self: &Arc<Self>,
        call: &Call,
        request: PlaceTradeRequest,
    ) -> Result<PlaceTradeResponse, Refusal> {
        let request_id = check_trade(&fields(&request), &self.limits, Timestamp::from_micros(now_micros()))?;
        let Some(intent) = request.intent else { return Err(malformed_answer()) };
        let posted = self.run_errand(call, request_id, Errand::Trade(intent)).await?;
        match posted.as_ref() {
            Posted::Trade(posted) => Ok(PlaceTradeResponse { trade: posted.trade.clone() }),
            Posted::Cash(_) => Err(malformed_answer()),
        }
    }

    /// `Trading/GetTrade`. A trade that is on its way in this process is PENDING.
    pub(crate) async fn get_trade(&self, call: &Call, request: GetTradeRequest) -> Result<GetTradeResponse, Refusal> {
        let id = self.named_trade(call, request.key)?;
        let trade = match self.stored_trade(call, &id).await? {
            Some(posted) => posted.trade,
            None => self.pending_trade(call, &id),
        };
        match trade {
            Some(trade) => Ok(GetTradeResponse { trade: Some(trade) }),
            None => Err(no_such_trade()),
        }
    }

    /// `Trading/ListTrades`.
    pub(crate) async fn list_trades(
        &self,
        call: &Call,
        request: ListTradesRequest,
    ) -> Result<ListTradesResponse, Refusal> {
        let account = &call.caller.account;
        let page_size = check_page_size(request.page_size)?;
        let page_token = self.pages.open(account, "trades", &request.page_token)?;
        let min_version = request.min_version;
        let question = Question::ListTrades(ListTradesRequest { page_size, page_token, min_version });
        let Answer::Trades(mut page) = self.ask_own_ledger(call, question).await? else {
            return Err(malformed_answer());
        };
        page.next_page_token = self.pages.seal(account, "trades", &page.next_page_token)?;
        Ok(page)
    }

    /// `Trading/CancelTrade`: waits until the trade is final. One that has no
    /// order yet is canceled as soon as it has one.
    pub(crate) async fn cancel_trade(
        &self,
        call: &Call,
        request: CancelTradeRequest,
    ) -> Result<CancelTradeResponse, Refusal> {
        let id = check_trade_id(&request.trade_id)?;
        let posted = match self.stored_trade(call, &id).await? {
            Some(posted) => posted,
            None => self.first_outcome(call, &id).await?,
        };
        let is_final = Posted::Trade(Box::new(posted.clone())).is_final();
        if is_final {
            return Ok(CancelTradeResponse { trade: posted.trade });
        }
        let Some(trade) = &posted.trade else { return Err(malformed_answer()) };
        let waiting = Waiting::new(
            id.clone(),
            call.caller.account.clone(),
            trade.request_id.clone(),
            posted.payload_hash.clone(),
            Timestamp::from_micros(now_micros()),
        );
        // The wait starts before the cancel is sent, so the outcome cannot slip by.
        let Some(waiting) = self.desk.await_final(waiting) else {
            return Err(Refusal::overloaded("cancels", std::time::Duration::from_millis(500)));
        };
        self.propose_cancel(call, &waiting).await?;
        match waiting.outcome(call.deadline).await {
            Some(outcome) => match outcome?.as_ref() {
                Posted::Trade(posted) => Ok(CancelTradeResponse { trade: posted.trade.clone() }),
                Posted::Cash(_) => Err(malformed_answer()),
            },
            None => Err(self.too_late(&id)),
        }
    }

    async fn propose_cancel(&self, call: &Call, waiting: &Waiting) -> Result<(), Refusal> {
        let template = Subject::Proposals(Source::Router).template();
        let span = self.context.spans.start(format!("publish {template}"), SpanKind::Producer, &call.traceparent);
        let proposal = Proposal {
            meta: Some(self.meta(call, &waiting.request_id, span.traceparent())),
            key: Some(trade_key(call, waiting)),
            kind: Some(v1::proposal::Kind::Cancel(CancelRequested { trade_id: waiting.trade_id.as_str().to_owned() })),
        };
        let message = Outgoing::Proposal(Box::new(proposal));
        let sent = self.put_on_the_bus(waiting, message, call.deadline_micros, span.traceparent()).await;
        sent.map_err(|error| self.unpublished(&error, call.caller.tier))
    }

    fn named_trade(&self, call: &Call, key: Option<Key>) -> Result<TradeId, Refusal> {
        match key {
            Some(Key::TradeId(id)) => Ok(check_trade_id(&id)?),
            // An old id may still be asked for, only not used again.
            Some(Key::RequestId(id)) => match check_request_id(&id, Timestamp::from_micros(now_micros())) {
                Ok(id) => trade_id(&call.caller.account, &id.to_string()),
                Err(violation) if violation.reason.is_precondition() => {
                    trade_id(&call.caller.account, &id.to_ascii_lowercase())
                }
                Err(violation) => Err(violation.into()),
            },
            None => Ok(check_trade_id("")?),
        }
    }

    /// The caller's trade as the ledger has it; a foreign one is none.
    async fn stored_trade(&self, call: &Call, id: &TradeId) -> Result<Option<TradePosted>, Refusal> {
        let question = Question::GetTrade(GetTradeRequest { key: Some(Key::TradeId(id.as_str().to_owned())) });
        match self.ask_own_ledger(call, question).await {
            Ok(Answer::Trade(posted)) => {
                let is_own = posted.trade.as_ref().is_some_and(|t| t.account_id == call.caller.account.as_str());
                Ok(is_own.then_some(posted))
            }
            Ok(_) => Err(malformed_answer()),
            Err(refusal) if refusal.code() == Code::NotFound => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    fn pending_trade(&self, call: &Call, id: &TradeId) -> Option<Trade> {
        let waiting = self.desk.on_its_way(id).filter(|waiting| waiting.account == call.caller.account)?;
        Some(Trade {
            trade_id: id.as_str().to_owned(),
            request_id: waiting.request_id.clone(),
            status: TradeStatus::Pending.into(),
            account_id: waiting.account.as_str().to_owned(),
            created_at: Some(tragen_contracts::convert::timestamp(waiting.since)),
            ..Trade::default()
        })
    }

    /// Waits for the first outcome of the caller's trade that is on its way.
    async fn first_outcome(&self, call: &Call, id: &TradeId) -> Result<TradePosted, Refusal> {
        let waiting = self.desk.on_its_way(id).filter(|waiting| waiting.account == call.caller.account);
        let Some(waiting) = waiting else { return Err(no_such_trade()) };
        match waiting.outcome(call.deadline).await {
            Some(outcome) => match outcome?.as_ref() {
                Posted::Trade(posted) => Ok(posted.as_ref().clone()),
                Posted::Cash(_) => Err(no_such_trade()),
            },
            None => Err(self.too_late(id)),
        }
    }
}

fn no_such_trade() -> Refusal {
    Refusal::not_found("TRADE_NOT_FOUND", "the account has no such trade")
}

fn fields(request: &PlaceTradeRequest) -> TradeFields<'_> {
    let intent = match &request.intent {
        None => IntentFields::Missing,
        Some(Intent::Order(order)) => IntentFields::Order(OrderFields {
            instrument_id: &order.instrument_id,
            side: match order.side() {
                v1::Side::Unspecified => None,
                v1::Side::Buy => Some(Side::Buy),
                v1::Side::Sell => Some(Side::Sell),
            },
            order_type: match order.order_type() {
                v1::OrderType::Unspecified => None,
                v1::OrderType::Limit => Some(PriceKind::Limit),
                v1::OrderType::Market => Some(PriceKind::Market),
            },
            quantity_micros: order.quantity_micros,
            limit_price_micros: order.limit_price_micros,
            time_in_force: match order.time_in_force() {
                v1::TimeInForce::Unspecified => None,
                v1::TimeInForce::Ioc => Some(Lifetime::Ioc),
                v1::TimeInForce::Fok => Some(Lifetime::Fok),
                v1::TimeInForce::Gtc => Some(Lifetime::Gtc),
                v1::TimeInForce::Gtd => Some(Lifetime::Gtd),
            },
            expire_at: order.expire_at.as_ref().map(|at| (at.seconds, at.nanos)),
            is_reduce_only: order.is_reduce_only,
            is_post_only: order.is_post_only,
        }),
        Some(Intent::Mandate(mandate)) => IntentFields::Mandate(MandateFields {
            match_id: &mandate.match_id,
            budget_micros: mandate.budget_micros,
            min_edge_bps: mandate.min_edge_bps,
            agent: &mandate.agent,
        }),
    };
    TradeFields { request_id: &request.request_id, intent }
}
