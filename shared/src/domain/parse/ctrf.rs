//! Reads CTRF, the Common Test Report Format: one JSON document with an array of tests.
//!
//! `scan` finds the tests and the summary in the stream; here they get their meaning. Invariant: what the summary counts
//! and the tests do not hold is a fault, and so is a test that cannot be understood, told by its number.

mod scan;

use super::{Each, PIECE_BYTES, ParseReport, Reader, ReportCase, append_capped, drive, first_line};
use crate::domain::case::{Failure, TEXT_LIMIT_BYTES};
use crate::domain::outcome::Outcome;
use crate::domain::sanitise::{clean, clean_owned, cut_text};
use scan::{Found, Scan};
use serde::Deserialize;
use std::io::BufRead;

const NAME_LIMIT_BYTES: usize = 1024;
const EARLIER_LIMIT: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    name: String,
    status: String,
    #[serde(default)]
    raw_status: Option<String>,
    #[serde(default)]
    duration: Option<f64>,
    #[serde(default)]
    suite: Option<Suite>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    trace: Option<String>,
    #[serde(default)]
    file_path: Option<String>,
    #[serde(default)]
    line: Option<f64>,
    #[serde(default)]
    retries: Option<u32>,
    #[serde(default)]
    flaky: bool,
    #[serde(default)]
    retry_attempts: Vec<Attempt>,
    #[serde(default)]
    browser: Option<String>,
    #[serde(default)]
    stdout: Vec<String>,
    #[serde(default)]
    stderr: Vec<String>,
}

