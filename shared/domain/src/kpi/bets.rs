//! What agents have bought of a match before its kick-off, kept from facts until the closing line says what it was
//! worth. All that one agent bought of one outcome is one bet: buyers of the same outcome win and lose together, so
//! counting each of their trades would make luck look like skill.

use crate::{
    cost::AgentName,
    id::AgentId,
    instrument::Outcome,
    market::{Match, MatchStatus},
    money::{Money, Overflow, Price, Quantity, Rounding},
    order::{PLACED_BY_USER, Side, TradeStatus},
    time::Timestamp,
};
use std::collections::BTreeMap;

/// Whole units in micros.
const ONE: i64 = 1_000_000;

/// What the ledger tells of a trade, as far as it says whether an agent bet with it.
#[derive(Debug, Clone, Copy)]
pub struct TradeTold<'a> {
    /// How far it has come.
    pub status: TradeStatus,
    /// What was asked for.
    pub side: Side,
    /// What of it was filled.
    pub filled: Quantity,
    /// The shared agent that served it; empty for none.
    pub agent: &'a str,
    /// Why it was proposed.
    pub rationale: &'a str,
}

/// Who bought.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Buyer {
    /// The shared agent that decided.
    pub agent: AgentName,
    /// The configured agent it decided for; None for a user's mandate.
    pub configured: Option<AgentId>,
}

/// A trade that is over and has bought contracts on an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purchase {
    /// Contracts, > 0.
    pub quantity: Quantity,
    /// Mean price of a contract.
    pub average_price: Price,
    /// Fees of all of them.
    pub fee: Money,
    /// What the account holds after it, signed.
    pub held_after: Quantity,
    /// When it was committed, wall clock.
    pub at: Timestamp,
}

/// All that one agent has bought of one outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bought {
    /// How many trades.
    pub trades: u64,
    /// Contracts.
    pub quantity: Quantity,
    /// What they cost, fees included.
    pub paid: Money,
}

/// What is known of the kick-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The match has not begun.
    Ahead,
    /// It began at this time, wall clock.
    At(Timestamp),
    /// It has begun, nobody saw when.
    Unseen,
}

/// What became of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It counts.
    Counted,
    /// It was over after the kick-off, or nobody knows: the closing line does not judge it.
    NotBefore,
    /// It closed a position, at least in part: it is no bet.
    Closing,
}

/// The bets on one match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchBets {
    /// Kick-off in market time.
    pub kickoff: Timestamp,
    /// Whether it has been.
    pub begin: Begin,
    /// By buyer and outcome.
    pub bought: BTreeMap<(Buyer, Outcome), Bought>,
    /// Trades that were [`Placed::NotBefore`], by buyer.
    pub not_before: BTreeMap<Buyer, u64>,
}

impl TradeTold<'_> {
    /// Whether it is over, has bought something, and an agent has decided that: then it may be a bet, which
    /// [`MatchBets::take`] decides. A user's own order names the agent that carried it and says [`PLACED_BY_USER`].
    ///
    /// Example: a purchase by eplScoutAgent that was filled in part and whose rest was canceled is one; while it still
    /// works it is none yet, so no trade counts twice.
    #[must_use]
    pub fn is_purchase_by_agent(&self) -> bool {
        let is_bought = match self.side {
            Side::Buy => self.status.is_final() && self.filled > Quantity::ZERO,
            Side::Sell => false,
        };
        is_bought && !self.agent.is_empty() && self.rationale != PLACED_BY_USER
    }
}

impl Bought {
    /// Mean cost of a contract, fee included, rounded up; None of nothing.
    ///
    /// Example: 10 contracts for 4 and a fee of 0.05 cost 0.405 each.
    #[must_use]
    pub fn price(&self) -> Option<Price> {
        Price::from_micros(self.paid.micros()).scaled(ONE, self.quantity.micros(), Rounding::Up).ok()
    }
}

impl MatchBets {
    /// A match first heard of: when it has begun before that, nobody knows when.
    #[must_use]
    pub const fn heard_of(game: &Match) -> Self {
        let begin = match game.status {
            MatchStatus::Scheduled => Begin::Ahead,
            MatchStatus::InPlay | MatchStatus::Finished => Begin::Unseen,
        };
        Self { kickoff: game.kickoff, begin, bought: BTreeMap::new(), not_before: BTreeMap::new() }
    }

