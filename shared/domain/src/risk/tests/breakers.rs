//! Every breaker at its threshold and one below it; latches, pauses, resets.

use super::*;
use crate::portfolio::{BaselineFigures, Baselines};

fn watched() -> State {
    let mut state = State::new(Limits::default());
    let active = tighten(&state, Scope::Global, TradingState::Active, "test", "test", NOW);
    state.apply(Record::ScopeChanged(active)).expect("fits");
    state
}

fn reading(kind: BreakerKind, scope: &Scope, value: i64) -> Reading {
    Reading { kind, scope: scope.clone(), value: Some(value) }
}

/// Does what the guard does with events: journals and applies them.
fn obey(state: &mut State, events: &[BreakerEvent], now: Timestamp) {
    for event in events {
        match event {
            BreakerEvent::Tripped(latch) => {
                state.apply(Record::Breaker(Box::new(BreakerRecord::Tripped(latch.clone())))).expect("fits");
                if let Some(to) = latch.kind.effect().state() {
                    let change = tighten(state, latch.scope.clone(), to, "breaker", latch.kind.as_str(), now);
                    state.apply(Record::ScopeChanged(change)).expect("fits");
                }
            }
            BreakerEvent::Extended(latch) => {
                state.apply(Record::Breaker(Box::new(BreakerRecord::Tripped(latch.clone())))).expect("fits");
            }
            BreakerEvent::Ended(latch) => {
                state
                    .apply(Record::Breaker(Box::new(BreakerRecord::Ended {
                        kind: latch.kind,
                        scope: latch.scope.clone(),
                    })))
                    .expect("fits");
            }
            BreakerEvent::Rearmed { kind, scope } => {
                state
                    .apply(Record::Breaker(Box::new(BreakerRecord::Ended { kind: *kind, scope: scope.clone() })))
                    .expect("fits");
            }
            BreakerEvent::Warned { .. } => {}
        }
    }
}

fn tripped(events: &[BreakerEvent]) -> Vec<BreakerKind> {
    let kinds = events.iter().filter_map(|event| match event {
        BreakerEvent::Tripped(latch) => Some(latch.kind),
        BreakerEvent::Extended(_)
        | BreakerEvent::Ended(_)
        | BreakerEvent::Rearmed { .. }
        | BreakerEvent::Warned { .. } => None,
    });
    kinds.collect()
}

#[test]
fn every_breaker_trips_at_its_threshold_and_not_below() {
    let agent = Scope::Agent(id("a1"));
    let cases = [
        (BreakerKind::Drawdown, Scope::Global, 100_000, TradingState::Halted),
        (BreakerKind::MonthLoss, Scope::Global, 150_000, TradingState::Halted),
        (BreakerKind::TotalLoss, Scope::Global, 50_000, TradingState::Reducing),
        (BreakerKind::PositionReduction, Scope::Global, 50_000, TradingState::Reducing),
        (BreakerKind::Correlation, Scope::Global, 900_000, TradingState::Reducing),
        (BreakerKind::AgentLoss, agent.clone(), 30_000, TradingState::Halted),
        (BreakerKind::ConsecutiveLosses, agent, 5, TradingState::Halted),
        (BreakerKind::VenueFailures, Scope::Global, 100_000, TradingState::Active),
        (BreakerKind::PriceJump, Scope::Instrument(id("P")), 80_000, TradingState::Active),
        (BreakerKind::Memory, Scope::Global, 900_000, TradingState::Active),
        (BreakerKind::StaleFeed, Scope::Instrument(id("P")), 5_000, TradingState::Active),
    ];
    for (kind, scope, threshold, expected) in cases {
        let mut state = watched();
        state.limits_mut().rules.set(kind.limit(), "", threshold).expect("sensible");
        let mut watch = Watch::default();
        let below = watch.evaluate(&state, &[reading(kind, &scope, threshold - 1)], NOW);
        assert_eq!(tripped(&below), [], "{kind:?} below");
        let undefined = Reading { kind, scope: scope.clone(), value: None };
        assert_eq!(watch.evaluate(&state, &[undefined], NOW), [], "{kind:?} undefined");
        let events = watch.evaluate(&state, &[reading(kind, &scope, threshold)], NOW);
        assert_eq!(tripped(&events), [kind]);
        obey(&mut state, &events, NOW);
        assert_eq!(state.state_of(&scope), expected, "{kind:?}");
        let latch = state.breakers().latch(kind, &scope).expect("latched");
        assert_eq!((latch.value, latch.threshold), (threshold, threshold));
        // Latched: it trips once.
        assert_eq!(watch.evaluate(&state, &[reading(kind, &scope, threshold * 2)], NOW), [], "{kind:?} again");
        state.limits_mut().rules.set(kind.limit(), "", 0).expect("sensible");
        let mut off = watched();
        off.limits_mut().rules.set(kind.limit(), "", 0).expect("sensible");
        assert_eq!(watch.evaluate(&off, &[reading(kind, &scope, threshold * 2)], NOW), [], "{kind:?} off");
    }
}

