//! Tests of the live agent: when it leaves, how, and when it keeps still.

use super::*;

fn book(bid: f64, ask: f64) -> Option<TopOfBook> {
    let offer = |price| Some(Offer { price, size: 60.0 });
    Some(TopOfBook { bid: offer(bid), ask: offer(ask), age_ms: 100 })
}

/// 1-0 after an hour: 78 % home, 18 % draw, 4 % away. 100 home contracts are held at 0.50.
fn view() -> LiveView {
    LiveView {
        phase: MatchPhase::InPlay,
        rates: GoalRates { home: 1.5, away: 1.1 },
        state: MatchState { minutes_played: 60, home_goals: 1, ..MatchState::KICK_OFF },
        score_age_ms: 500,
        last_event: Some((LiveEvent::Goal, 15_000)),
        books: [book(0.77, 0.79), book(0.17, 0.19), book(0.03, 0.05)],
        held: [Some(Held { contracts: 100.0, cost: 0.50 }), None, None],
    }
}

#[track_caller]
fn home(view: &LiveView) -> LiveDecision {
    let report = live_trading(&InPlayModel::default(), view, &LiveRules::default()).expect("in play");
    assert_eq!(report.decisions[1], LiveDecision::Keep(KeepReason::NothingHeld));
    report.decisions[0]
}

#[test]
fn fairly_priced_holding_is_kept() {
    let LiveDecision::Keep(KeepReason::WithinBand { chance, proceeds }) = home(&view()) else { panic!() };
    assert!((chance - 0.775).abs() < 0.005 && proceeds.is_some_and(|p| (p - 0.764_687).abs() < 1e-9), "{proceeds:?}");
}

#[test]
fn overpaid_holding_is_sold_as_far_as_the_bid_goes() {
    let view = LiveView { books: [book(0.83, 0.85), book(0.17, 0.19), book(0.03, 0.05)], ..view() };
    let LiveDecision::Exit { reason: LeaveReason::TakeProfit { proceeds, .. }, contracts, limit } = home(&view) else {
        panic!("{:?}", home(&view))
    };
    assert!((proceeds - 0.825_767).abs() < 1e-9 && (contracts - 60.0).abs() < 1e-12);
    assert_eq!(limit, Some(0.83));
    // One cent less than needed: 0.80 brings 0.7952, which is 0.02 above 0.775 only just not.
    let view = LiveView { books: [book(0.79, 0.81), book(0.17, 0.19), book(0.03, 0.05)], ..view };
    assert!(matches!(home(&view), LiveDecision::Keep(KeepReason::WithinBand { .. })));
}

#[test]
fn fallen_holding_is_stopped() {
    let behind = MatchState { minutes_played: 75, away_goals: 1, ..MatchState::KICK_OFF };
    let view = LiveView { state: behind, books: [book(0.03, 0.05), book(0.18, 0.22), book(0.75, 0.79)], ..view() };
    let LiveDecision::Exit { reason: LeaveReason::Stop { chance, floor }, limit, .. } = home(&view) else {
        panic!("{:?}", home(&view))
    };
    assert!(chance < 0.04 && (floor - 0.35).abs() < 1e-12 && limit == Some(0.03));
}

