//! Requests for trades that are refused for their shape, one row each: what is
//! sent, and the code and reason it gets. Nothing of them reaches a lane.

use crate::stage::{FILLS, Stage, expect_refusal, generous, order, place, request_id, request_id_at};
use pbjson_types::Timestamp;
use tonic::Code::{self, FailedPrecondition, InvalidArgument};
use tonic_types::StatusExt as _;
use tragen_contracts::v1::{Mandate, OrderIntent, PlaceTradeRequest, place_trade_request::Intent};
use tragen_host::clock::now_micros;

type Case = (&'static str, PlaceTradeRequest, Code, &'static str);

fn in_seconds(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: now_micros() / 1_000_000 + seconds, nanos: 0 })
}

fn with(change: impl FnOnce(&mut OrderIntent)) -> PlaceTradeRequest {
    let mut intent = order(FILLS);
    change(&mut intent);
    place(&request_id(), intent)
}

fn gtd(expire_at: Option<Timestamp>) -> PlaceTradeRequest {
    with(|o| (o.time_in_force, o.expire_at) = (4, expire_at))
}

fn named(request_id: &str) -> PlaceTradeRequest {
    place(request_id, order(FILLS))
}

fn instrument(id: &str) -> PlaceTradeRequest {
    with(|o| id.clone_into(&mut o.instrument_id))
}

fn mandate(change: impl FnOnce(&mut Mandate)) -> PlaceTradeRequest {
    let mut mandate = Mandate {
        match_id: "EPL-2026-ARS-MCI".to_owned(),
        budget_micros: 25_000_000,
        min_edge_bps: 50,
        agent: String::new(),
    };
    change(&mut mandate);
    PlaceTradeRequest { request_id: request_id(), intent: Some(Intent::Mandate(mandate)) }
}

fn order_cases() -> Vec<Case> {
    let bad = |name, request, reason| (name, request, InvalidArgument, reason);
    vec![
        bad("zero quantity", with(|o| o.quantity_micros = 0), "QUANTITY_NOT_POSITIVE"),
        bad("negative quantity", with(|o| o.quantity_micros = -10_000_000), "QUANTITY_NOT_POSITIVE"),
        bad("smallest quantity", with(|o| o.quantity_micros = i64::MIN), "QUANTITY_NOT_POSITIVE"),
        bad(
            "notional beyond 64 bits",
            with(|o| (o.quantity_micros, o.limit_price_micros) = (i64::MAX, 2_000_000)),
            "NOTIONAL_OVERFLOW",
        ),
        bad("one micro over the size limit", with(|o| o.quantity_micros = 1_000_000_000_001), "ORDER_SIZE_LIMIT"),
        bad(
            "over the value limit",
            with(|o| (o.quantity_micros, o.limit_price_micros) = (900_000_000_000, 999_999)),
            "ORDER_VALUE_LIMIT",
        ),
        bad("zero price", with(|o| o.limit_price_micros = 0), "PRICE_OUT_OF_BOUNDS"),
        bad("negative price", with(|o| o.limit_price_micros = -550_000), "PRICE_OUT_OF_BOUNDS"),
        bad("largest price", with(|o| o.limit_price_micros = i64::MAX), "PRICE_OUT_OF_BOUNDS"),
        bad("no side", with(|o| o.side = 0), "SIDE_MISSING"),
        bad("unknown side", with(|o| o.side = 99), "SIDE_MISSING"),
        bad("no order type", with(|o| o.order_type = 0), "ORDER_TYPE_MISSING"),
        bad("unknown order type", with(|o| o.order_type = -1), "ORDER_TYPE_MISSING"),
        bad("market order with a price", with(|o| (o.order_type, o.time_in_force) = (2, 1)), "PRICE_UNEXPECTED"),
        bad(
            "resting market order",
            with(|o| (o.order_type, o.limit_price_micros, o.time_in_force) = (2, 0, 3)),
            "TIF_NOT_ALLOWED",
        ),
        bad(
            "post-only that cannot rest",
            with(|o| (o.is_post_only, o.time_in_force) = (true, 1)),
            "POST_ONLY_NOT_ALLOWED",
        ),
        bad(
            "post-only, all or nothing",
            with(|o| (o.is_post_only, o.time_in_force) = (true, 2)),
            "POST_ONLY_NOT_ALLOWED",
        ),
        bad(
            "post-only at the market",
            with(|o| (o.is_post_only, o.order_type, o.limit_price_micros, o.time_in_force) = (true, 2, 0, 1)),
            "POST_ONLY_NOT_ALLOWED",
        ),
        bad("no time in force", with(|o| o.time_in_force = 0), "TIF_MISSING"),
        bad("unknown time in force", with(|o| o.time_in_force = 7), "TIF_MISSING"),
        bad("GTD without an end", gtd(None), "EXPIRY_MISSING"),
        bad("GTC with an end", with(|o| o.expire_at = in_seconds(60)), "EXPIRY_UNEXPECTED"),
        bad("an end in the past", gtd(in_seconds(-1)), "EXPIRY_IN_PAST"),
        bad("an end in 401 days", gtd(in_seconds(401 * 86_400)), "EXPIRY_TOO_FAR"),
        bad("an end in the year 9999", gtd(Some(Timestamp { seconds: 253_402_300_799, nanos: 0 })), "EXPIRY_TOO_FAR"),
        bad("an end before time", gtd(Some(Timestamp { seconds: i64::MIN, nanos: 0 })), "TIMESTAMP_INVALID"),
        bad("an end after time", gtd(Some(Timestamp { seconds: i64::MAX, nanos: 0 })), "TIMESTAMP_INVALID"),
        bad("negative nanoseconds", gtd(in_seconds(60).map(|at| Timestamp { nanos: -1, ..at })), "TIMESTAMP_INVALID"),
    ]
}

