//! Which agents of a pool trade: the best first, a fifth of the places for those that have not shown anything yet,
//! and not too many of one strategy or timeframe over all pools.

use super::capital::Rank;
use crate::{
    id::{AgentId, PoolId},
    market::Timeframe,
};
use std::collections::BTreeMap;

/// Share of the places that agents without a score get if there are any, parts per million.
const TESTING_PLACES_PPM: u64 = 200_000;
/// Largest share of all trading agents that one strategy may have, parts per million.
pub const STRATEGY_SHARE_MAX_PPM: u64 = 300_000;
/// Largest share of all trading agents that one timeframe may have, parts per million.
pub const TIMEFRAME_SHARE_MAX_PPM: u64 = 400_000;
/// With fewer agents than this a share says nothing: of three, each is a third.
pub const SHARES_FROM_AGENTS: u64 = 10;

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
    NoPlace,
    /// 30 % of all agents have its strategy already.
    StrategyShare,
    /// 40 % of all agents have its timeframe already.
    TimeframeShare,
}

impl Benched {
    /// As written in facts and answers, UPPER_SNAKE.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPlace => "NO_PLACE",
            Self::StrategyShare => "STRATEGY_SHARE",
            Self::TimeframeShare => "TIMEFRAME_SHARE",
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

/// Trading agents by what they have in common.
#[derive(Debug, Default)]
struct Counts {
    all: u64,
    strategies: BTreeMap<&'static str, u64>,
    timeframes: BTreeMap<Timeframe, u64>,
}

/// Decides for every candidate. `places` has how many agents of a pool may trade; pools without an entry have no
/// bound, and their agents all trade. The same candidates in any order give the same line-up.
#[must_use]
pub fn line_up(mut candidates: Vec<Candidate>, places: &BTreeMap<PoolId, u32>) -> LineUp {
    candidates.sort_by(|a, b| in_order(a).cmp(&in_order(b)));
    let (bounded, free): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| places.contains_key(&candidate.pool));
    let mut line_up = LineUp::default();
    let mut counts = Counts::default();
    for candidate in free {
        counts.add(&candidate);
        line_up.active.insert(candidate.agent, candidate.pool);
    }
    // Who trades already keeps its place before anybody starts: otherwise shares would be of what is about to stop.
    let chosen = choose(bounded, places, &mut line_up);
    let (staying, starting): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|candidate| candidate.is_active);
    for candidate in staying {
        counts.add(&candidate);
        line_up.active.insert(candidate.agent, candidate.pool);
    }
    for candidate in starting {
        match counts.start(&candidate) {
            Ok(()) => _ = line_up.active.insert(candidate.agent, candidate.pool),
            Err(why) => _ = line_up.benched.insert(candidate.agent, (candidate.pool, why)),
        }
    }
    line_up
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
        let all = usize::try_from(places.get(&pool).copied().unwrap_or(0)).unwrap_or(usize::MAX);
        let for_tests = usize::try_from(u64::try_from(all).unwrap_or(0) * TESTING_PLACES_PPM / 1_000_000).unwrap_or(0);
        let tested = for_tests.max(all.saturating_sub(scored.len())).min(testing.len());
        let known = all.saturating_sub(tested).min(scored.len());
        for (mut some, places) in [(scored, known), (testing, tested)] {
            let without = some.split_off(places);
            chosen.extend(some);
            line_up.benched.extend(without.into_iter().map(|c| (c.agent, (c.pool, Benched::NoPlace))));
        }
    }
    chosen
}

/// Best rank, best score, those that trade already, then by id: nobody is replaced by an equal.
fn in_order(candidate: &Candidate) -> (Rank, i64, bool, &AgentId) {
    let score = candidate.score_ppm.unwrap_or(0);
    (Rank::of(candidate.score_ppm), -score, !candidate.is_active, &candidate.agent)
}

impl Counts {
    fn add(&mut self, candidate: &Candidate) {
        self.all += 1;
        *self.strategies.entry(candidate.strategy).or_default() += 1;
        *self.timeframes.entry(candidate.timeframe).or_default() += 1;
    }

