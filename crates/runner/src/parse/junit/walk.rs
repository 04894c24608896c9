//! Builds cases from the elements of a report.

use super::super::{ParseReport, ReportCase, append_capped, first_line};
use super::DEPTH_LIMIT;
use super::attributes::Attributes;
use crate::exec::cut_text;
use crate::sanitise::clean;
use quick_xml::events::BytesStart;
use shared::domain::case::{Failure, TEXT_LIMIT_BYTES};
use shared::domain::outcome::Outcome;

/// Most earlier attempts that are kept of one case.
const EARLIER_LIMIT: usize = 16;
/// Longest name, class, id or path of a case: it becomes part of keys and ids.
const NAME_LIMIT_BYTES: usize = 1024;
const NOT_JUNIT: &str = "this is no JUnit report: it has no `<testsuites>`, `<testsuite>` or `<testcase>`";

enum Frame {
    Suite(Suite),
    Case(Box<Case>),
    Part(Part),
    /// An element without meaning here; what is in it has none either.
    Ignored,
    /// An unknown element outside any suite; a report may be inside.
    Wrapper,
}

#[derive(Default)]
struct Suite {
    name: String,
    file: Option<String>,
    declared_tests: Option<u64>,
    declared_bad: u64,
    tests: u64,
    bad: u64,
}

struct Case {
    built: ReportCase,
    declared: Option<Outcome>,
    skipped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failure,
    Error,
    Skipped,
    Earlier,
    StackTrace,
    Output,
}

struct Part {
    kind: Kind,
    tag: String,
    message: Option<String>,
    text: String,
}

/// The state of reading one file.
pub(super) struct Walk<'c> {
    frames: Vec<Frame>,
    report: ParseReport,
    each: &'c mut dyn FnMut(ReportCase),
    seen_report: bool,
}

impl<'c> Walk<'c> {
    pub(super) fn new(each: &'c mut dyn FnMut(ReportCase)) -> Self {
        Self { frames: Vec::new(), report: ParseReport::default(), each, seen_report: false }
    }

    /// Enters an element; false if the file must not be read further.
    pub(super) fn open(&mut self, tag: &BytesStart<'_>, at: (u64, u64)) -> bool {
        if self.frames.len() >= DEPTH_LIMIT {
            self.report.fail(at, format!("elements nest deeper than {DEPTH_LIMIT}"));
            return false;
        }
        let frame = self.frame(tag);
        if matches!(frame, Frame::Suite(_) | Frame::Case(_)) {
            self.seen_report = true;
        }
        self.frames.push(frame);
        true
    }

    fn frame(&mut self, tag: &BytesStart<'_>) -> Frame {
        let name = tag.local_name();
        let name: &str = name.as_ref();
        let inside_part = matches!(self.frames.last(), Some(Frame::Part(_)));
        match name {
            _ if matches!(self.frames.last(), Some(Frame::Ignored)) => Frame::Ignored,
            "testsuites" | "testsuite" if !inside_part => {
                self.report.suites += u64::from(name == "testsuite");
                Frame::Suite(suite(&Attributes::of(tag)))
            }
            "testcase" if !inside_part => Frame::Case(Box::new(self.case(&Attributes::of(tag)))),
            "failure" | "error" | "skipped" | "system-out" | "system-err" | "rerunFailure" | "rerunError"
            | "flakyFailure" | "flakyError" | "stackTrace" => self.part(name, &Attributes::of(tag)),
            _ if self.frames.iter().all(|frame| matches!(frame, Frame::Wrapper)) => Frame::Wrapper,
            _ => Frame::Ignored,
        }
    }

    fn part(&self, name: &str, attributes: &Attributes<'_>) -> Frame {
        let kind = match (name, self.frames.last()) {
            ("stackTrace", Some(Frame::Part(_))) => Kind::StackTrace,
            ("failure", Some(Frame::Case(_) | Frame::Suite(_))) => Kind::Failure,
            ("error", Some(Frame::Case(_) | Frame::Suite(_))) => Kind::Error,
            ("skipped", Some(Frame::Case(_))) => Kind::Skipped,
            ("system-out" | "system-err", Some(Frame::Case(_))) => Kind::Output,
            ("rerunFailure" | "rerunError" | "flakyFailure" | "flakyError", Some(Frame::Case(_))) => {
                Kind::Earlier
            }
            _ => return Frame::Ignored,
        };
        let tag = attributes.text("type").unwrap_or(name).to_owned();
        let message = attributes.text("message").map(str::to_owned);
        Frame::Part(Part { kind, tag, message, text: String::new() })
    }

