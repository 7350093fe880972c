//! What is left of a stake after the advisor has spoken.
//!
//! Invariant: `0 <= stake <= the agent's stake`, whatever was answered. Market and side are not even in the result.

use super::super::consensus::{logit, sigmoid};
use super::super::kelly::{price_edge, stake_fraction};
use super::check::{CheckedOpinion, ShiftIgnored};
use super::facts::Direction;
use super::opinion::{Stance, Verdict};
use super::{AdvisorMode, SHIFT_MAX};

/// What the agent has decided, and how it came to its stake.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decided {
    /// Which way it trades.
    pub direction: Direction,
    /// Its probability of the outcome.
    pub p_model: f64,
    /// The price of the outcome, between 0 and 1.
    pub price: f64,
    /// The venue's taker fee rate.
    pub fee_rate: f64,
    /// Share of full Kelly that it stakes.
    pub kelly_multiplier: f64,
    /// Largest share of the capital that it stakes.
    pub stake_cap: f64,
    /// The share of the capital that it stakes.
    pub stake: f64,
}

/// Why a trade is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoTradeReason {
    /// The advisor says no.
    Vetoed,
    /// The advisor would trade the other way, or not at all.
    DirectionConflict,
    /// Somebody may be giving the advisor orders; a person must look.
    InjectionSuspected,
    /// At the lowered probability it is worth nothing.
    NothingLeft,
    /// The agent's own numbers make no sense.
    UnusableDecision,
}

/// What became of the agent's stake.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Staked {
    /// It stands: the advisor agrees or does not know.
    Unchanged,
    /// It stands: the shift does not count.
    ShiftIgnored(ShiftIgnored),
    /// It is smaller.
    Lowered {
        /// By how much the log-odds of what is bought were lowered, negative, at least `-`[`SHIFT_MAX`].
        shift: f64,
    },
    /// There is none.
    NoTrade(NoTradeReason),
}

/// The stake after the advisor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Applied {
    /// Share of the capital to stake: 0 up to the agent's stake.
    pub stake: f64,
    /// What became of it.
    pub staked: Staked,
}

/// Applies a checked answer to a decision. `mode` [`AdvisorMode::Off`] changes nothing.
///
/// Example: 0.61 against a price of 0.56 with fee rate 0.03 stakes 2.46 % at a quarter of Kelly. A shift of -0.15
/// makes 0.61 into 0.574 and the stake 0.37 %; a shift of +0.2 changes nothing, and -9 is taken as -0.25, at which
/// there is nothing left to stake.
#[must_use]
pub fn apply(mode: AdvisorMode, decided: &Decided, opinion: &CheckedOpinion) -> Applied {
    let is_usable = decided.stake.is_finite() && decided.stake >= 0.0;
    if !is_usable {
        return no_trade(NoTradeReason::UnusableDecision);
    }
    let unchanged = Applied { stake: decided.stake, staked: Staked::Unchanged };
    if mode == AdvisorMode::Off {
        return unchanged;
    }
    if opinion.suspects_injection() {
        return no_trade(NoTradeReason::InjectionSuspected);
    }
    if conflicts(decided.direction, opinion) {
        return no_trade(NoTradeReason::DirectionConflict);
    }
    match opinion.verdict() {
        Verdict::Veto => no_trade(NoTradeReason::Vetoed),
        Verdict::Abstain => unchanged,
        Verdict::Agree if mode < AdvisorMode::BoundedAdjust => unchanged,
        Verdict::Agree => match opinion.shift() {
            Err(why) => Applied { staked: Staked::ShiftIgnored(why), ..unchanged },
            Ok(shift) => shifted(decided, shift),
        },
    }
}

/// Whoever suspects that the question itself holds orders does not ask it.
#[must_use]
pub const fn stopped_by_suspicion() -> Applied {
    no_trade(NoTradeReason::InjectionSuspected)
}

const fn no_trade(reason: NoTradeReason) -> Applied {
    Applied { stake: 0.0, staked: Staked::NoTrade(reason) }
}

fn conflicts(direction: Direction, opinion: &CheckedOpinion) -> bool {
    match (direction, opinion.stance()) {
        (Direction::Buy, Stance::Buy) | (Direction::Sell, Stance::Sell) => false,
        (Direction::Buy, Stance::Sell) | (Direction::Sell, Stance::Buy) => true,
        // "I agree, do not trade" contradicts itself; "I do not know, so I hold" does not.
        (Direction::Buy | Direction::Sell, Stance::Hold) => opinion.verdict() == Verdict::Agree,
    }
}

