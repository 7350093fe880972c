//! From readings to what has to happen: breakers that trip, end by themselves or
//! are armed again, and warnings on the way there, each once.

use super::{
    BreakerKind, Effect, Latch, Limits, Scope, State,
    breaker::{is_low_enough, trip_after},
};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// One value of one breaker, in the unit of its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Which breaker it is for.
    pub kind: BreakerKind,
    /// Of what; the house is [`Scope::Global`].
    pub scope: Scope,
    /// `None` when it is not defined: that trips nothing.
    pub value: Option<i64>,
}

/// How close to its threshold a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// 70 %.
    Near,
    /// 90 %.
    VeryNear,
}

/// What has to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BreakerEvent {
    /// It tripped: to be journaled, then done.
    Tripped(Latch),
    /// A pause goes on: the value is still at or above the threshold. To be journaled.
    Extended(Latch),
    /// A pause is over. To be journaled.
    Ended(Latch),
    /// One that was reset with an override is as before: its value was low in between. To be journaled.
    Rearmed {
        /// Which.
        kind: BreakerKind,
        /// Of what.
        scope: Scope,
    },
    /// It is close. People are told, once a day for each level.
    Warned {
        /// Which.
        kind: BreakerKind,
        /// Of what.
        scope: Scope,
        /// How close.
        level: Level,
        /// The value.
        value: i64,
        /// The threshold.
        threshold: i64,
    },
}

/// What is remembered between two evaluations and may be lost in a restart.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// The newest values.
    values: BTreeMap<(BreakerKind, Scope), i64>,
    /// The UTC day and the highest level that was told.
    warned: BTreeMap<(BreakerKind, Scope), (i64, Level)>,
}

impl Level {
    /// As written in alerts, percent.
    #[must_use]
    pub const fn percent(self) -> i64 {
        match self {
            Self::Near => 70,
            Self::VeryNear => 90,
        }
    }

    /// The highest level that `value` has reached. Exact.
    #[must_use]
    pub fn of(value: i64, threshold: i64) -> Option<Self> {
        let reached = |level: &Self| i128::from(value) * 100 >= i128::from(threshold) * i128::from(level.percent());
        [Self::VeryNear, Self::Near].into_iter().find(reached)
    }
}

impl Watch {
    /// The newest value of a breaker.
    #[must_use]
    pub fn value(&self, kind: BreakerKind, scope: &Scope) -> Option<i64> {
        self.values.get(&(kind, scope.clone())).copied()
    }

    /// Looks at `readings`. What is returned is sorted by what it does: halt
    /// before reduce before stopping an agent before anything milder.
    pub fn evaluate(&mut self, state: &State, readings: &[Reading], now: Timestamp) -> Vec<BreakerEvent> {
        let mut events = Vec::new();
        for reading in readings {
            let key = (reading.kind, reading.scope.clone());
            match reading.value {
                Some(value) => {
                    self.values.insert(key, value);
                }
                None => {
                    self.values.remove(&key);
                }
            }
            events.extend(self.look_at(state, reading, now));
        }
        events.extend(ended_unread(state, readings, now));
        events.sort_by_key(severity);
        events
    }

    fn look_at(&mut self, state: &State, reading: &Reading, now: Timestamp) -> Option<BreakerEvent> {
        let (limits, breakers) = (state.limits(), state.breakers());
        let Reading { kind, scope, value } = reading;
        let threshold = limits.rules.of(kind.limit(), scope.id());
        if let Some(latch) = breakers.latch(*kind, scope) {
            return look_again(limits, latch, value.zip(threshold), now);
        }
        let (value, threshold) = ((*value)?, threshold?);
        let acknowledged = breakers.acknowledged(*kind, scope);
        if acknowledged.is_some() && is_low_enough(value, threshold) {
            return Some(BreakerEvent::Rearmed { kind: *kind, scope: scope.clone() });
        }
        let trips_at = acknowledged.map_or(threshold, |value| trip_after(value, threshold));
        if value >= trips_at {
            self.warned.remove(&(*kind, scope.clone()));
            return Some(BreakerEvent::Tripped(tripped(limits, reading, (value, trips_at), now)));
        }
        self.warn(reading, value, threshold, now.utc_day())
    }

