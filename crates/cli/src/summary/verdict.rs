//! The one sentence at the end of everything.

use super::job::{counted, finished, verdict_label};
use crate::args::duration::Human;
use crate::line::{Line, Tone};
use crate::progress::view::{count, grouped, labelled};
use shared::domain::report::RunSummary;
use shared::domain::verdict::{CauseCode, Verdict};

/// The verdict in one line.
pub(super) fn line(summary: &RunSummary) -> Line {
    let (tone, label) = verdict_label(&summary.judgement);
    labelled(tone, label, None).with(Tone::Strong, sentence(summary)).with(Tone::Faint, remarks(summary))
}

/// The sentence and what it leaves out, as plain text.
pub(super) fn words(summary: &RunSummary) -> String {
    sentence(summary) + &remarks(summary)
}

fn sentence(summary: &RunSummary) -> String {
    let counts = &summary.counts;
    let took = Human(summary.finished_at.since_ms(summary.queued_at));
    match summary.judgement.verdict {
        Verdict::Passed => format!("{} in {took}", count(counts.passed, "test")),
        Verdict::Failed => {
            format!("{} of {} in {took}", grouped(counts.failures()), count(counts.settled(), "test"))
        }
        Verdict::TimedOut | Verdict::Cancelled => format!("after {took}; {}", finished(counts)),
        Verdict::Errored if counts.settled() == 0 => format!("{} after {took}", reason(summary)),
        Verdict::Errored => format!("{} after {took}; {}", reason(summary), finished(counts)),
    }
}

/// Why there is no verdict, in a few words; the whole story stands above.
fn reason(summary: &RunSummary) -> &'static str {
    let Some(cause) = &summary.judgement.cause else { return "no verdict" };
    match cause.code {
        CauseCode::TestsFailed => "tests failed",
        CauseCode::NoTests => "nothing was run",
        CauseCode::SetupFailed => "set-up failed",
        CauseCode::FrameworkMissing => "the test framework is missing",
        CauseCode::DiscoveryFailed => "the tests could not be listed",
        CauseCode::TeardownFailed => "tear-down failed",
        CauseCode::SourceFailed => "the source could not be fetched",
        CauseCode::ReportInvalid => "a report cannot be trusted",
        CauseCode::Incomplete => "the results are incomplete",
        CauseCode::RunnerLost => "runners were lost",
        CauseCode::NeedNotMet => "a suite that others need did not pass",
        CauseCode::DeadlinePassed => "the deadline passed",
        CauseCode::CancelledByUser => "cancelled",
        CauseCode::Superseded => "superseded",
        CauseCode::Abandoned => "the run was abandoned",
        CauseCode::Internal => "a fault of fleetest itself",
    }
}

/// What the sentence leaves out, in brackets.
fn remarks(summary: &RunSummary) -> String {
    let counts = &summary.counts;
    let mut parts = Vec::new();
    match summary.judgement.verdict {
        Verdict::Passed => {
            parts.extend((counts.flaky > 0).then(|| format!("{} flaky", grouped(counts.flaky))));
            parts.extend((counts.skipped > 0).then(|| format!("{} skipped", grouped(counts.skipped))));
        }
        Verdict::Failed => {
            let mut others = *counts;
            (others.failed, others.errored, others.timed_out, others.crashed) = (0, 0, 0, 0);
            let others = counted(&others);
            parts.extend((!others.is_empty()).then_some(others));
        }
        Verdict::TimedOut | Verdict::Errored | Verdict::Cancelled => {}
    }
    let deselected: u64 = summary.jobs.iter().map(|job| job.deselected).sum();
    parts.extend((deselected > 0).then(|| format!("{} deselected", grouped(deselected))));
    let not_run: u64 = summary.jobs.iter().map(|job| u64::from(job.not_run_units)).sum();
    parts.extend((not_run > 0).then(|| format!("{} not run", count(not_run, "unit"))));
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}
