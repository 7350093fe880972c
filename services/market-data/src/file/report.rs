//! What became of the rows of one file.

use super::FileError;
use metrics::counter;
use std::collections::BTreeMap;
use tracing::{info, warn};

/// Refused rows that are logged one by one; the rest is only counted.
const REFUSALS_SHOWN: usize = 20;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Results and bookmakers' odds.
    Matches,
    /// Goals and cards.
    Events,
    /// Open, high, low and close of intervals.
    Bars,
}

/// What became of the rows of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// The file's name.
    pub file: String,
    /// What it holds.
    pub kind: FileKind,
    /// Rows that are used.
    pub accepted: u64,
    /// Rows that are not, because something is wrong with them.
    pub skipped: u64,
    /// Sound rows that are not used either: bars of an instrument that another file has shorter bars of.
    pub left_out: u64,
    /// Single values inside used rows that were left out or put right, e.g. a bookmaker's impossible price.
    pub repaired: u64,
    /// Used rows with such values.
    pub repaired_rows: u64,
    /// The first 20 faults as `file:line:field: reason`.
    pub faults: Vec<String>,
    /// Columns that nobody knows and that are therefore not read, by name, in the order of the header.
    pub unread: Vec<String>,
    /// Repairs by line.
    repairs: BTreeMap<usize, u64>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadField {
    field: String,
    reason: String,
}

impl BadField {
    pub(super) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl FileKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::Events => "events",
            Self::Bars => "bars",
        }
    }
}

impl FileReport {
    pub(super) fn new(file: &str, kind: FileKind) -> Self {
        Self {
            file: file.to_owned(),
            kind,
            accepted: 0,
            skipped: 0,
            left_out: 0,
            repaired: 0,
            repaired_rows: 0,
            repairs: BTreeMap::new(),
            faults: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// The row at `line` is not used.
    pub(super) fn refuse(&mut self, line: usize, bad: &BadField) {
        self.skipped += 1;
        self.forget_repairs(line);
        self.name(line, bad, "skipped");
    }

    /// The row at `line`, which was accepted, is not used after all.
    pub(super) fn take_back(&mut self, line: usize, bad: &BadField) {
        self.accepted -= 1;
        self.refuse(line, bad);
    }

    /// The row at `line`, which was accepted, is sound, but others are used instead.
    pub(super) fn leave_out(&mut self, line: usize) {
        (self.accepted, self.left_out) = (self.accepted - 1, self.left_out + 1);
        self.forget_repairs(line);
    }

    /// What was put right in a row that is not used does not count.
    fn forget_repairs(&mut self, line: usize) {
        if let Some(repairs) = self.repairs.remove(&line) {
            (self.repaired, self.repaired_rows) = (self.repaired - repairs, self.repaired_rows - 1);
        }
    }

    /// One value of the row at `line` is left out or put right.
    pub(super) fn repair(&mut self, line: usize, bad: &BadField) {
        let repairs = self.repairs.entry(line).or_default();
        *repairs += 1;
        (self.repaired, self.repaired_rows) = (self.repaired + 1, self.repaired_rows + u64::from(*repairs == 1));
        self.name(line, bad, "repaired");
    }

    fn name(&mut self, line: usize, bad: &BadField, verdict: &str) {
        if self.faults.len() < REFUSALS_SHOWN {
            let fault = format!("{}:{line}:{}: {}", self.file, bad.field, bad.reason);
            warn!("{verdict} {fault}");
            self.faults.push(fault);
        }
    }

    /// Rows that are used as they are, and all rows but those that were left out.
    #[must_use]
    pub fn sound_of_all(&self) -> (u64, u64) {
        (self.accepted.saturating_sub(self.repaired_rows), self.accepted + self.skipped)
    }

    /// Share of rows that are used as they are, 0 to 1; None where all are left out.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        let float = |rows: u64| f64::from(u32::try_from(rows).unwrap_or(u32::MAX));
        let (sound, rows) = self.sound_of_all();
        (rows > 0).then(|| float(sound) / float(rows))
    }

    /// Whether any row can be used.
    ///
    /// # Errors
    /// [`FileError::NoUsableRow`].
    pub(super) fn check(&self) -> Result<(), FileError> {
        if self.accepted == 0 {
            let first = self.faults.first().cloned().unwrap_or_else(|| "it has no rows".to_owned());
            return Err(FileError::NoUsableRow { file: self.file.clone(), rows: self.skipped, first });
        }
        Ok(())
    }

    /// Counts and logs the whole file, once it is known which rows are used.
    pub(super) fn conclude(&self) {
        let kind = self.kind.as_str();
        let count = |result: &'static str, rows: u64| {
            counter!("market_data_rows_total", "kind" => kind, "result" => result).increment(rows);
        };
        count("accepted", self.accepted);
        count("skipped", self.skipped);
        count("left_out", self.left_out);
        counter!("market_data_values_repaired_total", "kind" => kind).increment(self.repaired);
        if !self.unread.is_empty() {
            let shown: Vec<&str> = self.unread.iter().take(REFUSALS_SHOWN).map(String::as_str).collect();
            info!(
                "{} columns of {} are not known and not read: {} ...",
                self.unread.len(),
                self.file,
                shown.join(", ")
            );
        }
        info!(
            file.rows_accepted = self.accepted,
            file.rows_skipped = self.skipped,
            "read {}: {} rows of {kind}, {} skipped, {} left out, {} values repaired",
            self.file,
            self.accepted,
            self.skipped,
            self.left_out,
            self.repaired
        );
    }
}
