//! Every check of the gate at its limit and one beyond it.

mod breakers;
mod commands;
mod edges;
mod inspect;
mod limits;
mod neighbours;
mod obeyed;
mod states;
mod streaks;
mod what_if;

use super::*;
use crate::{
    execution::Fill,
    id::{AccountId, AgentId, Currency, ExecutionId, InstrumentId, OrderId, PoolId, TradeId},
    instrument::{Instrument, InstrumentStatus, SettlementStyle, SettlementTerms},
    market::{Level, Quote},
    money::{Money, Price, Quantity},
    order::{OrderPrice, OrderTerms, Side, TimeInForce, TradeStatus},
    tier::Tier,
    time::Timestamp,
};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn id<K: crate::id::Kind>(text: &str) -> crate::id::Id<K> {
    crate::id::Id::new(text).expect("an id")
}

fn usd() -> Currency {
    id("USD")
}

fn micros<U>(text: &str) -> crate::money::Fixed<U> {
    text.parse().expect("a number")
}

fn instrument(name: &str, style: SettlementStyle, (tick, lot): (&str, &str), price_max: &str) -> Instrument {
    Instrument {
        id: id(name),
        name: name.to_owned(),
        settlement: SettlementTerms { style, currency: usd(), initial_margin_ppm: 100_000 },
        tick: micros(tick),
        lot: micros(lot),
        min_quantity: micros(lot),
        max_quantity: micros("10000"),
        min_price: micros(tick),
        max_price: micros(price_max),
        taker_fee_ppm: 0,
        status: InstrumentStatus::Open,
        prediction: None,
        max_quote_age_ms: None,
    }
}

fn quote(name: &str, bid: &str, ask: &str) -> Quote {
    let level = |price: &str| Some(Level { price: micros(price), quantity: micros("1000") });
    Quote { instrument: id(name), bid: level(bid), ask: level(ask), event_time: NOW, published_at: NOW }
}

/// Three instruments around 0.5, 100 and 10, and alice with 1,000 USD.
fn state() -> State {
    let limits = Limits { order_value_max: micros("100000"), ..Limits::default() };
    let mut state = State::new(limits);
    let active = ScopeState {
        scope: Scope::Global,
        state: TradingState::Active,
        epoch: 1,
        changed_by: "test".to_owned(),
        reason: "test".to_owned(),
        changed_at: NOW,
        resume_from: NOW,
    };
    let records = [
        Record::ScopeChanged(active),
        Record::Instrument(Box::new(instrument("P", SettlementStyle::Prediction, ("0.01", "1"), "0.99"))),
        Record::Instrument(Box::new(instrument("S", SettlementStyle::Spot, ("0.5", "0.001"), "100000"))),
        Record::Instrument(Box::new(instrument("M", SettlementStyle::Margined, ("0.5", "0.001"), "100000"))),
        Record::Quote(quote("P", "0.49", "0.51")),
        Record::Quote(quote("S", "99.5", "100.5")),
        Record::Quote(quote("M", "9.5", "10.5")),
        posted("1000", 1, &[]),
    ];
    for record in records {
        state.apply(record).expect("fits");
    }
    state
}

fn posted(cash: &str, version: i64, positions: &[(&str, &str)]) -> Record {
    let positions = positions.iter().map(|(instrument, quantity)| PostedPosition {
        instrument: id(instrument),
        quantity: micros(quantity),
        average_price: micros("0.5"),
        margin: Money::ZERO,
        version,
    });
    Record::Posted(Box::new(Posted {
        account: id("alice"),
        trade: None,
        is_final: false,
        executions: Vec::new(),
        balances: vec![PostedBalance {
            currency: usd(),
            cash: micros(cash),
            version,
            is_frozen: false,
            flow: Money::ZERO,
        }],
        positions: positions.collect(),
    }))
}

fn proposed(instrument: &str, side: Side, price: &str, quantity: &str) -> Proposed {
    named("t", instrument, side, price, quantity)
}

