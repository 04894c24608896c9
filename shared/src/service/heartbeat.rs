//! A runner shows that it lives, and learns what is wanted of it.

use super::repository::{Commit, Stored, load_together, queue_key, run_key, shard_key};
use super::session::admitted;
use super::token::Caller;
use super::{DECISIONS, ServiceResult, Services};
use crate::domain::queue::Queue;
use crate::domain::run::Run;
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
        let keys = [shard_key(id.run, id.job, id.shard), run_key(id.run), queue_key(id.run, id.job)];
        let mut decisions = 0..DECISIONS;
        let (run, queue): (Option<Stored<Run>>, Option<Stored<Queue>>) = loop {
            let mut found = load_together(store, &keys, now).await?;
            let shard = admitted(caller, found.take()?)?;
            let next = shard.value.heartbeat(&self.settings.clocks, now);
            let mut commit = Commit::new();
            commit.replace(shard_key(id.run, id.job, id.shard), shard.version, &next)?;
            match commit.perform(store).await {
                // Someone else wrote the shard in between: a slot of this runner, or the fence.
                Err(PortError::Conflict { .. }) if decisions.next().is_some() => {}
                Ok(()) | Err(PortError::Conflict { .. }) => break (found.take()?, found.take()?),
                Err(error) => return Err(error.into()),
            }
        };
        let cancelled = run.is_none_or(|run| run.value.cancel.is_some());
        let stopped = queue.is_some_and(|queue| queue.value.stopped.is_some());
        let command = if cancelled || stopped { Command::Cancel } else { Command::Continue };
        Ok(HeartbeatReply { command })
    }
}