    /// Each level once a day; a jump over the lower one tells only the higher.
    fn warn(&mut self, reading: &Reading, value: i64, threshold: i64, day: i64) -> Option<BreakerEvent> {
        let level = Level::of(value, threshold)?;
        let key = (reading.kind, reading.scope.clone());
        if self.warned.get(&key).is_some_and(|(told_on, told)| *told_on == day && *told >= level) {
            return None;
        }
        self.warned.insert(key, (day, level));
        let (kind, scope) = (reading.kind, reading.scope.clone());
        Some(BreakerEvent::Warned { kind, scope, level, value, threshold })
    }
}

/// One that ends by itself ends when its time is over and its value is low or
/// not defined; people reset the others.
fn look_again(limits: &Limits, latch: &Latch, reading: Option<(i64, i64)>, now: Timestamp) -> Option<BreakerEvent> {
    let until = latch.until?;
    if !is_over(limits, until, now) {
        return None;
    }
    match reading {
        Some((value, threshold)) if value >= threshold => {
            let until = Some(now.plus_millis(limits.breaker_pause_ms));
            Some(BreakerEvent::Extended(Latch { value, threshold, until, ..latch.clone() }))
        }
        Some(_) | None => Some(BreakerEvent::Ended(latch.clone())),
    }
}

/// Whether a pause is to be looked at again. One that is longer than a pause can be was begun
/// by a clock that has stepped back since: it is not waited for.
fn is_over(limits: &Limits, until: Timestamp, now: Timestamp) -> bool {
    now >= until || until > now.plus_millis(limits.breaker_pause_ms)
}

/// Pauses of what is not read any more end as well.
fn ended_unread(state: &State, readings: &[Reading], now: Timestamp) -> Vec<BreakerEvent> {
    let is_read = |latch: &&Latch| !readings.iter().any(|own| own.kind == latch.kind && own.scope == latch.scope);
    let is_over = |latch: &&Latch| latch.until.is_some_and(|until| is_over(state.limits(), until, now));
    let over = state.breakers().latches().filter(is_over).filter(is_read);
    over.map(|latch| BreakerEvent::Ended(latch.clone())).collect()
}

fn tripped(limits: &Limits, reading: &Reading, (value, threshold): (i64, i64), now: Timestamp) -> Latch {
    let cooled = now.plus_millis(limits.breaker_cooldown_ms);
    let (resume_from, until) = match reading.kind {
        BreakerKind::TotalLoss | BreakerKind::PositionReduction => (cooled.max(now.next_utc_day()), None),
        BreakerKind::MonthLoss => (cooled.max(now.next_utc_month()), None),
        BreakerKind::Drawdown | BreakerKind::Correlation | BreakerKind::AgentLoss | BreakerKind::ConsecutiveLosses => {
            (cooled, None)
        }
        BreakerKind::VenueFailures | BreakerKind::PriceJump => (now, Some(now.plus_millis(limits.breaker_pause_ms))),
        // Nothing is stopped by them: told again when it is still so after a while.
        BreakerKind::Memory | BreakerKind::StaleFeed => (now, Some(now.plus_millis(limits.breaker_pause_ms))),
    };
    let (kind, scope) = (reading.kind, reading.scope.clone());
    Latch { kind, scope, value, threshold, tripped_at: now, resume_from, until, is_reduction_ordered: false }
}

fn severity(event: &BreakerEvent) -> (u8, Option<Effect>, Option<BreakerKind>) {
    match event {
        BreakerEvent::Tripped(latch) => (0, Some(latch.kind.effect()), Some(latch.kind)),
        BreakerEvent::Extended(latch) => (1, Some(latch.kind.effect()), Some(latch.kind)),
        BreakerEvent::Ended(latch) => (2, Some(latch.kind.effect()), Some(latch.kind)),
        BreakerEvent::Rearmed { kind, .. } => (3, None, Some(*kind)),
        BreakerEvent::Warned { kind, .. } => (4, None, Some(*kind)),
    }
}