fn named(trade: &str, instrument: &str, side: Side, price: &str, quantity: &str) -> Proposed {
    Proposed {
        trade: id(trade),
        account: id("alice"),
        terms: OrderTerms {
            id: OrderId::new(format!("{trade}-o")).expect("an id"),
            instrument: id(instrument),
            side,
            price: if price == "market" { OrderPrice::Market } else { OrderPrice::Limit(micros(price)) },
            quantity: micros(quantity),
            time_in_force: TimeInForce::Gtc,
            is_reduce_only: false,
            is_post_only: false,
        },
        agent: Some(id("a1")),
        pool: Some(id("value")),
        purpose: Purpose::Trade,
        valid_until: NOW,
        timeframe: None,
        tier: Tier::Standard,
        confidence_ppm: None,
        trades_per_day_max: None,
        is_first_on_match: false,
    }
}

/// Decides and compares the reason with its two numbers; `None` for an approval.
fn check(state: &State, proposed: &Proposed, expected: Option<(DenialReason, i64, i64)>) {
    let denied = decide(state, proposed, NOW).err();
    assert_eq!(inspect(state, proposed, NOW).denied(), denied, "an inspection says the same");
    let actual = denied.map(|denied| (denied.reason, denied.limit, denied.observed));
    assert_eq!(actual, expected, "{proposed:?}");
}

fn approve(state: &mut State, proposed: &Proposed) -> Order {
    let order = Order::clone(&decide(state, proposed, NOW).expect("approved"));
    state.apply(Record::Approved(Box::new(order.clone()))).expect("fits");
    check_invariants(state).expect("sound");
    order
}

fn fill(state: &mut State, order: &Order, number: u32, price: &str, quantity: &str, status: TradeStatus) {
    let executed = Executed {
        trade: order.trade.clone(),
        order: order.terms.id.clone(),
        account: order.account.clone(),
        instrument: order.terms.instrument.clone(),
        agent: order.agent.clone(),
        side: order.terms.side,
        settlement: order.settlement.clone(),
        fills: vec![Fill {
            id: ExecutionId::new(format!("{}-x{number}", order.terms.id)).expect("an id"),
            price: micros(price),
            quantity: micros(quantity),
            fee: Money::ZERO,
            executed_at: NOW,
        }],
        status,
    };
    state.apply(Record::Executed(Box::new(executed))).expect("fits");
    check_invariants(state).expect("sound");
}

fn tightened(state: &mut State, scope: Scope, to: TradingState) {
    let change = tighten(state, scope, to, "operator", "test", NOW);
    state.apply(Record::ScopeChanged(change)).expect("fits");
}

fn held(state: &State) -> String {
    state.held().to_string()
}

#[test]
fn a_proposal_is_decided_in_time_or_not_at_all() {
    let state = state();
    let proposed = proposed("P", Side::Buy, "0.5", "1");
    check(&state, &proposed, None);
    let late = Proposed { valid_until: Timestamp::from_micros(NOW.micros() - 1), ..proposed };
    check(&state, &late, Some((DenialReason::ProposalExpired, NOW.micros() - 1, NOW.micros())));
}

#[test]
fn only_open_instruments_trade() {
    let mut state = state();
    check(&state, &proposed("X", Side::Buy, "0.5", "1"), Some((DenialReason::UnknownInstrument, 0, 0)));
    for status in [InstrumentStatus::Suspended, InstrumentStatus::Closed] {
        let instrument = Instrument { status, ..instrument("P", SettlementStyle::Prediction, ("0.01", "1"), "0.99") };
        state.apply(Record::Instrument(Box::new(instrument))).expect("fits");
        check(&state, &proposed("P", Side::Buy, "0.5", "1"), Some((DenialReason::InstrumentNotTrading, 0, 0)));
    }
    state.apply(Record::Booked { settled: Some(id("S")) }).expect("fits");
    check(&state, &proposed("S", Side::Buy, "100", "1"), Some((DenialReason::InstrumentNotTrading, 0, 0)));
}

