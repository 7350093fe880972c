//! The HTTP transport: the same API in JSON. Field names are those of the
//! contract, 64-bit numbers are strings in answers, enums are names.

mod risk;

use crate::{
    access::{self, Method},
    api::{Api, Call},
    refusal::Refusal,
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, Request, State, rejection::BytesRejection, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures::{StreamExt as _, stream::BoxStream};
use serde::{Serialize, de::DeserializeOwned};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tonic::Code;
use tragen_contracts::v1;
use tragen_domain::routing::RequestId;

type Shared = State<Arc<Api>>;
type Body = Result<Bytes, BytesRejection>;
type Asked<T> = Result<Query<T>, QueryRejection>;

/// Every route under `/v1`.
pub(crate) fn routes(api: Arc<Api>) -> Router {
    let body_limit = api.config.request_bytes_max;
    let answer_within = Duration::from_millis(api.config.wait_max_ms) + BODY_WITHIN;
    Router::new()
        .route("/v1/trades", post(place_trade).get(list_trades))
        .route("/v1/trades/watch", get(watch_trades))
        .route("/v1/trades/{id}", get(get_trade))
        .route("/v1/trades/{id}/cancel", post(cancel_trade))
        .route("/v1/analyze", post(analyze))
        .route("/v1/markets/{match_id}/watch", get(watch_market))
        .route("/v1/account", get(get_account))
        .route("/v1/positions", get(list_positions))
        .route("/v1/transfers", get(list_transfers))
        .route("/v1/deposits", post(deposit))
        .route("/v1/withdrawals", post(withdraw))
        .route("/v1/sendings", post(send))
        .route("/v1/statement", get(get_statement))
        .route("/v1/instruments", get(list_instruments))
        .route("/v1/quotes/{instrument_id}", get(get_quote))
        .route("/v1/risk", get(risk::get_risk_state))
        .route("/v1/risk/watch", get(risk::watch_risk))
        .route("/v1/risk/history", get(risk::get_risk_history))
        .route("/v1/risk/halt", post(risk::halt))
        .route("/v1/risk/reduce", post(risk::reduce_positions))
        .route("/v1/risk/flatten", post(risk::flatten))
        .route("/v1/risk/shutdown-agent", post(risk::shutdown_agent))
        .route("/v1/risk/propose-resume", post(risk::propose_resume))
        .route("/v1/risk/confirm-resume", post(risk::confirm_resume))
        .route("/v1/risk/limits", get(risk::list_limits))
        .route("/v1/risk/propose-limit", post(risk::propose_limit))
        .route("/v1/risk/confirm-limit", post(risk::confirm_limit))
        .route("/v1/risk/propose-reduction-end", post(risk::propose_reduction_end))
        .route("/v1/risk/confirm-reduction-end", post(risk::confirm_reduction_end))
        .route("/v1/news", post(put_news))
        .route("/v1/agents", get(list_agents))
        .route("/v1/pools", get(list_pools))
        .route("/v1/agents/{agent_id}", get(get_agent).put(put_agent))
        .route("/v1/costs", get(get_costs))
        .route("/v1/status", get(get_status))
        .route("/v1/dead-letters", get(list_dead_letters))
        .route("/v1/dead-letters/{sequence}/replay", post(replay_dead_letter))
        .route("/v1/bookings/propose", post(propose_booking))
        .route("/v1/bookings/confirm", post(confirm_booking))
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(move |request: Request, next: Next| within(answer_within, request, next)))
        .layer(DefaultBodyLimit::max(body_limit))
        .with_state(api)
}

/// How long a request's body may take to arrive, on top of the longest wait for an answer.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// A caller that does not finish its request does not keep its place.
async fn within(limit: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::new(Code::DeadlineExceeded, "REQUEST_TOO_SLOW", "the request did not arrive in time")
            .into_response(),
    }
}

/// The answer on a path that there is not.
pub(crate) fn no_such_path() -> Refusal {
    Refusal::new(Code::NotFound, "PATH_NOT_FOUND", "there is nothing at this path")
}

async fn wrong_method() -> Response {
    let refusal = Refusal::new(Code::Unimplemented, "METHOD_NOT_ALLOWED", "this path does not take this method");
    let mut response = refusal.into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

async fn reply<A, F>(api: &Api, method: &'static Method, headers: &HeaderMap, work: impl FnOnce(Call) -> F) -> Response
where
    A: Serialize,
    F: Future<Output = Result<A, Refusal>>,
{
    match api.serve(method, headers, work).await {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// The message in a body; an empty body is an empty message.
fn message<T: DeserializeOwned + Default>(body: Body) -> Result<T, Refusal> {
    let bytes = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::new(Code::OutOfRange, "REQUEST_TOO_LARGE", "the request body is too large")
        }
        _ => Refusal::new(Code::InvalidArgument, "BODY_UNREADABLE", "the request body ended early"),
    })?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&bytes).map_err(|error| unreadable(&error.to_string()))
}

