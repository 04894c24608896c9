//! Use-cases: one file each; load, decide, save conditionally, then act.
//!
//! Everything is level-triggered. A wake says only "look at this run"; each function here reads the truth,
//! asks `domain` what should be, saves that under a version check and only then acts on the outside, with
//! effects that may be repeated. `sweep` calls the same functions on a timer, so a system in which every wake is
//! lost still finishes every run.

pub mod abandon;
pub mod aggregate;
pub mod approve;
pub mod artifacts;
pub mod audit;
pub mod cancel;
pub mod cases;
mod chunks;
pub mod dispatch;
pub mod entries;
mod facts;
pub mod finish;
pub mod health;
pub mod heartbeat;
mod history;
pub mod idempotency;
pub mod import;
pub mod jobs;
pub mod kept;
pub mod key;
pub mod launch;
pub mod lease;
pub mod logs;
pub mod manifest;
pub mod member;
pub mod notify;
pub mod order;
pub mod plan;
pub mod project;
pub mod recover;
pub mod report;
pub mod repository;
pub mod rerun;
mod resolve;
pub mod resume;
pub mod retain;
pub mod runs;
pub mod schedule;
pub mod session;
mod snapshot;
pub mod submit;
mod supersede;
pub mod sweep;
pub mod token;
pub mod trends;
mod turn;
pub mod upload;
pub mod webhook;

use crate::domain::id::RunId;
use crate::domain::member::MemberRefused;
use crate::domain::queue::Rejected;
use crate::domain::shard::{Clocks, ShardRejected};
use crate::ports::forge::Forge;
use crate::ports::{
    Blobs, COMMIT_LIMIT, Clock, IdSource, Launcher, Notice, Observer, PortError, Queue, Store, Topic, Wake,
};
use std::sync::Arc;
use token::TokenKey;

/// How far one step goes with a job of many shards. Where they are few, none of it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stride {
    /// Shards made by one commit, beside the job: one less than a commit takes, at most.
    pub shards_per_commit: usize,
    /// After so many such commits the next pass goes on, a moment later: a store that spreads what it holds over machines
    /// has a run on one, and that takes so much in a second.
    pub commits_per_pass: usize,
    /// Shards that are launched together: saved before and after, and given up together where there is no room.
    pub launches: usize,
    /// Where there are more shards than these, all are looked through before the end of one wakes anybody.
    pub few_shards: u32,
    /// Shards that are read at once while looking through all.
    pub page: usize,
}

impl Default for Stride {
    /// What stores and launchers of clouds take.
    fn default() -> Self {
        Self {
            shards_per_commit: COMMIT_LIMIT - 1,
            commits_per_pass: 4,
            launches: 25,
            few_shards: 16,
            page: 64,
        }
    }
}

/// What the wiring decides once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Clocks and limits.
    pub clocks: Clocks,
    /// Key of every bootstrap and session token.
    pub token_key: TokenKey,
    /// Most shards that `auto` may choose.
    pub max_shards: u32,
    /// Measured cost of starting a batch, in milliseconds.
    pub batch_overhead_ms: u64,
    /// Version of Fleetest, for reports.
    pub version: String,
    /// The last results of a lease stay in its document if they take no more than so many bytes there; 0 = they never do.
    /// For stores that take their price by the request.
    pub closing_bytes: usize,
    /// Whether results become history.
    pub keep_history: bool,
    /// Slots of all runners together, given out by `dispatch`; `None` = the launcher alone says when there is room.
    pub slots: Option<u32>,
    /// How far one step goes.
    pub stride: Stride,
}

impl Settings {
    /// Whether requests are dear: then things are stored together that are read apart.
    #[must_use]
    pub(crate) fn few_requests(&self) -> bool {
        self.closing_bytes > 0
    }
}

/// The use-cases and what they stand on.
#[derive(Debug, Clone)]
pub struct Services {
    /// Documents.
    pub store: Arc<dyn Store>,
    /// Blobs.
    pub blobs: Arc<dyn Blobs>,
    /// Wakes.
    pub queue: Arc<dyn Queue>,
    /// Runners.
    pub launcher: Arc<dyn Launcher>,
    /// Repositories.
    pub forge: Arc<dyn Forge>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn IdSource>,
    /// Onlookers.
    pub observer: Arc<dyn Observer>,
    /// Settings.
    pub settings: Settings,
}

/// Why a use-case did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The outside failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The queue says no.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The runner is fenced or unknown.
    #[error(transparent)]
    Shard(#[from] ShardRejected),
    /// The token is not one of ours.
    #[error("the token is not valid")]
    BadToken,
    /// The request cannot be right.
    #[error("{0}")]
    Invalid(String),
    /// A membership stays as it is.
    #[error(transparent)]
    Member(#[from] MemberRefused),
    /// There is no such thing.
    #[error("`{0}` not found")]
    NotFound(String),
}

impl ServiceError {
    /// Whether the same request, decided again on fresh state, may succeed.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Port(PortError::Conflict { .. }))
    }
}

/// Result of a use-case.
pub type ServiceResult<T> = Result<T, ServiceError>;

/// How often a decision is taken anew when others changed what it was based on.
const DECISIONS: u32 = 16;

impl Services {
    /// Sends a wake. A wake that cannot be sent is made up for by the sweep, so this never fails a use-case.
    pub(crate) async fn wake(&self, topic: Topic, run: RunId, delay_ms: u64) {
        // The sweep is the truth; a lost hint costs time only.
        drop(self.queue.send(Wake { topic, run }, delay_ms).await);
    }

    pub(crate) fn notice(&self, run: RunId, notice: Notice) {
        self.observer.notice(run, notice);
    }

    /// Handles one wake.
    ///
    /// # Errors
    /// Whatever the use-case returns; the wake should then be delivered again.
    pub async fn handle(&self, wake: Wake) -> ServiceResult<()> {
        match wake.topic {
            Topic::Plan => self.plan(wake.run).await,
            Topic::Launch => self.launch(wake.run).await,
            Topic::Aggregate => self.aggregate(wake.run).await,
        }
    }
}
