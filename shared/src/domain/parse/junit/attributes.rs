//! Attribute values: entities, numbers and times as tools write them.

use std::borrow::Cow;

/// Attributes after these are not looked at.
const ATTRIBUTE_LIMIT: usize = 64;
/// Longest reference, `&` not counted.
const REFERENCE_LIMIT_BYTES: usize = 12;

/// The attributes of a tag, by local name; of repeated ones the first counts.
pub(super) struct Attributes<'t> {
    pairs: Vec<(&'t str, &'t str)>,
}

impl<'t> Attributes<'t> {
    /// Reads what follows the name in a tag.
    pub(super) fn of(tag: &'t str) -> Self {
        let mut pairs = Vec::new();
        let mut rest = tag;
        while pairs.len() < ATTRIBUTE_LIMIT {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if rest.is_empty() {
                break;
            }
            let end = rest.bytes().position(|byte| byte == b'=' || byte.is_ascii_whitespace());
            let (key, after) = rest.split_at(end.unwrap_or(rest.len()));
            let (value, after) = value(after.trim_ascii_start());
            rest = after;
            if let Some(value) = value {
                pairs.push((local(key), value));
            }
        }
        Self { pairs }
    }

    /// The value, unless absent or blank.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'t, str>> {
        let (_, value) = self.pairs.iter().find(|(key, _)| *key == name)?;
        Some(unescape(value)).filter(|value| !value.trim().is_empty())
    }

    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(|text| text.trim().parse().ok())
    }

    pub(super) fn duration_us(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(|text| duration_us(&text))
    }
}

/// A name without its namespace.
pub(super) fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

/// The value after a name, if there is one, and what follows it.
fn value(after: &str) -> (Option<&str>, &str) {
    let Some(rest) = after.strip_prefix('=').map(str::trim_ascii_start) else { return (None, after) };
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (inside, end) = match quote {
        Some(quote) => (rest.get(1..).unwrap_or_default(), quote),
        None => (rest, ' '),
    };
    inside.split_once(end).map_or((Some(inside), ""), |(value, rest)| (Some(value), rest))
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

/// A reference like `amp` or `#27` as a character; `None` if it is unknown.
fn resolve(reference: &str) -> Option<char> {
    match reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        number => number.strip_prefix('#').and_then(numeric),
    }
}

fn numeric(digits: &str) -> Option<char> {
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    char::from_u32(code)
}

/// A text with its references resolved; unknown and broken ones stay as they were written.
pub(super) fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('&') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let end = after.bytes().take(REFERENCE_LIMIT_BYTES).position(|byte| byte == b';');
        let name = end.and_then(|end| after.get(..end));
        let known = name.and_then(|name| Some((resolve(name)?, name.len() + 1)));
        match known {
            Some((c, used)) => {
                out.push(c);
                rest = after.get(used..).unwrap_or_default();
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
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
    fn attributes_in_every_notation() {
        let read = Attributes::of(r#" name="a b" x:file='it''s' flag line = "3" time=0.5 name="later"/"#);
        let check = |name: &str, expect: Option<&str>| assert_eq!(read.text(name).as_deref(), expect);
        check("name", Some("a b"));
        check("file", Some("it"));
        check("line", Some("3"));
        check("time", Some("0.5"));
        check("flag", None);
        assert_eq!(Attributes::of("").text("a"), None);
    }

    #[test]
    fn references_are_resolved_or_left() {
        let check = |text: &str, expect: &str| assert_eq!(unescape(text), expect);
        check("a &lt;b&gt; &#65;&#x42; &amp;amp;", "a <b> AB &amp;");
        check("fish & chips; &nope; &#0x; &", "fish & chips; &nope; &#0x; &");
    }
}
