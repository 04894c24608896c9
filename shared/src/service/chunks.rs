//! Result chunks: accepted parts of leases as blobs of JSON lines, the last one in the lease itself if it is small.
//!
//! A part's name holds the lease's epoch, so nobody but its holder can write it. A blob counts only if the
//! lease's document says that the part was accepted.

use super::entries::{JobPlace, job_folder};
use super::{ServiceResult, Services};
use crate::domain::id::{JobNo, RunId};
use crate::domain::packed::{pack, unpack};
use crate::domain::queue::accept::Known;
use crate::domain::queue::close::Leftover;
use crate::domain::queue::lease::{Lease, LeaseStatus, Progress};
use crate::domain::time::Timestamp;
use crate::domain::unit::UnitEvent;
use crate::ports::{PortError, PortResult};
use std::collections::BTreeMap;

/// What the JSON of an event takes, more or less, in bytes.
const EVENT_BYTES: usize = 256;
/// More than so many times what it may take in the end is not worth being packed.
const PACKED_PARTS: usize = 24;
/// So many leases of a job may keep their last part: whoever closes the job reads all leases within a second, and a store that
/// spreads what it holds over machines has them on one.
const CLOSING_LEASES: u64 = 400;
/// Verdicts of one lease that stay in its document, in bytes of JSON.
const VERDICTS_BYTES: usize = 24 * 1024;

fn chunk_key(run: RunId, job: JobNo, epoch: u64, part: u32) -> String {
    format!("{}/results/{epoch:08}-{part:05}.jsonl", job_folder(run, job))
}

/// Whether a blob holds a part of a lease or what the coordinator found: those of a job that is over never change.
pub(crate) fn is_result(key: &str) -> bool {
    key.contains("/results/")
}

fn lines(key: &str, events: &[UnitEvent]) -> PortResult<Vec<u8>> {
    let mut bytes = Vec::with_capacity(events.len() * EVENT_BYTES);
    for event in events {
        serde_json::to_writer(&mut bytes, event).map_err(|error| corrupt(key, &error))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// A part as a blob: its key and its lines.
fn chunk(lease: &Lease, part: u32, events: &[UnitEvent]) -> PortResult<(String, Vec<u8>)> {
    let key = chunk_key(lease.holder.run, lease.holder.job, lease.epoch, part);
    let bytes = lines(&key, events)?;
    Ok((key, bytes))
}

/// The bytes packed, if that is no longer than `limit`.
fn packed_within(limit: usize, bytes: &[u8]) -> Option<String> {
    let worth_it = bytes.len() <= limit * PACKED_PARTS;
    worth_it.then(|| pack(bytes)).filter(|packed| !packed.is_empty() && packed.len() <= limit)
}

fn events(key: &str, bytes: &[u8]) -> PortResult<Vec<UnitEvent>> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|error| corrupt(key, &error))).collect()
}

fn corrupt(key: &str, error: &serde_json::Error) -> PortError {
    PortError::Corrupt { port: "blobs", subject: key.to_owned(), reason: error.to_string() }
}

impl Services {
    /// Stores a part that is about to be accepted: with `lease`, as it will be, if it ends that and is small.
    pub(crate) async fn store_part(
        &self,
        lease: &mut Lease,
        part: u32,
        events: &[UnitEvent],
    ) -> ServiceResult<()> {
        if events.is_empty() {
            return Ok(());
        }
        let (key, bytes) = chunk(lease, part, events)?;
        let stays = lease.status != LeaseStatus::Active && lease.epoch <= CLOSING_LEASES;
        let limit = if stays { self.settings.closing_bytes } else { 0 };
        match packed_within(limit, &bytes) {
            Some(packed) => lease.closing = packed,
            None => self.blobs.put(&key, bytes).await?,
        }
        Ok(())
    }

    /// Stores a part as a blob.
    pub(crate) async fn store_chunk(
        &self,
        lease: &Lease,
        part: u32,
        events: &[UnitEvent],
    ) -> ServiceResult<()> {
        if events.is_empty() {
            return Ok(());
        }
        let (key, bytes) = chunk(lease, part, events)?;
        self.blobs.put(&key, bytes).await?;
        Ok(())
    }

