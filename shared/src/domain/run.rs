//! Runs and jobs: their life and how their parts add up to a verdict.
//!
//! A run owns jobs; a job owns a queue, shards and a verdict. Terminal states never change. The verdict of a
//! run is the gravest of its jobs'.

use super::id::{JobNo, RunId};
use super::origin::{Figures, Origin, Trigger};
use super::queue::{Queue, Stopped};
use super::shard::{Shard, ShardStatus};
use super::spec::JobSpec;
use super::time::Timestamp;
use super::verdict::{Cause, CauseCode, Judgement, Verdict};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// Life-cycle place of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Accepted, not planned.
    Queued,
    /// Planned; jobs wait, run or are over.
    Running,
    /// Over.
    Finished,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Id.
    pub id: RunId,
    /// Where it came from.
    #[serde(default)]
    pub origin: Origin,
    /// Life-cycle place.
    pub status: RunStatus,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// When it must be over.
    pub deadline: Timestamp,
    /// When its waiting was over, where it had to wait for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// Jobs; 0 until planned.
    pub jobs: u32,
    /// Whether only a part of the tests was asked for.
    #[serde(default)]
    pub partial: bool,
    /// Set once someone wants it to stop, with the reason.
    pub cancel: Option<Cause>,
    /// The verdict, once finished.
    pub judgement: Option<Judgement>,
    /// What it came to, once finished.
    #[serde(default)]
    pub figures: Option<Figures>,
}

impl Run {
    /// Whether it can take the place of others: a run of chosen cases, of an older run again, or of results from
    /// elsewhere says nothing of where its branch has got to.
    #[must_use]
    pub fn may_supersede(&self) -> bool {
        let anew = match self.origin.trigger {
            Trigger::Request | Trigger::Schedule { .. } | Trigger::Webhook { .. } => true,
            Trigger::Rerun { .. } | Trigger::Import => false,
        };
        anew && self.origin.branch.is_some() && !self.partial && !self.origin.parked
    }

    /// Whether it is its turn among the other runs of its project: fewer are at work, or before it, than may be.
    #[must_use]
    pub fn has_turn<'r>(&self, limit: u32, others: impl Iterator<Item = &'r Self>) -> bool {
        let place = |run: &Self| (Reverse(run.origin.priority), run.queued_at, run.id);
        let first =
            |other: &&Self| other.is_at_work() || (other.cancel.is_none() && place(other) < place(self));
        let ahead = others.filter(|other| other.id != self.id && other.takes_turns()).filter(first).count();
        ahead < usize::try_from(limit).unwrap_or(usize::MAX)
    }

    /// Whether it counts among the runs of its project: one that is not planned yet, or will never be, holds nobody up.
    #[must_use]
    pub fn takes_turns(&self) -> bool {
        self.status == RunStatus::Running && self.origin.trigger != Trigger::Import
    }

    /// Whether it does not wait for its turn any more, or never had to.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.begun_at.is_some() || !self.origin.limited
    }

    /// Whether it takes the place of `older`. A branch of a pull request is another one than the branch of the same
    /// name in the repository or in another pull request.
    #[must_use]
    pub fn supersedes(&self, older: &Self) -> bool {
        self.may_supersede()
            && (older.queued_at, older.id) < (self.queued_at, self.id)
            && older.status != RunStatus::Finished
            && older.origin.project == self.origin.project
            && older.origin.branch == self.origin.branch
            && older.origin.pull_request == self.origin.pull_request
    }
}

/// Life-cycle place of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waits for the jobs it needs.
    Waiting,
    /// Has shards.
    Running,
    /// Over.
    Finished,
}

