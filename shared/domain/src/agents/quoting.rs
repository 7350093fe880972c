//! tradingAgent, style market maker, between two looks: how large is a lot, which of its own quotes does an agent take
//! out of the book, which does it put there, and for how long?
//!
//! The prices are those of [`super::market_maker`]. An agent quotes one side of a contract at most once in a slot of its
//! timeframe, so an order is known by agent, contract, slot and side. With a new slot every quote of the old one is taken
//! out, and only when all of them are gone is anything put in: so the quotes in the book and what is held together never
//! pass the limit. Within a slot a quote stays where it is unless it has become more generous than the model allows.

use super::count::{count_to_f64, floor_to_count, units_of};
use super::market_maker::{MarketMakerRules, QuoteSide, TwoSided};
use crate::id::MatchId;
use crate::market::Timeframe;
use crate::money::{ONE, Price, Quantity};
use crate::order::Side;

/// A quote of the agent that is in the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnQuote {
    /// Which way.
    pub side: Side,
    /// At which price.
    pub price: Price,
    /// Whether it was made in the slot that is now.
    pub is_of_slot: bool,
}

/// A quote that the agent wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedQuote {
    /// Which way.
    pub side: Side,
    /// At which price.
    pub price: Price,
    /// Whole contracts, above 0.
    pub contracts: Quantity,
}

/// What an agent without a place in its pool may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// Everything.
    Placed,
    /// Only close what is held.
    Benched,
}

/// What is done at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// These, by their place in the list, go; nothing is put in before they are gone.
    Withdraw(Vec<usize>),
    /// These are put in; none when everything stands as it should.
    Place(Vec<WantedQuote>),
}

/// Whether something that is named so may be about a match: it names the match, a contract of it, or the beginning of
/// either.
///
/// ```
/// use tragen_domain::{agents::quoting::may_be_of, id::MatchId};
/// let game = MatchId::new("EPL-2026-ARS-MCI")?;
/// assert!(["EPL-2026", "EPL-2026-ARS-MCI", "EPL-2026-ARS-MCI-HOME"].iter().all(|own| may_be_of(own, &game)));
/// assert!(["EPL-2025", "GBPUSD"].iter().all(|own| !may_be_of(own, &game)));
/// # Ok::<(), tragen_domain::id::IdError>(())
/// ```
#[must_use]
pub fn may_be_of(named: &str, game: &MatchId) -> bool {
    game.as_str().starts_with(named) || named.starts_with(game.as_str())
}

/// Contracts in one lot: a full inventory may lose what one trade of the agent may, so a lot is the capital times the
/// risk of a trade, over the lots of a full inventory. At least one contract.
///
/// Example: 0.95 % of 10,000 over 20 lots is 4 contracts of at most 1 each.
#[must_use]
pub fn lot(capital: f64, risk_per_trade: f64, rules: &MarketMakerRules) -> u64 {
    floor_to_count(capital * risk_per_trade / rules.max_inventory).max(1)
}

/// What is held, in lots, negative when short.
#[must_use]
pub fn inventory(position: Quantity, lot: u64) -> f64 {
    units_of(position.micros()) / count_to_f64(usize::try_from(lot).unwrap_or(usize::MAX))
}

/// The model's quotes in whole contracts; a side of less than one contract is none. Who has no place only quotes what
/// brings its position closer to nothing, and no more of it than there is.
#[must_use]
pub fn wanted(quoted: &TwoSided, lot: u64, position: Quantity, seat: Seat) -> Vec<WantedQuote> {
    let sides = [(Side::Buy, quoted.bid), (Side::Sell, quoted.ask)];
    let sized = sides.into_iter().filter_map(|(side, quote)| {
        let QuoteSide { price, size } = quote.ok()?;
        let contracts = floor_to_count(size * count_to_f64(usize::try_from(lot).ok()?));
        let contracts = Quantity::from_micros(i64::try_from(contracts).ok()?.checked_mul(ONE)?);
        let contracts = match seat {
            Seat::Placed => contracts,
            Seat::Benched => contracts.min(closes(side, position)),
        };
        (contracts > Quantity::ZERO).then_some(WantedQuote { side, price, contracts })
    });
    sized.collect()
}

