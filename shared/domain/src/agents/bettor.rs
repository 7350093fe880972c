//! Configured agents that bet on matches: which matches are theirs, how often they may bet on one, and how much. A
//! mandate and a backtest stake by the same rule.

use super::scout::Opportunity;
use super::sizing::{Mandate, MandateSize, SizingError, mandate_contracts};
use crate::id::MatchId;
use crate::market::Timeframe;
use crate::time::Timestamp;

/// The money behind a bet, in the currency of the contract.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Purse {
    /// What the stake is a share of.
    pub capital: f64,
    /// Available balance of the account that pays.
    pub wallet: f64,
    /// What may be spent on the bet in all.
    pub budget: f64,
}

/// Whether a match is the agent's: it names beginnings of match ids, or none for every match.
///
/// ```
/// use tragen_domain::{agents::bettor::is_wanted, id::MatchId};
/// let game = MatchId::new("EPL-2026-ARS-MCI")?;
/// assert!(is_wanted(["EPL-2025", "EPL-2026"].into_iter(), &game) && is_wanted(std::iter::empty(), &game));
/// assert!(!is_wanted(["EPL-2025"].into_iter(), &game));
/// # Ok::<(), tragen_domain::id::IdError>(())
/// ```
#[must_use]
pub fn is_wanted<'a>(beginnings: impl Iterator<Item = &'a str>, game: &MatchId) -> bool {
    let mut beginnings = beginnings.peekable();
    beginnings.peek().is_none() || beginnings.any(|beginning| game.as_str().starts_with(beginning))
}

/// The beginning of the slot that a moment of market time is in. An agent bets on a match at most once in a slot of its
/// timeframe, so an order is known by agent, match and slot, whoever makes it.
#[must_use]
pub fn slot(timeframe: Timeframe, at: Timestamp) -> Timestamp {
    let length = timeframe.seconds() * 1_000_000;
    Timestamp::from_micros(at.micros().div_euclid(length).saturating_mul(length))
}

/// Whole contracts to buy when `share` of the capital is worth staking.
///
/// # Errors
/// [`SizingError`] when a number is not usable.
pub fn bet_size(found: &Opportunity, share: f64, purse: &Purse) -> Result<MandateSize, SizingError> {
    mandate_contracts(&Mandate {
        kelly_fraction: share,
        capital: purse.capital,
        wallet: purse.wallet,
        budget: purse.budget,
        ask: found.ask,
        fee: found.priced.fee,
        ask_size: found.ask_size,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fair_line::Outcome;
    use super::super::kelly::price_edge;
    use super::super::sizing::SizeLimit;
    use super::*;

    #[test]
    fn a_slot_begins_with_a_multiple_of_the_timeframe() {
        let check = |timeframe: Timeframe, seconds: i64, expected: i64| {
            let at = Timestamp::from_micros(seconds * 1_000_000 + 1);
            assert_eq!(slot(timeframe, at).micros(), expected * 1_000_000, "{timeframe:?} {seconds}");
        };
        check(Timeframe::Day1, 86_400, 86_400);
        check(Timeframe::Day1, 2 * 86_400 - 1, 86_400);
        check(Timeframe::Minute1, 119, 60);
        check(Timeframe::Hour1, -1, -3_600);
    }

    #[test]
    fn a_bet_is_as_large_as_the_edge_the_purse_and_the_offer_allow() {
        let priced = price_edge(0.5, 0.45, 0.03).expect("priced");
        let found = Opportunity {
            outcome: Outcome::Home,
            fair_probability: 0.5,
            ask: 0.45,
            ask_size: 500.0,
            priced,
            liquidity_score: 1.0,
            expected_closing_line_value: 0.0,
            age_ms: None,
        };
        let check = |capital: f64, budget: f64, ask_size: f64, contracts: u64, limited_by: SizeLimit| {
            let purse = Purse { capital, wallet: 1_000.0, budget };
            let size = bet_size(&Opportunity { ask_size, ..found }, 0.02, &purse);
            assert_eq!(size, Ok(MandateSize { contracts, limited_by }), "{capital} {budget} {ask_size}");
        };
        // 20 of 1,000 at 0.4574 with the fee; a part of the pool's capital is staked by that part.
        check(1_000.0, 1_000.0, 500.0, 43, SizeLimit::Kelly);
        check(500.0, 500.0, 500.0, 21, SizeLimit::Kelly);
        check(1_000.0, 10.0, 500.0, 21, SizeLimit::Budget);
        check(10_000.0, 10_000.0, 500.0, 109, SizeLimit::WalletShare);
        check(1_000.0, 1_000.0, 5.0, 5, SizeLimit::AskSize);
        assert!(bet_size(&found, f64::NAN, &Purse { capital: 1.0, wallet: 1.0, budget: 1.0 }).is_err());
    }
}
