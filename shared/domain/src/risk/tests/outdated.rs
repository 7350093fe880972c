//! Facts that the ledger tells late, out of its books: what changed since is not in them, and nothing counts twice.

use super::*;

/// Alice has 1,000 and 10 of P. She buys 10 more of P, 4 of S, and sells 5 of P: nothing of it is posted.
fn traded() -> (State, [Order; 3]) {
    let mut state = state();
    state.apply(posted("1000", 10, &[("P", "10")])).expect("fits");
    let orders = [
        ("one", "P", Side::Buy, "0.5", "10"),
        ("two", "S", Side::Buy, "100", "4"),
        ("three", "P", Side::Sell, "0.5", "5"),
    ]
    .map(|(trade, instrument, side, price, quantity)| {
        let order = approve(&mut state, &named(trade, instrument, side, price, quantity));
        fill(&mut state, &order, 1, price, quantity, TradeStatus::Filled);
        order
    });
    (state, orders)
}

/// What the ledger tells of a trade: cash and positions with the version of the change they are of.
fn told(order: &Order, balance: Option<(&str, i64)>, positions: &[(&str, &str, i64)], is_outdated: bool) -> Record {
    let (cash, version) = balance.unwrap_or(("0", 0));
    let Record::Posted(mut own) = posted(cash, version, &[]) else { unreachable!("made by `posted`") };
    if balance.is_none() {
        own.balances.clear();
    }
    for (instrument, quantity, version) in positions {
        let Record::Posted(shown) = posted("0", *version, &[(instrument, quantity)]) else {
            unreachable!("made by `posted`")
        };
        own.positions.extend(shown.positions);
    }
    let executions = vec![ExecutionId::new(format!("{}-x1", order.terms.id)).expect("an id")];
    Record::Posted(Box::new(Posted {
        trade: Some(order.trade.clone()),
        is_final: true,
        executions,
        is_outdated,
        ..*own
    }))
}

/// Cash to spend, and what is held of P and S.
fn seen(state: &State) -> (String, String, String) {
    let account = state.account(&id("alice")).expect("known");
    let of = |name: &str| account.holding(&id(name)).map_or(Quantity::ZERO, |own| own.position().quantity).to_string();
    let available = account.balance(&usd()).available().expect("fits").expect("known");
    (available.to_string(), of("P"), of("S"))
}

fn unposted(state: &State) -> usize {
    state.account(&id("alice")).expect("known").holdings().map(|(_, own)| own.unposted().len()).sum()
}

#[test]
fn what_is_told_late_counts_once() {
    let (mut state, [one, two, three]) = traded();
    let before = seen(&state);
    // What the sale brought is no buying power before it is posted.
    assert_eq!((before.0.as_str(), before.1.as_str(), before.2.as_str()), ("595", "15", "4"));
    // One has changed P and two S since; three has changed P once more.
    for late in [told(&one, None, &[], true), told(&two, None, &[("S", "4", 12)], true)] {
        state.apply(late).expect("fits");
        check_invariants(&state).expect("sound");
        assert_eq!((seen(&state), unposted(&state)), (before.clone(), 3));
    }
    state.apply(told(&three, Some(("597.5", 13)), &[("P", "15", 13)], false)).expect("fits");
    check_invariants(&state).expect("sound");
    assert_eq!(seen(&state), ("597.5".to_owned(), "15".to_owned(), "4".to_owned()));
    assert_eq!(unposted(&state), 0);
}

#[test]
fn cash_that_comes_between_waits_with_what_is_late() {
    let (mut state, [one, two, three]) = traded();
    let before = seen(&state);
    state.apply(told(&one, None, &[], true)).expect("fits");
    state.apply(told(&two, None, &[("S", "4", 12)], true)).expect("fits");
    // A deposit shows cash with all of it, but nothing shows P as it is now.
    let Record::Posted(mut deposit) = posted("695", 13, &[]) else { unreachable!("made by `posted`") };
    deposit.balances[0].flow = micros("100");
    state.apply(Record::Posted(deposit)).expect("fits");
    check_invariants(&state).expect("sound");
    assert_eq!((seen(&state), unposted(&state)), (before, 3));
    state.apply(told(&three, Some(("697.5", 14)), &[("P", "15", 14)], false)).expect("fits");
    assert_eq!(seen(&state), ("697.5".to_owned(), "15".to_owned(), "4".to_owned()));
    assert_eq!(unposted(&state), 0);
    let account = state.account(&id("alice")).expect("known");
    assert_eq!(account.payments(&usd()).0, micros("100"), "what was paid in is known");
}

#[test]
fn what_never_gets_complete_is_taken_in_the_end() {
    let (mut state, [one, ..]) = traded();
    for _ in 0..999 {
        state.apply(told(&one, None, &[], true)).expect("fits");
    }
    assert_eq!(unposted(&state), 3);
    state.apply(told(&one, None, &[], true)).expect("fits");
    assert_eq!(unposted(&state), 2);
    check_invariants(&state).expect("sound");
}
