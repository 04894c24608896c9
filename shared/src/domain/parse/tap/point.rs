//! The syntax of single TAP lines: plans and test points.

/// A test point.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Point<'l> {
    pub(super) ok: bool,
    pub(super) number: Option<u64>,
    pub(super) description: String,
    pub(super) directive: Option<Directive<'l>>,
    pub(super) duration_us: Option<u64>,
}

/// What follows the `#` of a test point.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Directive<'l> {
    Skip(&'l str),
    Todo(&'l str),
}

/// `1..5`, `1..0 # SKIP why`: the count and the reason.
pub(super) fn plan(text: &str) -> Option<(u64, Option<&str>)> {
    let rest = text.strip_prefix("1..")?;
    let (count, reason) = rest.split_once('#').map_or((rest, None), |(count, reason)| (count, Some(reason)));
    let reason = reason.map(|reason| strip_word(reason.trim(), "skip").unwrap_or(reason).trim());
    Some((count.trim().parse().ok()?, reason.filter(|reason| !reason.is_empty())))
}

/// `ok 1 - description # SKIP why`.
pub(super) fn parse(text: &str) -> Option<Point<'_>> {
    let (ok, rest) = match text.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim_start();
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = rest.get(..digits).and_then(|digits| digits.parse().ok());
    let rest = rest.get(digits..).unwrap_or_default().trim_start();
    let rest = rest.strip_prefix("- ").or_else(|| rest.strip_prefix('-')).unwrap_or(rest);
    let (description, comment) = split_comment(rest);
    let skip = comment.and_then(|text| strip_word(text, "skip")).map(Directive::Skip);
    let todo = || comment.and_then(|text| strip_word(text, "todo")).map(Directive::Todo);
    // `{` opens a buffered subtest of older node tools.
    let description = unescape(description.trim().trim_end_matches('{').trim_end());
    let duration_us = comment.and_then(time_comment);
    Some(Point { ok, number, description, directive: skip.or_else(todo), duration_us })
}

/// Splits at the first `#` that is not escaped and stands after a space.
fn split_comment(text: &str) -> (&str, Option<&str>) {
    let mut escaped = false;
    let mut before = ' ';
    for (index, c) in text.char_indices() {
        if c == '#' && !escaped && before.is_whitespace() {
            return (text.get(..index).unwrap_or_default(), text.get(index + 1..).map(str::trim));
        }
        escaped = c == '\\' && !escaped;
        before = c;
    }
    (text, None)
}

fn unescape(text: &str) -> String {
    text.replace("\\#", "#").replace("\\\\", "\\")
}

/// What follows a word, whatever its case: `SKIP why`, `Skipped: why`.
fn strip_word<'l>(text: &'l str, word: &str) -> Option<&'l str> {
    let head = text.get(..word.len())?;
    let rest = text.get(word.len()..)?;
    let rest = rest.trim_start_matches(|c: char| c.is_alphabetic()).trim_start_matches(':');
    head.eq_ignore_ascii_case(word).then(|| rest.trim())
}

/// `time=12.3ms`, as some tools add.
fn time_comment(text: &str) -> Option<u64> {
    let value = text.strip_prefix("time=")?.trim();
    millis_to_us(value.strip_suffix("ms")?.trim().parse().ok()?)
}

pub(super) fn millis_to_us(ms: f64) -> Option<u64> {
    let plausible = ms.is_finite() && (0.0..1e13).contains(&ms);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    plausible.then(|| (ms * 1e3).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, ok: bool, number: Option<u64>, description: &str, directive: Option<Directive<'_>>) {
        let point = parse(text).unwrap();
        let got = (point.ok, point.number, point.description.as_str(), point.directive);
        assert_eq!(got, (ok, number, description, directive), "{text}");
    }

    #[test]
    fn test_points() {
        check("ok", true, None, "", None);
        check("ok 1", true, Some(1), "", None);
        check("not ok 2 - a b", false, Some(2), "a b", None);
        check("ok 3 no dash", true, Some(3), "no dash", None);
        check("ok 4 - x # SKIP no net", true, Some(4), "x", Some(Directive::Skip("no net")));
        check("not ok 5 - x # todo later", false, Some(5), "x", Some(Directive::Todo("later")));
        check("ok 6 - x # Skipped: why", true, Some(6), "x", Some(Directive::Skip("why")));
        check(r"ok 7 - issue \# 7 \\ b", true, Some(7), r"issue # 7 \ b", None);
        check("ok 8 - c# rules", true, Some(8), "c# rules", None);
        assert_eq!(parse("okay then"), None);
        assert_eq!(parse("nothing"), None);
        assert_eq!(parse("ok 9 - t # time=1.5ms").unwrap().duration_us, Some(1500));
    }

    #[test]
    fn plans() {
        assert_eq!(plan("1..12"), Some((12, None)));
        assert_eq!(plan("1..0 # SKIP no database"), Some((0, Some("no database"))));
        assert_eq!(plan("1..x"), None);
        assert_eq!(plan("2..3"), None);
    }
}
