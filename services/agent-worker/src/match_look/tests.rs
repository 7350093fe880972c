//! A look of three bettors of two accounts; then each thing that is seen in it otherwise.

use super::*;

const GAME: &str = "EPL-2026-ARS-MCI";
const NOON: i64 = 1_728_043_200_000_000;
const SECOND: i64 = 1_000_000;

fn snapshot() -> v1::MatchSnapshot {
    let book = v1::BookOdds {
        bookmaker: "pinnacle".into(),
        home_odds_micros: 2_000_000,
        draw_odds_micros: 3_600_000,
        away_odds_micros: 4_200_000,
        is_sharp: true,
    };
    let instrument = |outcome: &str| v1::Instrument {
        instrument_id: format!("{GAME}-{outcome}"),
        settlement_style: v1::SettlementStyle::Prediction.into(),
        currency: "USD".into(),
        taker_fee_ppm: 30_000,
        status: v1::InstrumentStatus::Open.into(),
        match_id: GAME.into(),
        outcome: outcome.into(),
        ..v1::Instrument::default()
    };
    let quote = |(outcome, ask): (&str, i64)| v1::Quote {
        instrument_id: format!("{GAME}-{outcome}"),
        bid_price_micros: ask - 10_000,
        bid_quantity_micros: 500 * SECOND,
        ask_price_micros: ask,
        ask_quantity_micros: 500 * SECOND,
        published_at_micros: NOON,
        ..v1::Quote::default()
    };
    v1::MatchSnapshot {
        r#match: Some(v1::Match {
            match_id: GAME.into(),
            status: v1::MatchStatus::Scheduled.into(),
            kickoff_micros: NOON + 3_600 * SECOND,
            ..v1::Match::default()
        }),
        books: vec![book],
        instruments: ["HOME", "DRAW", "AWAY"].map(instrument).into(),
        quotes: [("HOME", 450_000), ("DRAW", 290_000), ("AWAY", 260_000)].map(quote).into(),
        event_time_micros: NOON,
        ..v1::MatchSnapshot::default()
    }
}

fn bettor(agent_id: &str, account_id: &str) -> v1::MatchBettor {
    let standing = v1::BettorStanding {
        cash_micros: 1_000 * SECOND,
        available_micros: 1_000 * SECOND,
        ..v1::BettorStanding::default()
    };
    v1::MatchBettor {
        agent_id: agent_id.into(),
        account_id: account_id.into(),
        strategy: v1::Strategy::Value.into(),
        risk_tolerance: 5,
        timeframe: "1d".into(),
        standing: Some(standing),
        bet: None,
    }
}

fn look() -> v1::MatchLooked {
    v1::MatchLooked {
        meta: None,
        match_id: GAME.into(),
        told_at_micros: NOON,
        snapshot: Some(snapshot()),
        looked_at_micros: NOON + SECOND,
        model_probabilities: Vec::new(),
        decided_at_micros: NOON + SECOND,
        bettors: vec![bettor("a1", "one"), bettor("a2", "one"), bettor("a3", "two")],
    }
}

/// Who bets how many contracts.
fn betting_at(look: &v1::MatchLooked) -> Vec<(&str, u64)> {
    let bets = bets(look, &wishes(look));
    bets.iter().map(|bet| (look.bettors[bet.bettor].agent_id.as_str(), bet.size.contracts)).collect()
}

#[test]
fn the_same_look_comes_to_the_same_bets_whenever_it_is_decided() {
    let look = look();
    let (first, again) = (bets(&look, &wishes(&look)), bets(&look.clone(), &wishes(&look)));
    assert_eq!(first, again);
    assert_eq!(betting_at(&look).iter().map(|(agent, _)| *agent).collect::<Vec<_>>(), ["a1", "a3"]);
    let bet = &first[0];
    assert_eq!(bet.terms.instrument.as_str(), format!("{GAME}-HOME"));
    assert_eq!(bet.terms.id.as_str(), format!("{}-o", bet.trade_id));
    assert_eq!(bet.trade_id, trade_id("one", &bet.request_id.to_string()).to_string());
    // Another time of the same slot is the same trade, the next slot's is not.
    let told = |at: i64| {
        let later = v1::MatchLooked { told_at_micros: at, ..look.clone() };
        names(&later, &look.bettors[0]).expect("names").1
    };
    assert_eq!(told(NOON + SECOND), bet.trade_id);
    assert_ne!(told(NOON + 86_400 * SECOND), bet.trade_id);
}

fn standing(look: &mut v1::MatchLooked) -> &mut v1::BettorStanding {
    look.bettors[0].standing.as_mut().expect("one")
}

