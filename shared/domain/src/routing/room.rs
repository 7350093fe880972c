//! How many trades may be on their way at a time: enough to keep busy what is behind the router, and no more. Every
//! queue there is first come, first served, so whatever stands in one stands in front of premium, too.
//!
//! What that number is, depends on the machine, the database and the venue, so it follows what is measured. By
//! Little's law (L. Kleinrock, *Queueing Systems*, 1975) trades on their way = trades a second x time on the way: once
//! everything behind is busy, more of them end no more a second and only take longer. So the time that a trade takes
//! when hardly any other is on its way is kept in mind, and the bound is held where trades take a given time longer
//! than that. A slow venue does not lower the bound: there a trade takes long alone, too.

use crate::time::Timestamp;

/// What one window measures at least, milliseconds.
const WINDOW_MS: i64 = 100;
/// Trades a window needs.
const SAMPLES_MIN: usize = 8;
/// Trades a window looks at.
const SAMPLES_MAX: usize = 1_024;
/// A trade takes longer alone only if it does so in many windows: each adds at most this part to what is known, so a
/// stall of a second adds little.
const ALONE_PART: i64 = 8;

/// Within what the room is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomLimits {
    /// So few on their way cannot be in each other's way: the bound is never less, and what they take is what a trade
    /// takes alone.
    pub in_flight_min: usize,
    /// The bound is never more.
    pub in_flight_max: usize,
    /// Never more may wait.
    pub waiting_max: usize,
    /// So many may always wait, within `waiting_max`: a burst is no overload, and whoever waits is in nobody's way.
    pub waiting_min: usize,
    /// How much longer than alone a trade may take, milliseconds.
    pub queueing_ms: i64,
    /// How long a trade may wait for its turn; more than goes on in that time is sent away. Milliseconds.
    pub waiting_ms: i64,
}

/// The room that there is now.
///
/// ```
/// use tragen_domain::{routing::{Room, RoomLimits}, time::Timestamp};
/// let limits = RoomLimits {
///     in_flight_min: 16,
///     in_flight_max: 1_024,
///     waiting_max: 20_000,
///     waiting_min: 1_000,
///     queueing_ms: 20,
///     waiting_ms: 500,
/// };
/// let mut room = Room::new(limits);
/// let before = room.in_flight_max();
/// for step in 1..=100 {
///     // Each of 60 that are on their way takes 100 ms: too long.
///     room.ended(100_000, 60, Timestamp::from_micros(step * 10_000));
/// }
/// assert!(room.in_flight_max() < before);
/// ```
#[derive(Debug, Clone)]
pub struct Room {
    limits: RoomLimits,
    in_flight_max: usize,
    /// What a trade takes when hardly any other is on its way, microseconds.
    alone: Option<i64>,
    /// What a trade has taken lately, microseconds.
    lately: Option<i64>,
    window: Window,
}

/// What is measured until the bound is looked at again.
#[derive(Debug, Clone, Default)]
struct Window {
    since: Option<Timestamp>,
    /// What trades took, microseconds.
    took: Vec<i64>,
    /// Most that were on their way.
    in_flight: usize,
}

impl Room {
    /// Nothing is measured yet: four times the least are let through.
    #[must_use]
    pub fn new(limits: RoomLimits) -> Self {
        let in_flight_max = limits.in_flight_min.saturating_mul(4).min(limits.in_flight_max);
        Self { limits, in_flight_max, alone: None, lately: None, window: Window::default() }
    }

    /// How many may be on their way.
    #[must_use]
    pub const fn in_flight_max(&self) -> usize {
        self.in_flight_max
    }

    /// How many may wait for their turn: as many as get it within the time a trade may wait, but at least as many as
    /// are on their way.
    #[must_use]
    pub fn waiting_max(&self) -> usize {
        let Some(lately) = self.lately.and_then(|took| usize::try_from(took.max(1)).ok()) else {
            return self.limits.waiting_max;
        };
        let waits = usize::try_from(self.limits.waiting_ms.saturating_mul(1_000)).unwrap_or_default();
        let within = self.in_flight_max.saturating_mul(waits) / lately;
        within.max(self.in_flight_max).max(self.limits.waiting_min).min(self.limits.waiting_max)
    }

