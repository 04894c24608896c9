//! Points in time, as milliseconds since the Unix epoch, and their RFC 3339 text.
//!
//! The core never asks for the time: every rule that needs it takes `now` as an argument.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This time plus `ms` milliseconds, saturating.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; 0 if `earlier` is later.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time that an RFC 3339 text names, to the millisecond; `None` if it names none since 1970.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok().map(Self)
    }

    /// RFC 3339 in UTC with milliseconds, as in `2026-11-21T09:00:00.000Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        if self.0 > LAST_MS {
            return format!("@{}ms", self.0);
        }
        let (days, ms) = (self.0 / DAY_MS, self.0 % DAY_MS);
        let (year, month, day) = date(days);
        let mut text = String::with_capacity(24);
        for (number, width, after) in [
            (year, 4, '-'),
            (month, 2, '-'),
            (day, 2, 'T'),
            (ms / 3_600_000, 2, ':'),
            (ms / 60_000 % 60, 2, ':'),
            (ms / 1000 % 60, 2, '.'),
            (ms % 1000, 3, 'Z'),
        ] {
            push_digits(&mut text, number, width);
            text.push(after);
        }
        text
    }
}

const DAY_MS: u64 = 86_400_000;
/// The last millisecond that can be read again: a day before the year 10,000, so that it has four digits in every time zone.
const LAST_MS: u64 = 253_402_207_199_999;

/// Written by hand because reports hold a time or two for each case, and a general formatter takes longer than the rest
/// of the case.
fn push_digits(text: &mut String, number: u64, width: u32) {
    for place in (0..width).rev() {
        let digit = u32::try_from(number / 10_u64.pow(place) % 10).unwrap_or(0);
        text.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Years begin in March, so that the day which comes and goes is their last; 400 of them have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_rfc3339_with_milliseconds() {
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(1_700_000_000_123).rfc3339(), "2023-11-14T22:13:20.123Z");
        assert_eq!(Timestamp::parse("2023-11-14T23:13:20.123+01:00"), Some(Timestamp(1_700_000_000_123)));
        assert_eq!((Timestamp::parse("yesterday"), Timestamp::parse("1960-01-01T00:00:00Z")), (None, None));
    }

    fn by_library(ms: u64) -> String {
        let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        time.map_or_else(|| format!("@{ms}ms"), |time| format!("{time:.3}"))
    }

    proptest! {
        #[test]
        fn every_time_is_printed_as_the_library_prints_it(ms in 0..=LAST_MS, day in 0u64..30_000_000) {
            let text = |ms: u64| Timestamp(ms).rfc3339();
            prop_assert_eq!(text(ms), by_library(ms));
            let midnight = (day * DAY_MS).min(LAST_MS);
            prop_assert_eq!(text(midnight), by_library(midnight));
        }
    }

    #[test]
    fn what_no_calendar_has_is_printed_as_a_number() {
        assert_eq!(Timestamp(LAST_MS).rfc3339(), "9999-12-30T21:59:59.999Z");
        assert_eq!(Timestamp(LAST_MS + 1).rfc3339(), format!("@{}ms", LAST_MS + 1));
        assert_eq!(Timestamp(u64::MAX).rfc3339(), format!("@{}ms", u64::MAX));
    }

    #[test]
    fn differences_never_wrap() {
        assert_eq!(Timestamp(5).since_ms(Timestamp(9)), 0);
        assert_eq!(Timestamp(u64::MAX).plus_ms(1), Timestamp(u64::MAX));
    }
}
