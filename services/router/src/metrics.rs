//! Every metric of the router, once.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Calls by method and canonical code.
pub(crate) const CALLS: &str = "router_calls_total";
/// Time from a call's arrival to its answer.
pub(crate) const CALL_SECONDS: &str = "router_call_seconds";
/// Refused calls by reason.
pub(crate) const REFUSALS: &str = "router_refusals_total";
/// Trades on their way.
pub(crate) const WAITING: &str = "router_waiting_trades";
/// Trades that wait for their turn, by tier.
pub(crate) const TURNS_WAITING: &str = "router_turns_waiting";
/// Trades that have had their turn and have no outcome yet.
pub(crate) const IN_FLIGHT: &str = "router_in_flight";
/// Trades that may be between their turn and their outcome now.
pub(crate) const IN_FLIGHT_MAX: &str = "router_in_flight_max";
/// Trades that may wait for their turn now.
pub(crate) const TURNS_WAITING_MAX: &str = "router_turns_waiting_max";
/// Trades sent away because too many of their tier wait.
pub(crate) const SHED: &str = "router_shed_total";
/// Ledger facts read.
pub(crate) const FACTS: &str = "router_facts_total";
/// Trades whose outcome was found by asking the ledger.
pub(crate) const LOOKED_UP: &str = "router_outcomes_looked_up_total";
/// Requests put on the bus once more because it may have lost them.
pub(crate) const SENT_AGAIN: &str = "router_requests_sent_again_total";
/// Balances that were not shared with other routers because too many waited.
pub(crate) const UNSHARED: &str = "router_balances_unshared_total";
/// Open streams of trade changes.
pub(crate) const WATCHERS: &str = "router_watchers";

/// Describes all of them; call it once.
pub(crate) fn describe() {
    describe_counter!(CALLS, "Calls by method and canonical code");
    describe_histogram!(CALL_SECONDS, Unit::Seconds, "Time from a call's arrival to its answer");
    describe_counter!(REFUSALS, "Refused calls by reason");
    describe_gauge!(WAITING, "Trades on their way");
    describe_gauge!(TURNS_WAITING, "Trades that wait for their turn, by tier");
    describe_gauge!(IN_FLIGHT, "Trades that have had their turn and have no outcome yet");
    describe_gauge!(IN_FLIGHT_MAX, "Trades that may be between their turn and their outcome now");
    describe_gauge!(TURNS_WAITING_MAX, "Trades that may wait for their turn now");
    describe_counter!(SHED, "Trades sent away because too many of their tier wait");
    describe_counter!(FACTS, "Ledger facts read");
    describe_counter!(LOOKED_UP, "Trades whose outcome was found by asking the ledger");
    describe_counter!(SENT_AGAIN, "Requests put on the bus once more because it may have lost them");
    describe_counter!(UNSHARED, "Balances not shared with other routers because too many waited");
    describe_gauge!(WATCHERS, "Open streams of trade changes");
    describe_counter!("cache_lookups_total", "Lookups by cache and outcome");
    describe_counter!("cache_rate_limited_total", "Requests over a rate limit, by budget");
    describe_counter!("cache_rate_fallbacks_total", "Requests limited in the process because Redis did not answer");
}
