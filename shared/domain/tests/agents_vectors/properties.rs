//! What the agents promise whatever the market looks like.

use proptest::{collection::vec, prelude::*};
use tragen_domain::{
    agents::{
        bar::{Bar, Ohlc},
        epl_portfolio::{MatchHoldings, PortfolioRules, epl_portfolio},
        exclusive_kelly::{ExclusiveBet, exclusive_kelly},
        fair_line::Outcome,
        inplay::{GoalRates, InPlayModel, MatchState},
        live_trading::{Held, KeepReason, LiveDecision, LiveEvent, LiveRules, LiveView, live_trading},
        market_maker::{MarketMakerRules, QuotedMarket, quote},
        personality::AnalysisStyle,
        reducing::{ReducingRules, reducing_order},
        scanner::{Contract, EventView, Listing, NoSide, ScannerRules, scan},
        scout::MatchPhase,
        top_of_book::{Offer, TopOfBook},
        trading::TradingRules,
    },
    id::{Currency, InstrumentId, MatchId},
    instrument::{Instrument, InstrumentStatus, SettlementStyle, SettlementTerms},
    market::Level,
    money::{Money, ONE, Price, Quantity},
    order::{OrderPrice, Side},
    portfolio::{Confidence, OutcomePnl, ScenarioBook},
    position::Position,
};

/// A number that a broken feed may send.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => 0.0..1.0_f64,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => -2.0..2.0_f64,
        1 => Just(0.0),
    ]
}

fn any_book() -> impl Strategy<Value = TopOfBook> {
    let offer = || (any_number(), 0.0..500.0_f64).prop_map(|(price, size)| Offer { price, size });
    (proptest::option::of(offer()), proptest::option::of(offer()), 0..8_000_i64)
        .prop_map(|(bid, ask, age_ms)| TopOfBook { bid, ask, age_ms })
}

/// A book that can be traded on, in cents.
fn good_book() -> impl Strategy<Value = TopOfBook> {
    (2..95_u32, 1..4_u32, 1..300_u32, 1..300_u32).prop_map(|(bid, spread, bids, asks)| {
        let offer = |cents: u32, size: u32| Some(Offer { price: f64::from(cents) / 100.0, size: f64::from(size) });
        TopOfBook { bid: offer(bid, bids), ask: offer(bid + spread, asks), age_ms: 0 }
    })
}

