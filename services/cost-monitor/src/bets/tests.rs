//! Bets from facts.

use super::*;
use tragen_domain::{market::MatchStatus, order::PLACED_BY_USER};

const UNIT: i64 = 1_000_000;
const MATCH: &str = "EPL-2026-ARS-MCI";

fn contract(match_id: &str, outcome: &str) -> Instrument {
    let wire = v1::Instrument {
        instrument_id: format!("{match_id}-{outcome}"),
        settlement_style: v1::SettlementStyle::Prediction.into(),
        currency: "USD".into(),
        tick_micros: 10_000,
        lot_micros: UNIT,
        min_quantity_micros: UNIT,
        max_quantity_micros: 1_000 * UNIT,
        min_price_micros: 10_000,
        max_price_micros: 990_000,
        status: v1::InstrumentStatus::Open.into(),
        match_id: match_id.into(),
        outcome: outcome.into(),
        ..v1::Instrument::default()
    };
    Instrument::try_from(&wire).expect("a contract")
}

fn game(match_id: &str, kickoff: i64, status: MatchStatus, published_at: i64) -> Match {
    Match {
        id: MatchId::new(match_id).expect("an id"),
        home: "Arsenal".into(),
        away: "Man City".into(),
        kickoff: Timestamp::from_micros(kickoff),
        status,
        minute: 0,
        goals: (0, 0),
        reds: (0, 0),
        published_at: Timestamp::from_micros(published_at),
    }
}

/// The fact `sequence`: eplScoutAgent has bought 10 contracts of a home win at 0.4 for a fee of 0.1, all of them held.
fn bought(sequence: i64, at: i64) -> v1::LedgerFact {
    let trade = v1::Trade {
        account_id: "alice".into(),
        instrument_id: format!("{MATCH}-HOME"),
        side: v1::Side::Buy.into(),
        status: v1::TradeStatus::Filled.into(),
        filled_quantity_micros: 10 * UNIT,
        average_price_micros: 400_000,
        fee_micros: 100_000,
        agent: "eplScoutAgent".into(),
        rationale: "below the consensus".into(),
        ..v1::Trade::default()
    };
    v1::LedgerFact {
        meta: Some(v1::Meta { occurred_at_micros: at, ..v1::Meta::default() }),
        sequence,
        kind: Some(Kind::Trade(v1::TradePosted { trade: Some(trade), ..v1::TradePosted::default() })),
        ..v1::LedgerFact::default()
    }
}

fn with(mut fact: v1::LedgerFact, change: impl FnOnce(&mut v1::TradePosted, &mut v1::Trade)) -> v1::LedgerFact {
    if let Some(Kind::Trade(posted)) = &mut fact.kind {
        let mut trade = posted.trade.take().expect("a trade");
        change(posted, &mut trade);
        posted.trade = Some(trade);
    }
    fact
}

fn bets() -> SharedBets {
    let bets = SharedBets::new(2);
    bets.lock().hear_instrument(contract(MATCH, "HOME"));
    bets.lock().hear_match(&game(MATCH, 1_000, MatchStatus::Scheduled, 0));
    bets
}

/// What is to be stored now, as it is read again, and what is to be forgotten.
fn changes(bets: &SharedBets) -> (Vec<v1::MatchBets>, Vec<String>) {
    let (stored, dropped): (Vec<_>, Vec<_>) =
        bets.lock().take_changes().into_iter().partition(|change| change.value.is_some());
    let stored = stored.iter().filter_map(|change| change.value.as_deref());
    let stored = stored.map(|value| v1::MatchBets::decode(value).expect("whole")).collect();
    (stored, dropped.into_iter().map(|change| change.key).collect())
}

/// What comes of the bets when they are stored and read again.
fn restarted(bets: &SharedBets) -> SharedBets {
    let again = SharedBets::new(2);
    told(bets).matches.iter().for_each(|stored| again.lock().restore(&stored.encode_to_vec()).expect("a match"));
    again
}

fn told(bets: &SharedBets) -> v1::BetsAnswer {
    bets.lock().page(&v1::BetsQuestion { to_micros: 10_000, ..v1::BetsQuestion::default() }, 100)
}

