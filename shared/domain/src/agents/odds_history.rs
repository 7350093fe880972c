//! What bookmakers quoted for one match in the last half hour: what [`super::steam`] is judged by.
//!
//! The feed numbers what it tells of a match from 1 on. Numbers make repeats, late arrivals and gaps harmless: the same
//! one again changes nothing, a late one goes to its place, and before a gap nothing counts, because a price that moved
//! in between would be dated wrongly. Everything is market time, so who has seen the same says the same, whenever and
//! in whatever order it came. What is not needed any more is forgotten: entries older than the window except the one
//! that held at its start, and the oldest beyond a bound. How much of the window is known is told with every answer.

use super::steam::{OddsPoint, SteamReport, SteamRules, steam};
use crate::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Entries that are kept of a match: one every 3.5 seconds of half an hour. Whoever tells more often is known for less
/// long.
pub const ENTRIES_MAX: usize = 512;
/// Bookmakers of one entry.
pub const BOOKMAKERS_MAX: usize = 32;
/// Entries are kept for so much longer than the window, so that a question about a moment that is just over still finds
/// what held at its start.
const LONGER_MS: i64 = 5 * 60_000;

/// What every bookmaker quotes for a match from one moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct OddsEntry {
    /// When its feed was started: a later one counts anew.
    pub feed: i64,
    /// Its place among what the feed told of the match, from 1 on without gaps.
    pub number: u64,
    /// Since when, market time.
    pub at: Timestamp,
    /// Bookmakers with decimal odds of home, draw and away; none when nobody quotes the match any more.
    pub books: Vec<(Arc<str>, [f64; 3])>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It counts from now on.
    Kept,
    /// It is there already.
    Known,
    /// It was over before everything that is kept.
    TooOld,
    /// It is of a feed that has been started anew since.
    OtherFeed,
    /// Nobody quotes the match any more: what was before is forgotten.
    Ended,
    /// Its time contradicts its number, or it has too many bookmakers.
    Contradictory,
}

/// Steam, and how much of the window it is judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct SteamSeen {
    /// The moves.
    pub report: SteamReport,
    /// How much of the window is known, milliseconds; the whole window unless the match is new or something was missed.
    pub seen_ms: i64,
}

/// What is known of one match.
#[derive(Debug, Clone, PartialEq)]
pub struct OddsHistory {
    rules: SteamRules,
    feed: i64,
    /// By number, without repeats; times never fall.
    entries: VecDeque<OddsEntry>,
}

impl OddsHistory {
    /// Nothing is known yet.
    #[must_use]
    pub const fn new(rules: SteamRules) -> Self {
        Self { rules, feed: i64::MIN, entries: VecDeque::new() }
    }

    /// Takes what the feed told, in any order and as often as it comes.
    pub fn take(&mut self, entry: OddsEntry) -> Taken {
        if entry.books.len() > BOOKMAKERS_MAX {
            return Taken::Contradictory;
        }
        if entry.feed < self.feed {
            return Taken::OtherFeed;
        }
        if entry.feed > self.feed {
            self.feed = entry.feed;
            self.entries.clear();
        }
        if entry.books.is_empty() {
            self.entries.retain(|known| known.number > entry.number);
            return Taken::Ended;
        }
        let place = match self.entries.binary_search_by_key(&entry.number, |known| known.number) {
            Ok(_) => return Taken::Known,
            Err(place) => place,
        };
        let before = place.checked_sub(1).and_then(|before| self.entries.get(before));
        let is_in_order = before.is_none_or(|before| before.at <= entry.at)
            && self.entries.get(place).is_none_or(|after| entry.at <= after.at);
        if !is_in_order {
            return Taken::Contradictory;
        }
        let number = entry.number;
        self.entries.insert(place, entry);
        self.forget();
        if self.entries.front().is_some_and(|oldest| oldest.number <= number) { Taken::Kept } else { Taken::TooOld }
    }

    /// When the newest entry was told, market time; None before the first.
    #[must_use]
    pub fn newest_at(&self) -> Option<Timestamp> {
        self.entries.back().map(|entry| entry.at)
    }

    /// Which prices of `current`, quoted at `now`, have moved at several bookmakers within the window before it.
    ///
    /// Example: two bookmakers that quoted 2.00 on the home team 30 minutes ago and quote 1.80 now are steam; 31 minutes
    /// ago 2.00 and 30 minutes ago 1.80 already, and there is none.
    #[must_use]
    pub fn steam(&self, current: &[(&str, [f64; 3])], now: Timestamp) -> SteamSeen {
        let start = now.plus_millis(self.rules.window_ms.saturating_neg());
        let known = self.unbroken_until(now);
        let at_start = known.iter().rposition(|entry| entry.at <= start).unwrap_or(0);
        let mut first: BTreeMap<&str, (Timestamp, [f64; 3])> = BTreeMap::new();
        for entry in known.get(at_start..).unwrap_or_default() {
            for (bookmaker, odds) in &entry.books {
                first.entry(bookmaker).or_insert((entry.at, *odds));
            }
        }
        let mut points = Vec::with_capacity(2 * current.len());
        for (bookmaker, odds) in current {
            points.extend(first.get(bookmaker).map(|(at, odds)| OddsPoint { bookmaker, at: *at, odds: *odds }));
            points.push(OddsPoint { bookmaker, at: now, odds: *odds });
        }
        let seen_ms = known.first().map_or(0, |oldest| now.millis_since(oldest.at.max(start)));
        SteamSeen { report: steam(&points, now, &self.rules), seen_ms }
    }

