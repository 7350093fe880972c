//! The table of trading states, for every pair of scopes and every kind of order;
//! and which open orders a tightened state no longer lets stand.

use super::*;

/// What an order does to a long position of 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Buys from flat.
    Opening,
    /// Buys more.
    Adding,
    /// Sells a part.
    Reducing,
    /// Sells all.
    Closing,
    /// Sells more than there is.
    Flipping,
    /// Takes a working order out.
    Cancel,
}

const ACTIONS: [Action; 6] =
    [Action::Opening, Action::Adding, Action::Reducing, Action::Closing, Action::Flipping, Action::Cancel];
const STATES: [TradingState; 3] = [TradingState::Active, TradingState::Reducing, TradingState::Halted];

/// Every scope that an order of alice's agent a1 in the pool `value` on P belongs to.
fn scopes() -> [Scope; 5] {
    [
        Scope::Global,
        Scope::Pool(id("value")),
        Scope::Agent(id("a1")),
        Scope::Instrument(id("P")),
        Scope::Account(id("alice")),
    ]
}

/// The table of the gate, row by row.
fn is_allowed(state: TradingState, action: Action) -> bool {
    match (state, action) {
        (TradingState::Active, _) | (_, Action::Cancel) => true,
        (TradingState::Reducing, Action::Reducing | Action::Closing) => true,
        (TradingState::Reducing, Action::Opening | Action::Adding | Action::Flipping) => false,
        (TradingState::Halted, _) => false,
    }
}

fn is_done(state: &mut State, action: Action) -> bool {
    let (side, quantity) = match action {
        Action::Opening | Action::Adding => (Side::Buy, "1"),
        Action::Reducing => (Side::Sell, "9"),
        Action::Closing => (Side::Sell, "10"),
        Action::Flipping => (Side::Sell, "11"),
        Action::Cancel => {
            let own = decide_cancel(state, &id("working"), &id("alice"), NOW);
            return own.is_ok_and(|order| order.is_some());
        }
    };
    decide(state, &proposed("P", side, "0.5", quantity), NOW).is_ok()
}

