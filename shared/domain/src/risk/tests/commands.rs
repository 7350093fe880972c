//! Reductions: targets are fixed once, no order goes beyond them, and the flatten
//! lane is open where nothing else is. Resumes: nothing may have changed.

use super::*;

fn wanted(command: &str, scope: Scope, factor_ppm: i64) -> Reduce {
    Reduce {
        id: id(command),
        scope,
        instrument: None,
        is_house_only: false,
        factor_ppm,
        driver: Driver::Workers,
        ordered_by: "olga".to_owned(),
        reason: "test".to_owned(),
    }
}

fn order(state: &mut State, wanted: Reduce) {
    let reduction = order_reduction(state, wanted, NOW).expect("accepted").expect("new");
    state.apply(Record::ReductionOrdered(Box::new(reduction))).expect("fits");
}

fn targets(state: &State, command: &str) -> Vec<(String, String)> {
    let reduction = state.reduction(&id(command)).expect("kept");
    reduction.targets.iter().map(|own| (own.instrument.to_string(), own.target.to_string())).collect()
}

fn slice(state: &State, command: &str, instrument: &str) -> Option<(Side, String)> {
    let reduction = state.reduction(&id(command)).expect("kept");
    let target = reduction.target(&id("alice"), &id(instrument)).expect("a target");
    target.next_slice(state).expect("fits").map(|slice| (slice.side, slice.quantity.to_string()))
}

/// An order of a reduction, as a worker or the guard proposes it.
fn step(trade: &str, purpose: Purpose, (side, quantity): (Side, &str)) -> Proposed {
    let proposed = named(trade, "P", side, "market", quantity);
    let terms = OrderTerms { time_in_force: TimeInForce::Ioc, ..proposed.terms };
    Proposed { terms, agent: None, pool: None, purpose, ..proposed }
}

#[test]
fn a_target_is_the_quantity_times_the_factor_toward_zero_on_the_lot() {
    let check = |held: &str, factor_ppm, expected: &str| {
        let mut state = state();
        state.apply(posted("1000", 2, &[("P", held)])).expect("fits");
        order(&mut state, wanted("c1", Scope::Global, factor_ppm));
        assert_eq!(targets(&state, "c1"), [("P".to_owned(), expected.to_owned())], "{held} x {factor_ppm}");
    };
    check("100", 500_000, "50");
    check("-100", 500_000, "-50");
    check("3", 500_000, "1");
    check("-3", 500_000, "-1");
    check("3", 999_999, "2");
    check("7", 0, "0");
}

#[test]
fn what_keeps_its_size_needs_no_target_and_no_place() {
    let check = |factor_ppm, expected: &[&str]| {
        let mut state = state();
        state.limits_mut().commands.reduction_targets_max = 1;
        // A lot of P is a whole contract: nine tenths of one are none.
        state.apply(posted("1000", 2, &[("P", "1"), ("S", "1")])).expect("fits");
        order(&mut state, wanted("c1", Scope::Global, factor_ppm));
        let found: Vec<String> = targets(&state, "c1").into_iter().map(|(_, target)| target).collect();
        let left_out = state.reduction(&id("c1")).expect("kept").left_out;
        assert_eq!((found, left_out), (expected.iter().map(ToString::to_string).collect(), 0), "{factor_ppm}");
    };
    check(1_000_000, &[]);
    let mut state = state();
    state.limits_mut().commands.reduction_targets_max = 1;
    state.apply(posted("1000", 2, &[("P", "1"), ("S", "1")])).expect("fits");
    order(&mut state, wanted("c1", Scope::Global, 900_000));
    let reduction = state.reduction(&id("c1")).expect("kept");
    assert_eq!((targets(&state, "c1"), reduction.left_out), (vec![("P".to_owned(), "0".to_owned())], 1));
}

