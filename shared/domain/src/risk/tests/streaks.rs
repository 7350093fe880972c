//! Losses in a row: what a closed trade is, whose it is, and that it counts once, in
//! whatever order journal and fills are read.

use super::*;
use crate::risk::tests::limits::limited;

/// Three losses in a row stop an agent.
fn state() -> State {
    limited(|limits| limits.rules.set_all([("consecutive_losses_halt_max", 3)].into_iter()).expect("sensible"))
}

/// `agent` buys (a positive quantity) or sells contracts of P at `price`.
fn trade(number: u32, agent: &str, quantity: i64, price: &str) -> Record {
    let side = if quantity > 0 { Side::Buy } else { Side::Sell };
    let trade = format!("t{number}");
    let fill = Fill {
        id: id(&format!("{trade}-x")),
        price: micros(price),
        quantity: micros(&quantity.abs().to_string()),
        fee: micros("0.01"),
        executed_at: NOW,
    };
    Record::Executed(Box::new(Executed {
        trade: id(&trade),
        order: id(&format!("{trade}-o")),
        account: id("alice"),
        instrument: id("P"),
        agent: (!agent.is_empty()).then(|| id(agent)),
        side,
        settlement: SettlementTerms { style: SettlementStyle::Prediction, currency: usd(), initial_margin_ppm: 0 },
        fills: vec![fill],
        status: TradeStatus::Filled,
    }))
}

fn closed(number: u64, net: &str) -> ClosedTrade {
    let (agent, account, instrument) = (id("a1"), id("alice"), id("P"));
    ClosedTrade { agent, account, instrument, end: TradeEnd::Fill, number, net: micros(net) }
}

/// Journals what is due, as the guard does; gives it.
fn journal(state: &mut State) -> Vec<Record> {
    let due = state.due_trades().to_vec();
    let records = due.into_iter().map(|own| Record::Breaker(Box::new(BreakerRecord::TradeClosed(own))));
    let records: Vec<Record> = records.collect();
    records.iter().for_each(|record| state.apply(record.clone()).expect("fits"));
    assert_eq!(state.due_trades(), []);
    records
}

fn losses(state: &State) -> Vec<(String, Option<i64>)> {
    state.streak_readings().map(|own| (own.scope.id().to_owned(), own.value)).collect()
}

fn bytes(state: &State) -> Vec<u8> {
    let mut all = Vec::new();
    state.canonical(|_| [0; 32], |piece| all.extend_from_slice(piece));
    all
}

#[test]
fn a_trade_closes_when_it_is_flat_or_through_zero_and_counts_after_fees() {
    let mut state = state();
    let mut take = |records: &[Record]| {
        records.iter().for_each(|record| state.apply(record.clone()).expect("fits"));
        journal(&mut state);
        losses(&state)
    };
    let streak = |losses| vec![("a1".to_owned(), Some(losses))];
    assert_eq!(take(&[trade(1, "a1", 10, "0.50")]), [], "nothing is closed");
    assert_eq!(take(&[trade(2, "a1", -4, "0.40")]), [], "part of it is not all of it");
    assert_eq!(take(&[trade(3, "a1", -6, "0.52")]), streak(1), "-0.40 + 0.12, less three fees");
    // Level but for the fees is a loss.
    assert_eq!(take(&[trade(4, "a1", 10, "0.50"), trade(5, "a1", -10, "0.50")]), streak(2));
    // Through zero: the long is closed with a profit, a short of 5 is open.
    assert_eq!(take(&[trade(6, "a1", 10, "0.50"), trade(7, "a1", -15, "0.60")]), streak(0));
    assert_eq!(take(&[trade(8, "a1", 5, "0.70")]), streak(1));
}

#[test]
fn a_trade_belongs_to_all_who_have_filled_in_it_whoever_closes_it() {
    let mut state = state();
    for record in [trade(1, "a1", 10, "0.50"), trade(2, "a2", 10, "0.50"), trade(3, "", -20, "0.40")] {
        state.apply(record).expect("fits");
    }
    journal(&mut state);
    assert_eq!(losses(&state), [("a1".to_owned(), Some(1)), ("a2".to_owned(), Some(1))]);
    // What users trade alone is nobody's streak.
    state.apply(trade(4, "", 10, "0.50")).expect("fits");
    state.apply(trade(5, "", -10, "0.40")).expect("fits");
    assert_eq!(state.due_trades(), []);
    // Who joins what a user has begun closes all of it.
    state.apply(trade(6, "", 10, "0.50")).expect("fits");
    state.apply(trade(7, "a1", -10, "0.40")).expect("fits");
    assert_eq!(journal(&mut state).len(), 1);
    assert_eq!(losses(&state)[0], ("a1".to_owned(), Some(2)));
}

