//! eplTradingAgent: buys an outcome whose ask leaves the minimum edge, and bids for it where no ask does.
//!
//! Fair is the consensus of the bookmakers, moved a little towards the model: on two held-out seasons a weight of 0.1 to
//! 0.2 was best in one and 0 in the other, and a model alone lost in every one of 24 backtests. So without a consensus it
//! does not trade. The edge is after ask and fee; what a user can afford is decided afterwards (`sizing`).
//!
//! Sources: consensus betting, Kaunitz, Zhong and Kreiner (2017); the stake, Kelly (1956). The log-odds pool is the
//! weighted mean of log-odds (`consensus`).

use super::consensus::{ConsensusError, logit_pool};
use super::count::floor_to_count;
use super::devig::DevigMethod;
use super::fair_line::{DroppedBook, FairLineError, Outcome, fair_line};
use super::kelly::stake_fraction;
use super::scout::{MatchPhase, MatchView, Quote, ScoutRules, SkipReason, judge};
use super::sizing::MAX_WALLET_SHARE;
use crate::money::Price;
use crate::order::Side;

/// How long an order that takes an ask may travel before the ask is no longer what was judged, seconds.
pub const TAKE_TTL_SECS: u32 = 5;
/// How long a bid may rest before the probabilities behind it are too old, seconds.
pub const REST_TTL_SECS: u32 = 300;

/// The numbers of the agent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EplTradingRules {
    /// How margins are removed.
    pub method: DevigMethod,
    /// Weight of the model against the consensus, 0 to 1.
    pub model_weight: f64,
    /// The venue's taker fee rate; makers pay nothing.
    pub fee_rate: f64,
    /// Smallest edge per cost that is taken, basis points; a bid stays as far below fair, in hundredths of a cent.
    pub min_edge_bps: u32,
    /// A larger edge is a data fault, basis points.
    pub max_edge_bps: u32,
    /// Share of full Kelly.
    pub kelly_multiplier: f64,
    /// Multiples in which the venue quotes.
    pub tick: Price,
}

impl Default for EplTradingRules {
    /// Shin, a tenth model, Polymarket's sports fee, 5 % to 15 %, a quarter of Kelly, cents.
    fn default() -> Self {
        Self {
            method: DevigMethod::Shin,
            model_weight: 0.1,
            fee_rate: 0.03,
            min_edge_bps: 500,
            max_edge_bps: 1_500,
            kelly_multiplier: 0.25,
            tick: Price::from_micros(10_000),
        }
    }
}

/// How an order enters the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Takes what is offered at the limit at once and leaves nothing (IOC).
    Take,
    /// Rests at the limit until canceled, and never takes (GTC, post-only).
    Rest,
}

/// An order worth making, without its size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TradeIntent {
    /// The contract: YES on this outcome.
    pub outcome: Outcome,
    /// Always a purchase.
    pub side: Side,
    /// How it enters.
    pub entry: Entry,
    /// Price at worst.
    pub limit: Price,
    /// Our probability.
    pub fair_probability: f64,
    /// What a contract costs with its fee.
    pub cost: f64,
    /// Expected return on the cost.
    pub edge_ratio: f64,
    /// Share of the capital to stake at most.
    pub max_fraction: f64,
    /// The order is worth nothing after so many seconds.
    pub ttl_secs: u32,
}

/// Why there is no order for an outcome.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoIntent {
    /// The quote is broken or too good to be true.
    #[error("the quote is not traded on")]
    Quote(#[source] SkipReason),
    /// Fair minus the minimum edge is less than one tick.
    #[error("a bid of {bid} is below one tick")]
    BidBelowTick {
        /// Fair minus the minimum edge.
        bid: f64,
    },
    /// The bid would take an ask whose fee eats the edge.
    #[error("a bid of {bid} would take the ask {ask}")]
    WouldTake {
        /// The bid.
        bid: f64,
        /// The ask.
        ask: f64,
    },
}

