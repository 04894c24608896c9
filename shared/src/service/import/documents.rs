//! The documents of an imported run: as if its runners had come, worked and gone.

use super::{ImportOrder, Imported, Receipt};
use crate::domain::id::RunId;
use crate::domain::import::ImportedJob;
use crate::domain::origin::Origin;
use crate::domain::run::{Job, JobStatus, Run, RunStatus};
use crate::domain::spec::{Framework, JOB_TIMEOUT_MS, JobSpec, RunSpec, Source, SuiteSpec};
use crate::domain::time::Timestamp;
use crate::domain::verdict::Cause;
use crate::ports::{Key, PortResult};
use crate::service::repository::{Commit, append_key, job_key, lease_key, queue_key};
use crate::service::submit::spec_key;
use crate::service::{ServiceError, ServiceResult, Services};
use std::collections::BTreeMap;

/// Documents written by one commit: leases may be near the size that a document may have.
const WRITES_PER_COMMIT: usize = 10;

fn suite(job: &ImportedJob) -> SuiteSpec {
    SuiteSpec { retries: 0, ..SuiteSpec::new(&job.name, Framework::Command) }
}

/// What the run would have been asked to do.
pub(super) fn spec(order: &ImportOrder, jobs: &[ImportedJob]) -> RunSpec {
    let url = order.repository.clone().unwrap_or_default();
    RunSpec {
        project: order.project.clone(),
        source: Source::Git { url, commit: order.commit.clone().unwrap_or_default() },
        commit: order.commit.clone(),
        branch: order.branch.clone(),
        suites: jobs.iter().map(suite).collect(),
        fail_fast: None,
        filter: None,
        chosen: Vec::new(),
        timeout_ms: JOB_TIMEOUT_MS,
    }
}

/// The run, all of whose work is done and none of it judged.
pub(super) fn run(id: RunId, origin: Origin, jobs: &[ImportedJob], now: Timestamp) -> Run {
    Run {
        id,
        origin,
        status: RunStatus::Running,
        queued_at: now,
        deadline: now.plus_ms(JOB_TIMEOUT_MS),
        finished_at: None,
        jobs: u32::try_from(jobs.len()).unwrap_or(u32::MAX),
        partial: false,
        cancel: None,
        judgement: None,
        begun_at: None,
        figures: None,
    }
}

fn job(run: RunId, imported: &ImportedJob, broken: Option<Cause>, now: Timestamp) -> Job {
    let spec = JobSpec { name: imported.name.clone(), suite: suite(imported), cell: BTreeMap::new() };
    Job {
        run,
        no: imported.no,
        spec,
        status: JobStatus::Running,
        shards: 0,
        started_at: Some(now),
        deadline: None,
        finished_at: None,
        manifest: None,
        broken,
        judgement: None,
    }
}

impl Services {
    /// Saves what a run consists of, but not the run: nobody sees it yet.
    pub(super) async fn save_import_parts(
        &self,
        run: RunId,
        spec: &RunSpec,
        jobs: &[ImportedJob],
        broken: Option<Cause>,
    ) -> ServiceResult<()> {
        let now = self.clock.now();
        let body = serde_json::to_vec(spec).map_err(|error| ServiceError::Invalid(error.to_string()))?;
        self.blobs.put(&spec_key(run), body).await?;
        let mut batch = Batch { services: self, commit: Commit::new(), waiting: 0 };
        for imported in jobs {
            for lease in &imported.leases {
                batch.commit.create(lease_key(run, imported.no, lease.id), lease)?;
                batch.counted().await?;
            }
            for (first, entries) in &imported.appended {
                let unique = format!("import-{first:010}");
                let at = (run, imported.no);
                self.append_entries(&mut batch.commit, at, *first, entries.clone(), &unique).await?;
                batch.counted().await?;
            }
            batch.commit.create(queue_key(run, imported.no), &imported.queue)?;
            batch.counted().await?;
            let job = job(run, imported, broken.clone().map(Cause::fitted), now);
            batch.commit.create(job_key(run, imported.no), &job)?;
            batch.counted().await?;
        }
        batch.perform().await?;
        Ok(())
    }

    /// Removes what was saved of an import that became no run, as well as that can be done.
    pub(super) async fn forget_import(&self, run: RunId, jobs: &[ImportedJob]) {
        let mut keys: Vec<Key> = Vec::new();
        for imported in jobs {
            keys.extend([queue_key(run, imported.no), job_key(run, imported.no)]);
            keys.extend(imported.leases.iter().map(|lease| lease_key(run, imported.no, lease.id)));
            let last = |first: u32, count: usize| first + u32::try_from(count).unwrap_or(1).saturating_sub(1);
            let groups = imported.appended.iter();
            keys.extend(groups.map(|(first, group)| append_key(run, imported.no, last(*first, group.len()))));
        }
        for part in keys.chunks(WRITES_PER_COMMIT) {
            let mut commit = Commit::new();
            part.iter().cloned().for_each(|key| commit.delete(key));
            // What stays belongs to no run: it takes room and does nothing.
            drop(commit.perform(self.store.as_ref()).await);
        }
        for key in self.blobs.list(&format!("runs/{run}/")).await.unwrap_or_default() {
            drop(self.blobs.delete(&key).await);
        }
    }

    /// The run of an import, closed; after a crash that may have been left to the sweep.
    pub(super) async fn closed_import(&self, receipt: Receipt, repeated: bool) -> ServiceResult<Imported> {
        self.aggregate(receipt.run).await?;
        let run = self.run(receipt.run).await?;
        let Receipt { accepted, not_accepted, not_accepted_count, .. } = receipt;
        Ok(Imported { run, accepted, not_accepted, not_accepted_count, repeated })
    }
}

/// Documents of one run on their way out.
struct Batch<'b> {
    services: &'b Services,
    commit: Commit,
    waiting: usize,
}

impl Batch<'_> {
    async fn counted(&mut self) -> PortResult<()> {
        self.waiting += 1;
        if self.waiting >= WRITES_PER_COMMIT { self.perform().await } else { Ok(()) }
    }

    async fn perform(&mut self) -> PortResult<()> {
        self.waiting = 0;
        std::mem::take(&mut self.commit).perform(self.services.store.as_ref()).await
    }
}
