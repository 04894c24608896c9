//! Durations as people write them: `500ms`, `90s`, `3m`, `1h30m`.

/// Nothing here lasts longer than a week.
const LIMIT_MS: u64 = 7 * 24 * 3_600_000;
/// Units from long to short.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is not whole numbers with units, from long to short.
    #[error("is not a duration")]
    Malformed,
    /// It is nothing.
    #[error("must be longer than zero")]
    Zero,
    /// It is longer than a week.
    #[error("is longer than a week")]
    TooLong,
}

/// Parses a duration into milliseconds: whole numbers, each with `h`, `m`, `s` or `ms`, from long to short.
///
/// # Errors
/// If it is malformed, zero, or longer than a week.
pub fn parse_duration_ms(text: &str) -> Result<u64, DurationError> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total_ms = 0_u64;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, next) = after.split_at(letters);
        let (_, unit_ms) = units.find(|(name, _)| *name == unit).ok_or(DurationError::Malformed)?;
        if number.is_empty() {
            return Err(DurationError::Malformed);
        }
        let number: u64 = number.parse().or(Err(DurationError::TooLong))?;
        total_ms = total_ms.saturating_add(number.saturating_mul(*unit_ms));
        rest = next;
    }
    match total_ms {
        0 if text.is_empty() => Err(DurationError::Malformed),
        0 => Err(DurationError::Zero),
        ms if ms > LIMIT_MS => Err(DurationError::TooLong),
        ms => Ok(ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_written() {
        for (text, ms) in
            [("500ms", 500), ("90s", 90_000), ("3m", 180_000), ("1h30m", 5_400_000), ("1s1ms", 1_001)]
        {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "3", "m", "3 m", "30m1h", "1m1m", "-3m", "1.5h", "3min", "3M", "٣m"] {
            assert_eq!(parse_duration_ms(text), Err(DurationError::Malformed), "{text}");
        }
        assert_eq!(parse_duration_ms("0s"), Err(DurationError::Zero));
        for text in ["169h", "99999999999999999999h", "18446744073709551615h18446744073709551615ms"] {
            assert_eq!(parse_duration_ms(text), Err(DurationError::TooLong), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,12}") {
            if let Ok(ms) = parse_duration_ms(&text) {
                prop_assert!(ms > 0 && ms <= LIMIT_MS);
            }
        }
    }
}
