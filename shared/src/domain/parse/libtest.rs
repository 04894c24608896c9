//! Reads the stable human output of Rust's test harness, line by line.
//!
//! It understands several runs in one stream (merged doc tests), results that come lines after their name, and the
//! `---- name stdout ----` sections. Invariant: the cases add up to the summaries, or there is a fault.

use super::{ParseReport, ReportCase, append_capped, first_line};
use crate::domain::case::{Failure, TEXT_LIMIT_BYTES};
use crate::domain::outcome::Outcome;
use crate::domain::sanitise::clean;
use std::collections::BTreeMap;

/// What the harness appends to the name of a test that runs in a special way.
const MODES: [&str; 4] = [" - should panic", " - compile fail", " - compile", " - run"];

/// A panic as the standard library prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// Source file.
    pub file: String,
    /// Line in it.
    pub line: Option<u32>,
    /// The panic's message.
    pub message: String,
}

/// Finds the first panic in an output.
#[must_use]
pub fn find_panic(output: &str) -> Option<Panic> {
    let (_, rest) = output.split_once(" panicked at ")?;
    let (place, after) = rest.split_once('\n').unwrap_or((rest, ""));
    let mut parts = place.trim_end_matches(':').rsplitn(3, ':');
    let (_column, line, file) = (parts.next()?, parts.next()?, parts.next()?);
    let message: Vec<&str> = after
        .lines()
        .take_while(|line| !line.starts_with("note: ") && !line.starts_with("stack backtrace:"))
        .take(5)
        .collect();
    let message = message.join("\n").trim().chars().take(1000).collect();
    Some(Panic { file: file.trim().to_owned(), line: line.parse().ok(), message })
}

/// The failure of a test with this output.
#[must_use]
pub fn failure(output: &str) -> Failure {
    let panic = find_panic(output).filter(|panic| !panic.message.is_empty());
    let message = panic.as_ref().map_or_else(
        || match first_line(output) {
            line if line.is_empty() => "the test failed without a message".to_owned(),
            line => line,
        },
        |panic| panic.message.clone(),
    );
    let kind = if panic.is_some() { "panic" } else { "failed" };
    Failure { kind: kind.to_owned(), message, detail: output.to_owned() }
}

/// Reads one stream.
#[derive(Debug, Default)]
pub struct LibtestReader {
    report: ParseReport,
    line_no: u64,
    cases: Vec<ReportCase>,
    index: BTreeMap<String, usize>,
    /// A name whose result has not come yet.
    open: Option<String>,
    section: Option<String>,
    announced: u64,
    summed: u64,
    failed: u64,
}

impl LibtestReader {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next line, without its end.
    pub fn line(&mut self, line: &str) {
        self.line_no += 1;
        if self.header(line) || self.summary(line) || self.section(line) {
            return;
        }
        if let Some(name) = self.section.clone() {
            self.detail(&name, line);
        } else if !self.result(line) {
            self.late_result(line);
        }
    }

    fn header(&mut self, line: &str) -> bool {
        let count =
            line.strip_prefix("running ").and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        let Some(count) = count.filter(|_| line.ends_with(" test") || line.ends_with(" tests")) else {
            return false;
        };
        self.section = None;
        self.announced += count;
        true
    }

    fn summary(&mut self, line: &str) -> bool {
        let Some(rest) = line.strip_prefix("test result: ") else { return false };
        self.section = None;
        self.open = None;
        for part in rest.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(Ok(count)), Some(word)) = (words.next().map(str::parse::<u64>), words.next()) else {
                continue;
            };
            match word {
                "passed" | "ignored" | "measured" => self.summed += count,
                "failed" => {
                    self.summed += count;
                    self.failed += count;
                }
                _ => {}
            }
        }
        true
    }

    fn section(&mut self, line: &str) -> bool {
        if line == "failures:" || line == "successes:" {
            self.section = None;
            return true;
        }
        let name = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----"));
        let name = name.map(|name| name.strip_suffix(" stdout").unwrap_or(name));
        // A test may print such a line itself: only names that are known begin a section.
        let Some(name) = name.map(plain_name).filter(|name| self.index.contains_key(*name)) else {
            return false;
        };
        self.section = Some(name.to_owned());
        true
    }

    fn detail(&mut self, name: &str, line: &str) {
        let case = self.index.get(name).and_then(|index| self.cases.get_mut(*index));
        if let Some(case) = case {
            append_capped(&mut case.output, line, TEXT_LIMIT_BYTES);
            append_capped(&mut case.output, "\n", TEXT_LIMIT_BYTES);
        }
    }

    fn result(&mut self, line: &str) -> bool {
        let Some((name, word)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) else {
            return false;
        };
        if !self.settle(name, word) {
            self.open = Some(name.to_owned());
        }
        true
    }

    /// Output of the test itself may stand between its name and its result.
    fn late_result(&mut self, line: &str) {
        if let Some(name) = self.open.take()
            && !self.settle(&name, line)
        {
            self.open = Some(name);
        }
    }

    fn settle(&mut self, name: &str, word: &str) -> bool {
        let (outcome, reason) = match word.trim_end() {
            "ok" => (Outcome::Passed, None),
            "FAILED" | "failed" => (Outcome::Failed, None),
            "ignored" => (Outcome::Skipped, None),
            other => match other.strip_prefix("ignored, ") {
                Some(reason) => (Outcome::Skipped, Some(reason.to_owned())),
                None if other.trim_start().starts_with("bench:") => (Outcome::Passed, None),
                None => return false,
            },
        };
        let mut case = ReportCase::passed("", plain_name(name));
        case.outcome = outcome;
        case.reason = reason;
        self.index.insert(case.name.clone(), self.cases.len());
        self.cases.push(case);
        true
    }

    /// Ends the stream: its cases and what is wrong with it.
    #[must_use]
    pub fn finish(mut self) -> (Vec<ReportCase>, ParseReport) {
        let at = (self.line_no.max(1), 1);
        let found = self.cases.len() as u64;
        let failed = self.cases.iter().filter(|case| case.outcome.is_failure()).count() as u64;
        if found != self.announced {
            let message = format!("{} tests were announced, but {found} have a result", self.announced);
            self.report.fail(at, message);
        } else if (self.summed, self.failed) != (found, failed) {
            self.report.fail(at, "the summary lines do not add up to the results");
        }
        for case in &mut self.cases {
            let output = clean(std::mem::take(&mut case.output).trim_end().as_bytes());
            if case.outcome.is_failure() {
                case.failure = Some(failure(&output));
            }
            case.output = output;
            (case.file, case.line) = doc_place(&case.name);
        }
        self.report.cases = found;
        (self.cases, self.report)
    }
}

/// The name without what the harness appends to it.
fn plain_name(name: &str) -> &str {
    let name = name.trim();
    MODES.iter().find_map(|mode| name.strip_suffix(mode)).unwrap_or(name)
}

/// File and line of a doc test's name, as in `src/lib.rs - item (line 12)`.
fn doc_place(name: &str) -> (Option<String>, Option<u32>) {
    let Some((file, rest)) = name.split_once(" - ") else { return (None, None) };
    let line = rest.rsplit_once("(line ").and_then(|(_, line)| line.trim_end_matches(')').parse().ok());
    (line.is_some().then(|| file.to_owned()), line)
}
