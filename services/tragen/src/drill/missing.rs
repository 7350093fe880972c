//! Limits without a drill, and why: said aloud, so that nobody takes them for drilled.

use serde::Serialize;

/// A limit without a drill.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Missing {
    /// Which.
    pub(crate) limit: &'static str,
    /// What keeps it from being drilled.
    pub(crate) reason: &'static str,
}

const AGENT: &str = "needs a configured agent that signals at a known moment";

/// Every limit without a drill.
pub(crate) const MISSING: &[Missing] = &[
    missing("proposal_expired", "the public API has no way to delay a proposal"),
    missing("account_frozen", "only a failed check of the books freezes an account"),
    missing("risk_state_unknown", "only a guard without a journal is in this state"),
    missing("duplicate_trade", "the router answers repeats before the gate sees them"),
    missing("no_capital", "an order that the account can pay for has capital behind it; the check is a last line"),
    missing("unknown_agent", "the worker denies it before the gate is asked"),
    missing("margined_risk_ppm", "a factor of open_risk_max_ppm for margined instruments; drills trade outcomes"),
    missing("agent_trade_limit", AGENT),
    missing("confidence_too_low", AGENT),
    missing("agent_confidence_min_ppm", AGENT),
    missing("agent_order_rate", AGENT),
    missing("agent_orders_per_second_max", AGENT),
    missing("agent_exposure_limit", AGENT),
    missing("agent_exposure_max_ppm", AGENT),
    missing("timeframe_exposure_limit", AGENT),
    missing("timeframe_exposure_max_ppm", AGENT),
    missing("agent_loss_halt_ppm", AGENT),
    missing("consecutive_losses_halt_max", AGENT),
    missing("correlation_reduce_ppm", "needs at least two agents with a history of returns"),
    missing("memory_scale_down_ppm", "the API cannot make the guard use more memory"),
    missing("day_loss_limit", "the breaker of the same threshold closes the gate first"),
    missing("month_loss_limit", "the breaker of the same threshold closes the gate first"),
    missing("drawdown_limit", "the breaker of the same threshold closes the gate first"),
    missing("feed_age_warn_ms", "it only raises an alert, which the public API does not show"),
];

const fn missing(limit: &'static str, reason: &'static str) -> Missing {
    Missing { limit, reason }
}