#[test]
fn a_trade_that_is_over_is_nobodys_any_more() {
    let mut state = state();
    let take = |state: &mut State, records: [Record; 2]| {
        records.into_iter().for_each(|record| state.apply(record).expect("fits"));
        assert!(!state.memories().iter().any(|own| matches!(own, Memory::OpenTrade(_))));
    };
    take(&mut state, [trade(1, "a1", 10, "0.50"), trade(2, "a1", -10, "0.60")]);
    journal(&mut state);
    take(&mut state, [trade(3, "", 10, "0.50"), trade(4, "", -10, "0.40")]);
    assert_eq!(state.due_trades(), []);
    // Through zero: what goes on is of the user who has turned it.
    take(&mut state, [trade(5, "a1", 10, "0.50"), trade(6, "", -20, "0.50")]);
}

#[test]
fn a_market_that_is_paid_out_closes_what_is_open_in_it_once() {
    let mut state = state();
    state.apply(trade(1, "a1", 10, "0.50")).expect("fits");
    let paid = Record::PaidOut { account: id("alice"), instrument: id("P"), realized_pnl: micros("-5") };
    state.apply(paid.clone()).expect("fits");
    state.apply(paid).expect("fits");
    let expected = ClosedTrade { end: TradeEnd::Payout, net: micros("-5.01"), ..closed(1, "0") };
    assert_eq!(state.due_trades(), [expected]);
    journal(&mut state);
    assert_eq!(losses(&state), [("a1".to_owned(), Some(1))]);
}

#[test]
fn what_is_journaled_leaves_the_others_to_be_journaled() {
    let mut state = state();
    let fills = [trade(1, "a1", 10, "0.50"), trade(2, "a2", 10, "0.50"), trade(3, "", -20, "0.40")];
    let paid = Record::PaidOut { account: id("alice"), instrument: id("P"), realized_pnl: micros("-5") };
    for record in fills.into_iter().chain([trade(4, "a1", 10, "0.50"), paid]) {
        state.apply(record).expect("fits");
    }
    let due = state.due_trades().to_vec();
    assert_eq!(due.iter().map(|own| own.number).collect::<Vec<_>>(), [1, 1, 1]);
    for (index, own) in due.iter().enumerate() {
        state.apply(Record::Breaker(Box::new(BreakerRecord::TradeClosed(own.clone())))).expect("fits");
        assert_eq!(state.due_trades(), &due[index + 1..]);
    }
}

#[test]
fn a_later_trade_in_the_journal_leaves_no_earlier_one_to_be_journaled() {
    let mut state = state();
    for number in [0, 2] {
        state.apply(trade(number, "a1", 10, "0.50")).expect("fits");
        state.apply(trade(number + 1, "a1", -10, "0.40")).expect("fits");
    }
    assert_eq!(state.due_trades().len(), 2);
    state.apply(Record::Breaker(Box::new(BreakerRecord::TradeClosed(closed(2, "-1.02"))))).expect("fits");
    assert_eq!(state.due_trades(), []);
}

#[test]
fn only_who_is_limited_has_a_streak() {
    let mut state = limited(|limits| {
        limits.rules.set(LimitName::ConsecutiveLossesHaltMax, "a1", 3).expect("sensible");
    });
    for record in [trade(1, "a1", 10, "0.50"), trade(2, "a2", 10, "0.50"), trade(3, "", -20, "0.40")] {
        state.apply(record).expect("fits");
    }
    assert_eq!(journal(&mut state).len(), 1);
    assert_eq!(losses(&state), [("a1".to_owned(), Some(1))]);
    state.limits_mut().rules.set(LimitName::ConsecutiveLossesHaltMax, "a1", 0).expect("sensible");
    assert_eq!(losses(&state), []);
}

#[test]
fn a_limit_that_is_off_remembers_nothing() {
    let mut state = limited(|_| {});
    for record in [trade(1, "a1", 10, "0.50"), trade(2, "a1", -10, "0.40")] {
        state.apply(record).expect("fits");
    }
    assert_eq!((state.due_trades(), losses(&state)), (&[][..], Vec::new()));
    assert!(!state.memories().iter().any(|own| matches!(own, Memory::Streak(_) | Memory::OpenTrade(_))));
}

