//! Roman numerals from 1 to 3999.

const DIGITS: [(u16, &str); 13] = [
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
];

/// Writes a number in Roman digits.
///
/// ```
/// assert_eq!(roman::write(2026), Some("MMXXVI".to_owned()));
/// assert_eq!(roman::write(0), None);
/// ```
pub fn write(number: u16) -> Option<String> {
    let mut rest = number;
    let mut text = String::new();
    for (value, digit) in DIGITS {
        while rest >= value {
            rest -= value;
            text.push_str(digit);
        }
    }
    (1..4000).contains(&number).then_some(text)
}

/// Reads Roman digits; only the one proper way to write a number is accepted.
///
/// ```
/// assert_eq!(roman::read("XIV"), Some(14));
/// assert_eq!(roman::read("XIIII"), None);
/// ```
pub fn read(text: &str) -> Option<u16> {
    let mut rest = text;
    let mut number: u16 = 0;
    for (value, digit) in DIGITS {
        while let Some(tail) = rest.strip_prefix(digit) {
            number = number.checked_add(value)?;
            rest = tail;
        }
    }
    (rest.is_empty() && write(number).as_deref() == Some(text)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtractive_pairs() {
        for (number, text) in [(4, "IV"), (9, "IX"), (40, "XL"), (90, "XC"), (400, "CD"), (900, "CM")] {
            assert_eq!(write(number).as_deref(), Some(text));
        }
    }

    #[test]
    fn the_range_ends_at_3999() {
        assert_eq!(write(3999).as_deref(), Some("MMMCMXCIX"));
        assert_eq!(write(4000), None);
    }

    #[test]
    fn too_many_digits_do_not_overflow() {
        assert_eq!(read(&"M".repeat(100)), None);
    }
}
