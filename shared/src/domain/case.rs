//! One test case: its stable id and the result of one attempt at it.
//!
//! A case is known by its id only. Drivers make ids that are the same in every run of the same test:
//! file, class path, name and variant, never an address, a seed or a temporary path.

use super::outcome::Outcome;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Output and failure texts of one case are cut to this size in results; the log keeps the whole.
pub const TEXT_LIMIT_BYTES: usize = 64 * 1024;

/// Stable id of a case inside its suite, in the framework's own notation where it has one:
/// `tests/test_a.py::TestB::test_c[1-2]`, `mycrate::tests/api.rs::module::test`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub String);

/// Between what could not be collected and the case that it stands for.
const INSTEAD: &str = " [instead of ";

impl CaseId {
    /// The name under which a part of a unit, whose first case is `first`, reports that this could not be collected.
    #[must_use]
    pub fn instead_of(&self, first: &Self) -> Self {
        Self(format!("{}{INSTEAD}{}]", self.0, first.0))
    }

    /// Whether it is no test of the unit but stands for the unit itself, which could not be collected.
    #[must_use]
    pub fn stands_for(&self, unit: &str) -> bool {
        self.0.strip_prefix(unit).is_some_and(|rest| rest.is_empty() || rest.starts_with(INSTEAD))
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for CaseId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for CaseId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Why a case did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failure {
    /// Machine code or exception type, as in `AssertionError`, `signal:SIGSEGV`, `timeout`.
    pub kind: String,
    /// One human sentence.
    pub message: String,
    /// Everything the framework printed about it (traceback, diff), cut to [`TEXT_LIMIT_BYTES`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The result of one attempt at one case, as a runner reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case.
    pub case: CaseId,
    /// Class path for reports, dotted as JUnit readers expect it (`tests.test_a.TestB`).
    pub class: String,
    /// Name for reports, with the variant (`test_c[1-2]`).
    pub name: String,
    /// Source file relative to the project, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in `file`, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Which attempt at the case this is, counted from 1.
    pub attempt: u32,
    /// What it came to.
    pub outcome: Outcome,
    /// When it began.
    pub started_at: Timestamp,
    /// How long set-up, call and tear-down took together, in microseconds.
    pub duration_us: u64,
    /// Slot of the runner it ran in, counted from 1.
    pub slot: u32,
    /// Whether nothing else ran in this runner at the time.
    #[serde(default)]
    pub alone: bool,
    /// Why it did not pass; present if and only if the outcome is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why it was skipped, or why a failure was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Captured output, cut to [`TEXT_LIMIT_BYTES`]; empty if it printed nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_could_not_be_collected_is_told_from_its_cases() {
        let (unit, case) = (CaseId::from("tests/test_a.py"), CaseId::from("tests/test_a.py::test_b"));
        let (one, other) =
            (unit.instead_of(&case), unit.instead_of(&CaseId::from("tests/test_a.py::test_c")));
        assert_ne!(one, other);
        for (id, stands) in [(&unit, true), (&one, true), (&other, true), (&case, false)] {
            assert_eq!(id.stands_for("tests/test_a.py"), stands, "{id}");
        }
        assert!(!one.stands_for("tests/test_a"));
    }
}
