//! What the market shows now: every instrument with its quote, every match,
//! the last bars; and what has changed since it was last published.

use crate::{
    file::{Book, IncidentKind},
    history::History,
    odds::OddsLog,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tragen_bus::BARS_KEPT;
use tragen_contracts::v1;
use tragen_domain::{
    id::{InstrumentId, MatchId},
    instrument::{Instrument, InstrumentStatus},
    market::{Bar, Level, Match, MatchStatus, Quote, Timeframe},
    money::Price,
    time::Timestamp,
};

/// Everything known now.
#[derive(Debug)]
pub struct Market {
    /// Market time.
    pub(crate) now: Timestamp,
    pub(crate) history: History,
    listed: BTreeMap<InstrumentId, Listed>,
    matches: BTreeMap<MatchId, LiveMatch>,
    bars: BTreeMap<(Timeframe, InstrumentId), VecDeque<Bar>>,
    odds: OddsLog,
    changed: Changed,
}

/// An instrument and its newest prices.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) instrument: Instrument,
    pub(crate) quote: Quote,
    pub(crate) last_price: Option<Price>,
}

/// A match, and what bookmakers quote for it; nothing once it is being played.
#[derive(Debug)]
pub(crate) struct LiveMatch {
    pub(crate) state: Match,
    pub(crate) instruments: [InstrumentId; 3],
    pub(crate) books: Vec<Book>,
    /// The odds of more, then of fewer, than 2.5 goals.
    pub(crate) over_under: Option<[f64; 2]>,
    /// What bookmakers quoted last before kick-off; nothing before.
    pub(crate) closing: Vec<Book>,
    pub(crate) clock: MatchClock,
    /// The last goal or red card and when it was, market time.
    pub(crate) last_event: Option<(IncidentKind, Timestamp)>,
}

/// How much of a match is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MatchClock {
    /// Whole minutes; 45 and 90 are over only with their stoppage time.
    pub(crate) minutes_played: u8,
    /// Share of the minute under way that is left, above 0 and at most 1.
    pub(crate) minute_left: f64,
}

impl MatchClock {
    /// The kick-off.
    pub(crate) const KICK_OFF: Self = Self { minutes_played: 0, minute_left: 1.0 };
}

impl Default for Market {
    fn default() -> Self {
        Self {
            now: Timestamp::default(),
            // No other process, and no other run of this one, has the same.
            history: History::new(format!("{}-{}", tragen_host::clock::now_micros(), std::process::id())),
            listed: BTreeMap::new(),
            matches: BTreeMap::new(),
            bars: BTreeMap::new(),
            odds: OddsLog::new(Timestamp::from_micros(tragen_host::clock::now_micros())),
            changed: Changed::default(),
        }
    }
}

#[derive(Debug, Default)]
struct Changed {
    instruments: BTreeSet<InstrumentId>,
    matches: BTreeSet<MatchId>,
    quotes: BTreeSet<InstrumentId>,
}

/// One thing to publish.
#[derive(Debug, Clone)]
pub(crate) enum Update {
    Instrument(v1::Instrument),
    Odds(v1::OddsQuoted),
    Match(v1::Match),
    Quote(v1::Quote),
}

impl Market {
    /// Lists `instrument`, or lists it again.
    pub(crate) fn list(&mut self, instrument: Instrument, at: Timestamp) {
        let id = instrument.id.clone();
        self.changed.instruments.insert(id.clone());
        self.changed.quotes.insert(id.clone());
        let last_price = self.listed.get(&id).and_then(|listed| listed.last_price);
        let quote = Quote { instrument: id.clone(), bid: None, ask: None, event_time: at, published_at: at };
        self.listed.insert(id, Listed { instrument, quote, last_price });
    }

    /// Changes whether an instrument can be traded; without trading there are no prices.
    pub(crate) fn set_status(&mut self, id: &InstrumentId, status: InstrumentStatus, at: Timestamp) {
        let Some(listed) = self.listed.get_mut(id) else { return };
        if listed.instrument.status != status {
            listed.instrument.status = status;
            self.changed.instruments.insert(id.clone());
        }
        if status != InstrumentStatus::Open {
            self.quote(id, None, None, at);
        }
    }

    /// Changes the best prices of an instrument.
    pub(crate) fn quote(&mut self, id: &InstrumentId, bid: Option<Level>, ask: Option<Level>, at: Timestamp) {
        let Some(listed) = self.listed.get_mut(id) else { return };
        if (listed.quote.bid, listed.quote.ask) != (bid, ask) {
            self.changed.quotes.insert(id.clone());
        }
        listed.quote = Quote { bid, ask, event_time: at, ..listed.quote.clone() };
    }

    /// Changes or adds a match.
    pub(crate) fn set_match(&mut self, live: LiveMatch) {
        self.odds.quote(&live.state.id, &live.books, self.now);
        self.changed.matches.insert(live.state.id.clone());
        self.matches.insert(live.state.id.clone(), live);
    }

    /// Changes the books of a match, which is told then: whoever bets on it looks at it again.
    pub(crate) fn set_books(&mut self, id: &MatchId, books: Vec<Book>) {
        if let Some(live) = self.matches.get_mut(id) {
            self.odds.quote(id, &books, self.now);
            live.books = books;
            self.changed.matches.insert(id.clone());
        }
    }