#[test]
fn a_bet_follows_from_every_single_thing_that_is_told() {
    let usual = look();
    let expected = betting_at(&usual);
    let check = |what: &str, change: &dyn Fn(&mut v1::MatchLooked)| {
        let mut other = usual.clone();
        change(&mut other);
        assert_ne!(betting_at(&other), expected, "{what}");
        assert_ne!(event_id(&other), event_id(&usual), "{what}");
    };
    check("the quotes are too old by then", &|look| look.looked_at_micros = NOON + 3_600 * SECOND);
    check("the ask", &|look| look.snapshot.as_mut().expect("one").quotes[0].ask_price_micros = 480_000);
    check("the boldness", &|look| look.bettors[0].risk_tolerance = 4);
    check("the account", &|look| look.bettors[1].account_id = "three".into());
    check("nobody answered", &|look| look.bettors[0].standing = None);
    check("the cash", &|look| standing(look).cash_micros /= 2);
    check("the wallet", &|look| standing(look).available_micros = SECOND);
    check("the part of the pool", &|look| standing(look).pool_capital_micros = Some(100 * SECOND));
    check("what is held", &|look| standing(look).held_micros = vec![0, -SECOND]);
    check("an open order", &|look| standing(look).open_orders = 1);
    check("one on its way", &|look| standing(look).sent_valid_until_micros = Some(look_at()));
    // One that nobody decides any more is none.
    let mut late = usual.clone();
    standing(&mut late).sent_valid_until_micros = Some(look_at() - 1);
    assert_eq!(betting_at(&late), expected);
}

/// When the bets are decided.
fn look_at() -> i64 {
    look().decided_at_micros
}

#[test]
fn a_value_maker_looks_with_the_model_that_was_told() {
    let mut look = look();
    look.bettors[0].strategy = v1::Strategy::ValueMaker.into();
    let without = wishes(&look);
    assert_eq!(without.keys().copied().collect::<Vec<_>>(), [(MandateAgent::Scout, 5), (MandateAgent::EplTrading, 5)]);
    look.model_probabilities = vec![0.60, 0.22, 0.18];
    let with = wishes(&look);
    let fair = |wishes: &Wishes, agent| {
        wishes[&(agent, 5)].as_ref().map(|wish| wish.opportunity.fair_probability).expect("a wish")
    };
    assert!(fair(&with, MandateAgent::EplTrading) > fair(&without, MandateAgent::EplTrading));
    assert_eq!(with[&(MandateAgent::Scout, 5)], without[&(MandateAgent::Scout, 5)]);
}

#[test]
fn whoever_is_not_sure_enough_is_counted() {
    let check = |look: &v1::MatchLooked, expected: usize| assert_eq!(unsure(look, &wishes(look)), expected);
    let mut look = look();
    check(&look, 0);
    // Half of the quotes and books can be used: 0.50 is asked of the boldest, and 0.65 of the others.
    look.snapshot.as_mut().expect("one").quotes.truncate(1);
    look.bettors[0].risk_tolerance = 10;
    check(&look, 2);
    assert_eq!(betting_at(&look).iter().map(|(agent, _)| *agent).collect::<Vec<_>>(), ["a1"]);
    // What is too dear is not unsure.
    look.snapshot.as_mut().expect("one").quotes[0].ask_price_micros = 600_000;
    check(&look, 0);
}

#[test]
fn every_bettor_of_a_full_registry_fits_into_one_look() {
    let long = |letter: &str| letter.repeat(64);
    let terms = v1::OrderTerms {
        order_id: "o".repeat(38),
        instrument_id: long("i"),
        side: v1::Side::Buy.into(),
        order_type: v1::OrderType::Limit.into(),
        quantity_micros: i64::MAX,
        limit_price_micros: SECOND,
        time_in_force: v1::TimeInForce::Ioc.into(),
        ..v1::OrderTerms::default()
    };
    let mut longest = bettor(&long("a"), &long("b"));
    longest.standing = Some(v1::BettorStanding {
        cash_micros: i64::MAX,
        available_micros: i64::MIN,
        pool_capital_micros: Some(i64::MAX),
        held_micros: vec![i64::MIN; 3],
        open_orders: i32::MAX,
        sent_valid_until_micros: Some(i64::MAX),
    });
    longest.bet = Some(v1::BetDecided { trade_id: "t".repeat(36), terms: Some(terms) });
    let mut look = look();
    look.snapshot.as_mut().expect("one").books = vec![snapshot().books[0].clone(); 10];
    look.bettors.clear();
    let alone = look.encoded_len();
    look.bettors = vec![longest; 10_000];
    let all = look.encoded_len();
    assert!(all <= LOOK_BYTES_MAX, "{all} of {LOOK_BYTES_MAX} bytes, {alone} without bettors");
}

#[test]
fn what_makes_no_sense_bets_nothing() {
    let mut look = look();
    look.bettors[0].strategy = 0;
    look.bettors[2].timeframe = "2m".into();
    assert_eq!(betting_at(&look).iter().map(|(agent, _)| *agent).collect::<Vec<_>>(), ["a2"]);
    look.snapshot = None;
    assert!(betting_at(&look).is_empty());
}
