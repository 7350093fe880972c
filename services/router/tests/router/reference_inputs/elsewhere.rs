//! Cases that no request to the API can be: where they are tried, or why they are not.

/// Case, file and test.
pub(super) const ELSEWHERE: &[(&str, &str, &str)] = &[
    // What only the guard's state can tell: its rules, on the figures of the case.
    ("trade-012", STATE, "a_price_far_from_the_market_is_denied"),
    ("trade-030", STATE, "nothing_is_traded_of_a_closed_instrument"),
    ("trade-044", STATE, "a_micro_too_little_is_too_little"),
    ("trade-046", STATE, "no_more_is_sold_than_is_held"),
    ("trade-049", STATE, "nothing_is_opened_while_a_pool_is_reducing"),
    ("rpc-006", STATE, "a_cancel_passes_while_everything_is_halted"),
    ("rpc-018", STATE, "a_resume_is_confirmed_in_time"),
    ("rpc-021", STATE, "a_resume_waits_for_its_cooldown"),
    ("bus-015", STATE, "a_price_from_the_future_is_not_taken"),
    ("bus-007", STATE, "a_fill_above_the_order_is_noticed"),
    (
        "rpc-015",
        "services/router/tests/router/reads.rs",
        "a_halt_is_never_refused_for_its_form_and_the_guards_no_is_passed_on",
    ),
    ("rpc-024", SETTINGS, "settings_of_the_reference_are_refused_by_name"),
    ("config-005", SETTINGS, "settings_of_the_reference_are_refused_by_name"),
    ("config-006", SETTINGS, "settings_of_the_reference_are_refused_by_name"),
    ("config-009", SETTINGS, "settings_of_the_reference_are_refused_by_name"),
    ("config-013", SETTINGS, "settings_of_the_reference_are_refused_by_name"),
    ("config-015", SETTINGS, "settings_of_the_reference_are_refused_by_name"),
    ("config-004", BACKTEST, "the_reference_cases_are_refused_with_the_key"),
    ("config-010", BACKTEST, "the_reference_cases_are_refused_with_the_key"),
    ("config-011", BACKTEST, "the_reference_cases_are_refused_with_the_key"),
    ("config-016", BACKTEST, "the_reference_cases_are_refused_with_the_key"),
    (
        "rate-002",
        "shared/domain/src/routing/rate.rs",
        "ten_at_the_end_of_a_minute_leave_none_for_the_start_of_the_next",
    ),
    ("rate-007", "services/router/tests/router/lanes.rs", "a_full_lane_is_overloaded_and_says_when_to_return"),
    ("wire-031", WIRE, "ten_thousand_resets_end_only_their_own_connection"),
    ("wire-032", WIRE, "a_connection_carries_a_bounded_number_of_calls"),
    (
        "bus-005",
        "services/ledger/tests/ledger/order.rs",
        "duplicates_reordering_and_late_redelivery_give_the_same_books",
    ),
    ("bus-006", "services/risk-guard/tests/risk_guard/venue.rs", "a_fill_of_an_order_that_nobody_knows_calls_somebody"),
    ("bus-009", "services/agent-worker/tests/agent_worker.rs", "a_worker_takes_only_a_newer_epoch"),
];

const STATE: &str = "shared/domain/tests/bad_inputs.rs";
const SETTINGS: &str = "services/tragen/src/config.rs";
const BACKTEST: &str = "services/tragen/src/backtest/tests/bad_input.rs";
const WIRE: &str = "services/router/tests/router/bad_wire.rs";

/// Case and reason.
pub(super) const NOT_OURS: &[(&str, &str)] = &[
    (
        "token-047",
        "tokens are signed with Ed25519 keys that the router makes; there is no shared secret to be too short",
    ),
    ("wire-034", "the router speaks plain HTTP/2 and leaves certificates to what stands in front of it"),
    ("bus-002", "requests lie in lanes by tier, not in slots: no subject says whose slot a message is for"),
    ("bus-012", "one NATS account serves all parts; what a part may not do is not configured on the server"),
    ("bus-013", "one NATS account serves all parts; what a part may not do is not configured on the server"),
    ("config-012", "pools grow and shrink by one figure of the market with hysteresis; there are no two thresholds"),
    ("config-017", "no configuration holds a secret: keys are files of their own, written for their owner alone"),
    ("config-018", "whether a connection is encrypted is said by the database's address, and nobody judges it here"),
];