#[test]
fn more_positions_than_fit_are_reduced_in_portions() {
    let mut state = state();
    state.limits_mut().commands.reduction_targets_max = 1;
    state.apply(posted("1000", 2, &[("P", "10"), ("S", "1"), ("M", "0")])).expect("fits");
    order(&mut state, wanted("c1", Scope::Global, 500_000));
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    let reduction = |state: &State| state.reduction(&id("c1")).expect("kept").clone();
    let first = reduction(&state);
    assert_eq!((targets(&state, "c1"), first.left_out), (vec![("P".to_owned(), "5".to_owned())], 1));
    assert_eq!((first.positions(), first.is_done(&state)), (2, Ok(false)));
    assert_eq!(next_portion(&state, &first), Ok(None), "its only target is not reached");

    let selling = approve(&mut state, &step("t1", Purpose::Reduce(id("c1")), (Side::Sell, "5")));
    fill(&mut state, &selling, 1, "0.5", "5", TradeStatus::Filled);
    assert_eq!(reduction(&state).is_done(&state), Ok(false), "the other position waits");
    let next = next_portion(&state, &reduction(&state)).expect("fits").expect("there is room");
    assert_eq!((next.id.clone(), next.epoch, next.ordered_at), (first.id.clone(), first.epoch, first.ordered_at));
    state.apply(Record::ReductionOrdered(Box::new(next.clone()))).expect("fits");
    assert_eq!(targets(&state, "c1"), [("S".to_owned(), "0.5".to_owned())]);
    assert_eq!((next.left_out, next.done_before, next.positions()), (0, 1, 2));
    assert_eq!(state.changes().filter(|change| change.reduction.is_some()).count(), 1, "it is one command");
    assert_eq!(next_portion(&state, &reduction(&state)), Ok(None), "there is no third one");
    assert_eq!(order_reduction(&state, wanted("c1", Scope::Global, 500_000), NOW), Ok(None), "it is known");

    let mut second = step("t2", Purpose::Reduce(id("c1")), (Side::Sell, "0.5"));
    second.terms.instrument = id("S");
    let selling = approve(&mut state, &second);
    assert_eq!(reduction(&state).is_done(&state), Ok(false));
    fill(&mut state, &selling, 1, "100", "0.5", TradeStatus::Filled);
    assert_eq!(reduction(&state).is_done(&state), Ok(true));
}

#[test]
fn a_position_that_nobody_can_trade_keeps_only_its_own_place() {
    let mut state = state();
    state.limits_mut().commands.reduction_targets_max = 2;
    state.apply(posted("1000", 2, &[("P", "10"), ("S", "1"), ("T", "1")])).expect("fits");
    order(&mut state, wanted("c1", Scope::Global, 0));
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    state.apply(posted("1000", 3, &[("S", "0")])).expect("fits");
    let next = next_portion(&state, state.reduction(&id("c1")).expect("kept")).expect("fits").expect("half is done");
    let next: Vec<_> = next.targets.iter().map(|own| (own.instrument.as_str(), own.from.to_string())).collect();
    assert_eq!(next, [("P", "10".to_owned()), ("T", "1".to_owned())], "P stays, as it was fixed");
    // With less than a quarter done nothing changes: every portion is one message.
    state.limits_mut().commands.reduction_targets_max = 5;
    let mut large = state.reduction(&id("c1")).expect("kept").clone();
    let done = large.targets.pop().expect("S, which is closed");
    let open = large.targets.pop().expect("P");
    large.targets = vec![open.clone(), open.clone(), open.clone(), open.clone(), done.clone()];
    assert_eq!(next_portion(&state, &large), Ok(None));
    large.targets = vec![open.clone(), open.clone(), open, done];
    assert!(next_portion(&state, &large).expect("fits").is_some());
}

#[test]
fn a_reduction_is_of_the_positions_in_its_scope() {
    let check = |scope: Scope, expected: &[&str]| {
        let mut state = state();
        state.apply(posted("1000", 2, &[("P", "10"), ("S", "1"), ("M", "0")])).expect("fits");
        approve(&mut state, &named("t1", "P", Side::Buy, "0.4", "1"));
        order(&mut state, wanted("c1", scope.clone(), 0));
        let found: Vec<String> = targets(&state, "c1").into_iter().map(|(instrument, _)| instrument).collect();
        assert_eq!(found, expected, "{scope}");
    };
    check(Scope::Global, &["P", "S"]);
    check(Scope::Account(id("alice")), &["P", "S"]);
    check(Scope::Account(id("bob")), &[]);
    check(Scope::Instrument(id("S")), &["S"]);
    check(Scope::Agent(id("a1")), &["P"]);
    check(Scope::Pool(id("value")), &["P"]);
    check(Scope::Pool(id("swing")), &[]);
}

