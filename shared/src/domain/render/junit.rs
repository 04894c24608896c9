//! JUnit XML: one `<testsuite>` per job and unit, attempts in the surefire and nextest form.
//!
//! The attempt that counts is the `<testcase>`; earlier failed attempts are `flakyFailure`/`flakyError` if it passed in
//! the end, else `rerunFailure`/`rerunError`. `failure` is an assertion that did not hold; `error` is everything else that
//! is red. Whatever is not green without a failed case has an `error` of its own.

use super::Renderer;
use super::trouble::{Trouble, code_text, troubles};
use super::words::one_line;
use crate::domain::case::CaseResult;
use crate::domain::id::JobNo;
use crate::domain::outcome::Outcome;
use crate::domain::report::{CaseRecord, FlakyKind, JobSummary, RunSummary};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite, XmlString};
use std::io::{self, Write};
use std::time::Duration;

/// Cases per `<testsuite>`; a longer unit gets another element of the same name.
const SUITE_LIMIT_CASES: usize = 2_000;
/// Text held for one `<testsuite>` before it is written.
const SUITE_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// A `message` attribute is a headline; the whole stands in the element.
const MESSAGE_LIMIT: usize = 500;

/// Writes JUnit XML.
#[derive(Debug)]
pub struct Junit<W> {
    out: W,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    job: JobNo,
    unit: String,
    suite: TestSuite,
    time_us: u64,
    bytes: usize,
}

impl<W: Write> Junit<W> {
    /// A renderer into `out`.
    pub fn new(out: W) -> Self {
        Self { out, current: None }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        current.suite.set_time(Duration::from_micros(current.time_us));
        self.write_suite(current.suite)
    }

    /// Writes one suite element with the library, without the document around it.
    fn write_suite(&mut self, suite: TestSuite) -> io::Result<()> {
        let mut report = Report::unnamed();
        report.add_test_suite(suite);
        let text = report.to_string().map_err(io::Error::other)?;
        let start = text.find("<testsuite ").unwrap_or(0);
        let end = text.rfind("</testsuites>").unwrap_or(text.len());
        let element = text.get(start..end).unwrap_or("").trim_end();
        writeln!(self.out, "    {element}")
    }

    fn trouble(&mut self, trouble: &Trouble) -> io::Result<()> {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(headline(&trouble.cause.message)).set_type(code_text(trouble.cause.code));
        let detail = format!("{}\n{}", trouble.cause.message, trouble.cause.detail);
        status.set_description(xml(detail.trim_end()));
        let mut case = TestCase::new(format!("{} ended as {}", trouble.place, trouble.verdict), status);
        case.set_classname("fleetest");
        let mut suite = TestSuite::new(xml(&trouble.place));
        suite.add_test_case(case);
        self.write_suite(suite)
    }
}

