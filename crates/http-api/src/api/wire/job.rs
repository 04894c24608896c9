//! Jobs, shards and leases on the wire.

use super::{CauseShown, CountsShown};
use serde::{Deserialize, Serialize};
use shared::domain::queue::lease::{Held, Lease, LeaseStatus, Progress};
use shared::domain::run::JobStatus;
use shared::domain::shard::{Shard, ShardStatus};
use shared::domain::time::Timestamp;
use shared::service::jobs::JobView;
use std::collections::BTreeMap;
use utoipa::ToSchema;

fn when(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::rfc3339)
}

/// A job of a run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobShown {
    /// Number, from 1.
    pub job: u32,
    /// `unit`, or `unit[python=3.12]`.
    pub name: String,
    /// Suite.
    pub suite: String,
    /// Values of its matrix cell.
    pub cell: BTreeMap<String, String>,
    /// `pytest`, `cargo` or `command`.
    pub framework: String,
    /// Suites that must pass first.
    pub needs: Vec<String>,
    /// `waiting`, `running` or `finished`.
    pub status: String,
    /// `passed`, `failed`, `errored`, `cancelled` or `timed_out`; absent until finished.
    pub verdict: Option<String>,
    /// Why it did not pass.
    pub cause: Option<CauseShown>,
    /// Shards; 0 while waiting.
    pub shards: u32,
    /// Units that were discovered, once they are.
    pub units: Option<u32>,
    /// Cases by outcome so far.
    pub counts: CountsShown,
    /// Cases left out by configuration or filter.
    pub deselected: u64,
    /// Cases that were given another attempt.
    pub retried: u64,
    /// Predicted time of what nobody has begun, in milliseconds.
    pub remaining_ms: u64,
    /// Time that its first runner needed until it knew the tests, in milliseconds.
    pub setup_ms: Option<u64>,
    /// When its first runner came forward (RFC 3339).
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it must be over.
    #[schema(format = DateTime)]
    pub deadline: Option<String>,
    /// When it was over.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
}

impl From<JobView> for JobShown {
    fn from(JobView { job, queue }: JobView) -> Self {
        let (verdict, cause) = job.judgement.map_or((None, None), |judged| {
            (Some(judged.verdict.as_str().to_owned()), judged.cause.map(CauseShown::from))
        });
        let status = match job.status {
            JobStatus::Waiting => "waiting",
            JobStatus::Running => "running",
            JobStatus::Finished => "finished",
        };
        Self {
            job: job.no.0,
            name: job.spec.name,
            suite: job.spec.suite.name,
            cell: job.spec.cell,
            framework: job.spec.suite.framework.as_str().to_owned(),
            needs: job.spec.suite.needs,
            status: status.to_owned(),
            verdict,
            cause,
            shards: job.shards,
            units: job.manifest.as_ref().map(|manifest| manifest.units),
            counts: queue.as_ref().map(|queue| queue.counts.into()).unwrap_or_default(),
            deselected: queue.as_ref().map_or(0, |queue| queue.deselected),
            retried: queue.as_ref().map_or(0, |queue| queue.retried),
            remaining_ms: queue.as_ref().map_or(0, |queue| queue.remaining_ms),
            setup_ms: job.manifest.as_ref().map(|manifest| manifest.setup_ms),
            started_at: when(job.started_at),
            deadline: when(job.deadline),
            finished_at: when(job.finished_at),
        }
    }
}

/// A shard of a job: its current runner.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ShardShown {
    /// Number, from 1.
    pub shard: u32,
    /// Which launch of it this is, from 1.
    pub attempt: u32,
    /// `wanted`, `launching`, `running`, `finished` or `failed`.
    pub status: String,
    /// Slots of the runner; 0 before it came forward.
    pub slots: u32,
    /// When it was launched first (RFC 3339).
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// Why the launch before was lost.
    pub problem: Option<String>,
}

impl From<Shard> for ShardShown {
    fn from(shard: Shard) -> Self {
        let status = match shard.status {
            ShardStatus::Wanted => "wanted",
            ShardStatus::Launching => "launching",
            ShardStatus::Running => "running",
            ShardStatus::Finished => "finished",
            ShardStatus::Failed => "failed",
        };
        Self {
            shard: shard.id.shard,
            attempt: shard.id.attempt,
            status: status.to_owned(),
            slots: shard.slots,
            started_at: when(shard.started_at),
            problem: shard.problem,
        }
    }
}

/// What a slot did with one entry.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SpanShown {
    /// Unit.
    pub unit: String,
    /// Which attempt at its cases.
    pub attempt: u32,
    /// `waiting`, `started`, `announced`, `finished` or `aborted`.
    pub progress: String,
    /// Cases announced.
    pub announced: u32,
    /// Cases with a result.
    pub resulted: u32,
    /// Predicted time, in milliseconds.
    pub predicted_ms: u64,
    /// When the slot began with it (RFC 3339, the runner's clock).
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it finished it.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
}

impl From<Held> for SpanShown {
    fn from(held: Held) -> Self {
        let progress = match held.progress {
            Progress::Waiting => "waiting",
            Progress::Started => "started",
            Progress::Announced => "announced",
            Progress::Finished => "finished",
            Progress::Aborted => "aborted",
        };
        Self {
            unit: held.unit,
            attempt: held.attempt,
            progress: progress.to_owned(),
            announced: held.announced,
            resulted: held.resulted,
            predicted_ms: held.predicted_ms,
            started_at: when(held.started_at),
            finished_at: when(held.finished_at),
        }
    }
}

/// One slot's right to a few entries, and what it did with them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LeaseShown {
    /// Id.
    pub id: String,
    /// Fencing epoch: rises with each grant of the job.
    pub epoch: u64,
    /// Shard.
    pub shard: u32,
    /// Launch of the shard.
    pub attempt: u32,
    /// Slot.
    pub slot: u32,
    /// `active`, `completed`, `released` or `lost`.
    pub status: String,
    /// When it was granted (RFC 3339).
    #[schema(format = DateTime)]
    pub granted_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// Its entries, in order.
    pub spans: Vec<SpanShown>,
}

impl From<Lease> for LeaseShown {
    fn from(lease: Lease) -> Self {
        let status = match lease.status {
            LeaseStatus::Active => "active",
            LeaseStatus::Completed => "completed",
            LeaseStatus::Released => "released",
            LeaseStatus::Lost => "lost",
        };
        Self {
            id: lease.id.to_string(),
            epoch: lease.epoch,
            shard: lease.holder.shard,
            attempt: lease.holder.attempt,
            slot: lease.slot,
            status: status.to_owned(),
            granted_at: lease.granted_at.rfc3339(),
            ended_at: when(lease.ended_at),
            spans: lease.entries.into_iter().map(SpanShown::from).collect(),
        }
    }
}
