//! The runner link, `/runner/v1`: JSON over HTTP, outbound from the runner only.
//!
//! Expected behaviour of a runner: `session` once; `GET source?offset=` from piece to piece if the source is an
//! uploaded archive (raw bytes, at most a mebibyte each, empty at the end); `manifest` once discovery is over, of the first
//! shard at once, of others when a lease is answered with `unplanned`; then for each slot
//! `lease` in a loop, each call also closing the previous lease; `results` in between as they happen;
//! `heartbeat` on a thread of its own until the very end; `artifact` for the files that the suite keeps, once its
//! tests are over; `release` on SIGTERM; `finish` last. Every write
//! names lease and epoch; 409 with code `stale_lease` means: drop this batch, others have it. Repeating any
//! request is harmless.

use crate::domain::id::{LeaseId, RunId};
use crate::domain::spec::{JobSpec, Source};
use crate::domain::unit::{DiscoveredUnit, LeasedEntry, UnitEvent};
use crate::domain::verdict::Cause;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of this protocol. Since 2 a runner may name its manifest instead of putting it.
pub const LINK_VERSION: u32 = 2;
/// Oldest version of a runner that is understood.
pub const LINK_VERSION_OLDEST: u32 = 1;
/// Path prefix of every call.
pub const LINK_PREFIX: &str = "/runner/v1";
/// A result chunk larger than this is refused.
pub const CHUNK_LIMIT_BYTES: usize = 1024 * 1024;

/// `POST /session`: exchanges the one-shot bootstrap token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// [`LINK_VERSION`] of the runner.
    pub link_version: u32,
    /// The token that the launch carried; valid once.
    pub bootstrap_token: String,
    /// Random value of this process: a repeated exchange with the same nonce answers the same session.
    pub boot_nonce: String,
    /// Slots that this runner offers.
    pub slots: u32,
}

/// Answer to `POST /session`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionReply {
    /// Bearer token of every further call; scoped to this shard attempt.
    pub session_token: String,
    /// The run.
    pub run: RunId,
    /// Shard, counted from 1.
    pub shard: u32,
    /// Shards of the job.
    pub shards: u32,
    /// What to run.
    pub job: JobSpec,
    /// Where the source is.
    pub source: Source,
    /// Case filter of the run, if any.
    pub filter: Option<String>,
    /// Values to put in the environment and to mask in every output; sent once.
    pub secrets: BTreeMap<String, String>,
    /// Send a heartbeat this often, in milliseconds.
    pub heartbeat_ms: u64,
}

/// `PUT /manifest`: the discovered units; the first to put wins.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestRequest {
    /// Units in the order in which the framework found them.
    pub units: Vec<DiscoveredUnit>,
    /// Time from session to here (source, set-up, discovery), in milliseconds.
    pub setup_ms: u64,
    /// What people should know of how the tests are run, as in options that are ignored.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Answer to `PUT /manifest`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManifestReply {
    /// SHA-256 of the winner's manifest; a runner whose own differs discovered something else.
    pub digest: String,
    /// Digest of what this runner sent.
    pub yours: String,
}

/// Result events of a lease, in order. `part` counts from 0 without gaps; a part is accepted once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultsRequest {
    /// The lease.
    pub lease: LeaseId,
    /// Its fencing epoch.
    pub epoch: u64,
    /// Number of this part.
    pub part: u32,
    /// Events.
    pub events: Vec<UnitEvent>,
}

/// Answer to `POST /results`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResultsReply {
    /// The part expected next.
    pub next_part: u32,
}

/// `POST /lease`: closes the previous lease of a slot, if any, and asks for the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// Unique per logical request; a repeated one gets the same lease.
    pub request_id: String,
    /// Slot, counted from 1.
    pub slot: u32,
    /// Last part of the previous lease; every unit of it is finished or aborted with this part.
    pub finished: Option<ResultsRequest>,
    /// Digest of the manifest that the runner has not put, because another one may have put the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

/// Answer to `POST /lease`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum LeaseReply {
    /// Work.
    Batch {
        /// The lease.
        lease: LeaseId,
        /// Fencing epoch, to be named in every write.
        epoch: u64,
        /// Entries, to be run in this order.
        entries: Vec<LeasedEntry>,
    },
    /// Nothing free now, but the job is not over: ask again.
    Wait {
        /// After this many milliseconds.
        retry_after_ms: u64,
    },
    /// The manifest that the request names is not that of the job, or the job has none: put it, and ask again without its name.
    Unplanned,
    /// The job is over for this runner: no more work will come.
    Done,
}

/// `POST /heartbeat`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// What the runner is doing: `source`, `setup`, `discovery`, `tests`, `finishing`.
    pub phase: String,
}

/// What the coordinator wants of a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Go on.
    Continue,
    /// Stop at once, report what there is, release the rest.
    Cancel,
    /// Take no new lease; finish what is running.
    Drain,
}

/// Answer to `POST /heartbeat`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// The command.
    pub command: Command,
}

/// `POST /logs`: an append-only piece of a log of this shard attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRequest {
    /// Name of the log: `runner`, `setup`, `build`, or `case-` and a digest.
    pub stream: String,
    /// Byte offset of `text` in the log.
    pub offset: u64,
    /// Text (already masked and free of escapes other than colours).
    pub text: String,
    /// Why this is the last piece, if it is: `complete`, or `truncated: …`.
    pub end: Option<String>,
}

/// Answer to `POST /logs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogReply {
    /// Offset expected next.
    pub next_offset: u64,
}

/// `PUT /artifact?path=&offset=&end=`: a piece of a file that is kept, as raw bytes. All pieces but the last have
/// [`crate::domain::artifact::PIECE_BYTES`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactPiece {
    /// Place of the file in the working directory of the job, with slashes.
    pub path: String,
    /// Byte offset of the piece in the file.
    pub offset: u64,
    /// Whether this is the last piece.
    pub end: bool,
}

/// Answer to `PUT /artifact`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArtifactReply {
    /// Offset expected next.
    pub next_offset: u64,
}

/// `POST /release`: gives leases back unfinished; what was reported stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The last results of each lease that is given back.
    pub leases: Vec<ResultsRequest>,
    /// One human sentence.
    pub reason: String,
}

/// How a runner ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum RunnerEnd {
    /// It was told that the job is over.
    Done,
    /// It gave its work back.
    Released,
    /// It could not do its job: source, set-up, discovery or the driver failed for good.
    Broken {
        /// Why; fails the whole job.
        cause: Cause,
    },
}

/// `POST /finish`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishRequest {
    /// How it ended.
    pub end: RunnerEnd,
}

/// An empty answer.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Ack {}

/// An RFC 9457 problem, as every error of the link.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    /// Stable machine code: `stale_lease`, `unauthorised`, `conflict`, `invalid`, `unavailable`, `gone`.
    pub code: String,
    /// HTTP status.
    pub status: u16,
    /// Short summary.
    pub title: String,
    /// Human sentence.
    pub detail: String,
}
