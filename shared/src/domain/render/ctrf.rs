//! CTRF, the Common Test Report Format, streamed.
//!
//! CTRF knows five statuses: everything red is `failed`, with our word in `rawStatus`; cases without a result are
//! `other` in the summary. What is red without a failed case is a failed test of its own, as in JUnit.

use super::Renderer;
use super::trouble::{Trouble, code_text, troubles};
use super::words::suite_name;
use crate::domain::case::CaseResult;
use crate::domain::outcome::Outcome;
use crate::domain::report::{CaseRecord, JobSummary, RunSummary};
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// Version of the format that is written.
const SPEC_VERSION: &str = "0.1.0";

/// Writes CTRF.
#[derive(Debug)]
pub struct Ctrf<W> {
    out: W,
    any: bool,
}

impl<W: Write> Ctrf<W> {
    /// A renderer into `out`.
    pub fn new(out: W) -> Self {
        Self { out, any: false }
    }

    fn row(&mut self, row: &Value) -> io::Result<()> {
        self.out.write_all(if self.any { b",\n" } else { b"\n" })?;
        self.any = true;
        serde_json::to_writer(&mut self.out, row).map_err(io::Error::from)
    }
}

impl<W: Write> Renderer for Ctrf<W> {
    fn begin(&mut self, run: &RunSummary) -> io::Result<()> {
        let troubles = troubles(run);
        let counts = &run.counts;
        let extra = u64::try_from(troubles.len()).unwrap_or(u64::MAX);
        let summary = json!({
            "tests": counts.planned + extra,
            "passed": counts.passed,
            "failed": counts.failures() + extra,
            "skipped": counts.skipped,
            "pending": 0,
            "other": counts.outstanding,
            "flaky": counts.flaky,
            "suites": run.jobs.len(),
            "start": run.queued_at.0,
            "stop": run.finished_at.0,
            "duration": run.finished_at.since_ms(run.queued_at),
            "extra": { "verdict": run.judgement.verdict, "exit_code": run.judgement.exit_code() },
        });
        let mut environment = json!({ "appName": run.project.0 });
        for (key, value) in [("commit", &run.commit), ("branchName", &run.branch)] {
            if let (Some(value), Some(object)) = (value, environment.as_object_mut()) {
                object.insert(key.to_owned(), json!(value));
            }
        }
        let tool = json!({ "name": "fleetest", "version": run.version });
        let generated = json!(format!("fleetest {}", run.version));
        write!(
            self.out,
            "{{\"reportFormat\":\"CTRF\",\"specVersion\":\"{SPEC_VERSION}\",\"timestamp\":\"{}\",\
             \"generatedBy\":{generated},\"extra\":{{\"run_id\":\"{}\"}},\n\
             \"results\":{{\"tool\":{tool},\n\"summary\":{summary},\n\"environment\":{environment},\n\"tests\":[",
            run.finished_at, run.run,
        )?;
        troubles.iter().try_for_each(|trouble| self.row(&trouble_row(trouble)))
    }

    fn case(&mut self, job: &JobSummary, record: &CaseRecord) -> io::Result<()> {
        let Some(last) = record.last() else { return Ok(()) };
        self.row(&case_row(job, record, last))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(b"]}}\n")?;
        self.out.flush()
    }
}

fn trouble_row(trouble: &Trouble) -> Value {
    json!({
        "name": format!("{} ended as {}", trouble.place, trouble.verdict),
        "status": "failed",
        "duration": 0,
        "suite": ["fleetest"],
        "rawStatus": code_text(trouble.cause.code),
        "message": trouble.cause.message,
        "trace": trouble.cause.detail,
    })
}

fn case_row(job: &JobSummary, record: &CaseRecord, last: &CaseResult) -> Value {
    let mut row = attempt_fields(last);
    let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
    let name = if last.name.is_empty() { &last.case.0 } else { &last.name };
    put("name", json!(name));
    put("suite", json!([job.name, record.unit, last.class]));
    put("type", json!(suite_name(job)));
    put("rawStatus", json!(last.outcome));
    put("threadId", json!(format!("{}.{}", record.shards.last().copied().unwrap_or(1), last.slot)));
    if let Some(file) = &last.file {
        put("filePath", json!(file));
    }
    put("flaky", json!(record.flaky().is_some()));
    let earlier = record.attempts.split_last().map(|(_, earlier)| earlier).unwrap_or_default();
    if !earlier.is_empty() {
        put("retries", json!(earlier.len()));
        let attempts = earlier.iter().map(|attempt| {
            let mut fields = attempt_fields(attempt);
            fields.insert("attempt".to_owned(), json!(attempt.attempt.max(1)));
            Value::Object(fields)
        });
        put("retryAttempts", attempts.collect());
    }
    put(
        "extra",
        json!({ "id": last.case, "job": job.name, "unit": record.unit, "flaky_kind": record.flaky() }),
    );
    Value::Object(row)
}

/// What a test and an attempt have in common.
fn attempt_fields(attempt: &CaseResult) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    let duration_ms = attempt.duration_us / 1_000;
    put("status", json!(status(attempt.outcome)));
    put("duration", json!(duration_ms));
    put("start", json!(attempt.started_at.0));
    put("stop", json!(attempt.started_at.plus_ms(duration_ms).0));
    if let Some(line) = attempt.line {
        put("line", json!(line));
    }
    if let Some(failure) = &attempt.failure {
        put("message", json!(failure.message));
        put("trace", json!(failure.detail));
    } else if let Some(reason) = &attempt.reason {
        put("message", json!(reason));
    }
    if !attempt.output.is_empty() {
        put("stdout", attempt.output.lines().map(|line| json!(line)).collect());
    }
    fields
}

fn status(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Skipped => "skipped",
        Outcome::Failed | Outcome::Errored | Outcome::TimedOut | Outcome::Crashed => "failed",
    }
}