/// What the agent found. Every outcome is in exactly one of the two lists.
#[derive(Debug, Clone, PartialEq)]
pub struct EplTradingReport {
    /// What the bookmakers believe.
    pub consensus: [f64; 3],
    /// The model's probabilities, if it had any.
    pub model: Option<[f64; 3]>,
    /// The pool of both: what the orders are judged by.
    pub fair: [f64; 3],
    /// How many books the consensus rests on.
    pub books_used: usize,
    /// The books left out.
    pub dropped_books: Vec<DroppedBook>,
    /// Orders that take an ask first, then by expected return.
    pub intents: Vec<TradeIntent>,
    /// The outcomes without an order.
    pub skipped: Vec<(Outcome, NoIntent)>,
}

/// Why nothing is traded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EplTradingRefusal {
    /// Pre-match probabilities say nothing once the ball rolls.
    #[error("the match is in play and pre-match probabilities do not price it")]
    InPlay,
    /// There is nothing left to bet on.
    #[error("the match is finished")]
    Finished,
    /// Without the bookmakers it does not trade: the model alone loses.
    #[error("there is no fair line")]
    NoFairLine(#[source] FairLineError),
    /// The model's probabilities or weight are out of range.
    #[error("model and consensus cannot be pooled")]
    NoPool(#[source] ConsensusError),
    /// A rule is out of range.
    #[error("the rule {name} is out of range")]
    InvalidRule {
        /// The field.
        name: &'static str,
    },
}

/// Decides what to order in a match that has not begun; `model` are probabilities of home, draw and away.
///
/// Example: fair 0.494 and an ask of 0.46 (cost 0.4675) are an edge of 5.7 % and taken; at an ask of 0.48 it bids 0.44,
/// five cents below fair on the venue's grid.
///
/// # Errors
/// [`EplTradingRefusal`].
pub fn epl_trading(
    view: &MatchView<'_>,
    model: Option<[f64; 3]>,
    rules: &EplTradingRules,
) -> Result<EplTradingReport, EplTradingRefusal> {
    match view.phase {
        MatchPhase::PreMatch => {}
        MatchPhase::InPlay => return Err(EplTradingRefusal::InPlay),
        MatchPhase::Finished => return Err(EplTradingRefusal::Finished),
    }
    check_rules(rules)?;
    let line = fair_line(view.books, rules.method).map_err(EplTradingRefusal::NoFairLine)?;
    let consensus = line.probabilities;
    let pool = |model| logit_pool(&model, &consensus, rules.model_weight).map_err(EplTradingRefusal::NoPool);
    let fair = model.map_or(Ok(consensus), pool)?;
    let (intents, skipped) = orders(&fair, &view.quotes, rules);
    let (books_used, dropped_books) = (line.books_used, line.dropped);
    Ok(EplTradingReport { consensus, model, fair, books_used, dropped_books, intents, skipped })
}

/// The orders at these probabilities, those that take an ask first, and the outcomes without one; also for agents that
/// come to their probabilities another way.
pub(super) fn orders(
    fair: &[f64; 3],
    quotes: &[Option<Quote>; 3],
    rules: &EplTradingRules,
) -> (Vec<TradeIntent>, Vec<(Outcome, NoIntent)>) {
    let (mut intents, mut skipped) = (Vec::with_capacity(3), Vec::with_capacity(3));
    for outcome in Outcome::ALL {
        match intent(outcome, outcome.of(fair), outcome.of(quotes), rules) {
            Ok(intent) => intents.push(intent),
            Err(reason) => skipped.push((outcome, reason)),
        }
    }
    let is_resting = |intent: &TradeIntent| intent.entry == Entry::Rest;
    intents.sort_by(|a, b| is_resting(a).cmp(&is_resting(b)).then(b.edge_ratio.total_cmp(&a.edge_ratio)));
    (intents, skipped)
}

pub(super) fn check_rules(rules: &EplTradingRules) -> Result<(), EplTradingRefusal> {
    let limits = [
        ("model_weight", (0.0..=1.0).contains(&rules.model_weight)),
        ("fee_rate", (0.0..1.0).contains(&rules.fee_rate)),
        ("kelly_multiplier", (0.0..=1.0).contains(&rules.kelly_multiplier)),
        ("min_edge_bps", (1..10_000).contains(&rules.min_edge_bps)),
        ("tick", (1..1_000_000).contains(&rules.tick.micros())),
    ];
    let bad = limits.into_iter().find(|(_, is_in_range)| !is_in_range);
    bad.map_or(Ok(()), |(name, _)| Err(EplTradingRefusal::InvalidRule { name }))
}

fn intent(outcome: Outcome, p: f64, quote: Option<Quote>, rules: &EplTradingRules) -> Result<TradeIntent, NoIntent> {
    let scout = ScoutRules {
        method: rules.method,
        fee_rate: rules.fee_rate,
        min_edge_bps: rules.min_edge_bps,
        max_edge_bps: rules.max_edge_bps,
        ..ScoutRules::default()
    };
    match judge(outcome, p, quote, &scout) {
        // Nobody sells below the smallest price there is; a feed that says so is broken.
        Ok(found) if found.ask < 1e-6 => Err(NoIntent::BidBelowTick { bid: found.ask }),
        Ok(found) => Ok(TradeIntent {
            outcome,
            side: Side::Buy,
            entry: Entry::Take,
            limit: price_at_or_below(found.ask, Price::from_micros(1)),
            fair_probability: p,
            cost: found.priced.cost,
            edge_ratio: found.priced.edge_ratio,
            max_fraction: stake_fraction(found.priced.kelly, rules.kelly_multiplier, MAX_WALLET_SHARE),
            ttl_secs: TAKE_TTL_SECS,
        }),
        Err(SkipReason::NoQuote | SkipReason::EdgeBelowMinimum { .. }) => resting(outcome, p, quote, rules),
        Err(
            reason @ (SkipReason::InvalidSize { .. }
            | SkipReason::Crossed { .. }
            | SkipReason::Stale { .. }
            | SkipReason::Unpriceable(_)
            | SkipReason::EdgeImplausible { .. }),
        ) => Err(NoIntent::Quote(reason)),
    }
}

/// A bid at fair minus the minimum edge, rounded down to the tick.
fn resting(outcome: Outcome, p: f64, quote: Option<Quote>, rules: &EplTradingRules) -> Result<TradeIntent, NoIntent> {
    let wanted = p - f64::from(rules.min_edge_bps) / 10_000.0;
    let limit = price_at_or_below(wanted, rules.tick);
    if limit.micros() == 0 {
        return Err(NoIntent::BidBelowTick { bid: wanted });
    }
    let cost = micros_to_f64(limit);
    if let Some(ask) = quote.map(|quote| quote.ask).filter(|ask| *ask <= cost) {
        return Err(NoIntent::WouldTake { bid: cost, ask });
    }
    Ok(TradeIntent {
        outcome,
        side: Side::Buy,
        entry: Entry::Rest,
        limit,
        fair_probability: p,
        cost,
        edge_ratio: (p - cost) / cost,
        max_fraction: stake_fraction((p - cost) / (1.0 - cost), rules.kelly_multiplier, MAX_WALLET_SHARE),
        ttl_secs: REST_TTL_SECS,
    })
}

/// The highest multiple of the tick at or below a price in units; 0 for a price below one tick.
fn price_at_or_below(price: f64, tick: Price) -> Price {
    let micros = i64::try_from(floor_to_count(price * 1e6)).unwrap_or(0);
    Price::from_micros(micros - micros.rem_euclid(tick.micros()))
}

fn micros_to_f64(price: Price) -> f64 {
    i32::try_from(price.micros()).map_or(f64::NAN, f64::from) / 1e6
}

#[cfg(test)]
mod tests;
