//! What the core needs from outside: small dyn-safe traits, held as `Arc<dyn …>`.
//!
//! Semantics stand in each trait's docs and are checked by the contract suites of `testkit`, one suite per
//! port, run on every adapter. Errors say what the caller can do about them.

mod document;
pub mod forge;
pub mod limits;

pub use document::{Change, Condition, Document, IndexEntry, Key, Page, Write};

use crate::domain::case::CaseResult;
use crate::domain::id::{JobNo, RunId, ShardAttempt};
use crate::domain::notify::parcel::{Answer, Parcel};
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// A failed port call, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The subject does not exist.
    #[error("{port}: `{subject}` not found")]
    NotFound {
        /// Which port.
        port: &'static str,
        /// Which subject.
        subject: String,
    },
    /// The subject exists already.
    #[error("{port}: `{subject}` exists already")]
    AlreadyExists {
        /// Which port.
        port: &'static str,
        /// Which subject.
        subject: String,
    },
    /// A condition did not hold: read again and decide again.
    #[error("{port}: `{subject}` was changed by someone else")]
    Conflict {
        /// Which port.
        port: &'static str,
        /// Which subject.
        subject: String,
    },
    /// It may work later; it is unknown whether a write took effect.
    #[error("{port}: `{subject}` is unavailable: {reason}")]
    Unavailable {
        /// Which port.
        port: &'static str,
        /// Which subject.
        subject: String,
        /// Human reason.
        reason: String,
    },
    /// It will not work until someone changes rights, limits or configuration.
    #[error("{port}: `{subject}` was refused: {reason}")]
    Denied {
        /// Which port.
        port: &'static str,
        /// Which subject.
        subject: String,
        /// Human reason.
        reason: String,
    },
    /// What is stored cannot be understood.
    #[error("{port}: `{subject}` is corrupt: {reason}")]
    Corrupt {
        /// Which port.
        port: &'static str,
        /// Which subject.
        subject: String,
        /// Human reason.
        reason: String,
    },
}

/// Result of a port call.
pub type PortResult<T> = Result<T, PortError>;

/// Most writes one commit may carry.
pub const COMMIT_LIMIT: usize = 100;
/// Largest document body.
pub const DOCUMENT_LIMIT_BYTES: usize = 100 * 1024;
/// Most bytes that the bodies of one commit may have together: that many documents of the largest size fit always.
pub const COMMIT_LIMIT_BYTES: usize = COMMIT_LARGEST * DOCUMENT_LIMIT_BYTES;
/// Documents of whatever size that fit into one commit.
pub const COMMIT_LARGEST: usize = 25;

/// An ordered document store.
///
/// Reads are consistent with every commit that returned before they began. `commit` is atomic: all
/// writes or none; if any condition fails it answers `Conflict` naming the first such key and changes
/// nothing. A commit of more than [`COMMIT_LIMIT`] writes or [`COMMIT_LIMIT_BYTES`], with two writes of one key, or with a
/// body over [`DOCUMENT_LIMIT_BYTES`] is `Denied`. After `Unavailable` the commit may or may not have happened.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// The document, unless absent or expired at `now`.
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>>;
    /// Several documents, in the order of their keys, each as it was at some time during the call: cheaper than one by one
    /// where a request is what is paid for.
    async fn load_many(&self, keys: &[Key], now: Timestamp) -> PortResult<Vec<Option<Document>>> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.load(key, now).await?);
        }
        Ok(found)
    }
    /// Documents of a partition whose sort key starts with `prefix`, in order, from after sort key `after`,
    /// at most `limit`.
    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> PortResult<Page>;
    /// Keys of documents in the index `name` whose index sort is at most `upto`, in index order. The index
    /// may lag behind commits: a hint, to be confirmed by `load`.
    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>>;
    /// Performs the writes, all or none.
    async fn commit(&self, writes: Vec<Write>) -> PortResult<()>;
}

/// Named immutable byte strings.
///
/// Keys are relative slash-separated paths of `[A-Za-z0-9._=-]` segments. A put is atomic: no partial blob is
/// ever visible. Puts replace; `put_absent` answers `AlreadyExists` and changes nothing if the key is taken.
#[async_trait]
pub trait Blobs: Debug + Send + Sync {
    /// Stores a blob.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> PortResult<()>;
    /// Stores a blob only if the key is free.
    async fn put_absent(&self, key: &str, bytes: Vec<u8>) -> PortResult<()>;
    /// Makes a blob out of other blobs, one after the other; they stay. As atomic as a put. For what is too large to be
    /// held in memory: written in pieces of a mebibyte or so, joined, the pieces deleted. `NotFound` if one is missing.
    async fn compose(&self, key: &str, pieces: Vec<String>) -> PortResult<()>;
    /// The blob, or the part of it from `range.0` up to but not including `range.1` (cut at its end).
    async fn fetch(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Vec<u8>>;
    /// Keys that start with `prefix`, in order.
    async fn list(&self, prefix: &str) -> PortResult<Vec<String>>;
    /// Removes a blob; removing what is not there is no error.
    async fn delete(&self, key: &str) -> PortResult<()>;
    /// An address from which anyone may fetch the blob for a while, without a credential; `None` where there are no such
    /// addresses, and the blob has to be handed out.
    async fn link(&self, key: &str, terms: &LinkTerms) -> PortResult<Option<String>>;
    /// A way by which anyone may store exactly these bytes at `key` for a while, without a credential; `None` where there
    /// are no such ways, and bytes have to be handed over.
    async fn upload_link(&self, key: &str, terms: &UploadTerms) -> PortResult<Option<UploadLink>>;
}

/// What exactly may be stored by an [`UploadLink`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadTerms {
    /// Length of the bytes.
    pub size_bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
    /// Whether the key must be free.
    pub only_if_absent: bool,
    /// How long the way is open, in seconds.
    pub expires_in_s: u64,
}

