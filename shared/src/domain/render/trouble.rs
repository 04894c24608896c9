//! What went wrong besides failing tests: the rows that keep a report from looking green.

use crate::domain::report::{JobSummary, RunSummary};
use crate::domain::verdict::{Cause, CauseCode, Verdict};

/// A run or job that could not be judged by its tests alone.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// Job name, or `run`.
    pub(super) place: String,
    /// Verdict of the place.
    pub(super) verdict: Verdict,
    /// Why.
    pub(super) cause: Cause,
}

/// Every job whose cause is not simply failing tests; and the run itself, if it is not green and neither a job nor a
/// failed case says so. A job without tests is none where the run could be judged without it.
pub(super) fn troubles(run: &RunSummary) -> Vec<Trouble> {
    let judged_by_tests = matches!(run.judgement.verdict, Verdict::Passed | Verdict::Failed);
    let of_job = |job: &JobSummary| {
        let cause = job.judgement.cause.as_ref().filter(|cause| cause.code != CauseCode::TestsFailed)?;
        if cause.code == CauseCode::NoTests && judged_by_tests {
            return None;
        }
        Some(Trouble { place: job.name.clone(), verdict: job.judgement.verdict, cause: cause.clone() })
    };
    let mut found: Vec<Trouble> = run.jobs.iter().filter_map(of_job).collect();
    let run_cause = run.judgement.cause.as_ref();
    let said = found.iter().any(|trouble| Some(&trouble.cause) == run_cause);
    let tests_failed = run_cause.is_some_and(|cause| cause.code == CauseCode::TestsFailed);
    let shown = if tests_failed { run.counts.failures() > 0 || !found.is_empty() } else { said };
    if run.judgement.verdict != Verdict::Passed && !shown {
        let unknown =
            || Cause::new(CauseCode::Internal, format!("the run ended as {}", run.judgement.verdict));
        let cause = run_cause.cloned().unwrap_or_else(unknown);
        found.push(Trouble { place: "run".to_owned(), verdict: run.judgement.verdict, cause });
    }
    found
}

/// A cause's machine code as it is printed.
pub(super) fn code_text(code: CauseCode) -> &'static str {
    match code {
        CauseCode::TestsFailed => "tests_failed",
        CauseCode::NoTests => "no_tests",
        CauseCode::SetupFailed => "setup_failed",
        CauseCode::FrameworkMissing => "framework_missing",
        CauseCode::DiscoveryFailed => "discovery_failed",
        CauseCode::TeardownFailed => "teardown_failed",
        CauseCode::SourceFailed => "source_failed",
        CauseCode::ReportInvalid => "report_invalid",
        CauseCode::Incomplete => "incomplete",
        CauseCode::RunnerLost => "runner_lost",
        CauseCode::NeedNotMet => "need_not_met",
        CauseCode::DeadlinePassed => "deadline_passed",
        CauseCode::CancelledByUser => "cancelled_by_user",
        CauseCode::Superseded => "superseded",
        CauseCode::Abandoned => "abandoned",
        CauseCode::Internal => "internal",
    }
}
