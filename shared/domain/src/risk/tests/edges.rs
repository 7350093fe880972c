//! Comparisons that no other test tells from their neighbours: the edge itself, and the other one of two.

use super::*;
use crate::risk::exposure::Exposure;

fn reduce(command: &str, scope: Scope) -> Reduce {
    Reduce {
        id: id(command),
        scope,
        instrument: None,
        is_house_only: false,
        factor_ppm: 0,
        driver: Driver::Workers,
        ordered_by: "olga".to_owned(),
        reason: "test".to_owned(),
    }
}

fn order(state: &mut State, wanted: Reduce) {
    let reduction = order_reduction(state, wanted, NOW).expect("accepted").expect("new");
    state.apply(Record::ReductionOrdered(Box::new(reduction))).expect("fits");
}

fn end(state: &mut State, command: &str) {
    state.apply(Record::ReductionEnded { id: id(command), at: NOW }).expect("fits");
}

fn loosened(state: &mut State, scope: &Scope, at: Timestamp) {
    let strict = tighten(state, scope.clone(), TradingState::Reducing, "a+b", "over", at);
    let change = ScopeState { state: TradingState::Active, ..strict };
    state.apply(Record::ScopeChanged(change)).expect("fits");
}

#[test]
fn a_reduction_of_one_instrument_is_of_no_other() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10"), ("S", "1")])).expect("fits");
    order(&mut state, Reduce { instrument: Some(id("S")), ..reduce("c1", Scope::Global) });
    let reduction = state.reduction(&id("c1")).expect("kept");
    let instruments: Vec<String> = reduction.targets.iter().map(|own| own.instrument.to_string()).collect();
    assert_eq!(instruments, ["S"]);
}

#[test]
fn so_many_positions_are_reduced_at_once_and_so_many_ended_reductions_are_kept() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10"), ("S", "1")])).expect("fits");
    state.limits_mut().commands.reduction_targets_max = 2;
    state.limits_mut().commands.reductions_max = 2;
    let is_kept = |state: &State, command: &str| state.reduction(&id(command)).is_some();
    for command in ["c1", "c2"] {
        order(&mut state, reduce(command, Scope::Global));
        end(&mut state, command);
    }
    order(&mut state, reduce("c3", Scope::Global));
    assert!(is_kept(&state, "c1") && is_kept(&state, "c2"), "two that have ended");
    end(&mut state, "c3");
    order(&mut state, reduce("c4", Scope::Global));
    assert_eq!(["c1", "c2", "c3", "c4"].map(|command| is_kept(&state, command)), [false, true, true, true]);
}

#[test]
fn a_resume_waits_until_it_expires_and_shows_what_is_of_its_scope_only() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10"), ("S", "1")])).expect("fits");
    let (market, other) = (Scope::Instrument(id("P")), Scope::Instrument(id("S")));
    for (name, instrument, price) in [("t1", "P", "0.4"), ("t2", "S", "100"), ("t3", "S", "99.5")] {
        approve(&mut state, &named(name, instrument, Side::Buy, price, "1"));
    }
    order(&mut state, reduce("c1", other.clone()));
    for (scope, value) in [(&market, 80_001), (&other, 80_002)] {
        let mut watch = Watch::default();
        let reading = Reading { kind: BreakerKind::PriceJump, scope: scope.clone(), value: Some(value) };
        state.limits_mut().rules.set(BreakerKind::PriceJump.limit(), "", 80_000).expect("sensible");
        let events = watch.evaluate(&state, &[reading], NOW);
        let [BreakerEvent::Tripped(latch)] = events.as_slice() else { panic!("{events:?}") };
        state.apply(Record::Breaker(Box::new(BreakerRecord::Tripped(latch.clone())))).expect("fits");
        tightened(&mut state, scope.clone(), TradingState::Halted);
    }
    let evidence = resume_evidence(&state, &market);
    let [_, breaker, standing] = evidence.as_slice() else { panic!("{evidence:?}") };
    assert_eq!(breaker, "breaker PRICE_JUMP tripped at 80001, its limit is 80000");
    assert_eq!(standing, "1 orders that must be canceled still stand");
    let evidence = resume_evidence(&state, &other);
    assert_eq!(evidence[2], "2 orders that must be canceled still stand");
    assert_eq!(evidence[3], "reduction c1 of 1 positions is under way, it ends when instrument:S is ACTIVE");

    state.limits_mut().resume_proposals_max = 1;
    let mut propose = |now| propose_resume(&mut state, market.clone(), None, ("ann", "ok"), "token".to_owned(), now);
    let expires_at = propose(NOW).expect("proposed").expires_at;
    let after = Timestamp::from_micros(expires_at.micros() + 1);
    assert_eq!(propose(expires_at), Err(ResumeRefused::TooManyProposals { limit: 1 }), "it still waits");
    assert_eq!([expires_at, after].map(|now| state.resumes(now).count()), [1, 0]);
}

