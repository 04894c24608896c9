//! Runs, their jobs and their failed cases as lines.

use super::{ago, short_commit, took};
use crate::exit::Exit;
use crate::line::{Line, Tone, clean};
use crate::progress::view::{count, grouped, labelled};
use crate::remote::table::{self, Cell};
use http_api::api::wire::{CaseShown, CauseShown, CountsShown, JobShown, RunShown};
use shared::domain::time::Timestamp;

/// Failed cases shown at the end.
pub const FAILURES_SHOWN: usize = 10;

/// The exit code that a run stands for. What is not understood is never green.
#[must_use]
pub fn exit_of(run: &RunShown) -> Exit {
    match (run.verdict.as_deref(), code_of(run.cause.as_ref())) {
        (Some("passed"), _) => Exit::Passed,
        (Some("failed"), _) => Exit::TestsFailed,
        (Some("cancelled"), _) => Exit::Cancelled,
        (Some("timed_out"), _) => Exit::TimedOut,
        (Some("errored"), "no_tests") => Exit::NoTests,
        _ => Exit::CouldNotRun,
    }
}

fn code_of(cause: Option<&CauseShown>) -> &str {
    cause.map_or("", |cause| cause.code.as_str())
}

/// The word for where a run or job stands, with its tone.
#[must_use]
pub fn word(status: &str, verdict: Option<&str>, cause: Option<&CauseShown>) -> (Tone, &'static str) {
    match (verdict, status) {
        (Some("passed"), _) => (Tone::Good, "PASSED"),
        (Some("failed"), _) => (Tone::Bad, "FAILED"),
        (Some("timed_out"), _) => (Tone::Bad, "TIMED OUT"),
        (Some("cancelled"), _) => (Tone::Warn, "CANCELLED"),
        (Some("errored"), _) if code_of(cause) == "no_tests" => (Tone::Warn, "NO TESTS"),
        (Some(_), _) => (Tone::Bad, "ERRORED"),
        (None, "queued") => (Tone::Faint, "QUEUED"),
        (None, "waiting") => (Tone::Faint, "WAITING"),
        (None, "running") => (Tone::Accent, "RUNNING"),
        (None, _) => (Tone::Warn, "UNKNOWN"),
    }
}

/// `2 failed, 1,200 passed (3 flaky), 4 skipped`; empty if there is nothing to count.
#[must_use]
pub fn counted(counts: &CountsShown) -> String {
    let failures = failures(counts);
    let flaky = if counts.flaky > 0 { format!(" ({} flaky)", grouped(counts.flaky)) } else { String::new() };
    let parts = [
        (failures, format!("{} failed", grouped(failures))),
        (counts.passed, format!("{} passed{flaky}", grouped(counts.passed))),
        (counts.skipped, format!("{} skipped", grouped(counts.skipped))),
    ];
    parts.into_iter().filter(|(n, _)| *n > 0).map(|(_, text)| text).collect::<Vec<_>>().join(", ")
}

/// Cases that make a run red.
#[must_use]
pub fn failures(counts: &CountsShown) -> u64 {
    counts.failed + counts.errored + counts.timed_out + counts.crashed
}

/// Cases with a final outcome.
#[must_use]
pub fn settled(counts: &CountsShown) -> u64 {
    failures(counts) + counts.passed + counts.skipped
}

/// A table of runs.
#[must_use]
pub fn table(runs: &[RunShown], now: Timestamp, width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = runs
        .iter()
        .map(|run| {
            let (tone, word) = word(&run.status, run.verdict.as_deref(), run.cause.as_ref());
            let took = took(run.started_at.as_deref(), run.finished_at.as_deref(), now);
            let counts = run.counts.as_ref().map(counted).unwrap_or_default();
            vec![
                Cell::new(&run.id),
                Cell::new(if run.parked { "PARKED" } else { word }).tone(tone),
                Cell::new(run.branch.as_deref().unwrap_or("-")).soft(),
                Cell::new(short_commit(run.commit.as_deref())).optional(),
                Cell::number(ago(&run.queued_at, now)),
                Cell::number(took.map(|took| took.to_string()).unwrap_or_default()).optional(),
                Cell::new(counts),
            ]
        })
        .collect();
    table::lines(&["RUN", "VERDICT", "BRANCH", "COMMIT", "QUEUED", "TOOK", "CASES"], &rows, width)
}