/// Older files write one text, newer ones a path.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Suite {
    One(String),
    Path(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct Attempt {
    status: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    trace: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Summary {
    tests: u64,
    #[serde(default)]
    failed: u64,
}

/// Reads one document in pieces.
#[derive(Debug, Default)]
pub struct CtrfReader {
    scan: Scan,
    report: ParseReport,
    ready: Vec<ReportCase>,
    summary: Option<(Summary, (u64, u64))>,
    tests: u64,
    failed: u64,
    ended: bool,
}

/// Reads a whole stream.
pub fn parse(input: impl BufRead, each: &mut dyn FnMut(ReportCase)) -> ParseReport {
    drive(&mut CtrfReader::default(), input, each)
}

impl Reader for CtrfReader {
    fn push(&mut self, bytes: &[u8], each: Each<'_>) {
        for piece in bytes.chunks(PIECE_BYTES) {
            let mut scan = std::mem::take(&mut self.scan);
            scan.push(piece, &mut |at, found| self.found(at, found));
            self.scan = scan;
            self.ready.drain(..).for_each(&mut *each);
        }
    }

    fn fail(&mut self, reason: String) {
        self.report.fail(self.scan.place(), reason);
    }

    fn finish(&mut self, each: Each<'_>) -> ParseReport {
        if !std::mem::replace(&mut self.ended, true) {
            self.end();
        }
        self.ready.drain(..).for_each(each);
        std::mem::take(&mut self.report)
    }
}

impl CtrfReader {
    fn found(&mut self, at: (u64, u64), found: Found<'_>) {
        match found {
            Found::Test(text) => {
                self.tests += 1;
                match serde_json::from_slice::<Test>(text).map_err(|error| error.to_string()).and_then(read) {
                    Ok(case) => self.give(case),
                    Err(why) => self.report.fail(at, format!("test {}: {why}", self.tests)),
                }
            }
            Found::Lost(why) => {
                self.tests += 1;
                self.report.fail(at, format!("test {}: {why}", self.tests));
            }
            Found::Summary(text) => match serde_json::from_slice(text) {
                Ok(summary) => self.summary = Some((summary, at)),
                Err(error) => self.report.fail(at, format!("`results.summary`: {error}")),
            },
            Found::Broken(why) => self.report.fail(at, format!("broken JSON: {why}")),
        }
    }

    fn give(&mut self, case: ReportCase) {
        self.failed += u64::from(case.outcome.is_failure());
        self.report.cases += 1;
        self.ready.push(case);
    }

    fn end(&mut self) {
        let at = self.scan.place();
        if self.report.fault().is_some() {
            return;
        }
        if !self.scan.is_whole() {
            return self.report.fail(at, "the file is cut off: the document does not end");
        }
        let Some((summary, at)) = &self.summary else {
            return self.report.fail(at, "this is no CTRF report: it has no `results.summary`");
        };
        let Summary { tests, failed } = *summary;
        if tests > self.tests {
            self.report.fail(*at, format!("the summary says {tests} tests, but there are {}", self.tests));
        } else if tests < self.tests {
            self.report.note(*at, format!("the summary says {tests} tests, but there are {}", self.tests));
        } else if failed > 0 && self.failed == 0 {
            self.report.fail(*at, format!("the summary says {failed} failed, but no test did"));
        }
        self.report.suites = 1;
    }
}

fn read(test: Test) -> Result<ReportCase, String> {
    let short = |text: &str| cut_text(&clean(text.as_bytes()), NAME_LIMIT_BYTES);
    let (outcome, kind) = outcome(&test.status)?;
    let class = match &test.suite {
        Some(Suite::One(name)) => short(name),
        Some(Suite::Path(path)) => short(&path.join(" > ")),
        None => String::new(),
    };
    let name = match &test.browser {
        // The same test in several browsers is several cases.
        Some(browser) if !browser.is_empty() => format!("{} [{browser}]", test.name),
        _ => test.name.clone(),
    };
    let mut case = ReportCase::passed(&class, &short(&name));
    case.file = test.file_path.as_deref().map(short);
    case.line = test.line.and_then(whole);
    case.duration_us = test.duration.and_then(|ms| super::micros(ms * 1e3));
    case.outcome = outcome;
    case.earlier = earlier(&test, outcome);
    let message = test.message.map(clean_owned).filter(|text| !text.trim().is_empty());
    if outcome.is_failure() {
        let kind = test.raw_status.as_deref().map_or_else(|| kind.to_owned(), short);
        case.failure = Some(failure(kind, message, test.trace.unwrap_or_default()));
    } else if outcome == Outcome::Skipped {
        case.reason = message;
    }
    for line in test.stdout.iter().chain(&test.stderr) {
        append_capped(&mut case.output, line, TEXT_LIMIT_BYTES);
        append_capped(&mut case.output, "\n", TEXT_LIMIT_BYTES);
    }
    case.output.truncate(case.output.trim_end().len());
    case.output = clean_owned(case.output);
    Ok(case)
}

fn outcome(status: &str) -> Result<(Outcome, &'static str), String> {
    match status {
        "passed" => Ok((Outcome::Passed, "passed")),
        "failed" => Ok((Outcome::Failed, "failed")),
        "skipped" | "pending" => Ok((Outcome::Skipped, "skipped")),
        // Whatever it is, it is not known to have passed.
        "other" => Ok((Outcome::Errored, "other")),
        unknown => Err(format!("unknown status `{}`", first_line(unknown))),
    }
}

fn earlier(test: &Test, outcome: Outcome) -> Vec<Failure> {
    let told: Vec<Failure> = test
        .retry_attempts
        .iter()
        .filter(|attempt| attempt.status != "passed" && attempt.status != "skipped")
        .take(EARLIER_LIMIT)
        .map(|attempt| {
            let trace = attempt.trace.clone().unwrap_or_default();
            failure("retried".to_owned(), attempt.message.clone().map(clean_owned), trace)
        })
        .collect();
    if !told.is_empty() || outcome != Outcome::Passed {
        return told;
    }
    let count = test.retries.unwrap_or(0).max(u32::from(test.flaky));
    (0..count).take(EARLIER_LIMIT).map(|_| failure("retried".to_owned(), None, String::new())).collect()
}

fn failure(kind: String, message: Option<String>, trace: String) -> Failure {
    let detail = clean_owned(trace);
    let message = message.unwrap_or_else(|| match first_line(&detail) {
        line if line.is_empty() => "no message".to_owned(),
        line => line,
    });
    Failure { kind, message, detail }
}

fn whole(number: f64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    (1.0..=f64::from(u32::MAX)).contains(&number).then_some(number as u32)
}
