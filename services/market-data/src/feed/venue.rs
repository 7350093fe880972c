//! The simulated venue's quotes: what it believes, rounded away from the taker
//! to its grid, with the sizes that real books of such markets show.

use crate::{catalog::Listing, number};
use tragen_domain::{
    id::InstrumentId,
    market::Level,
    money::{ONE, Price, Quantity},
};

/// Prices of predictions are whole cents.
const CENT: i64 = 10_000;

/// Added to each side before rounding to cents, 1e-6: makes the three asks of
/// a match sum to 1.018 on average (1.0175 was measured on a real venue).
const MARGIN_BEFORE: i64 = 1_000;
/// The same while a match is being played.
const MARGIN_IN_PLAY: i64 = 6_000;

/// Contracts at the best price.
const CONTRACTS: (u32, u32) = (300, 6_000);

/// When a prediction is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before kick-off: narrow and deep.
    Before,
    /// While it is being played: wide and thin.
    InPlay,
}

/// Bid and ask of a contract that pays with `probability`.
#[must_use]
pub fn prediction(id: &InstrumentId, probability: f64, phase: Phase) -> (Option<Level>, Option<Level>) {
    let fair = number::nearest(probability * 1e6).clamp(0, ONE);
    let (margin, thinness) = match phase {
        Phase::Before => (MARGIN_BEFORE, 1),
        Phase::InPlay => (MARGIN_IN_PLAY, 4),
    };
    let bid = (fair - margin).div_euclid(CENT) * CENT;
    let ask = -(-(fair + margin)).div_euclid(CENT) * CENT;
    let level = |side: &str, price: i64| {
        let contracts = depth(id.as_str(), side, price, CONTRACTS) / thinness;
        let quantity = Quantity::from_micros(contracts * ONE);
        (CENT..ONE).contains(&price).then_some(Level { price: Price::from_micros(price), quantity })
    };
    (level("bid", bid), level("ask", ask))
}

/// Bid and ask of anything else, on its grid and at least one tick apart.
pub(crate) fn two_sided(listing: &Listing, bid: Price, ask: Price) -> (Option<Level>, Option<Level>) {
    let instrument = &listing.instrument;
    let tick = instrument.tick.micros();
    let bid = bid.micros().div_euclid(tick) * tick;
    let ask = (-(-ask.micros()).div_euclid(tick) * tick).max(bid + tick);
    let level = |side: &str, price: i64| {
        let lots = depth(instrument.id.as_str(), side, price, listing.depth_lots);
        let quantity = Quantity::from_micros(lots * instrument.lot.micros());
        (price > 0).then_some(Level { price: Price::from_micros(price), quantity })
    };
    (level("bid", bid), level("ask", ask))
}

/// A size between the bounds that looks random and is always the same for the same price.
fn depth(id: &str, side: &str, price: i64, (least, most): (u32, u32)) -> i64 {
    // FNV-1a.
    let bytes = id.bytes().chain(side.bytes()).chain(price.to_le_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let range = u64::from(most - least) + 1;
    i64::from(least) + i64::try_from((hash >> 16) % range).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    fn id(text: &str) -> InstrumentId {
        InstrumentId::new(text).expect("an id")
    }

    fn check(probability: f64, phase: Phase, bid: Option<i64>, ask: Option<i64>) {
        let (b, a) = prediction(&id("M-HOME"), probability, phase);
        assert_eq!(b.map(|l| l.price.micros()), bid, "bid of {probability}");
        assert_eq!(a.map(|l| l.price.micros()), ask, "ask of {probability}");
        for level in [b, a].into_iter().flatten() {
            assert!(level.quantity.micros() % ONE == 0 && level.quantity.micros() >= 75 * ONE, "{level:?}");
        }
    }

    #[test]
    fn predictions_are_quoted_in_cents_around_their_probability() {
        check(0.455, Phase::Before, Some(450_000), Some(460_000));
        check(0.4595, Phase::Before, Some(450_000), Some(470_000));
        check(0.455, Phase::InPlay, Some(440_000), Some(470_000));
        check(0.004, Phase::Before, None, Some(10_000));
        check(0.999, Phase::Before, Some(990_000), None);
        check(1.0, Phase::InPlay, Some(990_000), None);
        check(f64::NAN, Phase::Before, None, Some(10_000));
    }

    #[test]
    fn other_quotes_are_on_the_grid_and_never_locked() {
        let gbp = catalog::listing(&id("GBPUSD")).expect("a listing");
        let price = |text: &str| text.parse::<Price>().expect("a price");
        let (bid, ask) = two_sided(&gbp, price("1.575765"), price("1.575765"));
        assert_eq!(bid.map(|l| l.price), Some(price("1.57576")));
        assert_eq!(ask.map(|l| l.price), Some(price("1.57577")));
        let (bid, ask) = two_sided(&gbp, price("1.57"), price("1.57"));
        assert!(bid.zip(ask).is_some_and(|(bid, ask)| bid.price < ask.price));
    }
}