/// Everything that `show` shows.
#[must_use]
pub fn page(run: &RunShown, jobs: &[JobShown], failed: &[CaseShown], now: Timestamp) -> Vec<Line> {
    let mut lines = vec![headline(run, now)];
    let fact = |label: &str, value: &str| labelled(Tone::Faint, label, None).plain(clean(value));
    lines.push(fact("project", &run.project));
    let commit = run.commit.as_deref().unwrap_or("unknown");
    lines.push(fact("commit", &format!("{commit}{}", branch(run))));
    let kind = match &run.trigger.of {
        Some(of) => format!("{} {of}", run.trigger.kind),
        None => run.trigger.kind.clone(),
    };
    lines.push(fact("made by", &format!("{}, {kind}, {}", run.actor, ago(&run.queued_at, now))));
    if run.parked {
        let approve = format!("fleetest approve {}", clean(&run.id));
        let line = labelled(Tone::Warn, "parked", None).plain("it waits for approval: ");
        lines.push(line.with(Tone::Accent, approve));
    }
    lines.extend(cause(run));
    lines.extend(job_lines(jobs, now));
    lines.extend(failed_lines(failed, run));
    lines
}

fn branch(run: &RunShown) -> String {
    let branch = run.branch.as_ref().map(|branch| format!(" on {branch}")).unwrap_or_default();
    let change = run.pull_request.map(|number| format!(" (#{number})")).unwrap_or_default();
    branch + &change
}

/// One line that says where the run stands.
#[must_use]
pub fn headline(run: &RunShown, now: Timestamp) -> Line {
    let (tone, word) = word(&run.status, run.verdict.as_deref(), run.cause.as_ref());
    let line = labelled(tone, word, None).with(Tone::Strong, clean(&run.id));
    let took = took(run.started_at.as_deref(), run.finished_at.as_deref(), now);
    let took = took.map(|took| format!(" in {took}")).unwrap_or_default();
    let counts = run.counts.as_ref().map(counted).filter(|text| !text.is_empty());
    let parked = if run.parked { "  waits for approval" } else { "" };
    line.plain(counts.map(|text| format!("  {text}")).unwrap_or_default() + &took + parked)
}

/// Why it could not be judged, if that says more than the verdict.
fn cause(run: &RunShown) -> Vec<Line> {
    let Some(cause) = run.cause.as_ref().filter(|cause| cause.code != "tests_failed") else {
        return Vec::new();
    };
    let mut lines = vec![labelled(Tone::Warn, "because", None).plain(clean(&cause.message))];
    let tail: Vec<&str> = cause.detail.lines().rev().take(15).collect();
    lines.extend(
        tail.into_iter().rev().map(|line| Line::new().with(Tone::Faint, format!("    {}", clean(line)))),
    );
    lines
}

fn job_lines(jobs: &[JobShown], now: Timestamp) -> Vec<Line> {
    let line = |job: &JobShown| {
        let (tone, word) = word(&job.status, job.verdict.as_deref(), job.cause.as_ref());
        let counts = counted(&job.counts);
        let took = took(job.started_at.as_deref(), job.finished_at.as_deref(), now);
        let took = took.map(|took| format!(" in {took}")).unwrap_or_default();
        let why = job.cause.as_ref().filter(|cause| cause.code != "tests_failed");
        let why = why.map(|cause| format!("  {}", clean(&cause.message))).unwrap_or_default();
        labelled(tone, word, None)
            .with(Tone::Strong, clean(&job.name))
            .with(Tone::Faint, format!("  {counts}{took}"))
            .plain(why)
    };
    with_gap(jobs.iter().map(line).collect())
}