/// Two losses, journaled one by one, and a third that a guard died before it had journaled.
#[test]
fn journal_and_fills_come_to_the_same_streak_in_any_order_and_nothing_counts_twice() {
    let fills: Vec<Record> = (0..3)
        .flat_map(|number| [trade(2 * number, "a1", 10, "0.50"), trade(2 * number + 1, "a1", -10, "0.40")])
        .collect();
    let mut live = state();
    let mut journaled = Vec::new();
    for record in &fills[..4] {
        live.apply(record.clone()).expect("fits");
        journaled.extend(journal(&mut live));
    }
    assert_eq!(journaled.len(), 2);
    let hashed = bytes(&live);
    assert_ne!(hashed, bytes(&state()), "what the journal has is hashed");
    fills[4..].iter().for_each(|record| live.apply(record.clone()).expect("fits"));
    assert_eq!(bytes(&live), hashed, "what it does not have is not");

    let from_journal_first = journaled.iter().chain(&fills);
    let from_fills_first = fills.iter().chain(&journaled);
    for records in [from_journal_first.cloned().collect::<Vec<_>>(), from_fills_first.cloned().collect()] {
        let mut replayed = state();
        records.into_iter().for_each(|record| replayed.apply(record).expect("fits"));
        replayed.resume_streaks();
        assert_eq!(losses(&replayed), [("a1".to_owned(), Some(2))]);
        assert_eq!(replayed.due_trades(), live.due_trades(), "the third is still to be journaled, and only it");
        assert_eq!(bytes(&replayed), hashed);
    }
    // Where the bus has the fills no more the streak is as journaled, and goes on from there.
    let mut replayed = state();
    journaled.into_iter().for_each(|record| replayed.apply(record).expect("fits"));
    replayed.resume_streaks();
    assert_eq!(replayed.due_trades(), []);
    fills[4..].iter().for_each(|record| replayed.apply(record.clone()).expect("fits"));
    assert_eq!(replayed.due_trades(), [closed(3, "-1.02")]);
}

#[test]
fn a_snapshot_knows_streaks_open_trades_and_what_is_to_be_journaled() {
    let mut before = state();
    for record in [trade(1, "a1", 10, "0.50"), trade(2, "a1", -10, "0.40")] {
        before.apply(record).expect("fits");
    }
    journal(&mut before);
    for record in [trade(3, "a1", 10, "0.50"), trade(4, "a1", -10, "0.40"), trade(5, "a1", 10, "0.50")] {
        before.apply(record).expect("fits");
    }
    let mut after = State::restore(before.limits().clone(), before.stored()).expect("sound");
    assert_eq!(bytes(&after), bytes(&before));
    assert_eq!(after.due_trades(), before.due_trades());
    for state in [&mut before, &mut after] {
        journal(state);
        state.apply(trade(6, "a1", -10, "0.30")).expect("fits");
        assert_eq!(state.due_trades(), [closed(3, "-2.02")]);
        journal(state);
        assert_eq!(losses(state), [("a1".to_owned(), Some(3))]);
    }
}

#[test]
fn so_many_losses_in_a_row_stop_the_agent() {
    let mut state = state();
    let mut watch = Watch::default();
    for number in 1..=3 {
        let closed = BreakerRecord::TradeClosed(closed(number, "-1"));
        state.apply(Record::Breaker(Box::new(closed))).expect("fits");
        let readings: Vec<Reading> = state.streak_readings().collect();
        let events = watch.evaluate(&state, &readings, NOW);
        let tripped = events.iter().find_map(|event| match event {
            BreakerEvent::Tripped(latch) => Some((latch.kind, latch.scope.clone(), latch.value)),
            BreakerEvent::Extended(_)
            | BreakerEvent::Ended(_)
            | BreakerEvent::Rearmed { .. }
            | BreakerEvent::Warned { .. } => None,
        });
        let expected = (number == 3).then(|| (BreakerKind::ConsecutiveLosses, Scope::Agent(id("a1")), 3));
        assert_eq!(tripped, expected, "after {number}");
    }
    // The same record again counts nothing.
    state.apply(Record::Breaker(Box::new(BreakerRecord::TradeClosed(closed(3, "-1"))))).expect("fits");
    assert_eq!(losses(&state), [("a1".to_owned(), Some(3))]);
}
