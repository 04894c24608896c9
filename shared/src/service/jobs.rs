//! Jobs, shards and leases of a run, as people look at them.

use super::audit::Listed;
use super::repository::{job_key, load, load_part, load_queue, partition, shards_prefix};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::id::{JobNo, RunId};
use crate::domain::queue::Queue;
use crate::domain::queue::lease::Lease;
use crate::domain::run::Job;
use crate::domain::shard::Shard;

/// A job and how far it is.
#[derive(Debug, Clone)]
pub struct JobView {
    /// The job.
    pub job: Job,
    /// Its queue, once there is a manifest.
    pub queue: Option<Queue>,
}

impl Services {
    /// Jobs of a run, by number.
    ///
    /// # Errors
    /// Port errors.
    pub async fn job_views(
        &self,
        run: RunId,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<JobView>> {
        let place = (&*partition(run), "job#");
        let jobs = load_part(self.store.as_ref(), place, after, limit, self.clock.now()).await?;
        let mut items = Vec::with_capacity(jobs.items.len());
        for job in jobs.items {
            items.push(self.with_queue(job).await?);
        }
        Ok(Listed { items, next: jobs.next })
    }

    /// One job.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn job_view(&self, run: RunId, no: JobNo) -> ServiceResult<JobView> {
        let job = load::<Job>(self.store.as_ref(), &job_key(run, no), self.clock.now()).await?;
        let job = job.ok_or_else(|| ServiceError::NotFound(format!("{run}/{no}")))?;
        self.with_queue(job.value).await
    }

    async fn with_queue(&self, job: Job) -> ServiceResult<JobView> {
        let queue = load_queue(self.store.as_ref(), job.run, job.no, self.clock.now()).await?;
        Ok(JobView { job, queue: queue.map(|queue| queue.value) })
    }

    /// Shards of a job, by number.
    ///
    /// # Errors
    /// Port errors.
    pub async fn shards(
        &self,
        (run, job): (RunId, JobNo),
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<Shard>> {
        let prefix = shards_prefix(job);
        let place = (&*partition(run), &*prefix);
        Ok(load_part(self.store.as_ref(), place, after, limit, self.clock.now()).await?)
    }

    /// Leases of a job, in no particular order, each once.
    ///
    /// # Errors
    /// Port errors.
    pub async fn leases(
        &self,
        (run, job): (RunId, JobNo),
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<Lease>> {
        let prefix = format!("lease#{:05}#", job.0);
        let place = (&*partition(run), &*prefix);
        Ok(load_part(self.store.as_ref(), place, after, limit, self.clock.now()).await?)
    }
}
