//! eplTradingAgent, waiting for its price: which bid should a configured agent have in the book of a contract now?
//!
//! An agent bids for one outcome of a match, the one with the most to expect, and only where no ask is worth taking: an
//! ask that is worth it is taken instead ([`super::bettor`]). It bids for nothing once its account holds or has ordered
//! some of the match, because a match is bet on once. The bid is the model's ([`super::epl_trading`]); how it is put in,
//! replaced and taken out is that of all quotes ([`super::quoting`]).

use super::bettor::{Involvement, Purse};
use super::epl_trading::{Entry, EplTradingReport, REST_TTL_SECS, TradeIntent};
use super::fair_line::Outcome;
use super::market_maker::MarketMakerRules;
use super::quoting::{Seat, WantedQuote, life_ms};
use super::scout::MatchPhase;
use super::sizing::{Mandate, mandate_contracts};
use crate::market::Timeframe;
use crate::money::{ONE, Quantity};

/// A bid is as large as the stake allows; nobody offers anything that could limit it.
const CONTRACTS_MAX: f64 = 1e9;

/// What decides whether an agent bids.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waiting {
    /// Where the match is.
    pub phase: MatchPhase,
    /// Until the kick-off, market time; None where nobody has said when it is.
    pub kick_off_in_ms: Option<i64>,
    /// What the account has to do with the match, beside the bid itself.
    pub involvement: Involvement,
    /// Whether its pool has a place for the agent.
    pub seat: Seat,
    /// The money.
    pub purse: Purse,
}

/// The bid that should be in the book of the contract on `outcome` now; None where there should be none.
///
/// Example: what is fair at 0.494 is bid for at 0.44, five cents below on the venue's grid. With a quarter of Kelly that
/// is 2.4 % of the capital: of 1,000 there are 54 contracts.
#[must_use]
pub fn resting_bid(report: &EplTradingReport, outcome: Outcome, waiting: &Waiting) -> Option<WantedQuote> {
    let is_open = waiting.phase == MatchPhase::PreMatch
        && waiting.kick_off_in_ms.is_none_or(|in_ms| in_ms > MarketMakerRules::default().kick_off_ms)
        && waiting.involvement == Involvement::None
        && waiting.seat == Seat::Placed;
    // Whatever is worth taking comes first.
    let best = report.intents.first().filter(|_| is_open)?;
    let TradeIntent { entry: Entry::Rest, side, limit, cost, max_fraction, .. } = *best else { return None };
    if best.outcome != outcome {
        return None;
    }
    let Purse { capital, wallet, budget } = waiting.purse;
    // Makers pay no fee.
    let stake =
        Mandate { kelly_fraction: max_fraction, capital, wallet, budget, ask: cost, fee: 0.0, ask_size: CONTRACTS_MAX };
    let contracts = i64::try_from(mandate_contracts(&stake).ok()?.contracts).ok()?.checked_mul(ONE)?;
    let contracts = Quantity::from_micros(contracts);
    (contracts > Quantity::ZERO).then_some(WantedQuote { side, price: limit, contracts })
}

/// The stretch in which an agent of `timeframe` bids at most once: a bid that soon ends by itself is put in again sooner.
#[must_use]
pub fn bid_frame(timeframe: Timeframe) -> Timeframe {
    timeframe.min(Timeframe::Minute5)
}

