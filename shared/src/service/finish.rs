//! A runner's last word.
//!
//! Who ends last wakes those who close the job: before that they would find nothing to do. That another runner is
//! still at work is part of the decision, so of two that end at once one comes second and sees it. If that wake is
//! lost the sweep makes up for it, as for any other.

use super::recover::LossKind;
use super::repository::{
    Commit, Stored, job_key, load_together, parse, partition, queue_key, shard_key, shards_prefix,
};
use super::session::admitted;
use super::token::Caller;
use super::{DECISIONS, ServiceResult, Services};
use crate::domain::id::ShardAttempt;
use crate::domain::queue::Queue;
use crate::domain::run::{Job, JobStatus};
use crate::domain::shard::{Shard, ShardStatus};
use crate::domain::time::Timestamp;
use crate::ports::{Key, Topic};
use crate::wire::link::{FinishRequest, RunnerEnd};

/// Other shards looked at first: those with the lowest numbers…
const FIRST_WATCHED: u32 = 4;
/// …and those with the next ones.
const NEXT_WATCHED: u32 = 4;

/// What an end is decided on.
struct Scene {
    shard: Stored<Shard>,
    job: Option<Stored<Job>>,
    queue: Option<Stored<Queue>>,
    /// Another shard with a runner at work.
    at_work: Option<(Key, u64)>,
    now: Timestamp,
}

/// What the end of a runner asks for besides being saved.
struct Aftermath {
    holds_leases: bool,
    wake: bool,
}

impl Services {
    /// Takes a runner's end: in order, its work given back, or broken for good.
    ///
    /// # Errors
    /// `Shard` if the runner is fenced; port errors.
    pub async fn finish(&self, caller: &Caller, request: &FinishRequest) -> ServiceResult<()> {
        let wake = match &request.end {
            RunnerEnd::Released => {
                self.admit(caller, self.clock.now()).await?;
                self.runner_lost(caller.id, LossKind::Released, "the runner gave its work back").await?;
                true
            }
            RunnerEnd::Done | RunnerEnd::Broken { .. } => {
                let after = self.end_shard(caller, &request.end).await?;
                if after.holds_leases {
                    self.end_leases(caller.id, LossKind::Released, "the runner ended").await?;
                }
                after.wake
            }
        };
        if wake {
            self.wake(Topic::Aggregate, caller.id.run, 0).await;
        }
        Ok(())
    }

    async fn end_shard(&self, caller: &Caller, end: &RunnerEnd) -> ServiceResult<Aftermath> {
        for _ in 0..DECISIONS {
            match self.try_finish(caller, end).await {
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
        }
        self.try_finish(caller, end).await
    }

    async fn try_finish(&self, caller: &Caller, end: &RunnerEnd) -> ServiceResult<Aftermath> {
        let id = caller.id;
        let Scene { shard, job, queue, at_work, now } = self.last_scene(caller).await?;
        let mut commit = Commit::new();
        let finished = shard.value.finished().stopping(&shard.value, now);
        commit.replace(shard_key(id.run, id.job, id.shard), shard.version, &finished)?;
        let stopped = queue.is_none_or(|queue| queue.value.stopped.is_some());
        let broken = matches!(end, RunnerEnd::Broken { .. });
        let wake = stopped || broken || at_work.is_none();
        if let Some((key, version)) = at_work.filter(|_| !wake) {
            commit.check(key, version);
        }
        if let RunnerEnd::Broken { cause } = end
            && let Some(mut job) = job.filter(|job| job.value.status == JobStatus::Running)
        {
            job.value.broken = job.value.broken.or_else(|| Some(cause.clone().fitted()));
            commit.replace(job_key(id.run, id.job), job.version, &job.value)?;
        }
        commit.perform(self.store.as_ref()).await?;
        Ok(Aftermath { holds_leases: !shard.value.holding.is_empty(), wake })
    }

    async fn last_scene(&self, caller: &Caller) -> ServiceResult<Scene> {
        let now = self.clock.now();
        let id = caller.id;
        let others: Vec<Key> =
            watched(id.shard).into_iter().map(|other| shard_key(id.run, id.job, other)).collect();
        let mut keys =
            vec![shard_key(id.run, id.job, id.shard), job_key(id.run, id.job), queue_key(id.run, id.job)];
        keys.extend(others.iter().cloned());
        let mut found = load_together(self.store.as_ref(), &keys, now).await?;
        let shard = admitted(caller, found.take()?)?;
        let (job, queue) = (found.take()?, found.take()?);
        let mut at_work = None;
        for key in others {
            let other: Option<Stored<Shard>> = found.take()?;
            let working = other.filter(|other| other.value.status == ShardStatus::Running);
            at_work = at_work.or(working.map(|other| (key, other.version)));
        }
        let all = job.as_ref().map_or(0, |job: &Stored<Job>| job.value.shards);
        if at_work.is_none() && all > self.settings.stride.few_shards {
            at_work = self.any_at_work(id, now).await?;
        }
        Ok(Scene { shard, job, queue, at_work, now })
    }

    /// Another shard of the job with a runner at work, if there is one: the next one after the caller's, all around.
    async fn any_at_work(&self, id: ShardAttempt, now: Timestamp) -> ServiceResult<Option<(Key, u64)>> {
        let own = shard_key(id.run, id.job, id.shard);
        let (partition, prefix, size) = (partition(id.run), shards_prefix(id.job), self.settings.stride.page);
        for (from, until) in [(Some(own.sort), u32::MAX), (None, id.shard)] {
            let mut after: Option<String> = from;
            loop {
                let page = self.store.query(&partition, &prefix, after.as_deref(), size, now).await?;
                let mut passed = false;
                for document in &page.documents {
                    let Stored { value, version } = parse::<Shard>(document)?;
                    passed |= value.id.shard >= until;
                    if value.status == ShardStatus::Running && !passed {
                        return Ok(Some((document.key.clone(), version)));
                    }
                }
                after = page.next.filter(|_| !passed);
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(None)
    }
}

/// The shards that are looked at when a shard ends. The next ones come first: each end then depends on another shard, and
/// many that end at once are not in each other's way.
fn watched(shard: u32) -> Vec<u32> {
    let next = shard.saturating_add(1)..=shard.saturating_add(NEXT_WATCHED);
    let first = (1..=FIRST_WATCHED).filter(|other| *other != shard && !next.contains(other));
    next.clone().chain(first).collect()
}