    /// Hears of the match again. Whether anything has changed.
    ///
    /// Only news of minute 0 says when the match began: whoever hears of a later one first has missed it.
    /// A match that has begun and is scheduled anew is another one under the same name (files that are played again):
    /// what was bought of the one before is dropped. One that is only put off keeps its bets.
    pub fn hear(&mut self, game: &Match) -> bool {
        let before = (self.kickoff, self.begin);
        match (self.begin, game.status) {
            (Begin::Ahead, MatchStatus::Scheduled) => self.kickoff = game.kickoff,
            (Begin::Ahead, MatchStatus::InPlay) if game.minute == 0 => self.begin = Begin::At(game.published_at),
            (Begin::Ahead, MatchStatus::InPlay | MatchStatus::Finished) => self.begin = Begin::Unseen,
            (Begin::At(_) | Begin::Unseen, MatchStatus::Scheduled) => *self = Self::heard_of(game),
            (Begin::At(_) | Begin::Unseen, MatchStatus::InPlay | MatchStatus::Finished) => {}
        }
        before != (self.kickoff, self.begin)
    }

    /// Counts a purchase.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed then.
    pub fn take(&mut self, buyer: &Buyer, outcome: Outcome, purchase: &Purchase) -> Result<Placed, Overflow> {
        if purchase.held_after < purchase.quantity {
            return Ok(Placed::Closing);
        }
        let is_before = match self.begin {
            Begin::Ahead => true,
            Begin::At(at) => purchase.at < at,
            Begin::Unseen => false,
        };
        if !is_before {
            *self.not_before.entry(buyer.clone()).or_default() += 1;
            return Ok(Placed::NotBefore);
        }
        let cost = purchase.average_price.times(purchase.quantity, Rounding::Up)?.plus(purchase.fee)?;
        let bought = self.bought.get(&(buyer.clone(), outcome)).copied().unwrap_or_default();
        let bought = Bought {
            trades: bought.trades.saturating_add(1),
            quantity: bought.quantity.plus(purchase.quantity)?,
            paid: bought.paid.plus(cost)?,
        };
        self.bought.insert((buyer.clone(), outcome), bought);
        Ok(Placed::Counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MatchId;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * ONE)
    }

    fn buyer(configured: Option<&str>) -> Buyer {
        Buyer {
            agent: AgentName::new("eplScoutAgent").expect("a name"),
            configured: configured.map(|id| AgentId::new(id).expect("an id")),
        }
    }

    fn purchase(quantity: i64, price_micros: i64, fee_micros: i64, seconds: i64) -> Purchase {
        Purchase {
            quantity: Quantity::from_micros(quantity * ONE),
            average_price: Price::from_micros(price_micros),
            fee: Money::from_micros(fee_micros),
            held_after: Quantity::from_micros(quantity * ONE),
            at: at(seconds),
        }
    }

    fn game(kickoff: i64, status: MatchStatus, minute: u8, published_at: i64) -> Match {
        Match {
            id: MatchId::new("EPL-2026-ARS-MCI").expect("an id"),
            home: "Arsenal".to_owned(),
            away: "Man City".to_owned(),
            kickoff: at(kickoff),
            status,
            minute,
            goals: (0, 0),
            reds: (0, 0),
            published_at: at(published_at),
        }
    }

    fn scheduled() -> MatchBets {
        MatchBets::heard_of(&game(1_000, MatchStatus::Scheduled, 0, 0))
    }

    #[test]
    fn only_what_an_agent_has_bought_may_be_a_bet() {
        let part = TradeTold {
            status: TradeStatus::PartiallyFilled,
            side: Side::Buy,
            filled: Quantity::from_micros(1),
            agent: "eplScoutAgent",
            rationale: "below the consensus",
        };
        let check = |told: TradeTold<'_>, expected: bool| assert_eq!(told.is_purchase_by_agent(), expected, "{told:?}");
        check(part, true);
        check(TradeTold { status: TradeStatus::Filled, rationale: "", ..part }, true);
        check(TradeTold { status: TradeStatus::Working, ..part }, false);
        check(TradeTold { status: TradeStatus::Pending, ..part }, false);
        check(TradeTold { status: TradeStatus::Canceled, filled: Quantity::ZERO, ..part }, false);
        check(TradeTold { filled: Quantity::from_micros(-1), ..part }, false);
        check(TradeTold { side: Side::Sell, ..part }, false);
        check(TradeTold { agent: "", ..part }, false);
        check(TradeTold { rationale: PLACED_BY_USER, ..part }, false);
    }