#[test]
fn price_and_quantity_are_on_their_grids_and_in_range() {
    let state = state();
    let buy = |price: &str, quantity: &str| proposed("P", Side::Buy, price, quantity);
    check(&state, &buy("0.501", "1"), Some((DenialReason::PriceOffTick, 10_000, 501_000)));
    check(&state, &buy("0.01", "1"), None);
    check(&state, &buy("0", "1"), Some((DenialReason::PriceOutOfRange, 10_000, 0)));
    check(&state, &buy("1", "1"), Some((DenialReason::PriceOutOfRange, 990_000, 1_000_000)));
    check(&state, &proposed("P", Side::Sell, "0.99", "1"), None);
    check(&state, &buy("0.5", "1.5"), Some((DenialReason::QuantityOffLot, 1_000_000, 1_500_000)));
    check(&state, &buy("0.5", "0"), Some((DenialReason::QuantityTooSmall, 1_000_000, 0)));
    check(&state, &buy("0.1", "10000"), None);
    check(&state, &buy("0.1", "10001"), Some((DenialReason::QuantityTooLarge, 10_000_000_000, 10_001_000_000)));
    // Whatever the instrument says, nothing is bought for nothing, and no order is for nothing.
    let mut state = state;
    let mut loose = instrument("P", SettlementStyle::Prediction, ("0.01", "1"), "0.99");
    (loose.min_price, loose.min_quantity) = (micros("0"), micros("0"));
    state.apply(Record::Instrument(Box::new(loose))).expect("fits");
    check(&state, &buy("0", "1"), Some((DenialReason::PriceOutOfRange, 0, 0)));
    check(&state, &buy("0.5", "0"), Some((DenialReason::QuantityTooSmall, 0, 0)));
}

#[test]
fn one_order_is_worth_so_much_at_most() {
    let mut state = state();
    state.apply(posted("1000000", 2, &[])).expect("fits");
    check(&state, &proposed("S", Side::Buy, "100", "1000"), None);
    let above = Some((DenialReason::OrderValueLimit, 100_000_000_000, 100_000_100_000));
    check(&state, &proposed("S", Side::Buy, "100", "1000.001"), above);
}

#[test]
fn a_quote_must_be_there_and_fresh() {
    let mut state = state();
    let proposed = proposed("P", Side::Buy, "0.5", "1");
    let mut aged = |age_micros: i64, bid: &str| {
        let published_at = Timestamp::from_micros(NOW.micros() - age_micros);
        state.apply(Record::Quote(Quote { published_at, ..quote("P", bid, "0.51") })).expect("fits");
        decide(&state, &proposed, NOW).err().map(|denied| (denied.reason, denied.limit, denied.observed))
    };
    assert_eq!(aged(5_000_000, "0.49"), None);
    assert_eq!(aged(5_000_001, "0.49"), Some((DenialReason::StaleQuote, 5_000, 5_001)));
    // From the future: one of the clocks is wrong.
    assert_eq!(aged(-5_000_000, "0.49"), None);
    assert_eq!(aged(-5_000_001, "0.49"), Some((DenialReason::StaleQuote, 5_000, 5_001)));
    let empty = Quote { bid: None, ask: None, ..quote("P", "0.49", "0.51") };
    state.apply(Record::Quote(empty)).expect("fits");
    check(&state, &proposed, Some((DenialReason::NoReferencePrice, 0, 0)));
    let own_age = Instrument {
        max_quote_age_ms: Some(60_000),
        ..instrument("P", SettlementStyle::Prediction, ("0.01", "1"), "0.99")
    };
    state.apply(Record::Instrument(Box::new(own_age))).expect("fits");
    let published_at = Timestamp::from_micros(NOW.micros() - 60_000_000);
    state.apply(Record::Quote(Quote { published_at, ..quote("P", "0.49", "0.51") })).expect("fits");
    check(&state, &proposed, None);
}