#[test]
fn a_looser_limit_waits_until_it_expires() {
    let mut state = state();
    state.limits_mut().resume_proposals_max = 1;
    let propose = |state: &mut State, now| {
        let wish = LimitWish { key: "agent_loss_halt_ppm", value: 40_000, principal: "ann", reason: "bold" };
        propose_limit(state, wish, "token".to_owned(), now)
    };
    let Ok(LimitDecision::Proposed(proposal)) = propose(&mut state, NOW) else { panic!("it is looser") };
    let end = proposal.expires_at;
    assert!(matches!(propose(&mut state, end), Err(LimitRefused::TooManyProposals { limit: 1 })));
    assert_eq!(confirm_limit(&mut state, "token", "ann", end), Err(LimitRefused::SamePrincipal));
    let after = Timestamp::from_micros(end.micros() + 1);
    assert_eq!(confirm_limit(&mut state.clone(), "token", "ann", after), Err(LimitRefused::ProposalExpired));
    assert!(confirm_limit(&mut state, "token", "bob", end).is_ok());
}

#[test]
fn what_resumes_later_does_not_end_the_slow_beginning_of_another() {
    let mut state = limits::limited(|limits| {
        limits.rules.set(LimitName::TradeMaxPpm, "", 100_000).expect("sensible");
    });
    let (pool, agent) = (Scope::Pool(id("value")), Scope::Agent(id("other")));
    tightened(&mut state, pool.clone(), TradingState::Reducing);
    tightened(&mut state, agent.clone(), TradingState::Reducing);
    loosened(&mut state, &pool, NOW);
    loosened(&mut state, &agent, NOW.plus_millis(1_000));
    let most = decide(&state, &proposed("P", Side::Buy, "0.5", "21"), NOW).expect_err("a tenth of the share");
    assert_eq!(most.reason, DenialReason::TradeShareLimit);
    // All of a position may go at once.
    state.apply(posted("1000000", 2, &[("P", "4000")])).expect("fits");
    state.limits_mut().order_value_max = micros("2000");
    let sell = |quantity: &str| proposed("P", Side::Sell, "0.5", quantity);
    check(&state, &sell("4000"), None);
    check(&state, &sell("4001"), Some((DenialReason::OrderValueLimit, 200_000_000, 2_000_500_000)));
}

#[test]
fn a_resume_by_one_level_keeps_the_breakers_that_want_no_more_than_is_left() {
    let mut state = State::new(Limits::default());
    let mut watch = Watch::default();
    let readings = [(BreakerKind::Drawdown, 120_000), (BreakerKind::TotalLoss, 60_000)].map(|(kind, value)| Reading {
        kind,
        scope: Scope::Global,
        value: Some(value),
    });
    for event in watch.evaluate(&state, &readings, NOW) {
        let BreakerEvent::Tripped(latch) = event else { panic!("{event:?}") };
        state.apply(Record::Breaker(Box::new(BreakerRecord::Tripped(latch)))).expect("fits");
    }
    tightened(&mut state, Scope::Global, TradingState::Halted);
    let halted = tighten(&state, Scope::Global, TradingState::Halted, "a+b", "over", NOW);
    state.apply(Record::ScopeChanged(ScopeState { state: TradingState::Reducing, ..halted })).expect("fits");
    assert_eq!(state.breakers().latches().map(|latch| latch.kind).collect::<Vec<_>>(), [BreakerKind::TotalLoss]);
}

