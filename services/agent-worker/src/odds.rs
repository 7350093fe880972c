//! What bookmakers quoted in the last half hour, followed from what the bus keeps of it: a worker that was started anew
//! knows what the others know. What counts as steam is decided in [`tragen_domain::agents::odds_history`].

use crate::{analysis::match_view, bars::as_units, metrics};
use ::metrics::{counter, gauge};
use prost::Message as _;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tragen_bus::{Bus, BusError, StartAt, Stream};
use tragen_contracts::v1;
use tragen_domain::{
    agents::{
        fair_line::Outcome,
        odds_history::{OddsEntry, OddsHistory, SteamSeen, Taken},
        steam::{SteamDirection, SteamMove, SteamRules},
    },
    id::MatchId,
    time::Timestamp,
};
use tragen_host::Context;

/// Matches that odds are held of; the one that was quoted last the longest ago makes room.
const MATCHES_MAX: usize = 300;
/// Longest name of a bookmaker, bytes.
const BOOKMAKER_BYTES_MAX: usize = 64;

/// The odds; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct OddsBoard {
    matches: Arc<Mutex<BTreeMap<MatchId, OddsHistory>>>,
}

impl OddsBoard {
    /// Follows the odds from the first that is kept.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub(crate) async fn follow(&self, context: &Context, bus: &Bus) -> Result<(), BusError> {
        let mut quoted = bus.follow(context, Stream::Odds, "", StartAt::Beginning).await?;
        let board = self.clone();
        context.spawn("odds", async move {
            while let Some(odds) = quoted.next().await {
                let odds = v1::OddsQuoted::decode(odds.payload).ok();
                if odds.and_then(|odds| board.take(&odds)).is_none() {
                    counter!(metrics::MALFORMED, "kind" => "odds").increment(1);
                }
            }
            Ok(())
        });
        Ok(())
    }

    /// None for what makes no sense.
    fn take(&self, odds: &v1::OddsQuoted) -> Option<Taken> {
        let (id, entry) = parse(odds)?;
        let mut matches = self.lock();
        if !matches.contains_key(&id) && matches.len() >= MATCHES_MAX {
            let oldest = matches.iter().min_by_key(|(_, history)| history.newest_at());
            let (oldest, at) = oldest.map(|(id, history)| (id.clone(), history.newest_at()))?;
            counter!(metrics::ODDS_FORGOTTEN).increment(1);
            if at >= Some(entry.at) {
                return Some(Taken::TooOld);
            }
            matches.remove(&oldest);
        }
        let history = matches.entry(id.clone()).or_insert_with(|| OddsHistory::new(SteamRules::default()));
        let taken = history.take(entry);
        if history.newest_at().is_none() {
            matches.remove(&id);
        }
        gauge!(metrics::ODDS_HELD).set(f64::from(u32::try_from(matches.len()).unwrap_or(u32::MAX)));
        (taken != Taken::Contradictory).then_some(taken)
    }

    /// Which odds of the snapshot have moved in the half hour before it, and how much of that half hour is known.
    pub(crate) fn steam(&self, snapshot: &v1::MatchSnapshot) -> SteamSeen {
        let id = snapshot.r#match.as_ref().and_then(|of| MatchId::new(&of.match_id).ok());
        let history = id.and_then(|id| self.lock().get(&id).cloned());
        let history = history.unwrap_or_else(|| OddsHistory::new(SteamRules::default()));
        let books = match_view::books(&snapshot.books);
        let current: Vec<_> = books.iter().map(|book| (book.bookmaker.as_str(), book.odds)).collect();
        history.steam(&current, Timestamp::from_micros(snapshot.event_time_micros))
    }

    /// What is added to the reason for buying home, draw or away; empty where its odds have not moved.
    pub(crate) fn notes(&self, snapshot: &v1::MatchSnapshot) -> [String; 3] {
        let moves = self.steam(snapshot).report.moves;
        let of = |outcome| moves.iter().filter(move |own| own.outcome == outcome);
        Outcome::ALL.map(|outcome| of(outcome).map(|own| format!("; steam: {}", said(own))).collect())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MatchId, OddsHistory>> {
        self.matches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A move in words.
pub(crate) fn said(own: &SteamMove) -> String {
    let way = match own.direction {
        SteamDirection::Shortening => "shortens",
        SteamDirection::Drifting => "drifts",
    };
    let (outcome, books) = (match_view::word(own.outcome), own.bookmakers.len());
    format!("{outcome} {way} at {books} books by {:.2} in log-odds", own.mean_shift.abs())
}

fn parse(odds: &v1::OddsQuoted) -> Option<(MatchId, OddsEntry)> {
    let book = |book: &v1::BookOdds| {
        let odds = [book.home_odds_micros, book.draw_odds_micros, book.away_odds_micros].map(as_units);
        (book.bookmaker.len() <= BOOKMAKER_BYTES_MAX).then(|| (Arc::from(book.bookmaker.as_str()), odds))
    };
    let entry = OddsEntry {
        feed: odds.feed_started_micros,
        number: u64::try_from(odds.number).ok().filter(|number| *number > 0)?,
        at: Timestamp::from_micros(odds.event_time_micros),
        books: odds.books.iter().map(book).collect::<Option<_>>()?,
    };
    Some((MatchId::new(&odds.match_id).ok()?, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(match_id: &str, number: i64, minute: i64) -> v1::OddsQuoted {
        let book =
            v1::BookOdds { bookmaker: "pinnacle".into(), home_odds_micros: 2_000_000, ..v1::BookOdds::default() };
        let event_time_micros = minute * 60_000_000;
        v1::OddsQuoted {
            match_id: match_id.into(),
            books: vec![book],
            event_time_micros,
            number,
            feed_started_micros: 1,
        }
    }

    #[test]
    fn the_match_that_was_quoted_longest_ago_makes_room_and_an_older_one_is_not_taken() {
        let board = OddsBoard::default();
        for number in 0..MATCHES_MAX {
            let minute = 100 + i64::try_from(number).expect("small");
            assert_eq!(board.take(&quoted(&format!("M{number}"), 1, minute)), Some(Taken::Kept));
        }
        assert_eq!(board.take(&quoted("OLD", 1, 100)), Some(Taken::TooOld));
        assert_eq!(board.take(&quoted("NEW", 1, 101)), Some(Taken::Kept));
        let matches = board.lock();
        let held = ["M0", "M1", "NEW"].map(|id| matches.contains_key(id));
        assert_eq!((matches.len(), held), (MATCHES_MAX, [false, true, true]));
    }

    #[test]
    fn a_match_that_is_not_quoted_any_more_is_forgotten_and_nonsense_is_not_taken() {
        let board = OddsBoard::default();
        board.take(&quoted("M", 1, 0));
        let end = v1::OddsQuoted { books: Vec::new(), ..quoted("M", 2, 1) };
        assert_eq!(board.take(&end), Some(Taken::Ended));
        assert!(board.lock().is_empty());
        let long = "x".repeat(BOOKMAKER_BYTES_MAX + 1);
        let named = |bookmaker: String| vec![v1::BookOdds { bookmaker, ..v1::BookOdds::default() }];
        for bad in [
            quoted("M", 0, 1),
            quoted("M", -1, 1),
            quoted("", 1, 1),
            v1::OddsQuoted { books: named(long), ..quoted("M", 1, 1) },
        ] {
            assert_eq!(board.take(&bad), None, "{bad:?}");
        }
        assert!(board.lock().is_empty());
    }
}