#[test]
fn a_limit_stays_inside_the_collar_and_a_market_order_becomes_it() {
    let state = state();
    check(&state, &proposed("P", Side::Buy, "0.7", "1"), None);
    check(&state, &proposed("P", Side::Buy, "0.71", "1"), Some((DenialReason::PriceCollar, 700_000, 710_000)));
    check(&state, &proposed("P", Side::Sell, "0.3", "1"), None);
    check(&state, &proposed("P", Side::Sell, "0.29", "1"), Some((DenialReason::PriceCollar, 300_000, 290_000)));
    check(&state, &proposed("M", Side::Buy, "10.5", "1"), None);
    check(&state, &proposed("M", Side::Buy, "11", "1"), Some((DenialReason::PriceCollar, 10_500_000, 11_000_000)));
    for (instrument, side, limit) in
        [("P", Side::Buy, "0.7"), ("P", Side::Sell, "0.3"), ("M", Side::Buy, "10.5"), ("M", Side::Sell, "9.5")]
    {
        let order = decide(&state, &proposed(instrument, side, "market", "1"), NOW).expect("approved");
        assert_eq!(order.limit, micros::<crate::money::PriceUnit>(limit), "{instrument} {side:?}");
    }
}

#[test]
fn the_strictest_scope_of_an_order_wins() {
    let scopes = [
        Scope::Global,
        Scope::Pool(PoolId::new("value").expect("an id")),
        Scope::Agent(AgentId::new("a1").expect("an id")),
        Scope::Instrument(InstrumentId::new("P").expect("an id")),
        Scope::Account(AccountId::new("alice").expect("an id")),
    ];
    for scope in scopes {
        let mut state = state();
        let proposed = proposed("P", Side::Buy, "0.5", "1");
        tightened(&mut state, scope.clone(), TradingState::Reducing);
        check(&state, &proposed, Some((DenialReason::TradingReducing, 0, 1_000_000)));
        tightened(&mut state, scope.clone(), TradingState::Halted);
        check(&state, &proposed, Some((DenialReason::TradingHalted, 0, 0)));
        tightened(&mut state, scope.clone(), TradingState::Reducing);
        assert_eq!(state.state_of(&scope), TradingState::Halted, "tightening never loosens");
    }
    let mut state = state();
    tightened(&mut state, Scope::Agent(id("a2")), TradingState::Halted);
    check(&state, &proposed("P", Side::Buy, "0.5", "1"), None);
    check(
        &State::new(Limits::default()),
        &proposed("P", Side::Buy, "0.5", "1"),
        Some((DenialReason::UnknownInstrument, 0, 0)),
    );
}

#[test]
fn a_gate_without_a_trading_state_denies() {
    let mut blank = State::new(Limits::default());
    let instrument = instrument("P", SettlementStyle::Prediction, ("0.01", "1"), "0.99");
    for record in
        [Record::Instrument(Box::new(instrument)), Record::Quote(quote("P", "0.49", "0.51")), posted("1", 1, &[])]
    {
        blank.apply(record).expect("fits");
    }
    check(&blank, &proposed("P", Side::Buy, "0.5", "1"), Some((DenialReason::RiskStateUnknown, 0, 0)));
}

#[test]
fn reducing_counts_every_pending_order() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    let sell = |trade: &str, quantity: &str| named(trade, "P", Side::Sell, "0.5", quantity);
    check(&state, &sell("t1", "11"), Some((DenialReason::TradingReducing, 10_000_000, 11_000_000)));
    let first = approve(&mut state, &sell("t1", "6"));
    check(&state, &sell("t2", "5"), Some((DenialReason::TradingReducing, 4_000_000, 5_000_000)));
    let second = approve(&mut state, &sell("t2", "4"));
    check(&state, &sell("t3", "1"), Some((DenialReason::TradingReducing, 0, 1_000_000)));
    check(&state, &proposed("P", Side::Buy, "0.5", "1"), Some((DenialReason::TradingReducing, 0, 1_000_000)));
    // What has filled counts before the ledger has posted it.
    fill(&mut state, &second, 1, "0.5", "4", TradeStatus::Filled);
    check(&state, &sell("t3", "1"), Some((DenialReason::TradingReducing, 0, 1_000_000)));
    state.apply(Record::Closed { order: first.terms.id, trade: first.trade }).expect("fits");
    check(&state, &sell("t3", "6"), None);
    check(&state, &sell("t3", "7"), Some((DenialReason::TradingReducing, 6_000_000, 7_000_000)));
}