#[test]
fn what_an_agent_buys_before_the_kick_off_is_kept_and_each_fact_counts_once() {
    let bets = bets();
    for fact in [bought(1, 10), bought(2, 20), bought(2, 20), bought(1, 10)] {
        bets.lock().take_fact(0, &fact).expect("counted");
    }
    bets.lock().hear_match(&game(MATCH, 1_000, MatchStatus::InPlay, 30));
    bets.lock().take_fact(0, &bought(3, 29)).expect("counted");
    bets.lock().take_fact(0, &bought(4, 30)).expect("late");
    let own = told(&bets).matches.remove(0);
    let [bet] = own.bets.as_slice() else { panic!("{own:?}") };
    assert_eq!((bet.agent.as_str(), bet.agent_id.as_str(), bet.outcome.as_str()), ("eplScoutAgent", "", "HOME"));
    assert_eq!((bet.trades, bet.quantity_micros, bet.paid_micros), (3, 30 * UNIT, 12_300_000));
    assert_eq!((own.has_begun, own.began_at_micros, own.late[0].trades), (true, 30, 1));
}

#[test]
fn what_no_agent_has_bet_is_nobodys() {
    let check = |change: &dyn Fn(&mut v1::TradePosted, &mut v1::Trade)| {
        let bets = bets();
        bets.lock().take_fact(0, &with(bought(1, 10), change)).expect("passed over");
        assert!(told(&bets).matches.is_empty());
    };
    check(&|_, trade| trade.side = v1::Side::Sell.into());
    check(&|_, trade| trade.rationale = PLACED_BY_USER.into());
    check(&|_, trade| trade.agent = String::new());
    check(&|_, trade| trade.status = v1::TradeStatus::Working.into());
    check(&|_, trade| trade.filled_quantity_micros = 0);
    let closing = bets();
    let position =
        v1::Position { instrument_id: format!("{MATCH}-HOME"), quantity_micros: -5 * UNIT, ..v1::Position::default() };
    let mut fact = bought(1, 10);
    fact.positions =
        vec![v1::PositionChanged { account_id: "alice".into(), position: Some(position), account_version: 1 }];
    closing.lock().take_fact(0, &fact).expect("passed over");
    assert!(told(&closing).matches.is_empty(), "ten were bought and five are still short");
}

#[test]
fn a_purchase_waits_until_the_market_has_told_what_it_is() {
    let bets = SharedBets::new(2);
    let pair = with(bought(1, 10), |_, trade| trade.instrument_id = "GBPUSD".into());
    for fact in [&pair, &bought(2, 20)] {
        bets.lock().take_fact(0, fact).expect("waits");
    }
    bets.lock().hear_instrument(Instrument {
        id: InstrumentId::new("GBPUSD").expect("an id"),
        prediction: None,
        ..contract(MATCH, "HOME")
    });
    bets.lock().hear_instrument(contract(MATCH, "HOME"));
    assert!(told(&bets).matches.is_empty(), "nobody knows of the match yet");
    bets.lock().hear_match(&game(MATCH, 1_000, MatchStatus::Scheduled, 0));
    let own = told(&bets).matches.remove(0);
    assert_eq!((own.bets[0].trades, own.told_up_to.get(&0)), (1, Some(&2)));
    assert!(bets.lock().waiting.is_empty());
}

#[test]
fn what_waits_counts_although_a_later_purchase_of_the_match_is_counted() {
    let away = with(bought(1, 10), |_, trade| trade.instrument_id = format!("{MATCH}-AWAY"));
    let bets = bets();
    for fact in [&away, &bought(2, 20)] {
        bets.lock().take_fact(0, fact).expect("one waits, one is counted");
    }
    let again = restarted(&bets);
    // Whoever waited on, and whoever was stopped meanwhile and is told everything again, comes to the same.
    again.lock().hear_instrument(contract(MATCH, "HOME"));
    for fact in [&away, &bought(2, 20)] {
        again.lock().take_fact(0, fact).expect("one waits, one is counted already");
    }
    for own in [&bets, &again] {
        own.lock().hear_instrument(contract(MATCH, "AWAY"));
        let trades: Vec<_> = told(own).matches[0].bets.iter().map(|bet| (bet.outcome.clone(), bet.trades)).collect();
        assert_eq!(trades, [("HOME".to_owned(), 1), ("AWAY".to_owned(), 1)]);
    }
}

#[test]
fn no_more_wait_than_there_is_room_for() {
    let bets = SharedBets::new(2);
    let many = i64::try_from(WAITING_MAX).expect("small") + 1;
    (1..=many).for_each(|sequence| bets.lock().take_fact(0, &bought(sequence, 10)).expect("waits"));
    bets.lock().hear_instrument(contract(MATCH, "HOME"));
    bets.lock().hear_match(&game(MATCH, 1_000, MatchStatus::Scheduled, 0));
    assert_eq!(told(&bets).matches[0].bets[0].trades, u64::try_from(WAITING_MAX).expect("small"));
}

