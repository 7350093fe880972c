//! Dates and times as market files write them, as UTC.

use jiff::{
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};
use tragen_domain::time::Timestamp;

/// Files are about the years 1990 to 2100; anything else is a typing error.
const YEARS: std::ops::RangeInclusive<i16> = 1990..=2100;
/// The same in seconds since the epoch.
const SECONDS: std::ops::Range<i64> = 631_152_000..4_133_980_800;

/// A point in time such as `2012-02-01T00:00:00Z`, `2012-11-26 20:00:00` (read as UTC) or `2012-12-04`.
pub(super) fn point(text: &str) -> Result<Timestamp, String> {
    let bad = || format!("{text:?} is not a time such as 2012-02-01T00:00:00Z");
    if let Ok(point) = text.parse::<jiff::Timestamp>() {
        let is_in_range = SECONDS.contains(&point.as_second());
        return is_in_range.then_some(Timestamp::from_micros(point.as_microsecond())).ok_or_else(|| out_of_range(text));
    }
    let civil: DateTime = text.parse().map_err(|_| bad())?;
    in_range(civil.date(), text)?;
    utc(civil).ok_or_else(bad)
}

/// A day such as `2005-08-13`, `13/08/05` or `13/08/2005`.
pub(super) fn day(text: &str) -> Result<Date, String> {
    let bad = || format!("{text:?} is not a date such as 2005-08-13 or 13/08/2005");
    let parts: Vec<&str> = text.split('/').collect();
    let date = match parts.as_slice() {
        [day, month, year] if matches!(year.len(), 2 | 4) => {
            let mut number: i16 = year.parse().map_err(|_| bad())?;
            if year.len() == 2 {
                number += if number >= 90 { 1_900 } else { 2_000 };
            }
            let (day, month) = (day.parse().map_err(|_| bad())?, month.parse().map_err(|_| bad())?);
            Date::new(number, month, day).map_err(|_| bad())?
        }
        _ => text.parse().map_err(|_| bad())?,
    };
    in_range(date, text)
}

/// The first moment of a day, UTC.
pub(super) fn day_start(date: Date) -> Timestamp {
    utc(date.to_datetime(Time::midnight())).unwrap_or_default()
}

/// A kick-off given in UK local time, e.g. `16:00`; without a time it is taken as 15:00. A time that the change of the
/// clocks skips or repeats is no point in time.
pub(super) fn uk_kickoff(date: Date, time: &str) -> Result<Timestamp, String> {
    let bad = || format!("{time:?} is not a time of day such as 15:00");
    let clock = if time.is_empty() { "15:00" } else { time };
    let (hour, minute) = clock.split_once(':').ok_or_else(bad)?;
    let (hour, minute) = (hour.parse().map_err(|_| bad())?, minute.parse().map_err(|_| bad())?);
    let clock = Time::new(hour, minute, 0, 0).map_err(|_| bad())?;
    let local = utc(date.to_datetime(clock)).ok_or_else(bad)?;
    let summer = last_sunday(date.year(), 3).zip(last_sunday(date.year(), 10));
    let is_changed = |change: Date| date > change || date == change && clock.hour() >= 1;
    let is_summer = summer.is_some_and(|(start, end)| is_changed(start) && !is_changed(end));
    // The hour that is skipped, or comes twice: 01:00 to 02:00 by the clock on the wall.
    let turned = summer.filter(|_| clock.hour() == 1);
    if turned.is_some_and(|(start, _)| start == date) {
        return Err(format!("{time:?} does not exist in the UK on {date}: the clocks go forward"));
    }
    if turned.is_some_and(|(_, end)| end == date) {
        return Err(format!("{time:?} is twice in the UK on {date}: the clocks go back"));
    }
    Ok(local.plus_millis(if is_summer { -3_600_000 } else { 0 }))
}

/// The clock changes at 01:00 UTC of the last Sunday.
fn last_sunday(year: i16, month: i8) -> Option<Date> {
    let last = Date::new(year, month, 31).ok()?;
    let back = last.weekday().to_sunday_zero_offset();
    Date::new(year, month, 31 - back).ok()
}

fn utc(civil: DateTime) -> Option<Timestamp> {
    let zoned = civil.to_zoned(TimeZone::UTC).ok()?;
    Some(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
}

fn in_range(date: Date, text: &str) -> Result<Date, String> {
    if YEARS.contains(&date.year()) { Ok(date) } else { Err(out_of_range(text)) }
}

fn out_of_range(text: &str) -> String {
    format!("{text:?} is not between 1990 and 2100")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_day_is_read() {
        let expected = Date::new(2005, 8, 13).expect("a date");
        for text in ["2005-08-13", "13/08/05", "13/08/2005"] {
            assert_eq!(day(text), Ok(expected), "{text}");
        }
        for text in ["", "13/08", "32/08/05", "2005-13-01", "13/08/205", "3005-08-13", "x"] {
            assert!(day(text).is_err(), "{text}");
        }
    }

    #[test]
    fn points_are_utc() {
        let expected = Ok(Timestamp::from_micros(1_328_054_400_000_000));
        for text in ["2012-02-01T00:00:00Z", "2012-02-01 00:00:00", "2012-02-01", "2012-02-01T01:00:00+01:00"] {
            assert_eq!(point(text), expected, "{text}");
        }
        for text in ["", "now", "2012-02-30", "1328054400", "9012-02-01"] {
            assert!(point(text).is_err(), "{text}");
        }
    }

    #[test]
    fn kick_offs_follow_british_summer_time() {
        let check = |date: &str, time: &str, expected: &str| {
            let kickoff = uk_kickoff(day(date).expect("a date"), time);
            assert_eq!(kickoff, point(expected), "{date} {time}");
        };
        check("25/05/2025", "16:00", "2025-05-25T15:00:00Z");
        check("26/12/2024", "15:00", "2024-12-26T15:00:00Z");
        check("30/03/2025", "13:30", "2025-03-30T12:30:00Z");
        check("26/10/2025", "14:00", "2025-10-26T14:00:00Z");
        check("13/08/2005", "", "2005-08-13T14:00:00Z");
        check("31/03/2030", "00:30", "2030-03-31T00:30:00Z");
        check("31/03/2030", "02:00", "2030-03-31T01:00:00Z");
        check("27/10/2030", "02:00", "2030-10-27T02:00:00Z");
        for (date, time) in [("13/08/2005", "25:00"), ("31/03/2030", "01:30"), ("27/10/2030", "01:00")] {
            assert!(uk_kickoff(day(date).expect("a date"), time).is_err(), "{date} {time}");
        }
    }
}
