//! The public API without a transport: gRPC and HTTP both end here.

mod accounts;
mod agents;
mod analysis;
mod bookings;
mod markets;
mod news;
mod operations;
mod risk;
mod trading;
mod watch;
mod watch_market;
mod watch_risk;

pub(crate) use analysis::Analyses;
pub(crate) use watch::AccountPlaces;

use crate::{
    access::Method,
    balances::Balances,
    config::Config,
    desk::Desk,
    fleet::Fleet,
    lanes::Lanes,
    metrics as names,
    page::PageTokens,
    refusal::{Refusal, malformed_answer},
    token::{Caller, TokenChecker},
    turnstile::Turnstile,
};
use metrics::{counter, histogram};
use opentelemetry::trace::SpanKind;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, broadcast};
use tonic::Code;
use tracing::debug;
use tragen_bus::{
    Ask, Bus,
    usage::{Usage, Work},
};
use tragen_cache::RateLimiter;
use tragen_contracts::v1::{self, LedgerAnswer, LedgerQuestion, Meta, ledger_answer, ledger_question};
use tragen_domain::{cost::pool::shares::Shares, routing::RequestLimits};
use tragen_host::{Context, clock::now_micros};

/// Everything the API works with.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) context: Context,
    pub(crate) bus: Bus,
    pub(crate) config: Config,
    pub(crate) limits: RequestLimits,
    pub(crate) tokens: TokenChecker,
    pub(crate) limiter: RateLimiter,
    pub(crate) balances: Balances,
    pub(crate) analyses: Analyses,
    pub(crate) desk: Desk,
    pub(crate) fleet: Fleet,
    pub(crate) shares: Shares,
    pub(crate) lanes: Lanes,
    pub(crate) turnstile: Turnstile,
    pub(crate) pages: PageTokens,
    pub(crate) changes: broadcast::Sender<Arc<v1::TradePosted>>,
    pub(crate) watchers: Arc<Semaphore>,
    pub(crate) account_watchers: AccountPlaces,
    pub(crate) usage: Usage,
}

/// One call that was let in.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    /// When the caller stops waiting.
    pub(crate) deadline: tokio::time::Instant,
    /// The same, microseconds since the epoch.
    pub(crate) deadline_micros: i64,
    /// Of the call's span; empty when unsampled.
    pub(crate) traceparent: String,
}

impl Api {
    /// Lets a call in, has `work` done, and accounts for it.
    pub(crate) async fn serve<A, F>(
        &self,
        method: &'static Method,
        headers: &http::HeaderMap,
        work: impl FnOnce(Call) -> F,
    ) -> Result<A, Refusal>
    where
        F: Future<Output = Result<A, Refusal>>,
    {
        let started = Instant::now();
        let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut span = self.context.spans.start(method.name, SpanKind::Server, traceparent);
        span.set("rpc.system.name", "grpc");
        span.set("rpc.method", method.name);
        let answer = match self.let_in(method, headers, span.traceparent()).await {
            Ok(call) => {
                span.set("user.tier", call.caller.tier.as_str());
                work(call).await
            }
            Err(refusal) => Err(refusal),
        };
        let code = answer.as_ref().map_or_else(Refusal::code, |_| Code::Ok);
        span.set("rpc.response.status_code", code_name(code));
        if let Err(refusal) = &answer {
            span.fail(refusal.reason().to_owned(), refusal.message().to_owned());
            counter!(names::REFUSALS, "reason" => refusal.reason().to_owned()).increment(1);
        }
        self.usage.add("", Work { api_calls: 1, ..Work::default() });
        counter!(names::CALLS, "method" => method.name, "code" => code_name(code)).increment(1);
        histogram!(names::CALL_SECONDS, "method" => method.name).record(started.elapsed());
        debug!(trace_id = span.trace_id(), rpc.method = method.name, "{} is answered {}", method.name, code_name(code));
        answer
    }

