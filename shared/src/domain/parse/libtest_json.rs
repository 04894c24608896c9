//! Reads the JSON of Rust's test harness (`cargo test -- --format json`), one object on each line.
//!
//! Several harnesses may follow each other in one stream, and nextest's form of it is read too. Invariant: the cases of
//! each harness add up to its summary, or there is a fault.

use super::pieces::{JsonLines, Line};
use super::{Each, PIECE_BYTES, ParseReport, Reader, ReportCase, drive, first_line, libtest};
use crate::domain::outcome::Outcome;
use crate::domain::sanitise::{clean, clean_owned, cut_text};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::BufRead;

const OPEN_LIMIT: usize = 100_000;
const NAME_LIMIT_BYTES: usize = 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    r#type: String,
    event: String,
    name: String,
    test_count: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
    measured: u64,
    exec_time: Option<f64>,
    stdout: String,
    stderr: String,
    message: Option<String>,
    reason: Option<String>,
}

/// One harness.
#[derive(Debug, Default)]
struct Harness {
    announced: u64,
    settled: u64,
    failed: u64,
    open: BTreeSet<String>,
}

/// Reads one stream in pieces.
#[derive(Debug, Default)]
pub struct LibtestJsonReader {
    lines: JsonLines,
    report: ParseReport,
    ready: Vec<ReportCase>,
    harness: Option<Harness>,
    events: u64,
    ended: bool,
}

/// Reads a whole stream.
pub fn parse(input: impl BufRead, each: &mut dyn FnMut(ReportCase)) -> ParseReport {
    drive(&mut LibtestJsonReader::default(), input, each)
}

impl Reader for LibtestJsonReader {
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

impl LibtestJsonReader {
    fn line(&mut self, at: u64, line: Line<'_>) {
        match line {
            Line::Object(text) => match serde_json::from_slice::<Event>(text) {
                Ok(event) => self.event((at, 1), event),
                Err(error) => self.report.fail((at, 1), format!("no event: {error}")),
            },
            Line::Stray(text) => {
                let text = clean(text);
                self.report.note((at, 1), format!("not an event: `{}`", first_line(&text)));
            }
            Line::Broken(why) => self.report.fail((at, 1), format!("no event: {why}")),
        }
    }

    fn event(&mut self, at: (u64, u64), event: Event) {
        self.events += 1;
        match (event.r#type.as_str(), event.event.as_str()) {
            ("suite", "started") => self.begin(at, event.test_count),
            ("suite", "ok" | "failed") => self.close(at, &event),
            ("test", "started") => self.started(at, event.name),
            // It only says that the test takes long.
            ("test", "timeout") | ("report" | "discovered", _) => {}
            ("test", "ok") | ("bench", _) => self.result(at, event, Outcome::Passed),
            ("test", "failed") => self.result(at, event, Outcome::Failed),
            ("test", "ignored") => self.result(at, event, Outcome::Skipped),
            (kind, what) => {
                let (kind, what) = (first_line(kind), first_line(what));
                self.report.fail(at, format!("unknown event `{what}` of type `{kind}`"));
            }
        }
    }

    fn begin(&mut self, at: (u64, u64), announced: u64) {
        if self.harness.is_some() {
            self.report.fail(at, "a harness began before the one before it ended");
        }
        self.report.suites += 1;
        self.harness = Some(Harness { announced, ..Harness::default() });
    }

    fn started(&mut self, at: (u64, u64), name: String) {
        match &mut self.harness {
            Some(harness) if harness.open.len() < OPEN_LIMIT => {
                harness.open.insert(name);
            }
            Some(_) => self.report.fail(at, "too many tests are open at a time"),
            None => self.report.fail(at, "a test outside any harness"),
        }
    }

    fn result(&mut self, at: (u64, u64), event: Event, outcome: Outcome) {
        match &mut self.harness {
            Some(harness) => {
                harness.open.remove(&event.name);
                harness.settled += 1;
                harness.failed += u64::from(outcome.is_failure());
            }
            None => self.report.fail(at, "a test outside any harness"),
        }
        if event.name.is_empty() {
            self.report.fail(at, "a result without the name of its test");
        }
        let mut case = named(&event.name);
        case.outcome = outcome;
        case.duration_us = event.exec_time.and_then(|seconds| super::micros(seconds * 1e6));
        let mut output = event.stdout;
        output.push_str(&event.stderr);
        output.truncate(output.trim_end().len());
        let output = clean_owned(output);
        let message = event.message.or(event.reason).map(clean_owned).filter(|text| !text.is_empty());
        if outcome.is_failure() {
            let mut failure = libtest::failure(&output);
            failure.message = message.map_or(failure.message, |message| first_line(&message));
            case.failure = Some(failure);
        } else if outcome == Outcome::Skipped {
            case.reason = message;
        }
        case.output = output;
        self.report.cases += 1;
        self.ready.push(case);
    }

    fn close(&mut self, at: (u64, u64), event: &Event) {
        let Some(harness) = self.harness.take() else {
            return self.report.fail(at, "a harness ended that never began");
        };
        let summed = [event.passed, event.failed, event.ignored, event.measured];
        let summed = summed.into_iter().fold(0, u64::saturating_add);
        if (summed, event.failed) != (harness.settled, harness.failed) {
            self.report.fail(at, "the harness's summary does not add up to its results");
        } else if harness.announced != harness.settled {
            let Harness { announced, settled, .. } = harness;
            self.report.fail(at, format!("{announced} tests were announced, but {settled} have a result"));
        } else if event.event == "failed" && harness.failed == 0 {
            self.report.fail(at, "the harness failed, but none of its tests did");
        }
    }

    fn end(&mut self, at: (u64, u64)) {
        if let Some(harness) = &self.harness {
            let open = harness.open.len();
            self.report
                .fail(at, format!("the stream is cut off: a harness and {open} tests of it never ended"));
        } else if self.events == 0 && self.report.fault().is_none() {
            self.report.fail(at, "this is no JSON of Rust's test harness: it has no event");
        }
    }
}

/// `binary$path::to::test` as nextest writes it, `path::to::test` otherwise.
fn named(name: &str) -> ReportCase {
    let name = cut_text(&clean(name.as_bytes()), NAME_LIMIT_BYTES);
    let split = name.split_once('$').or_else(|| name.rsplit_once("::"));
    let (class, test) = split.unwrap_or(("", name.as_str()));
    ReportCase::passed(class, test)
}
