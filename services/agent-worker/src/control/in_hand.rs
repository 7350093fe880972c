//! What the worker has in hand right now, so that it can say at a halt what ends by it.

use super::{Scoped, is_halted};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tragen_contracts::v1;

/// What is in hand, with everything that a halt of would end it.
type Things = BTreeMap<u64, (Thing, Vec<Scoped>)>;

/// Everything in hand; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct InHand {
    next: Arc<AtomicU64>,
    things: Arc<Mutex<Things>>,
}

/// What is in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    /// A request that no agent has answered yet.
    Request,
    /// An order on its way to the guard.
    Proposal,
}

/// In hand until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    place: u64,
    hand: InHand,
}

impl InHand {
    pub(super) fn take(&self, thing: Thing, scopes: Vec<Scoped>) -> Held {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(place, (thing, scopes));
        Held { place, hand: self.clone() }
    }

    /// Requests and proposals of scopes that `state` halts.
    pub(super) fn halted_by(&self, state: &v1::ControlState) -> (i32, i32) {
        let things = self.lock();
        let halted = things.values().filter(|(_, scopes)| is_halted(state, scopes));
        let (requests, proposals): (Vec<_>, Vec<_>) = halted.partition(|(thing, _)| *thing == Thing::Request);
        let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        (count(requests.len()), count(proposals.len()))
    }

    fn lock(&self) -> MutexGuard<'_, Things> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.hand.lock().remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halted(kind: v1::ScopeKind, id: &str) -> v1::ControlState {
        let scope = Some(v1::Scope { kind: kind.into(), id: id.to_owned() });
        let state = v1::TradingState::Halted.into();
        v1::ControlState {
            scopes: vec![v1::ScopeState { scope, state, ..v1::ScopeState::default() }],
            ..v1::ControlState::default()
        }
    }

    #[test]
    fn a_halt_counts_what_of_its_scope_is_in_hand() {
        let hand = InHand::default();
        let account = |id: &str| vec![(v1::ScopeKind::Account, id.to_owned())];
        let _first = hand.take(Thing::Request, account("alice"));
        let second = hand.take(Thing::Request, account("bob"));
        let _third = hand.take(Thing::Proposal, vec![(v1::ScopeKind::Pool, "scalper".to_owned())]);
        assert_eq!(hand.halted_by(&halted(v1::ScopeKind::Global, "")), (2, 1));
        assert_eq!(hand.halted_by(&halted(v1::ScopeKind::Account, "bob")), (1, 0));
        assert_eq!(hand.halted_by(&halted(v1::ScopeKind::Pool, "scalper")), (0, 1));
        drop(second);
        assert_eq!(hand.halted_by(&halted(v1::ScopeKind::Account, "bob")), (0, 0));
    }
}
