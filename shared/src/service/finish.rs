//! A runner's last word.

use super::recover::LossKind;
use super::repository::{Commit, Stored, job_key, load, shard_key};
use super::token::Caller;
use super::{DECISIONS, ServiceResult, Services};
use crate::domain::run::{Job, JobStatus};
use crate::ports::Topic;
use crate::wire::link::{FinishRequest, RunnerEnd};

impl Services {
    /// Takes a runner's end: in order, its work given back, or broken for good.
    ///
    /// # Errors
    /// `Shard` if the runner is fenced; port errors.
    pub async fn finish(&self, caller: &Caller, request: &FinishRequest) -> ServiceResult<()> {
        match &request.end {
            RunnerEnd::Released => {
                self.admit(caller, self.clock.now()).await?;
                self.runner_lost(caller.id, LossKind::Released, "the runner gave its work back").await?;
            }
            RunnerEnd::Done | RunnerEnd::Broken { .. } => {
                self.end_shard(caller, &request.end).await?;
                self.end_leases(caller.id, LossKind::Released, "the runner ended").await?;
            }
        }
        self.wake(Topic::Aggregate, caller.id.run, 0).await;
        Ok(())
    }

    async fn end_shard(&self, caller: &Caller, end: &RunnerEnd) -> ServiceResult<()> {
        for _ in 0..DECISIONS {
            match self.try_finish(caller, end).await {
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
        }
        self.try_finish(caller, end).await
    }

    async fn try_finish(&self, caller: &Caller, end: &RunnerEnd) -> ServiceResult<()> {
        let now = self.clock.now();
        let id = caller.id;
        let shard = self.admit(caller, now).await?;
        let mut commit = Commit::new();
        let finished = shard.value.finished().stopping(&shard.value, now);
        commit.replace(shard_key(id.run, id.job, id.shard), shard.version, &finished)?;
        if let RunnerEnd::Broken { cause } = end {
            let job: Option<Stored<Job>> = load(self.store.as_ref(), &job_key(id.run, id.job), now).await?;
            if let Some(mut job) = job.filter(|job| job.value.status == JobStatus::Running) {
                job.value.broken = job.value.broken.or_else(|| Some(cause.clone().fitted()));
                commit.replace(job_key(id.run, id.job), job.version, &job.value)?;
            }
        }
        commit.perform(self.store.as_ref()).await?;
        Ok(())
    }
}
