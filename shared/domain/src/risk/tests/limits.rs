//! Every limit by scope: at it, one below, one above, so that no comparison can
//! be changed unnoticed.

use super::*;
use crate::{instrument::Outcome, market::Timeframe};

/// Instruments of a match next to the usual ones, and limits as asked for.
pub(super) fn limited(change: impl FnOnce(&mut Limits)) -> State {
    let mut limits = Limits { order_value_max: micros("100000"), ..Limits::default() };
    change(&mut limits);
    let mut state = State::new(limits);
    let active = ScopeState {
        state: TradingState::Active,
        ..tighten(&state, Scope::Global, TradingState::Active, "test", "test", NOW)
    };
    state.apply(Record::ScopeChanged(active)).expect("fits");
    for name in ["P", "H", "D"] {
        let prediction = (name != "P").then(|| (id("match"), Outcome::Home));
        let own = instrument(name, SettlementStyle::Prediction, ("0.01", "1"), "0.99");
        state.apply(Record::Instrument(Box::new(Instrument { prediction, ..own }))).expect("fits");
        state.apply(Record::Quote(quote(name, "0.49", "0.51"))).expect("fits");
    }
    let margined = instrument("M", SettlementStyle::Margined, ("0.5", "0.001"), "100000");
    state.apply(Record::Instrument(Box::new(margined))).expect("fits");
    state.apply(Record::Quote(quote("M", "9.5", "10.5"))).expect("fits");
    state.apply(posted("1000", 1, &[])).expect("fits");
    state
}

fn rules(values: &[(&str, i64)]) -> State {
    limited(|limits| limits.rules.set_all(values.iter().copied()).expect("sensible"))
}

/// Alice is the house; of its limits only those given are on.
fn house(values: &[(&str, i64)]) -> State {
    limited(|limits| {
        limits.house_accounts.insert(id("alice"));
        let off = ["open_risk_max_ppm", "pool_exposure_max_ppm", "timeframe_exposure_max_ppm"];
        limits.rules.set_all(off.into_iter().map(|name| (name, 0))).expect("sensible");
        limits.rules.set_all(values.iter().copied()).expect("sensible");
        without_loss_limits(limits);
    })
}

fn without_loss_limits(limits: &mut Limits) {
    let off = ["day_loss_reduce_ppm", "month_loss_halt_ppm", "drawdown_halt_ppm", "agent_loss_halt_ppm"];
    limits.rules.set_all(off.into_iter().map(|name| (name, 0))).expect("sensible");
}

fn buy(trade: &str, instrument: &str, quantity: &str) -> Proposed {
    named(trade, instrument, Side::Buy, "0.5", quantity)
}

/// `quantity` contracts at 0.5 pass, one more does not.
fn check_most(state: &State, instrument: &str, quantity: i64, reason: DenialReason, limit: &str) {
    check(state, &buy("most", instrument, &quantity.to_string()), None);
    let limit: Money = micros(limit);
    let more = buy("more", instrument, &(quantity + 1).to_string());
    let denied = decide(state, &more, NOW).expect_err("above the limit");
    assert_eq!((denied.reason, denied.limit), (reason, limit.micros()));
    assert!(denied.observed > denied.limit, "{denied}");
}

#[test]
fn a_trade_is_decided_once() {
    let mut state = limited(|_| {});
    let proposed = buy("t1", "P", "1");
    approve(&mut state, &proposed);
    check(&state, &proposed, Some((DenialReason::DuplicateTrade, 0, 0)));
    state.apply(Record::Refused { trade: id("t2") }).expect("fits");
    check(&state, &buy("t2", "P", "1"), Some((DenialReason::DuplicateTrade, 0, 0)));
}

#[test]
fn an_agent_that_says_how_sure_it_is_must_be_sure_enough() {
    let state = rules(&[("agent_confidence_min_ppm", 600_000)]);
    let sure = |confidence_ppm| Proposed { confidence_ppm, ..buy("t", "P", "1") };
    check(&state, &sure(None), None);
    check(&state, &sure(Some(600_000)), None);
    check(&state, &sure(Some(599_999)), Some((DenialReason::ConfidenceTooLow, 600_000, 599_999)));
    let user = Proposed { agent: None, ..sure(Some(1)) };
    check(&state, &user, None);
}

