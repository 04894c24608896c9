//! Builds cases from the elements of a report.

use super::super::{Each, ParseReport, ReportCase, append_capped, first_line};
use super::DEPTH_LIMIT;
use super::attributes::{Attributes, local};
use super::case::{Case, Kind, Part, declared};
use crate::domain::case::TEXT_LIMIT_BYTES;
use crate::domain::outcome::Outcome;
use crate::domain::sanitise::{clean_owned, cut_text};
use std::borrow::Cow;

/// Longest name, class, id or path of a case: it becomes part of keys and ids.
const NAME_LIMIT_BYTES: usize = 1024;
const NOT_JUNIT: &str = "this is no JUnit report: it has no `<testsuites>`, `<testsuite>` or `<testcase>`";

#[derive(Debug)]
enum Frame {
    Suite(Suite),
    Case(Box<Case>),
    Part(Part),
    /// An element without meaning here; what is in it has none either.
    Ignored,
    /// An unknown element outside any suite; a report may be inside.
    Wrapper,
}

#[derive(Debug, Default)]
struct Suite {
    name: String,
    file: Option<String>,
    declared_tests: Option<u64>,
    declared_bad: u64,
    /// Cases that some tools count and do not write: skipped, disabled, ignored.
    declared_skipped: u64,
    tests: u64,
    bad: u64,
    skipped: u64,
    /// Cases right in it.
    own: u64,
    has_suites: bool,
}

/// The state of reading one file.
#[derive(Debug, Default)]
pub(super) struct Walk {
    frames: Vec<Frame>,
    /// Names of the open elements, and where each begins.
    names: String,
    starts: Vec<usize>,
    report: ParseReport,
    ready: Vec<ReportCase>,
    seen_report: bool,
}

impl Walk {
    /// Hands out the cases that are complete.
    pub(super) fn hand_out(&mut self, each: Each<'_>) {
        self.ready.drain(..).for_each(each);
    }

    /// What reading came to.
    pub(super) fn take_report(&mut self) -> ParseReport {
        std::mem::take(&mut self.report)
    }

