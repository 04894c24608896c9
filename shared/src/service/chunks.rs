//! Result chunks: accepted parts of leases as blobs of JSON lines.
//!
//! A part's name holds the lease's epoch, so nobody but its holder can write it. A blob counts only if the
//! lease's document says that the part was accepted.

use super::entries::{JobPlace, job_folder};
use super::{ServiceResult, Services};
use crate::domain::id::{JobNo, RunId};
use crate::domain::queue::accept::Known;
use crate::domain::queue::close::Leftover;
use crate::domain::queue::lease::{Lease, Progress};
use crate::domain::time::Timestamp;
use crate::domain::unit::UnitEvent;
use crate::ports::PortError;
use std::collections::BTreeMap;

fn chunk_key(run: RunId, job: JobNo, epoch: u64, part: u32) -> String {
    format!("{}/results/{epoch:08}-{part:05}.jsonl", job_folder(run, job))
}

impl Services {
    /// Stores a part that is about to be accepted.
    pub(crate) async fn store_chunk(
        &self,
        lease: &Lease,
        part: u32,
        events: &[UnitEvent],
    ) -> ServiceResult<()> {
        if events.is_empty() {
            return Ok(());
        }
        let key = chunk_key(lease.holder.run, lease.holder.job, lease.epoch, part);
        let mut bytes = Vec::new();
        for event in events {
            serde_json::to_writer(&mut bytes, event).map_err(|error| PortError::Corrupt {
                port: "blobs",
                subject: key.clone(),
                reason: error.to_string(),
            })?;
            bytes.push(b'\n');
        }
        self.blobs.put(&key, bytes).await?;
        Ok(())
    }

    /// The events of an accepted part; a part without events has no blob.
    pub(crate) async fn load_chunk(&self, lease: &Lease, part: u32) -> ServiceResult<Vec<UnitEvent>> {
        let key = chunk_key(lease.holder.run, lease.holder.job, lease.epoch, part);
        let bytes = match self.blobs.fetch(&key, None).await {
            Ok(bytes) => bytes,
            Err(PortError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut events = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event = serde_json::from_slice(line).map_err(|error| PortError::Corrupt {
                port: "blobs",
                subject: key.clone(),
                reason: error.to_string(),
            })?;
            events.push(event);
        }
        Ok(events)
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
                UnitEvent::Aborted { entry, .. } => {
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