    /// The entries up to `now` that nothing is missing between.
    fn unbroken_until(&self, now: Timestamp) -> Vec<&OddsEntry> {
        let told = self.entries.partition_point(|entry| entry.at <= now);
        let mut known: Vec<&OddsEntry> = Vec::new();
        for entry in self.entries.iter().take(told).rev() {
            if known.last().is_some_and(|later| later.number - 1 != entry.number) {
                break;
            }
            known.push(entry);
        }
        known.reverse();
        known
    }

    /// Forgets what no window needs: what was over before it, and the oldest of too many.
    fn forget(&mut self) {
        let Some(newest) = self.newest_at() else { return };
        let start = newest.plus_millis(self.rules.window_ms.saturating_add(LONGER_MS).saturating_neg());
        while self.entries.len() > ENTRIES_MAX || self.entries.get(1).is_some_and(|second| second.at <= start) {
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::consensus::logit;
    use super::super::fair_line::Outcome;
    use super::super::steam::{SteamDirection, SteamMove};
    use super::*;

    const LONG: [f64; 3] = [2.00, 3.60, 4.20];
    const SHORT: [f64; 3] = [1.80, 3.80, 5.00];

    fn minutes(minutes: i64) -> Timestamp {
        Timestamp::from_micros(minutes * 60_000_000)
    }

    fn entry(number: u64, minute: i64, odds: [f64; 3]) -> OddsEntry {
        let books = ["a", "b"].map(|name| (Arc::from(name), odds)).to_vec();
        OddsEntry { feed: 1, number, at: minutes(minute), books }
    }

    fn history(entries: &[OddsEntry]) -> OddsHistory {
        let mut history = OddsHistory::new(SteamRules::default());
        for entry in entries {
            history.take(entry.clone());
        }
        history
    }

    fn at(history: &OddsHistory, minute: i64, odds: [f64; 3]) -> SteamSeen {
        history.steam(&[("a", odds), ("b", odds)], minutes(minute))
    }

    fn told(seen: &SteamSeen) -> (Vec<(Outcome, SteamDirection)>, i64) {
        let moves = seen.report.moves.iter().map(|own| (own.outcome, own.direction)).collect();
        (moves, seen.seen_ms / 60_000)
    }

    #[test]
    fn a_window_begins_with_what_held_at_its_start() {
        let steam = vec![(Outcome::Home, SteamDirection::Shortening), (Outcome::Away, SteamDirection::Drifting)];
        let moved = history(&[entry(1, 0, LONG), entry(2, 40, SHORT)]);
        assert_eq!(told(&at(&moved, 40, SHORT)), (steam.clone(), 30));
        // At minute 70 the window begins with the new price: exactly half an hour ago is at its start.
        let last = moved.steam(&[("a", SHORT), ("b", SHORT)], Timestamp::from_micros(70 * 60_000_000 - 1));
        assert_eq!(told(&last), (steam.clone(), 30));
        assert_eq!(told(&at(&moved, 70, SHORT)), (Vec::new(), 30));
        // What is quoted now counts, whatever was told so far.
        assert_eq!(told(&at(&history(&[entry(1, 0, LONG)]), 20, SHORT)), (steam, 20));
        assert_eq!(told(&at(&history(&[]), 20, SHORT)), (Vec::new(), 0));
        // Who has ceased to quote is no bookmaker any more.
        assert_eq!(told(&moved.steam(&[("a", SHORT)], minutes(40))), (Vec::new(), 30));
    }

    #[test]
    fn a_move_of_exactly_the_smallest_shift_is_steam() {
        let devigged = |odds: &[f64; 3]| super::super::devig::devig(super::super::devig::DevigMethod::Shin, odds);
        let home = |odds: [f64; 3]| logit(devigged(&odds).expect("odds").probabilities[0]);
        let shift = home(SHORT) - home(LONG);
        let with = |shift_min: f64| {
            let mut history = OddsHistory::new(SteamRules { shift_min, ..SteamRules::default() });
            history.take(entry(1, 0, LONG));
            let moves = at(&history, 10, SHORT).report.moves;
            moves.into_iter().find(|own: &SteamMove| own.outcome == Outcome::Home).map(|own| own.mean_shift)
        };
        assert_eq!((with(shift), with(shift.next_up())), (Some(shift), None));
        // Odds that move the fair log-odds by the default of 0.15, from an even match, and a hair less.
        let fair = |p: f64| [1.0 / p, 2.0 / (1.0 - p), 2.0 / (1.0 - p)];
        let moved_by = |shift: f64| fair(1.0 / (1.0 + (-shift).exp()));
        let seen = |shift: f64| {
            let from = history(&[entry(1, 0, fair(0.5))]);
            told(&at(&from, 30, moved_by(shift))).0
        };
        assert!(seen(0.150_001).contains(&(Outcome::Home, SteamDirection::Shortening)));
        assert!(seen(0.149_999).is_empty());
        assert!(seen(-0.150_001).contains(&(Outcome::Home, SteamDirection::Drifting)));
    }

    #[test]
    fn order_and_repeats_change_nothing() {
        let entries = [entry(1, 0, LONG), entry(2, 10, SHORT), entry(3, 20, LONG), entry(4, 50, SHORT)];
        let straight = history(&entries);
        for order in [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
            let mut mixed = OddsHistory::new(SteamRules::default());
            for at in order.into_iter().chain(order) {
                mixed.take(entries[at].clone());
            }
            assert_eq!(mixed, straight, "{order:?}");
        }
        let mut again = straight.clone();
        assert_eq!(again.take(entries[3].clone()), Taken::Known);
        // Minute 0 to 10 is needed by no window any more.
        assert_eq!(again.take(entries[0].clone()), Taken::TooOld);
        assert_eq!(again, straight);
    }

    #[test]
    fn before_a_gap_nothing_counts() {
        let mut gap = history(&[entry(1, 0, LONG), entry(3, 25, SHORT)]);
        assert_eq!(told(&at(&gap, 29, SHORT)), (Vec::new(), 4), "when the price moved nobody has seen");
        assert_eq!(gap.take(entry(2, 24, LONG)), Taken::Kept);
        assert_eq!(told(&at(&gap, 29, SHORT)).1, 29);
        assert_eq!(at(&gap, 29, SHORT).report.moves.len(), 2);
    }

    #[test]
    fn a_feed_that_was_started_anew_begins_anew() {
        let mut both = history(&[entry(7, 50, LONG)]);
        let new = |number, minute| OddsEntry { feed: 2, ..entry(number, minute, SHORT) };
        assert_eq!(both.take(new(1, 10)), Taken::Kept);
        assert_eq!(told(&at(&both, 12, SHORT)), (Vec::new(), 2));
        assert_eq!(both.take(entry(8, 60, LONG)), Taken::OtherFeed);
    }

    #[test]
    fn what_was_quoted_before_an_end_is_over() {
        let end = |number, minute| OddsEntry { books: Vec::new(), ..entry(number, minute, LONG) };
        let mut ended = history(&[entry(1, 0, LONG), entry(3, 20, SHORT)]);
        assert_eq!(ended.take(end(2, 10)), Taken::Ended);
        assert_eq!(told(&at(&ended, 25, SHORT)), (Vec::new(), 5));
        assert_eq!(ended.take(entry(1, 0, LONG)), Taken::Kept);
        assert_eq!(told(&at(&ended, 25, SHORT)), (Vec::new(), 5), "a late one is before the gap");
        assert_eq!((ended.take(end(4, 26)), ended.newest_at()), (Taken::Ended, None));
    }

    #[test]
    fn nonsense_is_refused_and_memory_is_bounded() {
        let mut known = history(&[entry(1, 10, LONG), entry(3, 20, LONG)]);
        let before = known.clone();
        for bad in [entry(2, 9, LONG), entry(2, 21, LONG), entry(4, 19, LONG)] {
            assert_eq!(known.take(bad.clone()), Taken::Contradictory, "{bad:?}");
        }
        let books = |count: usize| (0..count).map(|n| (Arc::from(n.to_string()), LONG)).collect();
        assert_eq!(
            known.take(OddsEntry { books: books(BOOKMAKERS_MAX + 1), ..entry(2, 15, LONG) }),
            Taken::Contradictory
        );
        assert_eq!(known, before);
        assert_eq!(known.take(OddsEntry { books: books(BOOKMAKERS_MAX), ..entry(2, 15, LONG) }), Taken::Kept);

        let mut busy = OddsHistory::new(SteamRules::default());
        for number in 1..=2_000_u64 {
            let at = Timestamp::from_micros(i64::try_from(number).expect("small") * 1_000_000);
            busy.take(OddsEntry { at, ..entry(number, 0, LONG) });
        }
        assert_eq!(busy.entries.len(), ENTRIES_MAX);
        let now = busy.newest_at().expect("known");
        assert_eq!(busy.steam(&[("a", LONG)], now).seen_ms, 511_000, "what was forgotten is not said to be seen");
        // Numbers that nobody counts to are numbers too.
        let mut wild = history(&[entry(0, 0, LONG), entry(u64::MAX, 1, LONG)]);
        assert_eq!(wild.take(entry(u64::MAX, 1, LONG)), Taken::Known);
        assert_eq!(told(&at(&wild, 2, SHORT)).1, 1);
    }
}
