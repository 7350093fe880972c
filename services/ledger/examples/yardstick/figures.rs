//! The figures, as a table for people and as JSON.

use super::processor::Share;
use serde::Serialize;
use std::{fmt, time::Duration};

/// Everything that was measured, and where.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// What writing 8 KiB durably takes.
    pub(crate) sync: Option<Latency>,
    /// What the stores were told, and their versions.
    pub(crate) settings: Vec<(String, String)>,
    /// One for each line.
    pub(crate) figures: Vec<Figure>,
}

/// One line of the table.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Figure {
    /// `bare`, `plain` or `tpcb`.
    pub(crate) part: &'static str,
    /// Who keeps the books.
    pub(crate) store: &'static str,
    /// How they are written.
    pub(crate) way: &'static str,
    /// Accounts there are.
    pub(crate) accounts: Option<i64>,
    /// `even` or `house`; empty where there is no choice.
    pub(crate) spread: &'static str,
    /// Transfers in one transaction.
    pub(crate) batch: u32,
    /// Writers at the same time.
    pub(crate) connections: u32,
    /// Transfers in a second; transactions in a second of `tpcb`.
    pub(crate) per_second: u128,
    /// From BEGIN to the answer of COMMIT.
    pub(crate) transaction: Option<Latency>,
    /// COMMIT alone.
    pub(crate) commit: Option<Latency>,
    /// Who used the processor meanwhile.
    pub(crate) processor: Option<Share>,
    /// Bytes of PostgreSQL's log for one transfer.
    pub(crate) log_bytes: Option<u64>,
}

/// How long something took that was done many times, microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    /// Half of the times it took less.
    pub(crate) p50_micros: u128,
    /// In 99 of 100 cases it took less.
    pub(crate) p99_micros: u128,
}

impl Latency {
    /// None of nothing.
    pub(crate) fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).map(Duration::as_micros);
        Some(Self { p50_micros: at(50)?, p99_micros: at(99)? })
    }
}

impl Figure {
    /// The same as a figure of `part`.
    pub(crate) fn of(self, part: &'static str) -> Self {
        Self { part, ..self }
    }

    fn cells(&self) -> Vec<String> {
        let (whole, commit) = (millis(self.transaction), millis(self.commit));
        let share = |part: fn(Share) -> u64| self.processor.map_or_else(dash, |all| part(all).to_string());
        vec![
            self.part.to_owned(),
            self.store.to_owned(),
            self.way.to_owned(),
            self.accounts.map_or_else(dash, |count| count.to_string()),
            self.spread.to_owned(),
            self.batch.to_string(),
            self.connections.to_string(),
            self.per_second.to_string(),
            whole.0,
            whole.1,
            commit.0,
            commit.1,
            share(|all| all.server_percent),
            share(|all| all.client_percent),
            share(|all| all.others_percent),
            self.log_bytes.map_or_else(dash, |bytes| bytes.to_string()),
        ]
    }
}

impl Report {
    /// Adds a line, and shows that there is progress.
    pub(crate) fn add(&mut self, figure: Figure) {
        let Figure { part, store, way, batch, connections, per_second, .. } = &figure;
        let accounts = figure.accounts.unwrap_or_default();
        eprintln!(
            "{part} {store} {way}: {accounts} accounts, batch {batch}, connections {connections}: {per_second}/s"
        );
        self.figures.push(figure);
    }
}

/// The titles in two lines, texts first.
const TITLES: [(&str, &str); 16] = [
    ("", "part"),
    ("", "store"),
    ("", "way"),
    ("", "accounts"),
    ("", "spread"),
    ("", "batch"),
    ("connec-", "tions"),
    ("", "per second"),
    ("transaction", "p50 ms"),
    ("", "p99 ms"),
    ("commit", "p50 ms"),
    ("", "p99 ms"),
    ("server", "cpu %"),
    ("client", "cpu %"),
    ("others", "cpu %"),
    ("log B/", "transfer"),
];
/// Columns that are aligned to the left.
const TEXTS: [usize; 4] = [0, 1, 2, 4];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sync = millis(self.sync);
        writeln!(f, "writing 8 KiB durably: p50 {} ms, p99 {} ms", sync.0, sync.1)?;
        for (name, value) in &self.settings {
            writeln!(f, "{name}: {value}")?;
        }
        let mut rows: Vec<Vec<String>> = vec![
            TITLES.iter().map(|(above, _)| (*above).to_owned()).collect(),
            TITLES.iter().map(|(_, title)| (*title).to_owned()).collect(),
        ];
        rows.extend(self.figures.iter().map(Figure::cells));
        let widths: Vec<usize> =
            (0..TITLES.len()).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
        writeln!(f)?;
        for row in &rows {
            let mut line = String::new();
            for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                line += &if TEXTS.contains(&at) { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        let best = self.figures.iter().filter(|figure| figure.part == "tpcb").max_by_key(|figure| figure.per_second);
        if let Some(best) = best {
            writeln!(f, "\nbest of tpcb: {} transactions/s with {} clients", best.per_second, best.connections)?;
        }
        Ok(())
    }
}

fn dash() -> String {
    "-".to_owned()
}

/// p50 and p99 in milliseconds.
fn millis(latency: Option<Latency>) -> (String, String) {
    let text = |micros: u128| format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10);
    latency.map_or_else(|| (dash(), dash()), |latency| (text(latency.p50_micros), text(latency.p99_micros)))
}
