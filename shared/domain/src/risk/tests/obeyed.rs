//! What a breaker wants is done, also after a guard died in the middle of it, and once.

use super::*;
use crate::risk::tests::limits::limited;

/// Alice is the house and holds 100 contracts of P.
fn house() -> State {
    let mut state = limited(|limits| {
        limits.house_accounts.insert(id("alice"));
        limits.commands.reductions_max = 1;
    });
    state.apply(posted("1000", 2, &[("P", "100")])).expect("fits");
    state
}

fn reduction_latch() -> Latch {
    Latch {
        kind: BreakerKind::PositionReduction,
        scope: Scope::Global,
        value: 50_000,
        threshold: 50_000,
        tripped_at: NOW,
        resume_from: NOW,
        until: None,
        is_reduction_ordered: false,
    }
}

fn trip(state: &mut State, latch: &Latch) {
    state.apply(Record::Breaker(Box::new(BreakerRecord::Tripped(latch.clone())))).expect("fits");
}

fn unobeyed(state: &State) -> Vec<BreakerKind> {
    state.unobeyed_breakers().map(|latch| latch.kind).collect()
}

fn wanted(name: &str, scope: Scope, is_house_only: bool) -> Reduce {
    Reduce {
        id: id(name),
        scope,
        instrument: None,
        is_house_only,
        factor_ppm: 500_000,
        driver: Driver::Workers,
        ordered_by: "test".to_owned(),
        reason: "test".to_owned(),
    }
}

fn order(state: &mut State, wanted: Reduce) -> crate::id::CommandId {
    let ordered = order_reduction(state, wanted, NOW).expect("accepted").expect("new");
    let own = ordered.id.clone();
    state.apply(Record::ReductionOrdered(Box::new(ordered))).expect("fits");
    own
}

#[test]
fn a_reduction_that_was_lost_is_still_to_be_ordered_and_one_that_was_ordered_never_again() {
    let mut state = house();
    let latch = reduction_latch();
    trip(&mut state, &latch);
    assert_eq!(unobeyed(&state), [BreakerKind::PositionReduction]);
    // Another breaker has put the scope into REDUCING: the reduction is due all the same.
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    assert_eq!(unobeyed(&state), [BreakerKind::PositionReduction]);
    let name = latch.reduction_id().expect("it reduces positions");
    assert_eq!(name.as_str(), format!("POSITION_REDUCTION-{}", NOW.micros()));
    order(&mut state, wanted(name.as_str(), Scope::Global, true));
    assert_eq!(unobeyed(&state), []);
    // Over and forgotten for newer ones, it is not ordered again.
    state.apply(Record::ReductionEnded { id: name.clone(), at: NOW }).expect("fits");
    for newer in ["r1", "r2"] {
        let newer = order(&mut state, wanted(newer, Scope::Account(id("bob")), false));
        state.apply(Record::ReductionEnded { id: newer, at: NOW }).expect("fits");
    }
    assert_eq!(state.reduction(&name), None);
    assert_eq!(unobeyed(&state), []);
    let restored = State::restore(state.limits().clone(), state.stored()).expect("sound");
    assert_eq!(unobeyed(&restored), [], "a snapshot knows it too");
    // The next trip is another one.
    trip(&mut state, &Latch { tripped_at: NOW.plus_millis(1), ..latch });
    assert_eq!(unobeyed(&state), [BreakerKind::PositionReduction]);
}

#[test]
fn a_reduction_of_an_operator_is_not_the_one_that_a_breaker_wants() {
    let mut state = house();
    trip(&mut state, &reduction_latch());
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    order(&mut state, wanted("r1", Scope::Global, true));
    assert_eq!(unobeyed(&state), [BreakerKind::PositionReduction]);
}

#[test]
fn a_state_that_is_told_again_takes_no_breaker_with_it() {
    let mut state = house();
    trip(&mut state, &Latch { kind: BreakerKind::Drawdown, ..reduction_latch() });
    for _ in ["first", "again"] {
        tightened(&mut state, Scope::Global, TradingState::Reducing);
        assert_eq!(unobeyed(&state), [BreakerKind::Drawdown]);
    }
}

#[test]
fn a_breaker_that_only_closes_owes_no_reduction() {
    let mut state = house();
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    trip(&mut state, &Latch { kind: BreakerKind::TotalLoss, ..reduction_latch() });
    assert_eq!(unobeyed(&state), []);
    assert_eq!(Latch { kind: BreakerKind::Drawdown, ..reduction_latch() }.reduction_id(), None);
}

#[test]
fn reductions_of_operators_keep_no_breaker_waiting() {
    let mut state = house();
    order(&mut state, wanted("r1", Scope::Account(id("alice")), false));
    let refused = order_reduction(&state, wanted("r2", Scope::Global, false), NOW);
    assert_eq!(refused, Err(ReductionRefused::TooManyReductions { limit: 1 }));
    order(&mut state, wanted("r2", Scope::Global, true));
}