#[test]
fn hedge_is_taken_where_it_keeps_more_than_a_sale() {
    let behind = MatchState { minutes_played: 75, away_goals: 1, ..MatchState::KICK_OFF };
    // Draw and away cost 0.2048 + 0.7350 with fees: 0.0601 is kept, a sale at 0.03 brings 0.0291.
    let books = [book(0.03, 0.05), book(0.18, 0.20), book(0.70, 0.73)];
    let LiveDecision::Hedge { contracts, legs, locked, .. } = home(&LiveView { state: behind, books, ..view() }) else {
        panic!()
    };
    assert!((locked - 0.059_287).abs() < 1e-9, "{locked}");
    assert_eq!((contracts, legs.map(|leg| leg.outcome)), (60.0, [Outcome::Draw, Outcome::Away]));
    assert_eq!(legs.map(|leg| leg.limit), [0.20, 0.73]);
    // Without a bid a worse hedge is still better than nothing; without asks there is no way out.
    let no_bid = TopOfBook { bid: None, ..books[0].expect("a book") };
    let asked = LiveView { state: behind, books: [Some(no_bid), books[1], books[2]], ..view() };
    assert!(matches!(home(&asked), LiveDecision::Hedge { .. }));
    let stuck = LiveView { books: [Some(no_bid), None, books[2]], ..asked };
    assert!(matches!(home(&stuck), LiveDecision::Keep(KeepReason::NoWayOut(LeaveReason::Stop { .. }))));
}

#[test]
fn hedged_holding_is_not_hedged_again() {
    let behind = MatchState { minutes_played: 75, away_goals: 1, ..MatchState::KICK_OFF };
    let books = [book(0.03, 0.05), book(0.18, 0.20), book(0.70, 0.73)];
    let of = |contracts: [f64; 3]| {
        let held = contracts.map(|contracts| Some(Held { contracts, cost: 0.5 }));
        let view = LiveView { state: behind, books, held, ..view() };
        live_trading(&InPlayModel::default(), &view, &LiveRules::default()).expect("in play").decisions
    };
    assert_eq!(of([100.0; 3]), [LiveDecision::Keep(KeepReason::Covered); 3]);
    // 60 of the 100 are covered: the other 40 are left.
    let [home, draw, away] = of([100.0, 60.0, 60.0]);
    assert!(matches!(home, LiveDecision::Hedge { contracts, .. } if contracts == 40.0), "{home:?}");
    assert_eq!([draw, away], [LiveDecision::Keep(KeepReason::Covered); 2]);
}

#[test]
fn nothing_is_done_for_fifteen_seconds_after_an_event() {
    let tempting = LiveView { books: [book(0.90, 0.91), book(0.17, 0.19), book(0.03, 0.05)], ..view() };
    for (since_ms, left_ms) in [(-3, 15_000), (0, 15_000), (14_999, 1)] {
        let view = LiveView { last_event: Some((LiveEvent::VideoCheck, since_ms)), ..tempting };
        let frozen = KeepReason::Frozen { event: LiveEvent::VideoCheck, left_ms };
        assert_eq!(home(&view), LiveDecision::Keep(frozen), "{since_ms}");
    }
    for last_event in [None, Some((LiveEvent::RedCard, 15_000))] {
        assert!(matches!(home(&LiveView { last_event, ..tempting }), LiveDecision::Exit { .. }));
    }
}

#[test]
fn stale_data_is_never_held_through() {
    let silent = LiveView { score_age_ms: 5_001, ..view() };
    let LiveDecision::Exit { reason, limit, .. } = home(&silent) else { panic!("{:?}", home(&silent)) };
    assert_eq!((reason, limit), (LeaveReason::StaleScore { age_ms: 5_001 }, Some(0.77)));
    assert!(matches!(home(&LiveView { score_age_ms: 5_000, ..view() }), LiveDecision::Keep(_)));
    // A book that cannot be trusted gives no limit.
    let stale = TopOfBook { age_ms: 5_001, ..book(0.77, 0.79).expect("a book") };
    for (home_book, expected) in [
        (Some(stale), LeaveReason::UnusableBook(QuoteFault::Stale { age_ms: 5_001, limit_ms: 5_000 })),
        (book(0.80, 0.79), LeaveReason::UnusableBook(QuoteFault::Crossed { bid: 0.80, ask: 0.79 })),
        (None, LeaveReason::NoBook),
    ] {
        let view = LiveView { books: [home_book, None, None], ..view() };
        let exit = LiveDecision::Exit { reason: expected, contracts: 100.0, limit: None };
        assert_eq!(home(&view), exit);
    }
}

