//! Bad inputs of the reference folder that only a state can tell from good ones: each is decided by the rules that the
//! gate decides by, with the figures of the case. Those of the public API are tried by the router's tests, which also
//! list where every other case is tried.
//!
//! Without `TRAGEN_REFERENCE_DIR` these tests say so and pass.

use serde_json::Value;
use std::{fs, path::PathBuf};
use tragen_domain::{
    execution::Fill,
    id::{AccountId, Currency, Id, Kind, OrderId, PoolId, TradeId},
    instrument::{Instrument, InstrumentStatus, SettlementStyle, SettlementTerms},
    market::{FromTheFuture, Level, Quote, check_published},
    money::{Money, ONE, Price, Quantity},
    order::{OrderPrice, OrderTerms, Side, TimeInForce, TradeStatus},
    risk::{
        Anomaly, DenialReason, Limits, Order, Posted, PostedBalance, Proposed, Purpose, Record, ResumeRefused, Scope,
        Stage, State, TradingState, confirm_resume, decide, decide_cancel, propose_resume, read_report, tighten,
    },
    tier::Tier,
    time::Timestamp,
};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// A case by its id, or None (and a line on stdout) where there is no reference folder.
fn case(id: &str) -> Option<Value> {
    let Some(root) = std::env::var_os("TRAGEN_REFERENCE_DIR") else {
        println!("{id} is not tried: set TRAGEN_REFERENCE_DIR to the folder with vectors/");
        return None;
    };
    let path = PathBuf::from(root).join("vectors/bad_inputs.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()));
    let read: Value = serde_json::from_str(&text).expect("valid JSON");
    let cases = read["cases"].as_array().expect("a list");
    Some(cases.iter().find(|own| own["id"] == id).unwrap_or_else(|| panic!("there is no {id}")).clone())
}

fn id<K: Kind>(text: &str) -> Id<K> {
    Id::new(text).expect("an id")
}

/// A gate with a prediction contract quoted 0.49 to 0.51, a spot instrument quoted 0.54 to 0.56, and an account.
fn gate(cash: Money) -> State {
    let mut state = State::new(Limits::default());
    for (name, style, bid, ask) in
        [("EPL-2026-ARS-MCI-HOME", SettlementStyle::Prediction, 49, 51), ("SPOT", SettlementStyle::Spot, 54, 56)]
    {
        state.apply(Record::Instrument(Box::new(instrument(name, style)))).expect("fits");
        let level = |cents: i64| {
            Some(Level { price: Price::from_micros(cents * 10_000), quantity: Quantity::from_micros(100 * ONE) })
        };
        let (bid, ask) = (level(bid), level(ask));
        let quote = Quote { instrument: id(name), bid, ask, event_time: NOW, published_at: NOW };
        state.apply(Record::Quote(quote)).expect("fits");
    }
    let currency: Currency = id("USD");
    let balance = PostedBalance { currency, cash, version: 1, is_frozen: false, flow: Money::ZERO };
    let posted = Posted {
        account: id("alice"),
        trade: None,
        is_final: false,
        executions: Vec::new(),
        balances: vec![balance],
        positions: Vec::new(),
    };
    state.apply(Record::Posted(Box::new(posted))).expect("fits");
    let active = tighten(&state, Scope::Global, TradingState::Active, "test", "test", NOW);
    state.apply(Record::ScopeChanged(active)).expect("fits");
    state
}

fn instrument(name: &str, style: SettlementStyle) -> Instrument {
    Instrument {
        id: id(name),
        name: name.to_owned(),
        settlement: SettlementTerms { style, currency: id("USD"), initial_margin_ppm: 0 },
        tick: Price::from_micros(10_000),
        lot: Quantity::from_micros(ONE),
        min_quantity: Quantity::from_micros(ONE),
        max_quantity: Quantity::from_micros(1_000_000 * ONE),
        min_price: Price::from_micros(10_000),
        max_price: Price::from_micros(990_000),
        taker_fee_ppm: 0,
        status: InstrumentStatus::Open,
        prediction: None,
        max_quote_age_ms: None,
    }
}

/// The order of a case.
fn proposed(case: &Value, instrument: &str, quantity: Quantity) -> Proposed {
    let input = &case["input"];
    let side = if input["side"] == "SELL" { Side::Sell } else { Side::Buy };
    Proposed {
        trade: id("t"),
        account: id("alice"),
        terms: OrderTerms {
            id: id("t-o"),
            instrument: id(instrument),
            side,
            price: OrderPrice::Limit(Price::from_micros(input["limit_price_e6"].as_i64().expect("a price"))),
            quantity,
            time_in_force: TimeInForce::Gtc,
            is_reduce_only: false,
            is_post_only: false,
        },
        agent: None,
        pool: Some(id("swing")),
        purpose: Purpose::Trade,
        valid_until: NOW,
        timeframe: None,
        tier: Tier::Free,
        confidence_ppm: None,
        trades_per_day_max: None,
        is_first_on_match: false,
    }
}

fn contracts(case: &Value) -> Quantity {
    Quantity::from_micros(case["input"]["quantity"].as_i64().expect("a quantity") * ONE)
}

/// Denied for the reason that the case names.
fn check(state: &State, proposed: &Proposed, case: &Value) {
    let denied = decide(state, proposed, NOW).expect_err("denied");
    assert_eq!(denied.reason.as_str(), case["expect"]["reason"].as_str().expect("a reason"), "{case}");
}

fn rich() -> Money {
    Money::from_micros(1_000_000 * ONE)
}

#[test]
fn a_price_far_from_the_market_is_denied() {
    let Some(case) = case("trade-012") else { return };
    check(&gate(rich()), &proposed(&case, "EPL-2026-ARS-MCI-HOME", contracts(&case)), &case);
}

#[test]
fn nothing_is_traded_of_a_closed_instrument() {
    let Some(case) = case("trade-030") else { return };
    let mut state = gate(rich());
    let name = case["input"]["instrument_id"].as_str().expect("an instrument");
    let closed = Instrument { status: InstrumentStatus::Closed, ..instrument(name, SettlementStyle::Prediction) };
    state.apply(Record::Instrument(Box::new(closed))).expect("fits");
    check(&state, &proposed(&case, name, contracts(&case)), &case);
}

#[test]
fn a_micro_too_little_is_too_little() {
    let Some(case) = case("trade-044") else { return };
    // Ten contracts at the limit of the case cost exactly this.
    let (ten, limit) = (Quantity::from_micros(10 * ONE), case["input"]["limit_price_e6"].as_i64().expect("a price"));
    let cost = 10 * limit;
    let order = proposed(&case, "EPL-2026-ARS-MCI-HOME", ten);
    assert!(decide(&gate(Money::from_micros(cost)), &order, NOW).is_ok());
    check(&gate(Money::from_micros(cost - 1)), &order, &case);
}

#[test]
fn no_more_is_sold_than_is_held() {
    let Some(case) = case("trade-046") else { return };
    check(&gate(rich()), &proposed(&case, "SPOT", contracts(&case)), &case);
    // A contract on an outcome is sold short against the price of its opposite, which must be paid for.
    let short = proposed(&case, "EPL-2026-ARS-MCI-HOME", contracts(&case));
    let denied = decide(&gate(Money::from_micros(ONE)), &short, NOW).expect_err("denied");
    assert_eq!(denied.reason, DenialReason::InsufficientFunds);
}

#[test]
fn nothing_is_opened_while_a_pool_is_reducing() {
    let Some(case) = case("trade-049") else { return };
    let mut state = gate(rich());
    let order = proposed(&case, "EPL-2026-ARS-MCI-HOME", contracts(&case));
    assert!(decide(&state, &order, NOW).is_ok());
    let pool: PoolId = id("swing");
    let change = tighten(&state, Scope::Pool(pool), TradingState::Reducing, "olga", "test", NOW);
    state.apply(Record::ScopeChanged(change)).expect("fits");
    check(&state, &order, &case);
}

#[test]
fn a_cancel_passes_while_everything_is_halted() {
    let Some(case) = case("rpc-006") else { return };
    assert_eq!(case["expect"]["name"], "OK");
    let mut state = gate(rich());
    let resting = serde_json::json!({"input": {"side": "BUY", "limit_price_e6": 400_000}});
    let order = proposed(&resting, "EPL-2026-ARS-MCI-HOME", Quantity::from_micros(ONE));
    let approved = Order::clone(&decide(&state, &order, NOW).expect("approved"));
    state.apply(Record::Approved(Box::new(approved))).expect("fits");
    halted(&mut state);
    let (trade, account): (TradeId, AccountId) = (id("t"), id("alice"));
    let open = decide_cancel(&state, &trade, &account, NOW).expect("never refused").expect("open");
    let own: OrderId = id("t-o");
    assert_eq!(open.order.terms.id, own);
}

fn halted(state: &mut State) {
    let change = tighten(state, Scope::Global, TradingState::Halted, "olga", "test", NOW);
    state.apply(Record::ScopeChanged(change)).expect("fits");
}

/// The refusal of a resume by its closed name.
fn check_resume(refused: ResumeRefused, case: &Value) {
    assert_eq!(refused.as_str(), case["expect"]["reason"].as_str().expect("a reason"), "{case}");
}

#[test]
fn a_resume_is_confirmed_in_time() {
    let Some(case) = case("rpc-018") else { return };
    let mut state = gate(rich());
    halted(&mut state);
    let by = ("ann", "over");
    propose_resume(&mut state, Scope::Global, None, by, "token".to_owned(), NOW).expect("proposed");
    let in_time = confirm_resume(&mut state.clone(), "token", "bob", NOW.plus_millis(120_000));
    assert!(in_time.is_ok(), "{in_time:?}");
    let late = confirm_resume(&mut state, "token", "bob", NOW.plus_millis(120_001));
    check_resume(late.expect_err("too late"), &case);
}

#[test]
fn a_resume_waits_for_its_cooldown() {
    let Some(case) = case("rpc-021") else { return };
    let limits = Limits { resume_cooldown_ms: 3_600_000, ..Limits::default() };
    let mut state = State::new(limits);
    let active = tighten(&state, Scope::Global, TradingState::Active, "test", "test", NOW);
    state.apply(Record::ScopeChanged(active)).expect("fits");
    halted(&mut state);
    let propose = |at| {
        let by = ("ann", "over");
        propose_resume(&mut state.clone(), Scope::Global, None, by, "token".to_owned(), at)
    };
    check_resume(propose(NOW.plus_millis(3_599_999)).expect_err("too early"), &case);
    assert!(propose(NOW.plus_millis(3_600_000)).is_ok());
}

#[test]
fn a_price_from_the_future_is_not_taken() {
    let Some(case) = case("bus-015") else { return };
    assert_eq!(case["input"]["ts"], "now+1h");
    let refused = check_published(NOW.plus_millis(3_600_000), NOW).expect_err("not taken");
    assert_eq!(refused, FromTheFuture { ahead_ms: 3_600_000 });
    let reason = case["expect"]["reason"].as_str().expect("a reason");
    assert!(refused.to_string().starts_with(reason), "{refused}");
}

/// The case wants it not booked; here what the venue executed is a fact that is booked. The guard stops the instrument and
/// calls a person, as the case wants.
#[test]
fn a_fill_above_the_order_is_noticed() {
    let Some(case) = case("bus-007") else { return };
    assert_eq!((&case["input"]["qty"], &case["expect"]["reason"]), (&"order+1".into(), &"OVERFILL".into()));
    let (ordered, one) = (Quantity::from_micros(10 * ONE), Quantity::from_micros(ONE));
    let fill = Fill {
        id: id("t-o-x1"),
        price: Price::from_micros(500_000),
        quantity: ordered.plus(one).expect("fits"),
        fee: Money::ZERO,
        executed_at: NOW,
    };
    let seen = read_report(Stage::Sent, (ordered, Quantity::ZERO), &[], (TradeStatus::Filled, &[fill])).expect("fits");
    assert_eq!((seen.anomalies, seen.fills.len()), (vec![Anomaly::Overfill], 1));
}
