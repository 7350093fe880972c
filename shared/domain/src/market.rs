//! What the market shows: quotes, bars, scores. Times are market times; what
//! is stale is decided on the wall clock of publication.

use crate::{
    id::{InstrumentId, MatchId},
    money::{Price, Quantity},
    time::Timestamp,
};

/// How far a publisher's clock may be ahead of the reader's, milliseconds: what machines with synchronized clocks are
/// never apart.
pub const AHEAD_MS_MAX: i64 = 5_000;

/// A price that was not published yet by the reader's clock: one of the clocks is wrong, or somebody invents prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("BAD_TICK: dated {ahead_ms} ms ahead of the clock, at most {AHEAD_MS_MAX} ms are taken")]
pub struct FromTheFuture {
    /// How far ahead, milliseconds, rounded up.
    pub ahead_ms: i64,
}

/// Checks the moment of publication of a quote or bar before anything is done with it: it would be fresh for as long as
/// it is ahead, and what is really new would look older.
///
/// ```
/// use tragen_domain::{market::{FromTheFuture, check_published}, time::Timestamp};
/// let (now, hour) = (Timestamp::from_micros(1_700_000_000_000_000), 3_600_000);
/// assert_eq!(check_published(now.plus_millis(-hour), now), Ok(()));
/// assert_eq!(check_published(now.plus_millis(hour), now), Err(FromTheFuture { ahead_ms: hour }));
/// ```
///
/// # Errors
/// [`FromTheFuture`] when it is more than [`AHEAD_MS_MAX`] ahead of `now`.
pub const fn check_published(published_at: Timestamp, now: Timestamp) -> Result<(), FromTheFuture> {
    let ahead = published_at.micros().saturating_sub(now.micros());
    if ahead > AHEAD_MS_MAX * 1_000 {
        return Err(FromTheFuture { ahead_ms: ahead.saturating_add(999) / 1_000 });
    }
    Ok(())
}

/// Best prices of one instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The instrument.
    pub instrument: InstrumentId,
    /// Best bid and its size; `None` when nobody bids.
    pub bid: Option<Level>,
    /// Best ask and its size; `None` when nobody offers.
    pub ask: Option<Level>,
    /// Market time.
    pub event_time: Timestamp,
    /// Wall clock at publication.
    pub published_at: Timestamp,
}

/// One price and what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The price.
    pub price: Price,
    /// The quantity, > 0.
    pub quantity: Quantity,
}

impl Quote {
    /// Half way between bid and ask, or the side there is; rounded toward zero.
    #[must_use]
    pub fn reference_price(&self) -> Option<Price> {
        match (self.bid, self.ask) {
            (Some(bid), Some(ask)) => {
                let (bid, ask) = (bid.price.micros(), ask.price.micros());
                Some(Price::from_micros(bid + (ask - bid) / 2))
            }
            (Some(side), None) | (None, Some(side)) => Some(side.price),
            (None, None) => None,
        }
    }
}

/// Opening, highest, lowest and closing price of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ohlc {
    /// First.
    pub open: Price,
    /// Highest.
    pub high: Price,
    /// Lowest.
    pub low: Price,
    /// Last.
    pub close: Price,
}

/// Bid and ask that were sampled apart may cross by this share of the price, parts per million; they are then taken as
/// one price. More is a broken bar. (The largest such crossing seen in real data is 120.)
pub const CROSSED_PPM_MAX: i64 = 500;

/// How far the ask is below the bid at its worst, micros; not positive where it is nowhere below.
#[must_use]
pub fn crossed_by(bid: &Ohlc, ask: &Ohlc) -> i64 {
    let pairs = [(bid.open, ask.open), (bid.high, ask.high), (bid.low, ask.low), (bid.close, ask.close)];
    pairs.iter().map(|(bid, ask)| bid.micros().saturating_sub(ask.micros())).max().unwrap_or_default()
}

