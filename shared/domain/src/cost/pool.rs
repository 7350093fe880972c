//! Pools of agents: how many of a pool's agents trade, which ones, and with how much of the capital.
//!
//! A pool grows and shrinks with one figure of its market, but slowly: a target moves only by a tenth or more, and
//! not twice within five minutes, so that agents are not started and stopped by noise. Every decision follows from
//! its [`PoolInputs`] alone, so whoever has the inputs can replay it.

pub mod capital;
pub mod line_up;
pub mod shares;

use crate::time::Timestamp;

/// Smallest change of a target, in parts per million of it (10 %).
pub const CHANGE_MIN_PPM: i64 = 100_000;
/// Shortest time between two changes of a target, milliseconds.
pub const CHANGE_EVERY_MS: i64 = 300_000;
/// A whole, in parts per million.
const ONE_PPM: i64 = 1_000_000;
/// Most agents of a pool: as many as a registry has.
const AGENTS_MAX: u32 = 10_000;

/// The figure that a pool follows; both are 0 (least) to 1 (most).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolMetric {
    /// Where today's volatility stands among those of the last 500 bars.
    MarketVolatility,
    /// How clearly the market has a direction.
    TrendStrength,
}

impl PoolMetric {
    /// As written in configuration and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MarketVolatility => "market_volatility",
            Self::TrendStrength => "trend_strength",
        }
    }
}

/// How a pool is sized.
///
/// ```
/// use tragen_domain::cost::pool::{PoolMetric, PoolRule};
/// let scalping = PoolRule::new(10, 50, PoolMetric::MarketVolatility)?;
/// assert_eq!(scalping.desired(294_589), 22); // 10 + 40 * 0.294589 = 21.78
/// # Ok::<(), tragen_domain::cost::pool::PoolRuleError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolRule {
    agents_min: u32,
    agents_max: u32,
    metric: PoolMetric,
}

/// Why a pool cannot be sized so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolRuleError {
    /// A pool has at least one agent and not more than a registry has.
    #[error("{agents_min} to {agents_max} agents is not a range within 1 to 10000")]
    Range {
        /// The fewest as given.
        agents_min: u32,
        /// The most as given.
        agents_max: u32,
    },
}

/// What a target was set to, by the metric alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// How many agents.
    pub agents: u32,
    /// When.
    pub set_at: Timestamp,
}

/// Everything that a decision follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolInputs {
    /// The metric, parts per million; `None` while it is not defined.
    pub metric_ppm: Option<i64>,
    /// The target so far; `None` before the first.
    pub current: Option<Target>,
    /// What the machines have room for, parts per million of all that was wanted; 800,000 while memory is short.
    pub capacity_ppm: i64,
    /// Now.
    pub now: Timestamp,
}

/// Why a target is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The metric asks for it.
    Metric,
    /// The metric asks for something that is less than a tenth away.
    TooSmallAChange,
    /// The last change is less than five minutes ago.
    TooSoon,
    /// The metric is not defined: the target stays, at first the fewest.
    NoMetric,
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// By the metric alone; what the next decision starts from.
    pub target: Target,
    /// How many agents may trade: the target within the capacity, at least one.
    pub agents: u32,
    /// Why the target is what it is.
    pub why: Why,
}

impl Why {
    /// As written in facts and answers, UPPER_SNAKE.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "METRIC",
            Self::TooSmallAChange => "TOO_SMALL_A_CHANGE",
            Self::TooSoon => "TOO_SOON",
            Self::NoMetric => "NO_METRIC",
        }
    }
}

impl PoolRule {
    /// From `agents_min` when the metric is 0 to `agents_max` when it is 1.
    ///
    /// # Errors
    /// [`PoolRuleError`] when that is no range.
    pub const fn new(agents_min: u32, agents_max: u32, metric: PoolMetric) -> Result<Self, PoolRuleError> {
        if agents_min == 0 || agents_min > agents_max || agents_max > AGENTS_MAX {
            return Err(PoolRuleError::Range { agents_min, agents_max });
        }
        Ok(Self { agents_min, agents_max, metric })
    }

    /// The figure it follows.
    #[must_use]
    pub const fn metric(&self) -> PoolMetric {
        self.metric
    }

    /// Fewest and most agents.
    #[must_use]
    pub const fn range(&self) -> (u32, u32) {
        (self.agents_min, self.agents_max)
    }

    /// What the metric asks for: min + (max - min) x metric, half away from zero.
    #[must_use]
    pub fn desired(&self, metric_ppm: i64) -> u32 {
        let span = i64::from(self.agents_max - self.agents_min);
        let more = (span * metric_ppm.clamp(0, ONE_PPM) + ONE_PPM / 2) / ONE_PPM;
        self.agents_min + u32::try_from(more).unwrap_or(0)
    }

    /// Decides how many agents trade.
    #[must_use]
    pub fn size(&self, inputs: &PoolInputs) -> Sizing {
        let (target, why) = self.target(inputs);
        // A shortage is obeyed at once and below the fewest: a process that runs out of memory helps nobody.
        let capacity = inputs.capacity_ppm.clamp(0, ONE_PPM);
        let room = u32::try_from(i64::from(target.agents) * capacity / ONE_PPM).unwrap_or(0);
        Sizing { target, agents: room.max(1), why }
    }

