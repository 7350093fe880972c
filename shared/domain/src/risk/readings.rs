//! Values of breakers that come from counting: failed calls within a minute,
//! samples of memory in a row, losses in a row, jumps of a price.

use super::{BreakerKind, CallCounts, Reading, Rules};
use crate::money::{Money, ONE, Price};
use std::collections::VecDeque;

/// Share of failed calls, parts per million, rounded down; `None` below `calls_min` calls.
///
/// ```
/// use tragen_domain::risk::{CallCounts, failures_ppm};
/// assert_eq!(failures_ppm(CallCounts { calls: 200, failures: 20 }, 20), Some(100_000));
/// assert_eq!(failures_ppm(CallCounts { calls: 199, failures: 19 }, 20), Some(95_477));
/// assert_eq!(failures_ppm(CallCounts { calls: 5, failures: 1 }, 20), None);
/// ```
#[must_use]
pub fn failures_ppm(counts: CallCounts, calls_min: u32) -> Option<i64> {
    if counts.calls < calls_min.max(1) {
        return None;
    }
    Some(i64::from(counts.failures) * ONE / i64::from(counts.calls))
}

/// The last samples of something that must be high several times in a row to count.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    last: VecDeque<i64>,
}

impl Samples {
    /// Adds a sample; gives the lowest of the last `count`, or `None` while there are fewer.
    pub fn add(&mut self, value: i64, count: usize) -> Option<i64> {
        self.last.push_back(value);
        while self.last.len() > count.max(1) {
            self.last.pop_front();
        }
        if self.last.len() < count { None } else { self.last.iter().min().copied() }
    }
}

/// Closed trades with a loss in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LossStreak(i64);

impl LossStreak {
    /// So many in a row, >= 0.
    #[must_use]
    pub const fn of(losses: i64) -> Self {
        Self(losses)
    }

    /// How many in a row, >= 0.
    #[must_use]
    pub const fn losses(self) -> i64 {
        self.0
    }

    /// Takes the result of a closed trade after fees and gives the streak: a profit
    /// ends it, a trade that broke even changes nothing.
    pub fn close(&mut self, pnl: Money) -> i64 {
        if pnl.is_negative() {
            self.0 += 1;
        } else if !pnl.is_zero() {
            self.0 = 0;
        }
        self.0
    }
}

/// How far a price moved, parts per million of where it was, rounded down.
#[must_use]
pub fn jump_ppm(from: Price, to: Price) -> Option<i64> {
    if from.micros() <= 0 {
        return None;
    }
    let moved = (i128::from(to.micros()) - i128::from(from.micros())).abs();
    i64::try_from(moved * i128::from(ONE) / i128::from(from.micros())).ok()
}

/// How near every breaker that is on is to tripping: its largest value of any scope, parts per million of the
/// threshold there, rounded down. 1,000,000 trips; `None` while nothing of it can be measured.
///
/// Example: a loss of 2.5 % where 5 % trips is 500,000.
#[must_use]
pub fn nearness_ppm(rules: &Rules, readings: &[Reading]) -> Vec<(BreakerKind, Option<i64>)> {
    let of = |reading: &Reading| {
        let threshold = rules.of(reading.kind.limit(), reading.scope.id())?;
        let share = i128::from(reading.value?) * i128::from(ONE) / i128::from(threshold);
        Some(i64::try_from(share).unwrap_or(i64::MAX))
    };
    let on = BreakerKind::ALL.into_iter().filter(|kind| rules.is_on(kind.limit()));
    on.map(|kind| (kind, readings.iter().filter(|own| own.kind == kind).filter_map(of).max())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::AgentId,
        risk::{LimitName, Scope},
    };

    #[test]
    fn a_breaker_is_as_near_as_its_nearest_scope() {
        let mut rules = Rules::default();
        rules.set(LimitName::AgentLossHaltPpm, "a2", 20_000).expect("sensible");
        let agent = |id: &str| Scope::Agent(AgentId::new(id).expect("an id"));
        let reading = |kind, scope, value| Reading { kind, scope, value };
        let readings = [
            reading(BreakerKind::TotalLoss, Scope::Global, Some(25_000)),
            reading(BreakerKind::Drawdown, Scope::Global, None),
            reading(BreakerKind::AgentLoss, agent("a1"), Some(12_000)),
            reading(BreakerKind::AgentLoss, agent("a2"), Some(12_000)),
            reading(BreakerKind::PriceJump, Scope::Global, Some(1)),
        ];
        let near = nearness_ppm(&rules, &readings);
        let of = |kind: BreakerKind| near.iter().find(|own| own.0 == kind).map(|own| own.1);
        assert_eq!(of(BreakerKind::TotalLoss), Some(Some(500_000)));
        assert_eq!(of(BreakerKind::AgentLoss), Some(Some(600_000)), "a2 has a threshold of its own");
        assert_eq!(of(BreakerKind::Drawdown), Some(None), "it is on and cannot be measured");
        assert_eq!(of(BreakerKind::PriceJump), None, "it is off");
    }

    #[test]
    fn few_calls_are_no_rate() {
        let rate = |calls, failures| failures_ppm(CallCounts { calls, failures }, 20);
        assert_eq!((rate(19, 19), rate(20, 2), rate(20, 1)), (None, Some(100_000), Some(50_000)));
        assert_eq!(failures_ppm(CallCounts::default(), 0), None);
    }

    #[test]
    fn samples_count_when_all_of_them_are_high() {
        let mut samples = Samples::default();
        let values = [(95, None), (95, None), (90, Some(90)), (91, Some(90)), (92, Some(90)), (93, Some(91))];
        for (value, expected) in values {
            assert_eq!(samples.add(value, 3), expected);
        }
    }

    #[test]
    fn a_profit_ends_a_streak() {
        let mut streak = LossStreak::default();
        let closed = [(-10, 1), (-10, 2), (0, 2), (-1, 3), (5, 0), (-1, 1)];
        for (pnl, expected) in closed {
            assert_eq!(streak.close(Money::from_micros(pnl)), expected);
        }
    }

    #[test]
    fn jumps_count_both_ways() {
        let jump = |from, to| jump_ppm(Price::from_micros(from), Price::from_micros(to));
        assert_eq!((jump(100, 110), jump(100, 90), jump(100, 100)), (Some(100_000), Some(100_000), Some(0)));
        assert_eq!(jump(0, 5), None);
    }
}