#[test]
fn no_number_of_trades_and_no_doubt_keeps_an_agent_from_closing() {
    let mut state = rules(&[("agent_confidence_min_ppm", 600_000)]);
    let of = |name: &str, side: Side, quantity: &str| Proposed {
        trades_per_day_max: Some(1),
        confidence_ppm: Some(600_000),
        ..named(name, "P", side, "0.5", quantity)
    };
    let order = approve(&mut state, &of("t1", Side::Buy, "10"));
    fill(&mut state, &order, 1, "0.5", "10", TradeStatus::Filled);
    check(&state, &of("t2", Side::Buy, "1"), Some((DenialReason::AgentTradeLimit, 1, 2)));
    check(&state, &of("t2", Side::Sell, "10"), None);
    check(&state, &Proposed { confidence_ppm: Some(1), ..of("t2", Side::Sell, "10") }, None);
    // What goes beyond it opens the other side.
    check(&state, &of("t2", Side::Sell, "11"), Some((DenialReason::AgentTradeLimit, 1, 2)));
}

#[test]
fn an_order_that_must_be_the_first_on_its_match_is_denied_beside_anything_of_it() {
    let first = |name: &str, instrument: &str| Proposed {
        is_first_on_match: true,
        ..named(name, instrument, Side::Buy, "0.5", "1")
    };
    let taken = |contracts| Some((DenialReason::MatchTaken, 0, contracts));
    let mut state = limited(|_| {});
    check(&state, &first("t", "H"), None);
    // Open orders on any contract of the match count, what is held too, and both of one contract once.
    approve(&mut state, &named("t1", "D", Side::Buy, "0.4", "1"));
    check(&state, &first("t", "H"), taken(1));
    check(&state, &first("t", "D"), taken(1));
    check(&state, &named("t", "H", Side::Buy, "0.5", "1"), None);
    state.apply(posted("1000", 2, &[("H", "10"), ("D", "5")])).expect("fits");
    check(&state, &first("t", "H"), taken(2));
    // Another match, another account, and what is no match at all.
    check(&state, &first("t", "P"), None);
}

#[test]
fn a_tier_has_a_cap_of_its_own() {
    let state = rules(&[("tier_order_value_max_micros.free", 50_000_000)]);
    let of = |tier, quantity: &str| Proposed { tier, ..buy("t", "P", quantity) };
    check(&state, &of(Tier::Free, "100"), None);
    check(&state, &of(Tier::Free, "101"), Some((DenialReason::TierOrderValueLimit, 50_000_000, 50_500_000)));
    check(&state, &of(Tier::Standard, "101"), None);
}

#[test]
fn a_wallet_keeps_a_share_of_what_it_began_with() {
    let mut state = rules(&[("wallet_floor_ppm", 200_000)]);
    // 1,000 to begin with: 200 stay, 800 buy 1,600 contracts.
    check(&state, &buy("t", "P", "1600"), None);
    check(&state, &buy("t", "P", "1601"), Some((DenialReason::WalletFloor, 200_000_000, 199_500_000)));
    let order = approve(&mut state, &buy("t1", "P", "1000"));
    assert_eq!(order.wallet_start, Some((micros("1000"), 1)));
    check(&state, &buy("t", "P", "600"), None);
    check(&state, &buy("t", "P", "601"), Some((DenialReason::WalletFloor, 200_000_000, 199_500_000)));
    // 1,000 are paid in: the floor rises by 200, what may be spent by 800.
    state.apply(paid("2000", 2, "1000")).expect("fits");
    check(&state, &buy("t", "P", "2200"), None);
    check(&state, &buy("t", "P", "2201"), Some((DenialReason::WalletFloor, 400_000_000, 399_500_000)));
    // The same payment told again changes nothing.
    state.apply(paid("2000", 2, "1000")).expect("fits");
    check(&state, &buy("t", "P", "2200"), None);
    // Selling what is held needs nothing and passes.
    fill(&mut state, &order, 1, "0.5", "1000", TradeStatus::Filled);
    check(&state, &named("t", "P", Side::Sell, "0.5", "1000"), None);
}

fn paid(cash: &str, version: i64, flow: &str) -> Record {
    let Record::Posted(mut record) = posted(cash, version, &[]) else { unreachable!("made above") };
    record.balances[0].flow = micros(flow);
    Record::Posted(record)
}