#[test]
fn where_everything_may_be_opened_again_reductions_end() {
    let mut state = house();
    state.limits_mut().commands.reductions_max = 3;
    order(&mut state, wanted("all", Scope::Global, false));
    order(&mut state, wanted("one", Scope::Account(id("alice")), false));
    let flat = Reduce { driver: Driver::Operator, ..wanted("flat", Scope::Global, false) };
    order(&mut state, flat);
    let change = |to| ScopeState { state: to, ..tighten(&state, Scope::Global, to, "two", "over", NOW) };
    assert_eq!(reductions_ended_by(&state, &change(TradingState::Active)), [id("all")]);
    assert_eq!(reductions_ended_by(&state, &change(TradingState::Reducing)), []);
    assert_eq!(reductions_ended_by(&state, &change(TradingState::Halted)), []);
}

fn measure(state: &mut State, meter: &mut Meter) -> Taken {
    let taken = meter.take(state, NOW).expect("fits");
    for kept in &taken.kept {
        state.apply(Record::Breaker(Box::new(BreakerRecord::BaselineKept(kept.clone())))).expect("fits");
    }
    taken
}

/// What the next guard measures whose house is `accounts` in `currency`.
fn next_guard(before: &State, accounts: &[&str], currency: &str) -> (Taken, Option<BasisChange>) {
    let mut state = before.clone();
    state.limits_mut().house_accounts = accounts.iter().map(|name| id(name)).collect();
    state.limits_mut().measured_currency = id(currency);
    let taken = measure(&mut state, &mut Meter::default());
    let because = taken.kept.iter().find_map(|kept| kept.begun_because);
    (taken, because)
}

#[test]
fn baselines_begin_anew_with_other_accounts_or_another_currency() {
    let mut state = limited(|limits| {
        limits.house_accounts.insert(id("alice"));
    });
    let bob = Posted { account: id("bob"), ..posted_of(posted("500", 1, &[])) };
    state.apply(Record::Posted(Box::new(bob))).expect("fits");
    measure(&mut state, &mut Meter::default());
    // Alice has lost a tenth: the next guard knows it from the journal.
    state.apply(posted("900", 2, &[])).expect("fits");
    let (taken, because) = next_guard(&state, &["alice"], "USD");
    assert_eq!((taken.measured.map(|own| own.day_loss_ppm), because), (Some(100_000), None));
    // Bob's 500 are no profit that could hide it, and he alone is no loss of 500.
    for accounts in [&["alice", "bob"][..], &["bob"]] {
        let (taken, because) = next_guard(&state, accounts, "USD");
        let measured = taken.measured.map(|own| own.day_loss_ppm);
        assert_eq!((measured, because), (Some(0), Some(BasisChange::Accounts)), "{accounts:?}");
    }
    let (taken, because) = next_guard(&state, &["alice"], "EUR");
    assert_eq!((taken.measured.map(|own| own.day_loss_ppm), because), (Some(0), Some(BasisChange::Currency)));
}

fn posted_of(record: Record) -> Posted {
    let Record::Posted(posted) = record else { unreachable!("made by `posted`") };
    *posted
}

#[test]
fn a_reduction_that_is_not_through_is_ended_by_two_people() {
    let mut state = house();
    let own: crate::id::CommandId = order(&mut state, wanted("r1", Scope::Global, false));
    let propose = |state: &mut State, name: &str, reason: &str, now| {
        propose_end(state, &id(name), ("ann", reason), format!("token-{name}"), now).map(|own| own.token)
    };
    assert_eq!(propose(&mut state, "r1", " ", NOW), Err(EndRefused::ReasonMissing));
    assert_eq!(propose(&mut state, "r2", "stuck", NOW), Err(EndRefused::NotUnderWay));
    let token = propose(&mut state, "r1", "no quote for hours", NOW).expect("it is under way");
    let in_time = NOW.plus_millis(120_000);
    assert_eq!(confirm_end(&mut state, "another", "bob", in_time), Err(EndRefused::ProposalUnknown));
    assert_eq!(confirm_end(&mut state, &token, "ann", in_time), Err(EndRefused::SamePrincipal));
    let late = NOW.plus_millis(120_001);
    assert_eq!(confirm_end(&mut state.clone(), &token, "bob", late), Err(EndRefused::ProposalExpired));
    let ended = confirm_end(&mut state, &token, "bob", in_time).expect("two people");
    let expected =
        EndedReduction { reduction: own, ended_by: "ann+bob".to_owned(), reason: "no quote for hours".to_owned() };
    assert_eq!(ended, expected);
    assert_eq!(confirm_end(&mut state, &token, "bob", in_time), Err(EndRefused::ProposalUnknown), "used");
    // The place it took is free again, and it is not ended twice.
    let token = propose(&mut state, "r1", "again", NOW).expect("still under way");
    state.apply(Record::ReductionEnded { id: ended.reduction, at: NOW }).expect("fits");
    assert_eq!(confirm_end(&mut state, &token, "bob", NOW), Err(EndRefused::NotUnderWay));
    order(&mut state, wanted("r2", Scope::Global, false));
}