#[test]
fn what_trips_together_is_handled_hardest_first() {
    let mut watch = Watch::default();
    let agent = Scope::Agent(id("a1"));
    let readings = [
        reading(BreakerKind::Memory, &Scope::Global, 950_000),
        reading(BreakerKind::AgentLoss, &agent, 200_000),
        reading(BreakerKind::Correlation, &Scope::Global, 700_000),
        reading(BreakerKind::PositionReduction, &Scope::Global, 110_000),
        reading(BreakerKind::TotalLoss, &Scope::Global, 110_000),
        reading(BreakerKind::Drawdown, &Scope::Global, 110_000),
    ];
    let events = watch.evaluate(&watched(), &readings, NOW);
    let expected = [
        BreakerKind::Drawdown,
        BreakerKind::TotalLoss,
        BreakerKind::PositionReduction,
        BreakerKind::AgentLoss,
        BreakerKind::Memory,
    ];
    assert_eq!(tripped(&events), expected);
    assert!(matches!(events.last(), Some(BreakerEvent::Warned { kind: BreakerKind::Correlation, .. })));
}

#[test]
fn each_warning_is_told_once_a_day_and_a_jump_tells_the_higher_one() {
    let state = watched();
    let mut watch = Watch::default();
    let mut level = |value, now| {
        let events = watch.evaluate(&state, &[reading(BreakerKind::Drawdown, &Scope::Global, value)], now);
        match events.as_slice() {
            [] => None,
            [BreakerEvent::Warned { level, .. }] => Some(level.percent()),
            other => panic!("{other:?}"),
        }
    };
    let tomorrow = NOW.plus_millis(86_400_000);
    let steps = [
        (69_999, NOW, None),
        (70_000, NOW, Some(70)),
        (89_999, NOW, None),
        (90_000, NOW, Some(90)),
        (75_000, NOW, None),
        (95_000, NOW, None),
        (95_000, tomorrow, Some(90)),
        (75_000, tomorrow, None),
    ];
    for (value, now, expected) in steps {
        assert_eq!(level(value, now), expected, "{value}");
    }
}