#[test]
fn a_command_is_obeyed_once_and_nonsense_is_named() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10"), ("S", "1")])).expect("fits");
    order(&mut state, wanted("c1", Scope::Global, 500_000));
    assert_eq!(state.epoch(), 2);
    state.apply(posted("1000", 3, &[("P", "100")])).expect("fits");
    assert_eq!(order_reduction(&state, wanted("c1", Scope::Global, 500_000), NOW), Ok(None));
    assert_eq!(targets(&state, "c1")[0].1, "5", "the target is fixed");
    let reused = order_reduction(&state, wanted("c1", Scope::Global, 0), NOW);
    assert_eq!(reused, Err(ReductionRefused::CommandReused));
    for factor_ppm in [-1, 1_000_001] {
        let refused = order_reduction(&state, wanted("c2", Scope::Global, factor_ppm), NOW);
        assert_eq!(refused, Err(ReductionRefused::FactorOutOfRange { factor_ppm }));
    }
    state.limits_mut().commands.reductions_max = 1;
    let refused = order_reduction(&state, wanted("c2", Scope::Instrument(id("P")), 0), NOW);
    assert_eq!(refused, Err(ReductionRefused::TooManyReductions { limit: 1 }));
}

#[test]
fn a_reduction_that_cannot_finish_is_overdue_and_keeps_no_place() {
    let mut state = state();
    state.limits_mut().commands.reductions_max = 1;
    state.limits_mut().commands.reduction_overdue_ms = 5_000;
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    order(&mut state, wanted("c1", Scope::Global, 0));
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    let overdue = |state: &State, millis: i64| {
        state.overdue_reductions(NOW.plus_millis(millis)).map(|own| own.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(overdue(&state, 4_999), Vec::<String>::new());
    assert_eq!(overdue(&state, 5_000), ["c1"]);
    // A clock that steps back or far ahead loses nothing.
    assert_eq!(overdue(&state, -3_600_000), Vec::<String>::new());
    assert_eq!(overdue(&state, 3_600_000), ["c1"]);
    let next = |state: &State, command: &str, millis: i64| {
        let ordered = order_reduction(state, wanted(command, Scope::Account(id("alice")), 0), NOW.plus_millis(millis));
        ordered.map(|new| new.expect("new"))
    };
    let too_many = Err(ReductionRefused::TooManyReductions { limit: 1 });
    assert_eq!(next(&state, "c2", 4_999), too_many);
    // It keeps no place any more, and is driven on all the same.
    let second = next(&state, "c2", 5_000).expect("a place");
    state.apply(Record::ReductionOrdered(Box::new(second))).expect("fits");
    assert_eq!(slice(&state, "c1", "P"), Some((Side::Sell, "10".to_owned())));
    assert_eq!(state.state_of(&Scope::Global), TradingState::Reducing);
    // Nor do they become more and more.
    assert_eq!(overdue(&state, 10_000), ["c1", "c2"]);
    assert_eq!(next(&state, "c3", 10_000), too_many);
    state.apply(Record::ReductionEnded { id: id("c1"), at: NOW }).expect("fits");
    assert_eq!(overdue(&state, 10_000), ["c2"], "what has ended is not overdue");
    assert!(next(&state, "c3", 10_000).is_ok());
}

#[test]
fn orders_toward_a_target_never_go_beyond_it() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    order(&mut state, wanted("c1", Scope::Global, 500_000));
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    let purpose = || Purpose::Reduce(id("c1"));
    assert_eq!(slice(&state, "c1", "P"), Some((Side::Sell, "5".to_owned())));
    check(
        &state,
        &step("t1", purpose(), (Side::Sell, "6")),
        Some((DenialReason::TradingReducing, 5_000_000, 6_000_000)),
    );
    check(&state, &step("t1", purpose(), (Side::Buy, "1")), Some((DenialReason::TradingReducing, 0, 1_000_000)));
    let unknown = Purpose::Reduce(id("c9"));
    check(&state, &step("t1", unknown, (Side::Sell, "1")), Some((DenialReason::TradingReducing, 0, 1_000_000)));

    let first = approve(&mut state, &step("t1", purpose(), (Side::Sell, "3")));
    assert_eq!(slice(&state, "c1", "P"), Some((Side::Sell, "2".to_owned())), "what is pending counts");
    check(
        &state,
        &step("t2", purpose(), (Side::Sell, "3")),
        Some((DenialReason::TradingReducing, 2_000_000, 3_000_000)),
    );
    fill(&mut state, &first, 1, "0.5", "2", TradeStatus::PartiallyFilled);
    assert_eq!(slice(&state, "c1", "P"), Some((Side::Sell, "3".to_owned())), "what was not filled is ordered again");
    let second = approve(&mut state, &step("t2", purpose(), (Side::Sell, "3")));
    assert!(!state.reduction(&id("c1")).expect("kept").is_done(&state).expect("fits"));
    fill(&mut state, &second, 1, "0.5", "3", TradeStatus::Filled);
    assert_eq!(slice(&state, "c1", "P"), None);
    assert!(state.reduction(&id("c1")).expect("kept").is_done(&state).expect("fits"));
    // The account may still close the rest by itself.
    check(&state, &proposed("P", Side::Sell, "0.5", "5"), None);

    state.apply(Record::ReductionEnded { id: id("c1"), at: NOW }).expect("fits");
    check(&state, &step("t3", purpose(), (Side::Sell, "1")), Some((DenialReason::TradingReducing, 0, 1_000_000)));
    assert_eq!(order_reduction(&state, wanted("c1", Scope::Global, 500_000), NOW), Ok(None), "also when it is over");
}

#[test]
fn a_reduction_that_has_ended_before_its_target_orders_nothing_more() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    order(&mut state, wanted("c1", Scope::Global, 500_000));
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    let sell = step("t1", Purpose::Reduce(id("c1")), (Side::Sell, "1"));
    check(&state, &sell, None);
    state.apply(Record::ReductionEnded { id: id("c1"), at: NOW }).expect("fits");
    check(&state, &sell, Some((DenialReason::TradingReducing, 0, 1_000_000)));
}