    fn target(&self, inputs: &PoolInputs) -> (Target, Why) {
        let desired = inputs.metric_ppm.map(|metric_ppm| self.desired(metric_ppm));
        let Some(current) = inputs.current else {
            let why = if desired.is_some() { Why::Metric } else { Why::NoMetric };
            return (Target { agents: desired.unwrap_or(self.agents_min), set_at: inputs.now }, why);
        };
        // The rule itself may have been changed.
        let held = current.agents.clamp(self.agents_min, self.agents_max);
        if held != current.agents {
            return (Target { agents: held, set_at: inputs.now }, Why::Metric);
        }
        let Some(desired) = desired else { return (current, Why::NoMetric) };
        if desired == current.agents {
            return (current, Why::Metric);
        }
        let change = i64::from(desired.abs_diff(current.agents));
        if change * ONE_PPM < i64::from(current.agents) * CHANGE_MIN_PPM {
            return (current, Why::TooSmallAChange);
        }
        if inputs.now.millis_since(current.set_at) < CHANGE_EVERY_MS {
            return (current, Why::TooSoon);
        }
        (Target { agents: desired, set_at: inputs.now }, Why::Metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    fn scalping() -> PoolRule {
        PoolRule::new(10, 50, PoolMetric::MarketVolatility).expect("a rule")
    }

    fn inputs(metric_ppm: Option<i64>, current: Option<(u32, i64)>, now_ms: i64) -> PoolInputs {
        let current = current.map(|(agents, set_ms)| Target { agents, set_at: at(set_ms) });
        PoolInputs { metric_ppm, current, capacity_ppm: 1_000_000, now: at(now_ms) }
    }

    #[test]
    fn the_metric_spans_the_range_and_halves_go_up() {
        let check = |metric_ppm: i64, expected: u32| assert_eq!(scalping().desired(metric_ppm), expected);
        check(0, 10);
        check(294_589, 22);
        check(1_000_000, 50);
        check(12_500, 11); // half an agent
        check(12_499, 10);
        check(-1, 10);
        check(2_000_000, 50);
    }

    #[test]
    fn a_target_moves_by_a_tenth_and_not_twice_in_five_minutes() {
        let check = |metric_ppm: i64, now_ms: i64, agents: u32, why: Why| {
            let sizing = scalping().size(&inputs(Some(metric_ppm), Some((40, 0)), now_ms));
            assert_eq!((sizing.agents, sizing.why), (agents, why), "{metric_ppm} at {now_ms}");
            let set_ms = if agents == 40 { 0 } else { now_ms };
            assert_eq!(sizing.target, Target { agents, set_at: at(set_ms) });
        };
        check(675_000, 300_000, 40, Why::TooSmallAChange); // 37: 3 of 40
        check(650_000, 300_000, 36, Why::Metric); // exactly a tenth, exactly five minutes
        check(650_000, 299_999, 40, Why::TooSoon);
        check(1_000_000, 300_000, 50, Why::Metric);
        check(750_000, 0, 40, Why::Metric); // what is asked for is there
    }

    #[test]
    fn one_agent_is_the_smallest_change_of_a_small_pool() {
        let rule = PoolRule::new(1, 5, PoolMetric::TrendStrength).expect("a rule");
        let sizing = rule.size(&inputs(Some(250_000), Some((1, 0)), 300_000));
        assert_eq!((sizing.agents, sizing.why), (2, Why::Metric));
    }

    #[test]
    fn without_a_metric_nothing_moves() {
        let first = scalping().size(&inputs(None, None, 7));
        assert_eq!((first.agents, first.why, first.target.set_at), (10, Why::NoMetric, at(7)));
        let later = scalping().size(&inputs(None, Some((33, 0)), 999_999));
        assert_eq!((later.agents, later.why), (33, Why::NoMetric));
        let begun = scalping().size(&inputs(Some(500_000), None, 7));
        assert_eq!((begun.agents, begun.why), (30, Why::Metric));
    }

    #[test]
    fn a_shortage_lowers_every_pool_at_once_and_is_forgotten_when_it_ends() {
        let short = PoolInputs { capacity_ppm: 800_000, ..inputs(Some(0), Some((10, 0)), 1) };
        let sizing = scalping().size(&short);
        assert_eq!((sizing.agents, sizing.target.agents), (8, 10));
        let none = scalping().size(&PoolInputs { capacity_ppm: 0, ..short });
        assert_eq!(none.agents, 1);
        let over = scalping().size(&PoolInputs { capacity_ppm: 1_000_000, ..short });
        assert_eq!(over.agents, 10);
    }

    #[test]
    fn a_changed_rule_holds_at_once() {
        let sizing = scalping().size(&inputs(None, Some((80, 0)), 1));
        assert_eq!((sizing.agents, sizing.target), (50, Target { agents: 50, set_at: at(1) }));
        assert!(PoolRule::new(0, 5, PoolMetric::TrendStrength).is_err());
        assert!(PoolRule::new(6, 5, PoolMetric::TrendStrength).is_err());
        assert!(PoolRule::new(1, 10_001, PoolMetric::TrendStrength).is_err());
    }
}
