//! Starting the runners that are wanted: the intent is saved first, then the launcher is called.
//!
//! A crash between the two leaves a shard that is launching without a handle; the next pass calls the
//! launcher again, which starts nothing twice.

use super::repository::{Commit, Stored, job_key, load, load_run, load_shards, shard_key};
use super::{ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::run::{Job, JobStatus, RunStatus};
use crate::domain::shard::{Shard, ShardStatus};
use crate::domain::verdict::{Cause, CauseCode};
use crate::ports::{LaunchOrder, PortError, Topic};

impl Services {
    /// Launches every shard of the run that is wanted and due; where slots are given out, what is next in turn, of
    /// whatever run.
    ///
    /// # Errors
    /// Port errors; what was not launched is launched by the next pass.
    pub async fn launch(&self, run: RunId) -> ServiceResult<()> {
        if self.settings.slots.is_some() { self.dispatch().await } else { self.launch_run(run).await }
    }

    pub(crate) async fn launch_run(&self, run: RunId) -> ServiceResult<()> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let open = load_run(store, run, now)
            .await?
            .is_some_and(|run| run.value.status != RunStatus::Finished && run.value.cancel.is_none());
        if !open {
            return Ok(());
        }
        for job in self.jobs(run, now).await? {
            if job.value.status != JobStatus::Running || job.value.broken.is_some() {
                continue;
            }
            for shard in load_shards(store, run, job.value.no, now).await? {
                self.launch_shard(&job.value, shard).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn launch_shard(&self, job: &Job, stored: Stored<Shard>) -> ServiceResult<()> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let key = || shard_key(job.run, job.no, stored.value.id.shard);
        let intended = match stored.value.status {
            ShardStatus::Launching if stored.value.handle.is_none() => stored.value.clone(),
            ShardStatus::Wanted => match stored.value.intend_launch(&self.settings.clocks, now) {
                Some(intended) => intended,
                None => return Ok(()),
            },
            ShardStatus::Launching | ShardStatus::Running | ShardStatus::Finished | ShardStatus::Failed => {
                return Ok(());
            }
        };
        let mut version = stored.version;
        if intended != stored.value {
            let mut commit = Commit::new();
            commit.replace(key(), version, &intended)?;
            match commit.perform(store).await {
                Ok(()) => version += 1,
                Err(PortError::Conflict { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        let order = LaunchOrder {
            shard: intended.id,
            bootstrap_token: self.settings.token_key.bootstrap(intended.id),
            slots: job.spec.suite.slots,
        };
        let next = match self.launcher.launch(&order).await {
            Ok(handle) => Shard { handle: Some(handle), ..intended },
            Err(error @ PortError::Unavailable { .. }) => {
                let clocks = &self.settings.clocks;
                self.wake(Topic::Launch, job.run, clocks.launch_retry_ms).await;
                intended.postpone(clocks, now, &error.to_string())
            }
            Err(error) => {
                return self.launch_refused(job, &intended, version, &error).await;
            }
        };
        let mut commit = Commit::new();
        commit.replace(key(), version, &next)?;
        match commit.perform(store).await {
            // The runner may have come forward already; its session is the better truth. If the shard is over,
            // the attempt waits in its list of what to stop.
            Ok(()) | Err(PortError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn launch_refused(
        &self,
        job: &Job,
        shard: &Shard,
        version: u64,
        error: &PortError,
    ) -> ServiceResult<()> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let mut commit = Commit::new();
        commit.replace(shard_key(job.run, job.no, shard.id.shard), version, &shard.finished())?;
        let current: Option<Stored<Job>> = load(store, &job_key(job.run, job.no), now).await?;
        if let Some(mut current) = current {
            let cause = Cause::new(CauseCode::RunnerLost, format!("the runner cannot be started: {error}"));
            current.value.broken = current.value.broken.or(Some(cause));
            commit.replace(job_key(job.run, job.no), current.version, &current.value)?;
        }
        match commit.perform(store).await {
            Ok(()) | Err(PortError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.wake(Topic::Aggregate, job.run, 0).await;
        Ok(())
    }
}