#[test]
fn an_agent_is_measured_where_it_trades_now() {
    let mut state = state();
    let seats = |state: &State| {
        let seat = |(agent, seat): (&AgentId, &Seat)| {
            (agent.to_string(), seat.account.to_string(), seat.pool.as_ref().map(ToString::to_string))
        };
        state.breakers().seats().map(seat).collect::<Vec<_>>()
    };
    let own = |account: &str, pool: Option<&str>| vec![("a1".to_owned(), account.to_owned(), pool.map(str::to_owned))];
    approve(&mut state, &named("t1", "P", Side::Buy, "0.4", "1"));
    assert_eq!(seats(&state), own("alice", Some("value")));
    approve(&mut state, &Proposed { pool: None, ..named("t2", "P", Side::Buy, "0.4", "1") });
    assert_eq!(seats(&state), own("alice", None));
    let Record::Posted(bob) = posted("1000", 1, &[]) else { unreachable!("made by `posted`") };
    state.apply(Record::Posted(Box::new(Posted { account: id("bob"), ..*bob }))).expect("fits");
    approve(&mut state, &Proposed { account: id("bob"), pool: None, ..named("t3", "P", Side::Buy, "0.4", "1") });
    assert_eq!(seats(&state), own("bob", None));
}

#[test]
fn a_basis_that_changed_is_read_as_it_was_written() {
    for change in BasisChange::ALL {
        assert_eq!(BasisChange::parse(change.as_str()), Some(change));
    }
    assert_eq!(BasisChange::parse("NOTHING"), None);
}

#[test]
fn without_a_margin_nothing_is_lent() {
    let terms =
        |initial_margin_ppm| SettlementTerms { style: SettlementStyle::Margined, currency: usd(), initial_margin_ppm };
    let used: Money = micros("50");
    let of = |margin| Exposure::of(used, &terms(margin)).map(|part| (part.paid, part.notional));
    assert_eq!(of(0), Ok((used, Money::ZERO)));
    assert_eq!(of(100_000), Ok((Money::ZERO, micros("500"))));
}

/// Alice is the house and has 1,000, then each of `later` cash at so many milliseconds; how often the baseline of
/// everything was kept, and what was measured last.
fn house_over_time(later: &[(i64, &str)]) -> (Vec<usize>, i64) {
    let mut state = limits::limited(|limits| {
        limits.house_accounts.insert(id("alice"));
    });
    let (mut meter, mut kept, mut lost) = (Meter::default(), Vec::new(), 0);
    for (version, (millis, cash)) in (2..).zip([(0, "1000")].iter().chain(later)) {
        state.apply(posted(cash, version, &[])).expect("fits");
        let taken = meter.take(&state, NOW.plus_millis(*millis)).expect("fits");
        for own in &taken.kept {
            state.apply(Record::Breaker(Box::new(BreakerRecord::BaselineKept(own.clone())))).expect("fits");
        }
        kept.push(taken.kept.len());
        lost = taken.measured.map_or(-1, |own| own.day_loss_ppm);
    }
    (kept, lost)
}

#[test]
fn baselines_are_kept_when_they_move_and_else_once_a_minute() {
    // A peak at once, an equity after a minute, and nothing where nothing has changed.
    assert_eq!(house_over_time(&[(1, "1100"), (2, "1050"), (3, "1050")]), (vec![1, 1, 0, 0], 0));
    assert_eq!(house_over_time(&[(59_999, "900"), (60_000, "900"), (60_001, "900")]), (vec![1, 0, 1, 0], 100_000));
    assert_eq!(house_over_time(&[(60_000, "1000")]), (vec![1, 0], 0));
    // The next day begins with what there was at the end of this one, kept or not.
    assert_eq!(house_over_time(&[(1, "900"), (7_200_000, "900")]), (vec![1, 0, 1], 0));
}

#[test]
fn a_payment_counts_once_however_often_it_is_told() {
    let mut state = limits::limited(|limits| {
        limits.house_accounts.insert(id("alice"));
    });
    let mut meter = Meter::default();
    let mut pay = |version: i64, cash: &str, flow: &str| {
        let Record::Posted(mut paid) = posted(cash, version, &[]) else { unreachable!("made by `posted`") };
        paid.balances[0].flow = micros(flow);
        state.apply(Record::Posted(paid)).expect("fits");
        let taken = meter.take(&state, NOW).expect("fits");
        for kept in &taken.payments {
            state.apply(Record::Breaker(Box::new(BreakerRecord::PaymentsKept(kept.clone())))).expect("fits");
        }
        taken.payments.iter().map(|kept| (kept.total.to_string(), kept.version)).collect::<Vec<_>>()
    };
    assert_eq!(pay(2, "1100", "100"), [("100".to_owned(), 2)]);
    assert_eq!(pay(2, "1100", "100"), []);
    assert_eq!(pay(3, "1150", "50"), [("150".to_owned(), 3)]);
    // What the guard before has journaled knows of older payments than this one has heard of.
    let kept = KeptPayments { account: id("alice"), currency: usd(), total: micros("900"), version: 3 };
    state.apply(Record::Breaker(Box::new(BreakerRecord::PaymentsKept(kept)))).expect("fits");
    assert_eq!(state.account(&id("alice")).expect("known").payments(&usd()), (micros("900"), 3));
}

