//! Tests of the scout: which quotes it takes, and why it leaves the others.

use super::super::consensus::SHARP_WEIGHT;
use super::*;

fn sharp_book() -> Vec<Book> {
    vec![Book { bookmaker: "Pinnacle".to_owned(), weight: SHARP_WEIGHT, odds: [2.00, 3.60, 4.20] }]
}

fn quote(ask: f64, ask_size: f64) -> Option<Quote> {
    Some(Quote { ask, ask_size, bid: Some(ask - 0.01), age_ms: None })
}

fn run(quotes: [Option<Quote>; 3]) -> ScoutReport {
    let books = sharp_book();
    let view = MatchView { phase: MatchPhase::PreMatch, books: &books, quotes };
    scout(&view, &ScoutRules::default()).expect("a pre-match match with a book is priced")
}

#[test]
fn example_of_the_docstring_is_found() {
    let report = run([quote(0.46, 500.0), quote(0.29, 500.0), quote(0.26, 500.0)]);
    let [found] = report.opportunities.as_slice() else { panic!("{:?}", report.opportunities) };
    assert_eq!((found.outcome, report.books_used, report.skipped.len()), (Outcome::Home, 1, 2));
    assert!((found.fair_probability - 0.494_072_871_9).abs() < 1e-9, "{}", found.fair_probability);
    assert!((found.priced.cost - 0.467_452).abs() < 1e-12);
    assert!((found.priced.edge - (found.fair_probability - 0.467_452)).abs() < 1e-12);
    assert!((found.priced.edge_ratio - 0.056_9).abs() < 1e-3, "{}", found.priced.edge_ratio);
    assert!((found.liquidity_score - 0.23).abs() < 1e-12);
    assert!((found.priced.kelly - found.priced.edge / (1.0 - found.priced.cost)).abs() < 1e-12);
}

#[test]
fn best_return_comes_first_and_liquidity_is_capped() {
    let report = run([quote(0.455, 1e6), quote(0.247, 100.0), quote(0.25, 100.0)]);
    let order: Vec<Outcome> = report.opportunities.iter().map(|found| found.outcome).collect();
    assert_eq!(order, [Outcome::Draw, Outcome::Home], "{report:?}");
    assert!((report.opportunities[1].liquidity_score - 1.0).abs() < 1e-12);
    assert_eq!(report.best_edge_ratio(), Some(report.opportunities[0].priced.edge_ratio));
}

#[test]
fn every_market_left_out_has_a_reason() {
    let check = |home: Option<Quote>, expected: fn(&SkipReason) -> bool| {
        let report = run([home, None, None]);
        assert!(report.opportunities.is_empty() && report.skipped.len() == 3, "{report:?}");
        let (outcome, reason) = &report.skipped[0];
        assert!(*outcome == Outcome::Home && expected(reason), "{reason:?}");
        assert_eq!(report.skipped[1], (Outcome::Draw, SkipReason::NoQuote));
    };
    // The fee takes the edge: 0.47 looks 5.1 % cheap but costs 0.4775, which is 3.5 %.
    check(
        quote(0.47, 100.0),
        |reason| matches!(reason, SkipReason::EdgeBelowMinimum { edge_ratio, .. } if *edge_ratio > 0.0),
    );
    check(quote(0.30, 100.0), |reason| matches!(reason, SkipReason::EdgeImplausible { .. }));
    check(quote(0.44, 0.0), |reason| matches!(reason, SkipReason::InvalidSize { .. }));
    check(quote(1.0, 100.0), |reason| matches!(reason, SkipReason::Unpriceable(KellyError::InvalidPrice { .. })));
    for bid in [0.44, 0.45, f64::NAN] {
        let crossed = Quote { ask: 0.44, ask_size: 100.0, bid: Some(bid), age_ms: None };
        check(Some(crossed), |reason| matches!(reason, SkipReason::Crossed { .. }));
    }
    assert_eq!(run([None, None, None]).best_edge_ratio(), None);
    assert!(run([quote(0.47, 100.0), quote(0.30, 1.0), None]).best_edge_ratio().is_some_and(|edge| edge > 0.0));
}

#[test]
fn quote_without_a_bid_can_be_bought() {
    let lonely = Quote { ask: 0.44, ask_size: 100.0, bid: None, age_ms: None };
    assert_eq!(run([Some(lonely), None, None]).opportunities.len(), 1);
}

#[test]
fn match_that_cannot_be_priced_is_refused() {
    let books = sharp_book();
    let check = |phase: MatchPhase, books: &[Book], expected: ScoutRefusal| {
        let view = MatchView { phase, books, quotes: [quote(0.10, 1e4); 3] };
        assert_eq!(scout(&view, &ScoutRules::default()), Err(expected));
    };
    check(MatchPhase::InPlay, &books, ScoutRefusal::InPlay);
    check(MatchPhase::Finished, &books, ScoutRefusal::Finished);
    check(MatchPhase::PreMatch, &[], ScoutRefusal::NoFairLine(FairLineError::NoBooks));
}

#[test]
fn same_view_gives_the_same_report() {
    let quotes = [quote(0.44, 500.0), quote(0.26, 500.0), quote(0.21, 500.0)];
    assert_eq!(run(quotes), run(quotes));
}

#[test]
fn old_quotes_are_not_bought_and_cheap_asks_are_flagged() {
    let aged = |age_ms: i64| Some(Quote { age_ms: Some(age_ms), ..quote(0.46, 500.0).expect("a quote") });
    let fresh = run([aged(60_000), quote(0.29, 500.0), None]);
    assert_eq!((fresh.opportunities.len(), fresh.opportunities[0].age_ms), (1, Some(60_000)));
    let stale = run([aged(60_001), None, None]);
    assert_eq!(stale.skipped[0], (Outcome::Home, SkipReason::Stale { age_ms: 60_001, limit_ms: 60_000 }));
    // 0.494 - 0.46 is more than two points; 0.273 - 0.29 is not.
    assert_eq!((fresh.flagged, stale.flagged), (vec![Outcome::Home], vec![Outcome::Home]));
    assert_eq!(run([quote(0.475, 1.0), None, None]).flagged, []);
    let found = fresh.opportunities[0];
    assert!((found.expected_closing_line_value - 0.75 * found.priced.edge_ratio).abs() < 1e-12);
    assert_eq!(fresh.by_method[0].method, DevigMethod::Shin);
    assert_eq!(fresh.by_method[0].probabilities, fresh.fair);
}

#[test]
fn a_match_past_its_kick_off_is_never_one_to_come_and_the_later_of_two_words_counts() {
    let check = |status: MatchStatus, kickoff: i64, at: i64, expected: MatchPhase| {
        let (kickoff, at) = (Timestamp::from_micros(kickoff), Timestamp::from_micros(at));
        assert_eq!(MatchPhase::of(status, kickoff, at), expected, "{status:?} {kickoff:?} {at:?}");
    };
    check(MatchStatus::Scheduled, 1_000, 999, MatchPhase::PreMatch);
    check(MatchStatus::Scheduled, 1_000, 1_000, MatchPhase::InPlay);
    check(MatchStatus::Scheduled, 0, i64::MAX, MatchPhase::PreMatch);
    check(MatchStatus::InPlay, 1_000, 999, MatchPhase::InPlay);
    check(MatchStatus::Finished, 1_000, 0, MatchPhase::Finished);
    assert!(MatchPhase::PreMatch < MatchPhase::InPlay && MatchPhase::InPlay < MatchPhase::Finished);
}
