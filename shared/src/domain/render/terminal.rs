//! What the terminal says, as styled pieces of text; colours and writing are the command line's work.
//!
//! All text of tests comes out in printable form: no escape, no control character, no reordering.

use super::trouble::{code_text, troubles};
use super::words::{cut_middle, duration_text, number_text, one_line, printable, rerun_line, suite_name};
use crate::domain::outcome::{Counts, Outcome};
use crate::domain::report::{CaseRecord, FlakyKind, JobSummary, RunSummary};
use crate::domain::verdict::Verdict;
use std::collections::BTreeSet;

/// Lines of a traceback on the terminal.
const DETAIL_LINES: usize = 30;
/// Lines of captured output on the terminal.
const OUTPUT_LINES: usize = 12;
/// Characters of a one-line message.
const MESSAGE_LIMIT: usize = 160;
/// Failures named again at the end.
const LIST_LIMIT: usize = 10;

/// How a piece of text should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// Green.
    Passed,
    /// Red.
    Failed,
    /// Yellow: flaky, cancelled.
    Warned,
    /// Bold.
    Strong,
    /// Less important.
    Dim,
}

/// A piece of text with one style; may hold line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Text.
    pub text: String,
    /// Style.
    pub style: Style,
}

/// The text without styles.
#[must_use]
pub fn plain(segments: &[Segment]) -> String {
    segments.iter().map(|segment| segment.text.as_str()).collect()
}

fn segment(style: Style, text: impl Into<String>) -> Segment {
    Segment { text: text.into(), style }
}

/// The one-line verdict: `PASSED  1,376 passed, 8 skipped in 7.2s (2 slots, 93 % busy)`.
#[must_use]
pub fn verdict_line(run: &RunSummary) -> Vec<Segment> {
    let (word, style) = match run.judgement.verdict {
        Verdict::Passed => ("PASSED", Style::Passed),
        Verdict::Failed => ("FAILED", Style::Failed),
        Verdict::TimedOut => ("TIMED OUT", Style::Failed),
        Verdict::Errored => ("ERRORED", Style::Failed),
        Verdict::Cancelled => ("CANCELLED", Style::Warned),
    };
    let took_us = run.finished_at.since_ms(run.queued_at).saturating_mul(1_000);
    let mut line = vec![
        segment(style, word),
        segment(Style::Plain, format!("  {} in {}", counts_text(&run.counts), duration_text(took_us))),
    ];
    if let Some((slots, busy)) = use_of_slots(&run.jobs) {
        let slots_text = if slots == 1 { "1 slot".to_owned() } else { format!("{slots} slots") };
        line.push(segment(Style::Dim, format!(" ({slots_text}, {busy} % busy)")));
    }
    if let Some(cause) = run.judgement.cause.as_ref().filter(|_| run.judgement.verdict != Verdict::Failed) {
        line.push(segment(Style::Plain, format!(": {}", one_line(&cause.message, MESSAGE_LIMIT))));
    }
    line
}

/// `1,376 passed (2 flaky), 1 failed, 8 skipped`; `no tests` if there are none.
pub(super) fn counts_text(counts: &Counts) -> String {
    let mut parts = Vec::new();
    for outcome in Outcome::ALL {
        let number = counts.of(outcome);
        let flaky = if outcome == Outcome::Passed && counts.flaky > 0 {
            format!(" ({} flaky)", number_text(counts.flaky))
        } else {
            String::new()
        };
        if number > 0 {
            parts.push(format!("{} {}{flaky}", number_text(number), outcome.as_str().replace('_', " ")));
        }
    }
    if counts.outstanding > 0 {
        parts.push(format!("{} not run", number_text(counts.outstanding)));
    }
    if parts.is_empty() { "no tests".to_owned() } else { parts.join(", ") }
}

/// How many slots worked, and which share of the time from the first span to the last they did, in per cent.
pub(super) fn use_of_slots(jobs: &[JobSummary]) -> Option<(usize, u64)> {
    let spans = || jobs.iter().flat_map(|job| job.spans.iter().map(move |span| (job.job, span)));
    let slots: BTreeSet<_> = spans().map(|(job, span)| (job, span.shard, span.slot)).collect();
    let start = spans().map(|(_, span)| span.started_at).min()?;
    let end = spans().map(|(_, span)| span.ended_at).max()?;
    let busy_ms: u64 = spans().map(|(_, span)| span.ended_at.since_ms(span.started_at)).sum();
    let offered_ms = end.since_ms(start).saturating_mul(u64::try_from(slots.len()).ok()?);
    let percent = busy_ms.saturating_mul(100).checked_div(offered_ms)?.min(100);
    Some((slots.len(), percent))
}

