//! The sample feed: a made-up match day with bookmakers' odds, goals and cards,
//! two currency pairs and a coin, written as files in the formats that are read.
//! The same seed writes the same bytes.

mod dice;
mod matches;
mod past;
mod prices;

use anyhow::Context as _;
use std::path::{Path, PathBuf};
use tragen_domain::time::Timestamp;

/// The day, 2026-08-22, and when its bars start: 02:00 UTC.
const DAY: &str = "2026-08-22";
const BARS_START_HOUR: u16 = 2;
/// Until 23:00 UTC, when the last match is over.
const BARS: u16 = 21 * 60;

/// When the sample starts, market time.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_micros((MIDNIGHT + i64::from(BARS_START_HOUR) * 3_600) * 1_000_000)
}

/// 2026-08-22T00:00:00Z, seconds since the epoch.
const MIDNIGHT: i64 = 1_787_356_800;

/// Writes the file of the two seasons before the day into `folder`, anew each time, and gives its path.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_past(folder: &Path, seed: u64) -> anyhow::Result<PathBuf> {
    write_file(folder, "epl_past.csv", past::file(seed))
}

/// Writes the files into `folder`, anew each time, and gives their paths.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(folder: &Path, seed: u64) -> anyhow::Result<Vec<PathBuf>> {
    files(seed).into_iter().map(|(name, text)| write_file(folder, name, text)).collect()
}

fn write_file(folder: &Path, name: &str, text: String) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let path = folder.join(name);
    // Written aside first, so that another process never reads half a file.
    let aside = folder.join(format!(".{name}.{}", std::process::id()));
    std::fs::write(&aside, text).with_context(|| format!("writing {}", aside.display()))?;
    std::fs::rename(&aside, &path).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// Names and content of the files.
fn files(seed: u64) -> Vec<(&'static str, String)> {
    let (matches, events) = matches::files(seed);
    let mut files = vec![("epl_matches.csv", matches), ("epl_events.csv", events)];
    files.extend(prices::files(seed));
    files
}

/// A point of the day as files write it.
fn clock(minute_of_day: u16) -> String {
    format!("{DAY}T{:02}:{:02}:00Z", minute_of_day / 60, minute_of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        feed::{PlayRules, Player},
        file::{self, Book, Limits},
        market::Market,
        number,
    };
    use std::sync::Arc;
    use tragen_domain::{
        agents::scout::{MatchPhase, MatchView, Quote, ScoutRules, scout},
        id::{InstrumentId, MatchId},
        market::Level,
    };

    #[test]
    fn every_row_is_accepted_by_the_readers() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = write(folder.path(), 7).expect("written");
        let intake = file::read(&paths, Limits { file_mib_max: 16, rows_max: 100_000 }).expect("readable");
        for report in intake.reports() {
            assert_eq!((report.skipped, report.repaired), (0, 0), "{:?}", report.faults);
        }
        assert_eq!(intake.matches.len(), 10);
        assert_eq!(intake.matches[0].id.as_str(), "EPL-2026-ARS-MCI");
        let ids: Vec<&str> = intake.series.iter().map(|s| s.listing.instrument.id.as_str()).collect();
        assert_eq!(ids, ["GBPUSD", "EURUSD", "BTCUSD-PERP", "BTCUSD"]);
        assert_eq!(intake.series[0].rows[0].start, start());
    }

    /// Matches that the scout would bet on, with its default rules.
    fn bargains(market: &Market, ids: &[MatchId]) -> Vec<bool> {
        let price = |level: Option<Level>| level.map(|level| number::float(level.price.micros()) / 1e6);
        let quote = |id: &InstrumentId| {
            let quote = &market.instrument(id.as_str()).expect("listed").quote;
            Some(Quote { ask: price(quote.ask)?, ask_size: 300.0, bid: price(quote.bid), age_ms: None })
        };
        let is_bargain = |id: &MatchId| {
            let live = market.live_match(id.as_str()).expect("listed");
            let books: Vec<_> = live.books.iter().map(Book::opinion).collect();
            let quotes = live.instruments.each_ref().map(quote);
            let view = MatchView { phase: MatchPhase::PreMatch, books: &books, quotes };
            let report = scout(&view, &ScoutRules::default()).expect("a report");
            !report.opportunities.is_empty()
        };
        ids.iter().map(is_bargain).collect()
    }

    #[test]
    fn the_first_fixture_always_has_value_and_most_have_none() {
        let mut found = 0;
        for seed in 0..6 {
            let folder = tempfile::tempdir().expect("a folder");
            let paths = write(folder.path(), seed).expect("written");
            let intake = file::read(&paths, Limits { file_mib_max: 16, rows_max: 100_000 }).expect("readable");
            let ids: Vec<MatchId> = intake.matches.iter().map(|row| row.id.clone()).collect();
            let rules = PlayRules { listing_hours: 24, start: Some(start()) };
            let mut player = Player::new(Arc::new(intake), rules).expect("a player");
            let mut market = Market::default();
            for hour in [1, 8, 9] {
                let until = start().plus_millis(3_600_000 * hour);
                while player.next_at().is_some_and(|next| next <= until) {
                    player.play_next(&mut market);
                }
                let bargains = bargains(&market, &ids);
                assert!(bargains[0], "seed {seed}, hour {hour}");
                found += bargains.iter().filter(|is_bargain| **is_bargain).count();
            }
        }
        let share = number::float(i64::try_from(found).expect("a count")) / (6.0 * 3.0 * 10.0);
        assert!((0.2..0.6).contains(&share), "{share} of the matches have value");
    }

    #[test]
    fn two_seasons_came_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write_past(folder.path(), 7).expect("written");
        let past = file::read(&[path], Limits { file_mib_max: 16, rows_max: 100_000 }).expect("readable");
        for report in past.reports() {
            assert_eq!((report.skipped, report.repaired), (0, 0), "{:?}", report.faults);
        }
        assert_eq!(past.matches.len(), 760);
        assert!(past.matches.iter().all(|row| row.kickoff < start() && row.closing.over_under.is_some()));
        let seasons: std::collections::BTreeSet<u16> = past.matches.iter().map(|row| row.season_first_year).collect();
        assert_eq!(seasons.into_iter().collect::<Vec<_>>(), [2024, 2025]);
        assert_eq!(past::file(7), past::file(7));
        assert_ne!(past::file(7), past::file(8));
    }

    #[test]
    fn the_seed_decides_every_byte() {
        assert_eq!(files(1), files(1));
        for ((name, one), (_, other)) in files(1).iter().zip(files(2)) {
            assert_ne!(*one, other, "{name}");
        }
    }
}
