//! Plays one match: listed before kick-off with prices that move from the
//! opening to the closing odds, repriced while it is played, suspended after
//! goals and red cards, closed at the end.

use super::{
    inplay::{self, Lambdas},
    venue::{self, Phase},
};
use crate::{
    catalog,
    file::{Book, Incident, IncidentKind, MatchRow},
    market::{LiveMatch, Market, MatchClock},
    number,
};
use tragen_domain::{
    id::IdError,
    instrument::{Instrument, InstrumentStatus},
    market::{Match, MatchStatus},
    time::Timestamp,
};

const MINUTE_MILLIS: i64 = 60_000;
/// How often prices move before kick-off, market time.
const DRIFT_MINUTES: i64 = 10;
/// How long trading rests after a goal or red card, market time.
const SUSPENSION_MILLIS: i64 = 15_000;
const BREAK_MINUTES: i64 = 15;
/// Stoppage time played at least, first and second half.
const STOPPAGE_MINUTES: (u8, u8) = (2, 4);

/// One match, and where the playing is.
#[derive(Debug)]
pub(super) struct MatchTrack {
    /// Its place among the matches.
    pub(super) row: usize,
    state: Match,
    instruments: [Instrument; 3],
    listing: Timestamp,
    steps: Vec<(Timestamp, Step)>,
    position: usize,
    lambdas: Lambdas,
    share: f64,
    clock: MatchClock,
    last_event: Option<(IncidentKind, Timestamp)>,
    suspended_until: Timestamp,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    List,
    Drift,
    KickOff,
    /// The minute shown, what is played, and which share of the goals is still to come.
    Clock(u8, MatchClock, f64),
    Incident(Incident),
    Resume,
    FullTime,
}

impl MatchTrack {
    pub(super) fn new(place: usize, row: &MatchRow, listing: Timestamp, kickoff: Timestamp) -> Result<Self, IdError> {
        let state = Match {
            id: row.id.clone(),
            home: row.home.clone(),
            away: row.away.clone(),
            kickoff,
            status: MatchStatus::Scheduled,
            minute: 0,
            goals: (0, 0),
            reds: (0, 0),
            published_at: listing,
        };
        Ok(Self {
            row: place,
            instruments: catalog::predictions(&row.id, &row.home, &row.away)?,
            state,
            listing,
            // The other steps follow when it is listed: most matches of a season are not played yet.
            steps: vec![(listing, Step::List)],
            position: 0,
            lambdas: Lambdas { home: 1.0, away: 1.0 },
            share: 1.0,
            clock: MatchClock::KICK_OFF,
            last_event: None,
            suspended_until: listing,
        })
    }

    /// Plays the next step; says when the one after it is due.
    pub(super) fn play(&mut self, row: &MatchRow, market: &mut Market) -> Option<Timestamp> {
        let (at, step) = *self.steps.get(self.position)?;
        self.position += 1;
        match step {
            Step::List => {
                self.steps.extend(steps(row, self.listing, self.state.kickoff));
                for instrument in &self.instruments {
                    market.list(instrument.clone(), at);
                }
                self.publish(row, market);
                self.drift(row, market, at);
            }
            Step::Drift => self.drift(row, market, at),
            Step::KickOff => {
                self.lambdas = inplay::lambdas(&row.closing.venue);
                self.state.status = MatchStatus::InPlay;
                self.publish(row, market);
                self.reprice(market, at);
            }
            Step::Clock(minute, clock, share) => {
                self.share = share;
                if (self.state.minute, self.clock) != (minute, clock) {
                    (self.state.minute, self.clock) = (minute, clock);
                    self.publish(row, market);
                }
                self.reprice(market, at);
            }
            Step::Incident(incident) => self.incident(incident, row, market, at),
            Step::Resume => self.reprice(market, at),
            Step::FullTime => {
                self.state.status = MatchStatus::Finished;
                self.state.minute = 90;
                self.clock = MatchClock { minutes_played: 90, minute_left: 1.0 };
                self.set_status(market, InstrumentStatus::Closed, at);
                self.publish(row, market);
                self.steps = Vec::new();
            }
        }
        self.steps.get(self.position).map(|(at, _)| *at)
    }

    /// Prices before kick-off, on the way from the opening to the closing odds.
    fn drift(&self, row: &MatchRow, market: &mut Market, at: Timestamp) {
        let (passed, whole) = (at.millis_since(self.listing), self.state.kickoff.millis_since(self.listing));
        let way = if whole > 0 { number::float(passed / 1_000) / number::float(whole / 1_000) } else { 1.0 };
        let between = |from: f64, to: f64| from + way * (to - from);
        let mut venue = row.opening.venue;
        for (p, to) in venue.iter_mut().zip(row.closing.venue) {
            *p = between(*p, to);
        }
        market.set_books(&row.id, books_between(&row.opening.books, &row.closing.books, between));
        self.quote(&venue, Phase::Before, market, at);
    }

    fn incident(&mut self, incident: Incident, row: &MatchRow, market: &mut Market, at: Timestamp) {
        let pair = match incident.kind {
            IncidentKind::Goal => &mut self.state.goals,
            IncidentKind::Red => &mut self.state.reds,
        };
        let side = if incident.is_home { &mut pair.0 } else { &mut pair.1 };
        *side = side.saturating_add(1);
        self.suspended_until = at.plus_millis(SUSPENSION_MILLIS);
        self.last_event = Some((incident.kind, at));
        self.set_status(market, InstrumentStatus::Suspended, at);
        self.publish(row, market);
    }

