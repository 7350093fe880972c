//! Steps of reductions: what the guard hands out with a lease becomes a reduce-only
//! order. The trade is named by the guard, so it is one trade however many workers
//! propose it, and the guard lets none go beyond its target. Price and size come from
//! what the slice says, so every worker proposes the same.

use crate::{
    control::Control,
    market_view::MarketView,
    metrics,
    order::order_id,
    proposal::{Decision, Proposer},
};
use ::metrics::counter;
use opentelemetry::trace::SpanKind;
use tokio::sync::mpsc;
use tracing::debug;
use tragen_contracts::{trade_id, v1};
use tragen_domain::{
    agents::reducing::{ReducingOrder, ReducingRules, ReducingStage, reducing_order},
    id::InstrumentId,
    market::Level,
    money::{Price, Quantity},
    order::{OrderPrice, Side},
};
use tragen_host::{Context, clock};

/// The agent that reduces.
pub(crate) const LIVE_TRADING_AGENT: &str = "liveTradingAgent";

/// Proposes whatever is handed out, until the process stops.
pub(crate) fn start(
    context: &Context,
    (control, market): (Control, MarketView),
    proposer: &Proposer,
    mut handed: mpsc::Receiver<v1::ReductionSlice>,
) {
    let (own, proposer) = (context.clone(), proposer.clone());
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
            let decision = decision(&proposer, &key, &slice, terms(&market, &slice));
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

/// Price, quantity and why, as [`reducing_order`] chooses them; all of it at market, inside the
/// guard's collar, where the worker does not know the instrument.
fn terms(market: &MarketView, slice: &v1::ReductionSlice) -> ReducingOrder {
    let missing = Quantity::from_micros(slice.quantity_micros);
    let known = InstrumentId::new(&slice.instrument_id).ok().and_then(|id| market.instrument(&id));
    let side = v1::Side::try_from(slice.side).ok().and_then(|side| Side::try_from(side).ok());
    let (Some(instrument), Some(side)) = (known, side) else {
        return ReducingOrder { price: OrderPrice::Market, quantity: missing, stage: ReducingStage::NoQuote };
    };
    let level = Level {
        price: Price::from_micros(slice.best_price_micros),
        quantity: Quantity::from_micros(slice.best_quantity_micros),
    };
    let best = (level.price > Price::ZERO && level.quantity > Quantity::ZERO).then_some((level, slice.quote_age_ms));
    reducing_order(&instrument, (side, missing), best, slice.command_age_ms, &ReducingRules::default())
}

/// What is not filled comes back as the next slice.
fn decision(proposer: &Proposer, key: &v1::TradeKey, slice: &v1::ReductionSlice, order: ReducingOrder) -> Decision {
    let (order_type, limit_price_micros) = match order.price {
        OrderPrice::Market => (v1::OrderType::Market, 0),
        OrderPrice::Limit(price) => (v1::OrderType::Limit, price.micros()),
    };
    let terms = v1::OrderTerms {
        order_id: order_id(&key.trade_id),
        instrument_id: slice.instrument_id.clone(),
        side: slice.side,
        order_type: order_type.into(),
        limit_price_micros,
        quantity_micros: order.quantity.micros(),
        time_in_force: v1::TimeInForce::Ioc.into(),
        is_reduce_only: true,
        is_post_only: false,
        ..v1::OrderTerms::default()
    };
    let how = match order.stage {
        ReducingStage::Patient => "at the best price",
        ReducingStage::GivingWay => "below the best price, the command grows old",
        ReducingStage::Urgent => "at market, the command is old",
        ReducingStage::NoQuote => "at market, there is no quote",
    };
    Decision::Order(Box::new(v1::OrderProposed {
        terms: Some(terms),
        agent: LIVE_TRADING_AGENT.to_owned(),
        rationale: format!("reduction {}, {how}", slice.reduction_id),
        valid_until_micros: proposer.valid_until_micros(),
        reduction_id: slice.reduction_id.clone(),
        ..v1::OrderProposed::default()
    }))
}