    /// Whether the text that comes next means anything.
    pub(super) fn wants_text(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Part(_)) | None)
    }

    /// Takes what stands between `<` and `>`; false if the file must not be read further.
    pub(super) fn tag(&mut self, tag: &str, at: (u64, u64)) -> bool {
        if let Some(name) = tag.strip_prefix('/') {
            return self.leave(name.trim_ascii_end(), at);
        }
        let end = tag.bytes().position(|byte| byte == b'/' || byte.is_ascii_whitespace());
        let (name, attributes) = tag.split_at(end.unwrap_or(tag.len()));
        if name.is_empty() {
            self.report.fail(at, "broken XML: a tag without a name");
            return false;
        }
        self.open(name, attributes, at) && (!tag.ends_with('/') || self.leave(name, at))
    }

    fn open(&mut self, name: &str, attributes: &str, at: (u64, u64)) -> bool {
        if self.frames.len() >= DEPTH_LIMIT {
            self.report.fail(at, format!("elements nest deeper than {DEPTH_LIMIT}"));
            return false;
        }
        let frame = self.frame(local(name), attributes);
        if matches!(frame, Frame::Suite(_) | Frame::Case(_)) {
            self.seen_report = true;
        }
        if let (Frame::Suite(_), Some(Frame::Suite(outer))) = (&frame, self.frames.last_mut()) {
            outer.has_suites = true;
        }
        self.starts.push(self.names.len());
        self.names.push_str(name);
        self.frames.push(frame);
        true
    }

    /// Leaves the innermost element, which must have this name.
    fn leave(&mut self, name: &str, at: (u64, u64)) -> bool {
        let start = self.starts.pop();
        let open = start.and_then(|start| self.names.get(start..)).unwrap_or_default();
        if start.is_none() || open != name {
            let expected =
                start.map_or_else(|| "nothing is open".to_owned(), |_| format!("expected `</{open}>`"));
            let (expected, name) = (first_line(&expected), first_line(name));
            self.report.fail(at, format!("broken XML: {expected}, but `</{name}>` was found"));
            return false;
        }
        self.names.truncate(start.unwrap_or_default());
        self.close(at);
        true
    }

    fn frame(&mut self, name: &str, attributes: &str) -> Frame {
        let inside_part = matches!(self.frames.last(), Some(Frame::Part(_)));
        match name {
            _ if matches!(self.frames.last(), Some(Frame::Ignored)) => Frame::Ignored,
            "testsuites" | "testsuite" if !inside_part => {
                self.report.suites += u64::from(name == "testsuite");
                Frame::Suite(suite(&Attributes::of(attributes)))
            }
            "testcase" if !inside_part => Frame::Case(Box::new(self.case(&Attributes::of(attributes)))),
            "failure" | "error" | "skipped" | "system-out" | "system-err" | "rerunFailure" | "rerunError"
            | "flakyFailure" | "flakyError" | "stackTrace" => self.part(name, &Attributes::of(attributes)),
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
        let tag = attributes.text("type").unwrap_or(Cow::Borrowed(name)).into_owned();
        let message = attributes.text("message").map(Cow::into_owned);
        Frame::Part(Part { kind, tag, message, text: String::new() })
    }

    fn case(&self, attributes: &Attributes<'_>) -> Case {
        let suites = || {
            self.frames.iter().rev().filter_map(|frame| match frame {
                Frame::Suite(suite) => Some(suite),
                Frame::Case(_) | Frame::Part(_) | Frame::Ignored | Frame::Wrapper => None,
            })
        };
        let around = || {
            let name = suites().map(|suite| suite.name.as_str()).find(|name| !name.is_empty());
            name.map(Cow::Borrowed)
        };
        let class = attributes.text("classname").or_else(|| attributes.text("class")).or_else(around);
        let name = attributes.text("name").map(short);
        let name = name.as_deref().map_or("(unnamed)", str::trim);
        let mut built = ReportCase::passed("", name);
        built.class = class.map(short).unwrap_or_default();
        built.suite = suites().next_back().map(|suite| suite.name.clone()).unwrap_or_default();
        built.id = attributes.text("id").map(short);
        built.file = attributes.text("file").or_else(|| attributes.text("filepath")).map(short);
        if built.file.is_none() {
            built.file = suites().find_map(|suite| suite.file.clone());
        }
        built.line =
            attributes.count("line").and_then(|line| u32::try_from(line).ok()).filter(|line| *line > 0);
        built.duration_us = attributes.duration_us("time");
        let declared = ["status", "result"]
            .iter()
            .filter_map(|key| attributes.text(key))
            .find_map(|word| declared(&word));
        Case { built, declared, skipped: false }
    }

    /// Takes text of the innermost element.
    pub(super) fn text(&mut self, text: &str, at: (u64, u64)) {
        match self.frames.last_mut() {
            Some(Frame::Part(part)) => append_capped(&mut part.text, text, TEXT_LIMIT_BYTES),
            None if !text.trim().is_empty() => {
                self.report.note(at, format!("text outside the report: `{}`", first_line(text)));
            }
            _ => {}
        }
    }

    fn close(&mut self, at: (u64, u64)) {
        match self.frames.pop() {
            Some(Frame::Part(part)) => self.close_part(part),
            Some(Frame::Case(case)) => self.close_case(*case),
            Some(Frame::Suite(suite)) => self.close_suite(&suite, at),
            Some(Frame::Ignored | Frame::Wrapper) | None => {}
        }
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
                suite.skipped += u64::from(built.outcome == Outcome::Skipped);
            }
        }
        if let Some(Frame::Suite(suite)) = self.frames.last_mut() {
            suite.own += 1;
        }
        self.report.cases += 1;
        self.ready.push(built);
    }

    fn close_suite(&mut self, suite: &Suite, at: (u64, u64)) {
        let name = &suite.name;
        if suite.declared_bad > 0 && suite.bad == 0 {
            let declared = suite.declared_bad;
            self.report
                .fail(at, format!("suite `{name}` declares {declared} failures, but no case in it failed"));
        }
        let Some(declared) = suite.declared_tests.filter(|declared| *declared != suite.tests) else { return };
        let found = suite.tests;
        let message = format!("suite `{name}` declares {declared} tests, but has {found}");
        if suite.lost_cases(declared) { self.report.fail(at, message) } else { self.report.note(at, message) }
    }

    /// Ends the file, with what was wrong at its end.
    pub(super) fn end(&mut self, at: (u64, u64), wrong: Option<String>) {
        if let Some(message) = wrong {
            self.report.fail(at, message);
        } else if self.report.fault().is_none() && !self.frames.is_empty() {
            let open = self.frames.len();
            self.report.fail(at, format!("the file is cut off: {open} elements are still open"));
        } else if self.report.fault().is_none() && !self.seen_report {
            self.report.fail(at, NOT_JUNIT);
        }
    }
}

impl Suite {
    /// Whether fewer cases were found than it must have had. What an outer suite counts is everybody's guess, so only
    /// one that holds cases itself, or nothing at all, is taken at its word; and some tools count what they leave out.
    fn lost_cases(&self, declared: u64) -> bool {
        let unwritten = self.declared_skipped.saturating_sub(self.skipped);
        (self.own > 0 || !self.has_suites) && declared > self.tests.saturating_add(unwritten)
    }
}

/// A name, path or id in a length that fits keys.
fn short(text: Cow<'_, str>) -> String {
    let text = clean_owned(text.into_owned());
    if text.len() > NAME_LIMIT_BYTES { cut_text(&text, NAME_LIMIT_BYTES) } else { text }
}

fn suite(attributes: &Attributes<'_>) -> Suite {
    let sum =
        |keys: &[&str]| keys.iter().filter_map(|key| attributes.count(key)).fold(0, u64::saturating_add);
    Suite {
        name: attributes.text("name").map(short).unwrap_or_default(),
        file: attributes.text("file").or_else(|| attributes.text("filepath")).map(short),
        declared_tests: attributes.count("tests"),
        declared_bad: sum(&["failures", "errors"]),
        declared_skipped: sum(&["skipped", "skips", "disabled", "ignored"]),
        ..Suite::default()
    }
}
