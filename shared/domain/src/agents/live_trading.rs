//! liveTradingAgent: keep, leave or hedge what is held of a match in play.
//!
//! The chances come from [`super::inplay`]; a match that has not kicked off is refused, as the pre-match agents refuse
//! one in play. What is held is left when the market pays more than it is worth (take profit), when its chance has
//! fallen too far below its cost (stop), and always when the score or the quotes are stale. For 15 s after a goal, a red
//! card or a video check nothing is done: prices are moving, and those who saw it first are on the other side. No wallet,
//! no user and no clock: ages come in as milliseconds.

use super::fair_line::Outcome;
use super::inplay::{GoalRates, InPlayError, InPlayModel, MatchState};
use super::scout::MatchPhase;
use super::top_of_book::{Offer, QuoteFault, TopOfBook};

/// What makes prices jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LiveEvent {
    /// A goal.
    Goal,
    /// A player is sent off.
    RedCard,
    /// The referee looks at the video, or a goal was taken back.
    VideoCheck,
    /// The market was suspended and has come back.
    Suspension,
}

/// Contracts held on one outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    /// How many, above 0.
    pub contracts: f64,
    /// What one cost with its fee, 0 to 1.
    pub cost: f64,
}

/// A match in play as the agent sees it. Arrays are home, draw, away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveView {
    /// Where the match is.
    pub phase: MatchPhase,
    /// Goals that the closing odds expected; see [`super::implied_goals`].
    pub rates: GoalRates,
    /// Score, minute and cards.
    pub state: MatchState,
    /// Milliseconds since the score feed last spoke.
    pub score_age_ms: i64,
    /// The last event that makes prices jump and milliseconds since it; None before the first.
    pub last_event: Option<(LiveEvent, i64)>,
    /// The books of the three YES contracts; None where the venue has none.
    pub books: [Option<TopOfBook>; 3],
    /// What is held of each.
    pub held: [Option<Held>; 3],
}

/// How a holding may be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaysOut {
    /// By selling it only.
    SellOnly,
    /// Also by buying the other outcomes, where that keeps more.
    SellOrHedge,
}

/// The numbers of the rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveRules {
    /// Take profit when a sale brings at least this more than the chance, in price (0.02 = 2 cents).
    pub edge_exit: f64,
    /// Stop when the chance is below the cost by more than this, in price.
    pub stop: f64,
    /// The venue's taker fee rate, see [`super::kelly::fee_per_share`].
    pub fee_rate: f64,
    /// Older scores and quotes are stale, milliseconds.
    pub age_ms_max: i64,
    /// Nothing is done for so long after an event, milliseconds.
    pub freeze_ms: i64,
    /// How a holding may be left.
    pub ways: WaysOut,
}

impl Default for LiveRules {
    /// 2 cents of edge, a stop 15 cents below cost, Polymarket's sports fee, 5 s, 15 s, every way.
    fn default() -> Self {
        Self {
            edge_exit: 0.02,
            stop: 0.15,
            fee_rate: 0.03,
            age_ms_max: 5_000,
            freeze_ms: 15_000,
            ways: WaysOut::SellOrHedge,
        }
    }
}

/// Why a holding is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LeaveReason {
    /// The market pays more than it is worth.
    TakeProfit {
        /// What a sale brings after the fee, per contract.
        proceeds: f64,
        /// Our chance.
        chance: f64,
    },
    /// Its chance fell below cost - stop.
    Stop {
        /// Our chance.
        chance: f64,
        /// What it must not fall below.
        floor: f64,
    },
    /// The score feed is silent: the chance is not known any more.
    StaleScore {
        /// How old the score is, milliseconds.
        age_ms: i64,
    },
    /// The book is silent or broken: what the holding is worth is not known any more.
    UnusableBook(QuoteFault),
    /// The venue shows no book.
    NoBook,
}

/// Why a holding is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeepReason {
    /// There is nothing to leave.
    NothingHeld,
    /// As much of both other outcomes is held: together they pay 1 for certain, so nothing depends on the match.
    Covered,
    /// An event has just happened.
    Frozen {
        /// Which.
        event: LiveEvent,
        /// Milliseconds until anything is done again.
        left_ms: i64,
    },
    /// Neither rule applies.
    WithinBand {
        /// Our chance.
        chance: f64,
        /// What a sale would bring after the fee; None without a bid.
        proceeds: Option<f64>,
    },
    /// It should be left, but nobody bids and the other outcomes are not offered.
    NoWayOut(LeaveReason),
}

