//! What a store holds, and how it is changed.

use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Where a document lives: documents of one partition are ordered by `sort`, bytewise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Partition, non-empty, at most 512 bytes.
    pub partition: String,
    /// Sort key, non-empty, at most 512 bytes.
    pub sort: String,
}

impl Key {
    /// A key.
    #[must_use]
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.sort)
    }
}

/// An entry of the sparse index: documents that share `name`, ordered by `sort`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IndexEntry {
    /// Index partition, as in `open_runs`.
    pub name: String,
    /// Order inside it.
    pub sort: String,
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where.
    pub key: Key,
    /// Set by the store: 1 on creation, plus 1 on each write.
    pub version: u64,
    /// JSON text, less than 100 KB. Shared with whoever remembers it.
    pub body: Arc<str>,
    /// From this time on the document does not exist for readers, even if it is still on disk.
    pub expires_at: Option<Timestamp>,
}

impl Document {
    /// Whether it exists for who reads now.
    #[must_use]
    pub fn lives(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }
}

/// What must hold for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// No (unexpired) document has the key.
    Absent,
    /// The document exists with exactly this version.
    Version(u64),
    /// Anything.
    Any,
}

/// One conditional write of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub key: Key,
    /// Condition.
    pub condition: Condition,
    /// What.
    pub change: Change,
}

/// The change of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Create or replace; index entries are replaced whole.
    Put {
        /// JSON text.
        body: String,
        /// Expiry.
        expires_at: Option<Timestamp>,
        /// At most one entry.
        index: Option<IndexEntry>,
    },
    /// Remove; removing what is not there is no error under `Any`.
    Delete,
    /// Change nothing: the condition alone must hold.
    Check,
}

/// A page of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Documents in order.
    pub documents: Vec<Document>,
    /// Pass as `after` to go on; `None` at the end.
    pub next: Option<String>,
}
