//! What the gate would say to an order that is only thought of.

use super::{limits::limited, *};
use crate::{
    portfolio::{CorrelationMatrix, Return},
    risk::{Advice, Allowance, Measure, Prospects, what_if},
};
use std::collections::BTreeMap;

fn asked(state: &State, proposed: &Proposed) -> crate::risk::WhatIf {
    what_if(state, proposed, &Prospects::default(), NOW).expect("fits")
}

fn trade_of_a_twentieth() -> State {
    limited(|limits| {
        let values = [("trade_max_ppm", 50_000), ("match_max_ppm", 60_000), ("wallet_floor_ppm", 900_000)];
        limits.rules.set_all(values.into_iter()).expect("sensible");
    })
}

#[test]
fn order_is_scaled_to_what_passes() {
    let state = trade_of_a_twentieth();
    // 300 contracts for 150 of 1,000: above 5 % in a trade, 6 % in a match, and less than 90 % stays.
    let told = asked(&state, &named("t", "H", Side::Buy, "0.5", "300"));
    let reasons: Vec<_> = told.reasons.iter().map(|denied| denied.reason).collect();
    assert_eq!(reasons, [DenialReason::WalletFloor, DenialReason::TradeShareLimit, DenialReason::MatchShareLimit]);
    assert_eq!(told.advice, Advice::Scale { quantity: micros("100") });
    let allowed = |reason| told.allowances.iter().find(|own| own.reason == reason).map(|own| own.quantity.to_string());
    assert_eq!(allowed(DenialReason::TradeShareLimit).as_deref(), Some("100"));
    assert_eq!(allowed(DenialReason::MatchShareLimit).as_deref(), Some("120"));
    assert_eq!(allowed(DenialReason::WalletFloor).as_deref(), Some("200"));
    assert_eq!(told.allowances.first().map(|own: &Allowance| own.reason), Some(DenialReason::TradeShareLimit));
    let room = told.headroom.iter().find(|room| room.reason == DenialReason::TradeShareLimit).expect("is on");
    assert_eq!(
        (room.measure, room.limit, room.observed, room.left),
        (Measure::Money, 50_000_000, 150_000_000, -100_000_000)
    );
}

#[test]
fn order_inside_every_limit_is_allowed_and_one_against_a_halt_is_rejected() {
    let mut state = trade_of_a_twentieth();
    let told = asked(&state, &named("t", "H", Side::Buy, "0.5", "100"));
    assert_eq!((told.advice, told.reasons.len()), (Advice::Allow, 0));
    assert!(told.headroom.iter().all(|room| room.left >= 0), "{:?}", told.headroom);
    assert!(decide(&state, &named("t", "H", Side::Buy, "0.5", "100"), NOW).is_ok());
    tightened(&mut state, Scope::Global, TradingState::Halted);
    let told = asked(&state, &named("t", "H", Side::Buy, "0.5", "300"));
    assert_eq!((told.advice, told.reasons[0].reason), (Advice::Reject, DenialReason::TradingHalted));
    assert_eq!(told.reasons.len(), 4, "a halt hides no other reason: {:?}", told.reasons);
    let told = asked(&state, &named("t", "NOWHERE", Side::Buy, "0.5", "1"));
    assert_eq!((told.advice, told.allowances.len()), (Advice::Reject, 0));
}

#[test]
fn risk_of_the_predictions_is_told_before_and_after() {
    let state = trade_of_a_twentieth();
    let fixture = state.instrument(&id("H")).and_then(|own| own.prediction.clone()).expect("a prediction").0;
    let chances = BTreeMap::from([(fixture.clone(), [0.6, 0.25, 0.15])]);
    let order = named("t", "H", Side::Buy, "0.5", "100");
    let prospects = Prospects { chances: Some(&chances), agents: None };
    let outlook = what_if(&state, &order, &prospects, NOW).expect("fits").outlook;
    assert_eq!((outlook.before, outlook.unpriced.len(), outlook.company), (None, 0, None));
    let after = outlook.after.expect("100 contracts");
    assert_eq!((after.at_95.value_at_risk.to_string(), after.at_95.expected.to_string()), ("50".into(), "10".into()));
    // Without chances, or with impossible ones, the match is named instead.
    for chances in [BTreeMap::new(), BTreeMap::from([(fixture.clone(), [0.6, 0.25, 0.1])])] {
        let prospects = Prospects { chances: Some(&chances), agents: None };
        let outlook = what_if(&state, &order, &prospects, NOW).expect("fits").outlook;
        assert_eq!((outlook.after, outlook.unpriced), (None, vec![fixture.clone()]));
    }
}

#[test]
fn company_of_the_agent_is_told() {
    let mut matrix = CorrelationMatrix::new(20).expect("a window");
    for step in 0..20_i64 {
        let own = |size: i64| Return::from_units(size * if step % 2 == 0 { 1 } else { -1 }).expect("in range");
        matrix.push([(id("a"), own(1_000_000)), (id("b"), own(3_000_000))]).expect("room");
    }
    let capitals = BTreeMap::from([(id("a"), micros("100")), (id("b"), micros("100"))]);
    let prospects = Prospects { chances: None, agents: Some((&matrix, &capitals)) };
    let state = trade_of_a_twentieth();
    let of = |agent: Option<&str>| {
        let order = Proposed { agent: agent.map(id), ..named("t", "H", Side::Buy, "0.5", "1") };
        what_if(&state, &order, &prospects, NOW).expect("fits").outlook.company.expect("given")
    };
    let company = of(Some("a"));
    assert!(
        company.factor.is_some_and(|factor| (factor - 1.0).abs() < 1e-9) && company.pairs.len() == 1,
        "{company:?}"
    );
    assert!(of(None).pairs.is_empty() && of(Some("c")).pairs.is_empty());
}

#[test]
fn what_passes_is_an_order_of_one_lot_at_least() {
    let scaled = |ppm: i64| {
        let state = limited(|limits| {
            limits.rules.set_all([("trade_max_ppm", ppm)].into_iter()).expect("sensible");
        });
        asked(&state, &named("t", "H", Side::Buy, "0.5", "300")).advice
    };
    assert_eq!(scaled(500), Advice::Scale { quantity: micros("1") });
    assert_eq!(scaled(499), Advice::Reject);
}

#[test]
fn what_is_held_counts_before_the_order_and_its_fee_only_after_it() {
    let mut state = trade_of_a_twentieth();
    let own = state.instrument(&id("H")).expect("listed").clone();
    state.apply(Record::Instrument(Box::new(Instrument { taker_fee_ppm: 20_000, ..own }))).expect("fits");
    let fixture = state.instrument(&id("H")).and_then(|own| own.prediction.clone()).expect("a prediction").0;
    let chances = BTreeMap::from([(fixture, [0.6, 0.25, 0.15])]);
    let prospects = Prospects { chances: Some(&chances), agents: None };
    let expected = |state: &State| {
        let order = named("t", "H", Side::Buy, "0.5", "100");
        let outlook = what_if(state, &order, &prospects, NOW).expect("fits").outlook;
        [outlook.before, outlook.after].map(|risk| risk.map(|risk| risk.at_95.expected.to_string()))
    };
    // 60 of 100 for 50; the fee is 2 % of 100 x 0.5 x 0.5.
    assert_eq!(expected(&state), [None, Some("9.5".to_owned())]);
    state.apply(posted("900", 2, &[("H", "200")])).expect("fits");
    assert_eq!(expected(&state), [Some("20".to_owned()), Some("29.5".to_owned())]);
}