fn query<T>(asked: Asked<T>) -> Result<T, Refusal> {
    asked.map(|Query(message)| message).map_err(|rejection| unreadable(&rejection.body_text()))
}

/// The parser's words are kept to tell which field it is; they quote names, not values of the caller.
fn unreadable(error: &str) -> Refusal {
    match error.split_once("unknown field `") {
        Some((_, rest)) => {
            let field: String = rest.chars().take_while(|c| *c != '`').take(64).collect();
            let refusal = Refusal::new(Code::InvalidArgument, "UNKNOWN_FIELD", "the request has an unknown field");
            refusal.with("field", field)
        }
        None => Refusal::new(Code::InvalidArgument, "MALFORMED_JSON", "the request is not the JSON of this message"),
    }
}

async fn place_trade(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let place = |call| async move { api.place_trade(&call, message(body)?).await };
    reply(api, &access::PLACE_TRADE, &headers, place).await
}

async fn list_trades(State(api): Shared, headers: HeaderMap, asked: Asked<v1::ListTradesRequest>) -> Response {
    let api = &api;
    let list = |call| async move { api.list_trades(&call, query(asked)?).await };
    reply(api, &access::LIST_TRADES, &headers, list).await
}

/// By either id: a request id is a UUIDv7, a trade id is not.
async fn get_trade(State(api): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let key = match RequestId::parse(&id) {
        Some(_) => v1::get_trade_request::Key::RequestId(id),
        None => v1::get_trade_request::Key::TradeId(id),
    };
    let api = &api;
    let read = |call| async move { api.get_trade(&call, v1::GetTradeRequest { key: Some(key) }).await };
    reply(api, &access::GET_TRADE, &headers, read).await
}

async fn cancel_trade(State(api): Shared, headers: HeaderMap, Path(trade_id): Path<String>) -> Response {
    let api = &api;
    let cancel = |call| async move { api.cancel_trade(&call, v1::CancelTradeRequest { trade_id }).await };
    reply(api, &access::CANCEL_TRADE, &headers, cancel).await
}

/// Server-sent events: `trade` for a change, `error` with the reason at the end.
async fn watch_trades(State(api): Shared, headers: HeaderMap, asked: Asked<v1::WatchTradesRequest>) -> Response {
    let api = &api;
    let watch = |call| async move { api.watch_trades(&call, query(asked)?) };
    match api.serve(&access::WATCH_TRADES, &headers, watch).await {
        Ok(changes) => events("trade", changes),
        Err(refusal) => refusal.into_response(),
    }
}

async fn analyze(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let analyze = |call| async move { api.analyze(&call, message(body)?).await };
    reply(api, &access::ANALYZE, &headers, analyze).await
}

/// Server-sent events: `market` at once and whenever something is different, `error` with the
/// reason at the end unless the match is over.
async fn watch_market(State(api): Shared, headers: HeaderMap, Path(match_id): Path<String>) -> Response {
    let api = &api;
    let watch = |call| async move { api.watch_market(call, v1::WatchMarketRequest { match_id }).await };
    match api.serve(&access::WATCH_MARKET, &headers, watch).await {
        Ok(views) => events("market", views),
        Err(refusal) => refusal.into_response(),
    }
}

