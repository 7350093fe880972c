//! When an answer is worth its price, and how long it holds.

use crate::time::Timestamp;

/// How many times the minimum edge a decision may have and still be in doubt. Above, the price speaks for itself.
pub const DOUBTFUL_EDGE_MAX: f64 = 3.0;

/// What is known of a decision before anybody is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Occasion {
    /// Expected return on the money spent.
    pub edge_ratio: f64,
    /// The smallest one that the agent trades on.
    pub min_edge_ratio: f64,
    /// Share of the capital that it stakes.
    pub stake: f64,
    /// A stake above this is asked about whatever the edge.
    pub large_stake: f64,
    /// The newest text about the match, if there is one.
    pub newest_news: Option<Timestamp>,
}

/// Why somebody is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consult {
    /// The edge is 1 to [`DOUBTFUL_EDGE_MAX`] times the minimum: no more than an error of the model.
    DoubtfulEdge,
    /// Much is at stake.
    LargeStake,
    /// There is news that prices may not know.
    FreshNews,
}

/// How near the answer must be to the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pace {
    /// The match is played: an answer holds a minute.
    Live,
    /// It has not begun: an answer holds 15 minutes.
    PreMatch,
}

impl Pace {
    /// How long an answer holds, seconds. It is also the step of the question's time, so a question changes no sooner.
    #[must_use]
    pub const fn holds_secs(self) -> u32 {
        match self {
            Self::Live => 60,
            Self::PreMatch => 900,
        }
    }

    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::PreMatch => "pre_match",
        }
    }

    /// The beginning of the step that `now` falls in, seconds since the epoch: with market and agent it names the
    /// question.
    ///
    /// ```
    /// use tragen_domain::{agents::advisor::consult::Pace, time::Timestamp};
    /// let now = Timestamp::from_micros(1_000_000_059_999_999);
    /// assert_eq!((Pace::Live.step(now), Pace::PreMatch.step(now)), (1_000_000_020, 999_999_900));
    /// ```
    #[must_use]
    pub fn step(self, now: Timestamp) -> i64 {
        let step = i64::from(self.holds_secs());
        now.micros().div_euclid(1_000_000).div_euclid(step).saturating_mul(step)
    }
}

/// News older than this is in the prices, seconds.
pub const FRESH_NEWS_SECS: i64 = 1_800;

/// Whether a decision is worth asking about, and why; the first reason that holds.
#[must_use]
pub fn consult(occasion: &Occasion, now: Timestamp) -> Option<Consult> {
    let is_fresh = |news: Timestamp| news.millis_since(now).unsigned_abs() <= FRESH_NEWS_SECS.unsigned_abs() * 1_000;
    let edges = occasion.edge_ratio.abs() / occasion.min_edge_ratio;
    if (1.0..=DOUBTFUL_EDGE_MAX).contains(&edges) {
        return Some(Consult::DoubtfulEdge);
    }
    if occasion.stake > occasion.large_stake {
        return Some(Consult::LargeStake);
    }
    occasion.newest_news.is_some_and(is_fresh).then_some(Consult::FreshNews)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_a_large_stake_or_news_are_worth_a_question() {
        let now = Timestamp::from_micros(10_000_000_000);
        let quiet =
            Occasion { edge_ratio: 0.2, min_edge_ratio: 0.05, stake: 0.01, large_stake: 0.02, newest_news: None };
        let check = |occasion: Occasion, expected| assert_eq!(consult(&occasion, now), expected, "{occasion:?}");
        check(quiet, None);
        check(Occasion { edge_ratio: 0.05, ..quiet }, Some(Consult::DoubtfulEdge));
        check(Occasion { edge_ratio: 0.15, ..quiet }, Some(Consult::DoubtfulEdge));
        check(Occasion { edge_ratio: 0.049, ..quiet }, None);
        check(Occasion { stake: 0.021, ..quiet }, Some(Consult::LargeStake));
        check(Occasion { stake: 0.02, ..quiet }, None);
        let news = |age_secs: i64| Some(now.plus_millis(-1_000 * age_secs));
        check(Occasion { newest_news: news(FRESH_NEWS_SECS), ..quiet }, Some(Consult::FreshNews));
        check(Occasion { newest_news: news(FRESH_NEWS_SECS + 1), ..quiet }, None);
        check(Occasion { edge_ratio: f64::NAN, ..quiet }, None);
        check(Occasion { min_edge_ratio: 0.0, edge_ratio: 0.0, ..quiet }, None);
    }
}
