//! The odds of matches before their kick-off, numbered by match, so that whoever follows them knows how they moved and
//! whether it has missed something.

use crate::{file::Book, number};
use std::collections::{BTreeMap, VecDeque};
use tragen_bus::ODDS_KEPT;
use tragen_contracts::v1;
use tragen_domain::{id::MatchId, time::Timestamp};

/// Odds that were over for so long are not told again after the bus has lost them: twice what agents look back.
const TOLD_AGAIN_MILLIS: i64 = 3_600_000;

/// What was quoted, and what of it is still to be published.
#[derive(Debug)]
pub(crate) struct OddsLog {
    feed_started_micros: i64,
    matches: BTreeMap<MatchId, OfMatch>,
    /// The first number that is not published yet.
    unsent: BTreeMap<MatchId, i64>,
}

#[derive(Debug, Default)]
struct OfMatch {
    last: i64,
    told: VecDeque<v1::OddsQuoted>,
}

impl OddsLog {
    /// Nothing is quoted yet by a feed that was started at the wall clock `now`.
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self { feed_started_micros: now.micros(), matches: BTreeMap::new(), unsent: BTreeMap::new() }
    }

    /// The books of a match are these since market time `at`; the same once more is no news. Without books what was
    /// quoted before is over.
    pub(crate) fn quote(&mut self, id: &MatchId, books: &[Book], at: Timestamp) {
        let of = self.matches.entry(id.clone()).or_default();
        let books: Vec<v1::BookOdds> = books.iter().map(wire).collect();
        if of.told.back().map_or(books.is_empty(), |last| last.books == books) {
            return;
        }
        if books.is_empty() {
            of.told.clear();
        }
        of.last += 1;
        of.told.push_back(v1::OddsQuoted {
            match_id: id.to_string(),
            books,
            event_time_micros: at.micros(),
            feed_started_micros: self.feed_started_micros,
            number: of.last,
        });
        // What held until then is over since the second one began.
        let over = at.plus_millis(-TOLD_AGAIN_MILLIS).micros();
        while of.told.len() > usize::from(ODDS_KEPT) || of.told.get(1).is_some_and(|next| next.event_time_micros < over)
        {
            of.told.pop_front();
        }
        self.unsent.entry(id.clone()).or_insert(of.last);
    }

    /// What is not published yet, the oldest of each match first.
    pub(crate) fn take_unsent(&mut self) -> Vec<v1::OddsQuoted> {
        let unsent = std::mem::take(&mut self.unsent);
        let of_match = |(id, first): (MatchId, i64)| {
            let told = self.matches.get(&id).map(|of| of.told.iter()).unwrap_or_default();
            told.filter(move |odds| odds.number >= first).cloned()
        };
        unsent.into_iter().flat_map(of_match).collect()
    }

    /// Everything is told again, under the numbers it had.
    pub(crate) fn mark_all_unsent(&mut self) {
        self.unsent = self.matches.keys().map(|id| (id.clone(), 0)).collect();
    }
}

/// A book as it is told.
pub(crate) fn wire(book: &Book) -> v1::BookOdds {
    let [home_odds_micros, draw_odds_micros, away_odds_micros] = book.odds.map(|odds| number::nearest(odds * 1e6));
    v1::BookOdds {
        bookmaker: book.bookmaker.to_owned(),
        home_odds_micros,
        draw_odds_micros,
        away_odds_micros,
        is_sharp: book.is_sharp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> MatchId {
        MatchId::new("M").expect("an id")
    }

    fn book(home: f64) -> Vec<Book> {
        vec![Book { bookmaker: "pinnacle", odds: [home, 3.6, 4.2] }]
    }

    fn minutes(minutes: i64) -> Timestamp {
        Timestamp::from_micros(minutes * 60_000_000)
    }

    /// Number, minute and the odds of a home win of what is told now; 0 without books.
    fn told(log: &mut OddsLog) -> Vec<(i64, i64, i64)> {
        let home = |odds: &v1::OddsQuoted| odds.books.first().map_or(0, |book| book.home_odds_micros);
        log.take_unsent().iter().map(|odds| (odds.number, odds.event_time_micros / 60_000_000, home(odds))).collect()
    }

    #[test]
    fn every_change_is_told_once_and_everything_again_when_the_bus_has_lost_it() {
        let mut log = OddsLog::new(minutes(0));
        log.quote(&id(), &[], minutes(0));
        assert!(told(&mut log).is_empty(), "nobody has quoted yet");
        log.quote(&id(), &book(2.0), minutes(1));
        log.quote(&id(), &book(2.0), minutes(2));
        log.quote(&id(), &book(1.9), minutes(3));
        assert_eq!(told(&mut log), [(1, 1, 2_000_000), (2, 3, 1_900_000)], "also when both changed at once");
        assert!(told(&mut log).is_empty());
        log.quote(&id(), &book(1.8), minutes(4));
        assert_eq!(told(&mut log), [(3, 4, 1_800_000)]);
        log.mark_all_unsent();
        log.quote(&id(), &book(1.7), minutes(5));
        assert_eq!(told(&mut log).iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        log.quote(&id(), &[], minutes(6));
        assert_eq!(told(&mut log), [(5, 6, 0)]);
        log.mark_all_unsent();
        assert_eq!(told(&mut log), [(5, 6, 0)], "what was before the end concerns nobody");
    }

    #[test]
    fn what_was_over_an_hour_ago_and_the_oldest_of_too_many_are_forgotten() {
        let mut log = OddsLog::new(minutes(0));
        for (minute, home) in [(0, 2.0), (10, 1.9), (70, 1.8), (71, 1.7)] {
            log.quote(&id(), &book(home), minutes(minute));
        }
        // What came at minute 10 held until minute 70.
        assert_eq!(told(&mut log).iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [2, 3, 4]);
        for number in 0..u32::from(ODDS_KEPT) {
            log.quote(&id(), &book(3.0 + f64::from(number)), minutes(72));
        }
        log.mark_all_unsent();
        let numbers: Vec<i64> = told(&mut log).iter().map(|(number, ..)| *number).collect();
        assert_eq!((numbers.len(), numbers[0]), (usize::from(ODDS_KEPT), 5));
    }
}