fn id_cases() -> Vec<Case> {
    let bad = |name, request, reason| (name, request, InvalidArgument, reason);
    vec![
        bad("no instrument", instrument(""), "INSTRUMENT_MISSING"),
        bad("a protocol line", instrument("EPL ARS.MCI\r\nPUB journal 0\r\n"), "INSTRUMENT_BAD_CHARSET"),
        bad("a wildcard", instrument("EPL.>"), "INSTRUMENT_BAD_CHARSET"),
        bad("a NUL", instrument("EPL\0"), "INSTRUMENT_BAD_CHARSET"),
        bad("a Cyrillic A", instrument("EPL-2026-\u{410}RS-MCI-HOME"), "INSTRUMENT_BAD_CHARSET"),
        bad("SQL", instrument("x'; DROP TABLE trades;--"), "INSTRUMENT_BAD_CHARSET"),
        bad("65 characters", instrument(&"x".repeat(65)), "INSTRUMENT_TOO_LONG"),
        bad("60,000 characters", instrument(&"x".repeat(60_000)), "INSTRUMENT_TOO_LONG"),
        bad("no request id", named(""), "REQUEST_ID_MISSING"),
        bad("not a UUID", named("order-1"), "REQUEST_ID_INVALID"),
        bad("the nil UUID", named("00000000-0000-0000-0000-000000000000"), "REQUEST_ID_INVALID"),
        bad("the max UUID", named("ffffffff-ffff-ffff-ffff-ffffffffffff"), "REQUEST_ID_INVALID"),
        bad("a UUIDv4", named(&uuid::Uuid::new_v4().to_string()), "REQUEST_ID_INVALID"),
        bad("a UUID in braces", named(&format!("{{{}}}", request_id())), "REQUEST_ID_INVALID"),
        bad("an id from the future", named(&request_id_at(120)), "REQUEST_ID_INVALID"),
        ("an id of yesterday", named(&request_id_at(-25 * 3_600)), FailedPrecondition, "REQUEST_ID_TOO_OLD"),
        bad("no intent", PlaceTradeRequest { request_id: request_id(), intent: None }, "INTENT_MISSING"),
        bad("no match", mandate(|m| m.match_id.clear()), "MATCH_MISSING"),
        bad("a match with a dot", mandate(|m| "EPL.2026".clone_into(&mut m.match_id)), "MATCH_BAD_CHARSET"),
        bad("a long match", mandate(|m| m.match_id = "x".repeat(65)), "MATCH_TOO_LONG"),
        bad("no budget", mandate(|m| m.budget_micros = 0), "BUDGET_NOT_POSITIVE"),
        bad("a budget over the value limit", mandate(|m| m.budget_micros = i64::MAX), "ORDER_VALUE_LIMIT"),
        bad("a negative edge", mandate(|m| m.min_edge_bps = -1), "EDGE_OUT_OF_BOUNDS"),
        bad("an agent that is a path", mandate(|m| "../admin".clone_into(&mut m.agent)), "AGENT_INVALID"),
    ]
}

#[tokio::test]
async fn malformed_trades_are_refused_by_name_and_reach_no_lane() {
    let stage = Stage::start(generous()).await;
    let cases: Vec<Case> = order_cases().into_iter().chain(id_cases()).collect();
    assert_eq!(cases.len(), 52);
    for (name, request, code, expected) in cases {
        let status = expect_refusal(name, stage.place("alice", request).await, code, expected);
        let details = status.get_error_details();
        let violations = &details.bad_request().expect(name).field_violations;
        assert_eq!(violations[0].reason, expected, "{name}");
    }
    assert!(stage.books.lock().expect("books").requests.is_empty());
}

#[tokio::test]
async fn all_bad_fields_are_named_and_a_corrected_request_may_reuse_the_id() {
    let stage = Stage::start(generous()).await;
    let id = request_id();
    let mut intent = order("a b");
    (intent.side, intent.quantity_micros) = (0, -1);
    let status = stage.place("alice", place(&id, intent)).await.expect_err("refused");
    let details = status.get_error_details();
    let fields: Vec<_> =
        details.bad_request().expect("fields").field_violations.iter().map(|v| v.field.clone()).collect();
    assert_eq!(fields, ["order.instrument_id", "order.side", "order.quantity_micros"]);
    assert_eq!(details.error_info().expect("info").domain, "tragen");
    let trade = stage.place("alice", place(&id, order(FILLS))).await.expect("placed");
    assert_eq!(trade.request_id, id);
}
