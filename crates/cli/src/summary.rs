//! The end of a run as the terminal shows it: failures again, flaky cases, jobs, one sentence.
//!
//! Pure: records are folded one by one into [`Highlights`], which keeps a handful of them whatever the number of
//! cases; [`render`] turns them into lines. Reports on disk have everything; the terminal has what helps at once.

mod failure;
mod job;
pub mod rerun;
mod verdict;

use crate::args::duration::Human;
use crate::line::{Line, Tone};
use crate::progress::view::{LABEL_COLUMNS, count, grouped, labelled, named};
use rerun::Rerun;
use shared::domain::id::JobNo;
use shared::domain::report::{CaseRecord, FlakyKind, JobSummary, RunSummary};
use std::path::PathBuf;

/// Failures shown in full.
pub const FAILURES_SHOWN: usize = 10;
/// Flaky cases shown.
pub const FLAKY_SHOWN: usize = 20;
/// Slow cases shown.
pub const SLOWEST_SHOWN: usize = 5;

/// What the terminal shows of a run's cases; its size does not grow with them.
#[derive(Debug, Clone, Default)]
pub struct Highlights {
    failures: Vec<CaseRecord>,
    failed: u64,
    flaky: Vec<(CaseRecord, FlakyKind)>,
    flaky_cases: u64,
    slowest: Vec<CaseRecord>,
}

impl Highlights {
    /// Takes the next record of the run.
    pub fn fold(&mut self, record: &CaseRecord) {
        if record.outcome().is_failure() {
            self.failed += 1;
            if self.failures.len() < FAILURES_SHOWN {
                self.failures.push(last_attempt(record));
            }
        }
        if let Some(kind) = record.flaky() {
            self.flaky_cases += 1;
            if self.flaky.len() < FLAKY_SHOWN {
                self.flaky.push((without_texts(record), kind));
            }
        }
        let at = self.slowest.partition_point(|other| duration_us(other) >= duration_us(record));
        if at < SLOWEST_SHOWN {
            self.slowest.insert(at, without_texts(record));
            self.slowest.truncate(SLOWEST_SHOWN);
        }
    }
}

fn duration_us(record: &CaseRecord) -> u64 {
    record.last().map_or(0, |last| last.duration_us)
}

/// The record with the attempt that counts alone.
fn last_attempt(record: &CaseRecord) -> CaseRecord {
    CaseRecord {
        job: record.job,
        unit: record.unit.clone(),
        shards: record.shards.last().copied().into_iter().collect(),
        attempts: record.attempts.last().cloned().into_iter().collect(),
    }
}

/// The same without captured output and tracebacks, which nobody reads of a case that passed.
fn without_texts(record: &CaseRecord) -> CaseRecord {
    let mut record = last_attempt(record);
    for attempt in &mut record.attempts {
        attempt.output = String::new();
        attempt.failure = None;
    }
    record
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Failures and the verdict.
    Quiet,
    /// What most people want.
    Normal,
    /// The slowest cases and longer tracebacks as well.
    Verbose,
}

/// Everything the end of a run shows.
#[derive(Debug)]
pub struct Ending<'a> {
    /// The run.
    pub summary: &'a RunSummary,
    /// Its cases.
    pub highlights: &'a Highlights,
    /// How single cases are run again.
    pub rerun: &'a Rerun,
    /// Report files that were written, with the name of their kind; the first is named as the place of the rest.
    pub reports: &'a [(String, PathBuf)],
    /// How much is shown.
    pub detail: Detail,
    /// Columns, if lines must be cut.
    pub width: Option<usize>,
}

/// The lines of the end of a run; the verdict is the last.
#[must_use]
pub fn render(ending: &Ending<'_>) -> Vec<Line> {
    let mut lines = failures(ending);
    if ending.detail > Detail::Quiet {
        lines.extend(flaky(ending));
    }
    if ending.detail == Detail::Verbose {
        lines.extend(slowest(ending));
    }
    lines.extend(job::lines(ending));
    if ending.detail > Detail::Quiet {
        lines.extend(reports(ending));
    }
    lines.push(Line::new());
    lines.push(verdict::line(ending.summary));
    lines
}

