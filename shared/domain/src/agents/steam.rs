//! Steam: the same outcome's price moves far and fast at several bookmakers at once, because somebody knows something.
//! What they quoted half an hour ago is kept by [`super::odds_history`]. It is told, and decides nothing: whether a price
//! that moved has come or gone is not known before the closing line.

use super::consensus::logit;
use super::count::count_to_f64;
use super::devig::{DevigError, DevigMethod, devig};
use super::fair_line::Outcome;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// A bookmaker's prices at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OddsPoint<'a> {
    /// Name of the bookmaker or exchange.
    pub bookmaker: &'a str,
    /// Since when he quotes them.
    pub at: Timestamp,
    /// Decimal odds of home, draw and away.
    pub odds: [f64; 3],
}

/// What counts as steam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SteamRules {
    /// Smallest move of the fair log-odds, either way.
    pub shift_min: f64,
    /// Within how long, milliseconds.
    pub window_ms: i64,
    /// At how many bookmakers.
    pub books_min: usize,
}

impl Default for SteamRules {
    /// 0.15 in log-odds (3.7 points at 50 %) within half an hour, at two bookmakers.
    fn default() -> Self {
        Self { shift_min: 0.15, window_ms: 30 * 60_000, books_min: 2 }
    }
}

/// Where a price went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SteamDirection {
    /// Shorter odds: more likely than before.
    Shortening,
    /// Longer odds: less likely than before.
    Drifting,
}

/// A move of one outcome at several bookmakers.
#[derive(Debug, Clone, PartialEq)]
pub struct SteamMove {
    /// Which outcome.
    pub outcome: Outcome,
    /// Which way.
    pub direction: SteamDirection,
    /// The bookmakers, in alphabetical order.
    pub bookmakers: Vec<String>,
    /// Mean move of their fair log-odds; negative when drifting.
    pub mean_shift: f64,
}

/// What moved, and what could not be read.
#[derive(Debug, Clone, PartialEq)]
pub struct SteamReport {
    /// The moves, in the order home, draw, away.
    pub moves: Vec<SteamMove>,
    /// Positions of unreadable points and why, in the order given.
    pub skipped: Vec<(usize, DevigError)>,
}

