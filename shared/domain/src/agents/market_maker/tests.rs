//! Tests of the market maker: prices on the grid, never through the market, and the moments without quotes.

use super::super::top_of_book::Offer;
use super::*;

fn book(bid: f64, ask: f64) -> TopOfBook {
    let offer = |price| Some(Offer { price, size: 100.0 });
    TopOfBook { bid: offer(bid), ask: offer(ask), age_ms: 100 }
}

fn market(fair: f64, inventory: f64) -> QuotedMarket {
    QuotedMarket {
        fair,
        fair_phase: MatchPhase::PreMatch,
        phase: MatchPhase::PreMatch,
        kick_off_in_ms: Some(3_600_000),
        last_event: None,
        inventory,
        book: book(0.01, 0.99),
        tick: Price::from_micros(10_000),
    }
}

/// Bid and ask in micros; None where a side is not quoted.
fn prices(market: &QuotedMarket) -> [Option<i64>; 2] {
    let quoted = quote(market, &MarketMakerRules::default()).expect("quoted");
    [quoted.bid, quoted.ask].map(|side| side.ok().map(|side| side.price.micros()))
}

#[test]
fn examples_of_the_docstrings_hold() {
    let model = QuoteModel { gamma: 0.1, sigma: 2.0, horizon: 1.0, kappa: 1.5 };
    let got = centre(100.0, 3.0, &model).expect("valid");
    assert!((got.reservation - 98.8).abs() < 1e-12 && (got.half_spread - 0.845_385_211_375_711).abs() < 1e-12);
    assert_eq!(prices(&market(0.5, 0.0)), [Some(480_000), Some(520_000)]);
    assert_eq!(prices(&market(0.5, 10.0)), [Some(470_000), Some(510_000)]);
}

#[test]
fn quotes_stay_on_the_grid_and_apart() {
    for (fair, tick) in [(0.5, 10_000), (0.001, 10_000), (0.999_9, 10_000), (0.03, 1_000), (0.97, 250_000)] {
        let market = QuotedMarket { tick: Price::from_micros(tick), ..market(fair, 0.0) };
        let [Some(bid), Some(ask)] = prices(&QuotedMarket { book: TopOfBook { bid: None, ..market.book }, ..market })
        else {
            panic!("{fair}")
        };
        assert!(bid >= tick && ask <= ONE - tick && bid < ask, "{fair}: {bid} {ask}");
        assert!(bid % tick == 0 && ask % tick == 0, "{fair}: {bid} {ask}");
    }
}

#[test]
fn quotes_never_trade_at_once() {
    // The market asks 0.47, below our bid of 0.48: one tick below it. It bids 0.53: one tick above it.
    let low = QuotedMarket { book: book(0.45, 0.47), ..market(0.5, 0.0) };
    assert_eq!(prices(&low), [Some(460_000), Some(520_000)]);
    let high = QuotedMarket { book: book(0.53, 0.55), ..market(0.5, 0.0) };
    assert_eq!(prices(&high), [Some(480_000), Some(540_000)]);
    // A price between two ticks: the bid goes to the tick below it.
    let between = QuotedMarket { book: book(0.40, 0.475), ..market(0.5, 0.0) };
    assert_eq!(prices(&between), [Some(470_000), Some(520_000)]);
    // Nobody may bid below the lowest price.
    let floor = QuotedMarket { book: TopOfBook { bid: None, ..book(0.5, 0.01) }, ..market(0.5, 0.0) };
    let quoted = quote(&floor, &MarketMakerRules::default()).expect("quoted");
    assert_eq!((quoted.bid, quoted.ask.is_ok()), (Err(SideReason::NoRoom), true));
}