#[test]
fn only_a_margined_position_is_looked_at_for_an_open_loss() {
    let mut state = state();
    let of = |state: &State| {
        let margined = state.account(&id("alice")).expect("known").margined();
        margined.iter().map(|own| own.instrument.to_string()).collect::<Vec<_>>()
    };
    let order = approve(&mut state, &named("t1", "P", Side::Buy, "0.5", "1"));
    fill(&mut state, &order, 1, "0.5", "1", TradeStatus::Filled);
    assert_eq!(of(&state), Vec::<String>::new());
    let order = approve(&mut state, &named("t2", "M", Side::Buy, "10", "1"));
    fill(&mut state, &order, 1, "10", "1", TradeStatus::Filled);
    assert_eq!(of(&state), ["M"]);
}

#[test]
fn what_the_ledger_says_of_the_same_version_again_counts_and_of_an_older_one_does_not() {
    let mut state = state();
    for (number, version, expected) in [("500", 9, "500"), ("600", 9, "600"), ("700", 8, "600")] {
        state.apply(posted(number, version, &[("P", number)])).expect("fits");
        let alice = state.account(&id("alice")).expect("known");
        assert_eq!(alice.balance(&usd()).posted, Some(micros(expected)));
        assert_eq!(alice.holding(&id("P")).expect("held").position().quantity, micros(expected));
    }
}

#[test]
fn a_post_only_order_is_hashed_as_one_and_held_for_as_any_other() {
    let hashed = |is_post_only: bool| {
        let mut state = state();
        let mut wanted = named("t1", "P", Side::Buy, "0.4", "10");
        wanted.terms.is_post_only = is_post_only;
        let order = approve(&mut state, &wanted);
        assert_eq!(order.terms.is_post_only, is_post_only);
        let mut bytes = Vec::new();
        state.canonical(|_| [0; 32], |piece| bytes.extend_from_slice(piece));
        (bytes, state.held())
    };
    let (post_only, plain) = (hashed(true), hashed(false));
    assert_ne!(post_only.0, plain.0);
    assert_eq!((post_only.0.len(), post_only.1), (plain.0.len(), plain.1));
}

#[test]
fn an_order_closes_only_what_is_held_the_other_way() {
    for (quantity, buys, sells) in [("10", "0", "10"), ("-5", "5", "0")] {
        let mut state = state();
        state.apply(posted("1000", 2, &[("P", quantity)])).expect("fits");
        let holding = state.account(&id("alice")).and_then(|own| own.holding(&id("P"))).expect("held");
        let closable = [Side::Buy, Side::Sell].map(|side| holding.closable(side).expect("fits"));
        assert_eq!(closable, [micros(buys), micros(sells)], "{quantity}");
    }
}

#[test]
fn more_orders_than_there_is_to_close_leave_nothing_to_close() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    for trade in ["t1", "t2"] {
        approve(&mut state, &named(trade, "P", Side::Sell, "0.5", "8"));
    }
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    let sell = named("t3", "P", Side::Sell, "0.5", "1");
    check(&state, &sell, Some((DenialReason::TradingReducing, 0, 1_000_000)));
}

#[test]
fn an_order_that_does_not_rest_takes_no_place_of_one_that_does() {
    let mut state = state();
    state.limits_mut().resting_orders_max = 1;
    let mut at_once = named("t1", "P", Side::Buy, "0.4", "1");
    at_once.terms.time_in_force = TimeInForce::Ioc;
    approve(&mut state, &at_once);
    check(&state, &named("t2", "P", Side::Buy, "0.4", "1"), None);
}

#[test]
fn the_last_execution_of_an_order_told_again_changes_nothing() {
    let mut state = state();
    let order = approve(&mut state, &named("t1", "P", Side::Buy, "0.5", "10"));
    fill(&mut state, &order, 1, "0.5", "10", TradeStatus::Filled);
    let once = state.clone();
    fill(&mut state, &order, 1, "0.5", "10", TradeStatus::Filled);
    assert_eq!(state, once);
}

