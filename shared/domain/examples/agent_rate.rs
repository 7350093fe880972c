//! How fast the agents decide: bars with every bar style, matches in play, books of events, portfolios and what-ifs.
//!
//! `cargo run --release -p tragen-domain --example agent_rate [bars]`
//!
//! A bar is evaluated once per (style, instrument, timeframe); every agent on it then compares its position with the
//! signal and sizes an order when there is something to do. Both counts are shown.

use std::{hint::black_box, time::Instant};
use tragen_domain::{
    agents::{
        bar::{Bar, Ohlc},
        epl_portfolio::{MatchHoldings, PortfolioRules, epl_portfolio},
        implied_goals::{ClosingOdds, implied_goals},
        inplay::{GoalRates, InPlayModel, MatchState},
        live_trading::{Held, LiveRules, LiveView, live_trading},
        market_maker::{MarketMakerRules, QuotedMarket, quote},
        personality::{AnalysisStyle, Personality},
        rebalance::rebalance,
        scanner::{EventView, Listing, NoSide, ScannerRules, scan},
        scout::MatchPhase,
        top_of_book::{Offer, TopOfBook},
        trading::TradingRules,
    },
    id::{Currency, InstrumentId, MatchId},
    instrument::{Instrument, InstrumentStatus, SettlementStyle, SettlementTerms},
    money::{Money, ONE, Price, Quantity},
    position::Position,
};

const INSTRUMENTS: usize = 200;
const AGENTS: usize = 10_000;
const STYLES: [AnalysisStyle; 3] = [AnalysisStyle::Scalper, AnalysisStyle::Swing, AnalysisStyle::Conservative];

/// A repeatable sequence; the constants are Knuth's MMIX generator.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap_or_default() % limit
    }

    /// Evenly from 0 to below 1.
    fn share(&mut self) -> f64 {
        f64::from(self.below(1_000_000)) / 1e6
    }
}

/// One rule set on one instrument, and the agents on it.
struct Desk {
    rules: TradingRules,
    agents: Vec<(Personality, Quantity)>,
}

fn instrument() -> Instrument {
    let currency = Currency::new("USD").expect("a currency");
    Instrument {
        id: InstrumentId::new("X").expect("an id"),
        name: "X".to_owned(),
        settlement: SettlementTerms { style: SettlementStyle::Margined, currency, initial_margin_ppm: 33_333 },
        tick: Price::from_micros(10),
        lot: Quantity::from_micros(ONE),
        min_quantity: Quantity::from_micros(ONE),
        max_quantity: Quantity::from_micros(1_000_000 * ONE),
        min_price: Price::from_micros(10),
        max_price: Price::from_micros(1_000 * ONE),
        taker_fee_ppm: 0,
        status: InstrumentStatus::Open,
        prediction: None,
        max_quote_age_ms: None,
    }
}

/// Walks of every instrument: `count` bars each, opening at the close before, with a spread of 0.005 %.
fn walks(count: usize) -> Vec<Vec<Bar>> {
    let mut random = Sequence(7);
    let mut walk = |_| {
        let mut close = 1.0 + random.share();
        let mut next = |number: usize| {
            let open = close;
            close *= 1.0 + (random.share() - 0.5) * 0.002;
            let (high, low) = (open.max(close) * 1.000_2, open.min(close) * 0.999_8);
            let bar = Bar::from_mid(Ohlc { open, high, low, close }, close * 0.000_025).expect("a bar");
            bar.on_day(i64::try_from(number / 1_440).unwrap_or_default())
        };
        (0..count).map(&mut next).collect::<Vec<_>>()
    };
    (0..INSTRUMENTS).map(&mut walk).collect()
}

fn desks() -> Vec<Vec<Desk>> {
    let agents_each = AGENTS / INSTRUMENTS / STYLES.len();
    let extra = AGENTS - agents_each * INSTRUMENTS * STYLES.len();
    let mut left = extra;
    let mut desk = |style: AnalysisStyle| {
        let count = agents_each + usize::from(left > 0);
        left = left.saturating_sub(1);
        let agent = |number: usize| {
            let tolerance = u8::try_from(number % 10 + 1).unwrap_or(1);
            (Personality::new(tolerance, style, 100).expect("valid"), Quantity::ZERO)
        };
        Desk { rules: TradingRules::for_style(style).expect("a bar style"), agents: (0..count).map(agent).collect() }
    };
    (0..INSTRUMENTS).map(|_| STYLES.map(&mut desk).into_iter().collect()).collect()
}

