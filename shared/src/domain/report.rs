//! What a finished run looks like to a reader: the input of every renderer.
//!
//! A report is a [`RunSummary`] followed by the run's [`CaseRecord`]s, grouped by job and unit, streamed one by
//! one: no renderer may hold all of them.

use super::case::CaseResult;
use super::id::{JobNo, ProjectId, RunId};
use super::outcome::{Counts, Outcome};
use super::spec::Framework;
use super::time::Timestamp;
use super::verdict::Judgement;
use serde::{Deserialize, Serialize};

/// Why a case that passed counts as flaky.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlakyKind {
    /// It failed and then passed at the same commit.
    Retry,
    /// It failed beside other tests and passed alone.
    Isolation,
}

/// One case with all its accepted attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// The job.
    pub job: JobNo,
    /// Key of the unit.
    pub unit: String,
    /// Shard of each attempt, aligned with `attempts`.
    pub shards: Vec<u32>,
    /// At least one, in the order of their numbers.
    pub attempts: Vec<CaseResult>,
}

impl CaseRecord {
    /// The attempt that counts: the last one.
    #[must_use]
    pub fn last(&self) -> Option<&CaseResult> {
        self.attempts.last()
    }

    /// The final outcome.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.last().map_or(Outcome::Errored, |last| last.outcome)
    }

    /// Whether, and how, it is flaky.
    #[must_use]
    pub fn flaky(&self) -> Option<FlakyKind> {
        let (last, earlier) = self.attempts.split_last()?;
        let mut failed = earlier.iter().filter(|a| a.outcome.is_failure()).peekable();
        if last.outcome != Outcome::Passed || failed.peek().is_none() {
            return None;
        }
        let only_beside_others = last.alone && failed.all(|a| !a.alone);
        Some(if only_beside_others { FlakyKind::Isolation } else { FlakyKind::Retry })
    }
}

/// What one slot did with one entry, for the Gantt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Shard, counted from 1.
    pub shard: u32,
    /// Slot, counted from 1.
    pub slot: u32,
    /// Unit key.
    pub unit: String,
    /// Begin.
    pub started_at: Timestamp,
    /// End.
    pub ended_at: Timestamp,
}

/// A job's part of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Number.
    pub job: JobNo,
    /// Name, as in `unit[python=3.12]`.
    pub name: String,
    /// Driver.
    pub framework: Framework,
    /// Judgement.
    pub judgement: Judgement,
    /// Cases by final outcome.
    pub counts: Counts,
    /// Entries of the queue that were never run to their end.
    pub not_run_units: u32,
    /// Cases left out by the project's configuration or by the run's filter.
    pub deselected: u64,
    /// What people should know of how its tests were run, as in options that were ignored.
    #[serde(default)]
    pub notes: Vec<String>,
    /// First runner start.
    pub started_at: Option<Timestamp>,
    /// End.
    pub finished_at: Option<Timestamp>,
    /// Runner starts, relaunches included.
    pub launches: u32,
    /// Spans, at most a few thousand; longer runs keep the longest.
    pub spans: Vec<Span>,
}

/// The run's part of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Run.
    pub run: RunId,
    /// Project.
    pub project: ProjectId,
    /// Commit, if known.
    pub commit: Option<String>,
    /// Branch, if known.
    pub branch: Option<String>,
    /// Judgement.
    pub judgement: Judgement,
    /// Sum over the jobs.
    pub counts: Counts,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// When it was over.
    pub finished_at: Timestamp,
    /// Version of Fleetest.
    pub version: String,
    /// The jobs, by number.
    pub jobs: Vec<JobSummary>,
}