#[test]
fn an_execution_that_is_posted_is_known_as_long_as_its_order_is_open() {
    let mut state = state();
    let order = approve(&mut state, &named("t1", "P", Side::Buy, "0.5", "10"));
    fill(&mut state, &order, 1, "0.5", "4", TradeStatus::Working);
    let Record::Posted(mut fact) = posted("998", 2, &[("P", "4")]) else { unreachable!("made by `posted`") };
    (fact.trade, fact.executions) = (Some(order.trade.clone()), vec![id("t1-o-x1")]);
    state.apply(Record::Posted(fact)).expect("fits");
    let once = state.clone();
    fill(&mut state, &order, 1, "0.5", "4", TradeStatus::Working);
    assert_eq!(state, once);
}

#[test]
fn what_the_journal_knows_executions_need_not_tell() {
    let mut state = state();
    let order = approve(&mut state, &named("t1", "P", Side::Buy, "0.5", "10"));
    fill(&mut state, &order, 1, "0.5", "10", TradeStatus::Filled);
    assert_eq!(state.told.get(&order.trade), None);
}

#[test]
fn a_position_has_cost_its_price_its_margin_or_the_price_of_the_other_outcome() {
    let cost = |instrument: &str, quantity: &str, average_price: &str, margin: &str| {
        let mut state = state();
        let Record::Posted(mut held) = posted("1000", 2, &[(instrument, quantity)]) else { unreachable!("made above") };
        (held.positions[0].average_price, held.positions[0].margin) = (micros(average_price), micros(margin));
        state.apply(Record::Posted(held)).expect("fits");
        let holding = state.account(&id("alice")).and_then(|own| own.holding(&id(instrument))).expect("held");
        holding.invested().to_string()
    };
    assert_eq!(cost("P", "10", "0.6", "0"), "6");
    assert_eq!(cost("P", "-10", "0.6", "0"), "4");
    assert_eq!(cost("M", "3", "10", "3.5"), "3.5");
    assert_eq!(cost("M", "-3", "10", "3.5"), "3.5");
    assert_eq!(cost("S", "0.5", "0.333333", "0"), "0.166667", "rounded up");
}

#[test]
fn a_breaker_that_is_low_is_reset_without_an_acknowledgement() {
    let mut state = State::new(Limits::default());
    let mut watch = Watch::default();
    let loss = |value| Reading { kind: BreakerKind::Drawdown, scope: Scope::Global, value: Some(value) };
    let events = watch.evaluate(&state, &[loss(120_000)], NOW);
    let [BreakerEvent::Tripped(latch)] = events.as_slice() else { panic!("{events:?}") };
    state.apply(Record::Breaker(Box::new(BreakerRecord::Tripped(latch.clone())))).expect("fits");
    watch.evaluate(&state, &[loss(79_999)], latch.resume_from);
    let looser = (&Scope::Global, TradingState::Reducing);
    assert_eq!(state.breakers().check_resume(looser, &watch, "", latch.resume_from), Ok(Vec::new()));
}

/// Nothing of this may keep anybody from closing.
#[test]
fn below_the_floor_of_a_wallet_and_above_the_share_of_a_match_positions_are_closed() {
    let mut state = limits::limited(|limits| {
        let values = [("wallet_floor_ppm", 900_000), ("match_max_ppm", 100_000)];
        limits.rules.set_all(values.into_iter()).expect("sensible");
    });
    approve(&mut state, &named("t1", "P", Side::Buy, "0.4", "1"));
    state.apply(posted("100", 2, &[("H", "1000")])).expect("fits");
    check(&state, &named("t", "H", Side::Sell, "0.5", "1000"), None);
    let more = decide(&state, &named("t", "H", Side::Buy, "0.5", "1"), NOW).expect_err("below the floor");
    assert_eq!(more.reason, DenialReason::WalletFloor);
}