#[test]
fn a_stored_match_goes_on_where_it_was() {
    let bets = bets();
    let configured = with(bought(2, 20), |posted, _| posted.agent_id = "agent-7".into());
    bets.lock().take_fact(3, &bought(1, 10)).expect("counted");
    bets.lock().take_fact(3, &configured).expect("counted");
    let (changed, dropped) = changes(&bets);
    assert_eq!((changed.len(), dropped.len()), (1, 0));
    assert_eq!(changes(&bets), (Vec::new(), Vec::new()), "nothing has changed since");
    bets.lock().keep_changes(&[MATCH.to_owned()]);
    assert_eq!(changes(&bets).0, changed, "it was not stored");
    let again = SharedBets::new(2);
    again.lock().restore(&changed[0].encode_to_vec()).expect("a match");
    assert_eq!(told(&again), told(&bets));
    again.lock().hear_instrument(contract(MATCH, "HOME"));
    again.lock().take_fact(3, &configured).expect("passed over");
    assert_eq!(told(&again), told(&bets), "told again, nothing changes");
    // An earlier version kept one mark for the whole match.
    let earlier = SharedBets::new(2);
    let without = v1::MatchBets { contracts: Vec::new(), ..changed[0].clone() };
    earlier.lock().restore(&without.encode_to_vec()).expect("a match");
    for read_once_more in [&earlier, &restarted(&earlier)] {
        read_once_more.lock().hear_instrument(contract(MATCH, "HOME"));
        read_once_more.lock().take_fact(3, &configured).expect("passed over");
        assert_eq!(told(read_once_more).matches[0].bets, told(&bets).matches[0].bets);
    }
    for bad in [
        v1::MatchBets { match_id: String::new(), ..changed[0].clone() },
        v1::MatchBets {
            bets: vec![v1::AgentBet { agent: "a".into(), outcome: "WIN".into(), ..v1::AgentBet::default() }],
            ..changed[0].clone()
        },
    ] {
        assert!(SharedBets::new(2).lock().restore(&bad.encode_to_vec()).is_err(), "{bad:?}");
    }
}

#[test]
fn the_match_that_began_first_makes_room_and_is_forgotten() {
    let bets = bets();
    bets.lock().take_fact(0, &bought(1, 10)).expect("counted");
    bets.lock().hear_match(&game("LATER", 2_000, MatchStatus::Scheduled, 0));
    bets.lock().hear_match(&game(MATCH, 1_000, MatchStatus::InPlay, 30));
    bets.lock().hear_match(&game("LAST", 500, MatchStatus::Scheduled, 0));
    assert_eq!(changes(&bets), (Vec::new(), vec![MATCH.to_owned()]));
    bets.lock().keep_changes(&[MATCH.to_owned()]);
    assert_eq!(changes(&bets), (Vec::new(), vec![MATCH.to_owned()]), "it was not forgotten");
    assert!(told(&bets).matches.is_empty());
}

#[test]
fn pages_are_of_the_period_and_follow_each_other() {
    let bets = SharedBets::new(10);
    for (match_id, kickoff) in [("A", 100), ("B", 200), ("C", 300)] {
        bets.lock().hear_instrument(contract(match_id, "HOME"));
        bets.lock().hear_match(&game(match_id, kickoff, MatchStatus::Scheduled, 0));
        let fact = with(bought(kickoff, 10), |_, trade| trade.instrument_id = format!("{match_id}-HOME"));
        bets.lock().take_fact(0, &fact).expect("counted");
    }
    let page = |from_micros, to_micros, after: &str, size| {
        let asked = v1::BetsQuestion { from_micros, to_micros, after_match_id: after.into() };
        let page = bets.lock().page(&asked, size);
        let ids: Vec<String> = page.matches.into_iter().map(|own| own.match_id).collect();
        (ids.join(""), page.next_match_id)
    };
    assert_eq!(page(100, 300, "", 10), ("AB".to_owned(), String::new()));
    assert_eq!(page(0, 301, "", 2), ("AB".to_owned(), "B".to_owned()));
    assert_eq!(page(0, 301, "B", 2), ("C".to_owned(), String::new()));
    assert_eq!(page(101, 200, "", 10), (String::new(), String::new()));
}
