//! Going on after the host of the runners was restarted.
//!
//! Local runners end with the process that started them. Without this they would be found out by their silence, after
//! a minute and a half.

use super::recover::LossKind;
use super::repository::{Stored, load_all, partition};
use super::{ServiceResult, Services};
use crate::domain::id::{RunId, ShardAttempt};
use crate::domain::shard::Shard;
use crate::ports::RunnerState;

impl Services {
    /// Gives up every runner that the launcher has never heard of: it was started by an earlier process. To be called
    /// once at the start, before anything is launched. Returns how many there were.
    ///
    /// # Errors
    /// Port errors.
    pub async fn resume(&self) -> ServiceResult<usize> {
        let mut lost = 0;
        for run in self.open_runs("~").await? {
            lost += self.resume_run(run).await?;
        }
        Ok(lost)
    }

    /// How many runs have no verdict yet.
    ///
    /// # Errors
    /// Port errors.
    pub async fn unfinished(&self) -> ServiceResult<usize> {
        let mut open = 0;
        for run in self.open_runs("~").await? {
            open += usize::from(!self.is_over(run).await?);
        }
        Ok(open)
    }

    async fn resume_run(&self, run: RunId) -> ServiceResult<usize> {
        let now = self.clock.now();
        let shards: Vec<Stored<Shard>> =
            load_all(self.store.as_ref(), &partition(run), "shard#", now).await?;
        let mut lost = 0;
        for Stored { value: shard, .. } in shards {
            for left in &shard.to_stop {
                let id = ShardAttempt { attempt: left.attempt, ..shard.id };
                if self.is_unknown(id).await? {
                    self.forget_leftover(id).await?;
                }
            }
            if shard.live() && self.is_unknown(shard.id).await? {
                let reason = "it ended with the server, which was restarted";
                self.runner_lost(shard.id, LossKind::HostGone, reason).await?;
                lost += 1;
            }
        }
        Ok(lost)
    }

    async fn is_unknown(&self, id: ShardAttempt) -> ServiceResult<bool> {
        Ok(self.launcher.describe(&id).await? == RunnerState::Unknown)
    }
}
