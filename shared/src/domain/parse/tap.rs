//! Reads the Test Anything Protocol, versions 12 to 14, as a stream.
//!
//! Subtests (indented by four spaces) are reported one by one, named after their parents where a `# Subtest:` line
//! says so; the test point that sums them up is reported only if it failed and none of them did. Invariant: a
//! missing or unmet plan, a bail-out or a strict violation is a fault, never a pass.

mod point;

use super::lines::Lines;
use super::{Each, PIECE_BYTES, ParseReport, Reader, ReportCase, append_capped, drive, first_line};
use crate::domain::case::{Failure, TEXT_LIMIT_BYTES};
use crate::domain::outcome::Outcome;
use crate::domain::sanitise::{clean, cut_text};
use point::{Directive, Point};
use std::io::BufRead;

const DEPTH_LIMIT: usize = 32;
/// Longest name of a case: it becomes part of keys and ids.
const NAME_LIMIT_BYTES: usize = 1024;
const INDENT: usize = 4;

/// What reading a TAP stream came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TapReport {
    /// Cases and issues.
    pub report: ParseReport,
    /// Whether it is TAP at all: a version line or a plan was there.
    pub is_tap: bool,
    /// Why everything was skipped, if the plan says so (`1..0 # SKIP why`).
    pub skipped_all: Option<String>,
}

/// Reads a TAP stream and hands out its cases in order.
pub fn parse(input: impl BufRead, each: &mut dyn FnMut(ReportCase)) -> TapReport {
    let mut reader = TapReader::default();
    let report = drive(&mut reader, input, each);
    TapReport { report, ..reader.tap }
}

/// One level of subtests.
#[derive(Debug, Default)]
struct Level {
    /// What the `# Subtest:` line called it.
    name: Option<String>,
    plan: Option<u64>,
    points: u64,
    failed: bool,
    cases: u64,
}

/// A test point that may still get its diagnostics.
#[derive(Debug)]
struct Pending {
    case: ReportCase,
    detail: String,
    depth: usize,
}

/// Reads one stream in pieces.
#[derive(Debug)]
pub struct TapReader {
    tap: TapReport,
    lines: Lines,
    ready: Vec<ReportCase>,
    line_no: u64,
    levels: Vec<Level>,
    /// The name announced for the level that opens next.
    next_name: Option<String>,
    pending: Option<Pending>,
    yaml_indent: Option<usize>,
    strict: bool,
    over: bool,
    ended: bool,
}

impl Default for TapReader {
    fn default() -> Self {
        Self {
            tap: TapReport::default(),
            lines: Lines::default(),
            ready: Vec::new(),
            line_no: 0,
            levels: vec![Level::default()],
            next_name: None,
            pending: None,
            yaml_indent: None,
            strict: false,
            over: false,
            ended: false,
        }
    }
}

impl Reader for TapReader {
    fn push(&mut self, bytes: &[u8], each: Each<'_>) {
        for piece in bytes.chunks(PIECE_BYTES) {
            let mut lines = std::mem::take(&mut self.lines);
            lines.push(piece, &mut |line| self.line(line));
            self.lines = lines;
            self.ready.drain(..).for_each(&mut *each);
        }
    }

    fn fail(&mut self, reason: String) {
        self.tap.report.fail((self.line_no, 1), reason);
    }

    fn finish(&mut self, each: Each<'_>) -> ParseReport {
        if !std::mem::replace(&mut self.ended, true) {
            let mut lines = std::mem::take(&mut self.lines);
            lines.finish(&mut |line| self.line(line));
            self.end();
        }
        self.ready.drain(..).for_each(each);
        std::mem::take(&mut self.tap.report)
    }
}

impl TapReader {
    /// What is known of the stream beside its cases.
    #[must_use]
    pub fn tap(&self) -> &TapReport {
        &self.tap
    }