#[test]
fn inventory_moves_the_quotes_and_stops_one_side() {
    let rules = MarketMakerRules::default();
    for (inventory, has_bid, has_ask) in
        [(19.9, true, true), (20.0, false, true), (-20.0, true, false), (-50.0, true, false)]
    {
        let quoted = quote(&market(0.5, inventory), &rules).expect("quoted");
        assert_eq!((quoted.bid.is_ok(), quoted.ask.is_ok()), (has_bid, has_ask), "{inventory}");
    }
    let near = quote(&market(0.5, 19.75), &rules).expect("quoted");
    assert_eq!((near.bid.map(|side| side.size), near.ask.map(|side| side.size)), (Ok(0.25), Ok(1.0)));
    let [_, long] = prices(&market(0.5, 15.0));
    let [_, short] = prices(&market(0.5, -15.0));
    assert!(long < short, "what is held is offered cheaper: {long:?} {short:?}");
}

#[test]
fn quotes_are_withdrawn_when_the_price_may_jump() {
    let check = |market: QuotedMarket, expected: fn(&QuoteRefusal) -> bool| {
        let refusal = quote(&market, &MarketMakerRules::default()).expect_err("withdrawn");
        assert!(expected(&refusal), "{refusal:?}");
    };
    let live = QuotedMarket { phase: MatchPhase::InPlay, fair_phase: MatchPhase::InPlay, ..market(0.5, 0.0) };
    check(QuotedMarket { fair_phase: MatchPhase::PreMatch, ..live }, |r| matches!(r, QuoteRefusal::WrongPhase { .. }));
    check(QuotedMarket { fair_phase: MatchPhase::InPlay, ..market(0.5, 0.0) }, |r| {
        matches!(r, QuoteRefusal::WrongPhase { .. })
    });
    check(QuotedMarket { phase: MatchPhase::Finished, ..live }, |r| *r == QuoteRefusal::Finished);
    for in_ms in [60_000, -5] {
        let near = QuotedMarket { kick_off_in_ms: Some(in_ms), ..market(0.5, 0.0) };
        check(near, |r| matches!(r, QuoteRefusal::KickOffNear { .. }));
    }
    for (since_ms, left_ms) in [(14_999, 1), (-7, 15_000)] {
        let event = QuotedMarket { last_event: Some((LiveEvent::Goal, since_ms)), ..live };
        let frozen = QuoteRefusal::Frozen { event: LiveEvent::Goal, left_ms };
        assert_eq!(quote(&event, &MarketMakerRules::default()), Err(frozen));
    }
    let over = QuotedMarket { last_event: Some((LiveEvent::Goal, 15_000)), kick_off_in_ms: Some(-3_000_000), ..live };
    assert!(quote(&over, &MarketMakerRules::default()).is_ok());
    check(QuotedMarket { book: TopOfBook { age_ms: 5_001, ..live.book }, ..live }, |r| {
        matches!(r, QuoteRefusal::UnusableBook(QuoteFault::Stale { .. }))
    });
}

#[test]
fn numbers_out_of_range_are_named() {
    let check = |market: QuotedMarket, rules: MarketMakerRules, field: &str| {
        let refusal = quote(&market, &rules);
        assert!(matches!(refusal, Err(QuoteRefusal::InvalidNumber { name, .. }) if name == field), "{refusal:?}");
    };
    let rules = MarketMakerRules::default();
    for fair in [0.0, 1.0, f64::NAN] {
        check(market(fair, 0.0), rules, "fair");
    }
    check(market(0.5, f64::INFINITY), rules, "inventory");
    for tick in [0, -1, 30_000, 500_000] {
        check(QuotedMarket { tick: Price::from_micros(tick), ..market(0.5, 0.0) }, rules, "tick");
    }
    check(market(0.5, 0.0), MarketMakerRules { size: 0.0, ..rules }, "size");
    check(market(0.5, 0.0), MarketMakerRules { max_inventory: 0.5, ..rules }, "max_inventory");
    let model = QuoteModel { gamma: 0.0, ..QuoteModel::default() };
    check(market(0.5, 0.0), MarketMakerRules { model, ..rules }, "gamma");
}
