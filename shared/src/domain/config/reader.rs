//! Typed reading of TOML values; every refusal becomes a problem with its place.

use super::Problem;
use super::duration::parse_duration_ms;
use super::place::Lines;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

pub(super) type Value<'i> = Spanned<DeValue<'i>>;
/// A place in the text, in bytes.
pub(super) type Place = Range<usize>;

/// Collects problems while values are read.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    lines: Lines<'t>,
    problems: Vec<Problem>,
}

/// The entries of a table in the order of the file.
pub(super) fn ordered<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Spanned<DeString<'i>>, &'a Value<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// A value's type, with its article.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Why a path may not stand in the file, if so.
pub(super) fn path_problem(path: &str) -> Option<&'static str> {
    let mut parts = path.split(['/', '\\']);
    if path.is_empty() {
        Some("is empty")
    } else if path.starts_with(['/', '\\', '~']) || path.as_bytes().get(1) == Some(&b':') {
        Some("is absolute")
    } else if parts.any(|part| part == "..") {
        Some("leaves the project by `..`")
    } else if path.starts_with('-') {
        Some("would be taken for an option")
    } else if path.contains('\0') {
        Some("contains a zero byte")
    } else {
        None
    }
}

/// The candidate that was probably meant.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let length = word.chars().count();
    let tolerance = (length / 3).clamp(1, 3).min(length.saturating_sub(1));
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { lines: Lines::new(text), problems: Vec::new() }
    }

    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort();
        self.problems.dedup();
        self.problems
    }

    pub(super) fn problem(&mut self, at: Place, message: impl Into<String>, hint: impl Into<String>) {
        let (line, column) = self.lines.place(at.start);
        self.problems.push(Problem { line, column, message: message.into(), hint: hint.into() });
    }

    pub(super) fn unknown_key(&mut self, at: Place, key: &str, valid: &[&str]) {
        let hint = nearest(key, valid.iter().copied()).map_or_else(
            || {
                format!(
                    "valid keys are {}",
                    valid.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
                )
            },
            |near| format!("did you mean `{near}`?"),
        );
        self.problem(at, format!("unknown key `{key}`"), hint);
    }

    fn wrong_type(&mut self, key: &str, value: &Value<'_>, wanted: &str, example: &str) {
        let message = format!("`{key}` must be {wanted}, not {}", kind(value.get_ref()));
        self.problem(value.span(), message, format!("as in `{key} = {example}`"));
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &str, value: &Value<'_>, example: &str) -> Option<String> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(key, value, "a text", &format!("{example:?}"));
            return None;
        };
        if text.trim().is_empty() {
            self.problem(value.span(), format!("`{key}` is empty"), "remove the key, or say what you mean");
            return None;
        }
        Some(text.as_ref().to_owned())
    }

    /// A list of texts that are not empty, each with its place.
    pub(super) fn texts(&mut self, key: &str, value: &Value<'_>, example: &str) -> Vec<(String, Place)> {
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, value, "a list of texts", &format!("[{example:?}]"));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) if !text.trim().is_empty() => texts.push((text.to_owned(), item.span())),
                Some(_) => self.problem(item.span(), format!("`{key}` holds an empty text"), "remove it"),
                None => {
                    let message = format!("`{key}` must hold texts, not {}", kind(item.get_ref()));
                    self.problem(item.span(), message, "put the value in quotes");
                }
            }
        }
        texts
    }

    /// A list of paths or globs inside the project.
    pub(super) fn paths(&mut self, key: &str, value: &Value<'_>, example: &str) -> Vec<String> {
        let texts = self.texts(key, value, example);
        for (path, at) in &texts {
            self.check_path(key, path, at.clone());
        }
        texts.into_iter().map(|(text, _)| text).collect()
    }

    pub(super) fn check_path(&mut self, key: &str, path: &str, at: Place) {
        if let Some(reason) = path_problem(path) {
            let hint = if path.starts_with('-') {
                "options belong in `args`; a file with such a name is `./-name`"
            } else {
                "paths are relative to the project, and stay inside it"
            };
            self.problem(at, format!("`{key}` has `{path}`, which {reason}"), hint);
        }
    }

    /// A whole number in a range.
    pub(super) fn number(&mut self, key: &str, value: &Value<'_>, range: RangeInclusive<u32>) -> Option<u32> {
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong_type(key, value, "a whole number", &range.start().to_string());
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{key}` cannot be `{}`", integer.as_str());
            let hint = format!("use a number from {} to {}", range.start(), range.end());
            self.problem(value.span(), message, hint);
        }
        number
    }

    /// A duration, in milliseconds.
    pub(super) fn duration_ms(&mut self, key: &str, value: &Value<'_>) -> Option<u64> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(key, value, "a duration in quotes", "\"3m\"");
            return None;
        };
        match parse_duration_ms(text) {
            Ok(ms) => Some(ms),
            Err(error) => {
                let message = format!("`{key}` cannot be `{text}`: it {error}");
                self.problem(value.span(), message, "write it as in `90s`, `3m`, `1h30m` or `500ms`");
                None
            }
        }
    }

    /// A table of values, in the order of the file.
    pub(super) fn table<'a, 'i>(
        &mut self,
        key: &str,
        value: &'a Value<'i>,
        example: &str,
    ) -> Vec<(&'a Spanned<DeString<'i>>, &'a Value<'i>)> {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(key, value, "a table", example);
            return Vec::new();
        };
        ordered(table)
    }
}
