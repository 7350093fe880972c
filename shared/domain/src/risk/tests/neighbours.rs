//! More comparisons that are told from their neighbours: what closes, what is withdrawn, what is counted once.

use super::{limits::limited, *};

#[test]
fn with_less_than_nothing_in_the_purse_positions_are_closed() {
    let mut state = state();
    state.apply(posted("-5", 2, &[("P", "10")])).expect("fits");
    check(&state, &proposed("P", Side::Sell, "0.5", "10"), None);
}

#[test]
fn nothing_is_withdrawn_before_a_trading_state_is_known_or_from_a_frozen_account() {
    let reason = |state: &State| decide_withdrawal(state, &id("alice"), &usd(), micros("1")).map_err(|own| own.reason);
    let mut blank = State::new(Limits::default());
    blank.apply(posted("1000", 1, &[])).expect("fits");
    assert_eq!(reason(&blank), Err(DenialReason::RiskStateUnknown));
    let mut state = state();
    let Record::Posted(mut frozen) = posted("1000", 2, &[]) else { unreachable!("made by `posted`") };
    frozen.balances[0].is_frozen = true;
    state.apply(Record::Posted(frozen)).expect("fits");
    assert_eq!(reason(&state), Err(DenialReason::AccountFrozen));
}

#[test]
fn a_market_order_is_rounded_into_its_collar() {
    let mut state = state();
    // A twentieth around 10.25: 9.7375 to 10.7625, by halves.
    state.apply(Record::Quote(quote("M", "9.5", "11"))).expect("fits");
    for (side, limit) in [(Side::Sell, "10"), (Side::Buy, "10.5")] {
        let order = decide(&state, &proposed("M", side, "market", "1"), NOW).expect("approved");
        assert_eq!(order.limit, micros(limit), "{side:?}");
    }
}

#[test]
fn of_several_slow_beginnings_the_youngest_counts() {
    let mut state = limited(|limits| {
        limits.rules.set(LimitName::TradeMaxPpm, "", 100_000).expect("sensible");
    });
    for (scope, millis) in [(Scope::Pool(id("value")), -150_000), (Scope::Agent(id("a1")), 0)] {
        tightened(&mut state, scope.clone(), TradingState::Reducing);
        let strict = tighten(&state, scope, TradingState::Reducing, "a+b", "over", NOW.plus_millis(millis));
        let change = ScopeState { state: TradingState::Active, ..strict };
        state.apply(Record::ScopeChanged(change)).expect("fits");
    }
    let beyond = Some((DenialReason::TradeShareLimit, 10_000_000, 10_500_000));
    check(&state, &proposed("P", Side::Buy, "0.5", "20"), None);
    check(&state, &proposed("P", Side::Buy, "0.5", "21"), beyond);
}

#[test]
fn an_order_in_between_hides_no_repeat() {
    let mut state = limited(|limits| limits.repeated_orders = RepeatedOrders::Deny);
    approve(&mut state, &named("t1", "P", Side::Buy, "0.5", "5"));
    approve(&mut state, &named("t2", "P", Side::Buy, "0.5", "6"));
    let again = named("t3", "P", Side::Buy, "0.5", "5");
    check(&state, &again, Some((DenialReason::RepeatedOrder, 1_000, 0)));
}

/// Alice is the house; of the limits on it only those given are on.
fn house(values: &[(&str, i64)]) -> State {
    limited(|limits| {
        limits.house_accounts.insert(id("alice"));
        let off = ["open_risk_max_ppm", "pool_exposure_max_ppm", "timeframe_exposure_max_ppm"];
        let losses = ["day_loss_reduce_ppm", "month_loss_halt_ppm", "drawdown_halt_ppm"];
        limits.rules.set_all(off.into_iter().chain(losses).map(|name| (name, 0))).expect("sensible");
        limits.rules.set_all(values.iter().copied()).expect("sensible");
    })
}

#[test]
fn what_is_margined_adds_up() {
    let mut state = house(&[("open_risk_max_ppm", 20_000), ("margined_risk_ppm", 20_000)]);
    let long = |trade: &str, quantity: &str| named(trade, "M", Side::Buy, "10", quantity);
    let order = approve(&mut state, &long("t1", "50"));
    assert_eq!(state.house().sheet(&usd()).expect("known").exposure().used, order.hold);
    check(&state, &long("t2", "49.9"), None);
    let denied = decide(&state, &long("t2", "50.1"), NOW).expect_err("a notional of more than 1,000");
    assert_eq!((denied.reason, denied.limit), (DenialReason::OpenRiskLimit, 20_000_000));
}

#[test]
fn every_currency_of_the_house_has_a_sheet_of_its_own() {
    let mut state = house(&[]);
    let Record::Posted(mut euros) = posted("7", 1, &[]) else { unreachable!("made by `posted`") };
    euros.balances[0].currency = id("EUR");
    state.apply(Record::Posted(euros)).expect("fits");
    let capital = |currency: &str| state.house().sheet(&id(currency)).map(Sheet::capital);
    assert_eq!([capital("USD"), capital("EUR")], [Some(micros("1000")), Some(micros("7"))]);
}

#[test]
fn exits_take_nothing_of_the_pace_of_an_agent_or_of_the_house() {
    for name in ["agent_orders_per_second_max", "house_orders_per_second_max"] {
        let mut state = house(&[(name, 1)]);
        state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
        approve(&mut state, &named("t1", "P", Side::Sell, "0.5", "1"));
        check(&state, &named("t2", "H", Side::Buy, "0.5", "1"), None);
    }
}

#[test]
fn a_market_that_is_told_again_counts_once_in_its_match() {
    let mut state = limited(|limits| {
        limits.rules.set(LimitName::MatchMaxPpm, "", 200_000).expect("sensible");
    });
    let again = state.instrument(&id("H")).expect("known").clone();
    state.apply(Record::Instrument(Box::new(again))).expect("fits");
    approve(&mut state, &named("t1", "H", Side::Buy, "0.5", "300"));
    check(&state, &named("t2", "D", Side::Buy, "0.5", "100"), None);
}

#[test]
fn an_order_with_an_end_is_finished_before_the_journal_has_it() {
    let mut state = state();
    let order = approve(&mut state, &named("t1", "P", Side::Buy, "0.5", "1"));
    assert_eq!(state.known(&id("t1")), Some(&KnownTrade::InFlight(order.terms.id.clone())));
    fill(&mut state, &order, 1, "0.5", "1", TradeStatus::Filled);
    assert_eq!(state.known(&id("t1")), Some(&KnownTrade::Finished));
}

#[test]
fn who_has_ordered_is_noted_for_a_snapshot_and_who_only_has_money_is_not() {
    let mut state = state();
    let noted = |state: &mut State| {
        state.take_touched(10);
        state.noted_accounts().map(|(own, _)| own.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(noted(&mut state), Vec::<String>::new());
    let order = Order::clone(&decide(&state, &proposed("P", Side::Buy, "0.5", "1"), NOW).expect("approved"));
    state.apply(Record::Approved(Box::new(order))).expect("fits");
    assert_eq!(noted(&mut state), ["alice"]);
}