#[test]
fn a_slice_fits_one_order_and_a_rest_below_the_smallest_order_is_done() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("S", "1.5"), ("M", "12000.0005")])).expect("fits");
    order(&mut state, wanted("c1", Scope::Global, 0));
    assert_eq!(slice(&state, "c1", "S"), Some((Side::Sell, "1.5".to_owned())));
    // 100,000 USD at the edge of the collar: 10 + 5 %.
    assert_eq!(slice(&state, "c1", "M"), Some((Side::Sell, "9523.809".to_owned())));
    state.apply(posted("1000", 3, &[("S", "0"), ("M", "0.0005")])).expect("fits");
    assert_eq!(slice(&state, "c1", "M"), None);
    assert!(state.reduction(&id("c1")).expect("kept").is_done(&state).expect("fits"));
}

#[test]
fn what_rests_in_the_way_of_a_target_is_taken_out() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    approve(&mut state, &named("t1", "P", Side::Sell, "0.6", "10"));
    order(&mut state, wanted("c1", Scope::Global, 0));
    assert_eq!(slice(&state, "c1", "P"), None, "all of it is ordered already, at a price nobody pays");
    // What rests elsewhere is in nobody's way.
    approve(&mut state, &named("t2", "S", Side::Buy, "99", "1"));
    let taken_out: Vec<&str> = forbidden_orders(&state).map(|open| open.order.trade.as_str()).collect();
    assert_eq!(taken_out, ["t1"]);
}

#[test]
fn an_order_of_the_flatten_lane_stands_only_as_long_as_it_closes() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("M", "2")])).expect("fits");
    order(&mut state, Reduce { driver: Driver::Operator, ..wanted("c1", Scope::Account(id("alice")), 0) });
    let out = Proposed {
        terms: named("t1", "M", Side::Sell, "10", "2").terms,
        ..step("t1", Purpose::Flatten(id("c1")), (Side::Sell, "2"))
    };
    approve(&mut state, &out);
    // While all is active the agent goes short beside it, at once or not at all.
    let mut short = named("t2", "M", Side::Sell, "10", "1");
    short.terms.time_in_force = TimeInForce::Ioc;
    approve(&mut state, &short);
    tightened(&mut state, Scope::Instrument(id("M")), TradingState::Halted);
    // Both filled would leave the account short. The halted one may still fill until it is taken out.
    assert_eq!(super::states::forbidden(&state), ["t1-o", "t2-o"]);
    state.apply(Record::Closed { order: id("t2-o"), trade: id("t2") }).expect("fits");
    assert_eq!(super::states::forbidden(&state), Vec::<String>::new());
}

