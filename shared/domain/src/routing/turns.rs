//! Whose trade goes on next: a bounded number is on its way at a time, tiers take turns by weight, accounts within a
//! tier take turns one by one, and of one account only so many are on their way. So a queue behind the router is
//! never long, and nobody waits behind the burst of somebody else.

use super::LaneScheduler;
use crate::{id::AccountId, tier::Tier};
use std::collections::{HashMap, HashSet, VecDeque};

/// How much may wait and be on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnLimits {
    /// Trades on their way at a time.
    pub in_flight_max: usize,
    /// Of them, of one account.
    pub in_flight_per_account_max: usize,
    /// Trades that wait for their turn.
    pub waiting_max: usize,
    /// Turns of premium, standard and free while all have work.
    pub weights: [u16; 3],
}

/// Too much waits for one more of this tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} trades wait, {waiting_of_tier} of them of this tier")]
pub struct Shed {
    /// Of all tiers.
    pub waiting: usize,
    /// Of the same tier.
    pub waiting_of_tier: usize,
}

/// Who waits, and who is on the way. `T` is whatever finds the waiting one again.
///
/// ```
/// use tragen_domain::{id::AccountId, routing::{TurnLimits, Turns}, tier::Tier};
/// let limits = TurnLimits { in_flight_max: 2, in_flight_per_account_max: 1, waiting_max: 26, weights: [8, 4, 1] };
/// let mut turns = Turns::new(limits);
/// let (noisy, quiet) = (AccountId::new("noisy").unwrap(), AccountId::new("quiet").unwrap());
/// for number in 1..=3 {
///     turns.enter(Tier::Premium, &noisy, number).unwrap();
/// }
/// turns.enter(Tier::Premium, &quiet, 9).unwrap();
/// assert_eq!((turns.next_turn(), turns.next_turn(), turns.next_turn()), (Some(1), Some(9), None));
/// turns.leave(&quiet);
/// assert_eq!(turns.next_turn(), None); // noisy has its one on the way
/// turns.leave(&noisy);
/// assert_eq!(turns.next_turn(), Some(2));
/// ```
#[derive(Debug)]
pub struct Turns<T> {
    limits: TurnLimits,
    scheduler: LaneScheduler,
    in_flight: usize,
    in_flight_of: HashMap<AccountId, usize>,
    lanes: [Lane<T>; 3],
}

/// The accounts of one tier.
#[derive(Debug)]
struct Lane<T> {
    waiting: usize,
    queues: HashMap<AccountId, VecDeque<T>>,
    /// Accounts in the order of their turns.
    ready: VecDeque<AccountId>,
    /// Accounts that have as much on the way as they may.
    parked: HashSet<AccountId>,
}

impl<T> Turns<T> {
    /// Nobody waits yet.
    #[must_use]
    pub fn new(limits: TurnLimits) -> Self {
        let lane = || Lane { waiting: 0, queues: HashMap::new(), ready: VecDeque::new(), parked: HashSet::new() };
        Self {
            limits,
            scheduler: LaneScheduler::new(limits.weights),
            in_flight: 0,
            in_flight_of: HashMap::new(),
            lanes: [lane(), lane(), lane()],
        }
    }

    /// From now on so many may be on their way, and wait. Who waits or is on the way already, stays.
    pub fn make_room(&mut self, in_flight_max: usize, waiting_max: usize) {
        (self.limits.in_flight_max, self.limits.waiting_max) = (in_flight_max, waiting_max);
    }

    /// Waits for a turn.
    ///
    /// Half of the room belongs to the tiers, by their weights: what a tier has of it nobody else can take, so each
    /// gets its share. The other half is for whoever comes, until it is half full for free and three quarters full
    /// for standard: so free is sent away first, then standard.
    ///
    /// # Errors
    /// [`Shed`] when there is no room for this tier.
    pub fn enter(&mut self, tier: Tier, account: &AccountId, ticket: T) -> Result<(), Shed> {
        let place = place(tier);
        let waiting_of_tier = self.lanes[place].waiting;
        if waiting_of_tier >= self.reserved(place) && self.taken() >= self.room(tier) {
            let waiting = self.lanes.iter().map(|lane| lane.waiting).sum();
            return Err(Shed { waiting, waiting_of_tier });
        }
        let lane = &mut self.lanes[place];
        lane.waiting += 1;
        let queue = lane.queues.entry(account.clone()).or_default();
        queue.push_back(ticket);
        if queue.len() == 1 {
            lane.ready.push_back(account.clone());
        }
        Ok(())
    }

