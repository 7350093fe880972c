//! Tests of the context: what moves a probability, by how much, and what is refused.

use super::super::consensus::SHARP_WEIGHT;
use super::super::epl_trading::{Entry, epl_trading};
use super::super::fair_line::Book;
use super::super::plain_text::PlainText;
use super::super::scout::Quote;
use super::super::sentiment::{Entity, NewsItem, sentiment};
use super::*;
use crate::time::Timestamp;

fn books() -> Vec<Book> {
    vec![Book { bookmaker: "sharp".to_owned(), weight: SHARP_WEIGHT, odds: [2.00, 3.60, 4.20] }]
}

fn quote(ask: f64) -> Option<Quote> {
    Some(Quote { ask, ask_size: 500.0, bid: Some(ask - 0.01), age_ms: None })
}

fn run(context: &MatchContext) -> Result<ContextReport, ContextRefusal> {
    let books = books();
    let quotes = [quote(0.46), quote(0.29), quote(0.26)];
    let view = MatchView { phase: MatchPhase::PreMatch, books: &books, quotes };
    context_aware(&view, context, &EplTradingRules::default())
}

fn team(rest_days: f64, key_absences: u32) -> TeamContext {
    TeamContext { rest_days: Some(rest_days), key_absences }
}

/// The shift of one outcome by one feature.
fn shift(report: &ContextReport, outcome: Outcome, feature: Feature) -> Option<f64> {
    let [home, draw, away] = &report.attributions;
    let parts = outcome.of(&[home, draw, away]);
    parts.iter().find(|part| part.feature == feature).map(|part| part.shift)
}

#[test]
fn without_context_it_is_the_consensus() {
    let books = books();
    let quotes = [quote(0.46), quote(0.29), quote(0.26)];
    let view = MatchView { phase: MatchPhase::PreMatch, books: &books, quotes };
    let traded = epl_trading(&view, None, &EplTradingRules::default()).expect("priced");
    let report = run(&MatchContext::default()).expect("priced");
    assert_eq!(report.fair, traded.fair);
    assert_eq!(report.skipped, traded.skipped);
    let found: Vec<TradeIntent> = report.intents.iter().map(|intent| intent.intent).collect();
    assert_eq!(found, traded.intents);
    assert!((found[0].outcome, found[0].entry) == (Outcome::Home, Entry::Take), "{found:?}");
    let derby = run(&MatchContext { is_derby: true, ..MatchContext::default() }).expect("priced");
    assert_eq!((derby.fair, shift(&derby, Outcome::Home, Feature::Derby)), (report.fair, Some(0.0)));
}

#[test]
fn features_move_within_their_bounds() {
    let check = |home: TeamContext, away: TeamContext, rest: f64, absences: Option<f64>| {
        let report = run(&MatchContext { home, away, is_derby: false }).expect("priced");
        let got = shift(&report, Outcome::Home, Feature::Rest).expect("both rests are known");
        assert!((got - rest).abs() < 1e-12, "{got}");
        assert!((shift(&report, Outcome::Away, Feature::Rest).expect("known") + rest).abs() < 1e-12);
        assert_eq!(shift(&report, Outcome::Home, Feature::KeyAbsences).map(|s| (s * 1e9).round() / 1e9), absences);
        assert!(report.attributions[1].iter().all(|part| part.feature == Feature::Normalization));
    };
    check(team(5.0, 0), team(3.0, 0), 0.04, None);
    check(team(3.0, 1), team(5.0, 0), -0.04, Some(-0.08));
    check(team(10.0, 3), team(3.0, 0), 0.06, Some(-0.24));
    check(team(0.0, 4), team(60.0, 0), -0.06, Some(-0.25));
}