/// Whole contracts of a position that trading on `side` can close.
fn closes(side: Side, position: Quantity) -> Quantity {
    let open = match side {
        Side::Buy => position.micros().saturating_neg(),
        Side::Sell => position.micros(),
    };
    Quantity::from_micros(open.max(0)).floor_to(Quantity::from_micros(ONE))
}

/// What is done about the quotes in the book when `wanted` is what should be there.
#[must_use]
pub fn revise(own: &[OwnQuote], wanted: &[WantedQuote]) -> Revision {
    let stays = |quote: &OwnQuote| {
        let same_side = wanted.iter().find(|wanted| wanted.side == quote.side);
        quote.is_of_slot && same_side.is_some_and(|wanted| !is_more_generous(quote, wanted))
    };
    let withdrawn: Vec<usize> = own.iter().enumerate().filter(|(_, quote)| !stays(quote)).map(|(at, _)| at).collect();
    if !withdrawn.is_empty() {
        return Revision::Withdraw(withdrawn);
    }
    let is_missing = |wanted: &&WantedQuote| own.iter().all(|quote| quote.side != wanted.side);
    Revision::Place(wanted.iter().filter(is_missing).copied().collect())
}

/// Whether it pays more, or asks for less, than what is wanted now.
fn is_more_generous(quote: &OwnQuote, wanted: &WantedQuote) -> bool {
    match quote.side {
        Side::Buy => quote.price > wanted.price,
        Side::Sell => quote.price < wanted.price,
    }
}

/// Milliseconds that a quote stays in the book if nobody looks after it: two slots, and never so close to the kick-off
/// that quotes must be gone.
#[must_use]
pub fn life_ms(timeframe: Timeframe, kick_off_in_ms: Option<i64>, rules: &MarketMakerRules) -> i64 {
    let slots = 2 * timeframe.seconds() * 1_000;
    kick_off_in_ms.map_or(slots, |in_ms| slots.min(in_ms.saturating_sub(rules.kick_off_ms)))
}

#[cfg(test)]
mod tests {
    use super::super::market_maker::{QuotedMarket, SideReason, quote};
    use super::super::scout::MatchPhase;
    use super::super::top_of_book::{Offer, TopOfBook};
    use super::*;

    fn contracts(whole: i64) -> Quantity {
        Quantity::from_micros(whole * ONE)
    }

    fn cents(price: i64) -> Price {
        Price::from_micros(price * 10_000)
    }

    fn quoted(inventory: f64) -> TwoSided {
        let offer = |price| Some(Offer { price, size: 100.0 });
        let market = QuotedMarket {
            fair: 0.5,
            fair_phase: MatchPhase::PreMatch,
            phase: MatchPhase::PreMatch,
            kick_off_in_ms: None,
            last_event: None,
            inventory,
            book: TopOfBook { bid: offer(0.30), ask: offer(0.70), age_ms: 0 },
            tick: cents(1),
        };
        quote(&market, &MarketMakerRules::default()).expect("quoted")
    }

    #[test]
    fn a_lot_is_a_part_of_what_may_be_lost_and_never_nothing() {
        let rules = MarketMakerRules::default();
        let check =
            |capital: f64, risk: f64, expected: u64| assert_eq!(lot(capital, risk, &rules), expected, "{capital}");
        check(10_000.0, 0.009_5, 4);
        check(100_000.0, 0.009_5, 47);
        check(100.0, 0.009_5, 1);
        check(-1.0, 0.009_5, 1);
        check(f64::NAN, 0.009_5, 1);
        assert!((inventory(contracts(-6), 4) + 1.5).abs() < 1e-12);
    }