    fn case(&self, attributes: &Attributes<'_>) -> Case {
        let suites = || {
            self.frames.iter().rev().filter_map(|frame| match frame {
                Frame::Suite(suite) => Some(suite),
                Frame::Case(_) | Frame::Part(_) | Frame::Ignored | Frame::Wrapper => None,
            })
        };
        let around = || suites().map(|suite| suite.name.as_str()).find(|name| !name.is_empty());
        let owned = |text: Option<&str>| text.map(|text| cut_text(&clean(text.as_bytes()), NAME_LIMIT_BYTES));
        let class = owned(attributes.text("classname").or_else(|| attributes.text("class")).or_else(around));
        let name = owned(attributes.text("name")).unwrap_or_else(|| "(unnamed)".to_owned());
        let mut built = ReportCase::passed(class.as_deref().unwrap_or_default(), name.trim());
        built.id = owned(attributes.text("id"));
        built.file = owned(attributes.text("file").or_else(|| attributes.text("filepath")))
            .or_else(|| suites().find_map(|suite| suite.file.clone()));
        built.line =
            attributes.count("line").and_then(|line| u32::try_from(line).ok()).filter(|line| *line > 0);
        built.duration_us = attributes.duration_us("time");
        let declared = ["status", "result"].iter().filter_map(|key| attributes.text(key)).find_map(declared);
        Case { built, declared, skipped: false }
    }

    /// Takes text of the innermost element.
    pub(super) fn text(&mut self, text: &str, at: (u64, u64)) -> bool {
        match self.frames.last_mut() {
            Some(Frame::Part(part)) => append_capped(&mut part.text, text, TEXT_LIMIT_BYTES),
            None if !text.trim().is_empty() => {
                self.report.note(at, format!("text outside the report: `{}`", first_line(text)));
            }
            _ => {}
        }
        true
    }

    /// Leaves an element.
    pub(super) fn close(&mut self, at: (u64, u64)) -> bool {
        match self.frames.pop() {
            Some(Frame::Part(part)) => self.close_part(part),
            Some(Frame::Case(case)) => self.close_case(*case),
            Some(Frame::Suite(suite)) => self.close_suite(&suite, at),
            Some(Frame::Ignored | Frame::Wrapper) | None => {}
        }
        true
    }

    fn close_part(&mut self, part: Part) {
        match self.frames.last_mut() {
            Some(Frame::Case(case)) => case.take(part),
            Some(Frame::Part(outer)) => append_capped(&mut outer.text, &part.text, TEXT_LIMIT_BYTES),
            Some(Frame::Suite(suite)) => {
                // Trouble outside any case (a class set-up, a crashed fork) must not get lost.
                let name = if part.kind == Kind::Error { "(suite error)" } else { "(suite failure)" };
                let mut built = ReportCase::passed(&suite.name, name);
                built.file.clone_from(&suite.file);
                let mut case = Case { built, declared: None, skipped: false };
                case.take(Part { kind: Kind::Error, ..part });
                self.close_case(case);
            }
            Some(Frame::Ignored | Frame::Wrapper) | None => {}
        }
    }

    fn close_case(&mut self, case: Case) {
        let built = case.finish();
        for frame in &mut self.frames {
            if let Frame::Suite(suite) = frame {
                suite.tests += 1;
                suite.bad += u64::from(built.outcome.is_failure());
            }
        }
        self.report.cases += 1;
        (self.each)(built);
    }

    fn close_suite(&mut self, suite: &Suite, at: (u64, u64)) {
        let name = &suite.name;
        if suite.declared_bad > 0 && suite.bad == 0 {
            let declared = suite.declared_bad;
            self.report
                .fail(at, format!("suite `{name}` declares {declared} failures, but no case in it failed"));
        }
        if let Some(declared) = suite.declared_tests
            && declared != suite.tests
        {
            let found = suite.tests;
            self.report.note(at, format!("suite `{name}` declares {declared} tests, but has {found}"));
        }
    }

