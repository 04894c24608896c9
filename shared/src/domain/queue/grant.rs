//! Granting: which free entries a slot gets next.
//!
//! Longest first, in batches that shrink with the work that is left, so that slots end together. Entries
//! that must run alone never share a batch with others.

use super::Queue;
use super::lease::{Held, Lease, LeaseStatus};
use crate::domain::id::ShardAttempt;
use crate::domain::split::batch_target_ms;
use crate::domain::time::Timestamp;
use crate::domain::unit::LeasedEntry;

/// Most entries in one lease: keeps the lease a small document.
pub const BATCH_LIMIT: usize = 64;
/// Names of units in one lease, in bytes, for the same reason.
const NAMES_BYTES: usize = 16 * 1024;
/// How many free entries a grant looks at.
pub const WINDOW: usize = 128;

/// Who asks for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The runner.
    pub holder: ShardAttempt,
    /// Its slot, counted from 1.
    pub slot: u32,
    /// The request: asking twice is one lease.
    pub request_id: String,
    /// Shards of the job.
    pub shards: u32,
    /// Cost of starting a batch, in milliseconds.
    pub overhead_ms: u64,
    /// Now.
    pub now: Timestamp,
}

/// What a slot is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The queue afterwards.
    pub queue: Queue,
    /// The new lease.
    pub lease: Lease,
    /// Its entries.
    pub entries: Vec<LeasedEntry>,
}

impl Queue {
    /// Grants a batch out of `window`, the first [`WINDOW`] free entries in order; `None` if there is nothing to
    /// give now.
    #[must_use]
    pub fn grant(&self, window: &[LeasedEntry], ask: &Ask) -> Option<Grant> {
        if self.stopped.is_some() {
            return None;
        }
        let target = batch_target_ms(self.remaining_ms, self.sharing_slots(ask.shards), ask.overhead_ms);
        let entries = choose(window, ask, target);
        if entries.is_empty() {
            return None;
        }
        let mut queue = self.clone();
        for leased in &entries {
            if !queue.free.remove(leased.index) {
                return None;
            }
            queue.remaining_ms = queue.remaining_ms.saturating_sub(leased.entry.predicted_ms);
        }
        queue.epoch += 1;
        queue.open_leases += 1;
        let lease = Lease {
            id: ask.holder.lease_id(&ask.request_id),
            holder: ask.holder,
            slot: ask.slot,
            epoch: queue.epoch,
            granted_at: ask.now,
            ended_at: None,
            status: LeaseStatus::Active,
            entries: entries.iter().map(Held::new).collect(),
            next_part: 0,
            verdicts: Vec::new(),
            verdict_blobs: Vec::new(),
            closing: String::new(),
        };
        Some(Grant { queue, lease, entries })
    }
}

/// The batch: from the front, passing over entries that this shard should leave to others, until the target
/// time is reached.
fn choose(window: &[LeasedEntry], ask: &Ask, target_ms: u64) -> Vec<LeasedEntry> {
    let suits =
        |leased: &&LeasedEntry| !(ask.shards > 1 && leased.entry.avoid_shard == Some(ask.holder.shard));
    let mut fitting = window.iter().filter(suits).peekable();
    let mut any = window.iter();
    // When only entries to be avoided are left, running them here beats not running them.
    let candidates: &mut dyn Iterator<Item = &LeasedEntry> =
        if fitting.peek().is_some() { &mut fitting } else { &mut any };
    let mut batch: Vec<LeasedEntry> = Vec::new();
    let (mut sum_ms, mut names) = (0u64, 0);
    for leased in candidates {
        let full = batch.len() >= BATCH_LIMIT || names + leased.entry.unit.len() > NAMES_BYTES;
        let enough = sum_ms >= target_ms;
        let mixes = batch.first().is_some_and(|first| first.entry.alone != leased.entry.alone);
        let exceeds = !batch.is_empty() && sum_ms.saturating_add(leased.entry.predicted_ms) > target_ms;
        if !batch.is_empty() && (full || enough || mixes || exceeds) {
            break;
        }
        names += leased.entry.unit.len();
        sum_ms = sum_ms.saturating_add(leased.entry.predicted_ms);
        batch.push(leased.clone());
    }
    batch
}
