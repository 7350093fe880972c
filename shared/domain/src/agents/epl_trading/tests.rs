//! Orders for one match, and what is refused.

use super::super::consensus::SHARP_WEIGHT;
use super::super::fair_line::Book;
use super::*;

/// Fair: 49.4 / 27.3 / 23.3 %.
fn books() -> Vec<Book> {
    vec![Book { bookmaker: "sharp".to_owned(), weight: SHARP_WEIGHT, odds: [2.0, 3.6, 4.2] }]
}

fn quote(ask: f64) -> Option<Quote> {
    Some(Quote { ask, ask_size: 500.0, bid: Some(ask - 0.01), age_ms: None })
}

fn run(
    quotes: [Option<Quote>; 3],
    model: Option<[f64; 3]>,
    rules: &EplTradingRules,
) -> Result<EplTradingReport, EplTradingRefusal> {
    let books = books();
    epl_trading(&MatchView { phase: MatchPhase::PreMatch, books: &books, quotes }, model, rules)
}

#[test]
fn cheap_asks_are_taken_and_others_are_bid_for() {
    let report = run([quote(0.46), quote(0.30), None], None, &EplTradingRules::default()).expect("a line");
    assert_eq!(report.fair, report.consensus);
    let [take, draw, away] = report.intents.as_slice() else { panic!("{report:?}") };
    assert_eq!((take.outcome, take.entry, take.limit), (Outcome::Home, Entry::Take, Price::from_micros(460_000)));
    assert!((take.cost - 0.467_452).abs() < 1e-9 && take.edge_ratio > 0.05 && take.ttl_secs == TAKE_TTL_SECS);
    // A quarter of (0.494 - 0.467) / 0.533.
    assert!(take.max_fraction > 0.01 && take.max_fraction < 0.0135, "{}", take.max_fraction);
    // Resting bids: 0.233 - 0.05 and 0.273 - 0.05, on whole cents, the better return first.
    assert_eq!((draw.outcome, draw.entry, draw.limit), (Outcome::Away, Entry::Rest, Price::from_micros(180_000)));
    assert_eq!((away.outcome, away.entry, away.limit), (Outcome::Draw, Entry::Rest, Price::from_micros(220_000)));
    for intent in &report.intents {
        assert!(intent.max_fraction > 0.0 && intent.max_fraction <= MAX_WALLET_SHARE && intent.side == Side::Buy);
        assert!(intent.edge_ratio >= 0.05);
    }
}

#[test]
fn the_model_moves_fair_by_its_weight() {
    let quotes = [quote(0.48), quote(0.30), quote(0.30)];
    let fair = |weight: f64, model: [f64; 3]| {
        let rules = EplTradingRules { model_weight: weight, ..EplTradingRules::default() };
        run(quotes, Some(model), &rules).expect("a line").fair
    };
    let model = [0.6, 0.2, 0.2];
    let (none, some, all) = (fair(0.0, model), fair(0.1, model), fair(1.0, model));
    assert!(none[0] < some[0] && some[0] < all[0]);
    assert!((all[0] - 0.6).abs() < 1e-12 && some[0] - none[0] < 0.02, "{none:?} {some:?}");
}

#[test]
fn every_outcome_without_an_order_has_a_reason() {
    let rules = EplTradingRules::default();
    let reasons = |quotes: [Option<Quote>; 3], rules: &EplTradingRules| {
        let report = run(quotes, None, rules).expect("a line");
        assert_eq!(report.intents.len() + report.skipped.len(), 3);
        report.skipped
    };
    // 0.494 for 0.20 is no gift.
    let gift = reasons([quote(0.20), quote(0.30), quote(0.30)], &rules);
    assert!(matches!(gift[0], (Outcome::Home, NoIntent::Quote(SkipReason::EdgeImplausible { .. }))));
    let crossed = Some(Quote { ask: 0.46, ask_size: 10.0, bid: Some(0.47), age_ms: None });
    let crossed = reasons([crossed, quote(0.30), quote(0.30)], &rules);
    assert!(matches!(crossed[0], (Outcome::Home, NoIntent::Quote(SkipReason::Crossed { .. }))));
    let timid = EplTradingRules { min_edge_bps: 2_300, ..rules };
    let below = reasons([None, None, None], &timid);
    assert!(matches!(below[..], [(Outcome::Away, NoIntent::BidBelowTick { .. })]), "{below:?}");
    // With a fee of a third, an ask far below fair is too dear to take, and a bid would take it.
    let dear = EplTradingRules { fee_rate: 0.33, ..rules };
    let takes = reasons([quote(0.43), quote(0.30), quote(0.30)], &dear);
    assert!(matches!(takes[..], [(Outcome::Home, NoIntent::WouldTake { .. })]), "{takes:?}");
}

#[test]
fn what_cannot_be_priced_is_refused() {
    let books = books();
    let check = |phase: MatchPhase, books: &[Book], expected: fn(&EplTradingRefusal) -> bool| {
        let refused = epl_trading(&MatchView { phase, books, quotes: [None; 3] }, None, &EplTradingRules::default());
        assert!(refused.as_ref().is_err_and(expected), "{refused:?}");
    };
    check(MatchPhase::InPlay, &books, |r| *r == EplTradingRefusal::InPlay);
    check(MatchPhase::Finished, &books, |r| *r == EplTradingRefusal::Finished);
    check(MatchPhase::PreMatch, &[], |r| matches!(r, EplTradingRefusal::NoFairLine(_)));
    let rule = |rules: EplTradingRules| run([None; 3], None, &rules).expect_err("a bad rule");
    let base = EplTradingRules::default();
    let named = |name| EplTradingRefusal::InvalidRule { name };
    assert_eq!(rule(EplTradingRules { model_weight: f64::NAN, ..base }), named("model_weight"));
    assert_eq!(rule(EplTradingRules { tick: Price::from_micros(0), ..base }), named("tick"));
    assert_eq!(rule(EplTradingRules { min_edge_bps: 0, ..base }), named("min_edge_bps"));
    assert_eq!(rule(EplTradingRules { fee_rate: 1.0, ..base }), named("fee_rate"));
    assert_eq!(rule(EplTradingRules { kelly_multiplier: -0.1, ..base }), named("kelly_multiplier"));
    let impossible = run([None; 3], Some([1.0, 0.0, 0.0]), &base);
    assert!(matches!(impossible, Err(EplTradingRefusal::NoPool(_))));
}
