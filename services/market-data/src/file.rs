//! Market files: what kind a file is shows in its header; bad rows are named
//! as `file:line:field: reason`, counted and passed over; a file that is not
//! what it says is refused as a whole.

mod bars;
mod events;
mod matches;
mod moment;
mod report;
mod window;

pub use bars::{BarRow, Series};
pub(crate) use events::{Incident, IncidentKind};
pub(crate) use matches::Standing;
pub use matches::{Book, Lines, LinesKnown, MatchRow};
pub use report::{FileKind, FileReport};
pub use window::Window;

use crate::csv::{Row, Rows};
use events::EventRow;
use report::BadField;
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};
use tracing::{info, warn};
use tragen_domain::id::InstrumentId;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest file.
    pub file_mib_max: u64,
    /// Most rows of all files together.
    pub rows_max: usize,
}

/// Everything a set of files says.
#[derive(Debug, Clone, Default)]
pub struct Intake {
    /// What is played.
    pub(crate) matches: Vec<MatchRow>,
    /// What was over before that: only history.
    pub(crate) past: Vec<MatchRow>,
    pub(crate) series: Vec<Series>,
    reports: Vec<FileReport>,
}

/// Why a file, or all of them, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The dates leave nothing.
    #[error("nothing in the files lies between market_data.from_date and market_data.to_date")]
    NothingInWindow,
    /// It cannot be read.
    #[error("reading {file}")]
    Unreadable {
        /// The file.
        file: String,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// It is larger than allowed.
    #[error("{file} has {size_mib} MiB, at most {limit_mib} are read (market_data.file_mib_max)")]
    TooLarge {
        /// The file.
        file: String,
        /// Its size.
        size_mib: u64,
        /// The bound.
        limit_mib: u64,
    },
    /// All files together have more rows than allowed.
    #[error("{file} brings the rows to {rows}, at most {limit} are read (market_data.rows_max)")]
    TooManyRows {
        /// The file that passed the bound.
        file: String,
        /// Rows of all files up to it.
        rows: usize,
        /// The bound.
        limit: usize,
    },
    /// Its header or content is not what was expected.
    #[error("{file}:{line}: expected {expected}, found {found}")]
    Refused {
        /// The file.
        file: String,
        /// The line that shows it, from 1.
        line: usize,
        /// What was expected.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Not one row of it is usable.
    #[error("{file}: none of {rows} rows is usable; the first: {first}")]
    NoUsableRow {
        /// The file.
        file: String,
        /// How many rows it has.
        rows: u64,
        /// What is wrong with the first.
        first: String,
    },
    /// No file holds prices.
    #[error("none of the {files} files holds bars, or matches with odds")]
    NoPrices {
        /// How many were read.
        files: usize,
    },
}

/// Reads files, and folders of `*.csv` files in the order of their names.
///
/// In a folder, files of an unknown kind are left out with a warning; a file
/// that is named must be usable.
///
/// # Errors
/// [`FileError`] naming the file.
pub fn read(paths: &[PathBuf], limits: Limits) -> Result<Intake, FileError> {
    let mut intake = Intake::default();
    let (mut events, mut bars) = (Vec::new(), Vec::new());
    let mut rows = 0;
    for (path, is_named) in expand(paths)? {
        let text = load(&path, limits)?;
        let file = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
        let mut sheet = Sheet::new(file, &text);
        let Some(kind) = sheet.kind() else {
            let error = sheet.not_known();
            if is_named {
                return Err(error);
            }
            warn!("left out {error}");
            continue;
        };
        let mut report = match kind {
            FileKind::Matches => matches::read(&mut sheet, &mut intake.matches)?,
            FileKind::Events => events::read(&mut sheet, &mut events)?,
            FileKind::Bars => bars::read(&mut sheet, intake.reports.len(), &mut bars)?,
        };
        report.unread = sheet.unread()?;
        report.check()?;
        rows += usize::try_from(report.accepted + report.skipped).unwrap_or(usize::MAX);
        if rows > limits.rows_max {
            return Err(FileError::TooManyRows { file: sheet.file, rows, limit: limits.rows_max });
        }
        intake.reports.push(report);
    }
    intake.join(events);
    intake.series = bars::join(bars, &mut intake.reports);
    intake.reports.iter().for_each(FileReport::conclude);
    if intake.matches.is_empty() && intake.series.is_empty() {
        return Err(FileError::NoPrices { files: intake.reports.len() });
    }
    Ok(intake)
}

/// The instruments that the names of files of bars tell without reading them; of files with a column `symbol` none.
///
/// # Errors
/// [`FileError`] naming the folder that cannot be read.
pub fn named_instruments(paths: &[PathBuf]) -> Result<Vec<InstrumentId>, FileError> {
    let files = expand(paths)?;
    let names = files.iter().filter_map(|(path, _)| path.file_name()?.to_str());
    let mut named: Vec<InstrumentId> = names.filter_map(bars::named_instrument).collect();
    named.sort();
    named.dedup();
    Ok(named)
}

impl Intake {
    /// What was read, one report per file.
    #[must_use]
    pub fn reports(&self) -> &[FileReport] {
        &self.reports
    }

    /// Every match, in the order of the files.
    #[must_use]
    pub fn matches(&self) -> &[MatchRow] {
        &self.matches
    }

    /// The bars, one series per instrument.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// Gives every match its goals and cards. A match whose events do not add
    /// up to its result keeps the result and loses the events.
    fn join(&mut self, events: Vec<EventRow>) {
        let has_events = !events.is_empty();
        let mut of_match: HashMap<_, Vec<Incident>> = HashMap::new();
        for event in events {
            of_match.entry(event.key).or_default().push(event.incident);
        }
        let mut without = 0_u32;
        for row in &mut self.matches {
            let incidents = of_match.remove(&row.key()).unwrap_or_default();
            if !row.take_incidents(incidents) {
                without += 1;
            }
        }
        if without > 0 {
            info!("{without} matches have no events that fit their result: their goals are placed at even minutes");
        }
        if has_events && !of_match.is_empty() {
            warn!("events of {} matches belong to no match of the files", of_match.len());
        }
    }
}

/// A file split into its header and rows.
struct Sheet<'a> {
    file: String,
    header: Vec<String>,
    /// Columns that were looked for and are there.
    known: RefCell<BTreeSet<usize>>,
    rows: Rows<'a>,
}