    async fn let_in(
        &self,
        method: &'static Method,
        headers: &http::HeaderMap,
        traceparent: String,
    ) -> Result<Call, Refusal> {
        let now = now_micros();
        let caller = self.tokens.check(headers, u64::try_from(now / 1_000_000).unwrap_or(0))?;
        method.admit(&caller)?;
        let wait = wait_of(headers, &self.config);
        let wait_micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        let call = Call {
            caller,
            deadline: tokio::time::Instant::now() + wait,
            deadline_micros: now.saturating_add(wait_micros),
            traceparent,
        };
        if let Some(budget) = method.budget {
            self.take_place(&call, budget).await?;
        }
        Ok(call)
    }

    /// Asks the ledger; an error it answers is a refusal.
    pub(crate) async fn ask_ledger(
        &self,
        account: &str,
        question: ledger_question::Question,
        traceparent: &str,
        timeout: Duration,
    ) -> Result<ledger_answer::Answer, Refusal> {
        let question = LedgerQuestion {
            account_id: account.to_owned(),
            question: Some(question),
            traceparent: traceparent.to_owned(),
        };
        let answer: LedgerAnswer = self.bus.ask(Ask::Ledger, &question, timeout).await?;
        match answer.answer {
            Some(ledger_answer::Answer::Error(error)) => Err(error.into()),
            Some(answer) => Ok(answer),
            None => Err(malformed_answer()),
        }
    }

    /// Asks the ledger about the caller's own account.
    async fn ask_own_ledger(
        &self,
        call: &Call,
        question: ledger_question::Question,
    ) -> Result<ledger_answer::Answer, Refusal> {
        self.ask_ledger(call.caller.account.as_str(), question, &call.traceparent, self.patience(call)).await
    }

    /// How long a question may take: not longer than the caller waits.
    pub(crate) fn patience(&self, call: &Call) -> Duration {
        let left = call.deadline.saturating_duration_since(tokio::time::Instant::now());
        left.clamp(Duration::from_millis(1), self.config.ask_timeout())
    }

    /// The envelope of what `call` causes.
    pub(crate) fn meta(&self, call: &Call, causation_id: &str, traceparent: String) -> Meta {
        Meta {
            event_id: uuid::Uuid::now_v7().to_string(),
            traceparent,
            causation_id: causation_id.to_owned(),
            occurred_at_micros: now_micros(),
            deadline_micros: call.deadline_micros,
        }
    }
}

/// How long the caller waits: its `grpc-timeout` within the bounds, or the default.
fn wait_of(headers: &http::HeaderMap, config: &Config) -> Duration {
    let longest = Duration::from_millis(config.wait_max_ms);
    let asked = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(grpc_timeout);
    let Some(asked) = asked else { return Duration::from_millis(config.wait_default_ms) };
    // The answer needs some time to travel: a late one is none.
    let travel = (asked / 20).min(Duration::from_millis(20));
    (asked - travel).min(longest)
}

/// `10S`, `500m` and so on; `None` for what is not a timeout.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3_600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// The name of a canonical code, e.g. `INVALID_ARGUMENT`.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_that_is_none_is_ignored() {
        for (text, expected) in [
            ("10S", Some(Duration::from_secs(10))),
            ("500m", Some(Duration::from_millis(500))),
            ("0n", Some(Duration::ZERO)),
            ("abc", None),
            ("S", None),
            ("", None),
            ("123456789S", None),
            ("1é", None),
            ("-1S", None),
        ] {
            assert_eq!(grpc_timeout(text), expected, "{text}");
        }
    }

    #[test]
    fn waits_are_bounded_and_leave_time_for_the_way_back() {
        let wait = |value: &'static str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("grpc-timeout", http::HeaderValue::from_static(value));
            wait_of(&headers, &Config::default())
        };
        assert_eq!(wait("1S"), Duration::from_millis(980));
        assert_eq!(wait("100m"), Duration::from_millis(95));
        assert_eq!(wait("99H"), Duration::from_secs(30));
        assert_eq!(wait("abc"), Duration::from_secs(10));
    }
}
