//! Each refused field by name, and the values just inside the limits.

use super::*;

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
/// The id's own time.
const NOW: Timestamp = Timestamp::from_micros(1_688_096_058_518_000);
const NOW_SECONDS: i64 = 1_688_096_058;

fn good() -> OrderFields<'static> {
    OrderFields {
        instrument_id: "EPL-2026-ARS-MCI-HOME",
        side: Some(Side::Buy),
        order_type: Some(PriceKind::Limit),
        quantity_micros: 10_000_000,
        limit_price_micros: 550_000,
        time_in_force: Some(Lifetime::Gtd),
        expire_at: Some((NOW_SECONDS + 60, 0)),
        is_reduce_only: false,
        is_post_only: false,
    }
}

#[test]
fn a_reduce_only_order_does_not_rest() {
    let resting = OrderFields { is_reduce_only: true, ..good() };
    assert_eq!(reasons(IntentFields::Order(resting)), ["TIF_NOT_ALLOWED"]);
    let immediate = OrderFields { time_in_force: Some(Lifetime::Ioc), expire_at: None, is_reduce_only: true, ..good() };
    assert!(reasons(IntentFields::Order(immediate)).is_empty());
}

#[test]
fn a_post_only_order_is_a_limit_order_that_can_rest() {
    check(|o| o.is_post_only = true, &[]);
    check(|o| (o.is_post_only, o.time_in_force, o.expire_at) = (true, Some(Lifetime::Gtc), None), &[]);
    for taking in [Lifetime::Ioc, Lifetime::Fok] {
        let taker = |o: &mut OrderFields<'static>| (o.time_in_force, o.expire_at) = (Some(taking), None);
        check(taker, &[]);
        let post_only_taker = |o: &mut OrderFields<'static>| {
            taker(o);
            o.is_post_only = true;
        };
        check(post_only_taker, &["POST_ONLY_NOT_ALLOWED"]);
        let market = |o: &mut OrderFields<'static>| {
            taker(o);
            (o.order_type, o.limit_price_micros) = (Some(PriceKind::Market), 0);
        };
        check(market, &[]);
        let post_only_market = |o: &mut OrderFields<'static>| {
            market(o);
            o.is_post_only = true;
        };
        check(post_only_market, &["POST_ONLY_NOT_ALLOWED"]);
    }
    // A resting order cannot be reduce-only, post-only or not.
    check(|o| (o.is_post_only, o.is_reduce_only) = (true, true), &["TIF_NOT_ALLOWED"]);
    check(|o| (o.is_post_only, o.time_in_force) = (true, None), &["TIF_MISSING"]);
    let order = OrderFields { is_post_only: true, time_in_force: Some(Lifetime::Ioc), expire_at: None, ..good() };
    let request = TradeFields { request_id: ID, intent: IntentFields::Order(order) };
    let violations = check_trade(&request, &RequestLimits::default(), NOW).expect_err("refused");
    let said: Vec<_> = violations.iter().map(|v| (v.field, v.message.as_str())).collect();
    assert_eq!(said, [("order.is_post_only", "a post-only order must be able to rest: use GTC or GTD")]);
}

fn reasons(intent: IntentFields<'_>) -> Vec<&'static str> {
    let request = TradeFields { request_id: ID, intent };
    match check_trade(&request, &RequestLimits::default(), NOW) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(|v| v.reason.as_str()).collect(),
    }
}

fn check(change: impl Fn(&mut OrderFields<'static>), expected: &[&str]) {
    let mut order = good();
    change(&mut order);
    assert_eq!(reasons(IntentFields::Order(order)), expected, "{order:?}");
}

#[test]
fn sizes_are_positive_bounded_and_do_not_overflow() {
    check(|_| {}, &[]);
    check(|o| o.quantity_micros = 0, &["QUANTITY_NOT_POSITIVE"]);
    check(|o| o.quantity_micros = i64::MIN, &["QUANTITY_NOT_POSITIVE"]);
    check(
        |o| (o.quantity_micros, o.limit_price_micros) = (1_000_000_000_000, 500_000),
        &[], // exactly both limits
    );
    check(|o| (o.quantity_micros, o.limit_price_micros) = (1_000_000_000_001, 1), &["ORDER_SIZE_LIMIT"]);
    check(|o| (o.quantity_micros, o.limit_price_micros) = (1_000_000_000_000, 500_001), &["ORDER_VALUE_LIMIT"]);
    check(|o| (o.quantity_micros, o.limit_price_micros) = (i64::MAX, 1_000_001), &["NOTIONAL_OVERFLOW"]);
    check(|o| o.quantity_micros = i64::MAX, &["ORDER_SIZE_LIMIT", "ORDER_VALUE_LIMIT"]);
}

#[test]
fn prices_belong_to_limit_orders() {
    check(|o| o.limit_price_micros = 0, &["PRICE_OUT_OF_BOUNDS"]);
    check(|o| o.limit_price_micros = -1, &["PRICE_OUT_OF_BOUNDS"]);
    check(|o| (o.limit_price_micros, o.quantity_micros) = (10_000_000_000_001, 1), &["PRICE_OUT_OF_BOUNDS"]);
    let market = |price| {
        move |o: &mut OrderFields<'static>| {
            (o.order_type, o.limit_price_micros) = (Some(PriceKind::Market), price);
            (o.time_in_force, o.expire_at) = (Some(Lifetime::Ioc), None);
        }
    };
    check(market(0), &[]);
    check(market(1), &["PRICE_UNEXPECTED"]);
}