#[test]
fn one_trade_and_one_match_are_so_much_of_the_account() {
    let state = rules(&[("trade_max_ppm", 50_000)]);
    check_most(&state, "P", 100, DenialReason::TradeShareLimit, "50");
    let state = rules(&[("trade_max_ppm", 50_000), ("trade_max_ppm.alice", 60_000)]);
    check_most(&state, "P", 120, DenialReason::TradeShareLimit, "60");

    let mut state = rules(&[("match_max_ppm", 200_000)]);
    check_most(&state, "H", 400, DenialReason::MatchShareLimit, "200");
    let order = approve(&mut state, &buy("t1", "H", "300"));
    check_most(&state, "D", 100, DenialReason::MatchShareLimit, "200");
    // What has filled counts as what it cost, before and after the ledger has posted it.
    fill(&mut state, &order, 1, "0.5", "300", TradeStatus::Filled);
    check_most(&state, "D", 100, DenialReason::MatchShareLimit, "200");
    check(&state, &buy("t", "P", "900"), None);
}

#[test]
fn the_house_risks_so_much_of_its_capital() {
    let mut state = house(&[("open_risk_max_ppm", 20_000)]);
    check_most(&state, "P", 40, DenialReason::OpenRiskLimit, "20");
    approve(&mut state, &buy("t1", "P", "30"));
    check_most(&state, "H", 10, DenialReason::OpenRiskLimit, "20");
    // Everybody else trades his own money.
    let mut other = limited(without_loss_limits);
    other.apply(posted("1000", 2, &[])).expect("fits");
    check(&other, &buy("t", "P", "1000"), None);
}

#[test]
fn a_margined_position_risks_a_share_of_its_notional() {
    // 10 % margin and 2 % of the notional at risk: 20 of capital at risk is a notional of 1,000.
    let state = house(&[("open_risk_max_ppm", 20_000), ("margined_risk_ppm", 20_000)]);
    let long = |quantity: &str| named("t", "M", Side::Buy, "10", quantity);
    check(&state, &long("99.9"), None);
    let denied = decide(&state, &long("100.1"), NOW).expect_err("above the limit");
    assert_eq!((denied.reason, denied.limit), (DenialReason::OpenRiskLimit, 20_000_000));
}

#[test]
fn the_house_puts_so_much_into_one_place() {
    let with = |name: &str, reason| {
        let state = house(&[(name, 100_000)]);
        let from = |quantity: &str| Proposed { timeframe: Some(Timeframe::Minute5), ..buy("t", "H", quantity) };
        check(&state, &from("200"), None);
        check(&state, &from("201"), Some((reason, 100_000_000, 100_500_000)));
    };
    with("pool_exposure_max_ppm", DenialReason::PoolExposureLimit);
    with("timeframe_exposure_max_ppm", DenialReason::TimeframeExposureLimit);
    with("agent_exposure_max_ppm", DenialReason::AgentExposureLimit);
    with("instrument_exposure_max_ppm", DenialReason::InstrumentExposureLimit);
    with("house_match_exposure_max_ppm", DenialReason::HouseMatchExposureLimit);
}

/// Whatever is told first, the ledger's word or the market's, and whether or not an order of it is known.
#[test]
fn what_the_house_holds_counts_though_nobody_here_has_ordered_it() {
    let limit = [("instrument_exposure_max_ppm", 100_000)];
    let new = || Record::Instrument(Box::new(instrument("N", SettlementStyle::Prediction, ("0.01", "1"), "0.99")));
    for is_known_first in [true, false] {
        let mut state = house(&limit);
        let held = posted("950", 2, &[("N", "100")]);
        let told = if is_known_first { [new(), held] } else { [held, new()] };
        told.into_iter().for_each(|record| state.apply(record).expect("fits"));
        state.apply(Record::Quote(quote("N", "0.49", "0.51"))).expect("fits");
        // 950 and what cost 50: 100 may be in one instrument, 50 are.
        check(&state, &buy("t", "N", "100"), None);
        check(&state, &buy("t", "N", "101"), Some((DenialReason::InstrumentExposureLimit, 100_000_000, 100_500_000)));
    }
}

