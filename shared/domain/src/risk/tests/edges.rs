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
    for (cash, version, expected) in [("500", 9, "500"), ("600", 9, "600"), ("700", 8, "600")] {
        state.apply(posted(cash, version, &[])).expect("fits");
        assert_eq!(state.account(&id("alice")).expect("known").balance(&usd()).posted, Some(micros(expected)));
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