#[test]
fn the_most_severe_scope_wins_for_every_pair_of_scopes_states_and_actions() {
    let mut checked = 0;
    for (first, second) in scopes().into_iter().flat_map(|a| scopes().map(|b| (a.clone(), b))) {
        for (one, other) in STATES.into_iter().flat_map(|a| STATES.map(|b| (a, b))) {
            for action in ACTIONS {
                let mut state = state();
                match action {
                    Action::Opening => {}
                    Action::Adding | Action::Reducing | Action::Closing | Action::Flipping => {
                        state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
                    }
                    Action::Cancel => drop(approve(&mut state, &named("working", "P", Side::Buy, "0.4", "1"))),
                }
                tightened(&mut state, first.clone(), one);
                tightened(&mut state, second.clone(), other);
                let expected = is_allowed(one.max(other), action);
                let what = format!("{first} {one:?}, {second} {other:?}: {action:?}");
                assert_eq!(is_done(&mut state, action), expected, "{what}");
                // Whoever is in none of the scopes is not concerned.
                if first != Scope::Global && second != Scope::Global && action == Action::Opening {
                    let stranger = Proposed {
                        account: id("alice"),
                        agent: Some(id("a2")),
                        pool: Some(id("swing")),
                        ..named("stranger", "M", Side::Buy, "10", "1")
                    };
                    let is_own = first == Scope::Account(id("alice")) || second == Scope::Account(id("alice"));
                    let is_let = decide(&state, &stranger, NOW).is_ok();
                    assert!(is_let || is_own, "{what}: a stranger is stopped");
                }
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 5 * 5 * 3 * 3 * 6);
}

pub(super) fn forbidden(state: &State) -> Vec<String> {
    let mut orders: Vec<String> = forbidden_orders(state).map(|open| open.order.terms.id.to_string()).collect();
    orders.sort();
    orders
}

#[test]
fn a_halt_lets_no_order_of_its_scope_stand() {
    let mut state = state();
    approve(&mut state, &named("t1", "P", Side::Buy, "0.4", "1"));
    approve(&mut state, &Proposed { agent: None, pool: None, ..named("t2", "P", Side::Buy, "0.4", "1") });
    assert_eq!(forbidden(&state), Vec::<String>::new());
    tightened(&mut state, Scope::Agent(id("a1")), TradingState::Halted);
    assert_eq!(forbidden(&state), ["t1-o"]);
    tightened(&mut state, Scope::Account(id("alice")), TradingState::Halted);
    assert_eq!(forbidden(&state), ["t1-o", "t2-o"]);
}

#[test]
fn no_order_stands_in_what_is_paid_out() {
    let mut state = state();
    approve(&mut state, &named("t1", "P", Side::Buy, "0.4", "1"));
    approve(&mut state, &named("t2", "S", Side::Buy, "100", "1"));
    state.apply(Record::Booked { settled: Some(id("P")) }).expect("fits");
    assert_eq!(forbidden(&state), ["t1-o"]);
    let settled: Vec<String> = state.settled_orders().map(|open| open.order.terms.id.to_string()).collect();
    assert_eq!(settled, ["t1-o"]);
}

#[test]
fn reducing_lets_stand_what_closes_with_everything_pending_filled() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    for (trade, side, quantity) in
        [("t1", Side::Sell, "6"), ("t2", Side::Sell, "5"), ("t3", Side::Sell, "4"), ("t4", Side::Buy, "1")]
    {
        let price = if side == Side::Buy { "0.4" } else { "0.6" };
        approve(&mut state, &named(trade, "P", side, price, quantity));
    }
    tightened(&mut state, Scope::Global, TradingState::Reducing);
    // 6 and 4 close the 10; the 5 would flip it, the purchase grow it.
    assert_eq!(forbidden(&state), ["t2-o", "t4-o"]);

    // An order that need not reduce stays whatever it does: what it closes is gone for the others.
    let mut state = self::state();
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    approve(&mut state, &named("t1", "P", Side::Sell, "0.6", "6"));
    approve(&mut state, &Proposed { agent: Some(id("a2")), ..named("t2", "P", Side::Sell, "0.6", "5") });
    tightened(&mut state, Scope::Agent(id("a1")), TradingState::Reducing);
    assert_eq!(forbidden(&state), ["t1-o"]);
    // So does one that is halted, until it is taken out.
    tightened(&mut state, Scope::Agent(id("a2")), TradingState::Halted);
    assert_eq!(forbidden(&state), ["t1-o", "t2-o"]);
}

#[test]
fn what_another_scope_closes_is_taken_off_once() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "10")])).expect("fits");
    approve(&mut state, &Proposed { agent: Some(id("a2")), ..named("t1", "P", Side::Sell, "0.6", "4") });
    approve(&mut state, &named("t2", "P", Side::Sell, "0.6", "6"));
    tightened(&mut state, Scope::Agent(id("a1")), TradingState::Reducing);
    assert_eq!(forbidden(&state), Vec::<String>::new());
}

#[test]
fn an_order_goes_where_the_sum_of_what_is_pending_does_not_fit() {
    let mut state = state();
    state.apply(posted("1000", 2, &[("P", "-5")])).expect("fits");
    approve(&mut state, &named("t1", "P", Side::Buy, "0.4", "1"));
    let others = ["t2", "t3"].map(|trade| {
        let wanted = Proposed { agent: Some(id("a2")), ..named(trade, "P", Side::Buy, "0.4", "1") };
        Order::clone(&decide(&state, &wanted, NOW).expect("approved"))
    });
    for mut vast in others {
        vast.terms.quantity = Quantity::from_micros(i64::MAX);
        state.apply(Record::Approved(Box::new(vast))).expect("fits");
    }
    tightened(&mut state, Scope::Agent(id("a1")), TradingState::Reducing);
    assert_eq!(forbidden(&state), ["t1-o"]);
}
