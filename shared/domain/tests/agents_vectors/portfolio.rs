//! Stakes on exclusive outcomes and the agent's risk figures, against figures computed by other code.

use super::close;
use super::reference::{list, number, numbers, vectors};
use tragen_domain::agents::epl_portfolio::{MatchHoldings, PortfolioRules, epl_portfolio};
use tragen_domain::agents::exclusive_kelly::{ExclusiveBet, exclusive_kelly};
use tragen_domain::agents::scout::MatchPhase;
use tragen_domain::id::MatchId;
use tragen_domain::money::{Money, ONE, Quantity};
use tragen_domain::position::Position;

#[test]
fn exclusive_stakes_are_those_of_the_reference() {
    let Some(reference) = vectors("kelly") else { return };
    let cases = list(&reference["exclusive"]);
    for case in cases {
        let bets: Vec<ExclusiveBet> = numbers(&case["p"])
            .into_iter()
            .zip(numbers(&case["odds"]))
            .map(|(probability, odds)| ExclusiveBet { probability, odds })
            .collect();
        let best = exclusive_kelly(&bets).expect("valid bets");
        for (stake, expected) in best.stakes.iter().zip(numbers(&case["stakes"])) {
            close(*stake, expected, &format!("stake of {case}"));
        }
        close(best.reserve, number(&case["reserve_rate"]), &format!("reserve of {case}"));
        close(best.growth, number(&case["growth"]), &format!("growth of {case}"));
    }
    println!("{} sets of stakes compared", cases.len());
    assert!(cases.len() >= 5);
}

fn micros(units: f64) -> i64 {
    format!("{units:.6}").parse::<Money>().expect("money").micros()
}

#[test]
fn risk_of_a_book_is_that_of_the_reference() {
    let Some(reference) = vectors("portfolio_risk") else { return };
    let expected = &reference["binary"];
    let matches: Vec<MatchHoldings<'_>> = list(&expected["positions"])
        .iter()
        .map(|position| {
            let held = numbers(&position["holdings"]);
            let total: f64 = held.iter().sum();
            // The cost is known in all; any split has the same profits.
            let of = |quantity: f64| Position {
                quantity: Quantity::from_micros(micros(quantity)),
                entry_notional: Money::from_micros(micros(number(&position["cost"]) * quantity / total)),
                ..Position::default()
            };
            MatchHoldings {
                id: MatchId::new(position["match"].as_str().expect("an id")).expect("an id"),
                teams: ["home", "away"],
                phase: MatchPhase::PreMatch,
                chances: numbers(&position["p"]).try_into().expect("three"),
                chances_phase: MatchPhase::PreMatch,
                positions: [of(held[0]), of(held[1]), of(held[2])],
                books: [None; 3],
                fee_rate: 0.0,
                lot: Quantity::from_micros(ONE),
            }
        })
        .collect();
    let capital = Money::from_micros(1_000 * ONE);
    let report = epl_portfolio(capital, &matches, &PortfolioRules::default()).expect("a valid book");
    for (risk, level) in [(report.risk_95, "0.95"), (report.risk_99, "0.99")] {
        let risk = risk.expect("three matches");
        let units = |money: Money| money.to_string().parse::<f64>().expect("a number");
        close(units(risk.value_at_risk), number(&expected["VaR"][level]), "VaR");
        close(units(risk.expected_shortfall), number(&expected["ES"][level]), "ES");
        close(units(risk.expected), number(&expected["expected_pnl"]), "expected");
    }
    assert!(report.intents.is_empty(), "nothing can be traded without books");
}
