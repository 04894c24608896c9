//! The formats that can be read, and telling which one a stream has by its beginning.

use super::ctrf::CtrfReader;
use super::go::GoReader;
use super::junit::JunitReader;
use super::libtest_json::LibtestJsonReader;
use super::tap::TapReader;
use super::{Each, ParseReport, Reader, ReportCase};
use crate::domain::outcome::Outcome;
use std::str::FromStr;

/// So much of a stream is looked at.
const HEAD_BYTES: usize = 8 * 1024;

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// JUnit XML, in any dialect.
    Junit,
    /// The Test Anything Protocol, 12 to 14.
    Tap,
    /// The Common Test Report Format.
    Ctrf,
    /// `go test -json`.
    GoJson,
    /// `cargo test -- --format json`.
    LibtestJson,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Junit, Self::Tap, Self::Ctrf, Self::GoJson, Self::LibtestJson];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Junit => "junit",
            Self::Tap => "tap",
            Self::Ctrf => "ctrf",
            Self::GoJson => "go-json",
            Self::LibtestJson => "libtest-json",
        }
    }

    /// A reader of it.
    #[must_use]
    pub fn reader(self) -> Box<dyn Reader> {
        match self {
            Self::Junit => Box::<JunitReader>::default(),
            Self::Tap => Box::<WholeTap>::default(),
            Self::Ctrf => Box::<CtrfReader>::default(),
            Self::GoJson => Box::<GoReader>::default(),
            Self::LibtestJson => Box::<LibtestJsonReader>::default(),
        }
    }

    /// The format of a stream that begins so, if that can be told.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        let head = head.get(..HEAD_BYTES.min(head.len())).unwrap_or_default();
        let wide: [&[u8]; 4] = [b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<"];
        if wide.iter().any(|mark| head.starts_with(mark)) {
            return Some(Self::Junit);
        }
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with('<') {
            return Some(Self::Junit);
        }
        let objects = text.lines().any(|line| line.starts_with('{'));
        let has = |key: &str| objects && text.contains(key);
        if has("\"Action\"") && (has("\"Package\"") || has("\"ImportPath\"")) {
            return Some(Self::GoJson);
        }
        if text.starts_with('{') && (has("\"reportFormat\"") || has("\"results\"")) {
            return Some(Self::Ctrf);
        }
        if has("\"type\"") && has("\"event\"") {
            return Some(Self::LibtestJson);
        }
        if text.contains("<testsuite") {
            return Some(Self::Junit);
        }
        is_tap(text).then_some(Self::Tap)
    }
}

fn is_tap(text: &str) -> bool {
    let begins = |line: &str| {
        ["TAP version ", "1..", "ok ", "not ok ", "Bail out!"].iter().any(|start| line.starts_with(start))
    };
    text.lines().any(begins)
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join("`, `");
            format!("`{text}` is no format; known are `{known}`")
        })
    }
}

/// Reads a stream whose format is told by its beginning.
#[derive(Debug, Default)]
pub struct AnyReader {
    head: Vec<u8>,
    found: Option<(Format, Box<dyn Reader>)>,
}

impl AnyReader {
    /// A reader of this format, or of the one that it will find out.
    #[must_use]
    pub fn new(format: Option<Format>) -> Self {
        Self { head: Vec::new(), found: format.map(|format| (format, format.reader())) }
    }

    /// The format, once it is known.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        self.found.as_ref().map(|(format, _)| *format)
    }

    fn look(&mut self, each: Each<'_>) {
        if let Some(format) = Format::of(&self.head) {
            let mut reader = format.reader();
            reader.push(&std::mem::take(&mut self.head), each);
            self.found = Some((format, reader));
        }
    }
}

impl Reader for AnyReader {
    fn push(&mut self, bytes: &[u8], each: Each<'_>) {
        if let Some((_, reader)) = &mut self.found {
            return reader.push(bytes, each);
        }
        if self.head.len() >= HEAD_BYTES {
            return;
        }
        // Until the head is full every byte of it may be the one that decides, and none may be lost.
        let room = (HEAD_BYTES - self.head.len()).min(bytes.len());
        let (now, later) = bytes.split_at(room);
        self.head.extend_from_slice(now);
        if self.head.len() >= HEAD_BYTES {
            self.look(each);
        }
        if let Some((_, reader)) = &mut self.found {
            reader.push(later, each);
        }
    }

    fn fail(&mut self, reason: String) {
        if let Some((_, reader)) = &mut self.found {
            reader.fail(reason);
        }
    }

    fn finish(&mut self, each: Each<'_>) -> ParseReport {
        if self.found.is_none() {
            self.look(each);
        }
        match &mut self.found {
            Some((_, reader)) => reader.finish(each),
            None => {
                let mut report = ParseReport::default();
                let known = Format::ALL.map(Format::as_str).join("`, `");
                report.fail((1, 1), format!("this is in none of the formats `{known}`"));
                report
            }
        }
    }
}

/// TAP where nothing but TAP may be: what is none is a fault, and a plan that skips everything is a case.
#[derive(Debug, Default)]
struct WholeTap(TapReader);

impl Reader for WholeTap {
    fn push(&mut self, bytes: &[u8], each: Each<'_>) {
        self.0.push(bytes, each);
    }

    fn fail(&mut self, reason: String) {
        self.0.fail(reason);
    }

    fn finish(&mut self, each: Each<'_>) -> ParseReport {
        let mut report = self.0.finish(each);
        let tap = self.0.tap();
        if !tap.is_tap {
            report.fail((1, 1), "this is no TAP stream: it has no version, plan or bail-out");
        } else if let Some(reason) = &tap.skipped_all
            && report.cases == 0
        {
            let mut case = ReportCase::passed("", "(all)");
            case.outcome = Outcome::Skipped;
            case.reason = Some(reason.clone());
            report.cases = 1;
            each(case);
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_beginning() {
        let check =
            |text: &str, expect: Option<Format>| assert_eq!(Format::of(text.as_bytes()), expect, "{text}");
        check("\u{feff}  <?xml version='1.0'?>", Some(Format::Junit));
        check("Compiling…\n<testsuite name='a'>", Some(Format::Junit));
        check("{\"Time\":\"x\",\"Action\":\"start\",\"Package\":\"p\"}", Some(Format::GoJson));
        check("# p\n{\"ImportPath\":\"p\",\"Action\":\"build-fail\"}", Some(Format::GoJson));
        check("{\"reportFormat\":\"CTRF\"", Some(Format::Ctrf));
        check("{\n \"results\": {\"tool\":", Some(Format::Ctrf));
        check(
            "{ \"type\": \"suite\", \"event\": \"started\", \"test_count\": 1 }",
            Some(Format::LibtestJson),
        );
        check("TAP version 14\n1..2", Some(Format::Tap));
        check("# starting\nok 1 - a\n", Some(Format::Tap));
        check("hello", None);
        check("", None);
        check("{\"a\":1}", None);
        assert_eq!(Format::of(b"\xff\xfe<\0"), Some(Format::Junit));
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
        }
        assert!("xml".parse::<Format>().is_err());
    }
}
