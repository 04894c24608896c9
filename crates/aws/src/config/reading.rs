//! Variables one after the other, and what was wrong with them.

use super::{ConfigError, Problem};

/// Collects problems while values are read; a value that is missing or wrong is read as an empty one.
pub(super) struct Reading<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    fn text(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn note(&mut self, variable: &'static str, text: String) {
        self.problems.push(Problem { variable, text });
    }

    /// A variable that must be there; `check` says what is wrong with it.
    pub(super) fn need(
        &mut self,
        variable: &'static str,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> String {
        let found = self.text(variable);
        if found.is_none() {
            self.note(variable, "is missing".to_owned());
        }
        self.checked(variable, found, check).unwrap_or_default()
    }

    /// A variable that may be absent.
    pub(super) fn may(
        &mut self,
        variable: &'static str,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> Option<String> {
        let found = self.text(variable);
        self.checked(variable, found, check)
    }

    fn checked(
        &mut self,
        variable: &'static str,
        found: Option<String>,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> Option<String> {
        let text = found?;
        match check(&text) {
            Ok(()) => Some(text),
            Err(wrong) => {
                self.note(variable, wrong);
                None
            }
        }
    }

    /// A list, separated by commas; `check` also says whether it may be empty.
    pub(super) fn list(
        &mut self,
        variable: &'static str,
        check: impl FnOnce(&[String]) -> Result<(), String>,
    ) -> Vec<String> {
        let text = self.text(variable).unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let list: Vec<String> = parts.map(str::to_owned).collect();
        match check(&list) {
            Ok(()) => list,
            Err(wrong) => {
                self.note(variable, wrong);
                Vec::new()
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, variable: &'static str, default: bool) -> bool {
        match self.text(variable).as_deref() {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(other) => {
                self.note(variable, format!("is `{other}`; write `true` or `false`"));
                default
            }
        }
    }

    /// The value, if nothing was wrong.
    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(value) } else { Err(ConfigError { problems: self.problems }) }
    }
}