/// A `PUT` that anyone may send, as it is, until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadLink {
    /// Where to.
    pub url: String,
    /// Headers that must be sent, exactly so.
    pub headers: Vec<(String, String)>,
}

/// What is given with a blob that is fetched by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTerms {
    /// Name under which it is to be saved: letters, digits, `.`, `_` and `-`.
    pub file_name: String,
    /// Media type.
    pub media_type: String,
    /// How long the address is good for, in seconds.
    pub expires_in_s: u64,
}

/// What a wake asks to be looked at. A wake carries no facts: the receiver reads the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Plan the run.
    Plan,
    /// Launch the run's wanted shards.
    Launch,
    /// Prove and close the run's jobs, then the run.
    Aggregate,
}

/// A message: look at this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Wake {
    /// For what.
    pub topic: Topic,
    /// Which run.
    pub run: RunId,
}

/// Sends wakes: at least once, in any order, possibly late or (rarely) never. The sweep makes up for all.
#[async_trait]
pub trait Queue: Debug + Send + Sync {
    /// Sends a wake, to be delivered not before `delay_ms`.
    async fn send(&self, wake: Wake, delay_ms: u64) -> PortResult<()>;
}

/// A shard to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchOrder {
    /// Identity; launching it twice starts one runner.
    pub shard: ShardAttempt,
    /// One-shot token for `POST /session`.
    pub bootstrap_token: String,
    /// Slots that the runner should offer; `None` = all of its machine.
    pub slots: Option<u32>,
    /// How often there was no room for it before.
    pub round: u32,
    /// Whether a launcher may have been asked for it before.
    pub again: bool,
}

/// What a launcher knows of a runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RunnerState {
    /// Asked for, not yet running.
    Pending,
    /// Running.
    Running,
    /// Ended; an absent exit code is an infrastructure loss, never a success.
    Stopped {
        /// Exit code, if there was one.
        exit_code: Option<i32>,
        /// Human reason (`killed by signal 9`, `out of memory`).
        reason: String,
    },
    /// The launcher has never heard of it, or has forgotten it.
    Unknown,
}

/// Starts, looks at and stops runners.
///
/// `launch` of the same order starts one runner, however often it is called; no room is `Unavailable`. `stop` asks politely and then
/// kills; stopping what is gone is no error.
#[async_trait]
pub trait Launcher: Debug + Send + Sync {
    /// Starts the runner; returns a handle to be stored.
    async fn launch(&self, order: &LaunchOrder) -> PortResult<String>;
    /// Looks at it.
    async fn describe(&self, shard: &ShardAttempt) -> PortResult<RunnerState>;
    /// Ends it.
    async fn stop(&self, shard: &ShardAttempt) -> PortResult<()>;
}

/// Sends what a channel is told.
///
/// One call is one attempt, over within a minute; nothing is tried again inside. A parcel may come more than once
/// (the answer to an earlier attempt was lost), with the same id: receivers can tell, and sending it again is harmless.
/// `Delivered` only if the receiver said that it took all of it. `Refused` only if the same parcel will never be taken:
/// wrong address, no rights, a place that is not to be reached. Everything else is `Later`. A reason never holds
/// secrets, nor anything of the receiver's answer but its status.
#[async_trait]
pub trait Notifier: Debug + Send + Sync {
    /// Tries to send it.
    async fn deliver(&self, parcel: &Parcel) -> Answer;
}

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Makes ids and secrets.
pub trait IdSource: Debug + Send + Sync {
    /// A fresh UUID of version 7 as a number.
    fn uuid(&self) -> u128;
    /// A fresh secret: 64 hexadecimal digits from a cryptographic source.
    fn secret(&self) -> String;
}

/// Something an onlooker may want to show at once. Losing one loses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A case attempt was accepted; `retrying` says that another attempt follows.
    Case {
        /// Job.
        job: JobNo,
        /// Unit key.
        unit: String,
        /// The result.
        result: Box<CaseResult>,
        /// Whether another attempt follows.
        retrying: bool,
    },
    /// Cases were announced.
    Announced {
        /// Job.
        job: JobNo,
        /// How many.
        cases: u64,
    },
    /// The manifest of a job is there.
    Planned {
        /// Job.
        job: JobNo,
        /// Units.
        units: u32,
        /// Predicted work over all units, in milliseconds.
        predicted_ms: u64,
    },
    /// A runner was lost.
    RunnerLost {
        /// Which.
        shard: ShardAttempt,
        /// Human reason.
        reason: String,
    },
    /// The run is over.
    Finished,
}

/// Receives notices, best effort, never blocking.
pub trait Observer: Debug + Send + Sync {
    /// Whether anybody looks at all: what nobody sees need not be made.
    fn looks(&self) -> bool {
        true
    }
    /// Takes one notice.
    fn notice(&self, run: RunId, notice: Notice);
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn looks(&self) -> bool {
        false
    }

    fn notice(&self, _run: RunId, _notice: Notice) {}
}
