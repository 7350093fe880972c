//! Steps of reductions: what the guard hands out with a lease becomes a reduce-only
//! order. The trade is named by the guard, so it is one trade however many workers
//! propose it, and the guard lets none go beyond its target.

use crate::{
    control::Control,
    metrics,
    order::order_id,
    proposal::{Decision, Proposer},
};
use ::metrics::counter;
use opentelemetry::trace::SpanKind;
use tokio::sync::mpsc;
use tracing::debug;
use tragen_contracts::{trade_id, v1};
use tragen_host::{Context, clock};

/// The agent that reduces.
pub(crate) const LIVE_TRADING_AGENT: &str = "liveTradingAgent";

/// Proposes whatever is handed out, until the process stops.
pub(crate) fn start(
    context: &Context,
    control: &Control,
    proposer: &Proposer,
    mut handed: mpsc::Receiver<v1::ReductionSlice>,
) {
    let (own, control, proposer) = (context.clone(), control.clone(), proposer.clone());
    let stopped = context.stopped();
    context.spawn("reducing", async move {
        tokio::pin!(stopped);
        loop {
            let slice = tokio::select! {
                () = &mut stopped => return Ok(()),
                slice = handed.recv() => match slice { Some(slice) => slice, None => return Ok(()) },
            };
            // A slice that cannot be proposed now is handed out again.
            if control.is_halted(&scopes(&slice)) {
                continue;
            }
            let span = own.spans.start("reduce", SpanKind::Internal, "");
            let (key, meta) = (key(&slice), v1::Meta { event_id: slice.request_id.clone(), ..v1::Meta::default() });
            let decision = decision(&proposer, &key, &slice);
            counter!(metrics::REDUCING_ORDERS).increment(1);
            if let Err(error) = proposer.propose(key, &meta, &span, decision).await {
                debug!("a step of reduction {}: {error}", slice.reduction_id);
            }
        }
    });
}

fn scopes(slice: &v1::ReductionSlice) -> Vec<(v1::ScopeKind, String)> {
    vec![(v1::ScopeKind::Instrument, slice.instrument_id.clone()), (v1::ScopeKind::Account, slice.account_id.clone())]
}

fn key(slice: &v1::ReductionSlice) -> v1::TradeKey {
    v1::TradeKey {
        trade_id: trade_id(&slice.account_id, &slice.request_id).to_string(),
        request_id: slice.request_id.clone(),
        account_id: slice.account_id.clone(),
        tier: v1::Tier::Standard.into(),
        created_at_micros: clock::now_micros(),
        ..v1::TradeKey::default()
    }
}

/// All of the slice at once, at the best price inside the guard's collar; what is not
/// filled comes back as the next slice.
fn decision(proposer: &Proposer, key: &v1::TradeKey, slice: &v1::ReductionSlice) -> Decision {
    let terms = v1::OrderTerms {
        order_id: order_id(&key.trade_id),
        instrument_id: slice.instrument_id.clone(),
        side: slice.side,
        order_type: v1::OrderType::Market.into(),
        quantity_micros: slice.quantity_micros,
        time_in_force: v1::TimeInForce::Ioc.into(),
        is_reduce_only: true,
        ..v1::OrderTerms::default()
    };
    Decision::Order(Box::new(v1::OrderProposed {
        terms: Some(terms),
        agent: LIVE_TRADING_AGENT.to_owned(),
        rationale: format!("reduction {}", slice.reduction_id),
        valid_until_micros: proposer.valid_until_micros(),
        reduction_id: slice.reduction_id.clone(),
        ..v1::OrderProposed::default()
    }))
}
