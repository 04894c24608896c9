//! A job's queue: which entries are free, leased or closed, and what their cases came to so far.
//!
//! The queue is one small document. Entries are only ever appended; an entry is *free*, *leased* or *closed*,
//! and closed for good. A unit that must run again, whole or in part, is a new entry, so every number is closed
//! exactly once and a runner that comes back from the dead cannot touch what others now hold. The bodies of
//! the entries live elsewhere: the cost of a lease does not depend on how many there are.

pub mod accept;
pub mod close;
pub mod grant;
pub mod lease;
pub mod ranges;

use super::outcome::Counts;
use super::time::Timestamp;
use ranges::Ranges;
use serde::{Deserialize, Serialize};

/// Why a queue gives out no more work although entries are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// The run's limit of failures is reached.
    FailFast,
    /// The run was cancelled.
    Cancelled,
    /// The job or run is past its deadline.
    Deadline,
    /// The job cannot go on: set-up, driver or too many lost runners.
    Broken,
}

/// Rules of a job that acceptance of results needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Attempts after the first for failed cases.
    pub retries: u32,
    /// Stop after this many final failures.
    pub fail_fast: Option<u32>,
}

/// The runners that have come for work so far.
///
/// It says how finely work should be cut. Nobody is taken out again: a runner that was lost is replaced by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Crew {
    /// How many.
    pub runners: u32,
    /// Their slots together.
    pub slots: u32,
}

/// The state of a job's queue. `free`, leased and closed entries together are `0..len`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Entries ever made; those below `manifest_len` come from the manifest, the others were appended.
    pub len: u32,
    /// Entries of the manifest.
    pub manifest_len: u32,
    /// Entries that nobody holds.
    pub free: Ranges,
    /// How many entries are closed.
    pub closed: u32,
    /// Closed entries that were replaced by a later one instead of finished.
    pub superseded: u32,
    /// Leases that are active.
    pub open_leases: u32,
    /// Epoch of the last grant; each grant takes the next number.
    pub epoch: u64,
    /// Predicted time of the free entries, in milliseconds.
    pub remaining_ms: u64,
    /// Cases so far.
    pub counts: Counts,
    /// Cases left out by configuration or filter.
    pub deselected: u64,
    /// Cases that were given another attempt.
    pub retried: u64,
    /// No more grants, and why.
    pub stopped: Option<Stopped>,
    /// Who has come for work.
    #[serde(default)]
    pub crew: Crew,
    /// When its last entry was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained_at: Option<Timestamp>,
    /// Rules.
    pub policy: Policy,
}

impl Queue {
    /// The queue of a manifest with `entries` entries and `predicted_ms` of predicted work.
    #[must_use]
    pub fn new(entries: u32, predicted_ms: u64, policy: Policy) -> Self {
        Self {
            len: entries,
            manifest_len: entries,
            free: Ranges::full(entries),
            closed: 0,
            superseded: 0,
            open_leases: 0,
            epoch: 0,
            remaining_ms: predicted_ms,
            counts: Counts::default(),
            deselected: 0,
            retried: 0,
            stopped: None,
            crew: Crew::default(),
            drained_at: None,
            policy,
        }
    }

    /// The queue after a runner has come for work for the first time.
    #[must_use]
    pub fn joined_by(mut self, slots: u32) -> Self {
        self.crew.runners = self.crew.runners.saturating_add(1);
        self.crew.slots = self.crew.slots.saturating_add(slots.max(1));
        self
    }

    /// Slots among which the work is to be shared, of a job with so many shards: one of each runner that is yet to come,
    /// and those of the runners that have come, as many as there are shards. More have come where some were lost.
    #[must_use]
    pub fn sharing_slots(&self, shards: u32) -> u32 {
        let Crew { runners, slots } = self.crew;
        let there = u64::from(slots) * u64::from(runners.min(shards)) / u64::from(runners.max(1));
        let to_come = shards.saturating_sub(runners);
        u32::try_from(there).unwrap_or(u32::MAX).saturating_add(to_come).max(1)
    }

    /// Whether every entry is closed: nothing is left to run.
    #[must_use]
    pub fn drained(&self) -> bool {
        self.closed == self.len && self.open_leases == 0
    }

    /// The queue with the time of its end noted, if it has ended.
    #[must_use]
    pub fn timed(mut self, now: Timestamp) -> Self {
        if self.drained() {
            self.drained_at = self.drained_at.or(Some(now));
        }
        self
    }

    /// Whether nothing will change any more: drained, or stopped with no lease open.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.drained() || (self.stopped.is_some() && self.open_leases == 0)
    }

    /// Entries that were never run to their end.
    #[must_use]
    pub fn not_run(&self) -> u32 {
        self.len - self.closed.min(self.len)
    }

    /// The queue with no more grants; the first reason stays.
    #[must_use]
    pub fn stop(mut self, why: Stopped) -> Self {
        self.stopped = self.stopped.or(Some(why));
        self
    }

    /// Whether another case may be given another attempt. A run in which everything fails is not run twice.
    pub(crate) fn retry_allowed(&self) -> bool {
        self.retried < (self.counts.planned / RETRY_SHARE).max(RETRY_FLOOR)
    }
}

/// At most one in this many planned cases is retried…
const RETRY_SHARE: u64 = 10;
/// …but this many always may.
const RETRY_FLOOR: u64 = 25;

/// Why the queue refuses a request: an answer, not a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The lease is over, or of another epoch: others may hold these entries now.
    #[error("the lease is no longer held")]
    StaleLease,
    /// A part was left out.
    #[error("expected part `{expected}` of the lease, not `{given}`")]
    PartGap {
        /// The next part.
        expected: u32,
        /// The part given.
        given: u32,
    },
    /// The events break the protocol: the runner is wrong, and the job cannot be trusted.
    #[error("malformed results for entry `{entry}`: {detail}")]
    Malformed {
        /// The entry.
        entry: u32,
        /// What is wrong.
        detail: String,
    },
}

#[cfg(test)]
mod tests;
