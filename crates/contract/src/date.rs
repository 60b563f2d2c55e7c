//! Days of the calendar, `2026-11-20`. No clock: whoever asks what is past brings the day it is.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A day of the Gregorian calendar, ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A text that is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no day of the calendar (accepted: 2026-11-20)")]
pub struct DateError(pub String);

impl Date {
    /// Read `YYYY-MM-DD`.
    ///
    /// # Errors
    /// When the text has another form or names a day that does not exist.
    pub fn parse(text: &str) -> Result<Self, DateError> {
        let fail = || DateError(text.to_owned());
        let parts: Vec<&str> = text.split('-').collect();
        let &[year, month, day] = parts.as_slice() else { return Err(fail()) };
        let number = |part: &str, len: usize| {
            let digits = part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
            if digits { part.parse::<u16>().ok() } else { None }
        };
        let (year, month, day) = (number(year, 4), number(month, 2), number(day, 2));
        let (Some(year), Some(month), Some(day)) = (year, month, day) else { return Err(fail()) };
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return Err(fail()),
        };
        match (u8::try_from(month), u8::try_from(day)) {
            (Ok(month), Ok(day @ 1..)) if u16::from(day) <= days => Ok(Self { year, month, day }),
            _ => Err(fail()),
        }
    }

    /// The day in UTC of a Unix time in seconds, years 1970 to 9999.
    #[must_use]
    pub fn from_unix(seconds: u64) -> Self {
        // Days since 0000-03-01, in eras of 400 years: H. Hinnant, "chrono-compatible low-level date algorithms".
        let days = seconds / 86_400 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let fit = |n: u64| u8::try_from(n).unwrap_or(1);
        Self { year: u16::try_from(year).unwrap_or(9999), month: fit(month), day: fit(day) }
    }

    /// Days since 1970-01-01, by the same count of eras.
    fn days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }
}

/// The seconds since 1970 of a moment as ISO 8601 writes it: `2026-11-20T10:15:02Z`, with a fraction or an offset
/// (`2026-11-20T11:15:02.120+01:00`). Without an offset it is read as UTC. `None` when it is none, or before 1970.
#[must_use]
pub fn moment(text: &str) -> Option<u64> {
    let (day, time) = text.trim().split_once(['T', 't', ' '])?;
    let day = Date::parse(day).ok()?;
    let (clock, offset) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, "Z"),
    };
    let pair = |text: &str, most: i64| -> Option<i64> {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let number = if digits { text.parse().ok()? } else { return None };
        (number <= most).then_some(number)
    };
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let parts: Vec<&str> = clock.split(':').collect();
    let &[hour, minute, second] = parts.as_slice() else { return None };
    // A leap second is the last of its minute.
    let of_day = pair(hour, 23)? * 3600 + pair(minute, 59)? * 60 + pair(second, 60)?.min(59);
    let ahead = match offset.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign @ ("+" | "-"), zone) => {
            let (hours, minutes) = zone.split_once(':').or_else(|| zone.split_at_checked(2))?;
            let seconds = pair(hours, 23)? * 3600 + pair(minutes, 59)? * 60;
            if sign == "-" { -seconds } else { seconds }
        }
        _ => return None,
    };
    u64::try_from(day.days() * 86_400 + of_day - ahead).ok()
}

/// The second in UTC of a Unix time in milliseconds, `2026-11-20T10:15:02Z`.
#[must_use]
pub fn timestamp(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", Date::from_unix(seconds))
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl TryFrom<String> for Date {
    type Error = DateError;
    fn try_from(text: String) -> Result<Self, DateError> {
        Self::parse(&text)
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn days_that_exist() {
        for good in ["2026-11-20", "2024-02-29", "2000-02-29", "1999-12-31"] {
            assert_eq!(Date::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "2026",
            "2026-1-1",
            "2026-13-01",
            "2026-02-29",
            "1900-02-29",
            "2026-04-31",
            "2026-01-00",
            "2026-01-01-01",
            "+026-01-01",
            "2026-11-20T00:00:00Z",
        ] {
            assert!(Date::parse(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn seconds_of_a_day() {
        assert_eq!(super::timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(super::timestamp(1_795_169_702_999), "2026-11-20T10:15:02Z");
    }

    #[test]
    fn moments_with_offsets() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-20T10:15:02Z", 1_795_169_702),
            ("2026-11-20T10:15:02", 1_795_169_702),
            ("2026-11-20T11:15:02.120+01:00", 1_795_169_702),
            ("2026-11-20T04:45:02.5-0530", 1_795_169_702),
            ("2000-02-29T23:59:60Z", 951_868_799),
        ] {
            assert_eq!(super::moment(text), Some(seconds), "{text}");
        }
        for bad in [
            "",
            "2026-11-20",
            "2026-11-20T10:15",
            "2026-11-20T24:00:00Z",
            "2026-11-20T10:15:02.Z",
            "2026-11-20T10:15:02+1:00",
            "2026-02-30T10:15:02Z",
            "1969-12-31T23:59:59Z",
            "2026-11-20T10:15:02Zx",
        ] {
            assert_eq!(super::moment(bad), None, "{bad}");
        }
        for day in (0..4_000_000_000).step_by(86_400 * 13) {
            assert_eq!(Date::from_unix(day).days(), i64::try_from(day / 86_400).unwrap());
        }
    }

    #[test]
    fn unix_times_and_order() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_799, "2000-02-29"),
            (1_795_132_800, "2026-11-20"),
        ] {
            assert_eq!(Date::from_unix(seconds).to_string(), day);
        }
        assert!(Date::from_unix(86_400) > Date::from_unix(0));
    }
}