    /// Whose turn it is; it is on its way until [`Self::leave`]. `None` when nobody may go on now.
    pub fn next_turn(&mut self) -> Option<T> {
        if self.in_flight >= self.limits.in_flight_max {
            return None;
        }
        let per_account_max = self.limits.in_flight_per_account_max;
        let in_flight_of = &self.in_flight_of;
        let is_full = |account: &AccountId| in_flight_of.get(account).is_some_and(|count| *count >= per_account_max);
        for lane in &mut self.lanes {
            while lane.ready.front().is_some_and(is_full) {
                lane.parked.extend(lane.ready.pop_front());
            }
        }
        let has_work = [0, 1, 2].map(|lane: usize| !self.lanes[lane].ready.is_empty());
        let lane = &mut self.lanes[place(self.scheduler.next(&has_work)?)];
        let account = lane.ready.pop_front()?;
        let queue = lane.queues.get_mut(&account)?;
        let ticket = queue.pop_front()?;
        lane.waiting -= 1;
        if queue.is_empty() {
            lane.queues.remove(&account);
        } else {
            lane.ready.push_back(account.clone());
        }
        self.in_flight += 1;
        *self.in_flight_of.entry(account).or_default() += 1;
        Some(ticket)
    }

    /// One of the account's trades is no longer on its way.
    pub fn leave(&mut self, account: &AccountId) {
        let Some(count) = self.in_flight_of.get_mut(account) else { return };
        *count -= 1;
        self.in_flight -= 1;
        if *count == 0 {
            self.in_flight_of.remove(account);
        }
        for lane in &mut self.lanes {
            if let Some(account) = lane.parked.take(account) {
                lane.ready.push_back(account);
            }
        }
    }

    /// Trades that wait, by tier in the order of [`Tier::ALL`].
    #[must_use]
    pub fn waiting(&self) -> [usize; 3] {
        [0, 1, 2].map(|lane: usize| self.lanes[lane].waiting)
    }

    /// Trades on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Room that only this tier may use; at least one place.
    fn reserved(&self, place: usize) -> usize {
        let weights = self.limits.weights.map(|weight| usize::from(weight.max(1)));
        let all: usize = weights.iter().sum();
        (self.limits.waiting_max / 2 * weights[place] / all).max(1)
    }

    /// Room in use, that which is kept for others included.
    fn taken(&self) -> usize {
        (0..3).map(|place| self.lanes[place].waiting.max(self.reserved(place))).sum()
    }

    /// Up to where the common room may be filled by a tier.
    fn room(&self, tier: Tier) -> usize {
        let eighth = self.limits.waiting_max / 8;
        match tier {
            Tier::Premium => self.limits.waiting_max,
            Tier::Standard => self.limits.waiting_max - eighth,
            Tier::Free => self.limits.waiting_max - 2 * eighth,
        }
    }
}