    /// Adds a bar; the oldest of its kind goes.
    pub(crate) fn add_bar(&mut self, bar: Bar) {
        let kept = self.bars.entry((bar.timeframe, bar.instrument.clone())).or_default();
        // As many as the stream keeps, which may lose them.
        if kept.len() == usize::from(BARS_KEPT) {
            kept.pop_front();
        }
        kept.push_back(bar);
    }

    /// Remembers the price of the last trade of an instrument.
    pub(crate) fn set_last_price(&mut self, id: &str, price: Price) {
        if let Some(listed) = self.listed.get_mut(id) {
            listed.last_price = Some(price);
            self.changed.quotes.insert(listed.instrument.id.clone());
        }
    }

    /// Ends everything: matches are finished and instruments closed.
    pub(crate) fn close(&mut self, at: Timestamp) {
        let ids: Vec<InstrumentId> = self.listed.keys().cloned().collect();
        for id in ids {
            self.set_status(&id, InstrumentStatus::Closed, at);
        }
        for live in self.matches.values_mut().filter(|live| live.state.status != MatchStatus::Finished) {
            live.state.status = MatchStatus::Finished;
            live.books = Vec::new();
            self.odds.quote(&live.state.id, &[], at);
            self.changed.matches.insert(live.state.id.clone());
        }
    }

    /// What changed since the last call, stamped with the wall clock `now`. A match comes after its quotes, so that they
    /// are known where somebody acts on it; the odds come last, no decision waits for them.
    pub(crate) fn take_changes(&mut self, now: Timestamp) -> Vec<Update> {
        let changed = std::mem::take(&mut self.changed);
        let instruments = changed.instruments.iter().filter_map(|id| self.listed.get(id));
        let mut updates: Vec<Update> = instruments.map(|l| Update::Instrument((&l.instrument).into())).collect();
        for id in changed.quotes {
            updates.extend(self.listed.get_mut(&id).map(|listed| Update::Quote(listed.stamped(now))));
        }
        for id in changed.matches {
            if let Some(live) = self.matches.get_mut(&id) {
                live.state.published_at = now;
                let event_time_micros = self.now.micros();
                updates.push(Update::Match(v1::Match { event_time_micros, ..(&live.state).into() }));
            }
        }
        updates.extend(self.odds.take_unsent().into_iter().map(Update::Odds));
        updates
    }

    /// The quotes of all open instruments, stamped with the wall clock `now`.
    pub(crate) fn open_quotes(&mut self, now: Timestamp) -> Vec<Update> {
        let open = self.listed.values_mut().filter(|l| l.instrument.status == InstrumentStatus::Open);
        open.map(|listed| Update::Quote(listed.stamped(now))).collect()
    }

    /// Everything counts as changed, e.g. because the bus has lost it.
    pub(crate) fn mark_all_changed(&mut self) {
        self.changed.instruments = self.listed.keys().cloned().collect();
        self.changed.quotes = self.changed.instruments.clone();
        self.changed.matches = self.matches.keys().cloned().collect();
        self.odds.mark_all_unsent();
    }

    /// Bars that start after the last published one of their kind, oldest first.
    pub(crate) fn bars_after(&self, published: &BTreeMap<(Timeframe, InstrumentId), Timestamp>) -> Vec<Bar> {
        let mut fresh = Vec::new();
        for (kind, kept) in &self.bars {
            let last = published.get(kind);
            let from = kept.partition_point(|bar| last.is_some_and(|last| bar.start <= *last));
            fresh.extend(kept.range(from..).cloned());
        }
        fresh
    }

    pub(crate) fn instrument(&self, id: &str) -> Option<&Listed> {
        self.listed.get(id)
    }

    pub(crate) fn live_match(&self, id: &str) -> Option<&LiveMatch> {
        self.matches.get(id)
    }

    /// Instruments whose id comes after `after`, in order of id.
    pub(crate) fn instruments_after<'a>(&'a self, after: &str) -> impl Iterator<Item = &'a Listed> + use<'a> {
        let after = InstrumentId::new(after).ok();
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.listed.range((from, std::ops::Bound::Unbounded)).map(|(_, listed)| listed)
    }

    pub(crate) fn instrument_ids(&self) -> impl Iterator<Item = &str> {
        self.listed.keys().map(InstrumentId::as_str)
    }

    /// Matches that are not over and whose id comes after `after`, in order of id.
    pub(crate) fn open_matches_after<'a>(&'a self, after: &str) -> impl Iterator<Item = &'a LiveMatch> + use<'a> {
        let after = MatchId::new(after).ok();
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let later = self.matches.range((from, std::ops::Bound::Unbounded)).map(|(_, live)| live);
        later.filter(|live| live.state.status != MatchStatus::Finished)
    }

    pub(crate) fn match_ids(&self) -> impl Iterator<Item = &str> {
        self.matches.keys().map(MatchId::as_str)
    }

    /// How many instruments are listed, and how many of them are open.
    #[must_use]
    pub fn instrument_counts(&self) -> (usize, usize) {
        let open = self.listed.values().filter(|l| l.instrument.status == InstrumentStatus::Open).count();
        (self.listed.len(), open)
    }
}

impl Listed {
    fn stamped(&mut self, now: Timestamp) -> v1::Quote {
        self.quote.published_at = now;
        self.to_wire()
    }

    /// The quote with the last traded price.
    pub(crate) fn to_wire(&self) -> v1::Quote {
        let last_price_micros = self.last_price.map_or(0, Price::micros);
        v1::Quote { last_price_micros, ..(&self.quote).into() }
    }
}