/// Whether the ask is further below the bid than two samples of one price can be.
///
/// ```
/// use tragen_domain::{market::{Ohlc, is_broken}, money::Price};
/// let at = |micros| { let p = Price::from_micros(micros); Ohlc { open: p, high: p, low: p, close: p } };
/// assert!(!is_broken(&at(1_000_000), &at(999_500)) && is_broken(&at(1_000_000), &at(999_499)));
/// assert!(is_broken(&at(950_000), &at(50_000)) && !is_broken(&at(50_000), &at(950_000)));
/// ```
#[must_use]
pub fn is_broken(bid: &Ohlc, ask: &Ohlc) -> bool {
    let limit = i128::from(bid.close.micros()) * i128::from(CROSSED_PPM_MAX) / 1_000_000;
    i128::from(crossed_by(bid, ask)) > limit
}

/// Length of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timeframe {
    /// One minute.
    Minute1,
    /// Five minutes.
    Minute5,
    /// One hour.
    Hour1,
    /// Four hours.
    Hour4,
    /// One day.
    Day1,
}

impl Timeframe {
    /// Every timeframe, shortest first.
    pub const ALL: [Self; 5] = [Self::Minute1, Self::Minute5, Self::Hour1, Self::Hour4, Self::Day1];

    /// As written in subjects and configuration, e.g. `1m`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute1 => "1m",
            Self::Minute5 => "5m",
            Self::Hour1 => "1h",
            Self::Hour4 => "4h",
            Self::Day1 => "1d",
        }
    }

    /// The timeframe written `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|timeframe| timeframe.as_str() == text)
    }

    /// Length in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute1 => 60,
            Self::Minute5 => 300,
            Self::Hour1 => 3_600,
            Self::Hour4 => 14_400,
            Self::Day1 => 86_400,
        }
    }
}

/// Bid and ask prices over one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// The instrument.
    pub instrument: InstrumentId,
    /// Its length.
    pub timeframe: Timeframe,
    /// Start of the interval, market time.
    pub start: Timestamp,
    /// What was bid.
    pub bid: Ohlc,
    /// What was asked.
    pub ask: Ohlc,
    /// Wall clock at publication.
    pub published_at: Timestamp,
}

/// Where a match stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchStatus {
    /// Before kick-off.
    Scheduled,
    /// Being played.
    InPlay,
    /// Over.
    Finished,
}

/// A match and its score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Its id.
    pub id: MatchId,
    /// Home team.
    pub home: String,
    /// Away team.
    pub away: String,
    /// Kick-off, market time.
    pub kickoff: Timestamp,
    /// Where it stands.
    pub status: MatchStatus,
    /// Minute of play, 0 before kick-off.
    pub minute: u8,
    /// Goals, home then away.
    pub goals: (u8, u8),
    /// Red cards, home then away.
    pub reds: (u8, u8),
    /// Wall clock at publication.
    pub published_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_published_yet_is_refused() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let check = |ahead_micros: i64, expected: Result<(), FromTheFuture>| {
            let published_at = Timestamp::from_micros(now.micros().saturating_add(ahead_micros));
            assert_eq!(check_published(published_at, now), expected, "{ahead_micros}");
        };
        let limit = AHEAD_MS_MAX * 1_000;
        check(3_600_000_000, Err(FromTheFuture { ahead_ms: 3_600_000 }));
        check(0, Ok(()));
        check(limit, Ok(()));
        check(limit + 1, Err(FromTheFuture { ahead_ms: AHEAD_MS_MAX + 1 }));
        check(-i64::MAX, Ok(()));
        check(i64::MAX, Err(FromTheFuture { ahead_ms: (i64::MAX - now.micros()) / 1_000 + 1 }));
        let text = FromTheFuture { ahead_ms: 3_600_000 }.to_string();
        assert_eq!(text, "BAD_TICK: dated 3600000 ms ahead of the clock, at most 5000 ms are taken");
    }
}