    /// Adds an agent that is about to start, if it would not make its strategy or timeframe too common.
    fn start(&mut self, candidate: &Candidate) -> Result<(), Benched> {
        let all = self.all + 1;
        let is_over = |count: Option<&u64>, limit: u64| {
            all >= SHARES_FROM_AGENTS && (count.copied().unwrap_or(0) + 1) * 1_000_000 > all * limit
        };
        if is_over(self.strategies.get(candidate.strategy), STRATEGY_SHARE_MAX_PPM) {
            return Err(Benched::StrategyShare);
        }
        if is_over(self.timeframes.get(&candidate.timeframe), TIMEFRAME_SHARE_MAX_PPM) {
            return Err(Benched::TimeframeShare);
        }
        self.add(candidate);
        Ok(())
    }
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
        let found = line_up(all.clone(), &places(5));
        assert_eq!(active(&found), ["s3", "s4", "s5", "s6", "t1"]);
        assert_eq!(found.benched.len(), 4);
        let reversed = line_up(all.into_iter().rev().collect(), &places(5));
        assert_eq!(reversed, found, "the order does not matter");
    }

    #[test]
    fn places_that_nobody_with_a_score_needs_are_for_tests_and_the_other_way_round() {
        let few = vec![candidate("s1", Some(1), false), candidate("t1", None, false), candidate("t2", None, false)];
        assert_eq!(active(&line_up(few, &places(3))), ["s1", "t1", "t2"]);
        let known = (1..=4).map(|n| candidate(&format!("s{n}"), Some(n), false)).collect();
        assert_eq!(active(&line_up(known, &places(3))), ["s2", "s3", "s4"]);
        assert!(line_up(Vec::new(), &places(3)).active.is_empty());
    }

    #[test]
    fn nobody_is_replaced_by_an_equal() {
        let all = vec![candidate("a", None, false), candidate("b", None, true)];
        let found = line_up(all, &places(1));
        assert_eq!(active(&found), ["b"]);
        let benched: Vec<_> = found.benched.iter().map(|(agent, (_, why))| (agent.as_str(), *why)).collect();
        assert_eq!(benched, [("a", Benched::NoPlace)]);
    }

    /// `counts` agents of each strategy and timeframe that trade without a bound, then one that wants to start.
    fn starts(counts: &[(&'static str, Timeframe, usize)], newcomer: (&'static str, Timeframe)) -> Option<Benched> {
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
        line_up(all, &places(1)).benched.get("new").map(|(_, why)| *why)
    }

    #[test]
    fn a_strategy_has_at_most_three_tenths_and_a_timeframe_four_of_ten_or_more() {
        use Timeframe::{Day1, Hour1, Hour4, Minute1};
        let check = |counts: &[_], newcomer, expected| assert_eq!(starts(counts, newcomer), expected, "{counts:?}");
        // The newcomer is the tenth: 3 of 10 scalpers may be, 4 of 10 not.
        check(&[("scalper", Minute1, 2), ("swing", Hour4, 3), ("value", Day1, 4)], ("scalper", Hour1), None);
        let three = [("scalper", Minute1, 3), ("swing", Hour4, 3), ("value", Day1, 3)];
        check(&three, ("scalper", Hour1), Some(Benched::StrategyShare));
        // 4 of 10 on one timeframe may be, 5 not.
        check(&three, ("conservative", Hour4), None);
        let four = [("scalper", Hour4, 2), ("swing", Hour4, 2), ("value", Day1, 3), ("conservative", Hour1, 2)];
        check(&four, ("market_maker", Hour4), Some(Benched::TimeframeShare));
        // Of nine, shares are not looked at.
        check(&[("scalper", Minute1, 8)], ("scalper", Minute1), None);
        check(&[("scalper", Minute1, 9)], ("scalper", Minute1), Some(Benched::StrategyShare));
    }

    #[test]
    fn who_trades_already_is_not_stopped_for_a_share() {
        let all = (0..20).map(|n| candidate(&format!("a{n}"), None, true)).collect();
        assert_eq!(line_up(all, &places(20)).active.len(), 20);
    }
}
