//! The first runner that has discovered the tests puts the manifest; the others learn whose it is.
//!
//! The manifest turns into the ordered entries of the queue here, from history: runners know nothing of it.

use super::repository::{Commit, Stored, job_key, load_together, queue_key, shard_key};
use super::session::admitted;
use super::submit::load_spec;
use super::token::Caller;
use super::{DECISIONS, ServiceError, ServiceResult, Services};
use crate::domain::queue::{Policy, Queue};
use crate::domain::run::{Job, JobStatus, ManifestInfo};
use crate::domain::unit::manifest_digest;
use crate::domain::verdict::excerpt;
use crate::ports::{Notice, Topic};
use crate::wire::link::{ManifestReply, ManifestRequest};

/// Notes that are kept of a runner…
const NOTES: usize = 20;
/// …each cut to so many bytes.
const NOTE_BYTES: usize = 500;

impl Services {
    /// Puts the manifest if there is none; answers with the digest that counts.
    ///
    /// # Errors
    /// `Shard` if the runner is fenced, `Invalid` if a unit is named twice; port errors.
    pub async fn put_manifest(
        &self,
        caller: &Caller,
        request: &ManifestRequest,
    ) -> ServiceResult<ManifestReply> {
        let mut keys: Vec<&str> = request.units.iter().map(|unit| unit.key.as_str()).collect();
        keys.sort_unstable();
        if let Some(twice) = keys.windows(2).find(|pair| pair.first() == pair.last()) {
            let name = twice.first().copied().unwrap_or_default();
            return Err(ServiceError::Invalid(format!("unit `{name}` is in the manifest twice")));
        }
        let yours =
            manifest_digest(&request.units).map_err(|error| ServiceError::Invalid(error.to_string()))?;
        for _ in 0..DECISIONS {
            match self.try_put(caller, request, &yours).await {
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
        }
        self.try_put(caller, request, &yours).await
    }

    async fn try_put(
        &self,
        caller: &Caller,
        request: &ManifestRequest,
        yours: &str,
    ) -> ServiceResult<ManifestReply> {
        let now = self.clock.now();
        let id = caller.id;
        let keys = [shard_key(id.run, id.job, id.shard), job_key(id.run, id.job)];
        let mut found = load_together(self.store.as_ref(), &keys, now).await?;
        let shard = admitted(caller, found.take()?)?;
        let job: Stored<Job> =
            found.take()?.ok_or_else(|| ServiceError::NotFound(format!("job {}", id.job)))?;
        if let Some(manifest) = &job.value.manifest {
            return Ok(ManifestReply { digest: manifest.digest.clone(), yours: yours.to_owned() });
        }
        if job.value.status != JobStatus::Running {
            return Err(crate::domain::shard::ShardRejected::Fenced.into());
        }
        let spec = load_spec(self, id.run).await?;
        let slots = shard.value.slots.saturating_mul(job.value.shards.max(1));
        let entries = self.plan_entries(&spec, &job.value.spec, &request.units, slots).await?;
        let pages = self.store_manifest(id.run, id.job, &entries).await?;
        let predicted_ms = entries.iter().map(|entry| entry.predicted_ms).sum();
        let count = u32::try_from(entries.len())
            .map_err(|error| ServiceError::Invalid(format!("too many entries: {error}")))?;
        let policy = Policy { retries: job.value.spec.suite.retries, fail_fast: spec.fail_fast };
        let mut next = job.value;
        next.manifest = Some(ManifestInfo {
            digest: yours.to_owned(),
            pages,
            units: u32::try_from(request.units.len()).unwrap_or(u32::MAX),
            predicted_ms,
            setup_ms: request.setup_ms,
            notes: request.notes.iter().take(NOTES).map(|note| excerpt(note, NOTE_BYTES)).collect(),
        });
        let mut commit = Commit::new();
        commit.check(shard_key(id.run, id.job, id.shard), shard.version);
        commit.replace(job_key(id.run, id.job), job.version, &next)?;
        commit.create(queue_key(id.run, id.job), &Queue::new(count, predicted_ms, policy))?;
        commit.perform(self.store.as_ref()).await?;
        self.notice(id.run, Notice::Planned { job: id.job, units: count, predicted_ms });
        if count == 0 {
            self.wake(Topic::Aggregate, id.run, 0).await;
        }
        Ok(ManifestReply { digest: yours.to_owned(), yours: yours.to_owned() })
    }
}