#[test]
fn agents_that_move_together_are_one() {
    let mut state = house(&[("company_exposure_max_ppm", 100_000)]);
    let by = |agent: &str, trade: &str, instrument: &str, quantity: &str| Proposed {
        agent: Some(id(agent)),
        ..buy(trade, instrument, quantity)
    };
    approve(&mut state, &by("a1", "t1", "H", "100"));
    approve(&mut state, &by("a2", "t2", "D", "60"));
    // As long as nobody is known to move together there is no such limit.
    check(&state, &by("a1", "t", "H", "500"), None);
    let companies = vec![[id("a1"), id("a2")].into(), [id("b1"), id("b2")].into()];
    let found = BreakerRecord::CompaniesFound(companies);
    state.apply(Record::Breaker(Box::new(found))).expect("fits");
    // 80 of 100 are taken by the two.
    for agent in ["a1", "a2"] {
        check(&state, &by(agent, "t", "P", "40"), None);
        check(&state, &by(agent, "t", "H", "40"), None);
        let beyond = Some((DenialReason::CompanyExposureLimit, 100_000_000, 100_500_000));
        check(&state, &by(agent, "t", "P", "41"), beyond);
    }
    check(&state, &by("b1", "t", "P", "200"), None);
    check(&state, &by("alone", "t", "P", "500"), None);
    // Whoever is new in a holding takes over what is there: 50 of H, and 100 of his own.
    let beyond = Some((DenialReason::CompanyExposureLimit, 100_000_000, 100_500_000));
    check(&state, &by("b1", "t", "H", "101"), beyond);
    // A restart knows it, and what is found next takes its place.
    let restored = State::restore(state.limits().clone(), state.stored()).expect("sound");
    assert_eq!(restored.breakers().companies(), state.breakers().companies());
    state.apply(Record::Breaker(Box::new(BreakerRecord::CompaniesFound(Vec::new())))).expect("fits");
    check(&state, &by("a1", "t", "P", "500"), None);
}

#[test]
fn places_add_up_over_instruments_and_accounts() {
    let mut state = limited(|limits| {
        limits.house_accounts.extend([id("alice"), id("bob")]);
        let values = [("open_risk_max_ppm", 0), ("pool_exposure_max_ppm", 100_000), ("timeframe_exposure_max_ppm", 0)];
        limits.rules.set_all(values.into_iter()).expect("sensible");
        without_loss_limits(limits);
    });
    let Record::Posted(mut bobs) = posted("1000", 1, &[]) else { unreachable!("made above") };
    bobs.account = id("bob");
    state.apply(Record::Posted(bobs)).expect("fits");
    // 2,000 of capital, 200 in the pool.
    approve(&mut state, &buy("t1", "P", "200"));
    let bob = |trade: &str, quantity: &str| Proposed { account: id("bob"), ..buy(trade, "H", quantity) };
    let bob_in = |instrument: &str, trade: &str, quantity: &str| Proposed {
        account: id("bob"),
        ..buy(trade, instrument, quantity)
    };
    let order = approve(&mut state, &bob("t2", "100"));
    check(&state, &bob("t", "100"), None);
    check(&state, &bob("t", "101"), Some((DenialReason::PoolExposureLimit, 200_000_000, 200_500_000)));
    // Another pool has room of its own.
    check(&state, &Proposed { pool: Some(id("swing")), ..bob_in("D", "t", "400") }, None);
    // What ends without a fill gives its place back.
    state.apply(Record::Closed { order: order.terms.id, trade: order.trade }).expect("fits");
    check(&state, &bob("t", "200"), None);
    check(&state, &bob("t", "201"), Some((DenialReason::PoolExposureLimit, 200_000_000, 200_500_000)));
}

#[test]
fn what_is_over_is_forgotten_in_every_place() {
    let mut state = house(&[]);
    let before = state.house().clone();
    let order = approve(&mut state, &Proposed { timeframe: Some(Timeframe::Minute5), ..buy("t1", "P", "1") });
    assert_ne!(*state.house(), before);
    state.apply(Record::Closed { order: order.terms.id, trade: order.trade }).expect("fits");
    assert_eq!(*state.house(), before);
}