impl<W: Write> Renderer for Junit<W> {
    fn begin(&mut self, run: &RunSummary) -> io::Result<()> {
        let troubles = troubles(run);
        let extra = u64::try_from(troubles.len()).unwrap_or(u64::MAX);
        let counts = &run.counts;
        let time = Duration::from_millis(run.finished_at.since_ms(run.queued_at)).as_secs_f64();
        // Numbers, an id and a time: nothing here needs escaping.
        writeln!(self.out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        writeln!(
            self.out,
            "<testsuites name=\"fleetest\" id=\"{}\" tests=\"{}\" skipped=\"{}\" failures=\"{}\" errors=\"{}\" \
             timestamp=\"{}\" time=\"{time:.3}\">",
            run.run,
            counts.settled() + extra,
            counts.skipped,
            counts.failed,
            counts.errored + counts.timed_out + counts.crashed + extra,
            run.queued_at,
        )?;
        troubles.iter().try_for_each(|trouble| self.trouble(trouble))
    }

    fn case(&mut self, job: &JobSummary, record: &CaseRecord) -> io::Result<()> {
        let Some(last) = record.last() else { return Ok(()) };
        let fits = |current: &Current| {
            current.job == record.job
                && current.unit == record.unit
                && current.suite.test_cases.len() < SUITE_LIMIT_CASES
                && current.bytes < SUITE_LIMIT_BYTES
        };
        if !self.current.as_ref().is_some_and(fits) {
            self.flush()?;
        }
        let current = self.current.get_or_insert_with(|| Current {
            job: record.job,
            unit: record.unit.clone(),
            suite: suite_of(job, record, last),
            time_us: 0,
            bytes: 0,
        });
        current.suite.add_test_case(test_case(record, last));
        current.time_us = current.time_us.saturating_add(last.duration_us);
        current.bytes += record.attempts.iter().map(text_bytes).sum::<usize>();
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        writeln!(self.out, "</testsuites>")?;
        self.out.flush()
    }
}

fn suite_of(job: &JobSummary, record: &CaseRecord, first: &CaseResult) -> TestSuite {
    let name =
        if record.unit == job.name { job.name.clone() } else { format!("{} {}", job.name, record.unit) };
    let mut suite = TestSuite::new(xml(&name));
    suite.extra.insert("timestamp".into(), first.started_at.rfc3339().into());
    suite.add_property(("job", job.name.as_str()));
    suite.add_property(("unit", record.unit.as_str()));
    suite
}

fn text_bytes(attempt: &CaseResult) -> usize {
    let failure = attempt.failure.as_ref().map_or(0, |f| f.message.len() + f.detail.len());
    attempt.output.len() + failure + attempt.name.len() + attempt.class.len() + 200
}

fn test_case(record: &CaseRecord, last: &CaseResult) -> TestCase {
    let mut status = match last.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Skipped => {
            let mut status = TestCaseStatus::skipped();
            if let Some(reason) = &last.reason {
                status.set_message(headline(reason));
            }
            status
        }
        Outcome::Failed | Outcome::Errored | Outcome::TimedOut | Outcome::Crashed => failed(last),
    };
    let earlier = record.attempts.iter().rev().skip(1).rev();
    status.add_reruns(earlier.filter(|attempt| attempt.outcome.is_failure()).map(rerun));
    let mut case = TestCase::new(xml(&last.name), status);
    case.set_classname(xml(&last.class));
    case.set_time(Duration::from_micros(last.duration_us));
    if let Some(file) = &last.file {
        case.extra.insert("file".into(), xml(file));
    }
    if let Some(line) = last.line {
        case.extra.insert("line".into(), line.to_string().into());
    }
    if record.flaky() == Some(FlakyKind::Isolation) {
        case.add_property(("flaky", "isolation"));
    }
    if !last.output.is_empty() {
        case.set_system_out(xml(&last.output));
    }
    case
}

fn kind(outcome: Outcome) -> NonSuccessKind {
    if outcome == Outcome::Failed { NonSuccessKind::Failure } else { NonSuccessKind::Error }
}

fn failed(attempt: &CaseResult) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind(attempt.outcome));
    if let Some(failure) = &attempt.failure {
        status.set_message(headline(&failure.message)).set_type(xml(&failure.kind));
        let text = if failure.detail.is_empty() { &failure.message } else { &failure.detail };
        status.set_description(xml(text));
    } else {
        status.set_type(attempt.outcome.as_str());
    }
    status
}

fn rerun(attempt: &CaseResult) -> TestRerun {
    let mut rerun = TestRerun::new(kind(attempt.outcome));
    rerun.set_time(Duration::from_micros(attempt.duration_us));
    if let Some(failure) = &attempt.failure {
        rerun.set_message(headline(&failure.message)).set_type(xml(&failure.kind));
        let text = if failure.detail.is_empty() { &failure.message } else { &failure.detail };
        rerun.set_stack_trace(xml(text));
    }
    if !attempt.output.is_empty() {
        rerun.set_system_out(xml(&attempt.output));
    }
    rerun
}

fn headline(message: &str) -> XmlString {
    xml(&one_line(message, MESSAGE_LIMIT))
}

/// Text that XML can hold. The library removes escapes and control characters, but also tabs, and knows not of the two
/// characters that Unicode never assigns.
fn xml(text: &str) -> XmlString {
    XmlString::new(text.replace('\t', "    ").replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}"))
}