/// One failed case: name, place, message, the traceback cut to what fits, output, and the line that reruns it. `target` is
/// what the run was asked to test; `several` says that the run has several jobs.
#[must_use]
pub fn failure_block(target: &str, several: bool, job: &JobSummary, record: &CaseRecord) -> Vec<Segment> {
    let Some(last) = record.last() else { return Vec::new() };
    let word = last.outcome.as_str().to_uppercase().replace('_', " ");
    let mut block = vec![
        segment(Style::Failed, format!("{word}  ")),
        segment(Style::Strong, one_line(&last.case.0, usize::MAX)),
    ];
    let place = match (&last.file, last.line) {
        (Some(file), Some(line)) => format!("  {}:{line}", one_line(file, usize::MAX)),
        (Some(file), None) => format!("  {}", one_line(file, usize::MAX)),
        (None, _) => String::new(),
    };
    let attempts = match record.attempts.len() {
        0 | 1 => String::new(),
        n => format!("  {n} attempts"),
    };
    let of_job = if several { format!("  [{}]", one_line(&job.name, usize::MAX)) } else { String::new() };
    block.push(segment(
        Style::Dim,
        format!("{of_job}{place}  {}{attempts}\n", duration_text(last.duration_us)),
    ));
    if let Some(failure) = &last.failure {
        let message = one_line(&failure.message, MESSAGE_LIMIT);
        if !message.is_empty() {
            block.push(segment(Style::Plain, format!("  {message}\n")));
        }
        block.extend(indented(&failure.detail, DETAIL_LINES, Style::Plain));
    }
    if !last.output.trim().is_empty() {
        block.push(segment(Style::Dim, "  output:\n"));
        block.extend(indented(&last.output, OUTPUT_LINES, Style::Dim));
    }
    let suite = several.then(|| suite_name(job));
    block.push(segment(Style::Dim, "  rerun: "));
    block.push(segment(Style::Plain, format!("{}\n", rerun_line(target, suite, &last.case))));
    block
}

fn indented(text: &str, limit: usize, style: Style) -> Option<Segment> {
    let cut = cut_middle(&printable(text), limit);
    if cut.trim().is_empty() {
        return None;
    }
    let lines: String = cut.lines().map(|line| format!("    {line}\n")).collect();
    Some(segment(style, lines))
}

/// What kept jobs or the run from being judged, with the tool's own words.
#[must_use]
pub fn not_run_block(run: &RunSummary) -> Vec<Segment> {
    let mut block = Vec::new();
    for trouble in troubles(run) {
        let word = trouble.verdict.as_str().to_uppercase().replace('_', " ");
        let style = if trouble.verdict == Verdict::Cancelled { Style::Warned } else { Style::Failed };
        block.push(segment(style, format!("{word}  ")));
        block.push(segment(Style::Strong, one_line(&trouble.place, usize::MAX)));
        block.push(segment(Style::Dim, format!("  {}\n", code_text(trouble.cause.code))));
        block.extend(indented(&trouble.cause.message, OUTPUT_LINES, Style::Plain));
        block.extend(indented(&trouble.cause.detail, DETAIL_LINES, Style::Dim));
    }
    block
}

/// The failures again, at the very end: each one's rerun line, the first 10 of `total`. `failed` need not hold more than
/// those; `see` says where the rest is (a report's path).
#[must_use]
pub fn final_list(
    target: &str,
    several: bool,
    failed: &[(&JobSummary, &CaseRecord)],
    total: u64,
    see: &str,
) -> Vec<Segment> {
    let mut list = Vec::new();
    let shown = failed.iter().take(LIST_LIMIT);
    for (job, record) in shown.clone() {
        let Some(last) = record.last() else { continue };
        let suite = several.then(|| suite_name(job));
        list.push(segment(Style::Failed, format!("  ✗ {}  ", last.outcome.as_str().replace('_', " "))));
        list.push(segment(Style::Plain, format!("{}\n", rerun_line(target, suite, &last.case))));
    }
    let rest = total.saturating_sub(u64::try_from(shown.len()).unwrap_or(u64::MAX));
    if rest > 0 {
        list.push(segment(Style::Dim, format!("  +{} more, see {see}\n", number_text(rest))));
    }
    list
}

/// The flaky cases: passed, but not at the first attempt. As in [`final_list`], the first 10 of `total`.
#[must_use]
pub fn flaky_list(flaky: &[&CaseRecord], total: u64) -> Vec<Segment> {
    let mut list = Vec::new();
    let shown = flaky.iter().take(LIST_LIMIT);
    for record in shown.clone() {
        let (Some(last), Some(kind)) = (record.last(), record.flaky()) else { continue };
        let why = match kind {
            FlakyKind::Retry => format!("passed at attempt {}", last.attempt),
            FlakyKind::Isolation => "isolation: passes only alone, and will run alone".to_owned(),
        };
        list.push(segment(Style::Warned, "  ~ flaky  "));
        list.push(segment(Style::Plain, one_line(&last.case.0, usize::MAX)));
        list.push(segment(Style::Dim, format!("  {why}\n")));
    }
    let rest = total.saturating_sub(u64::try_from(shown.len()).unwrap_or(u64::MAX));
    if rest > 0 {
        list.push(segment(Style::Dim, format!("  +{} more\n", number_text(rest))));
    }
    list
}
