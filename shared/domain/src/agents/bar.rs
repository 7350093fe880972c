//! One closed price bar, seen from the bid, the ask and the middle.

use crate::{market, money::Price};

/// Open, high, low and close of one price series over one bar, in price units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ohlc {
    /// First price of the bar.
    pub open: f64,
    /// Highest price of the bar.
    pub high: f64,
    /// Lowest price of the bar.
    pub low: f64,
    /// Last price of the bar.
    pub close: f64,
}

/// Why a bar cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BarError {
    /// Prices are finite and above 0.
    #[error("the price {price} of a bar is not a finite number above 0")]
    InvalidPrice {
        /// The number as given.
        price: f64,
    },
    /// Open and close lie between low and high.
    #[error("the bar is out of order: open {open}, high {high}, low {low}, close {close}")]
    OutOfOrder {
        /// Open as given.
        open: f64,
        /// High as given.
        high: f64,
        /// Low as given.
        low: f64,
        /// Close as given.
        close: f64,
    },
    /// A spread is finite and not negative.
    #[error("the half spread {half_spread} is not a finite number of at least 0")]
    InvalidSpread {
        /// The number as given.
        half_spread: f64,
    },
}

impl Ohlc {
    /// Checks that the four prices are finite, above 0 and in order.
    ///
    /// # Errors
    /// [`BarError::InvalidPrice`] or [`BarError::OutOfOrder`].
    pub fn checked(self) -> Result<Self, BarError> {
        let Self { open, high, low, close } = self;
        if let Some(price) = [open, high, low, close].into_iter().find(|p| !(p.is_finite() && *p > 0.0)) {
            return Err(BarError::InvalidPrice { price });
        }
        if low > open.min(close) || high < open.max(close) {
            return Err(BarError::OutOfOrder { open, high, low, close });
        }
        Ok(self)
    }

    fn with(self, other: Self, join: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            open: join(self.open, other.open),
            high: join(self.high, other.high),
            low: join(self.low, other.low),
            close: join(self.close, other.close),
        }
    }

    fn shifted(self, by: f64) -> Self {
        Self { open: self.open + by, high: self.high + by, low: self.low + by, close: self.close + by }
    }
}

/// One closed bar. Indicators read the middle; entries, exits and stops read the side that would really be paid.
///
/// A bar carries no time but, if told, the UTC day it belongs to: whoever feeds a state machine passes each bar once and
/// in order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    mid: Ohlc,
    bid: Ohlc,
    ask: Ohlc,
    day: Option<i64>,
}

impl Bar {
    /// A bar from separate bid and ask series; the middle is their mean, price by price.
    ///
    /// Feeds that sample the two sides separately send bars with ask below bid. They are taken as they are; see
    /// [`Bar::uncrossed`].
    ///
    /// # Errors
    /// [`BarError`] when one side is not a valid bar.
    pub fn from_bid_ask(bid: Ohlc, ask: Ohlc) -> Result<Self, BarError> {
        let (bid, ask) = (bid.checked()?, ask.checked()?);
        Ok(Self { mid: bid.with(ask, |bid, ask| (bid + ask) / 2.0), bid, ask, day: None })
    }

    /// A bar of the market as the models see it: uncrossed, in units of the price, on its UTC day.
    ///
    /// The one way from market data into the models, so that a live worker and a replay of history see the same bar.
    ///
    /// # Errors
    /// [`BarError`] when one side is not a valid bar.
    pub fn seen(bar: &market::Bar) -> Result<Self, BarError> {
        let ohlc = |side: &market::Ohlc| Ohlc {
            open: units(side.open),
            high: units(side.high),
            low: units(side.low),
            close: units(side.close),
        };
        Ok(Self::from_bid_ask(ohlc(&bar.bid), ohlc(&bar.ask))?.uncrossed().on_day(bar.start.utc_day()))
    }

    /// A bar from middle (or traded) prices and half of a fixed spread, in price units.
    ///
    /// Example: middle 1.3000 with half a spread of 0.00005 has bid 1.29995 and ask 1.30005.
    ///
    /// # Errors
    /// [`BarError`] when the prices are not a valid bar or the spread is negative.
    pub fn from_mid(mid: Ohlc, half_spread: f64) -> Result<Self, BarError> {
        if !(half_spread.is_finite() && half_spread >= 0.0) {
            return Err(BarError::InvalidSpread { half_spread });
        }
        let mid = mid.checked()?;
        Ok(Self { mid, bid: mid.shifted(-half_spread).checked()?, ask: mid.shifted(half_spread), day: None })
    }

