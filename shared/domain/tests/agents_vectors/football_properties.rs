//! What the football agents promise whatever feeds and histories look like.

use proptest::{collection::vec, option, prelude::*};
use tragen_domain::agents::{
    epl_trading::{Entry, EplTradingRefusal, EplTradingRules, epl_trading},
    fair_line::{Book, Outcome},
    fair_market::{MarketBook, fair_market},
    football::{FitRules, History, MatchDay, MatchRow, Score, ScoreGrid, Season, fit},
    scout::{MatchPhase, MatchView, Quote, ScoutRules, scout},
    sizing::MAX_WALLET_SHARE,
    steam::{OddsPoint, SteamRules, steam},
};
use tragen_domain::{money::Price, time::Timestamp};

/// Odds or a price that a broken feed may send.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        12 => 1.01..12.0_f64,
        6 => 0.0..1.0_f64,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(-1.0),
        1 => Just(1e300),
        1 => Just(1e-300),
    ]
}

fn any_book() -> impl Strategy<Value = Book> {
    let odds = [any_number(), any_number(), any_number()];
    let fair = (1.2..6.0_f64, 2.5..6.0_f64, 1.2..6.0_f64).prop_map(|(home, draw, away)| [home, draw, away]);
    (prop_oneof![3 => fair, 1 => odds], prop_oneof![8 => 1.0..3.0_f64, 1 => any_number()])
        .prop_map(|(odds, weight)| Book { bookmaker: "book".to_owned(), weight, odds })
}

fn any_quote() -> impl Strategy<Value = Option<Quote>> {
    let cents = (1..99_u32).prop_map(|cents| f64::from(cents) / 100.0);
    let ask = prop_oneof![6 => cents, 1 => any_number()];
    let quote = (ask, any_number(), option::of(any_number()), option::of(0..90_000_i64));
    option::of(quote.prop_map(|(ask, ask_size, bid, age_ms)| Quote { ask, ask_size, bid, age_ms }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn orders_of_a_match_are_safe_whatever_the_feed(
        books in vec(any_book(), 0..5),
        quotes in [any_quote(), any_quote(), any_quote()],
        model in option::of([0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64]),
        min_edge_bps in 1..2_000_u32,
    ) {
        let view = MatchView { phase: MatchPhase::PreMatch, books: &books, quotes };
        let rules = EplTradingRules { min_edge_bps, max_edge_bps: 3_000, ..EplTradingRules::default() };
        if let Ok(report) = epl_trading(&view, model, &rules) {
            prop_assert!((report.fair.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let named = report.intents.iter().map(|i| i.outcome).chain(report.skipped.iter().map(|(o, _)| *o));
            let mut named: Vec<Outcome> = named.collect();
            named.sort_unstable();
            prop_assert_eq!(named, Outcome::ALL);
            for intent in &report.intents {
                prop_assert!(intent.limit > Price::from_micros(0) && intent.limit < Price::from_micros(1_000_000));
                prop_assert!(intent.max_fraction >= 0.0 && intent.max_fraction <= MAX_WALLET_SHARE);
                prop_assert!(intent.edge_ratio >= f64::from(min_edge_bps) / 10_000.0, "{:?}", intent);
                let ask = intent.outcome.of(&quotes).map_or(f64::INFINITY, |quote| quote.ask);
                prop_assert!((intent.entry == Entry::Take) == (intent.cost >= ask), "{:?} {}", intent, ask);
            }
        }
        for (phase, refusal) in
            [(MatchPhase::InPlay, EplTradingRefusal::InPlay), (MatchPhase::Finished, EplTradingRefusal::Finished)]
        {
            prop_assert_eq!(epl_trading(&MatchView { phase, ..view }, model, &rules), Err(refusal));
        }
        if let Ok(report) = scout(&view, &ScoutRules::default()) {
            prop_assert_eq!(report.opportunities.len() + report.skipped.len(), 3);
            for line in report.by_method {
                prop_assert!((line.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn markets_and_moves_never_break(
        odds in vec(vec(any_number(), 0..7), 0..5),
        points in vec((0..3_usize, 0..60_i64, [any_number(), any_number(), any_number()]), 0..12),
    ) {
        let book = |odds: &Vec<f64>| MarketBook { bookmaker: "book".to_owned(), weight: 1.0, odds: odds.clone() };
        let books: Vec<MarketBook> = odds.iter().map(book).collect();
        if let Ok(market) = fair_market(&books) {
            prop_assert!((market.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert_eq!(market.books_used + market.dropped.len(), books.len());
        }
        let names = ["a", "b", "c"];
        let points: Vec<OddsPoint<'_>> = points
            .iter()
            .map(|(book, minute, odds)| OddsPoint {
                bookmaker: names[*book],
                at: Timestamp::from_micros(minute * 60_000_000),
                odds: *odds,
            })
            .collect();
        let report = steam(&points, Timestamp::from_micros(45 * 60_000_000), &SteamRules::default());
        for moved in &report.moves {
            prop_assert!(moved.bookmakers.len() >= 2 && moved.mean_shift.abs() >= 0.15, "{:?}", moved);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_history_fits_or_says_why_not(
        scores in vec((0..7_u8, 0..7_u8), 150),
        ridge in prop_oneof![Just(0.0), Just(10.0)],
    ) {
        // Twelve teams, each against each other; wild results and teams that never score are possible.
        let pairs = (0..12_i32).flat_map(|home| (0..12_i32).map(move |away| (home, away))).filter(|(h, a)| h != a);
        let rows: Vec<MatchRow> = pairs
            .zip(0..)
            .zip(&scores)
            .map(|(((home, away), number), (x, y))| MatchRow {
                day: MatchDay::from_days(20_000 + number),
                season: Season::beginning(2024),
                home: format!("team {home:02}"),
                away: format!("team {away:02}"),
                score: Some(Score { home: *x, away: *y }),
            })
            .collect();
        let history = History::new(&rows).expect("valid");
        let rules = FitRules { ridge, ..FitRules::default() };
        if let Ok(fit) = fit(&history, MatchDay::from_days(20_200), &rules) {
            for m in history.matches() {
                let rates = fit.rates(m.home, m.away).expect("in the fit");
                prop_assert!(rates.home.is_finite() && rates.away.is_finite() && rates.rho.is_finite());
                let covariance = fit.covariance(m.home, m.away).expect("in the fit");
                prop_assert!((0..3).all(|i| covariance[i][i].is_finite() && covariance[i][i] >= 0.0));
                if let Ok(grid) = ScoreGrid::new(rates) {
                    let outcomes = grid.outcomes();
                    prop_assert!((outcomes.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                    prop_assert!(outcomes.iter().all(|p| *p >= 0.0));
                }
            }
        }
    }
}
