//! How long a mandate takes at the worker: from market-data's answer with all books of one match to the order for the
//! guard, as bytes to bytes. The questions to market-data and the ledger themselves are not in it.
//!
//! `cargo run --release -p tragen-agent-worker --example mandate_rate`

use prost::Message as _;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use tragen_agent_worker::match_wish::{rationale, rules_of, taking, wished};
use tragen_contracts::v1;
use tragen_domain::{
    agents::{
        bettor::{Purse, bet_size},
        context_aware::{MatchContext, TeamContext},
        mandate::{MandateAgent, MandateInputs},
        personality::{AnalysisStyle, Personality},
    },
    time::Timestamp,
};
use tragen_host::clock;

const MATCH: &str = "EPL-2026-ARS-MCI";
/// Bookmakers that the files know.
const BOOKS: i64 = 15;
const ROUNDS: u32 = 20_000;

fn main() -> anyhow::Result<()> {
    let answer = v1::MarketAnswer { answer: Some(v1::market_answer::Answer::MatchSnapshot(snapshot())) };
    let answer = answer.encode_to_vec();
    let personality = Personality::new(5, AnalysisStyle::Value, 1)?;
    let team = |rest: f64| TeamContext { rest_days: Some(rest), key_absences: 1 };
    let inputs = MandateInputs {
        model: Some([0.5, 0.26, 0.24]),
        context: MatchContext { home: team(7.0), away: team(4.0), is_derby: false },
    };
    println!("{BOOKS} books, {} bytes in", answer.len());
    for agent in [MandateAgent::Scout, MandateAgent::EplTrading, MandateAgent::ContextAware] {
        let mut bytes_out = 0;
        let mut timed = Vec::new();
        for _ in 0..ROUNDS {
            let one = Instant::now();
            let out = decide(agent, black_box(&answer), black_box(&inputs), &personality);
            timed.push(one.elapsed());
            let out = black_box(out).ok_or_else(|| anyhow::anyhow!("{}: nothing is bought", agent.as_str()))?;
            bytes_out = out.len();
        }
        timed.sort_unstable();
        let mean = timed.iter().sum::<Duration>() / ROUNDS;
        // A busy machine takes the processor away now and then: the median does not see it.
        let at = |percent: usize| timed.get(timed.len() * percent / 100).copied().unwrap_or_default();
        let (median, p99) = (at(50), at(99));
        println!(
            "{}: {mean:?} in the mean, {median:?} in the median, {p99:?} in the 99th percentile, {bytes_out} bytes out",
            agent.as_str()
        );
    }
    Ok(())
}

/// What the worker's desk does with a match and an account that it has asked for.
fn decide(agent: MandateAgent, answer: &[u8], inputs: &MandateInputs, personality: &Personality) -> Option<Vec<u8>> {
    let answer = v1::MarketAnswer::decode(answer).ok()?;
    let Some(v1::market_answer::Answer::MatchSnapshot(snapshot)) = answer.answer else { return None };
    let rules = rules_of(personality, &snapshot);
    let now = Timestamp::from_micros(clock::now_micros());
    let wish = wished(agent, &snapshot, inputs, &rules, now).ok()?;
    let purse = Purse { capital: 1_000.0, wallet: 1_000.0, budget: 50.0 };
    let size = bet_size(&wish.opportunity, wish.max_fraction, &purse).ok()?;
    let terms = taking(&snapshot, &wish, size.contracts, "00000000-0000-7000-8000-000000000001-o")?;
    let order = v1::OrderProposed {
        terms: Some((&terms).into()),
        agent: agent.as_str().to_owned(),
        pool: "value".to_owned(),
        rationale: rationale(&wish, size),
        ..v1::OrderProposed::default()
    };
    let kind = Some(v1::proposal::Kind::Order(order));
    (size.contracts > 0).then(|| v1::Proposal { kind, ..v1::Proposal::default() }.encode_to_vec())
}

/// The match with a home win that is worth about 0.49 and offered at 0.45.
fn snapshot() -> v1::MatchSnapshot {
    let book = |number: i64| v1::BookOdds {
        bookmaker: format!("book {number}"),
        home_odds_micros: 2_000_000 - number * 4_000,
        draw_odds_micros: 3_600_000 - number * 7_200,
        away_odds_micros: 4_200_000 - number * 8_400,
        is_sharp: number == 0,
    };
    let instrument = |outcome: &str| v1::Instrument {
        instrument_id: format!("{MATCH}-{outcome}"),
        settlement_style: v1::SettlementStyle::Prediction.into(),
        currency: "USD".into(),
        taker_fee_ppm: 30_000,
        status: v1::InstrumentStatus::Open.into(),
        match_id: MATCH.into(),
        outcome: outcome.into(),
        ..v1::Instrument::default()
    };
    let quote = |(outcome, ask): (&str, i64)| v1::Quote {
        instrument_id: format!("{MATCH}-{outcome}"),
        bid_price_micros: ask - 20_000,
        bid_quantity_micros: 500_000_000,
        ask_price_micros: ask,
        ask_quantity_micros: 500_000_000,
        published_at_micros: clock::now_micros(),
        ..v1::Quote::default()
    };
    v1::MatchSnapshot {
        r#match: Some(v1::Match {
            match_id: MATCH.into(),
            home: "Arsenal".into(),
            away: "Man City".into(),
            status: v1::MatchStatus::Scheduled.into(),
            ..v1::Match::default()
        }),
        books: (0..BOOKS).map(book).collect(),
        instruments: ["HOME", "DRAW", "AWAY"].map(instrument).to_vec(),
        quotes: [("HOME", 450_000), ("DRAW", 290_000), ("AWAY", 260_000)].map(quote).to_vec(),
        ..v1::MatchSnapshot::default()
    }
}
