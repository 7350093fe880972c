//! Configured agents that bet on matches: which matches are theirs, how often they may bet on one, who of them bets at
//! one look, and how much. A mandate and a backtest stake by the same rule.

use super::scout::Opportunity;
use super::sizing::{Mandate, MandateSize, SizingError, mandate_contracts};
use crate::id::{AccountId, MatchId};
use crate::market::Timeframe;
use crate::money::Quantity;
use crate::time::Timestamp;
use std::collections::BTreeSet;

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

/// What an account has to do with a match already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Involvement {
    /// Nothing.
    None,
    /// It holds contracts on the match, long or short, booked or not.
    Holds,
    /// It holds none, but an order of it is open.
    Ordered,
    /// An order of it is on its way, and nobody has said yet what became of it.
    OnItsWay,
}

impl Involvement {
    /// Out of what is known: the contracts held on each outcome, open orders on any of them, and until when an order
    /// that was sent may still be decided.
    #[must_use]
    pub fn of(held: impl IntoIterator<Item = Quantity>, open_orders: usize, on_its_way: OnItsWay) -> Self {
        if held.into_iter().any(|quantity| !quantity.is_zero()) {
            Self::Holds
        } else if open_orders > 0 {
            Self::Ordered
        } else if on_its_way.may_be_decided() {
            Self::OnItsWay
        } else {
            Self::None
        }
    }
}

/// The last order that was sent for an account, as its sender remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnItsWay {
    /// The guard decides it no later; None where nothing was sent.
    pub valid_until: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

impl OnItsWay {
    /// Whether its outcome may still be to come. After that it is an order that the guard knows, or it is nothing.
    #[must_use]
    pub fn may_be_decided(self) -> bool {
        self.valid_until.is_some_and(|valid_until| self.now <= valid_until)
    }
}

/// An agent that would bet at this look.
#[derive(Debug, Clone, Copy)]
pub struct Bettor<'a, A> {
    /// Which.
    pub agent: A,
    /// Who pays.
    pub account: &'a AccountId,
    /// What the account has of the match.
    pub involvement: Involvement,
    /// What it would buy.
    pub found: &'a Opportunity,
    /// Share of the capital that is worth staking on it.
    pub share: f64,
    /// The money.
    pub purse: Purse,
}

/// Who bets at one look, with how many contracts: one bet for each account, by the first of its agents that can afford
/// one, and none for an account that has something to do with the match already.
#[must_use]
pub fn bets<'a, A>(bettors: impl IntoIterator<Item = Bettor<'a, A>>) -> Vec<(A, MandateSize)> {
    let mut betting: BTreeSet<&AccountId> = BTreeSet::new();
    let mut bets = Vec::new();
    for bettor in bettors {
        if bettor.involvement != Involvement::None || betting.contains(bettor.account) {
            continue;
        }
        let size = bet_size(bettor.found, bettor.share, &bettor.purse);
        if let Some(size) = size.ok().filter(|size| size.contracts > 0) {
            betting.insert(bettor.account);
            bets.push((bettor.agent, size));
        }
    }
    bets
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

    fn found(ask_size: f64) -> Opportunity {
        Opportunity {
            outcome: Outcome::Home,
            fair_probability: 0.5,
            ask: 0.45,
            ask_size,
            priced: price_edge(0.5, 0.45, 0.03).expect("priced"),
            liquidity_score: 1.0,
            expected_closing_line_value: 0.0,
            age_ms: None,
        }
    }

    #[test]
    fn whoever_holds_has_ordered_or_waits_has_something_to_do_with_a_match() {
        let now = Timestamp::from_micros(1_000_000);
        let check = |held: &[i64], open_orders: usize, valid_until: Option<i64>, expected: Involvement| {
            let held = held.iter().map(|micros| Quantity::from_micros(*micros));
            let on_its_way = OnItsWay { valid_until: valid_until.map(Timestamp::from_micros), now };
            assert_eq!(Involvement::of(held, open_orders, on_its_way), expected, "{open_orders} {valid_until:?}");
        };
        check(&[], 0, None, Involvement::None);
        check(&[0, 0, 0], 0, None, Involvement::None);
        check(&[0, 0, 1], 0, None, Involvement::Holds);
        check(&[-1, 0, 0], 3, None, Involvement::Holds);
        check(&[0], 1, None, Involvement::Ordered);
        check(&[], 0, Some(1_000_001), Involvement::OnItsWay);
        check(&[], 0, Some(1_000_000), Involvement::OnItsWay);
        check(&[], 0, Some(999_999), Involvement::None);
        check(&[0], 1, Some(1_000_001), Involvement::Ordered);
    }

    #[test]
    fn one_account_bets_once_at_a_look_by_the_first_agent_that_can() {
        let [one, two] = ["one", "two"].map(|id| AccountId::new(id).expect("an id"));
        let found = found(500.0);
        let bettor = |agent: &'static str, account, involvement, capital: f64| Bettor {
            agent,
            account,
            involvement,
            found: &found,
            share: 0.02,
            purse: Purse { capital, wallet: capital, budget: capital },
        };
        let check = |bettors: &[Bettor<'_, &'static str>], expected: &[(&str, u64)]| {
            let placed: Vec<_> =
                bets(bettors.iter().copied()).into_iter().map(|(agent, size)| (agent, size.contracts)).collect();
            assert_eq!(placed, expected);
        };
        let free = Involvement::None;
        check(&[], &[]);
        check(&[bettor("a", &one, free, 1_000.0), bettor("b", &one, free, 1_000.0)], &[("a", 43)]);
        check(&[bettor("a", &one, free, 1_000.0), bettor("b", &two, free, 500.0)], &[("a", 43), ("b", 21)]);
        // The first one cannot pay for a contract, so the second one bets for the account.
        check(&[bettor("a", &one, free, 1.0), bettor("b", &one, free, 1_000.0)], &[("b", 43)]);
        for busy in [Involvement::Holds, Involvement::Ordered, Involvement::OnItsWay] {
            check(&[bettor("a", &one, busy, 1_000.0), bettor("b", &two, free, 500.0)], &[("b", 21)]);
        }
        check(&[bettor("a", &one, free, f64::NAN), bettor("b", &two, free, 500.0)], &[("b", 21)]);
    }

    #[test]
    fn a_bet_is_as_large_as_the_edge_the_purse_and_the_offer_allow() {
        let found = found(500.0);
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