#[test]
fn a_pause_denies_what_opens_and_is_looked_at_again_after_its_time() {
    let mut state = super::limits::limited(|_| {});
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    let mut watch = Watch::default();
    let failing = |value| reading(BreakerKind::VenueFailures, &Scope::Global, value);
    let events = watch.evaluate(&state, &[failing(120_000)], NOW);
    obey(&mut state, &events, NOW);
    let buy = proposed("P", Side::Buy, "0.5", "1");
    check(&state, &buy, Some((DenialReason::VenuePaused, 100_000, 120_000)));
    check(&state, &proposed("P", Side::Sell, "0.5", "10"), None);
    // Nothing happens before its time, whatever the value.
    let at = |secs: i64| NOW.plus_millis(secs * 1_000);
    assert_eq!(watch.evaluate(&state, &[failing(0)], at(299)), []);
    // But for a clock that has stepped back: its pause would last too long.
    assert_eq!(watch.clone().evaluate(&state, &[failing(0)], at(0)), []);
    let ended = watch.clone().evaluate(&state, &[failing(0)], at(-1));
    assert!(matches!(ended.as_slice(), [BreakerEvent::Ended(_)]), "{ended:?}");
    let extended = watch.clone().evaluate(&state, &[failing(120_000)], at(-3_600));
    assert!(matches!(extended.as_slice(), [BreakerEvent::Extended(latch)] if latch.until == Some(at(-3_300))));
    // Somebody has tightened the limit meanwhile.
    state.limits_mut().rules.set(LimitName::VenueFailuresPausePpm, "", 90_000).expect("sensible");
    let at_edge = watch.clone().evaluate(&state, &[failing(90_000)], at(300));
    assert!(matches!(at_edge.as_slice(), [BreakerEvent::Extended(_)]), "{at_edge:?}");
    let below = watch.clone().evaluate(&state, &[failing(89_999)], at(300));
    assert!(matches!(below.as_slice(), [BreakerEvent::Ended(_)]), "{below:?}");
    let extended = watch.evaluate(&state, &[failing(100_000)], at(300));
    assert!(matches!(extended.as_slice(), [BreakerEvent::Extended(latch)] if latch.until == Some(at(600))));
    let newest = |event: &BreakerEvent| match event {
        BreakerEvent::Extended(own) => (own.value, own.threshold) == (100_000, 90_000),
        BreakerEvent::Tripped(_)
        | BreakerEvent::Ended(_)
        | BreakerEvent::Rearmed { .. }
        | BreakerEvent::Warned { .. } => false,
    };
    assert!(extended.iter().all(newest), "it tells the newest value and limit: {extended:?}");
    obey(&mut state, &extended, at(300));
    let ended = watch.evaluate(&state, &[failing(89_999)], at(600));
    assert!(matches!(ended.as_slice(), [BreakerEvent::Ended(_)]), "{ended:?}");
    obey(&mut state, &ended, at(600));
    check(&state, &buy, None);
    // A pause whose value is not read any more ends as well.
    let jump = Scope::Instrument(id("P"));
    state.limits_mut().rules.set(LimitName::PriceJumpPausePpm, "", 50_000).expect("sensible");
    let events = watch.evaluate(&state, &[reading(BreakerKind::PriceJump, &jump, 60_000)], NOW);
    obey(&mut state, &events, NOW);
    check(&state, &buy, Some((DenialReason::PricePaused, 50_000, 60_000)));
    check(&state, &proposed("H", Side::Buy, "0.5", "1"), None);
    assert_eq!(watch.evaluate(&state, &[], at(299)), []);
    // What is read of another instrument says nothing of this one.
    let another = reading(BreakerKind::PriceJump, &Scope::Instrument(id("H")), 0);
    let ended = watch.evaluate(&state, &[another], at(300));
    obey(&mut state, &ended, at(300));
    check(&state, &buy, None);
}

#[test]
fn a_trip_is_told_once_under_one_name_and_a_refusal_has_its_code() {
    let latch = Latch {
        kind: BreakerKind::AgentLoss,
        scope: Scope::Agent(id("a1")),
        value: 30_000,
        threshold: 30_000,
        tripped_at: NOW,
        resume_from: NOW,
        until: None,
        is_reduction_ordered: false,
    };
    let expected = format!("breaker-AGENT_LOSS-{}-{}", latch.scope, NOW.micros());
    assert_eq!(latch.event_id(), expected);
    let kind = BreakerKind::Drawdown;
    assert_eq!(ResetRefused::Cooldown { kind, left_ms: 1 }.as_str(), "BREAKER_COOLDOWN");
    assert_eq!(ResetRefused::StillHigh { kind, value: 1, limit: 1 }.as_str(), "BREAKER_HIGH");
    assert_eq!(ResetRefused::ValueUnknown { kind }.as_str(), "BREAKER_VALUE_UNKNOWN");
    assert_eq!(ReductionRefused::FactorOutOfRange { factor_ppm: 1 }.as_str(), "FACTOR_OUT_OF_RANGE");
    assert_eq!(ReductionRefused::CommandReused.as_str(), "COMMAND_REUSED");
    assert_eq!(ReductionRefused::TooManyReductions { limit: 1 }.as_str(), "TOO_MANY_REDUCTIONS");
    assert_eq!(ReductionRefused::OutOfRange.as_str(), "QUANTITY_OUT_OF_RANGE");
}

