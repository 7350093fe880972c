//! eplScoutAgent: which of the three markets of a match is offered below its fair price?
//!
//! Fair is what the bookmakers together believe, the sharp ones most. An opportunity is a quote whose ask plus fee is
//! below that by the minimum edge. No wallet, no user and no clock: the same books and quotes give the same answer.
//! Whether prices are moving is told by [`super::steam`].

use super::devig::DevigMethod;
use super::fair_line::{Book, DroppedBook, FairLineError, MethodLine, Outcome, fair_lines, share_ppm};
use super::kelly::{KellyError, PricedEdge, price_edge};
use crate::market::MatchStatus;
use crate::time::Timestamp;

/// Money at the ask that counts as fully liquid, in units of the contract's payout currency.
pub const FULL_LIQUIDITY: f64 = 1_000.0;
/// An ask this far below the consensus, in probability, is flagged whatever its fee.
pub const FLAG_DISTANCE: f64 = 0.02;
/// The part of an edge that the closing line has later confirmed: 2,017 bets at a mean edge of 4.1 % beat it by 3.1 %
/// (Premier League 2012 to 2026, best price against Pinnacle's opening line).
pub const CONFIRMED_EDGE_SHARE: f64 = 0.75;

/// Where a match is; the later of two is the greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchPhase {
    /// Before the kick-off.
    PreMatch,
    /// Between kick-off and final whistle.
    InPlay,
    /// Decided, abandoned or postponed.
    Finished,
}

impl SkipReason {
    /// Whether the quote could be priced, and its price was the reason.
    const fn is_priced(self) -> bool {
        match self {
            Self::EdgeBelowMinimum { .. } | Self::EdgeImplausible { .. } => true,
            Self::NoQuote
            | Self::InvalidSize { .. }
            | Self::Crossed { .. }
            | Self::Stale { .. }
            | Self::Unpriceable(_) => false,
        }
    }
}

impl MatchPhase {
    /// Where a match is at the market time `at`: past its kick-off the ball may roll, whatever is said of it. A kick-off
    /// at 0 is one that nobody has said.
    ///
    /// ```
    /// use tragen_domain::{agents::scout::MatchPhase, market::MatchStatus, time::Timestamp};
    /// let at = Timestamp::from_micros;
    /// assert_eq!(MatchPhase::of(MatchStatus::Scheduled, at(1_000), at(999)), MatchPhase::PreMatch);
    /// assert_eq!(MatchPhase::of(MatchStatus::Scheduled, at(1_000), at(1_000)), MatchPhase::InPlay);
    /// ```
    #[must_use]
    pub fn of(status: MatchStatus, kickoff: Timestamp, at: Timestamp) -> Self {
        let is_kicked_off = kickoff.micros() > 0 && kickoff <= at;
        match status {
            MatchStatus::Scheduled if is_kicked_off => Self::InPlay,
            MatchStatus::Scheduled => Self::PreMatch,
            MatchStatus::InPlay => Self::InPlay,
            MatchStatus::Finished => Self::Finished,
        }
    }
}

/// The best quote of one outcome's YES contract, prices between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quote {
    /// Lowest price at which somebody sells.
    pub ask: f64,
    /// Contracts offered at the ask.
    pub ask_size: f64,
    /// Highest price at which somebody buys, if anybody does.
    pub bid: Option<f64>,
    /// Milliseconds since the venue last confirmed it; None when nobody says.
    pub age_ms: Option<i64>,
}

/// One match as the scout sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatchView<'a> {
    /// Where the match is.
    pub phase: MatchPhase,
    /// The bookmakers' odds.
    pub books: &'a [Book],
    /// The tradable quote of home, draw and away; None where the venue has none.
    pub quotes: [Option<Quote>; 3],
}

/// The numbers of the scout's rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoutRules {
    /// How margins are removed.
    pub method: DevigMethod,
    /// The venue's taker fee rate: a contract costs `rate * ask * (1 - ask)` on top of the ask.
    pub fee_rate: f64,
    /// Smallest expected return on ask + fee, in basis points.
    pub min_edge_bps: u32,
    /// An expected return above this is a data fault, not an opportunity, in basis points. Below the minimum it leaves
    /// nothing to buy.
    pub max_edge_bps: u32,
    /// A quote known to be older is not bought, milliseconds.
    pub max_age_ms: i64,
}

impl Default for ScoutRules {
    /// Shin, Polymarket's sports fee, at least 5 % and at most 15 %, a minute.
    fn default() -> Self {
        Self { method: DevigMethod::Shin, fee_rate: 0.03, min_edge_bps: 500, max_edge_bps: 1_500, max_age_ms: 60_000 }
    }
}

