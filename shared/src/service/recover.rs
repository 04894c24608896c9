//! A runner is gone: its shard is wanted again or given up, its leases end, its work is free.
//!
//! The shard's document changes first, which fences the runner; the leases follow one by one. A crash in
//! between is healed by `recover`, which ends every active lease whose holder is not the shard's current
//! running attempt.

use super::repository::{Commit, Stored, load_leases, load_queue, load_shard, load_shards, shard_key};
use super::{DECISIONS, ServiceResult, Services};
use crate::domain::id::{JobNo, RunId, ShardAttempt};
use crate::domain::queue::close::Ending;
use crate::domain::queue::lease::LeaseStatus;
use crate::domain::shard::{Shard, ShardStatus};
use crate::ports::{Notice, PortError, RunnerState, Topic};

/// How a runner was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossKind {
    /// It gave its work back.
    Released,
    /// It fell silent, or its machine was taken away: nobody is to blame.
    Silent,
    /// Its process was seen to die: what it ran is suspect.
    Died,
    /// Its process ended with the host that had started it: nobody is to blame, and nothing is left to be stopped.
    HostGone,
}

impl LossKind {
    fn ending(self) -> Ending {
        match self {
            Self::Released => Ending::Release,
            Self::Silent | Self::HostGone => Ending::Loss,
            Self::Died => Ending::Crash,
        }
    }
}

impl Services {
    /// Takes note that a runner's process or machine ended; what the launcher saw is passed on. Hearing it twice,
    /// or about an older attempt, changes nothing.
    ///
    /// # Errors
    /// Port errors.
    pub async fn runner_stopped(&self, id: ShardAttempt, state: &RunnerState) -> ServiceResult<()> {
        let RunnerState::Stopped { reason, .. } = state else {
            return Ok(());
        };
        let lost = self.runner_lost(id, LossKind::Died, reason).await?;
        self.forget_leftover(id).await?;
        // The end of a runner that has said its last word is no news: of a thousand, each would have the job looked at.
        if lost {
            self.wake(Topic::Aggregate, id.run, 0).await;
        }
        Ok(())
    }

    /// The same on a host where one launch may have started two runners: the one that came second ends itself, and the
    /// other one is at work.
    ///
    /// # Errors
    /// Port errors.
    pub async fn one_runner_stopped(&self, id: ShardAttempt, state: &RunnerState) -> ServiceResult<()> {
        let shard = load_shard(self.store.as_ref(), id, self.clock.now()).await?;
        let awaited = shard.is_some_and(|shard| shard.value.id == id && shard.value.live());
        if awaited && let Ok(RunnerState::Pending | RunnerState::Running) = self.launcher.describe(&id).await
        {
            return Ok(());
        }
        self.runner_stopped(id, state).await
    }

    /// Declares the attempt lost if it is the current one and alive; whether it was.
    pub(crate) async fn runner_lost(
        &self,
        id: ShardAttempt,
        kind: LossKind,
        reason: &str,
    ) -> ServiceResult<bool> {
        for _ in 0..DECISIONS {
            match self.try_lose(id, kind, reason).await {
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
        }
        self.try_lose(id, kind, reason).await
    }

    async fn try_lose(&self, id: ShardAttempt, kind: LossKind, reason: &str) -> ServiceResult<bool> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let Some(shard) = load_shard(store, id, now).await? else {
            return Ok(false);
        };
        if shard.value.id != id || !shard.value.live() {
            return Ok(false);
        }
        let stopped = load_queue(store, id.run, id.job, now)
            .await?
            .is_some_and(|queue| queue.value.stopped.is_some() || queue.value.drained());
        let clocks = &self.settings.clocks;
        let gone = matches!(kind, LossKind::Died | LossKind::HostGone);
        let lost =
            if kind == LossKind::HostGone { shard.value.clone().excuse() } else { shard.value.clone() };
        // A job that needs no more work needs no new runner either.
        let next: Shard = if stopped { lost.finished() } else { lost.lost(clocks, now, reason) };
        let next = if gone { next } else { next.stopping(&shard.value, now) };
        let mut commit = Commit::new();
        commit.replace(shard_key(id.run, id.job, id.shard), shard.version, &next)?;
        commit.perform(store).await?;
        if kind != LossKind::Released {
            self.notice(id.run, Notice::RunnerLost { shard: id, reason: reason.to_owned() });
        }
        self.end_leases(id, kind, reason).await?;
        if next.status == ShardStatus::Wanted {
            self.wake(Topic::Launch, id.run, 0).await;
        }
        Ok(true)
    }