/// One outcome to buy against a holding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HedgeLeg {
    /// What to buy.
    pub outcome: Outcome,
    /// The highest price to pay.
    pub limit: f64,
}

/// What to do with the holding of one outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LiveDecision {
    /// Nothing.
    Keep(KeepReason),
    /// Sell, reduce-only.
    Exit {
        /// Why.
        reason: LeaveReason,
        /// Contracts to sell now; the rest waits for the next look.
        contracts: f64,
        /// The lowest price to take; None when no quote can be trusted: at market, inside the gate's collar.
        limit: Option<f64>,
    },
    /// Buy both other outcomes: the three together pay 1 for certain, and it costs less than selling would lose.
    Hedge {
        /// Why.
        reason: LeaveReason,
        /// Contracts to buy of each leg.
        contracts: f64,
        /// What to buy.
        legs: [HedgeLeg; 2],
        /// What the holding is worth then, per contract, after fees.
        locked: f64,
    },
}

/// What the agent says about a match in play.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveReport {
    /// Chances of home, draw and away at the final whistle.
    pub chances: [f64; 3],
    /// One decision per outcome: home, draw, away.
    pub decisions: [LiveDecision; 3],
}

/// Why a match is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum LiveRefusal {
    /// Before the kick-off the bookmakers know more than this model.
    #[error("the match has not kicked off: the in-play model does not price it")]
    NotStarted,
    /// There is nothing left to happen; what is held is paid out.
    #[error("the match is finished")]
    Finished,
    /// The model cannot read the match.
    #[error("the match cannot be priced")]
    Unpriceable(#[source] InPlayError),
    /// A holding or a rule is out of range.
    #[error("{name} is {value}, out of range")]
    InvalidNumber {
        /// Name of the field.
        name: &'static str,
        /// The value as given.
        value: f64,
    },
}

/// Chances of a match in play, and what to do with what is held of it.
///
/// Example: 100 home contracts bought at 0.50 with the score 1-0 after an hour are worth 0.78; a bid of 0.83 brings
/// 0.8258 after the fee, which is more than 0.02 above: sell.
///
/// # Errors
/// [`LiveRefusal`] when the match is not in play or a number is out of range.
pub fn live_trading(model: &InPlayModel, view: &LiveView, rules: &LiveRules) -> Result<LiveReport, LiveRefusal> {
    match view.phase {
        MatchPhase::PreMatch => return Err(LiveRefusal::NotStarted),
        MatchPhase::Finished => return Err(LiveRefusal::Finished),
        MatchPhase::InPlay => {}
    }
    check_rules(rules)?;
    view.held.iter().flatten().try_for_each(check_held)?;
    let chances = model.chances(view.rates, &view.state).map_err(LiveRefusal::Unpriceable)?;
    let desk = Desk { view, rules, books: view.books.map(|book| book.map(|book| book.checked(rules.age_ms_max))) };
    let sets = full_sets(&view.held);
    let decisions = Outcome::ALL.map(|outcome| match outcome.of(&view.held) {
        Some(held) if held.contracts > sets => {
            let open = Held { contracts: held.contracts - sets, ..held };
            desk.decide(outcome, open, outcome.of(&chances))
        }
        Some(_) => LiveDecision::Keep(KeepReason::Covered),
        None => LiveDecision::Keep(KeepReason::NothingHeld),
    });
    Ok(LiveReport { chances, decisions })
}

/// Sets of all three outcomes that are held: what a hedge has made, or a scanner has bought.
fn full_sets(held: &[Option<Held>; 3]) -> f64 {
    held.iter().map(|held| held.map_or(0.0, |held| held.contracts)).fold(f64::INFINITY, f64::min)
}

/// A view with its books looked at.
struct Desk<'a> {
    view: &'a LiveView,
    rules: &'a LiveRules,
    books: [Option<Result<TopOfBook, QuoteFault>>; 3],
}

