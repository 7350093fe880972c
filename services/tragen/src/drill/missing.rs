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
    missing("risk_state_unknown", "only a guard without a journal is in this state"),
    missing("duplicate_trade", "the router answers repeats before the gate sees them"),
    missing("no_capital", "an order that the account can pay for has capital behind it; the check is a last line"),
];

const fn missing(limit: &'static str, reason: &'static str) -> Missing {
    Missing { limit, reason }
}
