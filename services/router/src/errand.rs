//! A request that is answered once for ever: a trade, withdrawal or sending on its way
//! from the first arrival to the committed outcome. The errand is a task of its
//! own; callers come and go.

use crate::{
    api::{Api, Call},
    desk::{Claim, Posted, Waiting},
    refusal::{Quota, Refusal},
    sent::{Outgoing, Sent},
    turnstile::{NoTurn, OnTheWay},
};
use bytes::Bytes;
use opentelemetry::trace::SpanKind;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use std::{sync::Arc, time::Duration};
use tonic::Code;
use tragen_bus::{PublishError, Source, Subject, batch::BatchError};
use tragen_cache::{Budget, RateKey};
use tragen_contracts::v1::{
    self, OutcomesQuestion, Proposal, TradeKey, TradeRequested, ledger_answer, ledger_question,
};
use tragen_domain::{
    id::{AccountId, TradeId},
    routing::RequestId,
    tier::Tier,
    time::Timestamp,
};
use tragen_host::clock::now_micros;

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) enum Errand {
    /// An agent turns it into an order.
    Trade(v1::place_trade_request::Intent),
    /// The guard decides it; with a receiver it is a sending.
    Withdrawal(v1::WithdrawalRequested),
}

impl Errand {
    /// SHA-256 of what was asked for, without the id: the same request has the same hash.
    fn payload_hash(&self) -> Bytes {
        let bytes = match self {
            Self::Trade(intent) => {
                let request = v1::PlaceTradeRequest { request_id: String::new(), intent: Some(intent.clone()) };
                request.encode_to_vec()
            }
            Self::Withdrawal(withdrawal) => withdrawal.encode_to_vec(),
        };
        Bytes::copy_from_slice(&Sha256::digest(bytes))
    }

    /// A withdrawal and a sending have ids of their own: a trade or deposit with the
    /// same request id is another matter.
    fn id(&self, account: &AccountId, request_id: &str) -> Result<TradeId, Refusal> {
        match self {
            Self::Trade(_) => trade_id(account, request_id),
            Self::Withdrawal(asked) if asked.to_account_id.is_empty() => {
                trade_id(account, &format!("withdrawal/{request_id}"))
            }
            Self::Withdrawal(_) => trade_id(account, &format!("send/{request_id}")),
        }
    }

    const fn budget(&self) -> Budget {
        match self {
            Self::Trade(_) => Budget::Place,
            Self::Withdrawal(_) => Budget::Cash,
        }
    }
}

/// The id of the trade that `account` asks for with `request_id`.
pub(crate) fn trade_id(account: &AccountId, request_id: &str) -> Result<TradeId, Refusal> {
    let id = tragen_contracts::trade_id(account.as_str(), request_id);
    TradeId::new(id.to_string())
        .map_err(|_| Refusal::new(Code::Internal, "TRADE_ID_INVALID", "the trade has no valid id"))
}

impl Api {
    /// Sees to it that the errand is done once, and waits for its outcome until the caller's deadline.
    ///
    /// # Errors
    /// ALREADY_EXISTS for another errand under the same id, RESOURCE_EXHAUSTED
    /// over the rate limit or when too much waits, DEADLINE_EXCEEDED (the errand
    /// goes on), UNAVAILABLE when it could not be taken in.
    pub(crate) async fn run_errand(
        self: &Arc<Self>,
        call: &Call,
        request_id: RequestId,
        errand: Errand,
    ) -> Result<Arc<Posted>, Refusal> {
        let (hash, account) = (errand.payload_hash(), call.caller.account.clone());
        let text = request_id.to_string();
        let id = errand.id(&account, &text)?;
        let waiting = Waiting::new(id.clone(), account, text, hash.clone(), Timestamp::from_micros(now_micros()));
        let waiting = match self.desk.claim(waiting) {
            Claim::Known(posted) => return same_payload(posted, &hash),
            Claim::Joined(waiting) => waiting,
            Claim::Full => return Err(Refusal::overloaded("waiting", self.pushback(call.caller.tier))),
            Claim::New(waiting) => {
                let (api, call, joined) = (Arc::clone(self), call.clone(), Arc::clone(&waiting));
                self.context.spawn("errand", async move {
                    match api.start_errand(&call, request_id, errand, &joined).await {
                        Ok(place) => api.hold(place, &joined).await,
                        Err(refusal) => api.desk.fail(&joined, refusal),
                    }
                    Ok(())
                });
                waiting
            }
        };
        if waiting.payload_hash != hash {
            return Err(reused());
        }
        if let Some(sent) = waiting.sent.get() {
            sent.wait_until(call.deadline_micros);
        }
        match waiting.outcome(call.deadline).await {
            Some(outcome) => same_payload(outcome?, &hash),
            None => Err(self.too_late(&id)),
        }
    }

