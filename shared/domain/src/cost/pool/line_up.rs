//! Which agents of a pool trade: the best first, a fifth of the places for those that have not shown anything yet,
//! and not too many of one strategy or timeframe over all pools.

use super::{
    capital::Rank,
    shares::{Census, Kinship, ShareExceeded, Shares},
};
use crate::{
    id::{AgentId, PoolId},
    market::Timeframe,
};
use std::collections::BTreeMap;

/// Share of the places that agents without a score get if there are any, parts per million.
const TESTING_PLACES_PPM: u64 = 200_000;

/// An enabled agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub agent: AgentId,
    /// Its pool.
    pub pool: PoolId,
    /// The name of its strategy.
    pub strategy: &'static str,
    /// Length of its bars.
    pub timeframe: Timeframe,
    /// Its performance score, parts per million; `None` while there is none.
    pub score_ppm: Option<i64>,
    /// Whether it trades already: shares are looked at when an agent starts, nobody is stopped for them.
    pub is_active: bool,
}

/// Why an agent does not trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Benched {
    /// The pool has as many as it may.
    NoPlace {
        /// How many that is.
        places: u32,
    },
    /// Too many agents are like it.
    Share(ShareExceeded),
}

impl Benched {
    /// As written in facts and answers, UPPER_SNAKE.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPlace { .. } => "NO_PLACE",
            Self::Share(ShareExceeded { kinship: Kinship::Strategy, .. }) => "STRATEGY_SHARE",
            Self::Share(ShareExceeded { kinship: Kinship::Timeframe, .. }) => "TIMEFRAME_SHARE",
        }
    }
}

/// Who trades and who does not, over all pools.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LineUp {
    /// Those that trade, with their pool.
    pub active: BTreeMap<AgentId, PoolId>,
    /// Those that do not.
    pub benched: BTreeMap<AgentId, (PoolId, Benched)>,
}

/// Decides for every candidate. `places` has how many agents of a pool may trade; pools without an entry have no
/// bound, and their agents all trade. The same candidates in any order give the same line-up.
#[must_use]
pub fn line_up(mut candidates: Vec<Candidate>, places: &BTreeMap<PoolId, u32>, shares: &Shares) -> LineUp {
    candidates.sort_by(|a, b| in_order(a).cmp(&in_order(b)));
    let (bounded, free): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| places.contains_key(&candidate.pool));
    let mut line_up = LineUp::default();
    let mut census = Census::default();
    for candidate in free {
        census.add(candidate.strategy, candidate.timeframe);
        line_up.active.insert(candidate.agent, candidate.pool);
    }
    // Who trades already keeps its place before anybody starts: otherwise shares would be of what is about to stop.
    let chosen = choose(bounded, places, &mut line_up);
    let (staying, starting): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|candidate| candidate.is_active);
    for candidate in staying {
        census.add(candidate.strategy, candidate.timeframe);
        line_up.active.insert(candidate.agent, candidate.pool);
    }
    start(starting, &mut census, shares, &mut line_up);
    line_up
}

/// Lets agents start in their order. Each one that starts makes room for more of other kinds, so those that were
/// refused are looked at again until nobody else may.
fn start(mut waiting: Vec<Candidate>, census: &mut Census, shares: &Shares, line_up: &mut LineUp) {
    loop {
        let before = waiting.len();
        waiting.retain(|candidate| {
            let is_refused = census.admit(shares, candidate.strategy, candidate.timeframe).is_err();
            if !is_refused {
                census.add(candidate.strategy, candidate.timeframe);
                line_up.active.insert(candidate.agent.clone(), candidate.pool.clone());
            }
            is_refused
        });
        if waiting.len() == before {
            break;
        }
    }
    for candidate in waiting {
        if let Err(exceeded) = census.admit(shares, candidate.strategy, candidate.timeframe) {
            line_up.benched.insert(candidate.agent, (candidate.pool, Benched::Share(exceeded)));
        }
    }
}

