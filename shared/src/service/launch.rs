//! Starting the runners that are wanted: the intent is saved first, then the launcher is called.
//!
//! Both sides of the calls are saved for several shards at once. A crash between the two leaves shards that are
//! launching without a handle; the next pass calls the launcher again, which starts nothing twice.

use super::repository::{Commit, Stored, job_key, load, load_run_and_jobs, load_shards, shard_key};
use super::turn::Seen;
use super::{ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::run::{Job, JobStatus, RunStatus};
use crate::domain::shard::{Clocks, Shard, ShardStatus};
use crate::domain::time::Timestamp;
use crate::domain::verdict::{Cause, CauseCode};
use crate::ports::{LaunchOrder, PortError, Topic};

/// A shard as it was read, and as it is to be.
struct Change {
    before: Stored<Shard>,
    next: Shard,
}

impl Change {
    fn is_one(&self) -> bool {
        self.next != self.before.value
    }

    fn after(&self) -> Stored<Shard> {
        Stored { value: self.next.clone(), version: self.before.version + u64::from(self.is_one()) }
    }
}

/// The launch of a shard that is to be launched, or was intended to be by someone who did not get to the end.
fn intent(shard: &Stored<Shard>, clocks: &Clocks, now: Timestamp) -> Option<Change> {
    let next = match shard.value.status {
        ShardStatus::Launching if shard.value.handle.is_none() => shard.value.clone(),
        ShardStatus::Wanted => shard.value.intend_launch(clocks, now)?,
        ShardStatus::Launching | ShardStatus::Running | ShardStatus::Finished | ShardStatus::Failed => {
            return None;
        }
    };
    Some(Change { before: shard.clone(), next })
}

impl Services {
    /// Launches every shard of the run that is wanted and due; where slots are given out, what is next in turn, of
    /// whatever run.
    ///
    /// # Errors
    /// Port errors; what was not launched is launched by the next pass.
    pub async fn launch(&self, run: RunId) -> ServiceResult<()> {
        if self.settings.slots.is_some() { self.dispatch().await } else { self.launch_run(run, None).await }
    }

    /// The same of one run; one that had to wait by what was `seen` before is not looked into.
    pub(crate) async fn launch_run(&self, run: RunId, seen: Option<&mut Seen>) -> ServiceResult<()> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let Some((run, jobs)) = load_run_and_jobs(store, run, now).await? else { return Ok(()) };
        if run.value.status == RunStatus::Finished || run.value.cancel.is_some() {
            return Ok(());
        }
        if let Some(seen) = seen
            && self.waits(&run.value, seen).await?
        {
            return Ok(());
        }
        if self.in_turn(run).await?.is_none() {
            return Ok(());
        }
        for Stored { value: job, .. } in jobs {
            if job.status != JobStatus::Running || job.broken.is_some() {
                continue;
            }
            let shards = load_shards(store, job.run, job.no, now).await?;
            self.launch_shards(&job, &shards).await?;
        }
        Ok(())
    }

    /// Launches those of a job's shards that are wanted and due.
    pub(crate) async fn launch_shards(&self, job: &Job, shards: &[Stored<Shard>]) -> ServiceResult<()> {
        let now = self.clock.now();
        let mut due: Vec<Change> = shards
            .iter()
            .filter(|shard| shard.value.id.shard <= job.shards)
            .filter_map(|shard| intent(shard, &self.settings.clocks, now))
            .collect();
        // Who has waited longest comes first, whatever its number.
        due.sort_by_key(|change| (change.before.value.not_before, change.before.value.id.shard));
        for some in due.chunks(self.settings.stride.launches) {
            let mut tried = Vec::with_capacity(some.len());
            let mut no_room: Option<String> = None;
            for intended in self.save_shards(some).await? {
                let next = match &no_room {
                    // To ask on for the others of this stride would be in vain.
                    Some(why) => Some(intended.value.put_back(&self.settings.clocks, self.clock.now(), why)),
                    None => {
                        // What was intended before may have been asked for before.
                        let known = |change: &Change| !change.is_one() && change.next.id == intended.value.id;
                        self.start(job, &intended, some.iter().any(known)).await?
                    }
                };
                if let Some(next) = next.as_ref().filter(|next| next.status == ShardStatus::Wanted) {
                    no_room.get_or_insert_with(|| next.problem.clone().unwrap_or_default());
                }
                tried.extend(next.map(|next| Change { before: intended, next }));
            }
            // Of those that have come forward already, their sessions are the better truth. If a shard is over, the
            // attempt waits in its list of what to stop.
            self.save_shards(&tried).await?;
            if no_room.is_some() {
                // A later pass goes on where this one stops.
                self.wake(Topic::Launch, job.run, self.settings.clocks.launch_retry_ms).await;
                break;
            }
        }
        Ok(())
    }

    /// What became of an attempt to start a runner; nothing if there will be none.
    async fn start(&self, job: &Job, intended: &Stored<Shard>, again: bool) -> ServiceResult<Option<Shard>> {
        let shard = &intended.value;
        let order = LaunchOrder {
            shard: shard.id,
            bootstrap_token: self.settings.token_key.bootstrap(shard.id),
            slots: job.spec.suite.slots,
            round: shard.refused,
            again: again || shard.refused > 0,
        };
        match self.launcher.launch(&order).await {
            Ok(handle) => Ok(Some(Shard { handle: Some(handle), ..shard.clone() })),
            Err(error @ PortError::Unavailable { .. }) => {
                let now = self.clock.now();
                Ok(Some(shard.postpone(&self.settings.clocks, now, &error.to_string())))
            }
            Err(error) => {
                self.launch_refused(job, shard, intended.version, &error).await?;
                Ok(None)
            }
        }
    }

    /// Saves changes of a job's shards, all at once or, if others were in the way, one by one; those that nobody was in
    /// the way of, as they are now.
    async fn save_shards(&self, changes: &[Change]) -> ServiceResult<Vec<Stored<Shard>>> {
        if self.save_at_once(changes).await? {
            return Ok(changes.iter().map(Change::after).collect());
        }
        let mut saved = Vec::new();
        for change in changes.iter().filter(|_| changes.len() > 1) {
            if self.save_at_once(std::slice::from_ref(change)).await? {
                saved.push(change.after());
            }
        }
        Ok(saved)
    }

    async fn save_at_once(&self, changes: &[Change]) -> ServiceResult<bool> {
        let mut commit = Commit::new();
        let mut changed = false;
        for Change { before, next } in changes.iter().filter(|change| change.is_one()) {
            commit.replace(shard_key(next.id.run, next.id.job, next.id.shard), before.version, next)?;
            changed = true;
        }
        if !changed {
            return Ok(true);
        }
        Ok(commit.attempt(self.store.as_ref()).await?)
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
        commit.attempt(store).await?;
        self.wake(Topic::Aggregate, job.run, 0).await;
        Ok(())
    }
}