    /// Takes a place of the caller's rate, looks an old id up, waits for the account's turn, and puts the errand
    /// on its lane. The place among those on their way is to be held until the outcome is known.
    async fn start_errand(
        &self,
        call: &Call,
        request_id: RequestId,
        errand: Errand,
        waiting: &Arc<Waiting>,
    ) -> Result<Option<OnTheWay>, Refusal> {
        self.take_place(call, errand.budget()).await?;
        let age_ms = waiting.since.millis_since(request_id.created_at());
        if age_ms > i64::try_from(self.config.lookup_after_secs.saturating_mul(1_000)).unwrap_or(i64::MAX)
            && self.look_up(vec![waiting.trade_id.as_str().to_owned()], &call.traceparent).await? > 0
        {
            return Ok(None);
        }
        let place = match &errand {
            Errand::Trade(_) => Some(self.turn(call).await?),
            // The guard decides it without an agent.
            Errand::Withdrawal(_) => None,
        };
        let subject = match &errand {
            Errand::Trade(_) => Subject::TradeRequests(call.caller.tier),
            Errand::Withdrawal(_) => Subject::Proposals(Source::Router),
        };
        let mut span =
            self.context.spans.start(format!("publish {}", subject.template()), SpanKind::Producer, &call.traceparent);
        span.set("messaging.system", "nats");
        span.set("messaging.operation.name", "publish");
        span.set("messaging.operation.type", "send");
        span.set("messaging.destination.name", subject.template());
        let (key, meta) = (trade_key(call, waiting), self.meta(call, &waiting.request_id, span.traceparent()));
        let message = match errand {
            Errand::Trade(intent) => {
                let request = TradeRequested { meta: Some(meta), key: Some(key), intent: Some(on_the_lane(intent)) };
                Outgoing::Trade(call.caller.tier, Box::new(request))
            }
            Errand::Withdrawal(withdrawal) => {
                let kind = Some(v1::proposal::Kind::Withdrawal(withdrawal));
                Outgoing::Proposal(Box::new(Proposal { meta: Some(meta), key: Some(key), kind }))
            }
        };
        self.put_on_the_bus(waiting, message, call.deadline_micros, span.traceparent()).await.map(|()| place).map_err(
            |error| {
                let refusal = self.unpublished(&error, call.caller.tier);
                span.fail(refusal.reason().to_owned(), error.to_string());
                refusal
            },
        )
    }

    /// Puts `message` on the bus, and keeps it with its wait until there is an outcome.
    pub(crate) async fn put_on_the_bus(
        &self,
        waiting: &Waiting,
        message: Outgoing,
        deadline_micros: i64,
        traceparent: String,
    ) -> Result<(), BatchError> {
        let connection = *self.bus.connections().borrow();
        let sent = Sent::new(message.clone(), deadline_micros, (connection, now_micros()));
        // Whoever repeats a cancel sends it again himself: the first message is the one that is kept.
        let _ = waiting.sent.set(sent);
        self.lanes.publish(message, traceparent).await
    }

    /// Waits for the account's turn.
    async fn turn(&self, call: &Call) -> Result<OnTheWay, Refusal> {
        let turn = tokio::select! {
            turn = self.turnstile.pass(call.caller.tier, &call.caller.account) => turn,
            () = self.context.stopped() => Err(NoTurn::Stopped),
        };
        turn.map_err(|no| match no {
            NoTurn::Shed(shed) => {
                Refusal::overloaded("turn", self.pushback(call.caller.tier)).with("waiting", shed.waiting.to_string())
            }
            NoTurn::Stopped => Refusal::unavailable("SHUTTING_DOWN", "this router is stopping"),
        })
    }

    /// Holds the place until the outcome is known, but not for ever.
    async fn hold(&self, place: Option<OnTheWay>, waiting: &Waiting) {
        let Some(place) = place else { return };
        let until = tokio::time::Instant::now() + Duration::from_millis(self.config.in_flight_ms_max);
        tokio::select! {
            _ = waiting.outcome(until) => {}
            () = self.context.stopped() => {}
        }
        drop(place);
    }