#[test]
fn what_is_posted_changes_an_exposure_once() {
    let mut state = house(&[]);
    let order = approve(&mut state, &buy("t1", "P", "10"));
    fill(&mut state, &order, 1, "0.4", "10", TradeStatus::Filled);
    let Record::Posted(mut fact) = posted("996", 2, &[("P", "10")]) else { unreachable!("made above") };
    (fact.trade, fact.executions) = (Some(order.trade), vec![id("t1-o-x1")]);
    let exposure = |state: &State| state.house().sheet(&usd()).map(|sheet| sheet.instrument(&id("P")));
    assert_eq!(exposure(&state), Some(micros("4")));
    // The ledger has another average: 0.5.
    state.apply(Record::Posted(fact)).expect("fits");
    assert_eq!(exposure(&state), Some(micros("5")));
}

#[test]
fn a_holding_counts_for_every_pool_that_has_ordered_in_it() {
    let mut state = house(&[("pool_exposure_max_ppm", 100_000)]);
    approve(&mut state, &buy("t1", "P", "150"));
    // 75 are there already: the second pool takes them over and has 25 left.
    let swing = |trade: &str, quantity: &str| Proposed { pool: Some(id("swing")), ..buy(trade, "P", quantity) };
    check(&state, &swing("t", "50"), None);
    check(&state, &swing("t", "51"), Some((DenialReason::PoolExposureLimit, 100_000_000, 100_500_000)));
}

#[test]
fn a_holding_counts_for_every_agent_and_timeframe_that_has_ordered_in_it() {
    let cases = [
        ("agent_exposure_max_ppm", DenialReason::AgentExposureLimit),
        ("timeframe_exposure_max_ppm", DenialReason::TimeframeExposureLimit),
    ];
    for (name, reason) in cases {
        let mut state = house(&[(name, 100_000)]);
        let from = |agent: &str, timeframe, trade: &str, quantity: &str| Proposed {
            agent: Some(id(agent)),
            timeframe: Some(timeframe),
            ..buy(trade, "P", quantity)
        };
        approve(&mut state, &from("a1", Timeframe::Minute5, "t1", "150"));
        for (agent, timeframe) in [("a1", Timeframe::Minute5), ("a2", Timeframe::Hour1)] {
            check(&state, &from(agent, timeframe, "t", "50"), None);
            let beyond = from(agent, timeframe, "t", "51");
            check(&state, &beyond, Some((reason, 100_000_000, 100_500_000)));
        }
    }
}

#[test]
fn a_cluster_counts_as_one() {
    let mut state = limited(|limits| {
        limits.house_accounts.insert(id("alice"));
        let off = [("open_risk_max_ppm", 0), ("pool_exposure_max_ppm", 0), ("cluster_exposure_max_ppm.teams", 100_000)];
        limits.rules.set_all(off.into_iter()).expect("sensible");
        limits.clusters.push(Cluster { name: "teams".to_owned(), instruments: [id("P"), id("H")].into() });
        without_loss_limits(limits);
    });
    approve(&mut state, &buy("t1", "P", "100"));
    check_most(&state, "H", 100, DenialReason::ClusterExposureLimit, "100");
    check(&state, &buy("t", "D", "900"), None);
}

#[test]
fn without_capital_the_house_risks_nothing() {
    let mut state = house(&[("open_risk_max_ppm", 20_000)]);
    state.apply(posted("0", 2, &[])).expect("fits");
    let denied = decide(&state, &buy("t", "P", "1"), NOW).expect_err("no money at all");
    assert_eq!(denied.reason, DenialReason::InsufficientFunds);
    let mut sheet = house(&[("open_risk_max_ppm", 20_000)]);
    assert_eq!(sheet.house().sheet(&usd()).map(Sheet::capital), Some(micros("1000")));
    sheet.apply(posted("2500", 2, &[])).expect("fits");
    assert_eq!(sheet.house().sheet(&usd()).map(Sheet::capital), Some(micros("2500")));
}

#[test]
fn orders_come_at_a_pace() {
    let cases = [
        ("account_orders_per_second_max", DenialReason::AccountOrderRate),
        ("agent_orders_per_second_max", DenialReason::AgentOrderRate),
        ("house_orders_per_second_max", DenialReason::HouseOrderRate),
    ];
    for (name, reason) in cases {
        let mut state = house(&[(name, 2)]);
        for trade in ["t1", "t2"] {
            approve(&mut state, &buy(trade, "P", "1"));
        }
        check(&state, &buy("t3", "P", "1"), Some((reason, 2, 3)));
        let decide_at = |micros: i64| {
            let now = Timestamp::from_micros(NOW.micros() + micros);
            state_with_fresh_quotes(&state, now, &buy("t3", "P", "1"))
        };
        assert_eq!(decide_at(999_999), Some(reason), "{name}");
        assert_eq!(decide_at(1_000_000), None, "{name}");
    }
}

