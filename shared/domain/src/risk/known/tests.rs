//! What is hashed of known trades tells every difference, and costs little once it is sealed.

use super::*;
use crate::risk::{Limits, Record, State};
use proptest::prelude::*;
use std::{
    cell::Cell,
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
};

thread_local! {
    static DIGESTED: Cell<usize> = const { Cell::new(0) };
}

/// No cryptography is needed to tell what a test has changed.
fn digest(bytes: &[u8]) -> [u8; 32] {
    DIGESTED.set(DIGESTED.get() + bytes.len());
    let mut all = [0; 32];
    for (salt, part) in all.chunks_exact_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        (salt, bytes).hash(&mut hasher);
        part.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    all
}

fn bytes(state: &State) -> Vec<u8> {
    let mut all = Vec::new();
    state.canonical(digest, |part| all.extend_from_slice(part));
    all
}

fn trade(number: usize) -> TradeId {
    TradeId::new(format!("t{number}")).expect("an id")
}

fn order(number: usize) -> OrderId {
    OrderId::new(format!("o{number}")).expect("an id")
}

fn refuse(state: &mut State, number: usize) {
    state.apply(Record::Refused { trade: trade(number) }).expect("fits");
}

/// What has come to know these one after the other, of which it keeps `limit`.
fn state(trades: impl IntoIterator<Item = usize>, limit: usize) -> State {
    let mut state = State::new(Limits::default());
    state.apply(Record::TermBegan { known_trades_max: limit }).expect("fits");
    trades.into_iter().for_each(|number| refuse(&mut state, number));
    state
}

/// 2,000 trades of which 1,700 are kept: the end of generation 0, all of 1 and 2, the beginning of 3.
const KEPT: usize = 1_700;
const CAME: usize = 2_000;

#[test]
fn no_trade_is_left_out_doubled_exchanged_or_renamed_unnoticed() {
    let told = bytes(&state(0..CAME, KEPT));
    assert_eq!(told, bytes(&state(0..CAME, KEPT)));
    // In each generation, at both ends of it, and at both ends of all.
    for place in [300, 301, 400, 511, 512, 1_000, 1_023, 1_024, 1_535, 1_536, 1_900, 1_998] {
        let without = (0..CAME).filter(|number| *number != place);
        assert_ne!(told, bytes(&state(without.clone(), KEPT)), "{place} is left out");
        assert_ne!(told, bytes(&state(std::iter::once(9_999).chain(without), KEPT)), "another one came before instead");
        let exchanged = (0..CAME).map(|number| match number {
            _ if number == place => place + 1,
            _ if number == place + 1 => place,
            _ => number,
        });
        assert_ne!(told, bytes(&state(exchanged, KEPT)), "{place} and the next are exchanged");
        let renamed = (0..CAME).map(|number| if number == place { 9_999 } else { number });
        assert_ne!(told, bytes(&state(renamed, KEPT)), "{place} is another one");
    }
    assert_ne!(told, bytes(&state(0..=CAME, KEPT)), "one more");
    assert_ne!(told, bytes(&state(0..CAME, KEPT + 1)), "one is remembered longer");
}

#[test]
fn a_trade_in_flight_is_told_from_a_finished_one() {
    for place in [0, 300, 511, 512, 900] {
        let mut known = Known::default();
        (0..1_000).for_each(|number| known.set(trade(number), KnownTrade::Finished, KEPT));
        known.seal(digest);
        let mut changed = known.clone();
        changed.set(trade(place), KnownTrade::InFlight(order(place)), KEPT);
        assert_eq!(changed.in_flight().iter().copied().collect::<Vec<_>>(), [u64::try_from(place).expect("small")]);
        assert_ne!(changed, known, "{place}");
        changed.set(trade(place), KnownTrade::Finished, KEPT);
        assert_eq!((changed.in_flight().len(), &changed), (0, &known));
    }
}

#[test]
fn what_is_in_flight_is_in_the_bytes_with_its_number() {
    let with = |in_flight: &[usize]| {
        let mut state = State::new(Limits::default());
        for number in 0..1_000 {
            let known =
                if in_flight.contains(&number) { KnownTrade::InFlight(order(number)) } else { KnownTrade::Finished };
            state.known.set(trade(number), known, KEPT);
        }
        bytes(&state)
    };
    let all = [with(&[]), with(&[3]), with(&[4]), with(&[3, 4]), with(&[700]), with(&[3, 700])];
    for (index, one) in all.iter().enumerate() {
        assert!(all.iter().skip(index + 1).all(|other| other != one), "{index}");
    }
}