    fn line(&mut self, raw: &str) {
        self.line_no += 1;
        let text = raw.trim_start_matches(' ');
        let indent = raw.len() - text.len();
        if self.over || self.in_yaml(indent, raw) || text.trim().is_empty() {
            return;
        }
        let depth = (indent / INDENT).min(DEPTH_LIMIT - 1);
        if let Some(comment) = text.strip_prefix('#') {
            return self.comment(depth, comment.trim(), raw);
        }
        if let Some(version) = text.strip_prefix("TAP version ") {
            self.tap.is_tap |= indent == 0 && version.trim().parse::<u32>().is_ok();
            return;
        }
        if let Some(reason) = text.strip_prefix("Bail out!") {
            return self.bail(reason.trim());
        }
        if let Some(pragma) = text.strip_prefix("pragma ") {
            self.strict = pragma.contains("+strict") || (self.strict && !pragma.contains("-strict"));
            return;
        }
        if let Some((count, reason)) = point::plan(text) {
            return self.plan(depth, count, reason);
        }
        match point::parse(text) {
            Some(point) => self.point(depth, &point),
            None => self.other(raw),
        }
    }

    /// Takes a line of a YAML block; whether it was one.
    fn in_yaml(&mut self, indent: usize, raw: &str) -> bool {
        let text = raw.trim();
        if let Some(block) = self.yaml_indent {
            if text == "..." && indent <= block {
                self.yaml_indent = None;
            } else if let Some(pending) = &mut self.pending {
                pending.read_yaml(text);
                append_capped(&mut pending.detail, raw.get(block..).unwrap_or(text), TEXT_LIMIT_BYTES);
                append_capped(&mut pending.detail, "\n", TEXT_LIMIT_BYTES);
            }
            return true;
        }
        let belongs = self.pending.as_ref().is_some_and(|pending| indent == pending.depth * INDENT + 2);
        if text == "---" && belongs {
            self.yaml_indent = Some(indent);
        }
        text == "---" && belongs
    }

    fn comment(&mut self, depth: usize, comment: &str, raw: &str) {
        if let Some(name) = comment.strip_prefix("Subtest:") {
            self.settle();
            self.descend(depth);
            self.next_name = Some(clean(name.trim().as_bytes()));
        } else {
            self.diagnose(raw);
        }
    }

    fn other(&mut self, raw: &str) {
        if self.strict {
            let message = format!("not TAP, and the stream asked to be strict: `{}`", first_line(raw));
            self.tap.report.fail((self.line_no, 1), message);
        }
        self.diagnose(raw);
    }

    fn diagnose(&mut self, raw: &str) {
        if let Some(pending) = &mut self.pending {
            append_capped(&mut pending.detail, raw.trim_start(), TEXT_LIMIT_BYTES);
            append_capped(&mut pending.detail, "\n", TEXT_LIMIT_BYTES);
        }
    }

    fn bail(&mut self, reason: &str) {
        self.settle();
        self.tap.is_tap = true;
        self.over = true;
        let reason = if reason.is_empty() { "no reason given" } else { reason };
        self.tap.report.fail((self.line_no, 1), format!("bailed out: {}", clean(reason.as_bytes())));
    }

    fn plan(&mut self, depth: usize, count: u64, reason: Option<&str>) {
        self.settle();
        self.descend(depth);
        if depth == 0 {
            self.tap.is_tap = true;
            if count == 0 {
                let reason = reason.map(|text| clean(text.as_bytes()));
                self.tap.skipped_all = Some(reason.unwrap_or_else(|| "no reason given".to_owned()));
            }
        }
        let line = (self.line_no, 1);
        if let Some(level) = self.levels.last_mut()
            && level.plan.replace(count).is_some()
        {
            self.tap.report.fail(line, "a second plan");
        }
    }

    fn point(&mut self, depth: usize, point: &Point<'_>) {
        self.settle();
        let children = self.climb(depth);
        self.descend(depth);
        let failed = !point.ok && point.directive.is_none();
        if let Some(level) = self.levels.last_mut() {
            level.points += 1;
            level.failed |= failed;
            let expected = level.points;
            if point.number.is_some_and(|number| number != expected) {
                let message = format!("test point {expected} has another number");
                self.tap.report.note((self.line_no, 1), message);
            }
        }
        // A parent only sums up its subtests, unless it failed by itself.
        if children.as_ref().is_none_or(|level| level.cases == 0 || (failed && !level.failed)) {
            let case = self.case(point);
            self.pending = Some(Pending { case, detail: String::new(), depth });
        }
        if let (Some(children), Some(level)) = (children, self.levels.last_mut()) {
            level.cases += children.cases;
            level.failed |= children.failed;
        }
    }