fn state_with_fresh_quotes(state: &State, now: Timestamp, proposed: &Proposed) -> Option<DenialReason> {
    let mut state = state.clone();
    state.apply(Record::Quote(Quote { published_at: now, ..quote("P", "0.49", "0.51") })).expect("fits");
    decide(&state, &Proposed { valid_until: now, ..proposed.clone() }, now).err().map(|denied| denied.reason)
}

#[test]
fn a_pace_that_is_not_limited_is_not_counted() {
    let mut state = house(&[]);
    approve(&mut state, &buy("t1", "P", "1"));
    let alice = state.account(&id("alice")).expect("known");
    assert_eq!((alice.increasing_in_second(NOW), state.house_orders_in_second(NOW)), (0, 0));
}

#[test]
fn a_burst_of_entries_never_blocks_an_exit() {
    let values = [("account_orders_per_second_max", 1), ("reducing_orders_per_second_max", 2)];
    let mut state = rules(&values);
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    approve(&mut state, &buy("t1", "H", "1"));
    check(&state, &buy("t", "H", "1"), Some((DenialReason::AccountOrderRate, 1, 2)));
    let sell = |trade: &str| named(trade, "P", Side::Sell, "0.5", "1");
    approve(&mut state, &sell("s1"));
    approve(&mut state, &sell("s2"));
    check(&state, &sell("s3"), Some((DenialReason::ReducingOrderRate, 2, 3)));
}

#[test]
fn cancels_have_a_pace_of_their_own() {
    let values = [("account_orders_per_second_max", 4), ("cancels_per_second_max", 2)];
    let mut state = rules(&values);
    let trades = ["t1", "t2", "t3", "t4"];
    for trade in trades {
        approve(&mut state, &named(trade, "P", Side::Buy, "0.4", "1"));
    }
    // Nothing is left for orders; for cancels everything is.
    check(&state, &buy("t5", "P", "1"), Some((DenialReason::AccountOrderRate, 4, 5)));
    let cancel = |state: &State, trade: &str, account: &str, at: Timestamp| {
        let order = decide_cancel(state, &id(trade), &id(account), at)?;
        Ok(order.map(|open| open.order.trade.to_string()))
    };
    for trade in ["t1", "t2"] {
        assert_eq!(cancel(&state, trade, "alice", NOW), Ok(Some(trade.to_owned())));
        state.apply(Record::CancelSent { account: id("alice"), at: NOW }).expect("fits");
    }
    let denied = Denied { reason: DenialReason::CancelRate, limit: 2, observed: 3 };
    let at = |micros: i64| Timestamp::from_micros(NOW.micros() + micros);
    assert_eq!(cancel(&state, "t3", "alice", NOW), Err(denied));
    assert_eq!(cancel(&state, "t3", "alice", at(999_999)), Err(denied));
    assert_eq!(cancel(&state, "t3", "alice", at(1_000_000)), Ok(Some("t3".to_owned())));
    // A clock that steps back a little frees nothing early.
    assert_eq!(cancel(&state, "t3", "alice", at(-999_999)), Err(denied));
    // What cancels nothing is no cancel, and nobody uses up what somebody else has.
    assert_eq!(cancel(&state, "t3", "mallory", NOW), Ok(None));
    assert_eq!(cancel(&state, "never", "alice", NOW), Ok(None));
    // Exits have theirs, and a limit that is off counts nothing.
    let mut free = rules(&[]);
    approve(&mut free, &named("t1", "P", Side::Buy, "0.4", "1"));
    for _ in 0..3 {
        free.apply(Record::CancelSent { account: id("alice"), at: NOW }).expect("fits");
    }
    assert_eq!(free.account(&id("alice")).map(|own| own.cancels_in_second(NOW)), Some(0));
    assert_eq!(cancel(&free, "t1", "alice", NOW), Ok(Some("t1".to_owned())));
}