    #[test]
    fn quotes_are_whole_contracts_and_never_pass_the_inventory_limit() {
        let check = |lots: f64, lot: u64, expected: &[(Side, i64)]| {
            let wanted = wanted(&quoted(lots), lot, Quantity::ZERO, Seat::Placed);
            let told: Vec<_> = wanted.iter().map(|own| (own.side, own.contracts.micros() / ONE)).collect();
            assert_eq!(told, expected, "{lots} lots of {lot}");
        };
        check(0.0, 4, &[(Side::Buy, 4), (Side::Sell, 4)]);
        check(19.0, 4, &[(Side::Buy, 4), (Side::Sell, 4)]);
        // Half a lot is left to the limit, and less than a contract is nothing.
        check(19.5, 4, &[(Side::Buy, 2), (Side::Sell, 4)]);
        check(19.9, 4, &[(Side::Sell, 4)]);
        check(20.0, 4, &[(Side::Sell, 4)]);
        check(-20.0, 4, &[(Side::Buy, 4)]);
        assert!(matches!(quoted(20.0).bid, Err(SideReason::InventoryLimit { .. })));
    }

    #[test]
    fn without_a_place_only_what_is_held_is_quoted_away() {
        let check = |held: i64, expected: &[(Side, i64)]| {
            let wanted = wanted(&quoted(0.0), 4, contracts(held), Seat::Benched);
            let told: Vec<_> = wanted.iter().map(|own| (own.side, own.contracts.micros() / ONE)).collect();
            assert_eq!(told, expected, "{held}");
        };
        check(0, &[]);
        check(3, &[(Side::Sell, 3)]);
        check(9, &[(Side::Sell, 4)]);
        check(-3, &[(Side::Buy, 3)]);
    }

    #[test]
    fn old_quotes_go_first_and_a_quote_of_the_slot_goes_only_when_it_gives_too_much() {
        let own = |side, price, is_of_slot| OwnQuote { side, price: cents(price), is_of_slot };
        let wants = |side, price| WantedQuote { side, price: cents(price), contracts: contracts(4) };
        let (bid, ask) = (wants(Side::Buy, 48), wants(Side::Sell, 52));
        let check = |own: &[OwnQuote], wanted: &[WantedQuote], expected: Revision| {
            assert_eq!(revise(own, wanted), expected, "{own:?} {wanted:?}");
        };
        let (go, place) = (Revision::Withdraw, Revision::Place);
        check(&[], &[bid, ask], place(vec![bid, ask]));
        check(&[], &[], place(vec![]));
        // Of the slot: as wanted, more careful than wanted, more generous than wanted, not wanted.
        check(&[own(Side::Buy, 48, true)], &[bid, ask], place(vec![ask]));
        check(&[own(Side::Buy, 47, true), own(Side::Sell, 53, true)], &[bid, ask], place(vec![]));
        check(&[own(Side::Buy, 49, true), own(Side::Sell, 52, true)], &[bid, ask], go(vec![0]));
        check(&[own(Side::Buy, 48, true), own(Side::Sell, 51, true)], &[bid, ask], go(vec![1]));
        check(&[own(Side::Buy, 48, true), own(Side::Sell, 52, true)], &[bid], go(vec![1]));
        check(&[own(Side::Buy, 48, true), own(Side::Sell, 52, true)], &[], go(vec![0, 1]));
        // Of another slot: always, and nothing is put in before.
        check(&[own(Side::Buy, 48, false)], &[bid, ask], go(vec![0]));
        check(&[own(Side::Buy, 48, false), own(Side::Sell, 52, true)], &[bid, ask], go(vec![0]));
    }

    #[test]
    fn nobody_looks_after_a_quote_for_ever() {
        let rules = MarketMakerRules::default();
        let check = |timeframe, kick_off_in_ms, expected: i64| {
            assert_eq!(life_ms(timeframe, kick_off_in_ms, &rules), expected, "{kick_off_in_ms:?}");
        };
        check(Timeframe::Minute1, None, 120_000);
        check(Timeframe::Hour1, Some(7_260_000), 7_200_000);
        check(Timeframe::Hour1, Some(7_259_999), 7_199_999);
        check(Timeframe::Minute1, Some(60_000), 0);
        check(Timeframe::Minute1, Some(i64::MIN), i64::MIN);
    }
}
