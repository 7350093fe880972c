//! Stopping, reducing and resuming over HTTP.

use super::{Asked, Body, Shared, events, message, query, reply};
use crate::access;
use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use tragen_contracts::v1;

pub(super) async fn get_risk_state(State(api): Shared, headers: HeaderMap) -> Response {
    let api = &api;
    let read = |call| async move { api.get_risk_state(&call, v1::GetRiskStateRequest {}).await };
    reply(api, &access::GET_RISK_STATE, &headers, read).await
}

/// Server-sent events: `risk` at once and whenever something changes, `error` with the
/// reason at the end.
pub(super) async fn watch_risk(State(api): Shared, headers: HeaderMap) -> Response {
    let watch = |call| async { api.watch_risk(call).await };
    match api.serve(&access::WATCH_RISK, &headers, watch).await {
        Ok(states) => events("risk", states),
        Err(refusal) => refusal.into_response(),
    }
}

pub(super) async fn get_risk_history(
    State(api): Shared,
    headers: HeaderMap,
    asked: Asked<v1::GetRiskHistoryRequest>,
) -> Response {
    let api = &api;
    let read = |call| async move { api.get_risk_history(&call, query(asked)?).await };
    reply(api, &access::GET_RISK_HISTORY, &headers, read).await
}

pub(super) async fn halt(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let halt = |call| async move { api.halt(&call, message(body)?).await };
    reply(api, &access::HALT, &headers, halt).await
}

pub(super) async fn reduce_positions(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let reduce = |call| async move { api.reduce_positions(&call, message(body)?).await };
    reply(api, &access::REDUCE_POSITIONS, &headers, reduce).await
}

pub(super) async fn flatten(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let flatten = |call| async move { api.flatten(&call, message(body)?).await };
    reply(api, &access::FLATTEN, &headers, flatten).await
}

pub(super) async fn shutdown_agent(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let shut_down = |call| async move { api.shutdown_agent(&call, message(body)?).await };
    reply(api, &access::SHUTDOWN_AGENT, &headers, shut_down).await
}

pub(super) async fn propose_resume(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let propose = |call| async move { api.propose_resume(&call, message(body)?).await };
    reply(api, &access::PROPOSE_RESUME, &headers, propose).await
}

pub(super) async fn confirm_resume(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let confirm = |call| async move { api.confirm_resume(&call, message(body)?).await };
    reply(api, &access::CONFIRM_RESUME, &headers, confirm).await
}

pub(super) async fn propose_reduction_end(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let propose = |call| async move { api.propose_reduction_end(&call, message(body)?).await };
    reply(api, &access::PROPOSE_REDUCTION_END, &headers, propose).await
}

pub(super) async fn confirm_reduction_end(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let confirm = |call| async move { api.confirm_reduction_end(&call, message(body)?).await };
    reply(api, &access::CONFIRM_REDUCTION_END, &headers, confirm).await
}

pub(super) async fn list_limits(State(api): Shared, headers: HeaderMap) -> Response {
    let api = &api;
    let read = |call| async move { api.list_limits(&call, v1::ListLimitsRequest {}).await };
    reply(api, &access::LIST_LIMITS, &headers, read).await
}

pub(super) async fn propose_limit(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let propose = |call| async move { api.propose_limit(&call, message(body)?).await };
    reply(api, &access::PROPOSE_LIMIT, &headers, propose).await
}

pub(super) async fn confirm_limit(State(api): Shared, headers: HeaderMap, body: Body) -> Response {
    let api = &api;
    let confirm = |call| async move { api.confirm_limit(&call, message(body)?).await };
    reply(api, &access::CONFIRM_LIMIT, &headers, confirm).await
}
