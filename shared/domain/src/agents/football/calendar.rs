//! Days and seasons of football, as the league's calendar names them.

use crate::time::Timestamp;
use std::fmt;

/// A calendar day in the league's own time zone, counted from 1 January 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchDay(i32);

/// A date that no calendar has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{year}-{month}-{day} is not a date")]
pub struct InvalidDate {
    /// The year as given.
    pub year: i32,
    /// The month as given.
    pub month: u8,
    /// The day of the month as given.
    pub day: u8,
}

impl MatchDay {
    /// The day that many days after 1 January 1970.
    #[must_use]
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// The day of a Gregorian date between the years 1800 and 9999.
    ///
    /// ```
    /// use tragen_domain::agents::football::MatchDay;
    /// assert_eq!(MatchDay::from_date(2024, 8, 16)?.days(), 19_951);
    /// assert!(MatchDay::from_date(2023, 2, 29).is_err());
    /// # Ok::<(), tragen_domain::agents::football::InvalidDate>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidDate`] for a date that does not exist.
    pub fn from_date(year: i32, month: u8, day: u8) -> Result<Self, InvalidDate> {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            _ => 0,
        };
        if !(1_800..=9_999).contains(&year) || day == 0 || day > length {
            return Err(InvalidDate { year, month, day });
        }
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil: years begin in March, so that
        // the leap day is the last of its year.
        let year = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let months_since_march = (i32::from(month) + 9) % 12;
        let day_of_year = (153 * months_since_march + 2) / 5 + i32::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Ok(Self(era * 146_097 + day_of_era - 719_468))
    }

    /// The UTC day of a point in time.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(i32::try_from(at.utc_day()).unwrap_or(i32::MAX))
    }

    /// Days since 1 January 1970.
    #[must_use]
    pub const fn days(self) -> i32 {
        self.0
    }

    /// Days from `earlier` to this one; negative when that is later.
    #[must_use]
    pub const fn days_since(self, earlier: Self) -> i32 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for MatchDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // civil_from_days of the same source.
        let days = i64::from(self.0) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let months_since_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
        let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// A season, by the year it begins in: 2024 is "2024-25".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Season(u16);

impl Season {
    /// The season that begins in this year.
    #[must_use]
    pub const fn beginning(year: u16) -> Self {
        Self(year)
    }

    /// Reads "2024-25"; None for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, second) = text.split_once('-')?;
        let is_digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(first, 4) || !is_digits(second, 2) {
            return None;
        }
        let (first, second) = (first.parse::<u16>().ok()?, second.parse::<u16>().ok()?);
        ((first + 1) % 100 == second).then_some(Self(first))
    }

    /// The year it begins in.
    #[must_use]
    pub const fn first_year(self) -> u16 {
        self.0
    }

    /// The season before.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Season {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:02}", self.0, (u32::from(self.0) + 1) % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        let check = |year: i32, month: u8, day: u8, days: i32| {
            let got = MatchDay::from_date(year, month, day).expect("a date");
            assert_eq!(got.days(), days);
            assert_eq!(got.to_string(), format!("{year:04}-{month:02}-{day:02}"));
        };
        check(1970, 1, 1, 0);
        check(1969, 12, 31, -1);
        check(2000, 2, 29, 11_016);
        check(2024, 2, 29, 19_782);
        check(2024, 3, 1, 19_783);
        check(2005, 8, 13, 13_008);
        for (year, month, day) in [(2023, 2, 29), (1900, 2, 29), (2024, 13, 1), (2024, 4, 31), (2024, 1, 0), (0, 1, 1)]
        {
            assert_eq!(MatchDay::from_date(year, month, day), Err(InvalidDate { year, month, day }));
        }
        let noon = Timestamp::from_micros(13_008 * 86_400_000_000 + 43_200_000_000);
        assert_eq!(MatchDay::of(noon), MatchDay::from_days(13_008));
        assert_eq!(MatchDay::from_days(5).days_since(MatchDay::from_days(7)), -2);
    }

    #[test]
    fn seasons_have_names() {
        let check = |text: &str, expected: Option<u16>| {
            assert_eq!(Season::parse(text), expected.map(Season::beginning), "{text}");
        };
        check("2024-25", Some(2024));
        check("1999-00", Some(1999));
        for bad in ["2024-26", "2024", "24-25", "2024-2025", "2024-2x", "+024-25", ""] {
            check(bad, None);
        }
        assert_eq!(Season::beginning(1999).to_string(), "1999-00");
        assert_eq!(Season::beginning(2024).previous().to_string(), "2023-24");
    }
}