/// Those with a place in their pool; the others are benched.
fn choose(candidates: Vec<Candidate>, places: &BTreeMap<PoolId, u32>, line_up: &mut LineUp) -> Vec<Candidate> {
    let mut by_pool: BTreeMap<PoolId, (Vec<Candidate>, Vec<Candidate>)> = BTreeMap::new();
    for candidate in candidates {
        let (scored, testing) = by_pool.entry(candidate.pool.clone()).or_default();
        if candidate.score_ppm.is_none() { testing.push(candidate) } else { scored.push(candidate) }
    }
    let mut chosen = Vec::new();
    for (pool, (scored, testing)) in by_pool {
        let places = places.get(&pool).copied().unwrap_or(0);
        let all = usize::try_from(places).unwrap_or(usize::MAX);
        let for_tests = usize::try_from(u64::try_from(all).unwrap_or(0) * TESTING_PLACES_PPM / 1_000_000).unwrap_or(0);
        let tested = for_tests.max(all.saturating_sub(scored.len())).min(testing.len());
        let known = all.saturating_sub(tested).min(scored.len());
        let no_place = Benched::NoPlace { places };
        for (mut some, count) in [(scored, known), (testing, tested)] {
            let without = some.split_off(count);
            chosen.extend(some);
            line_up.benched.extend(without.into_iter().map(|c| (c.agent, (c.pool, no_place))));
        }
    }
    chosen
}

