//! What happens in a run, in the order of time. Nothing is ever handed out
//! before its time, and data that runs backwards stops the run.

use std::{cmp::Reverse, collections::BinaryHeap};
use tragen_domain::{market::Timeframe, time::Timestamp};
use tragen_market_data::file::{MatchRow, Series};

/// How long after the kick-off a result is known: two halves, the break and generous stoppage time.
pub(super) const RESULT_MINUTES: i64 = 120;

/// Something that happens. At the same moment what ends comes before what begins, so that nobody decides without
/// knowing what was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A bar is over.
    Close {
        /// Which series.
        series: usize,
        /// Which row of it.
        row: usize,
    },
    /// A match is over.
    Result(usize),
    /// A match is offered at its first odds.
    Opening(usize),
    /// A match is offered at its last odds.
    Closing(usize),
    /// A bar begins.
    Open {
        /// Which series.
        series: usize,
        /// Which row of it.
        row: usize,
    },
}

/// Data that runs backwards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is out of order: it begins at {at} after the run has seen {seen} (microseconds since the epoch)")]
pub(crate) struct OutOfOrder {
    what: String,
    at: i64,
    seen: i64,
}

/// Every event of the files, earliest first.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    series: &'a [Series],
    queue: BinaryHeap<Reverse<(Timestamp, Event)>>,
    now: Timestamp,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(series: &'a [Series], matches: &[MatchRow]) -> Self {
        let mut queue = BinaryHeap::with_capacity(series.len() + 3 * matches.len());
        for (place, own) in series.iter().enumerate() {
            if let Some(first) = own.rows.first() {
                queue.push(Reverse((first.start, Event::Open { series: place, row: 0 })));
            }
        }
        for (place, row) in matches.iter().enumerate() {
            queue.push(Reverse((row.day_start(), Event::Opening(place))));
            queue.push(Reverse((row.kickoff, Event::Closing(place))));
            queue.push(Reverse((result_at(row), Event::Result(place))));
        }
        Self { series, queue, now: Timestamp::from_micros(i64::MIN) }
    }

    /// When the first event is.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// The next event; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(Timestamp, Event)>, OutOfOrder> {
        let Some(Reverse((at, event))) = self.queue.pop() else { return Ok(None) };
        if at < self.now {
            return Err(OutOfOrder { what: self.name(event), at: at.micros(), seen: self.now.micros() });
        }
        self.now = at;
        match event {
            Event::Open { series, row } => {
                let end = end(at, self.series[series].timeframe);
                self.queue.push(Reverse((end, Event::Close { series, row })));
            }
            Event::Close { series, row } => {
                if let Some(next) = self.series[series].rows.get(row + 1) {
                    self.queue.push(Reverse((next.start, Event::Open { series, row: row + 1 })));
                }
            }
            Event::Result(_) | Event::Opening(_) | Event::Closing(_) => {}
        }
        Ok(Some((at, event)))
    }

    fn name(&self, event: Event) -> String {
        match event {
            Event::Open { series, row } | Event::Close { series, row } => {
                format!("bar {} of {}", row + 1, self.series[series].listing.instrument.id)
            }
            Event::Result(place) | Event::Opening(place) | Event::Closing(place) => format!("match {}", place + 1),
        }
    }
}

/// When the result of a match is known.
pub(super) fn result_at(row: &MatchRow) -> Timestamp {
    row.kickoff.plus_millis(RESULT_MINUTES * 60_000)
}

pub(super) fn end(start: Timestamp, timeframe: Timeframe) -> Timestamp {
    start.plus_millis(timeframe.seconds() * 1_000)
}