fn shifted(decided: &Decided, shift: f64) -> Applied {
    let shift = shift.clamp(-SHIFT_MAX, SHIFT_MAX);
    // What is bought: the outcome, or its opposite.
    let (p, price, shift) = match decided.direction {
        Direction::Buy => (decided.p_model, decided.price, shift),
        Direction::Sell => (1.0 - decided.p_model, 1.0 - decided.price, -shift),
    };
    if shift >= 0.0 {
        return Applied { stake: decided.stake, staked: Staked::Unchanged };
    }
    let Ok(priced) = price_edge(sigmoid(logit(p) + shift), price, decided.fee_rate) else {
        return no_trade(NoTradeReason::UnusableDecision);
    };
    let stake = stake_fraction(priced.kelly, decided.kelly_multiplier, decided.stake_cap);
    if stake <= 0.0 {
        return no_trade(NoTradeReason::NothingLeft);
    }
    if stake < decided.stake {
        Applied { stake, staked: Staked::Lowered { shift } }
    } else {
        Applied { stake: decided.stake, staked: Staked::Unchanged }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::check;
    use super::super::facts::{Facts, Source, Trust};
    use super::super::opinion::{Effect, Evidence, Opinion, RiskFlag};
    use super::*;
    use crate::agents::plain_text::PlainText;

    const STAKE: f64 = 0.024_622_753_162_216_13;

    fn decided() -> Decided {
        Decided {
            direction: Direction::Buy,
            p_model: 0.61,
            price: 0.56,
            fee_rate: 0.03,
            kelly_multiplier: 0.25,
            stake_cap: 0.05,
            stake: STAKE,
        }
    }

    fn opinion(verdict: Verdict, stance: Stance, shift: f64) -> Opinion {
        let quote = Evidence { source_id: "s1".into(), quote: "a dry pitch".into(), effect: Effect::Neutral };
        Opinion {
            request_id: "q".into(),
            market_id: "m".into(),
            verdict,
            direction: stance,
            logit_shift: shift,
            confidence: 0.5,
            evidence: vec![quote],
            risk_flags: Vec::new(),
            rationale: String::new(),
        }
    }

    fn checked(opinion: &Opinion) -> CheckedOpinion {
        let text = PlainText::new("a dry pitch");
        let facts = Facts {
            request_id: "q".into(),
            market_id: "m".into(),
            agent: String::new(),
            direction: Direction::Buy,
            p_model: 0.61,
            price: 0.56,
            fee_rate: 0.03,
            entities: Vec::new(),
            sources: vec![Source { id: "s1".into(), trust: Trust::AllowListed, text }],
        };
        check(opinion, &facts).expect("sound")
    }

    #[test]
    fn the_stake_only_shrinks() {
        let check = |mode, answer: &Opinion, stake: f64, staked: Staked| {
            let applied = apply(mode, &decided(), &checked(answer));
            assert!((applied.stake - stake).abs() < 1e-12, "{answer:?}: {applied:?}");
            assert_eq!(applied.staked, staked, "{answer:?}");
        };
        let (veto_only, bounded) = (AdvisorMode::VetoOnly, AdvisorMode::BoundedAdjust);
        let agree = |shift| opinion(Verdict::Agree, Stance::Buy, shift);
        check(bounded, &agree(-0.15), 0.003_694_646_814_020_408, Staked::Lowered { shift: -0.15 });
        check(veto_only, &agree(-0.15), STAKE, Staked::Unchanged);
        check(AdvisorMode::Off, &opinion(Verdict::Veto, Stance::Hold, 0.0), STAKE, Staked::Unchanged);
        check(bounded, &agree(0.2), STAKE, Staked::Unchanged);
        check(bounded, &agree(-9.0), 0.0, Staked::NoTrade(NoTradeReason::NothingLeft));
        let no_trade = |answer: &Opinion, reason| check(veto_only, answer, 0.0, Staked::NoTrade(reason));
        no_trade(&opinion(Verdict::Veto, Stance::Buy, 0.0), NoTradeReason::Vetoed);
        no_trade(&opinion(Verdict::Agree, Stance::Sell, 0.0), NoTradeReason::DirectionConflict);
        no_trade(&opinion(Verdict::Agree, Stance::Hold, 0.0), NoTradeReason::DirectionConflict);
        check(veto_only, &opinion(Verdict::Abstain, Stance::Hold, 0.0), STAKE, Staked::Unchanged);
        let flagged = Opinion { risk_flags: vec![RiskFlag::InjectionSuspected], ..agree(0.0) };
        no_trade(&flagged, NoTradeReason::InjectionSuspected);
        let unproven = Opinion { evidence: Vec::new(), ..agree(-0.15) };
        check(bounded, &unproven, STAKE, Staked::ShiftIgnored(ShiftIgnored::NoEvidence));
    }

    #[test]
    fn a_sale_shrinks_when_the_outcome_becomes_likelier() {
        let sale = Decided { direction: Direction::Sell, p_model: 0.39, price: 0.44, ..decided() };
        let answer = |shift| checked(&opinion(Verdict::Agree, Stance::Sell, shift));
        let less = apply(AdvisorMode::BoundedAdjust, &sale, &answer(0.15));
        assert!((less.stake - 0.003_694_646_814_020_408).abs() < 1e-12, "{less:?}");
        assert!((apply(AdvisorMode::BoundedAdjust, &sale, &answer(-0.15)).stake - STAKE).abs() < 1e-15);
    }

    #[test]
    fn a_decision_that_makes_no_sense_stakes_nothing() {
        let answer = checked(&opinion(Verdict::Agree, Stance::Buy, -0.1));
        for (stake, p_model) in [(f64::NAN, 0.61), (-0.1, 0.61), (f64::INFINITY, 0.61), (0.01, f64::NAN)] {
            let applied = apply(AdvisorMode::BoundedAdjust, &Decided { stake, p_model, ..decided() }, &answer);
            assert_eq!(applied, no_trade(NoTradeReason::UnusableDecision), "{stake} {p_model}");
        }
    }
}
