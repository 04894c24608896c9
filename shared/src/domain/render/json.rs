//! The project's own JSON report, `fleetest.report/1`: complete, streamed, one case per line.
//!
//! Fields may be added under the same version; a reader ignores what it does not know. `"complete": true` is the
//! last key: a file without it was cut off. `docs/report-json.md` is the reference.

use super::Renderer;
use super::trouble::code_text;
use crate::domain::case::{CaseId, CaseResult};
use crate::domain::outcome::{Counts, Outcome};
use crate::domain::report::{CaseRecord, FlakyKind, JobSummary, RunSummary, Span};
use crate::domain::spec::Framework;
use crate::domain::verdict::{Judgement, Verdict};
use serde::Serialize;
use std::io::{self, Write};

/// Name and version of the format.
pub const SCHEMA: &str = "fleetest.report/1";

/// Writes the JSON report.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    any: bool,
}

#[derive(Serialize)]
struct RunRow<'a> {
    id: String,
    project: &'a str,
    commit: Option<&'a str>,
    branch: Option<&'a str>,
    version: &'a str,
    queued_at: String,
    finished_at: String,
    duration_ms: u64,
    verdict: Verdict,
    cause: Option<CauseRow<'a>>,
    exit_code: u8,
    counts: &'a Counts,
}

#[derive(Serialize)]
struct CauseRow<'a> {
    code: &'a str,
    message: &'a str,
    detail: &'a str,
}

#[derive(Serialize)]
struct JobRow<'a> {
    job: u32,
    name: &'a str,
    framework: Framework,
    verdict: Verdict,
    cause: Option<CauseRow<'a>>,
    counts: &'a Counts,
    not_run_units: u32,
    deselected: u64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    started_at: Option<String>,
    finished_at: Option<String>,
    launches: u32,
    spans: Vec<SpanRow<'a>>,
}

#[derive(Serialize)]
struct SpanRow<'a> {
    shard: u32,
    slot: u32,
    unit: &'a str,
    started_at: String,
    ended_at: String,
}

#[derive(Serialize)]
struct CaseRow<'a> {
    job: u32,
    unit: &'a str,
    id: &'a CaseId,
    class: &'a str,
    name: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    outcome: Outcome,
    flaky: Option<FlakyKind>,
    duration_us: u64,
    attempts: Vec<AttemptRow<'a>>,
}

#[derive(Serialize)]
struct AttemptRow<'a> {
    attempt: u32,
    outcome: Outcome,
    shard: Option<u32>,
    slot: u32,
    alone: bool,
    started_at: String,
    duration_us: u64,
    failure: Option<FailureRow<'a>>,
    reason: Option<&'a str>,
    output: &'a str,
}

#[derive(Serialize)]
struct FailureRow<'a> {
    kind: &'a str,
    message: &'a str,
    detail: &'a str,
}

impl<W: Write> Json<W> {
    /// A renderer into `out`.
    pub fn new(out: W) -> Self {
        Self { out, any: false }
    }

    fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value).map_err(io::Error::from)
    }

    /// A list with one item per line.
    fn rows<R: Serialize>(&mut self, rows: impl Iterator<Item = R>) -> io::Result<()> {
        for (n, row) in rows.enumerate() {
            self.out.write_all(if n == 0 { b"\n" } else { b",\n" })?;
            self.value(&row)?;
        }
        Ok(())
    }
}

impl<W: Write> Renderer for Json<W> {
    fn begin(&mut self, run: &RunSummary) -> io::Result<()> {
        write!(self.out, "{{\"schema\":\"{SCHEMA}\",\n\"run\":")?;
        self.value(&run_row(run))?;
        self.out.write_all(b",\n\"jobs\":[")?;
        self.rows(run.jobs.iter().map(job_row))?;
        self.out.write_all(b"],\n\"cases\":[")
    }

    fn case(&mut self, _: &JobSummary, record: &CaseRecord) -> io::Result<()> {
        let Some(last) = record.last() else { return Ok(()) };
        self.out.write_all(if self.any { b",\n" } else { b"\n" })?;
        self.any = true;
        self.value(&case_row(record, last))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(b"],\n\"complete\":true}\n")?;
        self.out.flush()
    }
}

fn cause_row(judgement: &Judgement) -> Option<CauseRow<'_>> {
    judgement.cause.as_ref().map(|cause| CauseRow {
        code: code_text(cause.code),
        message: &cause.message,
        detail: &cause.detail,
    })
}

fn run_row(run: &RunSummary) -> RunRow<'_> {
    RunRow {
        id: run.run.to_string(),
        project: &run.project.0,
        commit: run.commit.as_deref(),
        branch: run.branch.as_deref(),
        version: &run.version,
        queued_at: run.queued_at.rfc3339(),
        finished_at: run.finished_at.rfc3339(),
        duration_ms: run.finished_at.since_ms(run.queued_at),
        verdict: run.judgement.verdict,
        cause: cause_row(&run.judgement),
        exit_code: run.judgement.exit_code(),
        counts: &run.counts,
    }
}

fn job_row(job: &JobSummary) -> JobRow<'_> {
    JobRow {
        job: job.job.0,
        name: &job.name,
        framework: job.framework,
        verdict: job.judgement.verdict,
        cause: cause_row(&job.judgement),
        counts: &job.counts,
        not_run_units: job.not_run_units,
        deselected: job.deselected,
        notes: &job.notes,
        started_at: job.started_at.map(|t| t.rfc3339()),
        finished_at: job.finished_at.map(|t| t.rfc3339()),
        launches: job.launches,
        spans: job.spans.iter().map(span_row).collect(),
    }
}

fn span_row(span: &Span) -> SpanRow<'_> {
    SpanRow {
        shard: span.shard,
        slot: span.slot,
        unit: &span.unit,
        started_at: span.started_at.rfc3339(),
        ended_at: span.ended_at.rfc3339(),
    }
}

fn case_row<'a>(record: &'a CaseRecord, last: &'a CaseResult) -> CaseRow<'a> {
    let shards = record.shards.iter().copied().map(Some).chain(std::iter::repeat(None));
    CaseRow {
        job: record.job.0,
        unit: &record.unit,
        id: &last.case,
        class: &last.class,
        name: &last.name,
        file: last.file.as_deref(),
        line: last.line,
        outcome: last.outcome,
        flaky: record.flaky(),
        duration_us: last.duration_us,
        attempts: record
            .attempts
            .iter()
            .zip(shards)
            .map(|(attempt, shard)| attempt_row(attempt, shard))
            .collect(),
    }
}

fn attempt_row(attempt: &CaseResult, shard: Option<u32>) -> AttemptRow<'_> {
    AttemptRow {
        attempt: attempt.attempt,
        outcome: attempt.outcome,
        shard,
        slot: attempt.slot,
        alone: attempt.alone,
        started_at: attempt.started_at.rfc3339(),
        duration_us: attempt.duration_us,
        failure: attempt.failure.as_ref().map(|f| FailureRow {
            kind: &f.kind,
            message: &f.message,
            detail: &f.detail,
        }),
        reason: attempt.reason.as_deref(),
        output: &attempt.output,
    }
}
