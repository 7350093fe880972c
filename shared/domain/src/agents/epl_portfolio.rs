//! eplPortfolioAgent: what does a book of football contracts risk, and what should be reduced?
//!
//! | question | where |
//! |---|---|
//! | exposure by match, team and outcome; value at risk and expected shortfall | here |
//! | which trade brings the risk down for the least money? | `epl_portfolio/hedge.rs` |
//! | which holdings are larger than their edge is worth? | `epl_portfolio/surplus.rs` |
//!
//! The outcomes of a match exclude each other and matches are independent, so the risk is counted over every
//! combination of results, see [`ScenarioBook`]. The agent only ever reduces: it sells what is held, buys back what is
//! short, or buys the other outcomes of a match as a cover.

mod hedge;
mod surplus;

use super::fair_line::Outcome;
use super::scout::MatchPhase;
use super::top_of_book::TopOfBook;
use crate::id::MatchId;
use crate::instrument::SettlementStyle;
use crate::money::{Money, ONE, Overflow, Price, Quantity, Rounding};
use crate::order::Side;
use crate::portfolio::{Confidence, OutcomePnl, ScenarioBook, ScenarioError, ScenarioRisk, exposure, outcome_pnls};
use crate::position::Position;
use std::collections::BTreeMap;

/// What is held of one match. Arrays are home, draw, away.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchHoldings<'a> {
    /// The match.
    pub id: MatchId,
    /// Home and away team.
    pub teams: [&'a str; 2],
    /// Where the match is.
    pub phase: MatchPhase,
    /// Chance of each outcome; they sum to 1.
    pub chances: [f64; 3],
    /// The phase that the chances were made for.
    pub chances_phase: MatchPhase,
    /// What is held of each YES contract.
    pub positions: [Position; 3],
    /// The books; None where the venue has none.
    pub books: [Option<TopOfBook>; 3],
    /// The venue's taker fee rate, 0 to 1.
    pub fee_rate: f64,
    /// Quantity grid of the contracts, above 0.
    pub lot: Quantity,
}

/// The numbers of the rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PortfolioRules {
    /// Largest share of the capital in one match, parts per million.
    pub match_share_max_ppm: i64,
    /// Largest expected shortfall (95 %) as a share of the capital, parts per million.
    pub shortfall_max_ppm: i64,
    /// Share of the full Kelly stake that a holding may be worth, 0 to 1.
    pub kelly_multiplier: f64,
    /// Older books are stale, milliseconds.
    pub age_ms_max: i64,
}

impl Default for PortfolioRules {
    /// A fifth in one match, a shortfall of a fifth, a quarter of Kelly, books of 5 s.
    fn default() -> Self {
        Self { match_share_max_ppm: 200_000, shortfall_max_ppm: 200_000, kelly_multiplier: 0.25, age_ms_max: 5_000 }
    }
}

/// Why something should be traded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum IntentReason {
    /// Too much of the capital is in the match.
    MatchShare {
        /// Share of the capital before, parts per million.
        share_ppm: i64,
        /// The limit.
        limit_ppm: i64,
    },
    /// The book can lose too much; this trade takes most off for its money.
    Shortfall {
        /// Expected shortfall before.
        before: Money,
        /// Expected shortfall after.
        after: Money,
        /// What the trade costs: the price of what is bought; selling YES at 0.40 buys NO at 0.60.
        paid: Money,
    },
    /// More is held than its edge is worth at the price that it could be sold for.
    AboveKelly {
        /// Our chance.
        chance: f64,
        /// What a sale brings, per contract, after the fee.
        proceeds: f64,
    },
}

/// A trade that reduces risk; its size for the user is this one, nothing is added later.
#[derive(Debug, Clone, PartialEq)]
pub struct TradeIntent {
    /// The match.
    pub match_id: MatchId,
    /// Whose YES contract.
    pub outcome: Outcome,
    /// Which way.
    pub side: Side,
    /// How much, above 0, on the lot.
    pub quantity: Quantity,
    /// The worst price to take.
    pub limit: Price,
    /// Whether it closes what is held; else it covers the match by another of its outcomes.
    pub is_reduce_only: bool,
    /// Why.
    pub reason: IntentReason,
}

