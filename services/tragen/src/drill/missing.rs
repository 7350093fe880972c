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

/// Every limit without a drill.
pub(crate) const MISSING: &[Missing] = &[
    missing(
        "risk_state_unknown",
        "a guard journals a first state before it takes an order or a question; the check is a last line",
    ),
    missing(
        "duplicate_trade",
        "a trade that the guard knows is answered with its outcome before any check, also when a worker proposes it again; \
         the check is a last line",
    ),
    missing(
        "no_capital",
        "no wallet goes below zero: what a venue takes beyond it suspense pays. So an account that can pay for an order \
         has capital, and no other one of the house has less than none; the check is a last line",
    ),
];

const fn missing(limit: &'static str, reason: &'static str) -> Missing {
    Missing { limit, reason }
}
