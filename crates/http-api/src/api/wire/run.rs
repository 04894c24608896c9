//! Runs on the wire.

use serde::{Deserialize, Serialize};
use shared::domain::origin::Trigger;
use shared::domain::outcome::Counts;
use shared::domain::run::{Run, RunStatus};
use shared::domain::verdict::{Cause, Verdict};
use utoipa::ToSchema;

/// A run to be started.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewRunBody {
    /// Branch, tag or commit to test; without one, the project's default branch.
    #[schema(max_length = 255, example = "main")]
    pub r#ref: Option<String>,
    /// An uploaded source (`src_…`) instead of the project's repository.
    pub source: Option<String>,
    /// The commit that an uploaded source was made of, for display.
    #[schema(max_length = 64)]
    pub commit: Option<String>,
    /// The branch, for display and for superseding.
    #[schema(max_length = 255)]
    pub branch: Option<String>,
    /// Number of the pull request.
    pub pull_request: Option<u64>,
    /// A `fleetest.toml` to be used instead of the commit's own.
    #[schema(max_length = 65536)]
    pub config: Option<String>,
    /// Only these suites.
    #[schema(max_items = 100)]
    pub suites: Vec<String>,
    /// Only cases that match this expression.
    #[schema(max_length = 4096)]
    pub filter: Option<String>,
    /// Stop after this many failed cases.
    #[schema(minimum = 1)]
    pub fail_fast: Option<u32>,
    /// Limit for the whole run, in seconds.
    #[schema(minimum = 1, maximum = 86400)]
    pub timeout_s: Option<u32>,
    /// Runs with a higher number are started first.
    #[schema(minimum = -100, maximum = 100)]
    pub priority: i32,
}

/// Life-cycle place of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusWord {
    /// Accepted.
    Queued,
    /// At work.
    Running,
    /// Over.
    Finished,
}

impl From<StatusWord> for RunStatus {
    fn from(word: StatusWord) -> Self {
        match word {
            StatusWord::Queued => Self::Queued,
            StatusWord::Running => Self::Running,
            StatusWord::Finished => Self::Finished,
        }
    }
}

/// Judgement on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictWord {
    /// Every test ran and passed.
    Passed,
    /// Tests failed.
    Failed,
    /// It could not be judged.
    Errored,
    /// Stopped on request.
    Cancelled,
    /// Took too long.
    TimedOut,
}

impl From<VerdictWord> for Verdict {
    fn from(word: VerdictWord) -> Self {
        match word {
            VerdictWord::Passed => Self::Passed,
            VerdictWord::Failed => Self::Failed,
            VerdictWord::Errored => Self::Errored,
            VerdictWord::Cancelled => Self::Cancelled,
            VerdictWord::TimedOut => Self::TimedOut,
        }
    }
}

/// Why a run is to be stopped.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CancelBody {
    /// For the people who will wonder; what is longer than a list can show is cut.
    pub reason: Option<String>,
}

/// What made a run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TriggerShown {
    /// `request`, `schedule`, `webhook`, `rerun` or `import`.
    pub kind: String,
    /// The schedule, the event, the run or the build behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

impl From<&Trigger> for TriggerShown {
    fn from(trigger: &Trigger) -> Self {
        let (kind, of) = match trigger {
            Trigger::Request => ("request", None),
            Trigger::Schedule { schedule, .. } => ("schedule", Some(schedule.clone())),
            Trigger::Webhook { event } => ("webhook", Some(event.clone())),
            Trigger::Rerun { of } => ("rerun", Some(of.to_string())),
            Trigger::Import => ("import", None),
        };
        Self { kind: kind.to_owned(), of }
    }
}

/// Why something did not pass.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CauseShown {
    /// Machine code.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// Output of what failed, if there is any.
    pub detail: String,
}

impl From<Cause> for CauseShown {
    fn from(cause: Cause) -> Self {
        let code = serde_json::to_value(cause.code).ok();
        let code = code.as_ref().and_then(serde_json::Value::as_str).unwrap_or("unknown").to_owned();
        Self { code, message: cause.message, detail: cause.detail }
    }
}

/// Cases by final outcome. `planned` is the sum of the others and `outstanding`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct CountsShown {
    /// Cases announced so far.
    pub planned: u64,
    /// Without a final outcome.
    pub outstanding: u64,
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Could not be judged.
    pub errored: u64,
    /// Skipped.
    pub skipped: u64,
    /// Took too long.
    pub timed_out: u64,
    /// Killed their process.
    pub crashed: u64,
    /// Of the passed ones, those that failed before at the same commit.
    pub flaky: u64,
}

impl From<Counts> for CountsShown {
    fn from(counts: Counts) -> Self {
        Self {
            planned: counts.planned,
            outstanding: counts.outstanding,
            passed: counts.passed,
            failed: counts.failed,
            errored: counts.errored,
            skipped: counts.skipped,
            timed_out: counts.timed_out,
            crashed: counts.crashed,
            flaky: counts.flaky,
        }
    }
}

/// A run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunShown {
    /// Id.
    #[schema(example = "run_0190b0f0c0de7000800000000000abcd")]
    pub id: String,
    /// Project.
    pub project: String,
    /// `queued`, `running` or `finished`.
    pub status: String,
    /// `passed`, `failed`, `errored`, `cancelled` or `timed_out`; absent until finished.
    pub verdict: Option<String>,
    /// Why it did not pass.
    pub cause: Option<CauseShown>,
    /// Commit, if known.
    pub commit: Option<String>,
    /// Branch, if known.
    pub branch: Option<String>,
    /// Pull request.
    pub pull_request: Option<u64>,
    /// What made it.
    pub trigger: TriggerShown,
    /// Who made it.
    pub actor: String,
    /// Priority.
    pub priority: i32,
    /// Whether it waits for approval.
    pub parked: bool,
    /// Whether only a part of the tests was asked for.
    pub partial: bool,
    /// Number of jobs, once planned.
    pub jobs: u32,
    /// Cases by outcome, once finished.
    pub counts: Option<CountsShown>,
    /// When it was accepted (RFC 3339).
    #[schema(format = DateTime)]
    pub queued_at: String,
    /// When its first runner came forward.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it was over.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
}

fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued => "queued",
        RunStatus::Running => "running",
        RunStatus::Finished => "finished",
    }
}

impl From<Run> for RunShown {
    fn from(run: Run) -> Self {
        let mut trigger = TriggerShown::from(&run.origin.trigger);
        trigger.of = trigger.of.or(run.origin.build);
        let (verdict, cause) = run.judgement.map_or((None, None), |judged| {
            (Some(judged.verdict.as_str().to_owned()), judged.cause.map(CauseShown::from))
        });
        let figures = run.figures;
        Self {
            id: run.id.to_string(),
            project: run.origin.project.0,
            status: status(run.status).to_owned(),
            verdict,
            cause,
            commit: run.origin.commit,
            branch: run.origin.branch,
            pull_request: run.origin.pull_request,
            trigger,
            actor: run.origin.actor,
            priority: run.origin.priority,
            parked: run.origin.parked,
            partial: run.partial,
            jobs: run.jobs,
            counts: figures.as_ref().map(|figures| figures.counts.into()),
            queued_at: run.queued_at.rfc3339(),
            started_at: figures.and_then(|figures| figures.started_at).map(|at| at.rfc3339()),
            finished_at: run.finished_at.map(|at| at.rfc3339()),
        }
    }
}
