//! How long a mandate takes to decide: all books of one match to a wish and its size.
//!
//! `cargo run --release -p tragen-domain --example mandate_rate`

use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use tragen_domain::agents::{
    consensus::{SHARP_WEIGHT, SOFT_WEIGHT},
    context_aware::{MatchContext, TeamContext},
    fair_line::Book,
    mandate::{MandateAgent, MandateInputs, MandateRules, wish},
    scout::{MatchPhase, MatchView, Quote},
    sizing::{Mandate, mandate_contracts},
};

/// Bookmakers that the files know.
const BOOKS: u32 = 15;
const ROUNDS: u32 = 20_000;

fn main() {
    let books: Vec<Book> = (0..BOOKS)
        .map(|n| Book {
            bookmaker: format!("book {n}"),
            weight: if n == 0 { SHARP_WEIGHT } else { SOFT_WEIGHT },
            odds: [2.0, 3.6, 4.2].map(|odds| odds * (1.0 - f64::from(n) * 0.002)),
        })
        .collect();
    let quote = |ask: f64| Some(Quote { ask, ask_size: 500.0, bid: Some(ask - 0.01), age_ms: Some(10) });
    let view =
        MatchView { phase: MatchPhase::PreMatch, books: &books, quotes: [quote(0.45), quote(0.29), quote(0.26)] };
    let rules = MandateRules { fee_rate: 0.03, min_edge_bps: 500, kelly_multiplier: 0.25 };
    let team = |rest: f64| TeamContext { rest_days: Some(rest), key_absences: 1 };
    let inputs = MandateInputs {
        model: Some([0.5, 0.26, 0.24]),
        context: MatchContext { home: team(7.0), away: team(4.0), is_derby: false },
    };
    for agent in [MandateAgent::Scout, MandateAgent::EplTrading, MandateAgent::ContextAware] {
        let decide = || {
            let wish = wish(agent, black_box(&view), black_box(&inputs), &rules).ok()?;
            mandate_contracts(&Mandate {
                kelly_fraction: wish.max_fraction,
                capital: 1_000.0,
                wallet: 1_000.0,
                budget: 50.0,
                ask: wish.opportunity.ask,
                fee: wish.opportunity.priced.fee,
                ask_size: wish.opportunity.ask_size,
            })
            .ok()
        };
        assert!(decide().is_some_and(|size| size.contracts > 0), "{}: nothing is bought", agent.as_str());
        let timed = (0..ROUNDS).map(|_| {
            let one = Instant::now();
            black_box(decide());
            one.elapsed()
        });
        let mut timed: Vec<Duration> = timed.collect();
        timed.sort_unstable();
        let mean = timed.iter().sum::<Duration>() / ROUNDS;
        // A busy machine takes the processor away now and then: the median does not see it.
        let median = timed.get(timed.len() / 2).copied().unwrap_or_default();
        println!("{}: {BOOKS} books, {mean:?} a decision in the mean, {median:?} in the median", agent.as_str());
    }
}