    fn case(&self, point: &Point<'_>) -> ReportCase {
        let number = self.levels.last().map_or(0, |level| level.points);
        let description = cut_text(&clean(point.description.as_bytes()), NAME_LIMIT_BYTES);
        let name = if description.is_empty() { format!("test {number}") } else { description };
        let path: Vec<&str> = self.levels.iter().filter_map(|level| level.name.as_deref()).collect();
        let mut case = ReportCase::passed(&path.join(" > "), &name);
        case.duration_us = point.duration_us;
        match (&point.directive, point.ok) {
            (Some(Directive::Skip(reason)), _) => {
                case.outcome = Outcome::Skipped;
                case.reason = Some(clean(reason.as_bytes()));
            }
            (Some(Directive::Todo(reason)), false) => {
                case.outcome = Outcome::Skipped;
                case.reason = Some(format!("todo: {}", clean(reason.as_bytes())));
            }
            (None, false) => case.outcome = Outcome::Failed,
            (Some(Directive::Todo(_)) | None, true) => {}
        }
        case
    }

    /// Opens levels down to `depth`.
    fn descend(&mut self, depth: usize) {
        while self.levels.len() <= depth {
            let name = self.next_name.take();
            self.levels.push(Level { name, ..Level::default() });
        }
        self.next_name = None;
    }

    /// Closes levels below `depth`; the last one closed is what the next point there sums up.
    fn climb(&mut self, depth: usize) -> Option<Level> {
        let mut closed: Option<Level> = None;
        while self.levels.len() > depth + 1 {
            let mut level = self.levels.pop()?;
            if let Some(inner) = closed {
                level.cases += inner.cases;
                level.failed |= inner.failed;
            }
            self.check_plan(&level);
            closed = Some(level);
        }
        closed
    }

    fn check_plan(&mut self, level: &Level) {
        let at = (self.line_no.max(1), 1);
        match level.plan {
            Some(plan) if plan == level.points => {}
            Some(plan) => {
                self.tap.report.fail(at, format!("{plan} tests were planned, but {} ran", level.points));
            }
            None if level.points > 0 => self.tap.report.fail(at, "the plan (`1..N`) is missing"),
            None => {}
        }
    }

    /// Hands out the test point whose diagnostics are over.
    fn settle(&mut self) {
        self.yaml_indent = None;
        let Some(pending) = self.pending.take() else { return };
        if let Some(level) = self.levels.last_mut() {
            level.cases += 1;
        }
        self.tap.report.cases += 1;
        self.ready.push(pending.finish());
    }

    fn end(&mut self) {
        if self.yaml_indent.is_some() {
            self.tap.report.fail((self.line_no, 1), "the stream is cut off inside a YAML block");
        }
        self.settle();
        if !self.over {
            self.climb(0);
            let top = self.levels.pop().unwrap_or_default();
            self.check_plan(&top);
        }
        self.tap.report.suites = u64::from(self.tap.is_tap);
    }
}

impl Pending {
    /// Takes over what some tools put into the block.
    fn read_yaml(&mut self, text: &str) {
        let value = |key: &str| text.strip_prefix(key).map(|rest| rest.trim().trim_matches(['\'', '"']));
        if let Some(ms) = value("duration_ms:").and_then(|ms| ms.parse::<f64>().ok()) {
            self.case.duration_us = point::millis_to_us(ms);
        }
        if self.case.file.is_none()
            && let Some(file) = value("file:")
        {
            self.case.file = Some(clean(file.as_bytes()));
        }
    }

    fn finish(self) -> ReportCase {
        let mut case = self.case;
        let detail = clean(self.detail.trim_end().as_bytes());
        if case.outcome.is_failure() {
            let said = detail
                .lines()
                .map(|line| line.trim().trim_start_matches("# "))
                .find_map(|line| line.strip_prefix("message:").or_else(|| line.strip_prefix("error:")))
                .map(|text| text.trim().trim_matches(['\'', '"']).to_owned())
                .filter(|text| !text.is_empty() && text != "|-" && text != ">-");
            let message = said.unwrap_or_else(|| match first_line(&detail) {
                line if line.is_empty() => "not ok".to_owned(),
                line => line,
            });
            case.failure = Some(Failure { kind: "not ok".to_owned(), message, detail });
        } else {
            case.output = detail;
        }
        case
    }
}