    /// Prices while it is being played; none while trading rests.
    fn reprice(&self, market: &mut Market, at: Timestamp) {
        if at < self.suspended_until {
            return;
        }
        self.set_status(market, InstrumentStatus::Open, at);
        let lead = i16::from(self.state.goals.0) - i16::from(self.state.goals.1);
        let probabilities = inplay::outcome(self.lambdas, self.share, lead, self.state.reds);
        self.quote(&probabilities, Phase::InPlay, market, at);
    }

    fn quote(&self, probabilities: &[f64; 3], phase: Phase, market: &mut Market, at: Timestamp) {
        for (instrument, probability) in self.instruments.iter().zip(probabilities) {
            let (bid, ask) = venue::prediction(&instrument.id, *probability, phase);
            market.quote(&instrument.id, bid, ask, at);
        }
    }

    fn set_status(&self, market: &mut Market, status: InstrumentStatus, at: Timestamp) {
        for instrument in &self.instruments {
            market.set_status(&instrument.id, status, at);
        }
    }

    /// Shows the match; its books come with the prices before kick-off, and stop there.
    fn publish(&self, row: &MatchRow, market: &mut Market) {
        let [home, draw, away] = &self.instruments;
        let has_begun = self.state.status != MatchStatus::Scheduled;
        market.set_match(LiveMatch {
            state: self.state.clone(),
            instruments: [home.id.clone(), draw.id.clone(), away.id.clone()],
            books: Vec::new(),
            over_under: if has_begun { row.closing.over_under } else { row.opening.over_under },
            closing: if has_begun { row.closing.books.clone() } else { Vec::new() },
            clock: self.clock,
            last_event: self.last_event,
        });
    }
}

/// The books on their way; one that is there at only one end stays as it is.
fn books_between(opening: &[Book], closing: &[Book], between: impl Fn(f64, f64) -> f64) -> Vec<Book> {
    let moved = opening.iter().map(|book| {
        let Some(to) = closing.iter().find(|to| to.bookmaker == book.bookmaker) else { return *book };
        let mut odds = book.odds;
        for (odds, to) in odds.iter_mut().zip(to.odds) {
            *odds = between(*odds, to);
        }
        Book { odds, ..*book }
    });
    moved.collect()
}

/// Everything that happens to a match after it was listed, in order.
fn steps(row: &MatchRow, listing: Timestamp, kickoff: Timestamp) -> Vec<(Timestamp, Step)> {
    let mut steps = Vec::with_capacity(300);
    let mut at = listing.plus_millis(DRIFT_MINUTES * MINUTE_MILLIS);
    while at < kickoff {
        steps.push((at, Step::Drift));
        at = at.plus_millis(DRIFT_MINUTES * MINUTE_MILLIS);
    }
    steps.push((kickoff, Step::KickOff));
    let break_at = half(row, 1..=45, STOPPAGE_MINUTES.0, kickoff, &mut steps);
    let second = break_at.plus_millis(BREAK_MINUTES * MINUTE_MILLIS);
    let end = half(row, 46..=90, STOPPAGE_MINUTES.1, second, &mut steps);
    steps.push((end, Step::FullTime));
    steps.sort_by_key(|(at, _)| *at);
    steps
}

/// The steps of one half from `start`; gives its end.
fn half(
    row: &MatchRow,
    minutes: std::ops::RangeInclusive<u8>,
    stoppage_least: u8,
    start: Timestamp,
    steps: &mut Vec<(Timestamp, Step)>,
) -> Timestamp {
    let (first, last) = (*minutes.start(), *minutes.end());
    let after = |minutes: u8| start.plus_millis(MINUTE_MILLIS * i64::from(minutes));
    for minute in first..last {
        let clock = MatchClock { minutes_played: minute, minute_left: 1.0 };
        steps.push((after(minute - first + 1), Step::Clock(minute, clock, inplay::remaining(minute))));
    }
    let own = || row.incidents.iter().filter(|incident| minutes.contains(&incident.minute));
    let stoppage = own().map(|incident| incident.stoppage).max().unwrap_or_default().max(stoppage_least);
    // The last minute and its stoppage time share the goals that are expected of both.
    let (before, later) = (inplay::remaining(last - 1), inplay::remaining(last));
    let parts = f64::from(stoppage) + 1.0;
    for part in 1..=stoppage {
        let share = before + (later - before) * f64::from(part) / parts;
        let clock = MatchClock { minutes_played: last - 1, minute_left: 1.0 - f64::from(part) / parts };
        steps.push((after(last - first + part), Step::Clock(last, clock, share)));
    }
    let end = after(last - first + 1 + stoppage);
    if last < 90 {
        steps.push((end, Step::Clock(last, MatchClock { minutes_played: last, minute_left: 1.0 }, later)));
    }
    let mut previous = None;
    let mut in_same_minute = 0;
    for incident in own() {
        let minute = incident.minute - first + incident.stoppage;
        in_same_minute = if previous == Some(minute) { (in_same_minute + 1).min(5) } else { 0 };
        previous = Some(minute);
        let at = after(minute).plus_millis(20_000 + 5_000 * in_same_minute);
        steps.push((at, Step::Incident(*incident)));
        steps.push((at.plus_millis(SUSPENSION_MILLIS), Step::Resume));
    }
    end
}