#[test]
fn a_breaker_that_people_reset_stays_until_they_do() {
    let mut state = watched();
    let mut watch = Watch::default();
    let loss = |value| reading(BreakerKind::Drawdown, &Scope::Global, value);
    let events = watch.evaluate(&state, &[loss(120_000)], NOW);
    obey(&mut state, &events, NOW);
    let hour = NOW.plus_millis(3_600_000);
    watch.evaluate(&state, &[loss(90_000)], hour);
    let resume = |state: &State, watch: &Watch, text: &str, now| {
        state.breakers().check_resume((&Scope::Global, TradingState::Reducing), watch, text, now)
    };
    assert!(matches!(resume(&state, &watch, "", NOW), Err(ResetRefused::Cooldown { left_ms: 3_600_000, .. })));
    assert!(matches!(resume(&state, &watch, "", hour), Err(ResetRefused::StillHigh { limit: 80_000, .. })));
    let acknowledged = resume(&state, &watch, "the feed was wrong", hour).expect("overridden");
    let expected = Acknowledged { kind: BreakerKind::Drawdown, scope: Scope::Global, value: 90_000 };
    assert_eq!(acknowledged, std::slice::from_ref(&expected));
    // Another scope has nothing to do with it.
    let other = (&Scope::Pool(id("value")), TradingState::Active);
    assert_eq!(state.breakers().check_resume(other, &watch, "", NOW), Ok(Vec::new()));

    state.apply(Record::Breaker(Box::new(BreakerRecord::Acknowledged(expected)))).expect("fits");
    let looser = ScopeState {
        state: TradingState::Reducing,
        ..tighten(&state, Scope::Global, TradingState::Halted, "ann+bob", "override", hour)
    };
    state.apply(Record::ScopeChanged(looser)).expect("fits");
    assert_eq!(state.breakers().latches().count(), 0);
    // It trips again when it gets worse by a fifth of the threshold, or after it was low.
    assert_eq!(tripped(&watch.evaluate(&state, &[loss(109_999)], hour)), []);
    assert_eq!(tripped(&watch.evaluate(&state, &[loss(110_000)], hour)), [BreakerKind::Drawdown]);
    let rearmed = watch.evaluate(&state, &[loss(79_999)], hour);
    assert!(matches!(rearmed.as_slice(), [BreakerEvent::Rearmed { .. }]), "{rearmed:?}");
    obey(&mut state, &rearmed, hour);
    assert_eq!(tripped(&watch.evaluate(&state, &[loss(100_000)], hour)), [BreakerKind::Drawdown]);
}

#[test]
fn a_loss_of_the_day_lasts_until_the_next_and_one_of_the_month_until_the_next() {
    let mut watch = Watch::default();
    // 14 November 2023, 22:13:20 UTC.
    let readings = [
        reading(BreakerKind::TotalLoss, &Scope::Global, 50_000),
        reading(BreakerKind::MonthLoss, &Scope::Global, 150_000),
    ];
    let events = watch.evaluate(&watched(), &readings, NOW);
    let resume_from = |kind| {
        let of = |event: &BreakerEvent| match event {
            BreakerEvent::Tripped(latch) if latch.kind == kind => Some(latch.resume_from),
            BreakerEvent::Tripped(_)
            | BreakerEvent::Extended(_)
            | BreakerEvent::Ended(_)
            | BreakerEvent::Rearmed { .. }
            | BreakerEvent::Warned { .. } => None,
        };
        events.iter().find_map(of).expect("tripped")
    };
    assert_eq!(resume_from(BreakerKind::TotalLoss), Timestamp::from_micros(1_700_006_400_000_000));
    assert_eq!(resume_from(BreakerKind::MonthLoss), Timestamp::from_micros(1_701_388_800_000_000));
    // Late in the day the cooldown is longer.
    let late = NOW.plus_millis(6_000_000);
    let events = watch.evaluate(&watched(), &readings[..1], late);
    assert!(matches!(&events[0], BreakerEvent::Tripped(latch) if latch.resume_from == late.plus_millis(3_600_000)));
}