#[test]
fn the_flatten_lane_is_open_under_halted_toward_its_target_and_within_its_own_limit() {
    let mut state = state();
    state.limits_mut().commands.flatten_orders_per_minute_max = 2;
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    order(&mut state, Reduce { driver: Driver::Operator, ..wanted("c1", Scope::Account(id("alice")), 0) });
    tightened(&mut state, Scope::Global, TradingState::Halted);
    let flatten = || Purpose::Flatten(id("c1"));
    check(&state, &step("t1", Purpose::Trade, (Side::Sell, "1")), Some((DenialReason::TradingHalted, 0, 0)));
    check(&state, &step("t1", Purpose::Reduce(id("c1")), (Side::Sell, "1")), Some((DenialReason::TradingHalted, 0, 0)));
    check(
        &state,
        &step("t1", flatten(), (Side::Sell, "11")),
        Some((DenialReason::TradingHalted, 10_000_000, 11_000_000)),
    );
    check(&state, &step("t1", flatten(), (Side::Buy, "1")), Some((DenialReason::TradingHalted, 0, 1_000_000)));
    for trade in ["t1", "t2"] {
        approve(&mut state, &step(trade, flatten(), (Side::Sell, "1")));
    }
    assert_eq!(forbidden_orders(&state).count(), 0, "its orders stand");
    check(&state, &step("t3", flatten(), (Side::Sell, "1")), Some((DenialReason::TradingHalted, 2, 3)));
    // A minute later its limit counts anew.
    let later = NOW.plus_millis(60_000);
    state.apply(Record::Quote(Quote { published_at: later, ..quote("P", "0.49", "0.51") })).expect("fits");
    let third = Proposed { valid_until: later, ..step("t3", flatten(), (Side::Sell, "1")) };
    assert!(decide(&state, &third, later).is_ok());
}

#[test]
fn a_resume_needs_two_people_one_level_and_an_unchanged_state() {
    let mut state = state();
    let propose = |state: &mut State, target, reason: &str, now| {
        propose_resume(state, Scope::Global, target, ("ann", reason), "token".to_owned(), now)
    };
    assert_eq!(propose(&mut state, None, "ok", NOW), Err(ResumeRefused::NotTightened));
    tightened(&mut state, Scope::Global, TradingState::Halted);
    assert_eq!(propose(&mut state, None, " ", NOW), Err(ResumeRefused::ReasonMissing));
    assert_eq!(propose(&mut state, Some(TradingState::Active), "ok", NOW), Err(ResumeRefused::NotOneLevel));
    let proposal = propose(&mut state, None, "ok", NOW).expect("proposed");
    assert_eq!((proposal.target, proposal.epoch), (TradingState::Reducing, 2));

    let end = proposal.expires_at;
    assert_eq!(end, NOW.plus_millis(120_000));
    assert_eq!(confirm_resume(&mut state, "other", "bob", NOW), Err(ResumeRefused::ProposalUnknown));
    assert_eq!(confirm_resume(&mut state, "token", "ann", NOW), Err(ResumeRefused::SamePrincipal));
    let late = Timestamp::from_micros(end.micros() + 1);
    assert_eq!(confirm_resume(&mut state.clone(), "token", "bob", late), Err(ResumeRefused::ProposalExpired));
    let mut changed = state.clone();
    tightened(&mut changed, Scope::Account(id("bob")), TradingState::Halted);
    assert_eq!([&state, &changed].map(|state| state.resumes(NOW).count()), [1, 0], "an overtaken one is not shown");
    assert_eq!(confirm_resume(&mut changed, "token", "bob", end), Err(ResumeRefused::EpochChanged));
    let change = confirm_resume(&mut state, "token", "bob", end).expect("confirmed");
    assert_eq!((change.epoch, change.changed_by.as_str()), (3, "ann+bob"));
    state.apply(Record::ScopeChanged(change)).expect("fits");
    assert_eq!(state.state_of(&Scope::Global), TradingState::Reducing);
    assert_eq!(confirm_resume(&mut state, "token", "bob", end), Err(ResumeRefused::ProposalUnknown));

    let mut state = super::state();
    state.limits_mut().resume_cooldown_ms = 1_000;
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    let soon = NOW.plus_millis(999);
    assert_eq!(propose(&mut state, None, "ok", soon), Err(ResumeRefused::Cooldown { left_ms: 1 }));
    assert!(propose(&mut state, None, "ok", NOW.plus_millis(1_000)).is_ok());
    state.limits_mut().resume_proposals_max = 1;
    assert_eq!(
        propose(&mut state, None, "ok", NOW.plus_millis(1_000)),
        Err(ResumeRefused::TooManyProposals { limit: 1 })
    );
}

