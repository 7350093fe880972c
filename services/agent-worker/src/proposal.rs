//! What the worker sends to the guard: an order, or nothing with a reason.

use crate::{
    config::Config,
    control::{Control, Permission, Scoped, Thing},
};
use opentelemetry::trace::SpanKind;
use tragen_bus::{
    Bus, Source, Subject,
    batch::{BatchError, BatchLimits, BatchPublisher},
};
use tragen_contracts::{trade_id, v1};
use tragen_domain::{id::AccountId, order::OrderTerms, time::Timestamp};
use tragen_host::{Context, clock, trace::ActiveSpan};
use uuid::Uuid;

/// What an agent came to.
#[derive(Debug)]
pub(crate) enum Decision {
    /// This order.
    Order(Box<v1::OrderProposed>),
    /// Nothing, and why.
    Nothing(v1::NoTrade),
    /// An order of its own is to end, also while everything is halted.
    Cancel(v1::CancelRequested),
}

/// Who proposes, for whom, and what only the proposer knows of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// The shared agent.
    pub(crate) agent: &'static str,
    /// The configured agent; empty for a user's request.
    pub(crate) agent_id: String,
    /// The pool, for limits and states.
    pub(crate) pool: String,
    /// The timeframe of the signal; empty when there is none.
    pub(crate) timeframe: &'static str,
    /// Most accepted orders a UTC day; 0 for no limit.
    pub(crate) max_trades_per_day: i32,
    /// How sure it is, parts per million, where it says so.
    pub(crate) confidence_ppm: Option<u32>,
    /// Whether the guard may approve it only as the account's first order on its match.
    pub(crate) is_first_on_match: bool,
}

/// Why a proposal is not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotProposed {
    /// The lease has ended since the work was taken.
    #[error("the guard is silent")]
    GuardSilent,
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] BatchError),
}

/// Sends proposals in natural batches.
#[derive(Debug, Clone)]
pub(crate) struct Proposer {
    context: Context,
    control: Control,
    proposals: BatchPublisher<v1::Proposal>,
    proposal_valid_ms: i64,
}

impl Decision {
    /// Nothing to trade, without a denial.
    pub(crate) fn nothing(agent: &str, rationale: impl Into<String>) -> Self {
        Self::Nothing(v1::NoTrade { agent: agent.to_owned(), rationale: rationale.into(), denial: None })
    }

    /// A no that the worker is sure of.
    pub(crate) fn denied(agent: &str, code: v1::DenialCode, message: impl Into<String>) -> Self {
        let denial = v1::Denial { code: code.into(), message: message.into(), limit: 0, observed: 0 };
        Self::Nothing(v1::NoTrade { agent: agent.to_owned(), rationale: String::new(), denial: Some(denial) })
    }
}

impl Proposer {
    pub(crate) fn start(context: &Context, bus: &Bus, config: &Config, control: &Control) -> Self {
        let subject = Subject::Proposals(Source::Worker);
        let wrap = |proposals| v1::ProposalBatch { proposals };
        let proposals = BatchPublisher::start(context, bus, subject, BatchLimits::default(), wrap);
        let (context, control) = (context.clone(), control.clone());
        Self { context, control, proposals, proposal_valid_ms: config.proposal_valid_ms }
    }

    /// Until when what is proposed now may be decided, microseconds since the epoch.
    pub(crate) fn valid_until_micros(&self) -> i64 {
        Timestamp::from_micros(clock::now_micros()).plus_millis(self.proposal_valid_ms).micros()
    }

    /// An order proposal that the guard may decide until the validity ends.
    pub(crate) fn order(&self, terms: &OrderTerms, origin: Origin, rationale: String) -> Decision {
        Decision::Order(Box::new(v1::OrderProposed {
            terms: Some(terms.into()),
            agent: origin.agent.to_owned(),
            agent_id: origin.agent_id,
            pool: origin.pool,
            rationale,
            valid_until_micros: self.valid_until_micros(),
            max_trades_per_day: origin.max_trades_per_day,
            timeframe: origin.timeframe.to_owned(),
            confidence_ppm: origin.confidence_ppm,
            reduction_id: String::new(),
            is_first_on_match: origin.is_first_on_match,
        }))
    }

    /// Sends `decision` for `key` and waits until it is stored.
    ///
    /// # Errors
    /// [`NotProposed`]; the request must then be delivered again.
    pub(crate) async fn propose(
        &self,
        key: v1::TradeKey,
        cause: &v1::Meta,
        span: &ActiveSpan,
        decision: Decision,
    ) -> Result<(), NotProposed> {
        // Looked at here and not only when the work was taken: it may have taken long, and the
        // process may have slept.
        if self.control.permission() == Permission::GuardSilent {
            return Err(NotProposed::GuardSilent);
        }
        let scopes = scopes(&key, &decision);
        let decision = match decision {
            Decision::Order(order) if self.control.is_halted(&scopes) => {
                Decision::denied(&order.agent, v1::DenialCode::TradingHalted, "trading was halted meanwhile")
            }
            Decision::Order(_) | Decision::Nothing(_) | Decision::Cancel(_) => decision,
        };
        let is_cancel = matches!(decision, Decision::Cancel(_));
        let is_order = matches!(decision, Decision::Order(_));
        let _held = is_order.then(|| self.control.hold(Thing::Proposal, scopes));
        let traceparent = span.traceparent();
        let mut publish = self.context.spans.start("publish prop.{source}", SpanKind::Producer, &traceparent);
        publish.set("messaging.system", "nats");
        publish.set("messaging.operation.name", "publish");
        publish.set("messaging.operation.type", "send");
        publish.set("messaging.destination.template", "prop.{source}");
        let meta = v1::Meta {
            event_id: format!("{}-{}", key.trade_id, if is_cancel { "cancel" } else { "proposal" }),
            traceparent: publish.traceparent(),
            causation_id: cause.event_id.clone(),
            occurred_at_micros: clock::now_micros(),
            deadline_micros: cause.deadline_micros,
        };
        let kind = match decision {
            Decision::Order(order) => v1::proposal::Kind::Order(*order),
            Decision::Nothing(no_trade) => v1::proposal::Kind::NoTrade(no_trade),
            Decision::Cancel(cancel) => v1::proposal::Kind::Cancel(cancel),
        };
        let proposal = v1::Proposal { meta: Some(meta), key: Some(key), kind: Some(kind) };
        self.proposals.publish(proposal, publish.traceparent()).await?;
        Ok(())
    }
}

/// The key of a configured agent's order. The same agent and the same cause give every worker the same request: whoever
/// proposes it a second time changes nothing.
pub(crate) fn agents_key(account: &AccountId, request_id: &Uuid) -> v1::TradeKey {
    let request_id = request_id.to_string();
    v1::TradeKey {
        trade_id: trade_id(account.as_str(), &request_id).to_string(),
        request_id,
        account_id: account.to_string(),
        tier: v1::Tier::Standard.into(),
        payload_hash: bytes::Bytes::new(),
        created_at_micros: clock::now_micros(),
    }
}

/// Everything that a halt of would stop `decision`.
fn scopes(key: &v1::TradeKey, decision: &Decision) -> Vec<Scoped> {
    let account = (v1::ScopeKind::Account, key.account_id.clone());
    let Decision::Order(order) = decision else { return vec![account] };
    let instrument = order.terms.as_ref().map(|terms| terms.instrument_id.clone()).unwrap_or_default();
    vec![
        account,
        (v1::ScopeKind::Instrument, instrument),
        (v1::ScopeKind::Pool, order.pool.clone()),
        (v1::ScopeKind::Agent, order.agent_id.clone()),
    ]
}