    /// Moves verdicts that are too many for the lease's document into a blob of their own. `unique` tells this
    /// decision from every other one about the lease.
    pub(crate) async fn shelve_verdicts(&self, lease: &mut Lease, unique: &str) -> ServiceResult<()> {
        let key =
            format!("{}/results/verdicts-{unique}.jsonl", job_folder(lease.holder.run, lease.holder.job));
        let bytes = lines(&key, &lease.verdicts)?;
        if bytes.len() > VERDICTS_BYTES {
            self.blobs.put(&key, bytes).await?;
            lease.verdicts.clear();
            lease.verdict_blobs.push(key);
        }
        Ok(())
    }

    /// The lease with all of its verdicts.
    pub(crate) async fn with_verdicts(&self, mut lease: Lease) -> ServiceResult<Lease> {
        let mut verdicts = Vec::new();
        for key in std::mem::take(&mut lease.verdict_blobs) {
            verdicts.extend(events(&key, &self.blobs.fetch(&key, None).await?)?);
        }
        verdicts.append(&mut lease.verdicts);
        lease.verdicts = verdicts;
        Ok(lease)
    }

    /// The events of an accepted part; a part without events has no blob.
    pub(crate) async fn load_chunk(&self, lease: &Lease, part: u32) -> ServiceResult<Vec<UnitEvent>> {
        let key = chunk_key(lease.holder.run, lease.holder.job, lease.epoch, part);
        if !lease.closing.is_empty() && part + 1 == lease.next_part {
            let bytes = unpack(&lease.closing).ok_or_else(|| PortError::Corrupt {
                port: "store",
                subject: lease.id.to_string(),
                reason: "its last part cannot be unpacked".to_owned(),
            })?;
            return Ok(events(&key, &bytes)?);
        }
        let bytes = match self.blobs.fetch(&key, None).await {
            Ok(bytes) => bytes,
            Err(PortError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        Ok(events(&key, &bytes)?)
    }

    /// What must be known to accept `events`: bodies of promised entries that are announced and of aborted
    /// entries, and what earlier parts said about the aborted ones.
    pub(crate) async fn known_for(
        &self,
        place: JobPlace<'_>,
        lease: &Lease,
        events: &[UnitEvent],
        now: Timestamp,
    ) -> ServiceResult<Known> {
        let promised = |index: u32| lease.entries.iter().any(|held| held.index == index && held.promised);
        // An announcement in pieces is judged as a whole: the earlier pieces are in earlier parts.
        let begun = |index: u32| lease.entries.iter().any(|held| held.index == index && held.announced > 0);
        let mut bodies = Vec::new();
        let mut aborted = Vec::new();
        for event in events {
            match event {
                UnitEvent::Announced { entry, more: false, .. } if promised(*entry) => {
                    bodies.push(*entry);
                    aborted.extend(begun(*entry).then_some(*entry));
                }
                UnitEvent::Aborted { entry, .. } | UnitEvent::Yielded { entry, .. } => {
                    bodies.push(*entry);
                    aborted.push(*entry);
                }
                UnitEvent::Announced { .. }
                | UnitEvent::Started { .. }
                | UnitEvent::CaseStarted { .. }
                | UnitEvent::Case { .. }
                | UnitEvent::Finished { .. } => {}
            }
        }
        self.known(place, lease, &bodies, &aborted, now).await
    }

    /// What must be known to end `lease`: everything about the entries it has begun and not finished.
    pub(crate) async fn known_to_end(
        &self,
        place: JobPlace<'_>,
        lease: &Lease,
        now: Timestamp,
    ) -> ServiceResult<Known> {
        let begun: Vec<u32> = lease
            .entries
            .iter()
            .filter(|held| matches!(held.progress, Progress::Started | Progress::Announced))
            .map(|held| held.index)
            .collect();
        self.known(place, lease, &begun, &begun, now).await
    }

    async fn known(
        &self,
        place: JobPlace<'_>,
        lease: &Lease,
        bodies: &[u32],
        aborted: &[u32],
        now: Timestamp,
    ) -> ServiceResult<Known> {
        if bodies.is_empty() {
            return Ok(Known::default());
        }
        let bodies = self.bodies(place, bodies, &BTreeMap::new(), now).await?;
        let mut leftovers: BTreeMap<u32, Leftover> = BTreeMap::new();
        if !aborted.is_empty() {
            for part in 0..lease.next_part {
                for event in self.load_chunk(lease, part).await? {
                    if aborted.contains(&event.entry()) {
                        leftovers.entry(event.entry()).or_default().note(&event);
                    }
                }
            }
        }
        Ok(Known { bodies, leftovers })
    }
}