#[test]
fn the_house_opens_nothing_while_its_losses_are_not_known_or_too_large() {
    let mut state = super::limits::limited(|limits| {
        limits.house_accounts.insert(id("alice"));
    });
    let buy = proposed("P", Side::Buy, "0.5", "1");
    check(&state, &buy, Some((DenialReason::EquityUnknown, 5_000, i64::MAX)));
    let measured = Measured { day_loss_ppm: 0, month_loss_ppm: 0, drawdown_ppm: 0, measured_at: NOW };
    let mut with = |measured: Measured, expected| {
        state.apply(Record::Breaker(Box::new(BreakerRecord::Measured(measured)))).expect("fits");
        check(&state, &buy, expected);
    };
    let at = |micros: i64| Measured { measured_at: Timestamp::from_micros(NOW.micros() - micros), ..measured };
    with(at(5_000_000), None);
    with(at(5_000_001), Some((DenialReason::EquityUnknown, 5_000, 5_001)));
    with(Measured { day_loss_ppm: 49_999, ..measured }, None);
    with(Measured { day_loss_ppm: 50_000, ..measured }, Some((DenialReason::DayLossLimit, 50_000, 50_000)));
    with(Measured { month_loss_ppm: 149_999, ..measured }, None);
    with(Measured { month_loss_ppm: 150_000, ..measured }, Some((DenialReason::MonthLossLimit, 150_000, 150_000)));
    with(Measured { drawdown_ppm: 99_999, ..measured }, None);
    with(Measured { drawdown_ppm: 100_000, ..measured }, Some((DenialReason::DrawdownLimit, 100_000, 100_000)));
    // Who is not the house trades on, and closing is always possible.
    let mut user = super::limits::limited(|_| {});
    check(&user, &buy, None);
    user.apply(Record::Breaker(Box::new(BreakerRecord::Measured(Measured { drawdown_ppm: 500_000, ..measured }))))
        .expect("fits");
    check(&user, &buy, None);
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    check(&state, &proposed("P", Side::Sell, "0.5", "10"), None);
}

#[test]
fn baselines_survive_in_what_is_kept() {
    let mut state = watched();
    let mut baselines = Baselines::starting_at(micros("100000"), NOW);
    baselines.observe(micros("96000"), NOW).expect("fits");
    let figures: BaselineFigures = baselines.figures();
    let basis = None;
    let payments = micros("100000");
    let kept = KeptBaseline { scope: Scope::Global, figures, payments, basis, begun_because: None };
    state.apply(Record::Breaker(Box::new(BreakerRecord::BaselineKept(kept.clone())))).expect("fits");
    assert_eq!(state.breakers().baseline(&Scope::Global), Some(&kept));
    let restored = Baselines::restored(&state.breakers().baseline(&Scope::Global).expect("kept").figures);
    assert_eq!(loss_ppm(&restored.expect("fits").day_loss()), 40_000);
}

/// Alice is the house and the account of agent a1; she holds 1,000 contracts bought at 0.5.
fn measured_world() -> (State, Meter) {
    let mut state = super::limits::limited(|limits| {
        limits.house_accounts.insert(id("alice"));
        limits.rules.set(LimitName::OpenRiskMaxPpm, "", 0).expect("sensible");
        limits.rules.set(LimitName::PoolExposureMaxPpm, "", 0).expect("sensible");
    });
    let mut meter = Meter::default();
    take(&mut state, &mut meter, NOW);
    let order = approve(&mut state, &proposed("P", Side::Buy, "0.5", "1000"));
    fill(&mut state, &order, 1, "0.5", "1000", TradeStatus::Filled);
    (state, meter)
}

fn take(state: &mut State, meter: &mut Meter, now: Timestamp) -> Taken {
    let taken = meter.take(state, now).expect("fits");
    for kept in &taken.payments {
        let record = BreakerRecord::PaymentsKept(kept.clone());
        state.apply(Record::Breaker(Box::new(record))).expect("fits");
    }
    for kept in &taken.kept {
        let record = BreakerRecord::BaselineKept(kept.clone());
        state.apply(Record::Breaker(Box::new(record))).expect("fits");
    }
    if let Some(measured) = taken.measured {
        state.apply(Record::Breaker(Box::new(BreakerRecord::Measured(measured)))).expect("fits");
    }
    taken
}

