//! An order the user has decided: the agent routes it and checks its shape.

use crate::proposal::{Decision, Origin, Proposer};
use tragen_contracts::{
    convert::{self, InvalidField},
    v1,
};
use tragen_domain::{
    agents::mandate::MandateAgent,
    order::{OrderTerms, PLACED_BY_USER},
};

/// Routes orders on instruments with bars.
pub(crate) const TRADING_AGENT: &str = "tradingAgent";
/// Routes orders on match outcomes.
pub(crate) const EPL_TRADING_AGENT: &str = "eplTradingAgent";
/// The pool of what users decide themselves.
const USER_POOL: &str = "user";

/// The shared agent that serves a request.
pub(crate) fn agent_of(request: &v1::TradeRequested) -> &'static str {
    match &request.intent {
        Some(v1::trade_requested::Intent::Order(order)) if is_outcome(&order.instrument_id) => EPL_TRADING_AGENT,
        Some(v1::trade_requested::Intent::Mandate(mandate)) => {
            MandateAgent::named(&mandate.agent).unwrap_or(MandateAgent::Scout).as_str()
        }
        Some(v1::trade_requested::Intent::Order(_)) | None => TRADING_AGENT,
    }
}

/// The user's order as a proposal.
pub(crate) fn route(proposer: &Proposer, key: &v1::TradeKey, intent: &v1::OrderIntent) -> Decision {
    let agent = if is_outcome(&intent.instrument_id) { EPL_TRADING_AGENT } else { TRADING_AGENT };
    match terms(key, intent) {
        Ok(terms) => {
            let origin = Origin { agent, pool: USER_POOL.to_owned(), ..Origin::default() };
            proposer.order(&terms, origin, PLACED_BY_USER.to_owned())
        }
        Err(error) => Decision::denied(agent, v1::DenialCode::UnknownInstrument, error.to_string()),
    }
}

fn terms(key: &v1::TradeKey, intent: &v1::OrderIntent) -> Result<OrderTerms, InvalidField> {
    let expire_at_micros = match &intent.expire_at {
        Some(expire_at) => convert::time("expire_at", expire_at)?.micros(),
        None => 0,
    };
    let terms = v1::OrderTerms {
        order_id: order_id(&key.trade_id),
        instrument_id: intent.instrument_id.clone(),
        side: intent.side,
        order_type: intent.order_type,
        quantity_micros: intent.quantity_micros,
        limit_price_micros: intent.limit_price_micros,
        time_in_force: intent.time_in_force,
        expire_at_micros,
        is_reduce_only: intent.is_reduce_only,
        is_post_only: intent.is_post_only,
    };
    OrderTerms::try_from(&terms)
}

/// The one order a trade can have.
pub(crate) fn order_id(trade_id: &str) -> String {
    format!("{trade_id}-o")
}

fn is_outcome(instrument_id: &str) -> bool {
    ["-HOME", "-DRAW", "-AWAY"].iter().any(|outcome| instrument_id.ends_with(outcome))
}
