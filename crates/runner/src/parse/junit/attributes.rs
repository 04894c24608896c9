//! Attribute values: entities, numbers and times as tools write them.

use quick_xml::events::{BytesRef, BytesStart};

/// Attributes after these are not looked at.
const ATTRIBUTE_LIMIT: usize = 64;

/// The attributes of a tag, by local name; of repeated ones the first counts.
pub(super) struct Attributes<'t> {
    pairs: Vec<(&'t str, String)>,
}

impl<'t> Attributes<'t> {
    pub(super) fn of(tag: &'t BytesStart<'_>) -> Self {
        let mut attributes = tag.attributes();
        let pairs = attributes
            .with_checks(false)
            .filter_map(Result::ok)
            .take(ATTRIBUTE_LIMIT)
            .map(|attribute| {
                let key = attribute.key.0;
                (key.rsplit(':').next().unwrap_or(key), unescape(&attribute.value))
            })
            .collect();
        Self { pairs }
    }

    /// The value, unless absent or blank.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.trim().is_empty())
    }

    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(|text| text.trim().parse().ok())
    }

    pub(super) fn duration_us(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(duration_us)
    }
}

/// Seconds as tools write them, in microseconds: `0.5`, `1,234.5`, `0,5`, `2s`; nothing for what is no duration.
pub(super) fn duration_us(text: &str) -> Option<u64> {
    let text = text.trim().trim_end_matches('s').trim();
    if let Ok(seconds) = text.parse() {
        return in_micros(seconds);
    }
    let point = text.rfind(['.', ',']);
    let (whole, fraction) = match point {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, ""),
    };
    let whole: String =
        whole.chars().filter(|c| !matches!(c, ',' | '.' | '\'' | '_' | ' ' | '\u{a0}')).collect();
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(&whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    format!("{whole}.{fraction}0").parse().ok().and_then(in_micros)
}

fn in_micros(seconds: f64) -> Option<u64> {
    let plausible = seconds.is_finite() && (0.0..1e10).contains(&seconds);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    plausible.then(|| (seconds * 1e6).round() as u64)
}

/// A reference like `amp` or `#27` as text; an unknown one stays as it was written.
pub(super) fn resolve(reference: &BytesRef<'_>) -> String {
    let known: Option<char> = match &**reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        number => number.strip_prefix('#').and_then(numeric),
    };
    known.map_or_else(|| format!("&{};", &**reference), String::from)
}

fn numeric(digits: &str) -> Option<char> {
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    char::from_u32(code)
}

/// A value with its references resolved; broken ones stay as they were written.
fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        match after.split_once(';') {
            Some((name, more)) if !name.is_empty() && name.len() <= 12 && !name.contains('&') => {
                out.push_str(&resolve(&BytesRef::new(name)));
                rest = more;
            }
            _ => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_every_locale() {
        let check = |text: &str, expect: Option<u64>| assert_eq!(duration_us(text), expect, "{text}");
        check("0.5", Some(500_000));
        check("1,234.5", Some(1_234_500_000));
        check("1.234,5", Some(1_234_500_000));
        check("0,25", Some(250_000));
        check("2s", Some(2_000_000));
        check("3", Some(3_000_000));
        check("1e-3", Some(1_000));
        check("-0.5", None);
        check("NaN", None);
        check("inf", None);
        check("", None);
        check("99999999999999", None);
    }

    #[test]
    fn references_are_resolved_or_left() {
        let check = |text: &str, expect: &str| assert_eq!(unescape(text), expect);
        check("a &lt;b&gt; &#65;&#x42; &amp;amp;", "a <b> AB &amp;");
        check("fish & chips; &nope; &#0x; &", "fish & chips; &nope; &#0x; &");
    }
}
