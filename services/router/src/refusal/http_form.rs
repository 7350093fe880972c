//! A refusal as an HTTP answer: `google.rpc.Status` in JSON.

use super::{ERROR_DOMAIN, Refusal};
use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use tonic::Code;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let parts = &self.parts;
        let info: Map<String, Value> = parts.metadata.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let kind = |name: &str| format!("type.googleapis.com/google.rpc.{name}");
        let mut details =
            vec![json!({"@type": kind("ErrorInfo"), "reason": parts.reason, "domain": ERROR_DOMAIN, "metadata": info})];
        if !parts.fields.is_empty() {
            let fields: Vec<Value> = parts
                .fields
                .iter()
                .map(|v| json!({"field": v.field, "description": v.message, "reason": v.reason.as_str()}))
                .collect();
            details.push(json!({"@type": kind("BadRequest"), "field_violations": fields}));
        }
        if let Some(wait) = parts.retry_after {
            let text = format!("{}.{:03}s", wait.as_secs(), wait.subsec_millis());
            details.push(json!({"@type": kind("RetryInfo"), "retry_delay": text}));
        }
        if let Some(quota) = &parts.quota {
            let violation =
                json!({"subject": format!("requests:{}", quota.subject), "description": self.quota_text(quota)});
            details.push(json!({"@type": kind("QuotaFailure"), "violations": [violation]}));
        }
        let code: i32 = parts.code.into();
        let body = json!({"code": code, "message": parts.message, "details": details});
        let mut response = (http_status(&self), Json(body)).into_response();
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        if parts.retry_after.is_some()
            && let Ok(value) = HeaderValue::from_str(&self.retry_secs().to_string())
        {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// As in `google/rpc/code.proto`, with 413 for what is too long.
fn http_status(refusal: &Refusal) -> StatusCode {
    match refusal.code() {
        Code::Ok => StatusCode::OK,
        Code::OutOfRange if refusal.reason() == "REQUEST_TOO_LARGE" => StatusCode::PAYLOAD_TOO_LARGE,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Internal | Code::Unknown | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