/// Compares what every bookmaker quotes at `now` with what he quoted one window before, or first in it.
///
/// Points after `now` are not seen. Margins are removed before comparing, so that a change of the margin is no move.
///
/// Example: two bookmakers go from 2.00 to 1.80 on the home team within twenty minutes: about +0.2 in log-odds, steam.
#[must_use]
pub fn steam(points: &[OddsPoint<'_>], now: Timestamp, rules: &SteamRules) -> SteamReport {
    let mut skipped = Vec::new();
    let mut books: BTreeMap<&str, Vec<(Timestamp, [f64; 3])>> = BTreeMap::new();
    for (position, point) in points.iter().enumerate().filter(|(_, point)| point.at <= now) {
        match devig(DevigMethod::Shin, &point.odds) {
            Ok(fair) => {
                let mut log_odds = [0.0; 3];
                log_odds.iter_mut().zip(&fair.probabilities).for_each(|(to, p)| *to = logit(*p));
                books.entry(point.bookmaker).or_default().push((point.at, log_odds));
            }
            Err(error) => skipped.push((position, error)),
        }
    }
    let start = now.plus_millis(rules.window_ms.saturating_neg());
    let shifts: Vec<(&str, [f64; 3])> =
        books.into_iter().filter_map(|(name, quotes)| Some((name, shift(quotes, start)?))).collect();
    let directions = [SteamDirection::Shortening, SteamDirection::Drifting];
    let all = Outcome::ALL.into_iter().flat_map(|outcome| directions.map(|direction| (outcome, direction)));
    let moves = all.filter_map(|(outcome, direction)| joint_move(&shifts, outcome, direction, rules)).collect();
    SteamReport { moves, skipped }
}

/// From the quote that held at the start of the window, or the first one, to the last one; None for an old last quote.
fn shift(mut quotes: Vec<(Timestamp, [f64; 3])>, start: Timestamp) -> Option<[f64; 3]> {
    quotes.sort_by_key(|(at, _)| *at);
    let (last_at, last) = *quotes.last()?;
    let before = quotes.iter().rev().find(|(at, _)| *at <= start).or(quotes.first())?.1;
    (last_at > start).then(|| [0, 1, 2].map(|i| last[i] - before[i]))
}

fn joint_move(
    shifts: &[(&str, [f64; 3])],
    outcome: Outcome,
    direction: SteamDirection,
    rules: &SteamRules,
) -> Option<SteamMove> {
    let has_moved = |shift: f64| match direction {
        SteamDirection::Shortening => shift >= rules.shift_min,
        SteamDirection::Drifting => shift <= -rules.shift_min,
    };
    let moved: Vec<(&str, f64)> =
        shifts.iter().map(|(name, shift)| (*name, outcome.of(shift))).filter(|(_, shift)| has_moved(*shift)).collect();
    (!moved.is_empty() && moved.len() >= rules.books_min).then(|| SteamMove {
        outcome,
        direction,
        mean_shift: moved.iter().map(|(_, shift)| shift).sum::<f64>() / count_to_f64(moved.len()),
        bookmakers: moved.into_iter().map(|(name, _)| name.to_owned()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: [f64; 3] = [2.00, 3.60, 4.20];
    const AFTER: [f64; 3] = [1.80, 3.80, 5.00];

    fn point(bookmaker: &str, minute: i64, odds: [f64; 3]) -> OddsPoint<'_> {
        OddsPoint { bookmaker, at: Timestamp::from_micros(minute * 60_000_000), odds }
    }

    fn run(points: &[OddsPoint<'_>]) -> SteamReport {
        steam(points, Timestamp::from_micros(100 * 60_000_000), &SteamRules::default())
    }

    #[test]
    fn two_books_that_move_together_are_steam() {
        let [a, b] = ["a", "b"].map(|name| [point(name, 75, BEFORE), point(name, 95, AFTER)]);
        let report = run(&[b[1], a[0], b[0], a[1]]);
        let found: Vec<(Outcome, SteamDirection)> = report.moves.iter().map(|m| (m.outcome, m.direction)).collect();
        assert_eq!(found, [(Outcome::Home, SteamDirection::Shortening), (Outcome::Away, SteamDirection::Drifting)]);
        assert_eq!(report.moves[0].bookmakers, ["a", "b"]);
        assert!(report.moves[0].mean_shift > 0.15 && report.moves[1].mean_shift < -0.15, "{report:?}");
        assert!(run(&a).moves.is_empty(), "one book is no steam");
    }

    #[test]
    fn slow_old_and_opposite_moves_are_not() {
        let check = |points: &[OddsPoint<'_>]| assert!(run(points).moves.is_empty(), "{points:?}");
        let quiet = point("a", 10, BEFORE);
        // The move was over before the window began.
        check(&[quiet, point("a", 40, AFTER), point("b", 10, BEFORE), point("b", 40, AFTER)]);
        check(&[quiet, point("a", 95, AFTER), point("b", 10, AFTER), point("b", 95, BEFORE)]);
        // Only the margin grew.
        let dearer = BEFORE.map(|odds| odds * 0.97);
        check(&[quiet, point("a", 95, dearer), point("b", 10, BEFORE), point("b", 95, dearer)]);
        // Later prices are not known yet.
        check(&[quiet, point("a", 101, AFTER), point("b", 10, BEFORE), point("b", 101, AFTER)]);
        // What held at the start of the window counts, however old the quote is.
        let held = run(&[quiet, point("a", 95, AFTER), point("b", 10, BEFORE), point("b", 71, AFTER)]);
        assert_eq!(held.moves.len(), 2);
    }

    #[test]
    fn unreadable_prices_are_named() {
        let report = run(&[point("a", 95, [1.0, 3.0, 4.0]), point("b", 95, BEFORE)]);
        assert_eq!(report.skipped, [(0, DevigError::InvalidOdds { outcome: 0, odds: 1.0 })]);
        assert!(report.moves.is_empty());
    }
}