/// What is known of a job's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestInfo {
    /// SHA-256 of the discovered units.
    pub digest: String,
    /// SHA-256 of the entries that they became: history and slots have a say in that, so the same units may become
    /// other entries a moment later.
    pub pages: String,
    /// Discovered units.
    pub units: u32,
    /// Predicted work, in milliseconds.
    pub predicted_ms: u64,
    /// Time the winner needed from session to manifest, in milliseconds.
    pub setup_ms: u64,
    /// What people should know of how the tests are run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The run.
    pub run: RunId,
    /// Number.
    pub no: JobNo,
    /// What to do.
    pub spec: JobSpec,
    /// Life-cycle place.
    pub status: JobStatus,
    /// Shards; 0 while waiting.
    pub shards: u32,
    /// When its first runner came forward.
    pub started_at: Option<Timestamp>,
    /// When it must be over, once it has started.
    pub deadline: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// The manifest, once a runner has put one.
    pub manifest: Option<ManifestInfo>,
    /// What a runner reported as fatal.
    pub broken: Option<Cause>,
    /// The verdict, once finished.
    pub judgement: Option<Judgement>,
}

impl Job {
    /// A job that waits for its gates.
    #[must_use]
    pub fn waiting(run: RunId, no: JobNo, spec: JobSpec) -> Self {
        Self {
            run,
            no,
            spec,
            status: JobStatus::Waiting,
            shards: 0,
            started_at: None,
            deadline: None,
            finished_at: None,
            manifest: None,
            broken: None,
            judgement: None,
        }
    }
}

/// What the gates of a waiting job say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Some needed job is not over.
    Closed,
    /// Every needed job passed.
    Open,
    /// This suite did not pass: the job will never run.
    Barred(String),
}

/// The gate of `job` among its run's jobs. In a `partial` run, one that has nothing to do bars nobody.
#[must_use]
pub fn gate(job: &Job, jobs: &[Job], partial: bool) -> Gate {
    let mut all_over = true;
    for needed in jobs.iter().filter(|other| job.spec.suite.needs.contains(&other.spec.suite.name)) {
        match &needed.judgement {
            Some(judgement) if judgement.verdict == Verdict::Passed || (partial && is_empty(judgement)) => {}
            Some(_) => return Gate::Barred(needed.spec.name.clone()),
            None => all_over = false,
        }
    }
    if all_over { Gate::Open } else { Gate::Closed }
}

/// What should become of a job, from everything known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStep {
    /// Nothing to do but wait.
    Wait,
    /// Give out no more work, because of this.
    Stop(Stopped),
    /// Every result is in: prove it and close the job.
    Prove,
    /// Close the job without proof: it cannot be judged.
    Close(Cause),
}

/// Decides about a running job. `queue` is absent until there is a manifest.
#[must_use]
pub fn decide(run: &Run, job: &Job, queue: Option<&Queue>, shards: &[Shard], now: Timestamp) -> JobStep {
    let past = job.deadline.is_some_and(|deadline| deadline < now) || run.deadline < now;
    // Shards end in order only once the queue is settled: if all are over before that, none is left to do the rest.
    let abandoned = !shards.is_empty()
        && shards.iter().all(Shard::over)
        && queue.is_some_and(|queue| queue.open_leases == 0 && !queue.settled());
    let stop = if run.cancel.is_some() {
        Some(Stopped::Cancelled)
    } else if past {
        Some(Stopped::Deadline)
    } else if job.broken.is_some() || abandoned {
        Some(Stopped::Broken)
    } else {
        None
    };
    match (queue, stop) {
        // The runners are still taking down what their tests shared, and may have something to say about it.
        (Some(queue), None) if lingers(queue, shards, now) => JobStep::Wait,
        (Some(queue), _) if queue.drained() => JobStep::Prove,
        (Some(queue), Some(why)) if queue.stopped.is_none() => JobStep::Stop(why),
        (Some(queue), _) if queue.settled() => JobStep::Prove,
        (Some(_), _) | (None, None) => {
            if queue.is_none() && !shards.is_empty() && shards.iter().all(Shard::over) {
                JobStep::Close(no_manifest(shards))
            } else {
                JobStep::Wait
            }
        }
        (None, Some(why)) => JobStep::Close(stop_cause(why, run, job, shards)),
    }
}

