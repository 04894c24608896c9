//! The one sentence at the end of everything.

use super::job::{counted, finished, verdict_label};
use crate::args::duration::Human;
use crate::line::{Line, Tone, clean};
use crate::progress::view::{count, first_line, grouped, labelled};
use shared::domain::report::RunSummary;
use shared::domain::verdict::Verdict;

/// The verdict in one line.
pub(super) fn line(summary: &RunSummary) -> Line {
    let (tone, label) = verdict_label(&summary.judgement);
    labelled(tone, label, None).with(Tone::Strong, sentence(summary)).with(Tone::Faint, remarks(summary))
}

fn sentence(summary: &RunSummary) -> String {
    let counts = &summary.counts;
    let took = Human(summary.finished_at.since_ms(summary.queued_at));
    let cause =
        summary.judgement.cause.as_ref().map(|cause| clean(&first_line(&cause.message))).unwrap_or_default();
    match summary.judgement.verdict {
        Verdict::Passed => format!("{} in {took}", count(counts.passed, "test")),
        Verdict::Failed => {
            format!("{} of {} in {took}", grouped(counts.failures()), count(counts.settled(), "test"))
        }
        Verdict::TimedOut => format!("after {took}; {}", finished(counts)),
        Verdict::Cancelled => format!("after {took}; {}", finished(counts)),
        Verdict::Errored if counts.settled() == 0 => cause,
        Verdict::Errored => format!("{cause} ({})", finished(counts)),
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
