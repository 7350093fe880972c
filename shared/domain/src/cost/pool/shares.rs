//! Not too many agents of one kind: a strategy or a timeframe that has stopped working must not take all of them
//! along. Looked at when an agent starts; nobody who trades already is stopped for a share.

use crate::market::Timeframe;
use std::collections::BTreeMap;

/// A whole, in parts per million.
const ONE_PPM: u64 = 1_000_000;

/// Largest shares of all trading agents, parts per million, rounded up to whole agents: 30 % of 13 are four.
/// Rounded down, four strategies of three agents each could never grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    strategy_max_ppm: u64,
    timeframe_max_ppm: u64,
    from_agents: u64,
}

/// Shares that nothing could be decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share of {ppm} parts per million is not within 1 to 1000000")]
pub struct SharesError {
    /// As given.
    pub ppm: u64,
}

/// What agents have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kinship {
    /// Their rules.
    Strategy,
    /// The length of their bars.
    Timeframe,
}

/// An agent may not start because its kind would be too common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[error("with it {observed} of {all} trading agents would have the same {}, at most {limit} may", .kinship.as_str())]
pub struct ShareExceeded {
    /// Which share.
    pub kinship: Kinship,
    /// Agents of the kind, with the one that would start.
    pub observed: u64,
    /// How many there may be.
    pub limit: u64,
    /// All trading agents, with the one that would start.
    pub all: u64,
}

/// Trading agents by what they have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    all: u64,
    strategies: BTreeMap<&'static str, u64>,
    timeframes: BTreeMap<Timeframe, u64>,
}

impl Default for Shares {
    /// 30 % of one strategy and 40 % of one timeframe, of ten agents or more: of three, each is a third.
    fn default() -> Self {
        Self { strategy_max_ppm: 300_000, timeframe_max_ppm: 400_000, from_agents: 10 }
    }
}

impl Shares {
    /// `from_agents` is how many agents there must be, with the one that starts, before a share says anything.
    ///
    /// # Errors
    /// [`SharesError`] for a share that is none.
    pub const fn new(strategy_max_ppm: u64, timeframe_max_ppm: u64, from_agents: u64) -> Result<Self, SharesError> {
        if strategy_max_ppm == 0 || strategy_max_ppm > ONE_PPM {
            return Err(SharesError { ppm: strategy_max_ppm });
        }
        if timeframe_max_ppm == 0 || timeframe_max_ppm > ONE_PPM {
            return Err(SharesError { ppm: timeframe_max_ppm });
        }
        Ok(Self { strategy_max_ppm, timeframe_max_ppm, from_agents })
    }
}

impl Shares {
    /// Largest share of one strategy, parts per million.
    #[must_use]
    pub const fn strategy_max_ppm(&self) -> u64 {
        self.strategy_max_ppm
    }

    /// Largest share of one timeframe, parts per million.
    #[must_use]
    pub const fn timeframe_max_ppm(&self) -> u64 {
        self.timeframe_max_ppm
    }
}

impl Kinship {
    /// In a sentence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::Timeframe => "timeframe",
        }
    }
}

impl Census {
    /// An agent trades.
    pub fn add(&mut self, strategy: &'static str, timeframe: Timeframe) {
        self.all += 1;
        *self.strategies.entry(strategy).or_default() += 1;
        *self.timeframes.entry(timeframe).or_default() += 1;
    }

    /// An agent that was added trades no more.
    pub fn remove(&mut self, strategy: &'static str, timeframe: Timeframe) {
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.strategies.get_mut(strategy) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.timeframes.get_mut(&timeframe) {
            *count = count.saturating_sub(1);
        }
    }

    /// Trading agents: all, with the strategy, with the timeframe.
    #[must_use]
    pub fn counts(&self, strategy: &str, timeframe: Timeframe) -> [u64; 3] {
        let of = |count: Option<&u64>| count.copied().unwrap_or(0);
        [self.all, of(self.strategies.get(strategy)), of(self.timeframes.get(&timeframe))]
    }