/// How long a verdict waits for runners that end in order, in milliseconds.
pub const LINGER_MS: u64 = 45_000;

fn lingers(queue: &Queue, shards: &[Shard], now: Timestamp) -> bool {
    let since = queue.drained_at.filter(|at| now < at.plus_ms(LINGER_MS));
    queue.drained() && since.is_some() && shards.iter().any(|shard| shard.status == ShardStatus::Running)
}

/// The cause that a stop reason stands for.
#[must_use]
pub fn stop_cause(why: Stopped, run: &Run, job: &Job, shards: &[Shard]) -> Cause {
    match why {
        Stopped::Cancelled => run
            .cancel
            .clone()
            .unwrap_or_else(|| Cause::new(CauseCode::CancelledByUser, "the run was cancelled")),
        Stopped::Deadline => Cause::new(
            CauseCode::DeadlinePassed,
            format!(
                "`{}` was not over after {} s (raise `timeout` in fleetest.toml or pass --timeout)",
                job.spec.name,
                job.deadline.unwrap_or(run.deadline).since_ms(job.started_at.unwrap_or(run.queued_at)) / 1000
            ),
        ),
        Stopped::Broken => job.broken.clone().unwrap_or_else(|| lost_cause(shards)),
        Stopped::FailFast => {
            Cause::new(CauseCode::TestsFailed, "stopped after the allowed number of failures")
        }
    }
}

fn lost_cause(shards: &[Shard]) -> Cause {
    let why = shards.iter().find_map(|shard| shard.problem.as_deref()).unwrap_or("no reason was recorded");
    Cause::new(CauseCode::RunnerLost, format!("too many runners were lost; the last one: {why}"))
}

fn no_manifest(shards: &[Shard]) -> Cause {
    let why = shards.iter().find_map(|shard| shard.problem.as_deref()).unwrap_or("they ended without one");
    Cause::new(CauseCode::RunnerLost, format!("no runner got as far as a list of tests: {why}"))
}

const GREEN: u8 = 0;
const NOT_RUN: u8 = 1;
const NO_TESTS: u8 = 2;
const HAPPENED: u8 = 3;

/// What a job says about its run. A job that was not run because of another, or that has no tests, must not hide
/// what happened in the others: it comes right after green.
fn gravity(judgement: &Judgement) -> (u8, Verdict) {
    let rank = match judgement.cause.as_ref().map(|cause| cause.code) {
        None => GREEN,
        Some(CauseCode::NeedNotMet) => NOT_RUN,
        Some(CauseCode::NoTests) => NO_TESTS,
        Some(_) => HAPPENED,
    };
    (rank, judgement.verdict)
}

/// The verdict of a run whose jobs are all over. In a `selective` run, one with a filter, a job may be left without
/// any test as long as another one has some.
#[must_use]
pub fn judge(jobs: &[Job], selective: bool) -> Judgement {
    // Of equally grave ones the first: `max_by_key` alone would take the last.
    let judgements = jobs.iter().rev().filter_map(|job| job.judgement.as_ref());
    let gravest = judgements.max_by_key(|judgement| gravity(judgement));
    let complete = jobs.iter().all(|job| job.judgement.is_some());
    match gravest {
        Some(judgement) if complete => {
            let mut all = jobs.iter().filter_map(|job| job.judgement.as_ref());
            let emptied = selective && gravity(judgement).0 == NO_TESTS;
            let green = all.clone().all(|other| matches!(gravity(other).0, GREEN | NO_TESTS));
            let passed = all.any(|other| other.verdict == Verdict::Passed);
            if emptied && green && passed { Judgement::passed() } else { judgement.clone() }
        }
        _ => Judgement::because(Cause::new(CauseCode::Internal, "a job has no verdict")),
    }
}

fn is_empty(judgement: &Judgement) -> bool {
    judgement.cause.as_ref().is_some_and(|cause| cause.code == CauseCode::NoTests)
}

#[cfg(test)]
mod tests;