#[test]
fn attributions_explain_the_whole_move() {
    let context = MatchContext { home: team(3.0, 2), away: team(7.0, 1), is_derby: true };
    let report = run(&context).expect("priced");
    assert!((report.fair.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    assert!(report.fair[0] < report.consensus[0] && report.fair[1] > report.consensus[1]);
    for ((fair, consensus), parts) in report.fair.iter().zip(report.consensus).zip(&report.attributions) {
        let sum: f64 = parts.iter().map(|part| part.shift).sum();
        assert!((logit(*fair) - logit(consensus) - sum).abs() < 1e-12, "{parts:?}");
    }
    // Two missing players and less rest: 0.46 for the home win is no bargain any more.
    assert!(report.intents.iter().all(|found| found.intent.entry == Entry::Rest), "{:?}", report.intents);
    for ContextIntent { intent, attributions } in &report.intents {
        let [home, draw, away] = &report.attributions;
        assert_eq!(attributions, intent.outcome.of(&[home, draw, away]));
    }
    assert_eq!(run(&context), run(&context));
}

#[test]
fn missing_players_are_read_from_the_news() {
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let item = |id: &str, hours: i64, text: &str| NewsItem {
        id: id.into(),
        source_weight: 1.0,
        published_at: now.plus_millis(-3_600_000 * hours),
        text: PlainText::new(text),
    };
    let items = [
        item("1", 20, "Saka is ruled out with a hamstring problem"),
        item("2", 1, "Saka returned to training this morning and is fit again"),
        item("3", 5, "Rice serves a ban on Sunday"),
        item("4", 2, "White is in doubt after a knock"),
        item("5", 3, "Gabriel will miss the derby"),
        item("6", 2, "Gabriel is in doubt for the cup as well, they say"),
    ];
    let players = ["Saka", "Rice", "White", "Gabriel", "Raya"];
    let players = players.map(|name| Entity { name: name.into(), aliases: vec![name.into()] });
    let report = sentiment(&items, &players, now).expect("a report");
    assert_eq!(key_absences(&report.sentiments), 2, "Rice and Gabriel: {report:?}");
    assert_eq!(key_absences(&[]), 0);
}

#[test]
fn one_unknown_rest_says_nothing() {
    let home = TeamContext { rest_days: None, key_absences: 0 };
    let report = run(&MatchContext { home, away: team(7.0, 0), is_derby: false }).expect("priced");
    assert_eq!(report.fair, report.consensus);
    assert!(report.attributions.iter().all(Vec::is_empty), "{:?}", report.attributions);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let home = |home: TeamContext| run(&MatchContext { home, away: team(3.0, 0), is_derby: false });
    assert_eq!(home(team(-1.0, 0)), Err(ContextRefusal::InvalidRest { days: -1.0 }));
    assert_eq!(home(team(60.1, 0)), Err(ContextRefusal::InvalidRest { days: 60.1 }));
    assert!(matches!(home(team(f64::NAN, 0)), Err(ContextRefusal::InvalidRest { .. })));
    assert_eq!(home(team(3.0, 12)), Err(ContextRefusal::InvalidAbsences { absences: 12 }));
    let books = books();
    let bad = EplTradingRules { min_edge_bps: 0, ..EplTradingRules::default() };
    let view = MatchView { phase: MatchPhase::PreMatch, books: &books, quotes: [None; 3] };
    let refused = EplTradingRefusal::InvalidRule { name: "min_edge_bps" };
    let refused = Err(ContextRefusal::InvalidRules(refused));
    assert_eq!(context_aware(&view, &MatchContext::default(), &bad), refused);
    let phase = |phase, books| {
        let view = MatchView { phase, books, quotes: [quote(0.1); 3] };
        context_aware(&view, &MatchContext::default(), &EplTradingRules::default())
    };
    assert_eq!(phase(MatchPhase::InPlay, &books), Err(ContextRefusal::InPlay));
    assert_eq!(phase(MatchPhase::Finished, &books), Err(ContextRefusal::Finished));
    assert_eq!(phase(MatchPhase::PreMatch, &[]), Err(ContextRefusal::NoFairLine(FairLineError::NoBooks)));
}