#[test]
fn only_what_is_margined_in_a_currency_is_an_open_loss_in_it() {
    let mut state = state();
    // What is held before anybody knows what it is may be anything.
    state.apply(posted("1000", 2, &[("E", "-10"), ("N", "10")])).expect("fits");
    let euros = SettlementTerms { style: SettlementStyle::Margined, currency: id("EUR"), initial_margin_ppm: 100_000 };
    let of = |name: &str| instrument(name, SettlementStyle::Spot, ("0.5", "0.001"), "100000");
    for own in [Instrument { settlement: euros, ..of("E") }, of("N")] {
        state.apply(Record::Quote(quote(own.id.as_str(), "0.1", "10.5"))).expect("fits");
        state.apply(Record::Instrument(Box::new(own))).expect("fits");
    }
    let margined = state.account(&id("alice")).expect("known").margined();
    assert_eq!(margined.len(), 2);
    assert_eq!(decide_withdrawal(&state, &id("alice"), &usd(), micros("1000")), Ok(()));
}

#[test]
fn each_limit_on_losses_holds_when_the_others_are_off() {
    let names = ["day_loss_reduce_ppm", "month_loss_halt_ppm", "drawdown_halt_ppm"];
    let measured = Measured { day_loss_ppm: 70_000, month_loss_ppm: 70_000, drawdown_ppm: 70_000, measured_at: NOW };
    let reasons = [DenialReason::DayLossLimit, DenialReason::MonthLossLimit, DenialReason::DrawdownLimit];
    for (on, reason) in names.into_iter().zip(reasons) {
        let mut state = limits::limited(|limits| {
            limits.house_accounts.insert(id("alice"));
            let values = names.map(|name| (name, if name == on { 60_000 } else { 0 }));
            limits.rules.set_all(values.into_iter()).expect("sensible");
        });
        let buy = proposed("P", Side::Buy, "0.5", "1");
        check(&state, &buy, Some((DenialReason::EquityUnknown, 5_000, i64::MAX)));
        state.apply(Record::Breaker(Box::new(BreakerRecord::Measured(measured)))).expect("fits");
        check(&state, &buy, Some((reason, 60_000, 70_000)));
    }
}

#[test]
fn a_house_that_owes_what_it_has_has_no_capital() {
    let mut state = limits::limited(|limits| {
        limits.house_accounts.extend([id("alice"), id("bob")]);
    });
    let Record::Posted(bob) = posted("-1000", 1, &[]) else { unreachable!("made by `posted`") };
    state.apply(Record::Posted(Box::new(Posted { account: id("bob"), ..*bob }))).expect("fits");
    check(&state, &proposed("P", Side::Buy, "0.5", "1"), Some((DenialReason::NoCapital, 1, 0)));
}

#[test]
fn limits_that_open_at_once_are_open() {
    assert_eq!([0, 1].map(|ramp_ms| ramp_share_ppm(NOW, ramp_ms, NOW)), [1_000_000, 100_000]);
    assert_eq!(ramp_share_ppm(NOW, 300_000, NOW.plus_millis(-150_000)), 100_000, "a clock that has stepped back");
}

#[test]
fn a_floor_is_rounded_up() {
    let mut state = limits::limited(|limits| {
        limits.rules.set(LimitName::WalletFloorPpm, "", 200_000).expect("sensible");
    });
    state.apply(posted("1000.000001", 2, &[])).expect("fits");
    approve(&mut state, &named("t1", "P", Side::Buy, "0.5", "2"));
    state.apply(posted("1000", 3, &[])).expect("fits");
    check(&state, &named("t", "P", Side::Buy, "0.5", "1596"), None);
    let below = Some((DenialReason::WalletFloor, 200_000_001, 200_000_000));
    check(&state, &named("t", "P", Side::Buy, "0.5", "1598"), below);
}

#[test]
fn an_open_loss_is_measured_at_the_side_that_closes_or_the_one_that_is_quoted() {
    // At an average of 0.5: what was bought for 5 can be sold for 4, what was sold for 5 can be bought for 6.
    let cases = [
        ("10", Some("0.4"), Some("0.6")),
        ("10", Some("0.4"), None),
        ("10", None, Some("0.4")),
        ("-10", Some("0.4"), Some("0.6")),
        ("-10", Some("0.6"), None),
        ("-10", None, Some("0.6")),
    ];
    for (quantity, bid, ask) in cases {
        let mut state = state();
        state.apply(posted("1000", 2, &[("M", quantity)])).expect("fits");
        let level = |price: &str| Level { price: micros(price), quantity: micros("1000") };
        let quote = Quote { bid: bid.map(level), ask: ask.map(level), ..quote("M", "0.4", "0.6") };
        state.apply(Record::Quote(quote)).expect("fits");
        let withdraw = |amount| decide_withdrawal(&state, &id("alice"), &usd(), micros(amount));
        assert_eq!(withdraw("999"), Ok(()), "{quantity} {bid:?} {ask:?}");
        let limit = withdraw("999.000001").map_err(|denied| denied.limit);
        assert_eq!(limit, Err(999_000_000), "{quantity} {bid:?} {ask:?}");
    }
}

