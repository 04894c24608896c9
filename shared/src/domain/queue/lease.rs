//! A lease: one slot's fenced right to a few entries.
//!
//! A lease lives as long as its shard attempt keeps its heartbeat, and ends once: completed, released or
//! lost. Only an active lease with the right epoch accepts anything.

use crate::domain::case::CaseId;
use crate::domain::id::{LeaseId, ShardAttempt};
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::domain::unit::{Entry, LeasedEntry, UnitEvent};
use serde::{Deserialize, Serialize};

/// Life-cycle place of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseStatus {
    /// Held.
    Active,
    /// Every entry was finished or aborted by its holder.
    Completed,
    /// Given back.
    Released,
    /// Taken away after its runner was lost.
    Lost,
}

/// How far a held entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Not begun.
    #[default]
    Waiting,
    /// Begun; its cases are not known yet.
    Started,
    /// Its cases are known.
    Announced,
    /// Every announced case has a result.
    Finished,
    /// Ended early, by a death or to share the rest; what is missing has new entries.
    Aborted,
}

/// Most of what is remembered of most entries is nothing.
fn is_nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_first(attempt: &u32) -> bool {
    *attempt == 1
}

fn first() -> u32 {
    1
}

/// An entry as its lease remembers it: everything but the list of its cases.
///
/// It is stored with short names and without what is as it always begins: a lease is read and written with every part of
/// its results, and some stores take their price by the kibibyte. The long names are those of leases written before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Number in the queue.
    #[serde(rename = "i", alias = "index")]
    pub index: u32,
    /// Unit key.
    #[serde(rename = "u", alias = "unit")]
    pub unit: String,
    /// Attempt at the cases.
    #[serde(rename = "n", alias = "attempt", default = "first", skip_serializing_if = "is_first")]
    pub attempt: u32,
    /// See [`Entry::careful`].
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub careful: bool,
    /// See [`Entry::crashes`].
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub crashes: u32,
    /// Whether its cases are planned already: a retry, or the rest of an entry that was lost.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub promised: bool,
    /// Predicted time, in milliseconds.
    #[serde(rename = "p", alias = "predicted_ms", default, skip_serializing_if = "is_nothing")]
    pub predicted_ms: u64,
    /// How far it is.
    #[serde(rename = "s", alias = "progress", default, skip_serializing_if = "is_nothing")]
    pub progress: Progress,
    /// Cases announced.
    #[serde(rename = "a", alias = "announced", default, skip_serializing_if = "is_nothing")]
    pub announced: u32,
    /// Results accepted.
    #[serde(rename = "r", alias = "resulted", default, skip_serializing_if = "is_nothing")]
    pub resulted: u32,
    /// When its slot began with it, by the runner's clock.
    #[serde(rename = "b", alias = "started_at", default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When its slot finished it, by the runner's clock.
    #[serde(rename = "e", alias = "finished_at", default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Cases that failed and will be tried again, with what they came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<(CaseId, Outcome)>,
}

impl Held {
    /// What a lease remembers of an entry that nobody has begun.
    #[must_use]
    pub fn new(leased: &LeasedEntry) -> Self {
        let entry: &Entry = &leased.entry;
        Self {
            index: leased.index,
            unit: entry.unit.clone(),
            attempt: entry.attempt,
            careful: entry.careful,
            crashes: entry.crashes,
            promised: entry.promised,
            predicted_ms: entry.predicted_ms,
            progress: Progress::Waiting,
            announced: 0,
            resulted: 0,
            started_at: None,
            finished_at: None,
            again: Vec::new(),
        }
    }
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Id.
    pub id: LeaseId,
    /// Holder.
    pub holder: ShardAttempt,
    /// Slot of the holder, counted from 1.
    pub slot: u32,
    /// Fencing epoch: unique in the job, rising.
    pub epoch: u64,
    /// When it was granted.
    pub granted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Life-cycle place.
    pub status: LeaseStatus,
    /// Entries.
    pub entries: Vec<Held>,
    /// Number of parts accepted so far: the number of the next one.
    pub next_part: u32,
    /// The events of its last part, packed, if they were few enough to stay here: then they have no blob.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub closing: String,
    /// Results that the coordinator itself had to give: cases found to kill their process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<UnitEvent>,
    /// Blobs with such results that were too many for this document; they come before `verdicts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdict_blobs: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_stored_in_few_words_and_read_with_the_long_names_too() {
        let fresh = r#"{"i":7,"u":"tests/test_a.py"}"#;
        let begun: Held = serde_json::from_str(
            r#"{"index":7,"unit":"tests/test_a.py","attempt":2,"predicted_ms":40,"progress":"finished",
                "announced":3,"resulted":3,"started_at":5,"finished_at":9}"#,
        )
        .unwrap();
        assert_eq!(
            serde_json::to_string(&begun).unwrap(),
            r#"{"i":7,"u":"tests/test_a.py","n":2,"p":40,"s":"finished","a":3,"r":3,"b":5,"e":9}"#
        );
        let read: Held = serde_json::from_str(fresh).unwrap();
        assert_eq!((read.attempt, read.progress), (1, Progress::Waiting));
        assert_eq!(serde_json::to_string(&read).unwrap(), fresh);
        assert!(serde_json::from_str::<Held>(r#"{"u":"without a number"}"#).is_err());
    }
}
