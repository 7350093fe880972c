//! The sample feed: a made-up match day with bookmakers' odds, goals and cards,
//! two currency pairs and a coin, written as files in the formats that are read.
//! The same seed writes the same bytes.

mod dice;
mod matches;
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

/// Writes the files into `folder`, anew each time, and gives their paths.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(folder: &Path, seed: u64) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let mut paths = Vec::new();
    for (name, text) in files(seed) {
        let path = folder.join(name);
        // Written aside first, so that another process never reads half a file.
        let aside = folder.join(format!(".{name}.{}", std::process::id()));
        std::fs::write(&aside, text).with_context(|| format!("writing {}", aside.display()))?;
        std::fs::rename(&aside, &path).with_context(|| format!("writing {}", path.display()))?;
        paths.push(path);
    }
    Ok(paths)
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
    use crate::file::{self, Limits};

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

    #[test]
    fn the_seed_decides_every_byte() {
        assert_eq!(files(1), files(1));
        for ((name, one), (_, other)) in files(1).iter().zip(files(2)) {
            assert_ne!(*one, other, "{name}");
        }
    }
}