    /// Whether an agent may start.
    ///
    /// ```
    /// use tragen_domain::{cost::pool::shares::{Census, Shares}, market::Timeframe::{Hour4, Minute1}};
    /// let mut census = Census::default();
    /// for _ in 0..3 {
    ///     census.add("scalper", Minute1);
    /// }
    /// for _ in 0..6 {
    ///     census.add("swing", Hour4);
    /// }
    /// let refused = census.admit(&Shares::default(), "scalper", Minute1).unwrap_err();
    /// assert_eq!((refused.observed, refused.limit, refused.all), (4, 3, 10));
    /// assert!(census.admit(&Shares::default(), "value", Minute1).is_ok());
    /// ```
    ///
    /// # Errors
    /// [`ShareExceeded`] by strategy, then by timeframe.
    pub fn admit(&self, shares: &Shares, strategy: &str, timeframe: Timeframe) -> Result<(), ShareExceeded> {
        let [all, of_strategy, of_timeframe] = self.counts(strategy, timeframe).map(|count| count + 1);
        if all < shares.from_agents {
            return Ok(());
        }
        for (kinship, observed, max_ppm) in [
            (Kinship::Strategy, of_strategy, shares.strategy_max_ppm),
            (Kinship::Timeframe, of_timeframe, shares.timeframe_max_ppm),
        ] {
            let limit = (all * max_ppm).div_ceil(ONE_PPM);
            if observed > limit {
                return Err(ShareExceeded { kinship, observed, limit, all });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Timeframe::{Day1, Hour1, Hour4, Minute1, Minute5};

    /// What one more scalper on one-minute bars is told among `counts`.
    fn check(counts: &[(&'static str, Timeframe, u64)], expected: Option<(Kinship, u64, u64)>) {
        let mut census = Census::default();
        for (strategy, timeframe, count) in counts {
            (0..*count).for_each(|_| census.add(strategy, *timeframe));
        }
        let refused = census.admit(&Shares::default(), "scalper", Minute1).err();
        assert_eq!(refused.map(|e| (e.kinship, e.observed, e.limit)), expected, "{counts:?}");
    }

    #[test]
    fn three_tenths_of_a_strategy_and_four_of_a_timeframe_are_the_most() {
        use Kinship::{Strategy, Timeframe};
        check(&[("scalper", Minute1, 8)], None); // nine agents: shares say nothing
        check(&[("scalper", Minute1, 9)], Some((Strategy, 10, 3)));
        check(&[("scalper", Hour1, 2), ("swing", Hour4, 7)], None);
        check(&[("scalper", Hour1, 3), ("swing", Hour4, 6)], Some((Strategy, 4, 3)));
        check(&[("swing", Minute1, 3), ("value", Day1, 6)], None);
        check(&[("swing", Minute1, 4), ("value", Day1, 5)], Some((Timeframe, 5, 4)));
        check(&[("scalper", Hour1, 3), ("swing", Hour4, 3), ("value", Day1, 3), ("x", Minute5, 3)], None); // 4 of 13
    }

    #[test]
    fn equal_fleets_grow_without_end() {
        let kinds = [("scalper", Minute1), ("swing", Hour4), ("value", Day1), ("conservative", Hour1)];
        let mut census = Census::default();
        for number in 0..400 {
            let (strategy, timeframe) = kinds[number % 4];
            assert_eq!(census.admit(&Shares::default(), strategy, timeframe), Ok(()), "agent {number}");
            census.add(strategy, timeframe);
        }
        census.remove("scalper", Minute1);
        assert_eq!(census.counts("scalper", Minute1), [399, 99, 99]);
    }

    #[test]
    fn shares_are_between_nothing_and_all() {
        assert_eq!(Shares::new(0, 400_000, 10), Err(SharesError { ppm: 0 }));
        assert_eq!(Shares::new(300_000, 1_000_001, 10), Err(SharesError { ppm: 1_000_001 }));
        let all = Shares::new(1_000_000, 1_000_000, 0).expect("shares");
        let mut census = Census::default();
        for _ in 0..50 {
            assert_eq!(census.admit(&all, "scalper", Minute1), Ok(()));
            census.add("scalper", Minute1);
        }
    }
}
