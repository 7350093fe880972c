//! Tests of the portfolio agent: what it counts, and what it reduces.

use super::super::top_of_book::Offer;
use super::*;

fn money(text: &str) -> Money {
    text.parse().expect("money")
}

/// `quantity` contracts for `cost` in all (what was paid, for a short too).
fn position(quantity: i64, cost: &str) -> Position {
    let paid = money(cost);
    let entry_notional =
        if quantity < 0 { Money::from_micros(-quantity * ONE).minus(paid).expect("fits") } else { paid };
    Position { quantity: Quantity::from_micros(quantity * ONE), entry_notional, ..Position::default() }
}

fn book(bid: f64, ask: f64) -> Option<TopOfBook> {
    let offer = |price| Some(Offer { price, size: 1_000.0 });
    Some(TopOfBook { bid: offer(bid), ask: offer(ask), age_ms: 0 })
}

fn holdings(id: &str, chances: [f64; 3], positions: [Position; 3]) -> MatchHoldings<'static> {
    let [home, draw, away] = chances;
    MatchHoldings {
        id: MatchId::new(id).expect("an id"),
        teams: ["Arsenal", "Chelsea"],
        phase: MatchPhase::PreMatch,
        chances,
        chances_phase: MatchPhase::PreMatch,
        positions,
        books: [home, draw, away].map(|p| book(p - 0.01, p + 0.01)),
        fee_rate: 0.0,
        lot: Quantity::from_micros(ONE),
    }
}

fn home_win() -> MatchHoldings<'static> {
    holdings("ARS-CHE", [0.61, 0.22, 0.17], [position(100, "58"), Position::default(), Position::default()])
}