#[test]
fn a_resume_ends_when_its_evidence_changes() {
    let mut state = state();
    let order = approve(&mut state, &named("t1", "P", Side::Buy, "0.4", "1"));
    tightened(&mut state, Scope::Global, TradingState::Halted);
    let propose =
        |state: &mut State| propose_resume(state, Scope::Global, None, ("ann", "ok"), "token".to_owned(), NOW);
    let proposal = propose(&mut state).expect("proposed");
    assert!(proposal.evidence[0].starts_with("global is HALTED since"), "{:?}", proposal.evidence);
    assert_eq!(proposal.evidence[1], "1 orders that must be canceled still stand");
    // The venue has filled it after all.
    fill(&mut state, &order, 1, "0.4", "1", TradeStatus::Filled);
    assert_eq!(confirm_resume(&mut state, "token", "bob", NOW), Err(ResumeRefused::EvidenceChanged));
    assert_eq!(confirm_resume(&mut state, "token", "bob", NOW), Err(ResumeRefused::ProposalUnknown));
    propose(&mut state).expect("proposed again");
    assert_eq!(confirm_resume(&mut state, "token", "ann", NOW), Err(ResumeRefused::SamePrincipal));
    state.limits_mut().commands.resume_confirmer = Confirmer::Anyone;
    assert!(confirm_resume(&mut state, "token", "ann", NOW).is_ok(), "the development profile allows it");
}

#[test]
fn a_later_tightening_never_shortens_a_cooldown() {
    let mut state = state();
    state.limits_mut().resume_cooldown_ms = 10_000;
    tightened(&mut state, Scope::Global, TradingState::Halted);
    state.limits_mut().resume_cooldown_ms = 0;
    tightened(&mut state, Scope::Global, TradingState::Halted);
    let propose = |now| propose_resume(&mut state.clone(), Scope::Global, None, ("ann", "ok"), "token".to_owned(), now);
    assert_eq!(propose(NOW), Err(ResumeRefused::Cooldown { left_ms: 10_000 }));
    let almost = Timestamp::from_micros(NOW.micros() + 9_999_999);
    assert_eq!(propose(almost), Err(ResumeRefused::Cooldown { left_ms: 1 }));
    assert!(propose(NOW.plus_millis(10_000)).is_ok());
}

#[test]
fn a_snapshot_keeps_commands_the_history_and_who_has_ordered() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    let first = approve(&mut state, &named("t1", "P", Side::Buy, "0.4", "1"));
    fill(&mut state, &first, 1, "0.4", "1", TradeStatus::Filled);
    state.apply(Record::Closed { order: first.terms.id, trade: first.trade }).expect("fits");
    order(&mut state, wanted("c1", Scope::Agent(id("a1")), 500_000));
    tightened(&mut state, Scope::Global, TradingState::Halted);
    let bytes = |state: &State| {
        let mut bytes = Vec::new();
        state.canonical(|_| [0; 32], |piece| bytes.extend_from_slice(piece));
        bytes
    };
    let restored = State::restore(state.limits().clone(), state.stored()).expect("sound");
    assert_eq!(restored.commands, state.commands);
    assert_eq!(bytes(&restored), bytes(&state));
    let holding = restored.account(&id("alice")).and_then(|own| own.holding(&id("P"))).expect("a holding");
    assert!(holding.is_traded_by(&Scope::Agent(id("a1"))) && holding.is_traded_by(&Scope::Pool(id("value"))));
}

#[test]
fn the_history_tells_the_last_changes_newest_first() {
    let mut state = state();
    state.limits_mut().commands.changes_kept_max = 2;
    tightened(&mut state, Scope::Agent(id("a1")), TradingState::Halted);
    order(&mut state, wanted("c1", Scope::Global, 0));
    let changes: Vec<_> = state.changes().map(|change| (change.epoch, change.scope.to_string())).collect();
    assert_eq!(changes, [(3, "global".to_owned()), (2, "agent:a1".to_owned())]);
    let newest = state.changes().next().expect("a change");
    assert_eq!((newest.changed_by.as_str(), newest.reason.as_str()), ("olga", "test"));
    assert_eq!((&newest.state, &newest.reduction), (&None, &Some(id("c1"))));
}