/// The verdict in words, without the word for it.
#[must_use]
pub fn told_sentence(summary: &RunSummary) -> String {
    verdict::words(summary)
}

impl Ending<'_> {
    fn job(&self, job: JobNo) -> Option<&JobSummary> {
        self.summary.jobs.iter().find(|summary| summary.job == job)
    }

    /// The job's name, if there are several to tell apart.
    fn shown_name(&self, job: JobNo) -> Option<&str> {
        if self.summary.jobs.len() > 1 { self.job(job).map(|job| job.name.as_str()) } else { None }
    }

    fn fit(&self, line: Line) -> Line {
        match self.width {
            Some(width) => line.fit(width),
            None => line,
        }
    }
}

/// A line that begins below the texts of the labelled ones.
fn indented() -> Line {
    Line::new().plain(" ".repeat(LABEL_COLUMNS + 1))
}

fn failures(ending: &Ending<'_>) -> Vec<Line> {
    let highlights = ending.highlights;
    let mut lines = Vec::new();
    for record in &highlights.failures {
        lines.push(Line::new());
        lines.extend(failure::block(ending, record));
    }
    let hidden = highlights.failed.saturating_sub(highlights.failures.len() as u64);
    if hidden > 0 {
        let place = match ending.reports.first() {
            Some((_, path)) => format!("see {}", path.display()),
            None => "write them to a file with `--html PATH`".to_owned(),
        };
        lines.push(Line::new());
        lines.push(
            indented()
                .with(Tone::Strong, format!("+{}", count(hidden, "more failure")))
                .plain(format!(", {place}")),
        );
    }
    if highlights.failed > 1
        && let Some(command) = ending.rerun.all_failed()
    {
        lines.push(Line::new());
        lines.push(indented().with(Tone::Faint, "run all that failed again: ").with(Tone::Accent, command));
    }
    lines
}

fn flaky(ending: &Ending<'_>) -> Vec<Line> {
    let highlights = ending.highlights;
    let mut lines = Vec::new();
    for (record, kind) in &highlights.flaky {
        let Some(last) = record.last() else { continue };
        let name = last.case.to_string();
        let remark = match kind {
            FlakyKind::Retry => format!("passed on attempt {}", last.attempt),
            FlakyKind::Isolation => "flaky (isolation): passes only alone".to_owned(),
        };
        let line = labelled(Tone::Warn, "FLAKY", ending.shown_name(record.job));
        lines.push(named(line, &name, &remark, ending.width));
    }
    let hidden = highlights.flaky_cases.saturating_sub(highlights.flaky.len() as u64);
    if hidden > 0 {
        lines.push(indented().with(Tone::Faint, format!("+{} more flaky", grouped(hidden))));
    }
    with_gap(lines)
}

fn slowest(ending: &Ending<'_>) -> Vec<Line> {
    let line = |record: &CaseRecord| {
        let last = record.last()?;
        let took = Human(last.duration_us / 1000).to_string();
        let line = labelled(Tone::Plain, &took, ending.shown_name(record.job));
        Some(named(line, &last.case.0, "", ending.width))
    };
    let mut lines: Vec<Line> = ending.highlights.slowest.iter().filter_map(line).collect();
    if !lines.is_empty() {
        lines.insert(0, Line::new().with(Tone::Strong, format!("{:>LABEL_COLUMNS$}", "SLOWEST")));
    }
    with_gap(lines)
}

fn reports(ending: &Ending<'_>) -> Vec<Line> {
    let line = |(kind, path): &(String, PathBuf)| {
        labelled(Tone::Faint, kind, None).with(Tone::Accent, path.display().to_string())
    };
    with_gap(ending.reports.iter().map(line).collect())
}

fn with_gap(mut lines: Vec<Line>) -> Vec<Line> {
    if !lines.is_empty() {
        lines.insert(0, Line::new());
    }
    lines
}

#[cfg(test)]
mod tests;
