//! What the guard counts and measures.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(crate) const DECISIONS: &str = "risk_guard_decisions_total";
pub(crate) const DECISION_SECONDS: &str = "risk_guard_decision_seconds";
pub(crate) const BATCH_PROPOSALS: &str = "risk_guard_batch_proposals";
pub(crate) const JOURNAL_SECONDS: &str = "risk_guard_journal_append_seconds";
pub(crate) const VENUE_SECONDS: &str = "risk_guard_venue_answer_seconds";
pub(crate) const OPEN_ORDERS: &str = "risk_guard_open_orders";
pub(crate) const HELD_MICROS: &str = "risk_guard_held_micros";
pub(crate) const REPORTS: &str = "risk_guard_reports_total";
pub(crate) const HALTS: &str = "risk_guard_halts_total";
pub(crate) const GATE_CLOSED_SECONDS: &str = "risk_guard_gate_closed_seconds";
pub(crate) const LEADER: &str = "risk_guard_is_leader";
pub(crate) const REPEATS: &str = "risk_guard_repeated_proposals_total";

pub(crate) const BROKEN_INVARIANTS: &str = "risk_guard_broken_invariants_total";
pub(crate) const CHECKPOINT_SECONDS: &str = "risk_guard_checkpoint_seconds";
pub(crate) const ANOMALIES: &str = "risk_guard_venue_anomalies_total";
pub(crate) const VENUE_FAILURES: &str = "risk_guard_venue_failures_total";
pub(crate) const REPEATED_ORDERS: &str = "risk_guard_repeated_orders_total";

pub(crate) const BAD_TICKS: &str = "risk_guard_bad_ticks_total";
pub(crate) const ORPHANS: &str = "risk_guard_orphans_total";
pub(crate) const BREAKERS: &str = "risk_guard_breaker_events_total";
pub(crate) const LOSS_PPM: &str = "risk_guard_house_loss_ppm";
pub(crate) const EQUITY_MICROS: &str = "risk_guard_house_equity_micros";
pub(crate) const NEARNESS_PPM: &str = "risk_guard_breaker_nearness_ppm";

pub(crate) fn describe() {
    describe_counter!(DECISIONS, "Decisions by code: APPROVED, NO_TRADE or the denial");
    describe_histogram!(DECISION_SECONDS, Unit::Seconds, "Deciding one batch, without journal and venue");
    describe_histogram!(BATCH_PROPOSALS, "Proposals decided at once");
    describe_histogram!(JOURNAL_SECONDS, Unit::Seconds, "Appending one message to the journal");
    describe_histogram!(VENUE_SECONDS, Unit::Seconds, "From sending an order to the venue's answer");
    describe_gauge!(OPEN_ORDERS, "Approved orders without a final report");
    describe_gauge!(HELD_MICROS, "Buying power held, 1e-6, all currencies added up");
    describe_counter!(REPORTS, "Reports by status");
    describe_counter!(HALTS, "Halts by kind of scope");
    describe_histogram!(GATE_CLOSED_SECONDS, Unit::Seconds, "From the receipt of a halt to the journaled closing");
    describe_gauge!(LEADER, "1 while this guard leads");
    describe_counter!(REPEATED_ORDERS, "Approved orders that equal one of a moment ago under another trade");
    describe_counter!(BREAKERS, "Breakers that warned, tripped, went on, ended or could not be measured");
    describe_gauge!(
        LOSS_PPM,
        "Loss of the pooled capital of the day, the month and from the peak, parts per million; NaN while it is unknown"
    );
    describe_gauge!(
        EQUITY_MICROS,
        "Pooled capital at conservative marks now, and what losses are measured from: day_start, month_start, peak; 1e-6 of limits.measured_currency, NaN while it is unknown"
    );
    describe_gauge!(
        NEARNESS_PPM,
        "Largest value of each breaker that is on, of any scope, parts per million of its threshold: 1000000 trips; NaN while there is none"
    );
    describe_counter!(REPEATS, "Proposals of trades that were decided before");
    describe_counter!(BROKEN_INVARIANTS, "Checks that found the state to contradict itself; each halts everything");
    describe_histogram!(CHECKPOINT_SECONDS, Unit::Seconds, "Hashing the state into the journal and taking a snapshot");
    describe_counter!(ANOMALIES, "What the venue should not do, by kind");
    describe_counter!(BAD_TICKS, "Quotes and definitions that were not taken: malformed, or from the future");
    describe_counter!(ORPHANS, "Orders of a lost journal that were brought to an end");
    describe_counter!(VENUE_FAILURES, "Calls of the venue without an answer");
}