/// A quote worth buying.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Opportunity {
    /// Which market.
    pub outcome: Outcome,
    /// Our probability.
    pub fair_probability: f64,
    /// The price to pay.
    pub ask: f64,
    /// Contracts offered at it.
    pub ask_size: f64,
    /// Fee, cost, edge, edge ratio and full Kelly fraction per contract.
    pub priced: PricedEdge,
    /// Money offered at the ask as a share of [`FULL_LIQUIDITY`], 0 to 1.
    pub liquidity_score: f64,
    /// Value against the closing line to be expected of the cost: [`CONFIRMED_EDGE_SHARE`] of the edge ratio.
    pub expected_closing_line_value: f64,
    /// Milliseconds since the venue last confirmed the quote; None when nobody says.
    pub age_ms: Option<i64>,
}

/// Why a market of a priced match is not an opportunity.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SkipReason {
    /// The venue shows no ask.
    #[error("no ask")]
    NoQuote,
    /// The ask's size is not a finite number above 0.
    #[error("the ask size {ask_size} is not a finite number above 0")]
    InvalidSize {
        /// The number as given.
        ask_size: f64,
    },
    /// The bid is not below the ask: an old or broken book.
    #[error("the bid {bid} is not below the ask {ask}")]
    Crossed {
        /// The bid as given.
        bid: f64,
        /// The ask as given.
        ask: f64,
    },
    /// The venue has been silent for too long.
    #[error("the quote is {age_ms} ms old, the limit is {limit_ms} ms")]
    Stale {
        /// How old it is.
        age_ms: i64,
        /// How old it may be.
        limit_ms: i64,
    },
    /// The ask or the fee rate is out of range.
    #[error("the quote cannot be priced")]
    Unpriceable(#[source] KellyError),
    /// A fair price, or a worse one.
    #[error("the edge {edge_ratio} is below {min}")]
    EdgeBelowMinimum {
        /// Expected return on ask + fee.
        edge_ratio: f64,
        /// The minimum.
        min: f64,
    },
    /// Too good to be true.
    #[error("the edge {edge_ratio} above {max} is a data fault")]
    EdgeImplausible {
        /// Expected return on ask + fee.
        edge_ratio: f64,
        /// The maximum.
        max: f64,
    },
}

/// What the scout found in a match it could price. Every outcome is in exactly one of the two lists.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoutReport {
    /// Fair probability of home, draw and away.
    pub fair: [f64; 3],
    /// The same by each way of removing margins.
    pub by_method: [MethodLine; 5],
    /// How many books it rests on.
    pub books_used: usize,
    /// The books left out.
    pub dropped_books: Vec<DroppedBook>,
    /// The markets whose ask is more than [`FLAG_DISTANCE`] below fair, in the order home, draw, away; the fee, the size
    /// and the age may still speak against them.
    pub flagged: Vec<Outcome>,
    /// The quotes worth buying, best expected return first.
    pub opportunities: Vec<Opportunity>,
    /// The markets not worth buying, in the order home, draw, away.
    pub skipped: Vec<(Outcome, SkipReason)>,
}

impl ScoutReport {
    /// How sure the report is: the share of the books and of the three quotes that could be used, parts per million.
    #[must_use]
    pub fn confidence_ppm(&self) -> u32 {
        let books = self.books_used + self.dropped_books.len();
        let unusable = self.skipped.iter().filter(|(_, reason)| !reason.is_priced()).count();
        share_ppm(self.books_used + Outcome::ALL.len() - unusable, books + Outcome::ALL.len())
    }

    /// The best expected return seen, also below the minimum or above the maximum; None when no quote could be priced.
    #[must_use]
    pub fn best_edge_ratio(&self) -> Option<f64> {
        let taken = self.opportunities.iter().map(|found| found.priced.edge_ratio);
        let left = self.skipped.iter().filter_map(|(_, reason)| match *reason {
            SkipReason::EdgeBelowMinimum { edge_ratio, .. } | SkipReason::EdgeImplausible { edge_ratio, .. } => {
                Some(edge_ratio)
            }
            SkipReason::NoQuote
            | SkipReason::InvalidSize { .. }
            | SkipReason::Crossed { .. }
            | SkipReason::Stale { .. }
            | SkipReason::Unpriceable(_) => None,
        });
        taken.chain(left).max_by(f64::total_cmp)
    }
}

