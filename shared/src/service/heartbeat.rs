//! A runner shows that it lives, and learns what is wanted of it.

use super::repository::{Commit, load_queue, load_run, shard_key};
use super::token::Caller;
use super::{DECISIONS, ServiceResult, Services};
use crate::ports::PortError;
use crate::wire::link::{Command, HeartbeatReply};

impl Services {
    /// Moves the runner's deadline and answers with a command.
    ///
    /// # Errors
    /// `Shard` if the runner is fenced; port errors.
    pub async fn heartbeat(&self, caller: &Caller) -> ServiceResult<HeartbeatReply> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let id = caller.id;
        for _ in 0..DECISIONS {
            let shard = self.admit(caller, now).await?;
            let next = shard.value.heartbeat(&self.settings.clocks, now);
            let mut commit = Commit::new();
            commit.replace(shard_key(id.run, id.job, id.shard), shard.version, &next)?;
            match commit.perform(store).await {
                Ok(()) => break,
                // Someone else wrote the shard in between: a slot of this runner, or the fence.
                Err(PortError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let cancelled = load_run(store, id.run, now).await?.is_none_or(|run| run.value.cancel.is_some());
        let stopped =
            load_queue(store, id.run, id.job, now).await?.is_some_and(|queue| queue.value.stopped.is_some());
        let command = if cancelled || stopped { Command::Cancel } else { Command::Continue };
        Ok(HeartbeatReply { command })
    }
}