/// One row with the header's width.
struct Cells<'a> {
    line: usize,
    fields: Vec<std::borrow::Cow<'a, str>>,
}

impl<'a> Sheet<'a> {
    fn new(file: String, text: &'a str) -> Self {
        let mut rows = Rows::new(text);
        let header = match rows.next() {
            Some(Ok(Row { fields, .. })) => fields.iter().map(|name| name.trim().to_ascii_lowercase()).collect(),
            Some(Err(_)) | None => Vec::new(),
        };
        Self { file, header, known: RefCell::default(), rows }
    }

    /// The column of the first of `names` there is.
    fn column(&self, names: &[&str]) -> Option<usize> {
        let found = names.iter().find_map(|name| self.header.iter().position(|column| column == name));
        self.known.borrow_mut().extend(found);
        found
    }

    /// The names of columns that nobody has looked for, or the file is refused: a column that is read and stands twice
    /// in the header says nothing.
    fn unread(&self) -> Result<Vec<String>, FileError> {
        let known = self.known.borrow();
        let names: BTreeSet<&String> = known.iter().filter_map(|place| self.header.get(*place)).collect();
        let mut unread = Vec::new();
        for (place, name) in
            self.header.iter().enumerate().filter(|(place, name)| !known.contains(place) && !name.is_empty())
        {
            if names.contains(name) {
                let found = format!("it again as column {}", place + 1);
                return Err(self.refused(1, &format!("one column {}", name.escape_debug()), found));
            }
            unread.push(name.escape_debug().to_string());
        }
        Ok(unread)
    }