    /// The same bar with the ask raised to the bid wherever it is below it: a negative spread is a sampling fault, and
    /// a model that fills inside it would report a profit that nobody can have.
    #[must_use]
    pub fn uncrossed(self) -> Self {
        let ask = self.ask.with(self.bid, f64::max);
        Self { mid: self.bid.with(ask, |bid, ask| (bid + ask) / 2.0), ask, ..self }
    }

    /// The same bar, as one of the UTC day `day` (days since the epoch). Rules that decide once a day need it for bars
    /// shorter than a day; a bar without one counts as a day of its own.
    #[must_use]
    pub fn on_day(self, day: i64) -> Self {
        Self { day: Some(day), ..self }
    }

    /// Days since the epoch, if told.
    #[must_use]
    pub fn day(&self) -> Option<i64> {
        self.day
    }

    /// Middle prices.
    #[must_use]
    pub fn mid(&self) -> &Ohlc {
        &self.mid
    }

    /// Bid prices: what a seller gets.
    #[must_use]
    pub fn bid(&self) -> &Ohlc {
        &self.bid
    }

    /// Ask prices: what a buyer pays.
    #[must_use]
    pub fn ask(&self) -> &Ohlc {
        &self.ask
    }
}

/// Micros as the models' floating-point number; estimates only, never money.
#[expect(clippy::cast_precision_loss, reason = "models work on estimates; 2^53 micros are nine thousand million")]
fn units(price: Price) -> f64 {
    price.micros() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ohlc(open: f64, high: f64, low: f64, close: f64) -> Ohlc {
        Ohlc { open, high, low, close }
    }

    #[test]
    fn both_sides_follow_from_the_middle_and_back() {
        let bar = Bar::from_mid(ohlc(1.30, 1.31, 1.29, 1.305), 0.000_05).expect("valid bar");
        assert!((bar.bid().open - 1.299_95).abs() < 1e-12 && (bar.ask().close - 1.305_05).abs() < 1e-12);
        let again = Bar::from_bid_ask(*bar.bid(), *bar.ask()).expect("valid bar");
        assert!((again.mid().high - 1.31).abs() < 1e-12);
    }

    #[test]
    fn a_bar_of_the_market_is_seen_in_units_and_uncrossed() {
        let prices = |micros: [i64; 4]| {
            let [open, high, low, close] = micros.map(Price::from_micros);
            market::Ohlc { open, high, low, close }
        };
        let bar = market::Bar {
            instrument: crate::id::InstrumentId::new("GBPUSD").expect("an id"),
            timeframe: market::Timeframe::Minute1,
            start: crate::time::Timestamp::from_micros(2 * 86_400_000_000),
            bid: prices([1_500_000, 1_600_000, 1_400_000, 1_550_000]),
            ask: prices([1_500_100, 1_600_100, 1_400_100, 1_549_900]),
            published_at: crate::time::Timestamp::default(),
        };
        let seen = Bar::seen(&bar).expect("valid");
        assert_eq!((seen.bid().open, seen.ask().close, seen.day()), (1.5, 1.55, Some(2)));
        assert!(Bar::seen(&market::Bar { bid: prices([0, 1, 0, 1]), ..bar }).is_err());
    }

    #[test]
    fn crossed_bar_is_uncrossed_at_the_bid() {
        let bar = Bar::from_bid_ask(ohlc(1.0, 1.2, 1.0, 1.2), ohlc(1.1, 1.2, 1.0, 1.1)).expect("valid sides");
        let uncrossed = bar.uncrossed();
        assert_eq!((uncrossed.ask().close, uncrossed.mid().close, uncrossed.ask().open), (1.2, 1.2, 1.1));
    }

    #[test]
    fn impossible_bars_are_named() {
        let check = |mid: Ohlc, half: f64, expected: BarError| assert_eq!(Bar::from_mid(mid, half), Err(expected));
        check(ohlc(0.0, 1.0, 1.0, 1.0), 0.0, BarError::InvalidPrice { price: 0.0 });
        check(ohlc(1.0, f64::INFINITY, 1.0, 1.0), 0.0, BarError::InvalidPrice { price: f64::INFINITY });
        let inverted = BarError::OutOfOrder { open: 1.0, high: 0.9, low: 0.8, close: 0.85 };
        check(ohlc(1.0, 0.9, 0.8, 0.85), 0.0, inverted);
        check(ohlc(1.0, 1.0, 1.0, 1.0), -0.1, BarError::InvalidSpread { half_spread: -0.1 });
        check(ohlc(1.0, 1.0, 1.0, 1.0), 1.0, BarError::InvalidPrice { price: 0.0 });
        assert!(Bar::from_mid(ohlc(f64::NAN, 1.0, 1.0, 1.0), 0.0).is_err());
    }
}