#[test]
fn what_the_house_has_lost_is_not_known_while_it_cannot_be_measured() {
    let (mut state, mut meter) = measured_world();
    let kinds = [BreakerKind::Drawdown, BreakerKind::MonthLoss, BreakerKind::TotalLoss, BreakerKind::PositionReduction];
    let known = |watch: &Watch| kinds.map(|kind| watch.value(kind, &Scope::Global).is_some());
    let mut watch = Watch::default();
    let taken = take(&mut state, &mut meter, NOW);
    watch.evaluate(&state, &taken.readings, NOW);
    assert_eq!(known(&watch), [true; 4]);
    let own = state.instrument(&id("P")).expect("listed").clone();
    let suspended = Instrument { status: InstrumentStatus::Suspended, ..own };
    state.apply(Record::Instrument(Box::new(suspended))).expect("fits");
    let taken = take(&mut state, &mut meter, NOW);
    assert!(taken.measured.is_none() && taken.house.is_none());
    watch.evaluate(&state, &taken.readings, NOW);
    assert_eq!(known(&watch), [false; 4], "a loss from before says nothing of now, so nothing is resumed by it");
}

fn value_of(taken: &Taken, kind: BreakerKind) -> Option<i64> {
    taken.readings.iter().find(|reading| reading.kind == kind).and_then(|reading| reading.value)
}

#[test]
fn equity_is_cash_and_positions_at_the_side_that_closes_them() {
    let (mut state, _) = measured_world();
    let equity = |state: &State| account_equity(state, &id("alice"), &usd(), NOW);
    // 500 of cash are left, 1,000 contracts are worth 490 at the bid.
    assert_eq!(equity(&state), Ok(micros("990")));
    state.apply(Record::Quote(quote("P", "0.4", "0.51"))).expect("fits");
    assert_eq!(equity(&state), Ok(micros("900")));
    // Sold but not posted: no buying power, but no loss either.
    let order = approve(&mut state, &named("t2", "P", Side::Sell, "0.4", "1000"));
    fill(&mut state, &order, 1, "0.4", "1000", TradeStatus::Filled);
    assert_eq!(equity(&state), Ok(micros("900")));
    // While nothing trades nobody bids: that is neither a loss nor a price.
    let mut suspended = state.clone();
    suspended.apply(posted("1000", 2, &[("H", "10")])).expect("fits");
    assert_eq!(equity(&suspended), Ok(micros("904.9")), "as before, and 10 at 0.49");
    let own = suspended.instrument(&id("H")).expect("listed").clone();
    let closed = Instrument { status: InstrumentStatus::Suspended, ..own };
    suspended.apply(Record::Instrument(Box::new(closed))).expect("fits");
    assert!(equity(&suspended).is_err());
    // What is held without a price cannot be measured.
    state.apply(posted("1000", 2, &[("X", "1")])).expect("fits");
    assert!(equity(&state).is_err());
}

#[test]
fn losses_are_measured_from_the_start_of_the_day() {
    let (mut state, mut meter) = measured_world();
    let taken = take(&mut state, &mut meter, NOW);
    assert_eq!(value_of(&taken, BreakerKind::TotalLoss), Some(10_000));
    assert_eq!(value_of(&taken, BreakerKind::AgentLoss), Some(0), "an agent is measured from when it first trades");
    state.apply(Record::Quote(quote("P", "0.45", "0.51"))).expect("fits");
    let taken = take(&mut state, &mut meter, NOW);
    for kind in [BreakerKind::TotalLoss, BreakerKind::PositionReduction, BreakerKind::MonthLoss, BreakerKind::Drawdown]
    {
        assert_eq!(value_of(&taken, kind), Some(50_000), "{kind:?}");
    }
    assert_eq!(state.breakers().measured().map(|measured| measured.day_loss_ppm), Some(50_000));
}

#[test]
fn a_deposit_hides_no_loss_and_a_withdrawal_is_none() {
    for (cash, flow) in [("1500", "1000"), ("100", "-400")] {
        let (mut state, mut meter) = measured_world();
        state.apply(Record::Quote(quote("P", "0.45", "0.51"))).expect("fits");
        take(&mut state, &mut meter, NOW);
        let Record::Posted(mut paid) = posted(cash, 2, &[]) else { unreachable!("made above") };
        paid.trade = Some(id("t"));
        paid.is_final = true;
        paid.balances[0].flow = micros(flow);
        paid.positions.push(PostedPosition {
            instrument: id("P"),
            quantity: micros("1000"),
            average_price: micros("0.5"),
            margin: Money::ZERO,
            version: 2,
        });
        state.apply(Record::Posted(paid)).expect("fits");
        take(&mut state, &mut meter, NOW);
        let kept = state.breakers().baseline(&Scope::Global).expect("kept");
        let lost = kept.figures.start_of_day.minus(kept.figures.drawdown.equity).expect("fits");
        assert_eq!(lost, micros("50"), "{flow} paid in");
    }
}

