//! The jobs of a run, one line each, and why those that could not be judged could not.

use super::failure::quoted;
use super::{Detail, Ending, indented};
use crate::args::duration::Human;
use crate::line::{Line, Tone, clean, wrap};
use crate::progress::view::{LABEL_COLUMNS, count, grouped, labelled};
use shared::domain::outcome::Counts;
use shared::domain::report::JobSummary;
use shared::domain::verdict::{Cause, CauseCode, Judgement, Verdict};

/// One line for each job if there are several, and a block for each that has a cause worth telling.
pub(super) fn lines(ending: &Ending<'_>) -> Vec<Line> {
    let jobs = &ending.summary.jobs;
    let overview = jobs.len() > 1 && ending.detail > Detail::Quiet;
    let mut lines = Vec::new();
    for job in jobs {
        let cause = told_cause(&job.judgement);
        // A single job has the run's verdict, which stands at the end.
        if overview || (cause.is_some() && jobs.len() > 1) {
            lines.push(ending.fit(line(job)));
        }
        lines.extend(cause.into_iter().flat_map(|cause| block(ending, cause)));
        let told = job.notes.iter().filter(|_| ending.detail > Detail::Quiet);
        lines.extend(told.map(|note| note_line(job, note, jobs.len() > 1)));
    }
    // A run that failed before it had jobs, or for a reason that none of them has.
    if let Some(cause) = told_cause(&ending.summary.judgement)
        && !jobs
            .iter()
            .any(|job| job.judgement.cause.as_ref().is_some_and(|of_job| of_job.code == cause.code))
    {
        lines.extend(block(ending, cause));
    }
    super::with_gap(lines)
}

/// The cause, where it says more than the verdict: failed tests are listed one by one, and whoever cancelled knows.
fn told_cause(judgement: &Judgement) -> Option<&Cause> {
    judgement.cause.as_ref().filter(|cause| {
        let known = cause.code == CauseCode::CancelledByUser && cause.detail.is_empty();
        cause.code != CauseCode::TestsFailed && !known
    })
}

fn line(job: &JobSummary) -> Line {
    let (tone, label) = verdict_label(&job.judgement);
    let line = labelled(tone, label, None).with(Tone::Strong, clean(&job.name));
    let counted = counted(&job.counts);
    let took = match (job.started_at, job.finished_at) {
        (Some(begin), Some(end)) => format!(" in {}", Human(end.since_ms(begin))),
        _ => String::new(),
    };
    if counted.is_empty() { line } else { line.with(Tone::Faint, format!("  {counted}{took}")) }
}

/// What a driver has to say about how the tests were run.
fn note_line(job: &JobSummary, note: &str, named: bool) -> Line {
    let subject = if named { format!("{}: ", clean(&job.name)) } else { String::new() };
    indented().with(Tone::Warn, "note: ").plain(format!("{subject}{}", clean(note)))
}

fn block(ending: &Ending<'_>, cause: &Cause) -> Vec<Line> {
    let room = ending.width.map_or(usize::MAX, |width| width.saturating_sub(LABEL_COLUMNS + 1));
    let message = cause.message.lines().flat_map(|line| wrap(&clean(line), room));
    let mut lines: Vec<Line> = message.map(|line| indented().plain(line)).collect();
    let tail = if ending.detail == Detail::Verbose { 60 } else { 15 };
    lines.extend(quoted(ending, &cause.detail, 0, tail));
    let advice = advice(cause.code).map(|advice| wrap(&format!("hint: {advice}"), room)).unwrap_or_default();
    lines.extend(advice.into_iter().map(|line| indented().with(Tone::Faint, line)));
    lines
}

/// The label of a verdict and its tone.
pub(super) fn verdict_label(judgement: &Judgement) -> (Tone, &'static str) {
    match judgement.verdict {
        Verdict::Passed => (Tone::Good, "PASSED"),
        Verdict::Failed => (Tone::Bad, "FAILED"),
        Verdict::TimedOut => (Tone::Bad, "TIMED OUT"),
        Verdict::Cancelled => (Tone::Warn, "CANCELLED"),
        Verdict::Errored => match &judgement.cause {
            Some(cause) if cause.code == CauseCode::NoTests => (Tone::Warn, "NO TESTS"),
            _ => (Tone::Bad, "ERRORED"),
        },
    }
}

/// `3 failed, 1,200 passed (2 flaky), 4 skipped`; empty if there is nothing to count.
pub(super) fn counted(counts: &Counts) -> String {
    let flaky = if counts.flaky > 0 { format!(" ({} flaky)", grouped(counts.flaky)) } else { String::new() };
    let parts = [
        (counts.failures(), "failed", ""),
        (counts.passed, "passed", flaky.as_str()),
        (counts.skipped, "skipped", ""),
        (counts.outstanding, "not run", ""),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(n, ..)| *n > 0)
        .map(|(n, word, more)| format!("{} {word}{more}", grouped(n)))
        .collect();
    parts.join(", ")
}

/// `12 tests had finished`, for runs that ended before their time.
pub(super) fn finished(counts: &Counts) -> String {
    let failed = if counts.failures() > 0 {
        format!(", {} failed", grouped(counts.failures()))
    } else {
        String::new()
    };
    format!("{} had finished{failed}", count(counts.settled(), "test"))
}

/// What to do about a cause, where there is something to add to its own sentence.
fn advice(code: CauseCode) -> Option<&'static str> {
    match code {
        CauseCode::NoTests => Some(
            "look at `paths` in fleetest.toml, at `--filter` and `--suite`, and at the names of the test files",
        ),
        CauseCode::SetupFailed => Some("run the command by hand in the project to see all that it says"),
        CauseCode::FrameworkMissing => Some(
            "install it in the project's environment, or name the command that does in `setup` of fleetest.toml",
        ),
        CauseCode::DiscoveryFailed => {
            Some("the framework could not list its tests; its own words stand above")
        }
        CauseCode::TeardownFailed => {
            Some("every test has its result; what ends with the session did not end well")
        }
        CauseCode::SourceFailed => Some("check the address, the `--ref` and your access to the repository"),
        CauseCode::ReportInvalid => {
            Some("results that cannot be read never count as passed; look at what the command wrote")
        }
        CauseCode::Incomplete => {
            Some("some results never arrived; run again, and report it if it happens twice")
        }
        CauseCode::RunnerLost => {
            Some("a runner that is killed has often used up the memory; try fewer `--slots`")
        }
        CauseCode::NeedNotMet => Some("fix what it needs first, or run it alone with `--suite`"),
        CauseCode::DeadlinePassed => {
            Some("raise the limit with `--timeout`, or see in the report what took so long")
        }
        CauseCode::Internal => Some("this is a fault of fleetest itself; please report it"),
        CauseCode::TestsFailed
        | CauseCode::CancelledByUser
        | CauseCode::Superseded
        | CauseCode::Abandoned => None,
    }
}