#[test]
fn a_reduce_only_order_only_reduces() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "-5")])).expect("fits");
    let mut order = proposed("P", Side::Buy, "0.5", "5");
    order.terms.is_reduce_only = true;
    check(&state, &order, None);
    order.terms.quantity = micros("6");
    check(&state, &order, Some((DenialReason::InsufficientPosition, 5_000_000, 6_000_000)));
}

#[test]
fn an_agent_has_so_many_trades_a_day() {
    let mut state = state();
    let trade = |name: &str| Proposed { trades_per_day_max: Some(2), ..named(name, "P", Side::Buy, "0.4", "1") };
    approve(&mut state, &trade("t1"));
    approve(&mut state, &trade("t2"));
    check(&state, &trade("t3"), Some((DenialReason::AgentTradeLimit, 2, 3)));
    let tomorrow = NOW.plus_millis(86_400_000);
    let proposed = Proposed { valid_until: tomorrow, ..trade("t3") };
    state.apply(Record::Quote(Quote { published_at: tomorrow, ..quote("P", "0.49", "0.51") })).expect("fits");
    assert!(decide(&state, &proposed, tomorrow).is_ok());
}

#[test]
fn unknown_and_frozen_accounts_trade_nothing() {
    let mut state = state();
    let mut stranger = proposed("P", Side::Buy, "0.5", "1");
    stranger.account = id("mallory");
    check(&state, &stranger, Some((DenialReason::NoBalance, 0, 0)));
    let Record::Posted(mut frozen) = posted("1000", 2, &[]) else { panic!("posted") };
    frozen.balances[0].is_frozen = true;
    state.apply(Record::Posted(frozen)).expect("fits");
    check(&state, &proposed("P", Side::Buy, "0.5", "1"), Some((DenialReason::AccountFrozen, 0, 0)));
}

#[test]
fn an_account_rests_so_many_orders() {
    let mut state = state();
    state.limits_mut().resting_orders_max = 1;
    approve(&mut state, &named("t1", "P", Side::Buy, "0.4", "1"));
    check(&state, &named("t2", "P", Side::Buy, "0.4", "1"), Some((DenialReason::OpenOrderLimit, 1, 2)));
    let mut at_once = named("t2", "P", Side::Buy, "0.4", "1");
    at_once.terms.time_in_force = TimeInForce::Ioc;
    check(&state, &at_once, None);
}

#[test]
fn an_account_does_not_trade_against_itself() {
    let mut state = state();
    approve(&mut state, &named("t1", "P", Side::Sell, "0.52", "1"));
    check(&state, &named("t2", "P", Side::Buy, "0.51", "1"), None);
    check(&state, &named("t2", "P", Side::Buy, "0.52", "1"), Some((DenialReason::SelfTrade, 520_000, 520_000)));
    let mut state = self::state();
    approve(&mut state, &named("t1", "P", Side::Buy, "0.49", "1"));
    check(&state, &named("t2", "P", Side::Sell, "0.5", "1"), None);
    check(&state, &named("t2", "P", Side::Sell, "0.49", "1"), Some((DenialReason::SelfTrade, 490_000, 490_000)));
}

#[test]
fn spot_sells_what_is_held_and_not_yet_sold() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("S", "2")])).expect("fits");
    let first = approve(&mut state, &named("t1", "S", Side::Sell, "100", "1.5"));
    assert_eq!(held(&state), "0");
    check(&state, &named("t2", "S", Side::Sell, "100", "0.5"), None);
    let beyond = Some((DenialReason::InsufficientPosition, 500_000, 501_000));
    check(&state, &named("t2", "S", Side::Sell, "100", "0.501"), beyond);
    fill(&mut state, &first, 1, "100", "1.5", TradeStatus::Filled);
    check(&state, &named("t2", "S", Side::Sell, "100", "0.501"), beyond);
}