    fn kind(&self) -> Option<FileKind> {
        let has = |names: &[&str]| self.column(names).is_some();
        let has_teams = has(&["home", "hometeam"]) && has(&["away", "awayteam"]) && has(&["date"]);
        if has_teams && has(&["minute"]) && has(&["type"]) {
            Some(FileKind::Events)
        } else if has_teams && has(&["fthg"]) && has(&["ftag"]) {
            Some(FileKind::Matches)
        } else if has(&bars::TIME) && (has(&["open"]) && has(&["close"]) || has(&["bid_c"]) && has(&["ask_c"])) {
            Some(FileKind::Bars)
        } else {
            None
        }
    }

    /// The header does not have what is needed.
    fn refused(&self, line: usize, expected: &str, found: impl Into<String>) -> FileError {
        FileError::Refused { file: self.file.clone(), line, expected: expected.to_owned(), found: found.into() }
    }

    fn not_known(&self) -> FileError {
        // What is no text at all must not reach a terminal as it is.
        let shown: Vec<String> = self.header.iter().take(8).map(|name| name.escape_debug().to_string()).collect();
        self.refused(
            1,
            "a header of matches (date,home,away,fthg,ftag and odds), match events (date,home,away,minute,type,side) \
             or bars (a time and open,high,low,close or bid_o..ask_c)",
            if shown.is_empty() { "no header".to_owned() } else { shown.join(",") },
        )
    }

    /// The column of the first of `names` there is, or the file is refused.
    fn needed(&self, names: &[&str]) -> Result<usize, FileError> {
        self.column(names).ok_or_else(|| self.refused(1, &format!("a column {}", names.join(" or ")), "none"))
    }

    /// The next row; rows that are not CSV or have another width are reported.
    fn next(&mut self, report: &mut FileReport) -> Option<Cells<'a>> {
        loop {
            match self.rows.next()? {
                Err(bad) => report.refuse(bad.line, &BadField::new("row", bad.reason)),
                Ok(row) if row.fields.iter().all(|field| field.trim().is_empty()) => {
                    report.refuse(row.line, &BadField::new("row", "is empty"));
                }
                Ok(row) if row.fields.len() != self.header.len() => {
                    let reason = format!("has {} fields, the header {}", row.fields.len(), self.header.len());
                    report.refuse(row.line, &BadField::new("row", reason));
                }
                Ok(row) => return Some(Cells { line: row.line, fields: row.fields }),
            }
        }
    }
}

impl Cells<'_> {
    /// A field without blanks around it.
    fn text(&self, column: usize) -> &str {
        self.fields.get(column).map_or("", |field| field.trim())
    }

    /// A field read by `parse`, or why it is bad.
    fn parse<T>(
        &self,
        name: &str,
        column: usize,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, BadField> {
        parse(self.text(column)).map_err(|reason| BadField::new(name, reason))
    }
}

/// The files behind the paths, each with whether it was named itself.
fn expand(paths: &[PathBuf]) -> Result<Vec<(PathBuf, bool)>, FileError> {
    let mut files = Vec::new();
    for path in paths {
        let unreadable = |source| FileError::Unreadable { file: path.display().to_string(), source };
        if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
            files.push((path.clone(), true));
            continue;
        }
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
                inside.push((file, false));
            }
        }
        inside.sort();
        files.append(&mut inside);
    }
    Ok(files)
}

/// The text of a file; bytes that are not UTF-8 become U+FFFD.
fn load(path: &Path, limits: Limits) -> Result<String, FileError> {
    let file = || path.display().to_string();
    let unreadable = |source| FileError::Unreadable { file: file(), source };
    let size_mib = std::fs::metadata(path).map_err(unreadable)?.len() >> 20;
    if size_mib > limits.file_mib_max {
        return Err(FileError::TooLarge { file: file(), size_mib, limit_mib: limits.file_mib_max });
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests;
