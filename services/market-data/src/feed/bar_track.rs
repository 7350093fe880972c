//! Plays the bars of one instrument: each at its end, with the quote it leaves
//! behind, and the longer bars that are complete with it.

use super::{Run, venue};
use crate::{
    file::{BarRow, Series},
    market::Market,
};
use tragen_domain::{
    market::{Bar, Ohlc, Timeframe},
    time::Timestamp,
};

/// The bars of one instrument, and where the playing is.
#[derive(Debug)]
pub(super) struct BarTrack {
    /// Its place among the series.
    pub(super) series: usize,
    position: usize,
    gathering: Vec<Gathering>,
}

/// A longer bar in the making.
#[derive(Debug)]
pub struct Gathering {
    timeframe: Timeframe,
    bar: Option<BarRow>,
}

impl BarTrack {
    pub(super) fn new(place: usize, series: &Series) -> Self {
        Self { series: place, position: 0, gathering: Gathering::longer_than(series.timeframe) }
    }

    /// When a bar of the series that starts at `start` is over.
    pub(super) fn end_of(&self, series: &Series, start: Timestamp) -> Timestamp {
        end(start, series.timeframe)
    }

    /// Plays the next bar; says when the one after it is due.
    pub(super) fn play(&mut self, series: &Series, run: Run, market: &mut Market) -> Option<Timestamp> {
        let row = series.rows.get(self.position)?;
        let row = BarRow { start: run.at(row.start), ..*row };
        let instrument = &series.listing.instrument;
        let at = end(row.start, series.timeframe);
        if self.position == 0 {
            market.list(instrument.clone(), at);
        }
        self.position += 1;
        let mut publish = |timeframe: Timeframe, row: BarRow| {
            let BarRow { start, bid, ask } = row;
            market.add_bar(Bar { instrument: instrument.id.clone(), timeframe, start, bid, ask, published_at: at });
        };
        publish(series.timeframe, row);
        for gathering in &mut self.gathering {
            for complete in gathering.add(row, at).into_iter().flatten() {
                publish(gathering.timeframe, complete);
            }
        }
        let (bid, ask) = venue::two_sided(&series.listing, row.bid.close, row.ask.close);
        market.quote(&instrument.id, bid, ask, at);
        series.rows.get(self.position).map(|next| end(run.at(next.start), series.timeframe))
    }
}

impl Gathering {
    /// One for every timeframe above `timeframe`, shortest first.
    #[must_use]
    pub fn longer_than(timeframe: Timeframe) -> Vec<Self> {
        let longer = Timeframe::ALL.into_iter().filter(|longer| *longer > timeframe);
        longer.map(|timeframe| Self { timeframe, bar: None }).collect()
    }

    /// The length of the bars it makes.
    #[must_use]
    pub const fn timeframe(&self) -> Timeframe {
        self.timeframe
    }

    /// Takes a shorter bar that ends at `at`; gives the longer bars that are complete now, at most two.
    pub fn add(&mut self, row: BarRow, at: Timestamp) -> [Option<BarRow>; 2] {
        let length = self.timeframe.seconds() * 1_000_000;
        let start = Timestamp::from_micros(row.start.micros().div_euclid(length) * length);
        let (late, bar) = match self.bar.take() {
            Some(bar) if bar.start == start => {
                (None, BarRow { start, bid: merged(bar.bid, row.bid), ask: merged(bar.ask, row.ask) })
            }
            other => (other, BarRow { start, ..row }),
        };
        if at >= end(start, self.timeframe) {
            return [late, Some(bar)];
        }
        self.bar = Some(bar);
        [late, None]
    }
}

fn merged(earlier: Ohlc, later: Ohlc) -> Ohlc {
    Ohlc { open: earlier.open, high: earlier.high.max(later.high), low: earlier.low.min(later.low), close: later.close }
}

fn end(start: Timestamp, timeframe: Timeframe) -> Timestamp {
    start.plus_millis(timeframe.seconds() * 1_000)
}
