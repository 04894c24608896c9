//! Reads the event stream of `go test -json`, one object on each line.
//!
//! A test is a case, a subtest too. What a package printed and the tests of it that have no result yet are held until
//! the package ends. Invariant: a package that failed without a failed test, a test that began and never ended, and a
//! line that cannot be read are told, never passed over.

use super::pieces::{JsonLines, Line};
use super::{Each, PIECE_BYTES, ParseReport, Reader, ReportCase, append_capped, drive, first_line};
use crate::domain::case::{Failure, TEXT_LIMIT_BYTES};
use crate::domain::outcome::Outcome;
use crate::domain::sanitise::{clean, clean_owned, cut_text};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::BufRead;

/// Most tests and packages that may be open at a time.
const OPEN_LIMIT: usize = 20_000;
/// Most output of open tests that is held.
const HELD_LIMIT_BYTES: usize = 16 * 1024 * 1024;
const NAME_LIMIT_BYTES: usize = 1024;
/// Lines that the tool itself puts around a test's output.
const FRAMES: [&str; 8] =
    ["=== RUN", "=== PAUSE", "=== CONT", "=== NAME", "--- PASS", "--- FAIL", "--- SKIP", "--- BENCH"];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Event {
    action: String,
    package: String,
    import_path: String,
    test: Option<String>,
    elapsed: Option<f64>,
    output: String,
}

#[derive(Debug, Default)]
struct Package {
    output: String,
    failed: bool,
    /// Open tests with their output.
    open: BTreeMap<String, String>,
}

/// Reads one stream in pieces.
#[derive(Debug, Default)]
pub struct GoReader {
    lines: JsonLines,
    report: ParseReport,
    ready: Vec<ReportCase>,
    packages: BTreeMap<String, Package>,
    /// What the compiler said, by import path.
    builds: BTreeMap<String, String>,
    held_bytes: usize,
    open: usize,
    events: u64,
    ended: bool,
}

/// Reads a whole stream.
pub fn parse(input: impl BufRead, each: &mut dyn FnMut(ReportCase)) -> ParseReport {
    drive(&mut GoReader::default(), input, each)
}

impl Reader for GoReader {
    fn push(&mut self, bytes: &[u8], each: Each<'_>) {
        for piece in bytes.chunks(PIECE_BYTES) {
            let mut lines = std::mem::take(&mut self.lines);
            lines.push(piece, &mut |at, line| self.line(at, line));
            self.lines = lines;
            self.ready.drain(..).for_each(&mut *each);
        }
    }

    fn fail(&mut self, reason: String) {
        self.report.fail((self.lines.line(), 1), reason);
    }

    fn finish(&mut self, each: Each<'_>) -> ParseReport {
        if !std::mem::replace(&mut self.ended, true) {
            let mut lines = std::mem::take(&mut self.lines);
            lines.finish(&mut |at, line| self.line(at, line));
            self.end((lines.line(), 1));
        }
        self.ready.drain(..).for_each(each);
        std::mem::take(&mut self.report)
    }
}

impl GoReader {
    fn line(&mut self, at: u64, line: Line<'_>) {
        match line {
            Line::Object(text) => match serde_json::from_slice::<Event>(text) {
                Ok(event) if event.action.is_empty() => {
                    self.report.fail((at, 1), "an event without `Action`");
                }
                Ok(event) => self.event(at, event),
                Err(error) => self.report.fail((at, 1), format!("no event: {error}")),
            },
            Line::Stray(text) => {
                let text = clean(text);
                self.report.note((at, 1), format!("not an event: `{}`", first_line(&text)));
            }
            Line::Broken(why) => self.report.fail((at, 1), format!("no event: {why}")),
        }
    }

    fn event(&mut self, at: u64, event: Event) {
        self.events += 1;
        let at = (at, 1);
        match (event.action.as_str(), event.test.clone()) {
            ("build-output" | "build-fail", _) => self.build(event),
            (_, _) if event.package.is_empty() => {
                self.report.fail(at, format!("an event `{}` without `Package`", first_line(&event.action)));
            }
            ("start", None) => self.package(&event.package, at),
            ("run", Some(test)) => self.begin(&event.package, &test, at),
            ("pause" | "cont" | "attr" | "artifacts", _) => {}
            ("output", test) => self.output(&event, test.as_deref()),
            ("pass" | "bench", Some(test)) => self.result(&event, &test, Outcome::Passed),
            ("fail", Some(test)) => self.result(&event, &test, Outcome::Failed),
            ("skip", Some(test)) => self.result(&event, &test, Outcome::Skipped),
            ("pass" | "fail" | "skip" | "bench", None) => self.close(&event),
            (other, _) => self.report.fail(at, format!("unknown action `{}`", first_line(other))),
        }
    }

    fn build(&mut self, event: Event) {
        if self.builds.len() < OPEN_LIMIT && self.held_bytes < HELD_LIMIT_BYTES {
            self.held_bytes += event.output.len();
            append_capped(self.builds.entry(event.import_path).or_default(), &event.output, TEXT_LIMIT_BYTES);
        }
    }