#[test]
fn the_same_order_within_a_moment_is_noticed() {
    let again = |mode| {
        let mut state = limited(|limits| limits.repeated_orders = mode);
        approve(&mut state, &buy("t1", "P", "5"));
        state
    };
    let at = |millis: i64| NOW.plus_millis(millis);
    let state = again(RepeatedOrders::Deny);
    check(&state, &buy("t2", "P", "5"), Some((DenialReason::RepeatedOrder, 1_000, 0)));
    check(&state, &buy("t2", "P", "6"), None);
    check(&state, &named("t2", "P", Side::Buy, "0.51", "5"), None);
    check(&state, &buy("t2", "H", "5"), None);
    let sure = |now| state_with_fresh_quotes(&state, now, &buy("t2", "P", "5"));
    assert_eq!(sure(at(999)), Some(DenialReason::RepeatedOrder));
    assert_eq!(sure(at(1_000)), None);

    // After a clock has stepped back far, what it said before is no moment ago.
    assert_eq!((sure(at(-999)), sure(at(-1_000))), (Some(DenialReason::RepeatedOrder), None));

    let state = again(RepeatedOrders::Warn);
    let order = decide(&state, &buy("t2", "P", "5"), NOW).expect("passes");
    assert_eq!(repeated_order(&state, &order), Some(0));
    let state = again(RepeatedOrders::Off);
    let order = decide(&state, &buy("t2", "P", "5"), NOW).expect("passes");
    assert_eq!(repeated_order(&state, &order), None);
}

#[test]
fn limits_open_slowly_after_a_resume() {
    let mut state = rules(&[("trade_max_ppm", 100_000)]);
    tightened(&mut state, Scope::Pool(id("value")), TradingState::Reducing);
    let milder = ScopeState {
        state: TradingState::Active,
        ..tighten(&state, Scope::Pool(id("value")), TradingState::Reducing, "a+b", "over", NOW)
    };
    state.apply(Record::ScopeChanged(milder)).expect("fits");
    // A tenth of 100 at first, all of it after five minutes.
    check_most(&state, "P", 20, DenialReason::TradeShareLimit, "10");
    let after = |secs: i64, quantity: &str| {
        state_with_fresh_quotes(&state, NOW.plus_millis(secs * 1_000), &buy("t", "P", quantity))
    };
    assert_eq!((after(150, "110"), after(150, "111")), (None, Some(DenialReason::TradeShareLimit)));
    assert_eq!((after(300, "200"), after(300, "201")), (None, Some(DenialReason::TradeShareLimit)));
    check(&state, &Proposed { pool: Some(id("swing")), ..buy("t", "P", "200") }, None);
    // The cap on an order's value opens slowly too, but never blocks an exit.
    state.apply(posted("1000000", 2, &[("P", "10000")])).expect("fits");
    let sell = |quantity: &str| named("t", "P", Side::Sell, "0.5", quantity);
    state.limits_mut().order_value_max = micros("1000");
    check(&state, &sell("2000"), None);
    check(&state, &buy("t", "P", "201"), Some((DenialReason::OrderValueLimit, 100_000_000, 100_500_000)));
}

#[test]
fn a_limit_changes_while_the_gate_runs() {
    let mut state = rules(&[]);
    check(&state, &buy("t", "P", "200"), None);
    let change = LimitChange {
        name: LimitName::TradeMaxPpm,
        id: String::new(),
        value: 50_000,
        changed_by: "olga".to_owned(),
        reason: "calm down".to_owned(),
        changed_at: NOW,
    };
    state.apply(Record::LimitChanged(Box::new(change))).expect("fits");
    check_most(&state, "P", 100, DenialReason::TradeShareLimit, "50");
}

#[test]
fn prices_are_never_zero_even_for_market_orders() {
    let mut state = state();
    state.apply(Record::Quote(quote("P", "0.01", "0.02"))).expect("fits");
    let order = decide(&state, &proposed("P", Side::Sell, "market", "1"), NOW).expect("approved");
    assert_eq!(order.limit, Price::from_micros(10_000));
    assert_eq!(order.terms.quantity, Quantity::from_micros(1_000_000));
}

#[test]
fn a_halt_keeps_the_beginning_of_a_long_reason() {
    let state = State::new(Limits::default());
    let reason = format!("bad\r\nnews {}", "x".repeat(100_000));
    let change = tighten(&state, Scope::Global, TradingState::Halted, "olga", &reason, Timestamp::default());
    assert_eq!(change.reason.chars().count(), 200);
    assert!(change.reason.starts_with("badnews xxx"), "{}", change.reason);
}