/// One match of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchExposure {
    /// The match.
    pub id: MatchId,
    /// What was paid for what is held: all of it can be lost.
    pub at_risk: Money,
    /// The same as a share of the capital, parts per million, rounded up; None without capital.
    pub share_ppm: Option<i64>,
    /// Profit if home, draw, away happens.
    pub pnl: [Money; 3],
}

/// What hangs on one team, over all its matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamExposure {
    /// Its name.
    pub team: String,
    /// Profit if it wins every one.
    pub if_it_wins: Money,
    /// Profit if it loses every one.
    pub if_it_loses: Money,
}

/// What a book of football contracts risks, and what to reduce.
#[derive(Debug, Clone, PartialEq)]
pub struct PortfolioReport {
    /// Each match, in the order given.
    pub matches: Vec<MatchExposure>,
    /// Each team, sorted by name.
    pub teams: Vec<TeamExposure>,
    /// What was paid for contracts on home wins, draws and away wins.
    pub by_outcome: [Money; 3],
    /// Value at risk and expected shortfall at 95 %; None without a match.
    pub risk_95: Option<ScenarioRisk>,
    /// The same at 99 %.
    pub risk_99: Option<ScenarioRisk>,
    /// Trades that bring the book inside its limits, in the order to do them.
    pub intents: Vec<TradeIntent>,
}

/// Why a book is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum PortfolioRefusal {
    /// Pre-match chances say nothing about a match in play, and the other way round.
    #[error("match {index} is {phase:?}, its chances are made for {chances_phase:?}")]
    WrongPhase {
        /// Position of the match.
        index: usize,
        /// Where it is.
        phase: MatchPhase,
        /// What the chances were made for.
        chances_phase: MatchPhase,
    },
    /// The same match twice.
    #[error("match {index} is there twice")]
    DuplicateMatch {
        /// Position of the second one.
        index: usize,
    },
    /// Its chances or positions cannot be used.
    #[error("match {index} cannot be valued")]
    Match {
        /// Position of the match.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: ScenarioError,
    },
    /// A number is out of range.
    #[error("{name} is out of range")]
    InvalidNumber {
        /// Name of the field.
        name: &'static str,
    },
    /// A sum does not fit 64 bits.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

