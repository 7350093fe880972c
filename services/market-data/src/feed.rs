//! Plays what files say, in market time, into the [`Market`]. Prices of
//! matches are the simulated venue's quotes; nothing here decides a trade.

mod bar_track;
pub(crate) mod inplay;
mod match_track;
mod venue;

pub use bar_track::Gathering;
pub use venue::{Phase, prediction};

use crate::{
    file::{Intake, Standing},
    market::Market,
};
use bar_track::BarTrack;
use match_track::MatchTrack;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};
use tragen_domain::{
    id::{InstrumentId, MatchId},
    time::Timestamp,
};

/// How an intake is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayRules {
    /// How long before kick-off a match is listed.
    pub listing_hours: u16,
    /// Nothing happens before this; `None` starts with the first event of the files.
    pub start: Option<Timestamp>,
}

/// A point inside the files, moved by whole days to the market time of the run.
#[derive(Debug, Clone, Copy)]
struct Run {
    days: i64,
}

/// Plays an intake event by event.
#[derive(Debug)]
pub struct Player {
    intake: Arc<Intake>,
    rules: PlayRules,
    run: Run,
    tracks: Vec<Track>,
    queue: BinaryHeap<Reverse<(Timestamp, usize)>>,
    progress: Progress,
    /// Seasons whose fixtures are known.
    announced: BTreeSet<u16>,
    is_past_told: bool,
}

/// How far the playing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Market time of the last event.
    pub market_time: Timestamp,
    /// Bars played, of all in the files.
    pub bars: (usize, usize),
    /// Matches finished, of all in the files.
    pub matches: (usize, usize),
}

#[derive(Debug)]
enum Track {
    Bars(BarTrack),
    Match(Box<MatchTrack>),
}

/// Files whose content cannot be listed.
#[derive(Debug, thiserror::Error)]
#[error("match {id} cannot be listed")]
pub struct NotListed {
    id: MatchId,
    #[source]
    source: tragen_domain::id::IdError,
}

impl Run {
    const DAY_MILLIS: i64 = 86_400_000;

    fn at(self, in_file: Timestamp) -> Timestamp {
        in_file.plus_millis(self.days * Self::DAY_MILLIS)
    }
}

impl Player {
    /// A player at the first event.
    ///
    /// # Errors
    /// [`NotListed`] when a match's id leaves no room for its contracts.
    pub fn new(intake: Arc<Intake>, rules: PlayRules) -> Result<Self, NotListed> {
        let bars = intake.series.iter().map(|series| series.rows.len()).sum();
        let mut player = Self {
            progress: Progress { bars: (0, bars), matches: (0, intake.matches.len()), ..Progress::default() },
            intake,
            rules,
            run: Run { days: 0 },
            tracks: Vec::new(),
            queue: BinaryHeap::new(),
            announced: BTreeSet::new(),
            is_past_told: false,
        };
        player.rewind()?;
        Ok(player)
    }

    /// Starts over, at least a day later in market time than the last run began.
    ///
    /// # Errors
    /// As [`Player::new`].
    pub fn start_again(&mut self) -> Result<(), NotListed> {
        let first = self.intake.first(self.rules).unwrap_or_default();
        let played = self.progress.market_time.micros() - first.micros();
        self.run = Run { days: played.div_euclid(Run::DAY_MILLIS * 1_000) + 1 };
        self.progress.bars.0 = 0;
        self.progress.matches.0 = 0;
        self.rewind()
    }

    /// Market time of the next event; `None` at the end.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// Plays the next event into `market`.
    pub fn play_next(&mut self, market: &mut Market) {
        let Some(Reverse((at, place))) = self.queue.pop() else { return };
        self.progress.market_time = at;
        market.now = at;
        self.tell_past(market);
        let Some(track) = self.tracks.get_mut(place) else { return };
        let next = match track {
            Track::Bars(track) => {
                self.progress.bars.0 += 1;
                track.play(&self.intake.series[track.series], self.run, market)
            }
            Track::Match(track) => {
                let row = &self.intake.matches[track.row];
                if self.announced.insert(row.season_first_year) {
                    let season =
                        self.intake.matches.iter().filter(|own| own.season_first_year == row.season_first_year);
                    season.for_each(|own| market.history.push(own.history(self.run.days, Standing::Announced)));
                }
                let next = track.play(row, market);
                if next.is_none() {
                    self.progress.matches.0 += 1;
                    market.history.push(row.history(self.run.days, Standing::Played));
                }
                next
            }
        };
        if let Some(next) = next {
            self.queue.push(Reverse((next, place)));
        }
    }

    /// What was over before the first event is known from the start.
    fn tell_past(&mut self, market: &mut Market) {
        if !std::mem::replace(&mut self.is_past_told, true) {
            self.intake.past.iter().for_each(|row| market.history.push(row.history(0, Standing::Played)));
        }
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    fn rewind(&mut self) -> Result<(), NotListed> {
        self.tracks.clear();
        self.queue.clear();
        self.announced.clear();
        let start = self.rules.start.map(|start| self.run.at(start));
        for (place, series) in self.intake.series.iter().enumerate() {
            if let Some(first) = series.rows.first() {
                let track = BarTrack::new(place, series);
                self.queue.push(Reverse((track.end_of(series, self.run.at(first.start)), self.tracks.len())));
                self.tracks.push(Track::Bars(track));
            }
        }
        for (place, row) in self.intake.matches.iter().enumerate() {
            let kickoff = self.run.at(row.kickoff);
            let listing = kickoff.plus_millis(-3_600_000 * i64::from(self.rules.listing_hours));
            let listing = start.map_or(listing, |start| listing.max(start)).min(kickoff);
            let track = MatchTrack::new(place, row, listing, kickoff);
            let track = track.map_err(|source| NotListed { id: row.id.clone(), source })?;
            self.queue.push(Reverse((listing, self.tracks.len())));
            self.tracks.push(Track::Match(Box::new(track)));
        }
        Ok(())
    }
}

impl Intake {
    /// The first event in the files.
    fn first(&self, rules: PlayRules) -> Option<Timestamp> {
        let bars = self.series.iter().filter_map(|series| series.rows.first()).map(|row| row.start);
        let listing = |kickoff: Timestamp| kickoff.plus_millis(-3_600_000 * i64::from(rules.listing_hours));
        let listings = self.matches.iter().map(|row| listing(row.kickoff));
        rules.start.or_else(|| bars.chain(listings).min())
    }

    /// Instruments and how many there will be, by kind.
    pub(crate) fn summary(&self) -> String {
        let mut kinds: BTreeMap<&InstrumentId, usize> = BTreeMap::new();
        for series in &self.series {
            *kinds.entry(&series.listing.instrument.id).or_default() += series.rows.len();
        }
        let bars: Vec<String> = kinds.iter().map(|(id, rows)| format!("{rows} bars of {id}")).collect();
        match (self.matches.len(), bars.is_empty()) {
            (0, _) => bars.join(", "),
            (matches, true) => format!("{matches} matches"),
            (matches, false) => format!("{matches} matches, {}", bars.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
