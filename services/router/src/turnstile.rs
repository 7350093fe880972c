//! Trades wait here for their turn ([`Turns`] has the rule), and hold their place until their outcome is known. How
//! many places there are, follows from how long they are held ([`Room`] has the rule).

use crate::metrics as names;
use metrics::{counter, gauge};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tragen_domain::{
    id::AccountId,
    routing::{Pushback, Room, RoomLimits, Shed, TurnLimits, Turns},
    tier::Tier,
    time::Timestamp,
};

/// Whom a turn is given to.
type Ticket = (AccountId, oneshot::Sender<OnTheWay>);

/// Where trades wait; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Turnstile {
    inner: Arc<Mutex<Inner>>,
    /// Time is counted from here.
    started: Instant,
}

#[derive(Debug)]
struct Inner {
    turns: Turns<Ticket>,
    room: Room,
    pushback: Pushback,
}

/// A place among the trades on their way; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct OnTheWay {
    turnstile: Turnstile,
    since: Instant,
    /// `None` once the place is given back.
    account: Option<AccountId>,
}

/// Why a trade does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTurn {
    /// Too much waits already.
    #[error(transparent)]
    Shed(#[from] Shed),
    /// Nobody gives turns any more.
    #[error("the router stops")]
    Stopped,
}

impl Turnstile {
    pub(crate) fn new(limits: TurnLimits, room: RoomLimits) -> Self {
        let pushback = Pushback::new(limits.weights);
        let mut inner = Inner { turns: Turns::new(limits), room: Room::new(room), pushback };
        inner.make_room();
        Self { inner: Arc::new(Mutex::new(inner)), started: Instant::now() }
    }

    /// Waits until it is the account's turn. May be dropped at any time.
    pub(crate) async fn pass(&self, tier: Tier, account: &AccountId) -> Result<OnTheWay, NoTurn> {
        let (sender, turn) = oneshot::channel();
        self.lock().turns.enter(tier, account, (account.clone(), sender)).inspect_err(|_| {
            counter!(names::SHED, "tier" => tier.as_str()).increment(1);
        })?;
        self.go_on();
        turn.await.map_err(|_| NoTurn::Stopped)
    }

    /// How long one more of `tier` is sent away for.
    pub(crate) fn pushback(&self, tier: Tier) -> Duration {
        let now = self.now();
        let mut inner = self.lock();
        let per_second = inner.room.per_second();
        Duration::from_micros(inner.pushback.wait_micros(tier, now, per_second).unsigned_abs())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(as_micros(self.started.elapsed()))
    }

    /// Gives turns while there are places.
    fn go_on(&self) {
        loop {
            let next = self.lock().turns.next_turn();
            let Some((account, sender)) = next else { break };
            let place = OnTheWay { turnstile: self.clone(), since: Instant::now(), account: Some(account) };
            if let Err(mut unwanted) = sender.send(place)
                && let Some(account) = unwanted.account.take()
            {
                // Whoever waited has gone. Not left to the drop, which would come back here once for each of them.
                self.lock().turns.leave(&account);
            }
        }
        let turns = &self.lock().turns;
        for (tier, waiting) in Tier::ALL.iter().zip(turns.waiting()) {
            gauge!(names::TURNS_WAITING, "tier" => tier.as_str()).set(as_number(waiting));
        }
        gauge!(names::IN_FLIGHT).set(as_number(turns.in_flight()));
    }

    /// The account's trade is no longer on its way.
    fn leave(&self, account: &AccountId, since: Instant) {
        let now = self.now();
        let mut inner = self.lock();
        let in_flight = inner.turns.in_flight();
        inner.turns.leave(account);
        if inner.room.ended(as_micros(since.elapsed()), in_flight, now) {
            inner.make_room();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// There are as many places as the room says.
    fn make_room(&mut self) {
        let (in_flight_max, waiting_max) = (self.room.in_flight_max(), self.room.waiting_max());
        self.turns.make_room(in_flight_max, waiting_max);
        gauge!(names::IN_FLIGHT_MAX).set(as_number(in_flight_max));
        gauge!(names::TURNS_WAITING_MAX).set(as_number(waiting_max));
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        if let Some(account) = self.account.take() {
            self.turnstile.leave(&account, self.since);
            self.turnstile.go_on();
        }
    }
}

fn as_number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn as_micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod fairness;
#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn turnstile(in_flight_max: usize) -> Turnstile {
        let limits = TurnLimits { in_flight_max, in_flight_per_account_max: 1, waiting_max: 100, weights: [8, 4, 1] };
        Turnstile::new(limits, fixed(limits))
    }

    /// Room that does not change, whatever is measured.
    pub(super) const fn fixed(limits: TurnLimits) -> RoomLimits {
        let (waiting_max, waiting_ms) = (limits.waiting_max, i64::MAX);
        let (in_flight_min, in_flight_max) = (limits.in_flight_max, limits.in_flight_max);
        RoomLimits { in_flight_min, in_flight_max, waiting_max, waiting_min: 0, queueing_ms: 1, waiting_ms }
    }

    fn account(name: &str) -> AccountId {
        AccountId::new(name).expect("an account")
    }

    #[test]
    fn a_place_that_is_given_back_goes_to_the_next_one() {
        let turnstile = turnstile(1);
        let (alice, bob) = (account("alice"), account("bob"));
        let first = turnstile.pass(Tier::Free, &alice).now_or_never().expect("a turn").expect("a place");
        let mut second = Box::pin(turnstile.pass(Tier::Free, &bob));
        assert!(second.as_mut().now_or_never().is_none(), "one place only");
        drop(first);
        assert!(matches!(second.now_or_never(), Some(Ok(_))));
    }

    #[test]
    fn whoever_stops_waiting_takes_no_place() {
        let turnstile = turnstile(2);
        let (alice, bob) = (account("alice"), account("bob"));
        let first = turnstile.pass(Tier::Premium, &alice).now_or_never().expect("a turn").expect("a place");
        for _ in 0..50 {
            // Polled once, so it waits; then it is dropped.
            assert!(turnstile.pass(Tier::Premium, &alice).now_or_never().is_none());
        }
        drop(first);
        assert_eq!(turnstile.lock().turns.in_flight(), 0);
        assert!(matches!(turnstile.pass(Tier::Premium, &alice).now_or_never(), Some(Ok(_))));
        assert!(matches!(turnstile.pass(Tier::Free, &bob).now_or_never(), Some(Ok(_))));
    }
}