impl Desk<'_> {
    fn decide(&self, outcome: Outcome, held: Held, chance: f64) -> LiveDecision {
        if let Some(frozen) = self.frozen() {
            return LiveDecision::Keep(frozen);
        }
        let bid = self.book(outcome).and_then(|book| book.bid);
        let proceeds = bid.map(|bid| bid.proceeds(self.rules.fee_rate));
        match self.leave_reason(outcome, held, chance, proceeds) {
            Some(reason) => self.leave(outcome, held, reason),
            None => LiveDecision::Keep(KeepReason::WithinBand { chance, proceeds }),
        }
    }

    /// An event in the future (two clocks) counts as one of now. A feed that is silent stops the clock of the match, and no
    /// freeze: what is over by the age of the score is over.
    fn frozen(&self) -> Option<KeepReason> {
        let (event, since_ms) = self.view.last_event?;
        let score_age_ms = self.view.score_age_ms;
        let silent_ms = if score_age_ms > self.rules.age_ms_max { score_age_ms } else { 0 };
        let left_ms = self.rules.freeze_ms.saturating_sub(since_ms.max(0).saturating_add(silent_ms));
        (left_ms > 0).then_some(KeepReason::Frozen { event, left_ms })
    }

    fn leave_reason(&self, outcome: Outcome, held: Held, chance: f64, proceeds: Option<f64>) -> Option<LeaveReason> {
        if self.view.score_age_ms > self.rules.age_ms_max {
            return Some(LeaveReason::StaleScore { age_ms: self.view.score_age_ms });
        }
        match outcome.of(&self.books) {
            None => return Some(LeaveReason::NoBook),
            Some(Err(fault)) => return Some(LeaveReason::UnusableBook(fault)),
            Some(Ok(_)) => {}
        }
        let floor = held.cost - self.rules.stop;
        if chance < floor {
            return Some(LeaveReason::Stop { chance, floor });
        }
        let proceeds = proceeds.filter(|proceeds| *proceeds >= chance + self.rules.edge_exit)?;
        Some(LeaveReason::TakeProfit { proceeds, chance })
    }

    /// The better of selling and hedging, after fees.
    fn leave(&self, outcome: Outcome, held: Held, reason: LeaveReason) -> LiveDecision {
        let rate = self.rules.fee_rate;
        let bid = self.book(outcome).and_then(|book| book.bid);
        let others = match self.rules.ways {
            WaysOut::SellOnly => None,
            WaysOut::SellOrHedge => self.others(outcome),
        };
        let locked = others.map(|legs| 1.0 - legs.iter().map(|(_, ask)| ask.cost(rate)).sum::<f64>());
        match (bid, others, locked) {
            (bid, Some(legs), Some(locked)) if bid.is_none_or(|bid| locked > bid.proceeds(rate)) && locked > 0.0 => {
                let contracts = legs.iter().map(|(_, ask)| ask.size).fold(held.contracts, f64::min);
                let legs = legs.map(|(outcome, ask)| HedgeLeg { outcome, limit: ask.price });
                LiveDecision::Hedge { reason, contracts, legs, locked }
            }
            (Some(bid), _, _) => {
                LiveDecision::Exit { reason, contracts: held.contracts.min(bid.size), limit: Some(bid.price) }
            }
            // With a stale score every book may be stale as well.
            (None, _, _) if self.book(outcome).is_none() => {
                LiveDecision::Exit { reason, contracts: held.contracts, limit: None }
            }
            (None, _, _) => LiveDecision::Keep(KeepReason::NoWayOut(reason)),
        }
    }

    /// The asks of the two other outcomes, if both can be bought.
    fn others(&self, outcome: Outcome) -> Option<[(Outcome, Offer); 2]> {
        let ask = |other: Outcome| Some((other, self.book(other)?.ask?));
        let [first, second] = match outcome {
            Outcome::Home => [Outcome::Draw, Outcome::Away],
            Outcome::Draw => [Outcome::Home, Outcome::Away],
            Outcome::Away => [Outcome::Home, Outcome::Draw],
        };
        Some([ask(first)?, ask(second)?])
    }

    fn book(&self, outcome: Outcome) -> Option<TopOfBook> {
        outcome.of(&self.books).and_then(Result::ok)
    }
}

fn check_rules(rules: &LiveRules) -> Result<(), LiveRefusal> {
    let shares = [("edge_exit", rules.edge_exit), ("stop", rules.stop), ("fee_rate", rules.fee_rate)];
    match shares.into_iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
        Some((name, value)) => Err(LiveRefusal::InvalidNumber { name, value }),
        None => Ok(()),
    }
}

fn check_held(held: &Held) -> Result<(), LiveRefusal> {
    if !(held.contracts.is_finite() && held.contracts > 0.0) {
        return Err(LiveRefusal::InvalidNumber { name: "contracts", value: held.contracts });
    }
    if !(0.0..=1.0).contains(&held.cost) {
        return Err(LiveRefusal::InvalidNumber { name: "cost", value: held.cost });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