#[test]
fn a_market_order_near_the_end_of_the_range_stays_in_it() {
    let mut state = state();
    state.apply(Record::Quote(quote("P", "0.95", "0.97"))).expect("fits");
    let order = decide(&state, &proposed("P", Side::Buy, "market", "1"), NOW).expect("approved");
    assert_eq!(order.limit, micros("0.99"));
}

#[test]
fn the_pace_of_the_house_is_no_limit_for_anybody_else() {
    let mut state = limits::limited(|limits| {
        limits.house_accounts.insert(id("alice"));
        let off = ["day_loss_reduce_ppm", "month_loss_halt_ppm", "drawdown_halt_ppm"].map(|name| (name, 0));
        limits.rules.set_all(off.into_iter().chain([("house_orders_per_second_max", 1)])).expect("sensible");
    });
    let Record::Posted(bob) = posted("1000", 1, &[]) else { unreachable!("made by `posted`") };
    state.apply(Record::Posted(Box::new(Posted { account: id("bob"), ..*bob }))).expect("fits");
    let bobs = |trade: &str| Proposed { account: id("bob"), ..named(trade, "P", Side::Buy, "0.5", "1") };
    approve(&mut state, &bobs("t1"));
    let own = |trade: &str| named(trade, "P", Side::Buy, "0.5", "1");
    approve(&mut state, &own("t2"));
    check(&state, &own("t3"), Some((DenialReason::HouseOrderRate, 1, 2)));
    check(&state, &bobs("t3"), None);
}

#[test]
fn what_closes_an_order_is_no_repeat_of_it() {
    let mut state = limits::limited(|limits| limits.repeated_orders = RepeatedOrders::Deny);
    let bought = approve(&mut state, &named("t1", "P", Side::Buy, "0.5", "5"));
    fill(&mut state, &bought, 1, "0.5", "5", TradeStatus::Filled);
    check(&state, &named("t2", "P", Side::Sell, "0.5", "5"), None);
}

#[test]
fn an_approval_counts_once_while_the_order_is_open_and_after_its_end() {
    let mut state = state();
    let order = approve(&mut state, &named("t1", "P", Side::Buy, "0.5", "10"));
    let told_again = |state: &mut State| {
        let once = state.clone();
        state.apply(Record::Approved(Box::new(order.clone()))).expect("fits");
        assert_eq!(*state, once);
    };
    told_again(&mut state);
    fill(&mut state, &order, 1, "0.5", "10", TradeStatus::Filled);
    told_again(&mut state);
}

#[test]
fn trades_of_a_day_are_of_no_other() {
    let mut state = state();
    approve(&mut state, &named("t1", "P", Side::Buy, "0.4", "1"));
    let on = |days: i64| state.agent_trades(&id("a1"), NOW.plus_millis(days * 86_400_000));
    assert_eq!([on(-1), on(0), on(1)], [0, 1, 0]);
}

#[test]
fn an_order_that_does_not_rest_is_nothing_to_trade_against() {
    let mut state = state();
    let mut at_once = named("t1", "P", Side::Sell, "0.49", "1");
    at_once.terms.time_in_force = TimeInForce::Ioc;
    approve(&mut state, &at_once);
    check(&state, &named("t2", "P", Side::Buy, "0.5", "1"), None);
}

#[test]
fn a_wallet_without_a_floor_has_no_beginning() {
    let order = decide(&state(), &proposed("P", Side::Buy, "0.5", "1"), NOW).expect("approved");
    assert_eq!(order.wallet_start, None);
}

#[test]
fn an_order_that_was_filled_too_far_has_nothing_left_to_fill() {
    let order = Order::clone(&decide(&state(), &proposed("P", Side::Buy, "0.5", "10"), NOW).expect("approved"));
    let open = OpenOrder { order, filled: micros("12"), executions: Vec::new() };
    assert_eq!(open.remaining(), Quantity::ZERO);
}
