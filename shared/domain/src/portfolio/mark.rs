//! The price at which something held is valued: what closing it would bring now.

use super::undefined::Undefined;
use crate::{
    instrument::SettlementStyle,
    market::{Level, Quote},
    money::{ONE, Price},
    order::Side,
    time::Timestamp,
};

/// After so long without news, a prediction nobody bids for is valued at its last or fair price, milliseconds.
pub const PREDICTION_QUIET_MS: i64 = 60_000;

/// What is known of the price of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PriceView {
    /// Best bid; `None` when nobody bids.
    pub bid: Option<Price>,
    /// Best ask; `None` when nobody offers.
    pub ask: Option<Price>,
    /// Price of the last trade, if any is known.
    pub last: Option<Price>,
    /// What a model says it is worth, if one does.
    pub fair: Option<Price>,
    /// Wall clock when bid and ask were published.
    pub published_at: Timestamp,
    /// How old bid and ask may be, milliseconds; predictions have [`PREDICTION_QUIET_MS`] instead.
    pub max_age_ms: i64,
}

impl PriceView {
    /// Bid and ask of a quote, without last and fair price.
    #[must_use]
    pub fn of(quote: &Quote, max_age_ms: i64) -> Self {
        let price = |level: Option<Level>| level.map(|level| level.price);
        let (bid, ask) = (price(quote.bid), price(quote.ask));
        Self { bid, ask, last: None, fair: None, published_at: quote.published_at, max_age_ms }
    }
}

/// The conservative mark of what `opened` (a buy is long, a sell is short): the bid
/// for longs, the ask for shorts, not older than the view allows.
///
/// A prediction always has one. While its quote is at most [`PREDICTION_QUIET_MS`]
/// old: the bid, or 0 when nobody bids. Later, silence says nothing about the bid,
/// so it is the lowest of what is known: old bid, last and fair price; 0 if nothing
/// is. A short holds the opposite outcome, so for it all of this is mirrored at 1.
///
/// ```
/// use tragen_domain::{instrument::SettlementStyle, money::Price, order::Side, portfolio::*, time::Timestamp};
/// let price = |text: &str| text.parse::<Price>().ok();
/// let now = Timestamp::from_micros(0);
/// let view = PriceView { bid: price("0.55"), ask: price("0.58"), last: None, fair: None, published_at: now, max_age_ms: 5_000 };
/// let mark = |side, view: &PriceView| conservative_mark(SettlementStyle::Prediction, side, view, now);
/// assert_eq!(mark(Side::Buy, &view).ok(), price("0.55"));
/// assert_eq!(mark(Side::Sell, &view).ok(), price("0.58"));
/// assert_eq!(mark(Side::Buy, &PriceView { bid: None, ..view }).ok(), price("0"));
/// ```
///
/// # Errors
/// Never for a prediction; else [`Undefined::NoPrice`] and [`Undefined::StalePrice`].
pub fn conservative_mark(
    style: SettlementStyle,
    opened: Side,
    view: &PriceView,
    now: Timestamp,
) -> Result<Price, Undefined> {
    let age_ms = now.millis_since(view.published_at);
    let closing = match opened {
        Side::Buy => view.bid,
        Side::Sell => view.ask,
    };
    match style {
        SettlementStyle::Prediction => {
            let quiet = [closing, view.last, view.fair];
            let known = if age_ms > PREDICTION_QUIET_MS { &quiet[..] } else { &quiet[..1] };
            let known = known.iter().flatten().copied();
            Ok(match opened {
                Side::Buy => known.min().unwrap_or(Price::ZERO),
                Side::Sell => known.max().unwrap_or(Price::from_micros(ONE)),
            })
        }
        SettlementStyle::Spot | SettlementStyle::Margined => {
            if age_ms > view.max_age_ms {
                return Err(Undefined::StalePrice { age_ms, limit_ms: view.max_age_ms });
            }
            closing.ok_or(Undefined::NoPrice { legs: 1 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SettlementStyle::{Margined, Prediction, Spot};

    /// Prices in cents: bid, ask, last, fair; the quote is `age_ms` old.
    fn check(style: SettlementStyle, prices: [Option<i64>; 4], age_ms: i64, expected: [Result<i64, Undefined>; 2]) {
        let [bid, ask, last, fair] = prices.map(|cents| cents.map(|cents| Price::from_micros(cents * 10_000)));
        let published_at = Timestamp::from_micros(1_700_000_000_000_000);
        let view = PriceView { bid, ask, last, fair, published_at, max_age_ms: 5_000 };
        let mark = |side| conservative_mark(style, side, &view, published_at.plus_millis(age_ms));
        let got = [Side::Buy, Side::Sell].map(|side| mark(side).map(|price| price.micros() / 10_000));
        assert_eq!(got, expected, "{style:?} {prices:?} after {age_ms} ms");
    }

    #[test]
    fn predictions_always_have_a_mark() {
        let all = [Some(55), Some(58), Some(50), Some(60)];
        check(Prediction, all, 0, [Ok(55), Ok(58)]);
        check(Prediction, all, PREDICTION_QUIET_MS, [Ok(55), Ok(58)]);
        check(Prediction, all, PREDICTION_QUIET_MS + 1, [Ok(50), Ok(60)]);
        let nobody = [None, None, Some(50), Some(60)];
        check(Prediction, nobody, PREDICTION_QUIET_MS, [Ok(0), Ok(100)]);
        check(Prediction, nobody, PREDICTION_QUIET_MS + 1, [Ok(50), Ok(60)]);
        check(Prediction, [None, None, None, Some(60)], 100_000, [Ok(60), Ok(60)]);
        check(Prediction, [None; 4], 100_000, [Ok(0), Ok(100)]);
    }

    #[test]
    fn other_styles_need_a_fresh_price_on_the_closing_side() {
        let none = Err(Undefined::NoPrice { legs: 1 });
        for style in [Spot, Margined] {
            check(style, [Some(99), Some(101), None, None], 5_000, [Ok(99), Ok(101)]);
            check(style, [Some(99), None, Some(98), Some(98)], 0, [Ok(99), none]);
            check(style, [None, Some(101), None, None], 0, [none, Ok(101)]);
            let stale = Err(Undefined::StalePrice { age_ms: 5_001, limit_ms: 5_000 });
            check(style, [Some(99), Some(101), None, None], 5_001, [stale, stale]);
            // A clock that was set back makes prices look newer, never stale: a loss is still seen.
            // What opens is denied meanwhile, by the decision itself.
            check(style, [Some(99), Some(101), None, None], -3_600_000, [Ok(99), Ok(101)]);
        }
    }
}