#[test]
fn so_many_ends_wait_at_most_and_what_has_expired_waits_no_more() {
    let mut state = house();
    state.limits_mut().resume_proposals_max = 1;
    order(&mut state, wanted("r1", Scope::Global, false));
    let mut propose = |now| propose_end(&mut state, &id("r1"), ("ann", "stuck"), "t".to_owned(), now).map(drop);
    assert_eq!(propose(NOW), Ok(()));
    assert_eq!(propose(NOW.plus_millis(120_000)), Err(EndRefused::TooManyProposals { limit: 1 }));
    assert_eq!(propose(NOW.plus_millis(120_001)), Ok(()));
}

/// P trades in fives at least, and alice holds `quantity`; what is left of a reduction to flat.
fn left(quantity: &str, resting: Option<&str>) -> (bool, Option<String>) {
    let mut state = limited(|_| {});
    let own = instrument("P", SettlementStyle::Prediction, ("0.01", "1"), "0.99");
    state.apply(Record::Instrument(Box::new(Instrument { min_quantity: micros("5"), ..own }))).expect("fits");
    state.apply(posted("1000", 2, &[("P", "100")])).expect("fits");
    let flat = Reduce { factor_ppm: 0, ..wanted("flat", Scope::Account(id("alice")), false) };
    order(&mut state, flat);
    if let Some(quantity) = resting {
        approve(&mut state, &named("exit", "P", Side::Sell, "0.5", quantity));
    }
    state.apply(posted("1000", 3, &[("P", quantity)])).expect("fits");
    let target = state.reduction(&id("flat")).expect("ordered").targets[0].clone();
    let slice = target.next_slice(&state).expect("fits").map(|slice| slice.quantity.to_string());
    (target.progress(&state).expect("fits").is_done, slice)
}

#[test]
fn what_is_less_than_the_smallest_order_is_left_once_nothing_is_pending() {
    assert_eq!(left("6", None), (false, Some("6".to_owned())));
    assert_eq!(left("5", None), (false, Some("5".to_owned())), "the smallest order is still one");
    assert_eq!(left("4", None), (true, None));
    assert_eq!(left("0", None), (true, None));
    // An order on its way may still fill: it is not over before it is.
    assert_eq!(left("4", Some("5")), (false, None));
    assert_eq!(left("9", Some("5")), (false, None), "the rest of 4 is no order");
    assert_eq!(left("10", Some("5")), (false, Some("5".to_owned())));
}

#[test]
fn limits_that_were_changed_come_back_from_a_snapshot_in_whatever_order_it_has_them() {
    let mut state = house();
    // Each step is sensible only after those before it; a snapshot has them sorted by name.
    let changes = [
        (LimitName::MonthLossHaltPpm, 400_000),
        (LimitName::DrawdownHaltPpm, 300_000),
        (LimitName::DayLossReducePpm, 200_000),
        (LimitName::AgentLossHaltPpm, 150_000),
    ];
    for (name, value) in changes {
        let (changed_by, reason) = ("ann+bob".to_owned(), "test".to_owned());
        let change = LimitChange { name, id: String::new(), value, changed_by, reason, changed_at: NOW };
        state.limits().rules.clone().set(name, "", value).expect("sensible at its time");
        state.apply(Record::LimitChanged(Box::new(change))).expect("fits");
    }
    // The next guard starts with what is configured.
    let configured = Limits { house_accounts: state.limits().house_accounts.clone(), ..Limits::default() };
    let restored = State::restore(configured, state.stored()).expect("sound");
    for (name, value) in changes {
        assert_eq!(restored.limits().rules.all(name), Some(value), "{}", name.as_str());
    }
}

#[test]
fn so_many_changed_accounts_are_checked_at_once_and_none_is_forgotten() {
    let mut state = limited(|_| {});
    for number in 0..5 {
        let own = Posted { account: id(&format!("account-{number}")), ..posted_of(posted("1", 1, &[])) };
        state.apply(Record::Posted(Box::new(own))).expect("fits");
    }
    // Alice is the sixth.
    for left in [4, 2, 0, 0] {
        check_touched(&mut state, 2).expect("sound");
        assert_eq!(state.touched.len(), left);
    }
    assert_eq!(check_listed(&state), Ok(()));
}

#[test]
fn a_refused_end_has_its_code() {
    let codes = [
        (EndRefused::ProposalUnknown, "PROPOSAL_UNKNOWN"),
        (EndRefused::ProposalExpired, "PROPOSAL_EXPIRED"),
        (EndRefused::SamePrincipal, "SAME_PRINCIPAL"),
        (EndRefused::ReasonMissing, "REASON_MISSING"),
        (EndRefused::NotUnderWay, "REDUCTION_NOT_UNDER_WAY"),
        (EndRefused::TooManyProposals { limit: 1 }, "TOO_MANY_PROPOSALS"),
    ];
    for (refused, code) in codes {
        assert_eq!(refused.as_str(), code);
    }
}