    /// Takes one place a minute of the caller's `budget`.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: RATE_LIMIT.
    pub(crate) async fn take_place(&self, call: &Call, budget: Budget) -> Result<(), Refusal> {
        let limit = self.config.per_minute(budget, call.caller.tier);
        let key = RateKey { budget, account: call.caller.account.clone() };
        let decision = self.limiter.take(key, limit, Timestamp::from_micros(now_micros())).await;
        if decision.is_allowed {
            return Ok(());
        }
        let wait = Duration::from_micros(decision.retry_after_micros.unsigned_abs());
        let refusal = Refusal::new(Code::ResourceExhausted, "RATE_LIMIT", "too many requests within a minute");
        // Rounded up: whoever comes back after the wait finds a free place.
        let wait = Duration::from_millis(u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX));
        let quota = Quota { subject: budget.as_str(), limit, remaining: decision.remaining };
        Err(refusal.retry_after(wait).quota(quota).with("limit_per_minute", limit.to_string()))
    }

    /// Asks the ledger for outcomes and tells who waits for them; returns how many there were.
    pub(crate) async fn look_up(&self, trade_ids: Vec<String>, traceparent: &str) -> Result<usize, Refusal> {
        let asked = OutcomesQuestion { trade_ids, accept_partial: false };
        let question = ledger_question::Question::Outcomes(asked);
        let answer = self.ask_ledger("", question, traceparent, self.config.ask_timeout()).await?;
        let ledger_answer::Answer::Outcomes(outcomes) = answer else {
            return Err(crate::refusal::malformed_answer());
        };
        let count = outcomes.facts.len();
        for fact in outcomes.facts {
            self.on_committed(fact);
        }
        Ok(count)
    }

    /// The answer of a caller whose deadline came first; the trade goes on.
    pub(crate) fn too_late(&self, trade_id: &TradeId) -> Refusal {
        let message = "no outcome yet; the trade goes on: ask again with the same request id, or for the trade";
        if self.context.is_stopping() {
            return Refusal::unavailable("SHUTTING_DOWN", message).with("trade_id", trade_id.as_str());
        }
        Refusal::new(Code::DeadlineExceeded, "OUTCOME_PENDING", message).with("trade_id", trade_id.as_str())
    }

    pub(crate) fn unpublished(&self, error: &BatchError, tier: Tier) -> Refusal {
        match error {
            BatchError::QueueFull { .. } => Refusal::overloaded("process", self.pushback(tier)),
            BatchError::Stopped => Refusal::unavailable("SHUTTING_DOWN", "this router is stopping"),
            BatchError::Publish(error) => match error.as_ref() {
                PublishError::Full { .. } => Refusal::overloaded("lane", self.pushback(tier)),
                PublishError::Fenced { .. } | PublishError::Unknown { .. } => Refusal::unavailable(
                    "BUS_UNAVAILABLE",
                    "the request may not have been stored; repeat it with the same id",
                ),
            },
        }
    }

    /// Different for each caller, so that they do not return at once, and longer the more are sent away.
    fn pushback(&self, tier: Tier) -> Duration {
        let jitter = u64::from(uuid::Uuid::new_v4().as_bytes()[0]) * 3;
        self.turnstile.pushback(tier) + Duration::from_millis(jitter)
    }
}

pub(crate) fn trade_key(call: &Call, waiting: &Waiting) -> TradeKey {
    TradeKey {
        trade_id: waiting.trade_id.as_str().to_owned(),
        request_id: waiting.request_id.clone(),
        account_id: waiting.account.as_str().to_owned(),
        tier: v1::Tier::from(call.caller.tier).into(),
        payload_hash: waiting.payload_hash.clone(),
        created_at_micros: waiting.since.micros(),
    }
}

fn on_the_lane(intent: v1::place_trade_request::Intent) -> v1::trade_requested::Intent {
    match intent {
        v1::place_trade_request::Intent::Order(order) => v1::trade_requested::Intent::Order(order),
        v1::place_trade_request::Intent::Mandate(mandate) => v1::trade_requested::Intent::Mandate(mandate),
    }
}

fn same_payload(posted: Arc<Posted>, hash: &Bytes) -> Result<Arc<Posted>, Refusal> {
    if posted.payload_hash() == hash { Ok(posted) } else { Err(reused()) }
}

fn reused() -> Refusal {
    Refusal::new(Code::AlreadyExists, "REQUEST_ID_REUSED", "the request id was used for another request")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trade_id_is_derived_from_account_and_request() {
        let account = AccountId::new("alice").expect("an id");
        let id = trade_id(&account, "01890a5d-ac96-774b-bcce-b302099a8057").expect("an id");
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(id, trade_id(&account, "01890a5d-ac96-774b-bcce-b302099a8057").expect("an id"));
        assert_ne!(id, trade_id(&account, "01890a5d-ac96-774b-bcce-b302099a8058").expect("an id"));
    }
}