#[test]
fn what_an_order_can_cost_must_be_there() {
    let mut state = state();
    // 0.5 x 2,000 is exactly what there is.
    check(&state, &proposed("P", Side::Buy, "0.5", "2000"), None);
    check(
        &state,
        &proposed("P", Side::Buy, "0.5", "2001"),
        Some((DenialReason::InsufficientFunds, 1_000_000_000, 1_000_500_000)),
    );
    // Selling what is not held buys the opposite outcome: 0.4 each.
    check(&state, &proposed("P", Side::Sell, "0.6", "2500"), None);
    check(
        &state,
        &proposed("P", Side::Sell, "0.6", "2501"),
        Some((DenialReason::InsufficientFunds, 1_000_000_000, 1_000_400_000)),
    );
    // A tenth of the notional as margin, and the reserve for rounding.
    check(&state, &proposed("M", Side::Buy, "10", "999.999"), None);
    check(
        &state,
        &proposed("M", Side::Buy, "10", "1000"),
        Some((DenialReason::InsufficientFunds, 1_000_000_000, 1_000_000_300)),
    );
    // A margined sale may fill above its limit: 11 is held for.
    check(&state, &proposed("M", Side::Sell, "10", "909.09"), None);
    assert!(decide(&state, &proposed("M", Side::Sell, "10", "909.091"), NOW).is_err());

    let order = approve(&mut state, &named("t1", "P", Side::Buy, "0.5", "2000"));
    check(&state, &named("t2", "P", Side::Buy, "0.5", "1"), Some((DenialReason::InsufficientFunds, 0, 500_000)));
    let withdraw = |state: &State, amount: &str| {
        decide_withdrawal(state, &id("alice"), &usd(), micros(amount)).err().map(|denied| denied.limit)
    };
    assert_eq!(withdraw(&state, "0.000001"), Some(0));
    assert_eq!(withdraw(&state, "0"), Some(1), "a withdrawal of nothing");
    // Filled better than the limit: what is saved is free at once, what is spent is not.
    fill(&mut state, &order, 1, "0.4", "2000", TradeStatus::Filled);
    assert_eq!(held(&state), "0");
    assert_eq!(withdraw(&state, "200"), None);
    assert_eq!(withdraw(&state, "200.000001"), Some(200_000_000));
    // The ledger's fact replaces it.
    let Record::Posted(mut fact) = posted("200", 2, &[("P", "2000")]) else { panic!("posted") };
    fact.trade = Some(order.trade.clone());
    fact.executions = vec![ExecutionId::new("t1-o-x1").expect("an id")];
    state.apply(Record::Posted(fact)).expect("fits");
    check_invariants(&state).expect("sound");
    assert_eq!(withdraw(&state, "200"), None);
    assert_eq!(withdraw(&state, "200.000001"), Some(200_000_000));
}

#[test]
fn two_orders_cannot_close_the_same_position() {
    let mut state = state();
    state.apply(posted("3", 2, &[("P", "10")])).expect("fits");
    let first = approve(&mut state, &named("t1", "P", Side::Sell, "0.5", "10"));
    assert_eq!(held(&state), "0", "closing costs nothing");
    // Either could be the one that opens: the dearer one is held for.
    check(
        &state,
        &named("t2", "P", Side::Sell, "0.7", "7"),
        Some((DenialReason::InsufficientFunds, 3_000_000, 3_500_000)),
    );
    let second = approve(&mut state, &named("t2", "P", Side::Sell, "0.7", "6"));
    assert_eq!(held(&state), "3");
    fill(&mut state, &second, 1, "0.7", "6", TradeStatus::Filled);
    assert_eq!(held(&state), "3", "now the first one opens 6");
    fill(&mut state, &first, 1, "0.5", "10", TradeStatus::Filled);
    assert_eq!(held(&state), "0");
    let balance = state.account(&id("alice")).expect("known").balance(&usd());
    // It opened 6 for 3 and closed 4 for 2 in one fill; the 4.2 of the other count once posted.
    assert_eq!(balance.available(), Ok(Some(micros("2"))));
}

#[test]
fn a_repeat_of_an_execution_changes_nothing() {
    let mut state = state();
    let order = approve(&mut state, &named("t1", "P", Side::Buy, "0.5", "10"));
    fill(&mut state, &order, 1, "0.5", "4", TradeStatus::Working);
    let once = state.clone();
    fill(&mut state, &order, 1, "0.5", "4", TradeStatus::Working);
    assert_eq!(state, once);
    assert_eq!(held(&state), "3");
}