/// Best rank, best score, those that trade already, then by id: nobody is replaced by an equal.
fn in_order(candidate: &Candidate) -> (Rank, i64, bool, &AgentId) {
    let score = candidate.score_ppm.unwrap_or(0);
    (Rank::of(candidate.score_ppm), -score, !candidate.is_active, &candidate.agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: &str, score_ppm: Option<i64>, is_active: bool) -> Candidate {
        Candidate {
            agent: AgentId::new(id).expect("an id"),
            pool: PoolId::new("p").expect("an id"),
            strategy: "scalper",
            timeframe: Timeframe::Minute1,
            score_ppm,
            is_active,
        }
    }

    fn places(agents: u32) -> BTreeMap<PoolId, u32> {
        BTreeMap::from([(PoolId::new("p").expect("an id"), agents)])
    }

    fn active(line_up: &LineUp) -> Vec<&str> {
        line_up.active.keys().map(AgentId::as_str).collect()
    }

    #[test]
    fn the_best_trade_and_a_fifth_of_the_places_is_for_those_without_a_score() {
        let scored = (1..=6).map(|n| candidate(&format!("s{n}"), Some(n * 150_000), false));
        let testing = (1..=3).map(|n| candidate(&format!("t{n}"), None, false));
        let all: Vec<Candidate> = scored.chain(testing).collect();
        let found = line_up(all.clone(), &places(5), &Shares::default());
        assert_eq!(active(&found), ["s3", "s4", "s5", "s6", "t1"]);
        assert_eq!(found.benched.len(), 4);
        let reversed = line_up(all.into_iter().rev().collect(), &places(5), &Shares::default());
        assert_eq!(reversed, found, "the order does not matter");
    }

    #[test]
    fn places_that_nobody_with_a_score_needs_are_for_tests_and_the_other_way_round() {
        let few = vec![candidate("s1", Some(1), false), candidate("t1", None, false), candidate("t2", None, false)];
        assert_eq!(active(&line_up(few, &places(3), &Shares::default())), ["s1", "t1", "t2"]);
        let known = (1..=4).map(|n| candidate(&format!("s{n}"), Some(n), false)).collect();
        assert_eq!(active(&line_up(known, &places(3), &Shares::default())), ["s2", "s3", "s4"]);
        assert!(line_up(Vec::new(), &places(3), &Shares::default()).active.is_empty());
    }

    #[test]
    fn nobody_is_replaced_by_an_equal() {
        let all = vec![candidate("a", None, false), candidate("b", None, true)];
        let found = line_up(all, &places(1), &Shares::default());
        assert_eq!(active(&found), ["b"]);
        let benched: Vec<_> = found.benched.iter().map(|(agent, (_, why))| (agent.as_str(), *why)).collect();
        assert_eq!(benched, [("a", Benched::NoPlace { places: 1 })]);
    }

    /// `counts` agents of each strategy and timeframe that trade without a bound, then one that wants to start.
    fn starts(
        counts: &[(&'static str, Timeframe, usize)],
        newcomer: (&'static str, Timeframe),
    ) -> Option<&'static str> {
        let mut all = Vec::new();
        for (strategy, timeframe, count) in counts {
            for number in 0..*count {
                let id = format!("{strategy}-{}-{number}", timeframe.as_str());
                let pool = PoolId::new("free").expect("an id");
                all.push(Candidate { pool, strategy, timeframe: *timeframe, ..candidate(&id, None, true) });
            }
        }
        let (strategy, timeframe) = newcomer;
        all.push(Candidate { strategy, timeframe, ..candidate("new", None, false) });
        line_up(all, &places(1), &Shares::default()).benched.get("new").map(|(_, why)| why.as_str())
    }

    #[test]
    fn a_strategy_has_at_most_three_tenths_and_a_timeframe_four_of_ten_or_more() {
        use Timeframe::{Day1, Hour1, Hour4, Minute1};
        let check = |counts: &[_], newcomer, expected| assert_eq!(starts(counts, newcomer), expected, "{counts:?}");
        // The newcomer is the tenth: 3 of 10 scalpers may be, 4 of 10 not.
        check(&[("scalper", Minute1, 2), ("swing", Hour4, 3), ("value", Day1, 4)], ("scalper", Hour1), None);
        let three = [("scalper", Minute1, 3), ("swing", Hour4, 3), ("value", Day1, 3)];
        check(&three, ("scalper", Hour1), Some("STRATEGY_SHARE"));
        // 4 of 10 on one timeframe may be, 5 not.
        check(&three, ("conservative", Hour4), None);
        let four = [("scalper", Hour4, 2), ("swing", Hour4, 2), ("value", Day1, 3), ("conservative", Hour1, 2)];
        check(&four, ("market_maker", Hour4), Some("TIMEFRAME_SHARE"));
        // Of nine, shares are not looked at.
        check(&[("scalper", Minute1, 8)], ("scalper", Minute1), None);
        check(&[("scalper", Minute1, 9)], ("scalper", Minute1), Some("STRATEGY_SHARE"));
    }

    #[test]
    fn who_trades_already_is_not_stopped_for_a_share() {
        let all = (0..20).map(|n| candidate(&format!("a{n}"), None, true)).collect();
        assert_eq!(line_up(all, &places(20), &Shares::default()).active.len(), 20);
    }

    #[test]
    fn who_was_refused_starts_when_others_have_made_room() {
        // Sorted by id, all scalpers come first: nine start, and more as soon as others are there.
        let kinds = ["scalper", "swing", "value", "conservative"];
        let frames = [Timeframe::Minute1, Timeframe::Hour4, Timeframe::Day1, Timeframe::Hour1];
        let mut all = Vec::new();
        for (number, (strategy, timeframe)) in kinds.into_iter().zip(frames).enumerate() {
            for agent in 0..20 {
                let id = format!("{number}-{agent:02}");
                all.push(Candidate { strategy, timeframe, ..candidate(&id, None, false) });
            }
        }
        assert_eq!(line_up(all.clone(), &places(80), &Shares::default()).active.len(), 80);
        all.retain(|candidate| candidate.strategy == "scalper" || candidate.strategy == "swing");
        let two = line_up(all, &places(80), &Shares::default());
        let refused = two.benched.get("0-19").map(|(_, why)| *why);
        let exceeded = ShareExceeded { kinship: Kinship::Strategy, observed: 10, limit: 5, all: 15 };
        assert_eq!((two.active.len(), refused), (14, Some(Benched::Share(exceeded))));
    }
}
