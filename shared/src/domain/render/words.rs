//! Numbers, durations and texts as people read them, and the line that reruns a case.

use crate::domain::case::CaseId;
use crate::domain::filter::Filter;
use crate::domain::report::JobSummary;

/// `1376` as `1,376`.
#[must_use]
pub fn number_text(number: u64) -> String {
    let digits = number.to_string();
    let lead = digits.len() % 3;
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && n % 3 == lead {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in microseconds as `95µs`, `480ms`, `7.2s`, `1m 05s` or `2h 03m`.
#[must_use]
pub fn duration_text(us: u64) -> String {
    let (ms, seconds) = (us / 1_000, us.saturating_add(500_000) / 1_000_000);
    match us {
        0..=999 => format!("{us}µs"),
        1_000..=999_949 => format!("{}ms", us.saturating_add(500) / 1_000),
        999_950..=59_949_999 => {
            let tenths = (ms + 50) / 100;
            format!("{}.{}s", tenths / 10, tenths % 10)
        }
        _ if seconds < 3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// The text without terminal escapes and control characters; line ends and tabs stay.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\n' | '\t' => clean.push(c),
            '\r' => {}
            c if c.is_control() || is_bidi(c) => clean.push('\u{fffd}'),
            c => clean.push(c),
        }
    }
    clean
}

/// Characters that reorder what is around them: a test name must not rewrite the line it stands in.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next_if(|c| matches!(c, '[' | ']' | 'P' | '_' | '^' | 'X')) {
        Some('[') => while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
        Some(_) => while chars.next_if(|c| !matches!(c, '\u{7}' | '\u{1b}' | '\n')).is_some() {},
        None => {
            chars.next_if(|c| c.is_ascii_graphic());
        }
    }
}

/// The text in one printable line of at most `limit` characters.
#[must_use]
pub fn one_line(text: &str, limit: usize) -> String {
    let clean = printable(text);
    let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(limit) {
        None => line,
        Some(_) => line.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// The text cut to at most `limit` bytes at a character's boundary, and whether something was left out.
pub(super) fn cut_bytes(text: &str, limit: usize) -> (&str, bool) {
    if text.len() <= limit {
        return (text, false);
    }
    let end = (0..=limit).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
    (text.get(..end).unwrap_or(""), true)
}

/// The exact command that runs this case, and no other, again. `suite` is named where a run has several jobs.
#[must_use]
pub fn rerun_line(target: &str, suite: Option<&str>, case: &CaseId) -> String {
    let suite = suite.map(|name| format!(" --suite {}", shell_word(name))).unwrap_or_default();
    format!("fleetest run {}{suite} --filter {}", shell_word(target), shell_word(&Filter::exact(case)))
}

/// The suite of a job: its name without the matrix cell.
pub(super) fn suite_name(job: &JobSummary) -> &str {
    job.name.split_once('[').map_or(job.name.as_str(), |(suite, _)| suite)
}

/// A word as a POSIX shell reads it back; control characters take the `$'…'` form, so that the line stays one line.
fn shell_word(word: &str) -> String {
    let harmless =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '-' | '_' | ':' | '=' | '@' | '%');
    if !word.is_empty() && word.chars().all(harmless) && !word.starts_with('=') {
        word.to_owned()
    } else if word.chars().any(|c| c.is_control() || is_bidi(c)) {
        let escaped: String = word
            .chars()
            .map(|c| match c {
                '\'' => "\\'".to_owned(),
                '\\' => "\\\\".to_owned(),
                c if c.is_control() && c.is_ascii() => format!("\\x{:02x}", u32::from(c)),
                c if c.is_control() || is_bidi(c) => format!("\\u{:04x}", u32::from(c)),
                c => c.to_string(),
            })
            .collect();
        format!("$'{escaped}'")
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