/// A stream as server-sent events named `name`; the last one may be `error` with the reason.
fn events<T: Serialize + 'static>(name: &'static str, changes: BoxStream<'static, Result<T, Refusal>>) -> Response {
    let events = changes.map(move |change| {
        let event = match change {
            Ok(change) => Event::default().event(name).json_data(change),
            Err(refusal) => Ok(Event::default().event("error").data(refusal.reason())),
        };
        Ok::<_, Infallible>(event.unwrap_or_else(|_| Event::default().event("error").data("MALFORMED_ANSWER")))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

async fn get_account(State(api): Shared, headers: HeaderMap, asked: Asked<v1::GetAccountRequest>) -> Response {
    let api = &api;
    let read = |call| async move { api.get_account(&call, query(asked)?).await };
    reply(api, &access::GET_ACCOUNT, &headers, read).await
}

async fn list_positions(State(api): Shared, headers: HeaderMap, asked: Asked<v1::ListPositionsRequest>) -> Response {
    let api = &api;
    let list = |call| async move { api.list_positions(&call, query(asked)?).await };
    reply(api, &access::LIST_POSITIONS, &headers, list).await
}

async fn list_transfers(State(api): Shared, headers: HeaderMap, asked: Asked<v1::ListTransfersRequest>) -> Response {
    let api = &api;
    let list = |call| async move { api.list_transfers(&call, query(asked)?).await };
    reply(api, &access::LIST_TRANSFERS, &headers, list).await
}

async fn deposit(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let deposit = |call| async move { api.deposit(&call, message(body)?).await };
    reply(api, &access::DEPOSIT, &headers, deposit).await
}

async fn withdraw(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let withdraw = |call| async move { api.withdraw(&call, message(body)?).await };
    reply(api, &access::WITHDRAW, &headers, withdraw).await
}

async fn send(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let send = |call| async move { api.send(&call, message(body)?).await };
    reply(api, &access::SEND, &headers, send).await
}

async fn get_statement(State(api): Shared, headers: HeaderMap, asked: Asked<v1::GetStatementRequest>) -> Response {
    let api = &api;
    let read = |call| async move { api.get_statement(&call, query(asked)?).await };
    reply(api, &access::GET_STATEMENT, &headers, read).await
}

async fn list_instruments(
    State(api): Shared,
    headers: HeaderMap,
    asked: Asked<v1::ListInstrumentsRequest>,
) -> Response {
    let api = &api;
    let list = |call| async move { api.list_instruments(&call, query(asked)?).await };
    reply(api, &access::LIST_INSTRUMENTS, &headers, list).await
}

async fn get_quote(State(api): Shared, headers: HeaderMap, Path(instrument_id): Path<String>) -> Response {
    let api = &api;
    let read = |call| async move { api.get_quote(&call, v1::GetQuoteRequest { instrument_id }).await };
    reply(api, &access::GET_QUOTE, &headers, read).await
}

async fn list_agents(State(api): Shared, headers: HeaderMap, asked: Asked<v1::ListAgentsRequest>) -> Response {
    let api = &api;
    let list = |call| async move { api.list_agents(&call, query(asked)?).await };
    reply(api, &access::LIST_AGENTS, &headers, list).await
}

async fn get_agent(State(api): Shared, headers: HeaderMap, Path(agent_id): Path<String>) -> Response {
    let api = &api;
    let read = |call| async move { api.get_agent(&call, v1::GetAgentRequest { agent_id }).await };
    reply(api, &access::GET_AGENT, &headers, read).await
}

async fn list_pools(State(api): Shared, headers: HeaderMap) -> Response {
    let api = &api;
    reply(api, &access::LIST_POOLS, &headers, |_| api.list_pools()).await
}

/// The body is the agent itself; its id may be left out.
async fn put_agent(State(api): Shared, headers: HeaderMap, Path(agent_id): Path<String>, body: Body) -> Response {
    let api = &api;
    let put = |_| async move {
        let mut agent: v1::Agent = message(body)?;
        if !agent.agent_id.is_empty() && agent.agent_id != agent_id {
            let message = "the agent's id is not the one in the path";
            return Err(Refusal::new(Code::InvalidArgument, "AGENT_ID_MISMATCH", message));
        }
        agent.agent_id = agent_id;
        api.put_agent(v1::PutAgentRequest { agent: Some(agent) }).await
    };
    reply(api, &access::PUT_AGENT, &headers, put).await
}

async fn put_news(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let put = |call| async move { api.put_news(&call, message(body)?).await };
    reply(api, &access::PUT_NEWS, &headers, put).await
}

async fn get_costs(State(api): Shared, headers: HeaderMap) -> Response {
    let api = &api;
    let read = |call| async move { api.get_costs(&call, v1::GetCostsRequest {}).await };
    reply(api, &access::GET_COSTS, &headers, read).await
}

async fn get_status(State(api): Shared, headers: HeaderMap) -> Response {
    let api = &api;
    let read = |call| async move { Ok(api.get_status(&call).await) };
    reply(api, &access::GET_STATUS, &headers, read).await
}

async fn list_dead_letters(
    State(api): Shared,
    headers: HeaderMap,
    asked: Asked<v1::ListDeadLettersRequest>,
) -> Response {
    let api = &api;
    let list = |call| async move { api.list_dead_letters(&call, query(asked)?).await };
    reply(api, &access::LIST_DEAD_LETTERS, &headers, list).await
}

async fn replay_dead_letter(State(api): Shared, headers: HeaderMap, Path(sequence): Path<String>) -> Response {
    // What is no number names no letter.
    let sequence = sequence.parse().unwrap_or(0);
    let api = &api;
    let replay = |_| async move { api.replay_dead_letter(v1::ReplayDeadLetterRequest { sequence }).await };
    reply(api, &access::REPLAY_DEAD_LETTER, &headers, replay).await
}

async fn propose_booking(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let propose = |call| async move { api.propose_booking(&call, message(body)?).await };
    reply(api, &access::PROPOSE_BOOKING, &headers, propose).await
}

async fn confirm_booking(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let confirm = |call| async move { api.confirm_booking(&call, message(body)?).await };
    reply(api, &access::CONFIRM_BOOKING, &headers, confirm).await
}