fn bars(count: usize) {
    let (walks, mut desks, instrument) = (walks(count), desks(), instrument());
    let (mut rules, mut agents, mut orders) = (0_u64, 0_u64, 0_u64);
    let started = Instant::now();
    for number in 0..count {
        for (walk, of_instrument) in walks.iter().zip(&mut desks) {
            for desk in of_instrument {
                let signal = desk.rules.on_bar(&walk[number]);
                rules += 1;
                for (personality, position) in &mut desk.agents {
                    agents += 1;
                    if !signal.changed() && signal.closed.is_none() {
                        continue;
                    }
                    if let Some(order) = rebalance(personality, &instrument, &signal, 10_000.0, *position) {
                        let change = i64::try_from(order.side.signed(order.quantity)).unwrap_or_default();
                        *position = Quantity::from_micros(position.micros() + change);
                        orders += 1;
                    }
                }
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let per_minute = |count: u64| f64::from(u32::try_from(count / 1_000).unwrap_or(u32::MAX)) / 1e3 * 60.0 / seconds;
    println!(
        "bars: {AGENTS} agents, {INSTRUMENTS} instruments, {} styles, {count} bars each in {seconds:.2} s: {:.1} million \
         agent evaluations a minute, {:.1} million rule evaluations a minute ({:.0} ns each), {orders} orders sized",
        STYLES.len(),
        per_minute(agents),
        per_minute(rules),
        60_000.0 / per_minute(rules)
    );
}

/// Calls `run` for about a second; how long one call takes.
fn timed(name: &str, unit: &str, per_call: u32, mut run: impl FnMut(u32)) {
    let started = Instant::now();
    let mut calls = 0;
    while started.elapsed().as_millis() < 1_000 {
        for _ in 0..100 {
            run(calls);
            calls += 1;
        }
    }
    let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(calls);
    let rate = f64::from(per_call) * 1e6 / micros;
    println!("{name}: {micros:.2} us a call, {rate:.0} {unit} a second");
}

fn book(middle: f64) -> TopOfBook {
    let offer = |price| Some(Offer { price, size: 500.0 });
    TopOfBook { bid: offer(middle - 0.01), ask: offer(middle + 0.01), age_ms: 100 }
}

fn in_play() {
    let (model, rates) = (InPlayModel::default(), GoalRates { home: 1.5, away: 1.1 });
    let state = |minutes_played| MatchState { minutes_played, home_goals: 1, ..MatchState::KICK_OFF };
    for minutes in [0, 45, 80] {
        timed(&format!("in-play chances after {minutes} minutes"), "matches", 1, |_| {
            let _ = black_box(model.chances(black_box(rates), &state(minutes)));
        });
    }
    let view = LiveView {
        phase: MatchPhase::InPlay,
        rates,
        state: state(60),
        score_age_ms: 100,
        last_event: None,
        books: [Some(book(0.78)), Some(book(0.18)), Some(book(0.05))],
        held: [Some(Held { contracts: 100.0, cost: 0.5 }); 3],
    };
    timed("liveTradingAgent after 60 minutes", "matches", 1, |_| {
        let _ = black_box(live_trading(&model, black_box(&view), &LiveRules::default()));
    });
    let odds = ClosingOdds { outcomes: [2.25, 3.44, 3.23], over_under: [1.87, 1.96] };
    timed("goals implied by closing odds", "matches", 1, |_| {
        let _ = black_box(implied_goals(black_box(&odds)));
    });
}

fn books() {
    let mut random = Sequence(3);
    let listings: Vec<Listing<'_>> = (0..6)
        .map(|number| Listing {
            venue: if number < 3 { "a" } else { "b" },
            outcome: number % 3,
            yes: book([0.45, 0.28, 0.27][number % 3] + random.share() * 0.01),
            no: NoSide::Mirrored(None),
            fee_rate: 0.03,
            volume: 1e4,
            liquidity: 1e4,
        })
        .collect();
    timed("scannerAgent, a match at two venues", "books", 6, |_| {
        let _ = black_box(scan(black_box(&EventView { outcomes: 3, listings: &listings }), &ScannerRules::default()));
    });
    let market = QuotedMarket {
        fair: 0.47,
        fair_phase: MatchPhase::PreMatch,
        phase: MatchPhase::PreMatch,
        kick_off_in_ms: Some(3_600_000),
        last_event: None,
        inventory: 3.0,
        book: book(0.48),
        tick: Price::from_micros(10_000),
    };
    timed("market maker", "quotes", 2, |_| {
        let _ = black_box(quote(black_box(&market), &MarketMakerRules::default()));
    });
}

fn portfolios() {
    let held = |quantity: i64, price: i64| Position {
        quantity: Quantity::from_micros(quantity * ONE),
        entry_notional: Money::from_micros(quantity * price * ONE / 100),
        ..Position::default()
    };
    for count in [3, 8] {
        let of_match = |number: i64| MatchHoldings {
            id: MatchId::new(format!("M{number}")).expect("an id"),
            teams: ["home", "away"],
            phase: MatchPhase::PreMatch,
            chances: [0.5, 0.28, 0.22],
            chances_phase: MatchPhase::PreMatch,
            positions: [held(100 + number, 49), held(20, 27), Position::default()],
            books: [Some(book(0.5)), Some(book(0.28)), Some(book(0.22))],
            fee_rate: 0.03,
            lot: Quantity::from_micros(ONE),
        };
        let matches: Vec<MatchHoldings<'_>> = (0..count).map(of_match).collect();
        for (name, capital) in [("inside its limits", 10_000), ("to be reduced", 500)] {
            let capital = Money::from_micros(capital * ONE);
            let started = Instant::now();
            let report = epl_portfolio(capital, &matches, &PortfolioRules::default()).expect("a valid book");
            let millis = started.elapsed().as_secs_f64() * 1e3;
            println!("eplPortfolioAgent, {count} matches, {name}: {millis:.2} ms, {} trades", report.intents.len());
        }
    }
}

fn main() {
    let count = std::env::args().nth(1).and_then(|argument| argument.parse().ok()).unwrap_or(2_000);
    bars(count);
    in_play();
    books();
    portfolios();
}
