//! How much of a pool's capital each agent works with: most of it with those that have shown what they can do, a
//! little with those that have not.

use crate::money::Money;

/// Score from which an agent is a high performer, parts per million (0.8).
pub const HIGH_PERFORMER_PPM: i64 = 800_000;

/// What an agent has shown so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// A score of 0.8 or more.
    HighPerformer,
    /// A lower score.
    Normal,
    /// No score yet: too few trades.
    Testing,
}

impl Rank {
    /// Every rank, best first.
    pub const ALL: [Self; 3] = [Self::HighPerformer, Self::Normal, Self::Testing];

    /// The rank of a performance score (parts per million).
    #[must_use]
    pub const fn of(score_ppm: Option<i64>) -> Self {
        match score_ppm {
            Some(score) if score >= HIGH_PERFORMER_PPM => Self::HighPerformer,
            Some(_) => Self::Normal,
            None => Self::Testing,
        }
    }

    /// Share of the pool's capital for all agents of the rank, parts per million: 40 %, 40 %, 20 %.
    #[must_use]
    pub const fn capital_ppm(self) -> i64 {
        match self {
            Self::HighPerformer | Self::Normal => 400_000,
            Self::Testing => 200_000,
        }
    }
}

/// What each agent of `ranks` gets of `capital`, in their order: the rank's share in equal parts, rounded down.
///
/// The share of a rank that nobody has stays where it is: nobody gets more because others are missing.
#[must_use]
pub fn allot(capital: Money, ranks: &[Rank]) -> Vec<Money> {
    let part = |rank: Rank| {
        let sharing = i64::try_from(ranks.iter().filter(|other| **other == rank).count()).unwrap_or(i64::MAX);
        let share = i128::from(capital.micros().max(0)) * i128::from(rank.capital_ppm()) / 1_000_000;
        Money::from_micros(i64::try_from(share / i128::from(sharing.max(1))).unwrap_or(0))
    };
    let parts = Rank::ALL.map(|rank| (rank, part(rank)));
    let of = |rank: &Rank| parts.iter().find(|(other, _)| other == rank).map_or(Money::default(), |(_, part)| *part);
    ranks.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_of_four_fifths_is_high_and_none_is_a_test() {
        let check = |score: Option<i64>, expected: Rank| assert_eq!(Rank::of(score), expected, "{score:?}");
        check(Some(800_000), Rank::HighPerformer);
        check(Some(799_999), Rank::Normal);
        check(Some(0), Rank::Normal);
        check(None, Rank::Testing);
    }

    #[test]
    fn capital_is_shared_by_rank_and_never_more_than_there_is() {
        use Rank::{HighPerformer, Normal, Testing};
        let check = |micros: i64, ranks: &[Rank], expected: &[i64]| {
            let allotted: Vec<i64> = allot(Money::from_micros(micros), ranks).into_iter().map(Money::micros).collect();
            assert_eq!(allotted, expected, "{micros} to {ranks:?}");
            assert!(allotted.iter().sum::<i64>() <= micros.max(0));
        };
        check(1_000, &[HighPerformer, Normal, Normal, Testing], &[400, 200, 200, 200]);
        check(1_000, &[Testing, Testing, Testing], &[66, 66, 66]);
        check(10, &[HighPerformer, HighPerformer, HighPerformer], &[1, 1, 1]);
        check(-5, &[Normal], &[0]);
        check(i64::MAX, &[HighPerformer], &[3_689_348_814_741_910_322]);
        check(1, &[], &[]);
    }
}