#[test]
fn a_withdrawal_holds_until_it_is_posted() {
    let mut state = state();
    let trade: TradeId = id("w1");
    let record =
        Record::Withdrawal { trade: trade.clone(), account: id("alice"), currency: usd(), held: Some(micros("600")) };
    state.apply(record.clone()).expect("fits");
    state.apply(record).expect("fits");
    assert_eq!(held(&state), "600");
    assert_eq!(state.unposted(), vec![trade.clone()]);
    let Record::Posted(mut fact) = posted("400", 2, &[]) else { panic!("posted") };
    fact.trade = Some(trade);
    state.apply(Record::Posted(fact)).expect("fits");
    assert_eq!(held(&state), "0");
    check_invariants(&state).expect("sound");
}

#[test]
fn no_money_leaves_while_the_platform_or_the_account_is_halted() {
    let withdraw = |state: &State| decide_withdrawal(state, &id("alice"), &usd(), micros("1"));
    for scope in [Scope::Global, Scope::Account(id("alice"))] {
        let mut state = state();
        tightened(&mut state, scope.clone(), TradingState::Reducing);
        assert_eq!(withdraw(&state), Ok(()), "{scope}");
        tightened(&mut state, scope.clone(), TradingState::Halted);
        assert_eq!(withdraw(&state).map_err(|denied| denied.reason), Err(DenialReason::TradingHalted), "{scope}");
    }
    let mut state = state();
    tightened(&mut state, Scope::Account(id("bob")), TradingState::Halted);
    assert_eq!(withdraw(&state), Ok(()));
}

#[test]
fn accounts_are_read_in_order() {
    let mut state = state();
    for name in ["carol", "bob", "alice", "bob"] {
        let Record::Posted(mut fact) = posted("1", 2, &[]) else { panic!("posted") };
        fact.account = id(name);
        state.apply(Record::Posted(fact)).expect("fits");
    }
    let after = |after: &str| state.accounts_after(after).map(|(id, _)| id.to_string()).collect::<Vec<_>>();
    assert_eq!(after(""), ["alice", "bob", "carol"]);
    assert_eq!(after("alice"), ["bob", "carol"]);
    assert_eq!(after("carol"), Vec::<String>::new());
}

#[test]
fn finished_trades_are_forgotten_first() {
    let mut state = state();
    state.apply(Record::TermBegan { known_trades_max: 2 }).expect("fits");
    approve(&mut state, &named("t1", "P", Side::Buy, "0.4", "1"));
    for trade in ["t2", "t3", "t4"] {
        state.apply(Record::Refused { trade: id(trade) }).expect("fits");
    }
    assert!(state.known(&id("t1")).is_some(), "in flight");
    assert!(state.known(&id("t2")).is_none());
    assert_eq!(state.known(&id("t4")), Some(&KnownTrade::Finished));
}

#[test]
fn an_open_loss_cannot_be_withdrawn_or_traded_with() {
    let mut state = state();
    // Short 10 at an average of 0.5, now offered at 10.5: 100 are lost already.
    state.apply(posted("1000", 2, &[("M", "-10")])).expect("fits");
    let withdraw = |state: &State, amount| decide_withdrawal(state, &id("alice"), &usd(), micros(amount));
    assert_eq!(withdraw(&state, "900"), Ok(()));
    let denied = withdraw(&state, "900.01").expect_err("lost already");
    assert_eq!((denied.reason, denied.limit), (DenialReason::InsufficientFunds, 900_000_000));
    let denied = decide(&state, &proposed("P", Side::Buy, "0.5", "1801"), NOW).expect_err("lost already");
    assert_eq!((denied.reason, denied.limit), (DenialReason::InsufficientFunds, 900_000_000));
    // Closing needs nothing, and an open gain is not cash.
    assert!(decide(&state, &proposed("M", Side::Buy, "10.5", "10"), NOW).is_ok());
    state.apply(posted("1000", 3, &[("M", "10")])).expect("fits");
    assert_eq!(withdraw(&state, "1000"), Ok(()));
    assert!(withdraw(&state, "1000.01").is_err());
}