/// Milliseconds that a bid stays in the book if nobody looks after it: as a quote, and never longer than the
/// probabilities behind it are worth something ([`REST_TTL_SECS`]).
#[must_use]
pub fn bid_life_ms(timeframe: Timeframe, kick_off_in_ms: Option<i64>) -> i64 {
    life_ms(bid_frame(timeframe), kick_off_in_ms, &MarketMakerRules::default()).min(i64::from(REST_TTL_SECS) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::super::consensus::SHARP_WEIGHT;
    use super::super::epl_trading::{EplTradingRules, epl_trading};
    use super::super::fair_line::Book;
    use super::super::scout::{MatchView, Quote};
    use super::*;
    use crate::money::Price;
    use crate::order::Side;

    /// 49.4 % home, 27.3 % draw, 23.3 % away.
    fn report(home_ask: f64) -> EplTradingReport {
        let books = [Book { bookmaker: "Pinnacle".to_owned(), weight: SHARP_WEIGHT, odds: [2.00, 3.60, 4.20] }];
        let quote = |ask: f64| Some(Quote { ask, ask_size: 500.0, bid: None, age_ms: Some(10) });
        let quotes = [quote(home_ask), quote(0.28), quote(0.24)];
        let view = MatchView { phase: MatchPhase::PreMatch, books: &books, quotes };
        epl_trading(&view, None, &EplTradingRules::default()).expect("priced")
    }

    fn waiting() -> Waiting {
        Waiting {
            phase: MatchPhase::PreMatch,
            kick_off_in_ms: Some(3_600_000),
            involvement: Involvement::None,
            seat: Seat::Placed,
            purse: Purse { capital: 1_000.0, wallet: 1_000.0, budget: 1_000.0 },
        }
    }

    /// The outcomes that are bid for, as price in cents and contracts.
    fn bids(home_ask: f64, waiting: &Waiting) -> Vec<(Outcome, i64, i64)> {
        let report = report(home_ask);
        let bid = |outcome| {
            let WantedQuote { side, price, contracts } = resting_bid(&report, outcome, waiting)?;
            assert_eq!(side, Side::Buy);
            Some((outcome, price.micros() / 10_000, contracts.micros() / ONE))
        };
        Outcome::ALL.into_iter().filter_map(bid).collect()
    }

    #[test]
    fn one_outcome_is_bid_for_unless_an_ask_is_worth_taking() {
        // The away win: 18 cents for 23.3 is the most for the money.
        let best = report(0.48).intents[0];
        assert_eq!((best.entry, best.limit), (Entry::Rest, Price::from_micros(180_000)));
        assert_eq!(bids(0.48, &waiting()), [(Outcome::Away, 18, 90)]);
        assert_eq!(report(0.46).intents[0].entry, Entry::Take);
        assert_eq!(bids(0.46, &waiting()), []);
    }

    #[test]
    fn nobody_bids_in_play_shortly_before_it_or_twice() {
        let check = |waiting: Waiting, is_bidding: bool| {
            assert_eq!(!bids(0.48, &waiting).is_empty(), is_bidding, "{waiting:?}");
        };
        check(Waiting { kick_off_in_ms: None, ..waiting() }, true);
        check(Waiting { kick_off_in_ms: Some(60_001), ..waiting() }, true);
        check(Waiting { kick_off_in_ms: Some(60_000), ..waiting() }, false);
        check(Waiting { kick_off_in_ms: Some(-1), ..waiting() }, false);
        for phase in [MatchPhase::InPlay, MatchPhase::Finished] {
            check(Waiting { phase, ..waiting() }, false);
        }
        for involvement in [Involvement::Holds, Involvement::Ordered, Involvement::OnItsWay] {
            check(Waiting { involvement, ..waiting() }, false);
        }
        check(Waiting { seat: Seat::Benched, ..waiting() }, false);
    }

    #[test]
    fn a_bid_is_as_large_as_the_stake_and_the_money_allow() {
        let check = |purse: Purse, contracts: &[i64]| {
            let bids = bids(0.48, &Waiting { purse, ..waiting() });
            assert_eq!(bids.iter().map(|bid| bid.2).collect::<Vec<_>>(), contracts, "{purse:?}");
        };
        let purse = waiting().purse;
        check(Purse { capital: 500.0, ..purse }, &[45]);
        check(Purse { wallet: 100.0, ..purse }, &[27]);
        check(Purse { budget: 1.0, ..purse }, &[5]);
        check(Purse { budget: 0.17, ..purse }, &[]);
        check(Purse { capital: f64::NAN, ..purse }, &[]);
    }

    #[test]
    fn a_bid_outlives_neither_its_slots_nor_its_probabilities_nor_the_kick_off() {
        let check = |timeframe, kick_off_in_ms, expected: i64| {
            assert_eq!(bid_life_ms(timeframe, kick_off_in_ms), expected, "{kick_off_in_ms:?}");
        };
        check(Timeframe::Minute1, None, 120_000);
        check(Timeframe::Minute5, None, 300_000);
        check(Timeframe::Day1, None, 300_000);
        check(Timeframe::Day1, Some(360_000), 300_000);
        check(Timeframe::Day1, Some(359_999), 299_999);
        // It is put in again as soon as it has ended.
        assert_eq!(
            [Timeframe::Minute1, Timeframe::Minute5, Timeframe::Day1].map(bid_frame),
            [Timeframe::Minute1, Timeframe::Minute5, Timeframe::Minute5]
        );
    }
}