    /// Ends the file, with what was wrong at its end.
    pub(super) fn end(mut self, at: (u64, u64), wrong: Option<String>) -> ParseReport {
        if let Some(message) = wrong {
            self.report.fail(at, message);
        } else if self.report.fault().is_none() && !self.frames.is_empty() {
            self.report
                .fail(at, format!("the file is cut off: {} elements are still open", self.frames.len()));
        } else if self.report.fault().is_none() && !self.seen_report {
            self.report.fail(at, NOT_JUNIT);
        }
        self.report
    }
}

impl Case {
    fn take(&mut self, part: Part) {
        let text = clean(part.text.trim_end().as_bytes());
        let message = part.message.map(|message| clean(message.as_bytes()));
        match part.kind {
            Kind::Skipped => {
                self.skipped = true;
                self.built.reason =
                    message.or_else(|| Some(first_line(&text)).filter(|line| !line.is_empty()));
            }
            Kind::Output => {
                if !self.built.output.is_empty() && !text.is_empty() {
                    append_capped(&mut self.built.output, "\n", TEXT_LIMIT_BYTES);
                }
                append_capped(&mut self.built.output, &text, TEXT_LIMIT_BYTES);
            }
            Kind::Earlier if self.built.earlier.len() < EARLIER_LIMIT => {
                self.built.earlier.push(failure(part.tag, message, text));
            }
            Kind::Failure | Kind::Error => {
                let outcome = if part.kind == Kind::Error { Outcome::Errored } else { Outcome::Failed };
                self.fail(outcome, failure(part.tag, message, text));
            }
            Kind::Earlier | Kind::StackTrace => {}
        }
    }

    /// The first failure names the case; further ones are added to its detail.
    fn fail(&mut self, outcome: Outcome, failure: Failure) {
        match &mut self.built.failure {
            None => {
                self.built.outcome = outcome;
                self.built.failure = Some(failure);
            }
            Some(first) => {
                let more = format!("\n\n{}: {}\n{}", failure.kind, failure.message, failure.detail);
                append_capped(&mut first.detail, &more, TEXT_LIMIT_BYTES);
            }
        }
    }

    fn finish(mut self) -> ReportCase {
        let unexplained = || Failure {
            kind: "status".to_owned(),
            message: "the report says so without a reason".to_owned(),
            detail: String::new(),
        };
        if self.built.failure.is_none() {
            match self.declared {
                Some(outcome) if outcome.is_failure() => self.fail(outcome, unexplained()),
                Some(Outcome::Skipped) => {
                    self.skipped = true;
                    self.built.reason.get_or_insert_with(|| "not run".to_owned());
                }
                _ => {}
            }
        }
        if self.built.failure.is_some() {
            self.built.reason = None;
        } else if self.skipped {
            self.built.outcome = Outcome::Skipped;
        }
        self.built
    }
}

fn suite(attributes: &Attributes<'_>) -> Suite {
    let bad = ["failures", "errors"].iter().filter_map(|key| attributes.count(key));
    Suite {
        name: clean(attributes.text("name").unwrap_or_default().as_bytes()),
        file: attributes.text("file").or_else(|| attributes.text("filepath")).map(str::to_owned),
        declared_tests: attributes.count("tests"),
        declared_bad: bad.fold(0, u64::saturating_add),
        tests: 0,
        bad: 0,
    }
}

fn failure(kind: String, message: Option<String>, detail: String) -> Failure {
    let message = message.unwrap_or_else(|| match first_line(&detail) {
        line if line.is_empty() => "no message".to_owned(),
        line => line,
    });
    Failure { kind, message, detail }
}

/// What a `status` or `result` attribute says, where it is more than "ran".
fn declared(word: &str) -> Option<Outcome> {
    match word.trim().to_ascii_lowercase().as_str() {
        "notrun" | "not_run" | "suppressed" | "skipped" | "disabled" | "ignored" | "pending" => {
            Some(Outcome::Skipped)
        }
        "failed" | "fail" | "failure" => Some(Outcome::Failed),
        "error" | "errored" | "broken" => Some(Outcome::Errored),
        _ => None,
    }
}