fn listing(venue: &'static str, outcome: usize, yes: TopOfBook, fee_rate: f64) -> Listing<'static> {
    Listing { venue, outcome, yes, no: NoSide::Mirrored(None), fee_rate, volume: 1e3, liquidity: 1e3 }
}

/// Chances that add up to 1, each at least 5 %.
fn chances() -> impl Strategy<Value = [f64; 3]> {
    (1..60_u32, 1..60_u32, 1..60_u32).prop_map(|(a, b, c)| {
        let sum = f64::from(a + b + c);
        let [home, draw, away] = [a, b, c].map(|part| 0.05 + 0.85 * f64::from(part) / sum);
        [home, draw, (away + (1.0 - home - draw - away)).max(0.0)]
    })
}

/// Chances, quantities and average prices in cents.
type DrawnMatch = ([f64; 3], [i64; 3], [i64; 3]);

fn position(quantity: i64, cents: i64) -> Position {
    let entry_notional = Money::from_micros(quantity.abs() * cents * 10_000);
    Position { quantity: Quantity::from_micros(quantity * ONE), entry_notional, ..Position::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever happens, a set that the scanner found pays more than its legs cost.
    #[test]
    fn every_set_found_wins_whatever_happens(
        books in vec((0..3_usize, good_book(), 0..8_u32), 3..12),
        broken in vec((0..5_usize, any_book()), 0..3),
    ) {
        let good = books.iter().map(|(outcome, book, rate)| listing("a", *outcome, *book, f64::from(*rate) / 100.0));
        let bad = broken.iter().map(|(outcome, book)| listing("b", *outcome, *book, 0.0));
        let listings: Vec<Listing<'_>> = good.chain(bad).collect();
        let report = scan(&EventView { outcomes: 3, listings: &listings }, &ScannerRules::default()).expect("3 outcomes");
        for set in report.found.iter().chain(&report.implausible) {
            for happened in 0..3 {
                let pays = set.legs.iter().filter(|leg| match leg.contract {
                    Contract::Yes => listings[leg.listing].outcome == happened,
                    Contract::No => listings[leg.listing].outcome != happened,
                });
                let pays = f64::from(u32::try_from(pays.count()).expect("few"));
                prop_assert!((pays - set.pays).abs() < 1e-9 && pays > set.cost, "{set:?} when {happened} happens");
            }
            prop_assert!(set.legs.iter().all(|leg| set.sets <= leg.size) && set.profit > 0.0);
            prop_assert!(set.legs.windows(2).all(|pair| pair[0].size <= pair[1].size), "the scarcest leg goes first");
        }
    }

    /// Chances in play are chances, and a goal never helps the other side.
    #[test]
    fn chances_in_play_add_up_and_goals_help_who_scores(
        (home, away) in (0.1..4.0_f64, 0.1..4.0_f64),
        (minutes_played, minute_left) in (0..=90_u8, 0.01..=1.0_f64),
        (home_goals, away_goals) in (0..5_u8, 0..5_u8),
        (home_reds, away_reds) in (0..3_u8, 0..3_u8),
    ) {
        let (model, rates) = (InPlayModel::default(), GoalRates { home, away });
        let state = MatchState { minutes_played, minute_left, home_goals, away_goals, home_reds, away_reds };
        let p = model.chances(rates, &state).expect("in range");
        prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9 && p.iter().all(|p| (0.0..=1.0).contains(p)), "{p:?}");
        let scored = model.chances(rates, &MatchState { home_goals: home_goals + 1, ..state }).expect("in range");
        prop_assert!(scored[0] >= p[0] - 1e-12 && scored[2] <= p[2] + 1e-12, "{p:?} {scored:?}");
    }

    /// The live agent never sells more than is held or bid for, never below the bid it saw, and nothing in a freeze.
    #[test]
    fn live_agent_keeps_within_what_is_held(
        books in [proptest::option::of(any_book()), proptest::option::of(any_book()), proptest::option::of(any_book())],
        held in [0..200_u32, 0..200_u32, 0..200_u32],
        (minutes_played, home_goals) in (0..90_u8, 0..4_u8),
        (score_age_ms, since_ms) in (0..8_000_i64, 0..30_000_i64),
    ) {
        let held = held.map(|n| (n > 0).then_some(Held { contracts: f64::from(n), cost: 0.4 }));
        let view = LiveView {
            phase: MatchPhase::InPlay,
            rates: GoalRates { home: 1.4, away: 1.2 },
            state: MatchState { minutes_played, home_goals, ..MatchState::KICK_OFF },
            score_age_ms,
            last_event: Some((LiveEvent::Goal, since_ms)),
            books,
            held,
        };
        let (model, rules) = (InPlayModel::default(), LiveRules::default());
        let report = live_trading(&model, &view, &rules).expect("in play");
        // Compared as text: what is not a number is not equal to itself.
        let again = live_trading(&model, &view, &rules).expect("in play");
        prop_assert_eq!(format!("{report:?}"), format!("{again:?}"));
        // Where nobody tells of the match any more, the freeze ends by the age of what was told.
        let silent_ms = if score_age_ms > rules.age_ms_max { score_age_ms } else { 0 };
        let is_frozen = since_ms + silent_ms < rules.freeze_ms;
        for (outcome, decision) in Outcome::ALL.into_iter().zip(report.decisions) {
            let (held, book) = (outcome.of(&held).map_or(0.0, |held| held.contracts), outcome.of(&books));
            match decision {
                LiveDecision::Keep(KeepReason::NothingHeld) => prop_assert!(held == 0.0),
                LiveDecision::Keep(KeepReason::Covered) => {
                    prop_assert!(view.held.iter().flatten().filter(|other| other.contracts >= held).count() == 3);
                }
                LiveDecision::Keep(_) => prop_assert!(held > 0.0),
                LiveDecision::Exit { contracts, limit, .. } => {
                    prop_assert!(!is_frozen && contracts > 0.0 && contracts <= held);
                    let bid = book.and_then(|book| book.bid);
                    prop_assert!(limit.is_none_or(|limit| bid.is_some_and(|bid| bid.price == limit && contracts <= bid.size)));
                }
                LiveDecision::Hedge { contracts, locked, .. } => {
                    prop_assert!(!is_frozen && contracts > 0.0 && contracts <= held);
                    prop_assert!(locked > 0.0 && locked < 1.0, "{locked}");
                }
            }
        }
    }

    /// Quotes are on the grid, apart, inside the range, and never trade at once.
    #[test]
    fn quotes_never_cross_the_market(
        fair in 0.001..0.999_f64, inventory in -40.0..40.0_f64, book in any_book(),
        tick in prop_oneof![Just(10_000_i64), Just(1_000), Just(5_000), Just(100_000)],
    ) {
        let market = QuotedMarket {
            fair,
            fair_phase: MatchPhase::PreMatch,
            phase: MatchPhase::PreMatch,
            kick_off_in_ms: None,
            last_event: None,
            inventory,
            book,
            tick: Price::from_micros(tick),
        };
        let Ok(quoted) = quote(&market, &MarketMakerRules::default()) else { return Ok(()) };
        let units = |price: Price| f64::from(i32::try_from(price.micros()).expect("small")) / 1e6;
        for price in [quoted.bid, quoted.ask].into_iter().flatten().map(|side| side.price) {
            prop_assert!(price.micros() % tick == 0 && price.micros() >= tick && price.micros() <= ONE - tick);
        }
        if let (Ok(bid), Some(ask)) = (quoted.bid, book.ask) {
            prop_assert!(units(bid.price) < ask.price, "{bid:?} would buy from {ask:?}");
        }
        if let (Ok(ask), Some(bid)) = (quoted.ask, book.bid) {
            prop_assert!(units(ask.price) > bid.price, "{ask:?} would sell to {bid:?}");
        }
        let limit = MarketMakerRules::default().max_inventory + 1e-9;
        prop_assert!(quoted.bid.is_ok_and(|bid| inventory + bid.size <= limit) || quoted.bid.is_err());
        prop_assert!(quoted.ask.is_ok_and(|ask| ask.size - inventory <= limit) || quoted.ask.is_err());
        if let (Ok(bid), Ok(ask)) = (quoted.bid, quoted.ask) {
            prop_assert!(bid.price < ask.price);
        }
    }

    /// Every trade of the portfolio agent lowers the shortfall or what is in a match above its share; holdings never
    /// pass zero.
    #[test]
    fn portfolio_trades_only_reduce(
        matches in vec((chances(), [-60..120_i64, -60..120_i64, 0..60_i64], [20..70_i64, 10..50_i64, 10..40_i64]), 1..4),
        books in vec([good_book(), good_book(), good_book()], 4),
        capital in 20..400_i64,
    ) {
        let holdings = |(number, (chances, held, cents)): (usize, &DrawnMatch)| MatchHoldings {
            id: MatchId::new(format!("M{number}")).expect("an id"),
            teams: ["home", "away"],
            phase: MatchPhase::PreMatch,
            chances: *chances,
            chances_phase: MatchPhase::PreMatch,
            positions: [0, 1, 2].map(|i| position(held[i], cents[i])),
            books: books[number].map(Some),
            fee_rate: 0.03,
            lot: Quantity::from_micros(ONE),
        };
        let matches: Vec<MatchHoldings<'_>> = matches.iter().enumerate().map(holdings).collect();
        let capital = Money::from_micros(capital * ONE);
        let report = epl_portfolio(capital, &matches, &PortfolioRules::default()).expect("a valid book");
        let mut left: Vec<[i64; 3]> = matches.iter().map(|own| own.positions.map(|p| p.quantity.micros())).collect();
        for intent in &report.intents {
            let index = matches.iter().position(|own| own.id == intent.match_id).expect("a match of the book");
            let place = Outcome::ALL.iter().position(|outcome| *outcome == intent.outcome).expect("one of three");
            let before = left[index][place];
            let change = i64::try_from(intent.side.signed(intent.quantity)).expect("small");
            left[index][place] += change;
            prop_assert!(change != 0 && intent.quantity.micros() % ONE == 0, "{intent:?}");
            if intent.is_reduce_only {
                let after = left[index][place];
                prop_assert!(after.abs() < before.abs() && after * before >= 0, "{intent:?}: {before} to {after}");
            } else {
                prop_assert!(before >= 0 && intent.side == Side::Buy, "{intent:?}");
            }
        }
        prop_assert!(report.intents.len() <= 10);
        let shortfall = |own: &[MatchHoldings<'_>]| {
            let mut book = ScenarioBook::default();
            for (holdings, exposure) in own.iter().zip(&report.matches) {
                let outcomes: Vec<OutcomePnl> = holdings.chances.iter().zip(exposure.pnl)
                    .map(|(probability, pnl)| OutcomePnl { probability: *probability, pnl }).collect();
                book.put(holdings.id.clone(), &outcomes).expect("valid");
            }
            book.risk(Confidence::P95).expect("a match")
        };
        prop_assert_eq!(report.risk_95, Some(shortfall(&matches)));
    }

    /// Exclusive stakes are stakes, and no single stake moved a little grows faster.
    #[test]
    fn exclusive_stakes_are_the_best(p in chances(), offered in chances(), margin in 0.001..0.1_f64) {
        let odds = offered.map(|q| 1.0 / (q * (1.0 + margin)));
        let bets: Vec<ExclusiveBet> =
            p.iter().zip(odds).map(|(probability, odds)| ExclusiveBet { probability: *probability, odds }).collect();
        let best = exclusive_kelly(&bets).expect("valid");
        let total: f64 = best.stakes.iter().sum();
        prop_assert!(best.stakes.iter().all(|stake| *stake >= 0.0) && total < 1.0 && best.growth >= -1e-12, "{best:?}");
        for outcome in 0..3 {
            for change in [-1e-4, 1e-4] {
                let mut stakes = best.stakes.clone();
                stakes[outcome] = (stakes[outcome] + change).max(0.0);
                let kept = 1.0 - stakes.iter().sum::<f64>();
                let growth: f64 =
                    bets.iter().zip(&stakes).map(|(bet, stake)| bet.probability * (kept + stake * bet.odds).ln()).sum();
                prop_assert!(growth <= best.growth + 1e-9, "{outcome} {change}: {growth} {best:?}");
            }
        }
    }

    /// An order of a reduction is on its grids and never larger than what is missing.
    #[test]
    fn reducing_orders_fit(
        (missing, price, offered) in (5..500_i64, 1..99_i64, 1..400_i64),
        (age_ms, quote_age_ms) in (-5_000..20_000_i64, 0..9_000_i64),
        side in prop_oneof![Just(Side::Buy), Just(Side::Sell)],
    ) {
        let instrument = instrument();
        let (missing, cent) = (Quantity::from_micros(missing * ONE), ONE / 100);
        let level = Level { price: Price::from_micros(price * cent), quantity: Quantity::from_micros(offered * ONE) };
        let order =
            reducing_order(&instrument, (side, missing), Some((level, quote_age_ms)), age_ms, &ReducingRules::default());
        prop_assert!(order.quantity > Quantity::ZERO && order.quantity <= missing);
        let rest = missing.minus(order.quantity).expect("fits");
        prop_assert!(rest.is_zero() || rest >= instrument.min_quantity, "{rest} can never be sent");
        if let OrderPrice::Limit(limit) = order.price {
            prop_assert!(limit.is_multiple_of(instrument.tick) && limit >= instrument.min_price);
            prop_assert!(limit <= instrument.max_price);
            let is_worse = match side {
                Side::Buy => limit >= level.price,
                Side::Sell => limit <= level.price,
            };
            prop_assert!(is_worse, "{limit} does not reach {}", level.price);
        }
    }

    /// The same bars give the same signals, and a position's profit is that of its prices.
    #[test]
    fn bar_rules_repeat_themselves(steps in vec((-30..30_i32, 0..20_i32), 250..400)) {
        for style in [AnalysisStyle::Scalper, AnalysisStyle::Swing, AnalysisStyle::Conservative] {
            let run = || {
                let mut rules = TradingRules::for_style(style).expect("a bar style");
                let mut open = 100.0_f64;
                let mut signals = Vec::new();
                for (step, range) in &steps {
                    let close = (open + f64::from(*step) / 20.0).max(1.0);
                    let range = f64::from(*range) / 50.0;
                    let mid = Ohlc { open, high: open.max(close) + range, low: (open.min(close) - range).max(0.5), close };
                    signals.push(rules.on_bar(&Bar::from_mid(mid, 0.01).expect("a bar")));
                    open = close;
                }
                signals
            };
            let signals = run();
            prop_assert_eq!(&signals, &run());
            for pair in signals.windows(2) {
                // A trade ends only where one was held, in the direction it was held.
                if let Some(closed) = pair[1].closed {
                    prop_assert!(pair[0].target == Some(closed.direction) || pair[0].reason.is_some(), "{pair:?}");
                }
                let is_moved = pair[1].target != pair[0].target;
                prop_assert!(!is_moved || pair[1].changed(), "{style:?} moved without a reason: {pair:?}");
            }
        }
    }
}

fn instrument() -> Instrument {
    let currency = Currency::new("USD").expect("a currency");
    Instrument {
        id: InstrumentId::new("X").expect("an id"),
        name: "X".to_owned(),
        settlement: SettlementTerms { style: SettlementStyle::Prediction, currency, initial_margin_ppm: 0 },
        tick: Price::from_micros(ONE / 100),
        lot: Quantity::from_micros(ONE),
        min_quantity: Quantity::from_micros(5 * ONE),
        max_quantity: Quantity::from_micros(1_000 * ONE),
        min_price: Price::from_micros(ONE / 100),
        max_price: Price::from_micros(ONE - ONE / 100),
        taker_fee_ppm: 30_000,
        status: InstrumentStatus::Open,
        prediction: None,
        max_quote_age_ms: None,
    }
}