/// The failed cases, and how they are run again.
#[must_use]
pub fn failed_lines(failed: &[CaseShown], run: &RunShown) -> Vec<Line> {
    let mut lines = Vec::new();
    for case in failed.iter().take(FAILURES_SHOWN) {
        let label = case.outcome.to_uppercase().replace('_', " ");
        let label = clean(&label);
        lines.push(labelled(Tone::Bad, &label, None).with(Tone::Strong, clean(&case.id)));
        if let Some(message) = case.failure.as_ref().and_then(|failure| failure.message.lines().next()) {
            lines.push(labelled(Tone::Plain, "", None).plain(clean(message)));
        }
    }
    let total = run.counts.as_ref().map_or(0, failures);
    let shown = u64::try_from(failed.len().min(FAILURES_SHOWN)).unwrap_or(u64::MAX);
    if total > shown && shown > 0 {
        let more = format!("+{}", count(total - shown, "more failure"));
        lines.push(labelled(Tone::Plain, "", None).with(Tone::Strong, more));
    }
    if shown > 0 {
        let again = format!("fleetest rerun {} --failed", clean(&run.id));
        lines.push(
            labelled(Tone::Plain, "", None)
                .with(Tone::Faint, "run all that failed again: ")
                .with(Tone::Accent, again),
        );
    }
    with_gap(lines)
}

fn with_gap(mut lines: Vec<Line>) -> Vec<Line> {
    if !lines.is_empty() {
        lines.insert(0, Line::new());
    }
    lines
}

/// The end of a run that was watched: failures, jobs, and the verdict as the last line.
#[must_use]
pub fn ending(run: &RunShown, jobs: &[JobShown], failed: &[CaseShown], now: Timestamp) -> Vec<Line> {
    let mut lines = failed_lines(failed, run);
    if jobs.len() > 1 {
        lines.extend(job_lines(jobs, now));
    }
    lines.push(Line::new());
    lines.extend(cause(run));
    lines.push(headline(run, now));
    lines
}

/// One line that says how far a run is.
#[must_use]
pub fn progress(run: &RunShown, jobs: &[JobShown], now: Timestamp) -> Line {
    let (tone, word) = word(&run.status, run.verdict.as_deref(), run.cause.as_ref());
    let mut sum = CountsShown::default();
    jobs.iter().for_each(|job| add(&mut sum, &job.counts));
    let mut line = Line::new().plain("  ").with(tone, word.to_lowercase());
    if run.parked {
        return line.plain(", waits for approval");
    }
    if sum.planned > 0 {
        line = line.plain(format!("  {} of {}", grouped(settled(&sum)), count(sum.planned, "test")));
    }
    let counts = counted(&sum);
    if !counts.is_empty() {
        let tone = if failures(&sum) > 0 { Tone::Bad } else { Tone::Faint };
        line = line.with(Tone::Faint, " · ").with(tone, counts);
    }
    if jobs.len() > 1 {
        let done = jobs.iter().filter(|job| job.verdict.is_some()).count();
        line = line.with(Tone::Faint, format!(" · {done} of {} jobs", jobs.len()));
    }
    let began = run.started_at.as_deref().or(Some(run.queued_at.as_str()));
    match took(began, run.finished_at.as_deref(), now) {
        Some(took) => line.with(Tone::Faint, format!(" · {took}")),
        None => line,
    }
}

fn add(sum: &mut CountsShown, counts: &CountsShown) {
    sum.planned += counts.planned;
    sum.outstanding += counts.outstanding;
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    sum.errored += counts.errored;
    sum.skipped += counts.skipped;
    sum.timed_out += counts.timed_out;
    sum.crashed += counts.crashed;
    sum.flaky += counts.flaky;
}

#[cfg(test)]
mod tests;
