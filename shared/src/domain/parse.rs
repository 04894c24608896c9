//! Readers of what other tools write about tests.
//!
//! Everything here is pure, streams, and treats its input as hostile: no input panics, memory is bounded, and what cannot be understood becomes an [`Issue`], never a pass.

pub mod ctrf;
pub mod format;
pub mod go;
pub mod identity;
pub mod junit;
pub mod libtest;
pub mod libtest_json;
mod lines;
mod pieces;
pub mod tap;

use crate::domain::case::Failure;
use crate::domain::outcome::Outcome;
use std::fmt;
use std::io::{self, BufRead};

/// Who gets the cases.
pub type Each<'e> = &'e mut dyn FnMut(ReportCase);

/// Input is worked on in pieces of this size: so much may become cases at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Reads one report in pieces of any size, in memory that does not follow its length.
pub trait Reader: fmt::Debug + Send {
    /// Takes the next bytes and hands out the cases that are complete by now.
    fn push(&mut self, bytes: &[u8], each: Each<'_>);
    /// Takes note that no more can be read, and why.
    fn fail(&mut self, reason: String);
    /// Ends the report: hands out the last cases and tells what is wrong with the whole.
    fn finish(&mut self, each: Each<'_>) -> ParseReport;
}

/// Reads a whole stream.
fn drive(reader: &mut dyn Reader, mut input: impl BufRead, each: Each<'_>) -> ParseReport {
    loop {
        let used = match input.fill_buf() {
            Ok([]) => break,
            Ok(bytes) => {
                reader.push(bytes, each);
                bytes.len()
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => {
                reader.fail(format!("cannot read the file: {error}"));
                break;
            }
        };
        input.consume(used);
    }
    reader.finish(each)
}

/// One test case of a report file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportCase {
    /// Name of the whole that it belongs to, where the format has one; may be empty.
    pub suite: String,
    /// Class path, or the name of the suite around it; may be empty.
    pub class: String,
    /// Name.
    pub name: String,
    /// Explicit stable id, if the tool wrote one.
    pub id: Option<String>,
    /// Source file.
    pub file: Option<String>,
    /// Line in it, counted from 1.
    pub line: Option<u32>,
    /// How long it took, in microseconds, if that is known.
    pub duration_us: Option<u64>,
    /// What it came to.
    pub outcome: Outcome,
    /// Why it did not pass; present if and only if the outcome is a failure.
    pub failure: Option<Failure>,
    /// Why it was skipped, or why a failure was expected.
    pub reason: Option<String>,
    /// What it printed.
    pub output: String,
    /// Attempts before the last one that the tool itself made, each with its failure.
    pub earlier: Vec<Failure>,
}

impl ReportCase {
    /// A passed case.
    #[must_use]
    pub fn passed(class: &str, name: &str) -> Self {
        Self {
            suite: String::new(),
            class: class.to_owned(),
            name: name.to_owned(),
            id: None,
            file: None,
            line: None,
            duration_us: None,
            outcome: Outcome::Passed,
            failure: None,
            reason: None,
            output: String::new(),
            earlier: Vec::new(),
        }
    }
}

/// How bad an issue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Odd, but every case was read.
    Note,
    /// Cases may be missing or misread: the report must not count as green.
    Fault,
}

/// Something that is wrong with a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// How bad.
    pub severity: Severity,
    /// Line, counted from 1.
    pub line: u64,
    /// Column in characters, counted from 1.
    pub column: u64,
    /// One human sentence.
    pub message: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// Most faults that are kept of one file.
const FAULT_LIMIT: u64 = 100;
/// Most notes that are kept of one file.
const NOTE_LIMIT: u64 = 50;

/// What reading a whole report came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParseReport {
    /// Suites seen.
    pub suites: u64,
    /// Cases handed out.
    pub cases: u64,
    /// What is wrong with it: the first hundred faults, and some notes.
    pub issues: Vec<Issue>,
    /// How many faults there are, kept or not.
    pub faults: u64,
    notes: u64,
}

impl ParseReport {
    /// The first issue because of which the report must not count as green.
    #[must_use]
    pub fn fault(&self) -> Option<&Issue> {
        self.issues.iter().find(|issue| issue.severity == Severity::Fault)
    }

    pub(crate) fn note(&mut self, at: (u64, u64), message: impl Into<String>) {
        self.issue(Severity::Note, at, message);
    }

    /// Takes note of something because of which the report must not count as green.
    pub fn fail(&mut self, at: (u64, u64), message: impl Into<String>) {
        self.issue(Severity::Fault, at, message);
    }

    fn issue(&mut self, severity: Severity, (line, column): (u64, u64), message: impl Into<String>) {
        // Each kind has room of its own: a flood of notes must not hide a fault.
        let (count, limit) = match severity {
            Severity::Note => (&mut self.notes, NOTE_LIMIT),
            Severity::Fault => (&mut self.faults, FAULT_LIMIT),
        };
        *count += 1;
        if *count <= limit {
            self.issues.push(Issue { severity, line, column, message: message.into() });
        }
    }
}

/// Microseconds as a number; nothing for what is no plausible duration.
fn micros(us: f64) -> Option<u64> {
    let plausible = us.is_finite() && (0.0..1e16).contains(&us);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    plausible.then(|| us.round() as u64)
}

/// Appends to a text that may not grow beyond `limit` bytes.
pub(crate) fn append_capped(text: &mut String, more: &str, limit: usize) {
    let mut room = limit.saturating_sub(text.len()).min(more.len());
    while !more.is_char_boundary(room) {
        room -= 1;
    }
    text.push_str(more.get(..room).unwrap_or_default());
}

/// The first non-empty line of a text, at most 200 characters.
pub(crate) fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().chars().take(200).collect()
}