    #[test]
    fn all_of_one_outcome_is_one_bet_at_its_mean_cost() {
        let mut bets = scheduled();
        for own in [purchase(10, 400_000, 50_000, 1), purchase(30, 420_000, 150_000, 2)] {
            assert_eq!(bets.take(&buyer(None), Outcome::Home, &own), Ok(Placed::Counted));
        }
        bets.take(&buyer(Some("a")), Outcome::Home, &purchase(1, 300_000, 0, 3)).expect("fits");
        bets.take(&buyer(None), Outcome::Away, &purchase(3, 100_000, 1, 3)).expect("fits");
        let price = |own: &Bought| own.price().expect("bought").micros();
        let all: Vec<(bool, Outcome, u64, i64)> = bets
            .bought
            .iter()
            .map(|((buyer, outcome), own)| (buyer.configured.is_some(), *outcome, own.trades, price(own)))
            .collect();
        // (4 + 0.05 + 12.6 + 0.15) / 40 = 0.42; (0.3 + 0.000001) / 3, rounded up.
        let expected =
            [(false, Outcome::Home, 2, 420_000), (false, Outcome::Away, 1, 100_001), (true, Outcome::Home, 1, 300_000)];
        assert_eq!(all, expected);
        assert_eq!(Bought::default().price(), None);
    }

    #[test]
    fn only_what_was_over_before_the_kick_off_counts() {
        let check = |begin: Begin, seconds: i64, expected: Placed| {
            let mut bets = MatchBets { begin, ..scheduled() };
            let placed = bets.take(&buyer(None), Outcome::Draw, &purchase(1, 300_000, 0, seconds));
            assert_eq!(placed, Ok(expected), "{begin:?} {seconds}");
            let not_before = u64::from(expected == Placed::NotBefore);
            assert_eq!(bets.not_before.values().sum::<u64>(), not_before);
        };
        check(Begin::Ahead, 999_999, Placed::Counted);
        check(Begin::At(at(50)), 49, Placed::Counted);
        check(Begin::At(at(50)), 50, Placed::NotBefore);
        check(Begin::Unseen, 1, Placed::NotBefore);
    }

    #[test]
    fn a_purchase_that_closes_is_no_bet() {
        let mut bets = scheduled();
        for held_after in [-1, 0, 9] {
            let own = Purchase { held_after: Quantity::from_micros(held_after * ONE), ..purchase(10, 400_000, 0, 1) };
            assert_eq!(bets.take(&buyer(None), Outcome::Home, &own), Ok(Placed::Closing));
        }
        assert_eq!(bets, scheduled());
    }

    #[test]
    fn the_kick_off_is_when_it_was_first_seen() {
        use MatchStatus::{Finished, InPlay, Scheduled};
        let mut bets = scheduled();
        bets.take(&buyer(None), Outcome::Home, &purchase(1, 300_000, 0, 1)).expect("fits");
        assert!(bets.hear(&game(2_000, Scheduled, 0, 3)), "put off");
        assert_eq!((bets.kickoff, bets.bought.len()), (at(2_000), 1));
        assert!(!bets.hear(&game(2_000, Scheduled, 0, 4)));
        assert!(bets.hear(&game(2_000, InPlay, 0, 5)));
        assert!(!bets.hear(&game(2_000, InPlay, 1, 6)));
        assert!(!bets.hear(&game(2_000, Finished, 90, 7)));
        assert_eq!((bets.begin, bets.bought.len()), (Begin::At(at(5)), 1));
        assert!(bets.hear(&game(9_000, Scheduled, 0, 8)), "another one");
        assert_eq!((bets.kickoff, bets.begin, bets.bought.len()), (at(9_000), Begin::Ahead, 0));
    }

    #[test]
    fn a_kick_off_that_nobody_saw_has_no_time() {
        use MatchStatus::{Finished, InPlay};
        for missed in [game(1_000, InPlay, 1, 9), game(1_000, Finished, 90, 9)] {
            let mut bets = scheduled();
            assert!(bets.hear(&missed));
            assert_eq!(bets.begin, Begin::Unseen);
        }
        assert_eq!(MatchBets::heard_of(&game(1_000, InPlay, 0, 9)).begin, Begin::Unseen);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut bets = scheduled();
        bets.take(&buyer(None), Outcome::Home, &purchase(1, 300_000, i64::MAX - 300_000, 1)).expect("fits");
        let before = bets.clone();
        assert_eq!(bets.take(&buyer(None), Outcome::Home, &purchase(1, 1, 0, 1)), Err(Overflow));
        assert_eq!(bets, before);
    }
}