#[test]
fn match_that_is_not_in_play_is_refused() {
    let check = |view: &LiveView, expected: fn(&LiveRefusal) -> bool| {
        let refusal = live_trading(&InPlayModel::default(), view, &LiveRules::default()).expect_err("refused");
        assert!(expected(&refusal), "{refusal:?}");
    };
    check(&LiveView { phase: MatchPhase::PreMatch, ..view() }, |refusal| *refusal == LiveRefusal::NotStarted);
    check(&LiveView { phase: MatchPhase::Finished, ..view() }, |refusal| *refusal == LiveRefusal::Finished);
    let unreadable = LiveView { rates: GoalRates { home: f64::NAN, away: 1.0 }, ..view() };
    check(&unreadable, |refusal| matches!(refusal, LiveRefusal::Unpriceable(_)));
    for (contracts, cost, field) in [(0.0, 0.5, "contracts"), (1.0, f64::NAN, "cost"), (1.0, 1.5, "cost")] {
        let view = LiveView { held: [None, None, Some(Held { contracts, cost })], ..view() };
        let refusal = live_trading(&InPlayModel::default(), &view, &LiveRules::default());
        assert!(matches!(refusal, Err(LiveRefusal::InvalidNumber { name, .. }) if name == field), "{refusal:?}");
    }
    let rules = LiveRules { stop: f64::NAN, ..LiveRules::default() };
    let refusal = live_trading(&InPlayModel::default(), &view(), &rules);
    assert!(matches!(refusal, Err(LiveRefusal::InvalidNumber { name: "stop", .. })));
}

#[test]
fn whoever_may_only_sell_never_hedges() {
    let behind = MatchState { minutes_played: 75, away_goals: 1, ..MatchState::KICK_OFF };
    let no_bid = TopOfBook { bid: None, ..book(0.03, 0.05).expect("a book") };
    let asked = |ways, home_book| {
        let view = LiveView { state: behind, books: [home_book, book(0.18, 0.20), book(0.70, 0.73)], ..view() };
        let rules = LiveRules { ways, ..LiveRules::default() };
        live_trading(&InPlayModel::default(), &view, &rules).expect("in play").decisions[0]
    };
    assert!(matches!(asked(WaysOut::SellOrHedge, book(0.03, 0.05)), LiveDecision::Hedge { .. }));
    let sold = asked(WaysOut::SellOnly, book(0.03, 0.05));
    assert!(matches!(sold, LiveDecision::Exit { limit: Some(0.03), .. }), "{sold:?}");
    let stuck = asked(WaysOut::SellOnly, Some(no_bid));
    assert!(matches!(stuck, LiveDecision::Keep(KeepReason::NoWayOut(LeaveReason::Stop { .. }))), "{stuck:?}");
}

#[test]
fn a_feed_that_has_died_is_left_at_market_and_ends_no_freeze_late() {
    let old = |age_ms| book(0.77, 0.79).map(|book| TopOfBook { age_ms, ..book });
    let dead = |age_ms, since_ms| {
        let last_event = Some((LiveEvent::Goal, since_ms));
        home(&LiveView { score_age_ms: age_ms, books: [old(age_ms), None, None], last_event, ..view() })
    };
    let exit =
        |age_ms| LiveDecision::Exit { reason: LeaveReason::StaleScore { age_ms }, contracts: 100.0, limit: None };
    assert_eq!(dead(5_001, 15_000), exit(5_001));
    // The goal was the last thing that the feed told: 2 s before it fell silent, by the clock of the match.
    assert!(matches!(dead(12_999, 2_000), LiveDecision::Keep(KeepReason::Frozen { left_ms: 1, .. })));
    assert_eq!(dead(13_000, 2_000), exit(13_000));
    // As long as it speaks its clock alone counts.
    assert!(matches!(dead(5_000, 14_999), LiveDecision::Keep(KeepReason::Frozen { left_ms: 1, .. })));
}