#[test]
fn a_restart_measures_from_the_same_baselines() {
    let (mut state, mut meter) = measured_world();
    state.apply(Record::Quote(quote("P", "0.45", "0.51"))).expect("fits");
    let before = take(&mut state, &mut meter, NOW);
    let mut restarted = Meter::default();
    let after = take(&mut state, &mut restarted, NOW);
    let losses = |taken: &Taken| {
        let own = taken.readings.iter().filter(|reading| reading.kind != BreakerKind::Correlation);
        own.cloned().collect::<Vec<_>>()
    };
    assert_eq!(losses(&after), losses(&before));
    assert_eq!(value_of(&after, BreakerKind::Drawdown), Some(50_000));
    assert_eq!(after.kept, [], "nothing has moved");
    // Payments that the guard before has journaled are in its baselines already.
    let kept = KeptPayments { account: id("alice"), currency: usd(), total: micros("70"), version: 1 };
    let record = |kept: &KeptPayments| Record::Breaker(Box::new(BreakerRecord::PaymentsKept(kept.clone())));
    state.apply(record(&kept)).expect("fits");
    let payments = |state: &State| state.account(&id("alice")).expect("known").payments(&usd());
    assert_eq!(payments(&state), (micros("70"), 1));
    state.apply(record(&KeptPayments { total: micros("5"), version: 0, ..kept })).expect("fits");
    assert_eq!(payments(&state), (micros("70"), 1), "an older one changes nothing");
}

#[test]
fn a_breaker_that_was_journaled_and_not_obeyed_is_still_to_be_obeyed() {
    let mut state = watched();
    let events = Watch::default().evaluate(&state, &[reading(BreakerKind::Drawdown, &Scope::Global, 120_000)], NOW);
    let [BreakerEvent::Tripped(latch)] = events.as_slice() else { panic!("{events:?}") };
    state.apply(Record::Breaker(Box::new(BreakerRecord::Tripped(latch.clone())))).expect("fits");
    assert_eq!(state.unobeyed_breakers().collect::<Vec<_>>(), [latch]);
    // Somebody tightens less than it wants: it is neither obeyed nor forgotten.
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    assert_eq!(state.unobeyed_breakers().collect::<Vec<_>>(), [latch]);
    tightened(&mut state, Scope::Global, TradingState::Halted);
    assert_eq!(state.unobeyed_breakers().count(), 0);
    assert_eq!(state.breakers().latches().count(), 1);
}

#[test]
fn a_snapshot_keeps_what_limits_and_breakers_remember() {
    let (mut state, mut meter) = measured_world();
    let configured = state.limits().clone();
    state.apply(Record::Quote(quote("P", "0.45", "0.51"))).expect("fits");
    take(&mut state, &mut meter, NOW);
    let change = LimitChange {
        name: LimitName::TradeMaxPpm,
        id: "alice".to_owned(),
        value: 70_000,
        changed_by: "olga".to_owned(),
        reason: "careful".to_owned(),
        changed_at: NOW,
    };
    state.apply(Record::LimitChanged(Box::new(change))).expect("fits");
    let events =
        Watch::default().evaluate(&state, &[reading(BreakerKind::VenueFailures, &Scope::Global, 100_000)], NOW);
    obey(&mut state, &events, NOW);

    let mut restored = State::restore(configured, state.stored()).expect("fits");
    assert_eq!(restored.limits().rules, state.limits().rules);
    assert_eq!(restored.breakers().latches().count(), 1);
    assert_eq!(restored.breakers().baseline(&Scope::Global), state.breakers().baseline(&Scope::Global));
    assert_eq!(restored.breakers().seats().collect::<Vec<_>>(), state.breakers().seats().collect::<Vec<_>>());
    // Once the ledger has told what is there, the house is what it was.
    restored.apply(posted("1000", 1, &[])).expect("fits");
    assert_eq!(restored.house(), state.house());
    let sorted = |state: &State| {
        let mut all: Vec<String> = state.memories().iter().map(|memory| format!("{memory:?}")).collect();
        all.sort();
        all
    };
    assert_eq!(sorted(&restored), sorted(&state));
}