    /// Ends every active lease of an attempt.
    pub(crate) async fn end_leases(
        &self,
        id: ShardAttempt,
        kind: LossKind,
        reason: &str,
    ) -> ServiceResult<()> {
        let now = self.clock.now();
        for lease in load_leases(self.store.as_ref(), id.run, id.job, now).await? {
            if lease.value.holder == id && lease.value.status == LeaseStatus::Active {
                self.end_lease(id.run, id.job, lease.value.id, kind.ending(), reason).await?;
            }
        }
        Ok(())
    }

    /// Brings a job's runners and leases back in line with the truth: overdue runners are looked at and
    /// declared lost, leases without a living holder end.
    ///
    /// # Errors
    /// Port errors.
    pub async fn recover(&self, run: RunId, job: JobNo) -> ServiceResult<()> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        for shard in load_shards(store, run, job, now).await? {
            if shard.value.overdue(now) {
                self.overdue(&shard.value).await?;
            }
        }
        for shard in load_shards(store, run, job, now).await? {
            self.stop_leftovers(shard).await?;
        }
        let open = load_queue(store, run, job, now).await?.is_some_and(|queue| queue.value.open_leases > 0);
        if !open {
            return Ok(());
        }
        let shards = load_shards(store, run, job, now).await?;
        let alive = |holder: ShardAttempt| {
            shards.iter().any(|shard| shard.value.id == holder && shard.value.status == ShardStatus::Running)
        };
        for lease in load_leases(store, run, job, now).await? {
            if lease.value.status == LeaseStatus::Active && !alive(lease.value.holder) {
                self.end_lease(run, job, lease.value.id, Ending::Loss, "its runner was lost").await?;
            }
        }
        Ok(())
    }

    async fn overdue(&self, shard: &Shard) -> ServiceResult<()> {
        let state = match self.launcher.describe(&shard.id).await {
            Ok(state) => state,
            // Not knowing is no reason to wait longer than the deadline.
            Err(PortError::Unavailable { .. } | PortError::Denied { .. } | PortError::NotFound { .. }) => {
                RunnerState::Unknown
            }
            Err(error) => return Err(error.into()),
        };
        let (kind, reason) = match state {
            RunnerState::Stopped { reason, .. } => (LossKind::Died, reason),
            RunnerState::Pending => (LossKind::Silent, "it was not started in time".to_owned()),
            RunnerState::Running if shard.status == ShardStatus::Launching => {
                (LossKind::Silent, "it was started but never came forward".to_owned())
            }
            RunnerState::Running => (LossKind::Silent, "it stopped sending heartbeats".to_owned()),
            RunnerState::Unknown => (LossKind::Silent, "it vanished".to_owned()),
        };
        self.runner_lost(shard.id, kind, &reason).await?;
        Ok(())
    }

    /// Ends the compute of attempts that nobody waits for; what cannot be ended now is ended by a later pass. Whether none
    /// can be left.
    pub(crate) async fn stop_leftovers(&self, shard: Stored<Shard>) -> ServiceResult<bool> {
        let now = self.clock.now();
        let mut next = shard.value.clone();
        for left in &shard.value.to_stop {
            let id = ShardAttempt { attempt: left.attempt, ..shard.value.id };
            let stopped = self.launcher.stop(&id).await.is_ok();
            if stopped && left.until <= now {
                next = next.stopped(left.attempt);
            }
        }
        if next == shard.value {
            return Ok(next.at_rest());
        }
        let id = next.id;
        let mut commit = Commit::new();
        commit.replace(shard_key(id.run, id.job, id.shard), shard.version, &next)?;
        Ok(commit.attempt(self.store.as_ref()).await? && next.at_rest())
    }

    /// Takes note that the compute of an attempt is gone.
    pub(crate) async fn forget_leftover(&self, id: ShardAttempt) -> ServiceResult<()> {
        let now = self.clock.now();
        let Some(shard) = load_shard(self.store.as_ref(), id, now).await? else {
            return Ok(());
        };
        let next = shard.value.clone().stopped(id.attempt);
        if next == shard.value {
            return Ok(());
        }
        let mut commit = Commit::new();
        commit.replace(shard_key(id.run, id.job, id.shard), shard.version, &next)?;
        match commit.perform(self.store.as_ref()).await {
            // It is asked to stop once more, which is harmless.
            Ok(()) | Err(PortError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