    /// How many trades end in a second while all places are taken, by Little's law; `None` if nothing is measured yet.
    #[must_use]
    pub fn per_second(&self) -> Option<u64> {
        let took = u64::try_from(self.lately?).ok()?.max(1);
        Some(u64::try_from(self.in_flight_max).ok()?.saturating_mul(1_000_000) / took)
    }

    /// A trade is no longer on its way; it took `took_micros`, and `in_flight` were on their way, it included. Says
    /// whether the room may have changed.
    pub fn ended(&mut self, took_micros: i64, in_flight: usize, now: Timestamp) -> bool {
        let window = &mut self.window;
        let since = *window.since.get_or_insert(now);
        window.in_flight = window.in_flight.max(in_flight);
        if window.took.len() < SAMPLES_MAX {
            window.took.push(took_micros);
        }
        if window.took.len() < SAMPLES_MIN || now.millis_since(since) < WINDOW_MS {
            return false;
        }
        let middle = window.took.len() / 2;
        let (_, median, _) = window.took.select_nth_unstable(middle);
        let (took, most) = (*median, window.in_flight);
        // Its room is kept.
        window.took.clear();
        (window.since, window.in_flight) = (Some(now), 0);
        self.measured(took.max(1), most);
        true
    }

    /// Half of the trades of a window took less than `took` microseconds, while up to `in_flight` were on their way.
    fn measured(&mut self, took: i64, in_flight: usize) {
        self.lately = Some(took);
        match self.alone {
            Some(alone) if took < alone => self.alone = Some(took),
            Some(alone) if in_flight <= self.limits.in_flight_min => {
                self.alone = Some(alone + ((took - alone).min(alone) / ALONE_PART));
            }
            None if in_flight <= self.limits.in_flight_min => self.alone = Some(took),
            Some(_) | None => {}
        }
        let wanted = self.alone.unwrap_or_default().saturating_add(self.limits.queueing_ms.saturating_mul(1_000));
        // More does not help where what there is was not used.
        if wanted > took && in_flight < self.in_flight_max {
            return;
        }
        // Half of the way at once, as a window may mislead; no more than a quarter, and upwards at least one.
        let bound = i64::try_from(self.in_flight_max).unwrap_or(i64::MAX);
        let quarter = (bound / 4).max(1);
        let step = bound.saturating_mul(wanted.saturating_sub(took)) / took.saturating_mul(2);
        let step = if wanted > took { step.clamp(1, quarter) } else { step.max(-quarter) };
        let next = usize::try_from(bound.saturating_add(step)).unwrap_or_default();
        self.in_flight_max = next.max(self.limits.in_flight_min).min(self.limits.in_flight_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> RoomLimits {
        RoomLimits {
            in_flight_min: 16,
            in_flight_max: 1_024,
            waiting_max: 20_000,
            waiting_min: 0,
            queueing_ms: 20,
            waiting_ms: 500,
        }
    }

    /// Behind the router: a trade takes `alone_ms` by itself, and so many end in a millisecond at most.
    #[derive(Clone, Copy)]
    struct Behind {
        alone_ms: i64,
        a_millisecond: i64,
    }

    impl Behind {
        /// What a trade takes while `in_flight` are on their way, by Little's law; microseconds.
        fn takes(self, in_flight: usize) -> i64 {
            let in_flight = i64::try_from(in_flight).expect("small");
            (in_flight * 1_000 / self.a_millisecond).max(self.alone_ms * 1_000)
        }
    }

    /// Plays `millis` with as many on their way as may be, at most `asked`.
    fn play(room: &mut Room, behind: Behind, asked: usize, now: &mut i64, millis: i64) {
        let end = *now + millis * 1_000;
        while *now < end {
            let in_flight = asked.min(room.in_flight_max());
            let takes = behind.takes(in_flight);
            // As many end in the time that one takes as are on their way.
            *now += (takes / i64::try_from(in_flight).expect("small")).max(1);
            room.ended(takes, in_flight, Timestamp::from_micros(*now));
        }
    }

    #[test]
    fn under_overload_trades_take_the_given_time_longer_than_alone() {
        for (alone_ms, a_millisecond) in [(5, 4), (2, 1), (1, 20), (200, 1), (50, 4)] {
            let behind = Behind { alone_ms, a_millisecond };
            let (mut room, mut now) = (Room::new(limits()), 0);
            play(&mut room, behind, 2, &mut now, 5_000);
            play(&mut room, behind, 100_000, &mut now, 10_000);
            let takes = behind.takes(room.in_flight_max());
            let wanted = (alone_ms + 20) * 1_000;
            let is_wanted = (wanted * 9 / 10..=wanted * 11 / 10).contains(&takes);
            assert!(is_wanted, "{alone_ms} ms alone: {takes} us of {} in flight", room.in_flight_max());
        }
    }

    #[test]
    fn what_begins_under_overload_finds_out_what_a_trade_takes_alone() {
        let behind = Behind { alone_ms: 200, a_millisecond: 2 };
        let (mut room, mut now) = (Room::new(limits()), 0);
        play(&mut room, behind, 100_000, &mut now, 30_000);
        let bound = room.in_flight_max();
        // 2 a millisecond for 200 ms are on their way before one waits for another.
        assert!((400..=460).contains(&bound), "{bound} in flight");
    }

    #[test]
    fn the_room_comes_back_after_a_stall_and_stays_within_its_limits() {
        let behind = Behind { alone_ms: 5, a_millisecond: 4 };
        let (mut room, mut now) = (Room::new(limits()), 0);
        play(&mut room, behind, 2, &mut now, 2_000);
        play(&mut room, behind, 100_000, &mut now, 5_000);
        let before = room.in_flight_max();
        play(&mut room, Behind { alone_ms: 2_000, a_millisecond: 1 }, 100_000, &mut now, 3_000);
        assert!(room.in_flight_max() < before / 2, "{} in flight", room.in_flight_max());
        play(&mut room, behind, 100_000, &mut now, 5_000);
        let after = room.in_flight_max();
        assert!(after.abs_diff(before) <= before / 4, "{before} before, {after} after");
        play(&mut room, Behind { alone_ms: 1, a_millisecond: 1_000 }, 100_000, &mut now, 60_000);
        assert_eq!(room.in_flight_max(), 1_024, "the most");
        let (mut room, mut now) = (Room::new(RoomLimits { queueing_ms: 1, ..limits() }), 0);
        play(&mut room, Behind { alone_ms: 1, a_millisecond: 1 }, 2, &mut now, 2_000);
        play(&mut room, Behind { alone_ms: 1, a_millisecond: 1 }, 100_000, &mut now, 2_000);
        assert_eq!(room.in_flight_max(), 16, "the least");
    }

    #[test]
    fn a_few_that_never_end_do_not_count() {
        let (mut room, behind) = (Room::new(limits()), Behind { alone_ms: 5, a_millisecond: 4 });
        let mut now = 0;
        play(&mut room, behind, 2, &mut now, 2_000);
        play(&mut room, behind, 100_000, &mut now, 5_000);
        let before = room.in_flight_max();
        for number in 0..2_000 {
            now += 250;
            // One of ten is given up after 5 s.
            let takes = if number % 10 == 0 { 5_000_000 } else { behind.takes(before) };
            room.ended(takes, before, Timestamp::from_micros(now));
        }
        assert!(room.in_flight_max().abs_diff(before) <= before / 8, "{before} and {}", room.in_flight_max());
    }

    #[test]
    fn little_traffic_moves_nothing() {
        let (mut room, mut now) = (Room::new(limits()), 0);
        play(&mut room, Behind { alone_ms: 5, a_millisecond: 4 }, 3, &mut now, 60_000);
        assert_eq!(room.in_flight_max(), 64);
    }

    #[test]
    fn as_much_may_wait_as_goes_on_in_the_given_time() {
        let (mut room, mut now) = (Room::new(limits()), 0);
        assert_eq!(room.waiting_max(), 20_000, "nothing is known yet");
        let behind = Behind { alone_ms: 5, a_millisecond: 4 };
        play(&mut room, behind, 2, &mut now, 2_000);
        play(&mut room, behind, 100_000, &mut now, 10_000);
        // 4 a millisecond for 500 ms.
        assert!((1_950..=2_050).contains(&room.waiting_max()), "{} may wait", room.waiting_max());
        play(&mut room, Behind { alone_ms: 5_000, a_millisecond: 1 }, 100_000, &mut now, 60_000);
        assert_eq!(room.waiting_max(), 16, "as many as are on their way");
        room.limits.waiting_min = 1_000;
        assert_eq!(room.waiting_max(), 1_000, "a burst");
        room.limits.waiting_max = 100;
        assert_eq!(room.waiting_max(), 100, "the most");
    }
}
