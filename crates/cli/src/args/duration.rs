//! Durations as people type them (`90s`, `5m`, `1h30m`) and as people read them (`1m 05s`).

use std::fmt;

/// A time limit of at least a millisecond and at most a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit(u64);

impl Limit {
    /// The limit in milliseconds.
    #[must_use]
    pub fn ms(self) -> u64 {
        self.0
    }
}

const WEEK_MS: u64 = 7 * 24 * 3600 * 1000;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers with units.
    #[error("expected numbers with units, as in `90s`, `5m`, `1h30m` or `500ms`")]
    Form,
    /// A number without its unit.
    #[error("a unit is missing after `{0}` (did you mean `{0}s`?)")]
    UnitMissing(String),
    /// A unit nobody knows.
    #[error("unknown unit `{0}` (known: ms, s, m, h, d)")]
    UnitUnknown(String),
    /// Units out of order, or twice.
    #[error("units must go from large to small, each at most once, as in `1h30m`")]
    Order,
    /// Zero.
    #[error("a limit of zero would end everything at once (leave it out to use the default)")]
    Zero,
    /// More than a week.
    #[error("more than a week (168h)")]
    TooLong,
}

/// Reads a duration.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<Limit, DurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::Form);
    }
    let mut total_ms: u64 = 0;
    let mut smallest_ms = u64::MAX;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_where(after, |c| c.is_ascii_digit() || c == ' ');
        if number.is_empty() {
            return Err(DurationError::Form);
        }
        let unit_ms = unit_ms(number, unit)?;
        if unit_ms >= smallest_ms {
            return Err(DurationError::Order);
        }
        smallest_ms = unit_ms;
        let value: u64 = number.parse().or(Err(DurationError::TooLong))?;
        total_ms = total_ms.saturating_add(value.saturating_mul(unit_ms));
        rest = after.trim_start();
    }
    match total_ms {
        0 => Err(DurationError::Zero),
        ms if ms > WEEK_MS => Err(DurationError::TooLong),
        ms => Ok(Limit(ms)),
    }
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

fn unit_ms(number: &str, unit: &str) -> Result<u64, DurationError> {
    Ok(match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        "" => return Err(DurationError::UnitMissing(number.to_owned())),
        other => return Err(DurationError::UnitUnknown(other.to_owned())),
    })
}

/// A duration for people, in as much detail as helps: `80ms`, `3.4s`, `42s`, `1m 05s`, `2h 03m`.
#[derive(Debug, Clone, Copy)]
pub struct Human(pub u64);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        let s = ms / 1000;
        match ms {
            0..=994 => write!(f, "{ms}ms"),
            // 9,950 ms would print as `10.0s`.
            995..=9_949 => write!(f, "{}.{}s", (ms + 50) / 1000, (ms + 50) % 1000 / 100),
            9_950..=59_499 => write!(f, "{}s", (ms + 500) / 1000),
            59_500..=3_599_999 => {
                let s = s.max(60);
                write!(f, "{}m {:02}s", s / 60, s % 60)
            }
            _ => write!(f, "{}h {:02}m", s / 3600, s % 3600 / 60),
        }
    }
}

/// A running clock that changes once a second: `42s`, `1m 05s`, `2h 03m`.
#[must_use]
pub fn ticking(ms: u64) -> String {
    let s = ms / 1000;
    if s < 60 { format!("{s}s") } else { Human(s * 1000).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_type_is_understood() {
        let ms = |text| parse(text).map(Limit::ms);
        assert_eq!(ms("90s"), Ok(90_000));
        assert_eq!(ms("5m"), Ok(300_000));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("1h 30m"), Ok(5_400_000));
        assert_eq!(ms("500ms"), Ok(500));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse(""), Err(DurationError::Form));
        assert_eq!(parse("soon"), Err(DurationError::Form));
        assert_eq!(parse("-5s"), Err(DurationError::Form));
        assert_eq!(parse("90"), Err(DurationError::UnitMissing("90".to_owned())));
        assert_eq!(parse("1h30"), Err(DurationError::UnitMissing("30".to_owned())));
        assert_eq!(parse("3 weeks"), Err(DurationError::UnitMissing("3".to_owned())));
        assert_eq!(parse("3w"), Err(DurationError::UnitUnknown("w".to_owned())));
        assert_eq!(parse("1.5h"), Err(DurationError::UnitUnknown(".".to_owned())));
        assert_eq!(parse("30m1h"), Err(DurationError::Order));
        assert_eq!(parse("1m1m"), Err(DurationError::Order));
        assert_eq!(parse("0s"), Err(DurationError::Zero));
        assert_eq!(parse("9999999999999999999999h"), Err(DurationError::TooLong));
        assert_eq!(parse("8d"), Err(DurationError::TooLong));
    }

    #[test]
    fn people_read_no_more_digits_than_help() {
        let texts: Vec<String> =
            [0, 80, 994, 995, 1_234, 9_949, 9_950, 42_400, 59_499, 59_500, 65_000, 7_380_000]
                .iter()
                .map(|&ms| Human(ms).to_string())
                .collect();
        assert_eq!(
            texts,
            [
                "0ms", "80ms", "994ms", "1.0s", "1.2s", "9.9s", "10s", "42s", "59s", "1m 00s", "1m 05s",
                "2h 03m"
            ]
        );
        assert_eq!((ticking(900), ticking(61_999)), ("0s".to_owned(), "1m 01s".to_owned()));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_its_range(text in ".{0,12}") {
            if let Ok(limit) = parse(&text) {
                prop_assert!((1..=WEEK_MS).contains(&limit.ms()));
            }
        }

        #[test]
        fn hours_minutes_seconds_add_up(h in 0u64..100, m in 0u64..100, s in 1u64..100) {
            prop_assert_eq!(parse(&format!("{h}h{m}m{s}s")).map(Limit::ms), Ok((h * 3600 + m * 60 + s) * 1000));
        }
    }
}