/// What the book risks, and the trades that bring it inside its limits.
///
/// Example: 58 on a home win with a capital of 200 is 29 % in one match: sell until a fifth is left.
///
/// # Errors
/// [`PortfolioRefusal`] when a match cannot be valued or a number is out of range.
pub fn epl_portfolio(
    capital: Money,
    matches: &[MatchHoldings<'_>],
    rules: &PortfolioRules,
) -> Result<PortfolioReport, PortfolioRefusal> {
    let book = valued(matches, rules)?;
    let mut report = PortfolioReport {
        matches: Vec::with_capacity(matches.len()),
        teams: Vec::new(),
        by_outcome: [Money::ZERO; 3],
        risk_95: risk(&book, Confidence::P95)?,
        risk_99: risk(&book, Confidence::P99)?,
        intents: Vec::new(),
    };
    let mut teams: BTreeMap<&str, [Money; 2]> = BTreeMap::new();
    for holdings in matches {
        let pnl = pnl_of(&holdings.positions)?;
        let at_risk = holdings.at_risk()?;
        for (sum, position) in report.by_outcome.iter_mut().zip(&holdings.positions) {
            *sum = sum.plus(paid_for(position)?)?;
        }
        for (team, [wins, loses]) in holdings.teams.into_iter().zip([[pnl[0], pnl[2]], [pnl[2], pnl[0]]]) {
            let sums = teams.entry(team).or_default();
            *sums = [sums[0].plus(wins)?, sums[1].plus(loses)?];
        }
        let share_ppm = share_ppm(at_risk, capital);
        report.matches.push(MatchExposure { id: holdings.id.clone(), at_risk, share_ppm, pnl });
    }
    let exposure = |(team, [if_it_wins, if_it_loses]): (&str, [Money; 2])| TeamExposure {
        team: team.to_owned(),
        if_it_wins,
        if_it_loses,
    };
    report.teams = teams.into_iter().map(exposure).collect();
    report.intents = hedge::hedges(capital, matches, book, rules)?;
    Ok(report)
}

/// The holdings that are larger than their edge is worth, as reduce-only sales.
///
/// A holding is kept up to `multiplier x (p - b) / (1 - b) x capital / b` contracts, with `b` what a sale would bring
/// after the fee: measured from the price it could be sold for, not the one it was bought at, so that there is room
/// between buying and selling in which nothing is done.
///
/// # Errors
/// [`PortfolioRefusal`] when a match cannot be valued or a number is out of range.
pub fn rebalance(
    capital: Money,
    matches: &[MatchHoldings<'_>],
    rules: &PortfolioRules,
) -> Result<Vec<TradeIntent>, PortfolioRefusal> {
    valued(matches, rules)?;
    Ok(matches.iter().flat_map(|holdings| surplus::surplus(capital, holdings, rules)).collect())
}

impl MatchHoldings<'_> {
    /// What was paid for everything held of the match.
    fn at_risk(&self) -> Result<Money, Overflow> {
        self.positions.iter().try_fold(Money::ZERO, |sum, position| sum.plus(paid_for(position)?))
    }

    fn outcomes(&self, pnl: [Money; 3]) -> [OutcomePnl; 3] {
        let [home, draw, away] = self.chances;
        let [first, second, third] = pnl;
        [(home, first), (draw, second), (away, third)].map(|(probability, pnl)| OutcomePnl { probability, pnl })
    }

    /// The book of an outcome, if it can be traded on.
    fn book(&self, outcome: Outcome, rules: &PortfolioRules) -> Option<TopOfBook> {
        outcome.of(&self.books)?.checked(rules.age_ms_max).ok()
    }
}

/// Checks everything and puts it into a book of scenarios.
fn valued(matches: &[MatchHoldings<'_>], rules: &PortfolioRules) -> Result<ScenarioBook, PortfolioRefusal> {
    let shares = [("match_share_max_ppm", rules.match_share_max_ppm), ("shortfall_max_ppm", rules.shortfall_max_ppm)];
    if let Some((name, _)) = shares.into_iter().find(|(_, ppm)| !(0..=ONE).contains(ppm)) {
        return Err(PortfolioRefusal::InvalidNumber { name });
    }
    if !(0.0..=1.0).contains(&rules.kelly_multiplier) {
        return Err(PortfolioRefusal::InvalidNumber { name: "kelly_multiplier" });
    }
    let mut book = ScenarioBook::default();
    let mut seen = BTreeMap::new();
    for (index, holdings) in matches.iter().enumerate() {
        let (phase, chances_phase) = (holdings.phase, holdings.chances_phase);
        if phase != chances_phase {
            return Err(PortfolioRefusal::WrongPhase { index, phase, chances_phase });
        }
        if !(0.0..1.0).contains(&holdings.fee_rate) {
            return Err(PortfolioRefusal::InvalidNumber { name: "fee_rate" });
        }
        if holdings.lot.micros() <= 0 {
            return Err(PortfolioRefusal::InvalidNumber { name: "lot" });
        }
        if seen.insert(&holdings.id, index).is_some() {
            return Err(PortfolioRefusal::DuplicateMatch { index });
        }
        let outcomes = holdings.outcomes(pnl_of(&holdings.positions)?);
        book.put(holdings.id.clone(), &outcomes).map_err(|source| PortfolioRefusal::Match { index, source })?;
    }
    Ok(book)
}

fn pnl_of(positions: &[Position; 3]) -> Result<[Money; 3], Overflow> {
    let pnls = outcome_pnls(positions)?;
    <[Money; 3]>::try_from(pnls.as_slice()).map_err(|_| Overflow)
}

/// The cost of a prediction does not depend on its mark.
fn paid_for(position: &Position) -> Result<Money, Overflow> {
    exposure(position, SettlementStyle::Prediction, Price::ZERO)
}

fn share_ppm(part: Money, capital: Money) -> Option<i64> {
    part.scaled(ONE, capital.micros(), Rounding::Up).ok().map(Money::micros)
}

/// An empty book has no risk figures, which is no error.
fn risk(book: &ScenarioBook, confidence: Confidence) -> Result<Option<ScenarioRisk>, PortfolioRefusal> {
    if *book == ScenarioBook::default() {
        return Ok(None);
    }
    // Of a book with matches only sums that do not fit have no figures.
    book.risk(confidence).map(Some).map_err(|_| PortfolioRefusal::Overflow(Overflow))
}

#[cfg(test)]
mod tests;