/// Why the scout does not price a match at all.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScoutRefusal {
    /// Pre-match odds say nothing once the ball rolls: they once "found" an edge of 278 %.
    #[error("the match is in play and pre-match odds do not price it")]
    InPlay,
    /// There is nothing left to bet on.
    #[error("the match is finished")]
    Finished,
    /// No bookmaker can be used.
    #[error("there is no fair line")]
    NoFairLine(#[source] FairLineError),
}

/// Finds the quotes of a match that are worth buying.
///
/// Example: Pinnacle at 2.00 / 3.60 / 4.20 (margin 1.6 %) makes the home win 49.4 % fair; a home ask of 0.46 costs
/// 0.4675 with the fee, so each contract is worth 0.0266 more than it costs: 5.7 %.
///
/// # Errors
/// [`ScoutRefusal`] when the match is not before its kick-off or no book is usable.
pub fn scout(view: &MatchView<'_>, rules: &ScoutRules) -> Result<ScoutReport, ScoutRefusal> {
    match view.phase {
        MatchPhase::PreMatch => {}
        MatchPhase::InPlay => return Err(ScoutRefusal::InPlay),
        MatchPhase::Finished => return Err(ScoutRefusal::Finished),
    }
    let (line, by_method) = fair_lines(view.books, rules.method).map_err(ScoutRefusal::NoFairLine)?;
    let (mut opportunities, mut skipped) = (Vec::with_capacity(3), Vec::with_capacity(3));
    for outcome in Outcome::ALL {
        match judge(outcome, outcome.of(&line.probabilities), outcome.of(&view.quotes), rules) {
            Ok(opportunity) => opportunities.push(opportunity),
            Err(reason) => skipped.push((outcome, reason)),
        }
    }
    opportunities.sort_by(best_first);
    let is_flagged = |outcome: &Outcome| {
        let limit = outcome.of(&line.probabilities) - FLAG_DISTANCE;
        outcome.of(&view.quotes).is_some_and(|quote| quote.ask < limit)
    };
    Ok(ScoutReport {
        fair: line.probabilities,
        by_method,
        flagged: Outcome::ALL.into_iter().filter(is_flagged).collect(),
        books_used: line.books_used,
        dropped_books: line.dropped,
        opportunities,
        skipped,
    })
}

/// Whether one quote is worth buying at probability `p`; also for agents with a probability of their own.
pub(super) fn judge(
    outcome: Outcome,
    p: f64,
    quote: Option<Quote>,
    rules: &ScoutRules,
) -> Result<Opportunity, SkipReason> {
    let Quote { ask, ask_size, bid, age_ms } = quote.ok_or(SkipReason::NoQuote)?;
    if !(ask_size.is_finite() && ask_size > 0.0) {
        return Err(SkipReason::InvalidSize { ask_size });
    }
    let priced = price_edge(p, ask, rules.fee_rate).map_err(SkipReason::Unpriceable)?;
    // Written so that a bid that is not a number counts as crossed.
    if let Some(bid) = bid.filter(|bid| !matches!(bid.partial_cmp(&ask), Some(std::cmp::Ordering::Less))) {
        return Err(SkipReason::Crossed { bid, ask });
    }
    if let Some(age_ms) = age_ms.filter(|age| *age > rules.max_age_ms) {
        return Err(SkipReason::Stale { age_ms, limit_ms: rules.max_age_ms });
    }
    let (edge_ratio, min, max) = (priced.edge_ratio, ratio(rules.min_edge_bps), ratio(rules.max_edge_bps));
    if edge_ratio < min {
        return Err(SkipReason::EdgeBelowMinimum { edge_ratio, min });
    }
    if edge_ratio > max {
        return Err(SkipReason::EdgeImplausible { edge_ratio, max });
    }
    let liquidity_score = (ask_size * ask).min(FULL_LIQUIDITY) / FULL_LIQUIDITY;
    let expected_closing_line_value = CONFIRMED_EDGE_SHARE * edge_ratio;
    let fair_probability = p;
    Ok(Opportunity {
        outcome,
        fair_probability,
        ask,
        ask_size,
        priced,
        liquidity_score,
        expected_closing_line_value,
        age_ms,
    })
}

/// Higher expected return first, then more liquidity, then the order home, draw, away.
fn best_first(a: &Opportunity, b: &Opportunity) -> std::cmp::Ordering {
    let by_edge = b.priced.edge_ratio.total_cmp(&a.priced.edge_ratio);
    by_edge.then(b.liquidity_score.total_cmp(&a.liquidity_score)).then(a.outcome.cmp(&b.outcome))
}

fn ratio(bps: u32) -> f64 {
    f64::from(bps) / 10_000.0
}

#[cfg(test)]
mod tests;