#[test]
fn one_in_flight_that_would_be_forgotten_becomes_the_newest_and_stays_in_flight() {
    let mut known = Known::default();
    known.set(trade(0), KnownTrade::InFlight(order(0)), 2);
    (1..4).for_each(|number| known.set(trade(number), KnownTrade::Finished, 2));
    let there: Vec<_> = known.arrived().iter().map(|(trade, _)| trade.to_string()).collect();
    assert_eq!(there, ["t0", "t3"], "1 and 2 are forgotten");
    assert_eq!((known.arrived().taken(), known.in_flight().iter().copied().collect::<Vec<_>>()), (3, vec![3]));
}

/// Part of what a journal replays to: another number would be another order of the trades, and another hash.
#[test]
fn eight_in_flight_are_looked_at_for_one_to_forget() {
    let mut known = Known::default();
    (0..20).for_each(|number| known.set(trade(number), KnownTrade::InFlight(order(number)), 20));
    assert_eq!(known.arrived().taken(), 0);
    known.set(trade(20), KnownTrade::Finished, 20);
    assert_eq!((known.arrived().taken(), known.arrived().len()), (8, 21));
}

#[test]
fn a_hash_reads_few_trades_once_they_are_sealed() {
    let mut state = state(0..CAME, KEPT);
    let cost = |state: &State| {
        let before = DIGESTED.get();
        let bytes = bytes(state);
        (DIGESTED.get() - before, bytes)
    };
    let (unsealed, told) = cost(&state);
    assert!(unsealed > 2 * 512 * 10, "two generations with their lengths: {unsealed}");
    state.seal(digest);
    assert_eq!(cost(&state), (0, told.clone()), "the same bytes");
    let before = DIGESTED.get();
    state.seal(digest);
    assert_eq!(DIGESTED.get(), before, "once only");
    // What is forgotten and what comes changes nothing of that.
    (CAME..CAME + 3 * 512).for_each(|number| refuse(&mut state, number));
    state.seal(digest);
    let (sealed, later) = cost(&state);
    let (_, fresh) = cost(&self::state(0..CAME + 3 * 512, KEPT));
    assert_eq!((sealed, &later), (0, &fresh));
    assert!(state.known.digests.len() <= 3, "what is forgotten has no digest any more");
    // One that is forgotten after it was sealed takes only the digest of its own generation with it.
    let there = |state: &State| state.known.digests.keys().copied().collect::<Vec<_>>();
    let whole = there(&state);
    let mut forgets = state.clone();
    while forgets.known.arrived().taken() % GENERATION != 1 {
        let number = CAME + 10_000 + usize::try_from(forgets.known.arrived().taken()).expect("small");
        refuse(&mut forgets, number);
    }
    assert_eq!(there(&forgets), whole[1..], "of {whole:?}");
    // Nor does a snapshot.
    let restored = State::restore(Limits::default(), state.stored()).expect("sound");
    assert_eq!(cost(&restored).1, later);
}

proptest! {
    /// Whenever it is sealed, stored and restored: what comes to the same trades comes to the same bytes.
    #[test]
    fn the_bytes_do_not_depend_on_who_has_sealed_or_restored(
        steps in prop::collection::vec((0_usize..2_500, 0_usize..400, 0_u8..4), 1..12),
    ) {
        const LIMIT: usize = 900;
        let (mut plain, mut busy) = (state([], LIMIT), state([], LIMIT));
        for (first, count, then) in steps {
            for number in first..first + count {
                refuse(&mut plain, number);
                refuse(&mut busy, number);
            }
            match then {
                0 => busy.seal(digest),
                1 => busy = State::restore(Limits::default(), busy.stored()).expect("sound"),
                2 => drop(busy.stored()),
                _ => {}
            }
            prop_assert_eq!(bytes(&plain), bytes(&busy));
        }
        prop_assert_eq!(&plain, &busy);
    }
}