const fn place(tier: Tier) -> usize {
    match tier {
        Tier::Premium => 0,
        Tier::Standard => 1,
        Tier::Free => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> TurnLimits {
        TurnLimits { in_flight_max: 10, in_flight_per_account_max: 4, waiting_max: 2_600, weights: [8, 4, 1] }
    }

    fn account(name: &str) -> AccountId {
        AccountId::new(name).expect("an account")
    }

    /// Lets `count` waiting ones go on, one at a time, and says who they were.
    fn play(turns: &mut Turns<AccountId>, count: usize) -> Vec<AccountId> {
        let mut gone = Vec::new();
        for _ in 0..count {
            let Some(next) = turns.next_turn() else { break };
            turns.leave(&next);
            gone.push(next);
        }
        gone
    }

    #[test]
    fn a_newcomer_waits_for_one_trade_of_each_other_account_and_not_for_a_burst() {
        let mut turns = Turns::new(limits());
        for _ in 0..500 {
            turns.enter(Tier::Premium, &account("noisy"), account("noisy")).expect("room");
        }
        for name in ["a", "b"] {
            turns.enter(Tier::Premium, &account(name), account(name)).expect("room");
        }
        let first: Vec<String> = play(&mut turns, 4).iter().map(ToString::to_string).collect();
        assert_eq!(first, ["noisy", "a", "b", "noisy"]);
    }

    #[test]
    fn one_account_has_only_so_many_on_their_way_and_goes_on_when_one_is_back() {
        let mut turns = Turns::new(limits());
        for number in 0..20 {
            turns.enter(Tier::Standard, &account("noisy"), number).expect("room");
        }
        assert_eq!(std::iter::from_fn(|| turns.next_turn()).collect::<Vec<_>>(), [0, 1, 2, 3]);
        turns.enter(Tier::Free, &account("quiet"), 99).expect("room");
        assert_eq!(turns.next_turn(), Some(99), "a place is left for others");
        turns.leave(&account("noisy"));
        turns.leave(&account("noisy"));
        assert_eq!(std::iter::from_fn(|| turns.next_turn()).collect::<Vec<_>>(), [4, 5]);
        assert_eq!((turns.in_flight(), turns.waiting()), (5, [0, 14, 0]));
        turns.leave(&account("nobody"));
        assert_eq!(turns.in_flight(), 5, "who is not on the way cannot come back");
    }

    #[test]
    fn no_more_are_on_their_way_than_allowed() {
        let mut turns = Turns::new(limits());
        for number in 0..30 {
            turns.enter(Tier::Free, &account(&format!("a{number}")), number).expect("room");
        }
        assert_eq!(std::iter::from_fn(|| turns.next_turn()).count(), 10);
        turns.leave(&account("a0"));
        assert_eq!(std::iter::from_fn(|| turns.next_turn()).collect::<Vec<_>>(), [10]);
    }

    #[test]
    fn less_room_sends_nobody_away_who_is_in_and_more_is_used_at_once() {
        let mut turns = Turns::new(limits());
        for number in 0..30 {
            turns.enter(Tier::Free, &account(&format!("a{number}")), number).expect("room");
        }
        assert_eq!(std::iter::from_fn(|| turns.next_turn()).count(), 10);
        turns.make_room(4, 26);
        turns.enter(Tier::Free, &account("late"), 30).expect_err("20 wait");
        for number in 0..6 {
            turns.leave(&account(&format!("a{number}")));
            assert_eq!(turns.next_turn(), None, "{} are on their way", turns.in_flight());
        }
        turns.leave(&account("a6"));
        assert_eq!(turns.next_turn(), Some(10));
        turns.make_room(6, 26);
        assert_eq!(std::iter::from_fn(|| turns.next_turn()).collect::<Vec<_>>(), [11, 12]);
    }

    #[test]
    fn tiers_take_turns_by_weight_however_many_accounts_they_have() {
        let mut turns = Turns::new(limits());
        for number in 0..200 {
            turns.enter(Tier::Free, &account(&format!("f{number}")), account(&format!("f{number}"))).expect("room");
        }
        for _ in 0..200 {
            turns.enter(Tier::Premium, &account("p"), account("p")).expect("room");
            turns.enter(Tier::Standard, &account("s"), account("s")).expect("room");
        }
        let gone = play(&mut turns, 130);
        let count = |letter: &str| gone.iter().filter(|account| account.as_str().starts_with(letter)).count();
        assert_eq!((count("p"), count("s"), count("f")), (80, 40, 10));
    }

    /// Enters of one tier until it is shed, at most `most`.
    fn fill(turns: &mut Turns<()>, tier: Tier, most: usize) -> usize {
        (0..most).take_while(|_| turns.enter(tier, &account("x"), ()).is_ok()).count()
    }

    #[test]
    fn free_is_shed_first_then_standard_and_each_keeps_its_share() {
        // 1,300 places are reserved (800, 400, 100), 1,300 are common.
        let mut turns = Turns::new(limits());
        assert_eq!(fill(&mut turns, Tier::Free, 9_999), 100 + 650, "half of the common room");
        assert_eq!(fill(&mut turns, Tier::Standard, 9_999), 400 + 325, "up to three quarters of it");
        assert_eq!(fill(&mut turns, Tier::Premium, 9_999), 800 + 325, "and the rest");
        let shed = turns.enter(Tier::Premium, &account("x"), ()).expect_err("full");
        assert_eq!(shed, Shed { waiting: 2_600, waiting_of_tier: 1_125 });
        // The other way round: premium cannot take what belongs to the others.
        let mut turns = Turns::new(limits());
        assert_eq!(fill(&mut turns, Tier::Premium, 9_999), 800 + 1_300);
        assert_eq!(fill(&mut turns, Tier::Standard, 9_999), 400);
        assert_eq!(fill(&mut turns, Tier::Free, 9_999), 100);
    }
}
