//! Records from facts.

use super::*;
use prost::Message as _;

const DAY: i64 = 86_400_000_000;

/// The fact `sequence`: agent `a` traded on account `acc`; position and cash after it, in whole units.
fn traded(sequence: i64, [quantity, realized, fees, cash]: [i64; 4], at: i64) -> v1::LedgerFact {
    let unit = 1_000_000;
    let trade = v1::Trade {
        account_id: "acc".into(),
        filled_quantity_micros: unit,
        fee_micros: unit,
        cash_change_micros: -unit,
        ..v1::Trade::default()
    };
    let position = v1::Position {
        instrument_id: "X".into(),
        quantity_micros: quantity * unit,
        average_price_micros: 100 * unit,
        realized_pnl_micros: realized * unit,
        fee_micros: fees * unit,
        margin_micros: 0,
    };
    v1::LedgerFact {
        meta: Some(v1::Meta { occurred_at_micros: at, ..v1::Meta::default() }),
        sequence,
        kind: Some(Kind::Trade(v1::TradePosted {
            trade: Some(trade),
            agent_id: "a".into(),
            ..v1::TradePosted::default()
        })),
        balances: vec![v1::BalanceChanged { account: Some(wallet(cash)) }],
        positions: vec![v1::PositionChanged { account_id: "acc".into(), position: Some(position), account_version: 1 }],
    }
}

fn wallet(cash: i64) -> v1::Account {
    let cash_micros = cash * 1_000_000;
    v1::Account { account_id: "acc".into(), currency: "USD".into(), cash_micros, ..v1::Account::default() }
}

fn paid(sequence: i64, amount: i64, at: i64) -> v1::LedgerFact {
    let cash =
        v1::CashPosted { amount_micros: amount * 1_000_000, account: Some(wallet(0)), ..v1::CashPosted::default() };
    v1::LedgerFact { kind: Some(Kind::Cash(cash)), positions: Vec::new(), ..traded(sequence, [0, 0, 0, 0], at) }
}

/// 40 round trips, one a day: four win 10, the fifth loses 3; each costs 2.
fn season(scores: &SharedScores) {
    let (mut sequence, mut realized) = (0, 0);
    for trip in 0..40_i64 {
        let before = realized;
        realized += if trip % 5 == 4 { -3 } else { 10 };
        for (held, realized) in [(1, before), (0, realized)] {
            sequence += 1;
            let fact = traded(sequence, [held, realized, sequence, 10_000 + realized - sequence], trip * DAY);
            scores.lock().take_fact(0, &fact).expect("counted");
        }
    }
}

/// The records that are to be stored now, as they are read again.
fn records(scores: &SharedScores) -> Vec<v1::AgentScore> {
    let changed = scores.lock().take_changed();
    changed
        .iter()
        .map(|change| v1::AgentScore::decode(change.value.as_deref().expect("kept")).expect("whole"))
        .collect()
}

fn agent() -> AgentId {
    AgentId::new("a").expect("an id")
}

fn equity(scores: &SharedScores) -> Option<i64> {
    scores.lock().equity(&agent()).map(|(_, equity)| equity.micros() / 1_000_000)
}

#[test]
fn an_agent_is_scored_from_its_facts_and_each_counts_once() {
    let scores = SharedScores::new(10);
    season(&scores);
    // 32 x 10 - 8 x 3 - 80 fees.
    assert_eq!(equity(&scores), Some(10_000 + 320 - 24 - 80));
    let score = scores.lock().score_ppm(&agent());
    assert!(score.is_some_and(|ppm| ppm > 800_000), "{score:?}");
    season(&scores);
    assert_eq!(scores.lock().score_ppm(&agent()), score, "told again, nothing changes");
}

#[test]
fn without_enough_trades_there_is_no_score_and_a_reason() {
    let scores = SharedScores::new(10);
    scores.lock().take_fact(0, &traded(1, [1, 0, 1, 999], 0)).expect("counted");
    assert_eq!(scores.lock().score_ppm(&agent()), None);
    let stored = records(&scores);
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].why_none, "0 points, at least 30 are needed");
}

#[test]
fn payments_are_no_profit_and_other_accounts_are_nobodys() {
    let scores = SharedScores::new(10);
    scores.lock().take_fact(0, &traded(1, [1, 0, 1, 999], 0)).expect("counted");
    assert_eq!(equity(&scores), Some(999));
    scores.lock().take_fact(0, &paid(2, 500, 1)).expect("counted");
    assert_eq!(equity(&scores), Some(1_499));
    let mut other = paid(3, 100, 2);
    if let Some(Kind::Cash(cash)) = &mut other.kind {
        cash.account = Some(v1::Account { account_id: "bob".into(), ..v1::Account::default() });
    }
    scores.lock().take_fact(0, &other).expect("passed over");
    assert_eq!(equity(&scores), Some(1_499));
}

#[test]
fn a_stored_record_goes_on_where_it_was() {
    let scores = SharedScores::new(10);
    season(&scores);
    let stored = records(&scores);
    assert!(records(&scores).is_empty(), "nothing has changed since");
    let again = SharedScores::new(10);
    again.lock().restore(&stored[0].encode_to_vec()).expect("a record");
    season(&again);
    assert_eq!(again.lock().score_ppm(&agent()), scores.lock().score_ppm(&agent()));
    let next = traded(81, [1, 296, 81, 10_215], 40 * DAY);
    for one in [&scores, &again] {
        one.lock().take_fact(0, &next).expect("counted");
    }
    assert_eq!(records(&again), records(&scores));
}

#[test]
fn records_that_make_no_sense_are_refused() {
    let scores = SharedScores::new(10);
    season(&scores);
    let good = records(&scores).remove(0);
    let check =
        |bad: v1::AgentScore| assert!(SharedScores::new(1).lock().restore(&bad.encode_to_vec()).is_err(), "{bad:?}");
    check(v1::AgentScore { account_id: String::new(), ..good.clone() });
    check(v1::AgentScore { lost_micros: -1, ..good.clone() });
    check(v1::AgentScore { day_returns: vec![i64::MAX], ..good.clone() });
    check(v1::AgentScore { worst_basis_micros: i64::MIN, worst_amount_micros: 1, ..good });
}

#[test]
fn more_agents_than_there_is_room_for_have_no_record() {
    let scores = SharedScores::new(0);
    scores.lock().take_fact(0, &traded(1, [1, 0, 1, 999], 0)).expect("passed over");
    assert!(scores.lock().equity(&agent()).is_none());
}
