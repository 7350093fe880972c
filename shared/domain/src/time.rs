//! Points in time and spans, in microseconds. The clock itself is outside:
//! rules are told what time it is.

use std::fmt;

/// Microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A point `micros` microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The point `millis` milliseconds later (earlier if negative); saturates.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1_000)))
    }

    /// Milliseconds from `earlier` to `self`, rounded toward zero; negative if `earlier` is later.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }

    /// Days since the epoch: the UTC day it falls on.
    #[must_use]
    pub const fn utc_day(self) -> i64 {
        self.0.div_euclid(86_400_000_000)
    }

    /// Months since January of year 0 (Gregorian): the UTC month it falls on, `12 x year + month - 1`.
    #[must_use]
    pub const fn utc_month(self) -> i64 {
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: years begin
        // in March, so that the leap day is the last of its year.
        let days = self.utc_day() + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let months_since_march = (5 * day_of_year + 2) / 153;
        12 * (era * 400 + year_of_era) + months_since_march + 2
    }

    /// The beginning of the UTC day after it.
    #[must_use]
    pub const fn next_utc_day(self) -> Self {
        Self((self.utc_day() + 1).saturating_mul(86_400_000_000))
    }

    /// The beginning of the UTC month after it.
    #[must_use]
    pub const fn next_utc_month(self) -> Self {
        let mut next = self.next_utc_day();
        while next.utc_month() == self.utc_month() {
            next = next.next_utc_day();
        }
        next
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_end_with_their_last_day() {
        let check = |day: i64, year: i64, month: i64| {
            let at = |micros: i64| Timestamp::from_micros(day * 86_400_000_000 + micros).utc_month();
            assert_eq!((at(0), at(86_399_999_999)), (12 * year + month - 1, 12 * year + month - 1), "day {day}");
        };
        check(0, 1970, 1);
        check(-1, 1969, 12);
        check(30, 1970, 1);
        check(31, 1970, 2);
        check(11_016, 2000, 2); // 29 February
        check(11_017, 2000, 3);
        check(19_691, 2023, 11);
        check(19_692, 2023, 12);
        check(47_540, 2100, 2); // 28 February, no leap year
        check(47_541, 2100, 3);
    }

    #[test]
    fn the_next_day_and_month_begin_at_midnight() {
        let day = 86_400_000_000;
        let at = |days: i64, micros: i64| Timestamp::from_micros(days * day + micros);
        assert_eq!(at(3, 0).next_utc_day(), at(4, 0));
        assert_eq!(at(3, day - 1).next_utc_day(), at(4, 0));
        assert_eq!(at(0, 5).next_utc_month(), at(31, 0));
        assert_eq!(at(31, 0).next_utc_month(), at(59, 0));
        assert_eq!(at(-1, 0).next_utc_month(), at(0, 0));
    }

    #[test]
    fn days_before_the_epoch_count_down() {
        assert_eq!(Timestamp::from_micros(-1).utc_day(), -1);
        assert_eq!(Timestamp::from_micros(86_400_000_000).utc_day(), 1);
        assert_eq!(Timestamp::from_micros(5_000).millis_since(Timestamp::from_micros(2_000)), 3);
    }
}
