//! What a command prints: aligned text for people, the API's messages as JSON
//! for programs, lists as CSV for spreadsheets.

use clap::ValueEnum;
use serde::Serialize;
use std::io::Write as _;
use tragen_domain::money::Money;

/// What the output looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned text.
    Table,
    /// The API's messages.
    Json,
    /// Lists with a header, as in RFC 4180.
    Csv,
}

impl Format {
    /// One message: as JSON, or as names with values.
    pub(crate) fn record(self, message: &impl Serialize, fields: &[(&str, String)]) -> anyhow::Result<()> {
        match self {
            Self::Json => json(message),
            Self::Table => {
                let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                let filled = fields.iter().filter(|(_, value)| !value.is_empty());
                let lines: Vec<String> = filled.map(|(name, value)| format!("{name:width$}  {value}")).collect();
                print(&lines.join("\n"))
            }
            Self::Csv => {
                let (names, values): (Vec<&str>, Vec<String>) = fields.iter().cloned().unzip();
                print(&csv(&names, &[values]))
            }
        }
    }

    /// Many messages: as an object with the one array `name`, or as a table.
    pub(crate) fn list<T: Serialize>(
        self,
        name: &str,
        items: &[T],
        headers: &[&str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Json => json(&serde_json::json!({ name: items })),
            Self::Table => print(&table(headers, &items.iter().map(row).collect::<Vec<_>>())),
            Self::Csv => print(&csv(headers, &items.iter().map(row).collect::<Vec<_>>())),
        }
    }

    /// Like [`Self::list`]; a table without rows is the sentence `none`.
    pub(crate) fn list_or<T: Serialize>(
        self,
        none: &str,
        name: &str,
        items: &[T],
        headers: &[&str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Table if items.is_empty() => print(none),
            Self::Table | Self::Json | Self::Csv => self.list(name, items, headers, row),
        }
    }

    /// One message of many that come over time: a line of JSON, or `line`.
    pub(crate) fn event(self, message: &impl Serialize, line: impl FnOnce() -> String) -> anyhow::Result<()> {
        match self {
            Self::Json => print(&serde_json::to_string(message)?),
            Self::Table => print(&line()),
            Self::Csv => anyhow::bail!("--output: csv is for lists; what comes over time is table or json"),
        }
    }
}

/// Prints `text` and a line end, at once.
///
/// # Errors
/// When nobody reads any more.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

fn json(message: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(message)?)
}

/// `micros` times 1e-6 as a person writes it.
pub(crate) fn decimal(micros: i64) -> String {
    Money::from_micros(micros).to_string()
}

/// Like [`decimal`], with nothing for zero.
pub(crate) fn decimal_or_blank(micros: i64) -> String {
    if micros == 0 { String::new() } else { decimal(micros) }
}

/// An enum value without the enum's name: `TRADE_STATUS_FILLED` is `FILLED`; unset is empty.
pub(crate) fn word(name: &'static str, prefix: &str) -> String {
    match name.strip_prefix(prefix).unwrap_or(name) {
        "UNSPECIFIED" => String::new(),
        word => word.to_owned(),
    }
}

/// A time in seconds since the epoch, to the second, UTC; empty for 0.
pub(crate) fn moment(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) if seconds != 0 => time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        _ => String::new(),
    }
}

/// A header and rows; what has a comma, a quote or a line end in it is quoted.
fn csv(headers: &[&str], rows: &[Vec<String>]) -> String {
    let cell = |text: &str| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let head =
        headers.iter().map(|header| cell(&header.to_lowercase().replace(' ', "_"))).collect::<Vec<_>>().join(",");
    let body = rows.iter().map(|row| row.iter().map(|text| cell(text)).collect::<Vec<_>>().join(","));
    std::iter::once(head).chain(body).collect::<Vec<_>>().join("\n")
}

/// Columns as wide as their widest cell; numbers to the right.
fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let is_number = |column: usize| {
        let mut cells = rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty()).peekable();
        cells.peek().is_some() && cells.all(|cell| cell.parse::<Money>().is_ok())
    };
    let columns: Vec<(usize, bool)> = headers
        .iter()
        .enumerate()
        .map(|(column, header)| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            (cells.chain([header.len()]).max().unwrap_or(0), is_number(column))
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.into_iter().zip(&columns).map(|(cell, (width, to_the_right))| {
            if *to_the_right { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(headers.to_vec());
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(head).chain(body).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let rows = [vec!["GBPUSD".to_owned(), "-1.5".to_owned()], vec!["E".to_owned(), "10".to_owned()]];
        assert_eq!(
            table(&["INSTRUMENT", "QUANTITY"], &rows),
            "INSTRUMENT  QUANTITY\nGBPUSD          -1.5\nE                 10"
        );
        assert_eq!(table(&["INSTRUMENT", "QUANTITY"], &[]), "INSTRUMENT  QUANTITY");
    }

    #[test]
    fn cells_of_a_csv_stay_apart() {
        let rows = [vec!["a,b".to_owned(), "said \"no\"".to_owned()], vec![String::new(), "-1.5".to_owned()]];
        assert_eq!(csv(&["NAME", "OPEN ORDERS"], &rows), "name,open_orders\n\"a,b\",\"said \"\"no\"\"\"\n,-1.5");
    }

    #[test]
    fn words_and_moments_are_for_people() {
        assert_eq!(word("TRADE_STATUS_NO_TRADE", "TRADE_STATUS_"), "NO_TRADE");
        assert_eq!(word("SIDE_UNSPECIFIED", "SIDE_"), "");
        assert_eq!(moment(1_700_000_000), "2023-11-14 22:13:20Z");
        assert_eq!(decimal(-550_000), "-0.55");
    }
}
