//! Which part of the files plays: market days from one date up to another.

use super::{FileError, Intake};
use jiff::{civil::Date, tz::TimeZone};
use tragen_domain::time::Timestamp;

/// Market time from `from` (included) to `to` (not included).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from: Timestamp,
    to: Timestamp,
}

impl Window {
    /// From the start of day `from` to the start of day `to`, UTC; empty for no bound.
    ///
    /// # Errors
    /// The date that is none, as a sentence.
    pub fn parse(from: &str, to: &str) -> Result<Self, String> {
        let bound = |text: &str, otherwise: i64| match text {
            "" => Ok(Timestamp::from_micros(otherwise)),
            text => start_of(text).ok_or_else(|| format!("{text:?} is not a date such as 2012-02-01")),
        };
        Ok(Self { from: bound(from, i64::MIN)?, to: bound(to, i64::MAX)? })
    }

    fn contains(&self, time: Timestamp) -> bool {
        self.from <= time && time < self.to
    }
}

fn start_of(date: &str) -> Option<Timestamp> {
    let date: Date = date.parse().ok()?;
    let start = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp::from_micros(start.as_microsecond()))
}

impl Intake {
    /// Only what lies in `window`; matches before it are history.
    ///
    /// # Errors
    /// [`FileError::NothingInWindow`] when nothing does.
    pub fn within(mut self, window: Window) -> Result<Self, FileError> {
        let (past, rest) = self.matches.into_iter().partition(|row| row.kickoff < window.from);
        (self.past, self.matches) = (past, rest);
        self.matches.retain(|row| window.contains(row.kickoff));
        for series in &mut self.series {
            series.rows.retain(|row| window.contains(row.start));
        }
        self.series.retain(|series| !series.rows.is_empty());
        if self.matches.is_empty() && self.series.is_empty() {
            return Err(FileError::NothingInWindow);
        }
        Ok(self)
    }

    /// What was known at `now`: bars that had begun, matches of days that had begun, without the closing odds of
    /// those that had not kicked off, and without the results of those that were still played.
    #[must_use]
    pub fn known_at(&self, now: Timestamp) -> Self {
        let mut known = self.clone();
        for series in &mut known.series {
            series.rows.retain(|row| row.start < now);
        }
        known.series.retain(|series| !series.rows.is_empty());
        known.matches.retain(|row| row.day_start() < now);
        for row in &mut known.matches {
            row.forget_after(now);
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_its_first_day_and_not_its_last() {
        let window = Window::parse("2012-02-01", "2012-03-01").expect("dates");
        let at = |text: &str| start_of(text).expect("a date");
        assert!(window.contains(at("2012-02-01")) && window.contains(at("2012-02-29")));
        assert!(!window.contains(at("2012-03-01")) && !window.contains(at("2012-01-31")));
        assert!(Window::parse("", "").expect("no bounds").contains(at("1999-12-31")));
        assert!(Window::parse("yesterday", "").is_err() && Window::parse("", "2012-13-01").is_err());
    }
}