    fn package(&mut self, name: &str, at: (u64, u64)) {
        if self.open >= OPEN_LIMIT {
            self.report.fail(at, "too many tests or packages are open at a time");
        } else if !self.packages.contains_key(name) {
            self.open += 1;
            self.report.suites += 1;
            self.packages.insert(name.to_owned(), Package::default());
        }
    }

    fn begin(&mut self, package: &str, test: &str, at: (u64, u64)) {
        self.package(package, at);
        if self.open >= OPEN_LIMIT {
            return self.report.fail(at, "too many tests or packages are open at a time");
        }
        if let Some(package) = self.packages.get_mut(package)
            && package.open.insert(test.to_owned(), String::new()).is_none()
        {
            self.open += 1;
        }
    }

    fn output(&mut self, event: &Event, test: Option<&str>) {
        let Some(package) = self.packages.get_mut(&event.package) else { return };
        let framed = FRAMES.iter().any(|frame| event.output.trim_start().starts_with(frame));
        if self.held_bytes >= HELD_LIMIT_BYTES || framed {
            return;
        }
        let text = match test {
            Some(test) => match package.open.get_mut(test) {
                Some(text) => text,
                None => return,
            },
            None => &mut package.output,
        };
        let before = text.len();
        append_capped(text, &event.output, TEXT_LIMIT_BYTES);
        self.held_bytes += text.len() - before;
    }

    fn result(&mut self, event: &Event, test: &str, outcome: Outcome) {
        // Streams that were cut together may lack the beginning of a test; its result counts all the same.
        let package = self.packages.entry(event.package.clone()).or_insert_with(|| {
            self.open += 1;
            Package::default()
        });
        package.failed |= outcome.is_failure();
        let held = package.open.remove(test);
        self.open = self.open.saturating_sub(usize::from(held.is_some()));
        let output = held.unwrap_or_default();
        self.held_bytes = self.held_bytes.saturating_sub(output.len());
        let output = clean_owned(output);
        let mut case = named(&event.package, test);
        case.duration_us = event.elapsed.and_then(micros);
        case.outcome = outcome;
        if outcome.is_failure() {
            case.failure = Some(failure("fail", output));
        } else {
            case.reason =
                (outcome == Outcome::Skipped).then(|| first_line(&output)).filter(|line| !line.is_empty());
            case.output = output;
        }
        self.give(case);
    }

    fn close(&mut self, event: &Event) {
        let Some(mut package) = self.packages.remove(&event.package) else {
            if event.action == "fail" {
                self.broken_package(event, "");
            }
            return;
        };
        self.open = self.open.saturating_sub(1 + package.open.len());
        self.held_bytes = self.held_bytes.saturating_sub(package.output.len());
        for (test, output) in std::mem::take(&mut package.open) {
            self.held_bytes = self.held_bytes.saturating_sub(output.len());
            let mut case = named(&event.package, &test);
            case.outcome = Outcome::Errored;
            let message = "the package ended before the test did".to_owned();
            case.failure =
                Some(Failure { kind: "no_result".to_owned(), message, detail: clean_owned(output) });
            package.failed = true;
            self.give(case);
        }
        if event.action == "fail" && !package.failed {
            self.broken_package(event, &package.output);
        }
    }

    /// A package that failed although none of its tests did: it did not build, or broke outside them.
    fn broken_package(&mut self, event: &Event, output: &str) {
        let built = self.builds.iter().find(|(path, _)| path.split(' ').next() == Some(&event.package));
        let detail = built.map_or(output, |(_, said)| said.as_str());
        let mut case = named(&event.package, "(package)");
        case.outcome = Outcome::Errored;
        case.failure = Some(failure("package", clean(detail.trim_end().as_bytes())));
        self.give(case);
    }

    fn give(&mut self, case: ReportCase) {
        self.report.cases += 1;
        self.ready.push(case);
    }

    fn end(&mut self, at: (u64, u64)) {
        for (name, package) in std::mem::take(&mut self.packages) {
            let name = first_line(&name);
            self.report.fail(
                at,
                format!(
                    "the stream is cut off: package `{name}` and {} tests of it never ended",
                    package.open.len()
                ),
            );
        }
        if self.events == 0 && self.report.fault().is_none() {
            self.report.fail(at, "this is no output of `go test -json`: it has no event");
        }
    }
}

fn named(package: &str, test: &str) -> ReportCase {
    let short = |text: &str| cut_text(&clean(text.as_bytes()), NAME_LIMIT_BYTES);
    ReportCase::passed(&short(package), &short(test))
}

fn failure(kind: &str, detail: String) -> Failure {
    let message = match first_line(&detail) {
        line if line.is_empty() => "it failed without a message".to_owned(),
        line => line,
    };
    Failure { kind: kind.to_owned(), message, detail }
}

fn micros(seconds: f64) -> Option<u64> {
    super::micros(seconds * 1e6)
}