#[test]
fn lifetimes_end_in_reach() {
    check(|o| o.time_in_force = None, &["TIF_MISSING"]);
    check(|o| o.expire_at = None, &["EXPIRY_MISSING"]);
    check(|o| o.time_in_force = Some(Lifetime::Gtc), &["EXPIRY_UNEXPECTED"]);
    check(|o| o.expire_at = Some((NOW_SECONDS, 518_000_000)), &["EXPIRY_IN_PAST"]);
    check(|o| o.expire_at = Some((NOW_SECONDS, 518_001_000)), &[]);
    check(|o| o.expire_at = Some((NOW_SECONDS + 400 * 86_400, 518_000_000)), &[]);
    check(|o| o.expire_at = Some((NOW_SECONDS + 400 * 86_400, 518_001_000)), &["EXPIRY_TOO_FAR"]);
    check(|o| o.expire_at = Some((253_402_300_799, 0)), &["EXPIRY_TOO_FAR"]);
    check(|o| o.expire_at = Some((253_402_300_800, 0)), &["TIMESTAMP_INVALID"]);
    check(|o| o.expire_at = Some((i64::MIN, 0)), &["TIMESTAMP_INVALID"]);
    check(|o| o.expire_at = Some((NOW_SECONDS + 60, -1)), &["TIMESTAMP_INVALID"]);
    check(|o| o.expire_at = Some((NOW_SECONDS + 60, 1_000_000_000)), &["TIMESTAMP_INVALID"]);
    check(
        |o| (o.order_type, o.limit_price_micros) = (Some(PriceKind::Market), 0),
        &["TIF_NOT_ALLOWED"], // the good order is GTD
    );
}

#[test]
fn instruments_are_safe_tokens() {
    check(|o| o.instrument_id = "", &["INSTRUMENT_MISSING"]);
    for bad in ["EPL ARS.MCI\r\nPUB risk.cmd.resume 0\r\n", "EPL\0", "EPL-2026-\u{410}RS-MCI-HOME", "EPL.>", "*"] {
        check(|o| o.instrument_id = bad, &["INSTRUMENT_BAD_CHARSET"]);
    }
    let long: &'static str = "x".repeat(65).leak();
    check(|o| o.instrument_id = long, &["INSTRUMENT_TOO_LONG"]);
}

#[test]
fn all_violations_are_named_together_and_the_late_one_last() {
    let order = OrderFields { side: None, order_type: None, quantity_micros: 0, ..good() };
    let request = TradeFields { request_id: ID, intent: IntentFields::Order(order) };
    let late = NOW.plus_millis(25 * 3_600_000);
    let violations = check_trade(&request, &RequestLimits::default(), late).expect_err("refused");
    let found: Vec<_> = violations.iter().map(|v| (v.field, v.reason.as_str())).collect();
    assert_eq!(
        found,
        [
            ("order.side", "SIDE_MISSING"),
            ("order.order_type", "ORDER_TYPE_MISSING"),
            ("order.quantity_micros", "QUANTITY_NOT_POSITIVE"),
            ("order.expire_at", "EXPIRY_IN_PAST"),
            ("request_id", "REQUEST_ID_TOO_OLD"),
        ]
    );
    assert_eq!(reasons(IntentFields::Missing), ["INTENT_MISSING"]);
}

#[test]
fn mandates_name_a_match_and_a_budget() {
    let good = MandateFields { match_id: "EPL-2026-ARS-MCI", budget_micros: 25_000_000, min_edge_bps: 0, agent: "" };
    let check = |mandate, expected: &[&str]| assert_eq!(reasons(IntentFields::Mandate(mandate)), expected);
    check(good, &[]);
    check(MandateFields { agent: "eplScoutAgent", min_edge_bps: 10_000, ..good }, &[]);
    check(MandateFields { match_id: "", ..good }, &["MATCH_MISSING"]);
    check(MandateFields { match_id: "a.b", ..good }, &["MATCH_BAD_CHARSET"]);
    check(MandateFields { budget_micros: 0, ..good }, &["BUDGET_NOT_POSITIVE"]);
    check(MandateFields { budget_micros: 500_000_000_001, ..good }, &["ORDER_VALUE_LIMIT"]);
    check(MandateFields { min_edge_bps: -1, ..good }, &["EDGE_OUT_OF_BOUNDS"]);
    check(MandateFields { agent: "../admin", ..good }, &["AGENT_INVALID"]);
}

#[test]
fn pages_and_trade_ids() {
    assert_eq!([0, 1, 500, 501].map(check_page_size), [Ok(50), Ok(1), Ok(500), Ok(500)]);
    assert_eq!(check_page_size(-1).map_err(|v| v.reason), Err(Reason::PageSizeInvalid));
    assert_eq!(check_trade_id("").map_err(|v| v.reason), Err(Reason::TradeIdMissing));
    assert_eq!(check_trade_id("a b").map_err(|v| v.reason), Err(Reason::TradeIdInvalid));
}