fn report(capital: &str, matches: &[MatchHoldings<'_>]) -> PortfolioReport {
    epl_portfolio(money(capital), matches, &PortfolioRules::default()).expect("a valid book")
}

#[test]
fn exposure_is_counted_by_match_team_and_outcome() {
    let liverpool = MatchHoldings {
        teams: ["Liverpool", "Arsenal"],
        ..holdings("LIV-ARS", [0.5, 0.3, 0.2], [Position::default(), position(50, "15"), position(-10, "8")])
    };
    let report = report("1000", &[home_win(), liverpool]);
    assert_eq!(report.matches[0].pnl, ["42", "-58", "-58"].map(money));
    // Draw: 50 - 15; no away win: 10 contracts of the opposite outcome pay 10 for 8.
    assert_eq!(report.matches[1].pnl, ["-13", "37", "-23"].map(money));
    assert_eq!(report.matches.iter().map(|m| m.at_risk).collect::<Vec<_>>(), [money("58"), money("23")]);
    assert_eq!(report.matches[0].share_ppm, Some(58_000));
    assert_eq!(report.by_outcome, ["58", "15", "8"].map(money));
    let arsenal = &report.teams[0];
    assert_eq!(
        (arsenal.team.as_str(), arsenal.if_it_wins, arsenal.if_it_loses),
        ("Arsenal", money("19"), money("-71"))
    );
    assert_eq!(report.teams.iter().map(|t| t.team.as_str()).collect::<Vec<_>>(), ["Arsenal", "Chelsea", "Liverpool"]);
    let risk = report.risk_95.expect("two matches");
    assert!(risk.value_at_risk >= money("58") && risk.expected_shortfall <= money("81"), "{risk:?}");
    assert!(report.intents.is_empty());
}

#[test]
fn match_above_a_fifth_is_shrunk_to_it() {
    let report = report("200", &[home_win()]);
    assert_eq!(report.matches[0].share_ppm, Some(290_000));
    let first = &report.intents[0];
    // 18 of 58 must go, that is 31.03 contracts of 0.58.
    assert_eq!((first.outcome, first.side, first.quantity.to_string().as_str()), (Outcome::Home, Side::Sell, "32"));
    assert_eq!((first.limit.to_string().as_str(), first.is_reduce_only), ("0.6", true));
    assert_eq!(first.reason, IntentReason::MatchShare { share_ppm: 290_000, limit_ppm: 200_000 });
}

#[test]
fn match_without_a_bid_is_left_and_a_short_is_bought_back() {
    let unsellable = MatchHoldings { books: [None, None, None], ..home_win() };
    assert!(report("200", &[unsellable]).intents.is_empty());
    let short =
        holdings("ARS-CHE", [0.61, 0.22, 0.17], [Position::default(), Position::default(), position(-50, "42")]);
    let intents = report("200", &[short]).intents;
    assert_eq!((intents[0].side, intents[0].outcome, intents[0].is_reduce_only), (Side::Buy, Outcome::Away, true));
}

#[test]
fn shortfall_is_cut_where_it_costs_least() {
    // Two matches of 150 each with 1,000: no match is above a fifth, but the book loses 300 in 15 % of all cases.
    let half = |id| holdings(id, [0.61, 0.22, 0.17], [position(250, "150"), Position::default(), Position::default()]);
    let matches = [half("A"), half("B")];
    let report = report("1000", &matches);
    assert!(report.risk_95.is_some_and(|risk| risk.expected_shortfall == money("300")));
    let last = report.intents.last().expect("trades");
    let IntentReason::Shortfall { after, .. } = last.reason else { panic!("{last:?}") };
    assert!(after <= money("200") && after > money("195"), "{after}");
    for intent in &report.intents {
        let IntentReason::Shortfall { before, after, paid } = intent.reason else { panic!("{intent:?}") };
        assert!(after < before && paid > Money::ZERO, "{intent:?}");
    }
}

#[test]
fn trades_leave_the_worst_case_better() {
    let wild = holdings("A", [0.4, 0.3, 0.3], [position(400, "180"), position(-90, "60"), position(30, "10")]);
    let report = report("300", &[wild]);
    assert!(!report.intents.is_empty() && report.intents.len() <= 10);
    let before = report.matches[0].pnl;
    let mut after = before;
    for intent in &report.intents {
        for (pnl, outcome) in after.iter_mut().zip(Outcome::ALL) {
            let pays = if outcome == intent.outcome { Price::from_micros(ONE) } else { Price::ZERO };
            let each = match intent.side {
                Side::Buy => pays.minus(intent.limit),
                Side::Sell => intent.limit.minus(pays),
            };
            *pnl = pnl.plus(each.expect("fits").times(intent.quantity, Rounding::Down).expect("fits")).expect("fits");
        }
    }
    assert!(after.iter().min() > before.iter().min(), "{before:?} {after:?} {:?}", report.intents);
}

#[test]
fn surplus_over_kelly_is_sold_and_an_edge_is_kept() {
    let rules = PortfolioRules::default();
    let intents = |chances: [f64; 3], bid: f64, capital: &str| {
        let books = [book(bid, bid + 0.02), None, None];
        let matches = [MatchHoldings { books, ..holdings("A", chances, home_win().positions) }];
        rebalance(money(capital), &matches, &rules).expect("valid")
    };
    // A bid of 0.65 for what is worth 0.61: everything goes.
    let all = intents([0.61, 0.22, 0.17], 0.65, "1000");
    assert_eq!((all[0].quantity.to_string().as_str(), all[0].is_reduce_only), ("100", true));
    // 0.61 against 0.50: a quarter of 0.22 of 1,000 buys 110 contracts: all are kept; of 500 it buys 55.
    assert!(intents([0.61, 0.22, 0.17], 0.50, "1000").is_empty());
    assert_eq!(intents([0.61, 0.22, 0.17], 0.50, "500")[0].quantity.to_string(), "45");
    assert_eq!(intents([0.61, 0.22, 0.17], 0.50, "0")[0].quantity.to_string(), "100");
}

#[test]
fn books_that_make_no_sense_are_refused() {
    let check = |matches: &[MatchHoldings<'_>], rules: PortfolioRules, expected: fn(&PortfolioRefusal) -> bool| {
        for refusal in [
            epl_portfolio(money("100"), matches, &rules).expect_err("refused"),
            rebalance(money("100"), matches, &rules).expect_err("refused"),
        ] {
            assert!(expected(&refusal), "{refusal:?}");
        }
    };
    let rules = PortfolioRules::default();
    let live = MatchHoldings { phase: MatchPhase::InPlay, ..home_win() };
    check(&[live], rules, |r| matches!(r, PortfolioRefusal::WrongPhase { index: 0, .. }));
    check(&[home_win(), home_win()], rules, |r| *r == PortfolioRefusal::DuplicateMatch { index: 1 });
    let unsure = MatchHoldings { chances: [0.6, 0.2, 0.1], ..home_win() };
    check(&[unsure], rules, |r| matches!(r, PortfolioRefusal::Match { index: 0, .. }));
    let unknown_fee = MatchHoldings { fee_rate: f64::NAN, ..home_win() };
    check(&[unknown_fee], rules, |r| *r == PortfolioRefusal::InvalidNumber { name: "fee_rate" });
    let no_lot = MatchHoldings { lot: Quantity::ZERO, ..home_win() };
    check(&[no_lot], rules, |r| *r == PortfolioRefusal::InvalidNumber { name: "lot" });
    let wild = PortfolioRules { kelly_multiplier: f64::NAN, ..rules };
    check(&[home_win()], wild, |r| *r == PortfolioRefusal::InvalidNumber { name: "kelly_multiplier" });
    let empty = report("100", &[]);
    assert_eq!((empty.risk_95, empty.matches.len(), empty.intents.len()), (None, 0, 0));
}
