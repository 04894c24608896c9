//! What is stored of a job beside itself: its queue, its shards, its leases. Read at once, and handed on.
//!
//! Once a job is over, its queue and its leases change no more; a shard may still come to its rest.

use super::repository::{Stored, load_leases, load_shards, load_together, queue_key, shard_key};
use super::{ServiceResult, Services};
use crate::domain::queue::Queue;
use crate::domain::queue::lease::Lease;
use crate::domain::run::Job;
use crate::domain::shard::Shard;
use crate::ports::PortResult;

/// Most shards that are read by number, with the queue; more are read in order.
const SHARDS_BY_NUMBER: u32 = 50;
/// Leases that are kept of one job for a second look; more are read again.
const LEASES_KEPT: usize = 2_000;

/// What is stored of a job beside itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobFacts {
    pub(crate) queue: Option<Stored<Queue>>,
    pub(crate) shards: Vec<Stored<Shard>>,
    /// In the order of their epochs, if they were read.
    pub(crate) leases: Option<Vec<Lease>>,
}

impl JobFacts {
    /// The queue's state.
    pub(crate) fn queue(&self) -> Option<&Queue> {
        self.queue.as_ref().map(|queue| &queue.value)
    }

    /// Without leases that are too many to be kept.
    pub(crate) fn small(mut self) -> Self {
        self.leases = self.leases.filter(|leases| leases.len() <= LEASES_KEPT);
        self
    }
}

impl Services {
    /// Queue and shards of a job.
    pub(crate) async fn queue_and_shards(&self, job: &Job) -> PortResult<JobFacts> {
        let (now, store) = (self.clock.now(), self.store.as_ref());
        let mut keys = vec![queue_key(job.run, job.no)];
        let by_number = job.shards <= SHARDS_BY_NUMBER;
        if by_number {
            keys.extend((1..=job.shards).map(|shard| shard_key(job.run, job.no, shard)));
        }
        let mut found = load_together(store, &keys, now).await?;
        let queue = found.take()?;
        let mut shards: Vec<Stored<Shard>> = Vec::new();
        for _ in keys.iter().skip(1) {
            shards.extend(found.take()?);
        }
        if !by_number {
            shards = load_shards(store, job.run, job.no, now).await?;
            shards.retain(|shard| shard.value.id.shard <= job.shards);
        }
        Ok(JobFacts { queue, shards, leases: None })
    }

    /// The same with its leases.
    pub(crate) async fn with_leases(&self, job: &Job, mut facts: JobFacts) -> ServiceResult<JobFacts> {
        if facts.leases.is_none() {
            // Without a queue nothing was ever leased.
            let leases = match facts.queue {
                Some(_) => load_leases(self.store.as_ref(), job.run, job.no, self.clock.now()).await?,
                None => Vec::new(),
            };
            facts.leases = Some(leases.into_iter().map(|lease| lease.value).collect());
        }
        Ok(facts)
    }
}
