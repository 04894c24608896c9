//! Closing what a host that died and will not come back has left open.

use super::repository::{OPEN_RUNS, load_run, load_shards};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::run::JobStatus;
use crate::domain::verdict::{Cause, CauseCode};

/// Passes after which an abandoned run must be closed.
const PASSES: u32 = 20;
/// Open runs looked at.
const LIMIT: usize = 1000;

impl Services {
    /// Closes every open run of a store whose only host died: its runners are gone with it. Returns which.
    ///
    /// # Errors
    /// Port errors.
    pub async fn close_abandoned(&self) -> ServiceResult<Vec<RunId>> {
        let keys = self.store.query_index(OPEN_RUNS, "~", LIMIT).await?;
        let mut closed = Vec::new();
        for key in keys {
            let Some(run) = key.partition.strip_prefix("run#").and_then(|id| id.parse::<RunId>().ok()) else {
                continue;
            };
            let stored = load_run(self.store.as_ref(), run, self.clock.now()).await?;
            if stored.is_some_and(|run| run.value.judgement.is_some()) {
                self.rest(run).await?;
            } else {
                self.close_one(run).await?;
                closed.push(run);
            }
        }
        Ok(closed)
    }

    async fn close_one(&self, run: RunId) -> ServiceResult<()> {
        let cause = Cause::new(
            CauseCode::Abandoned,
            "the process that owned the run died before it was over (run it again)",
        );
        self.cancel(run, cause).await?;
        for _ in 0..PASSES {
            let now = self.clock.now();
            for job in self.jobs(run, now).await? {
                if job.value.status == JobStatus::Running {
                    for shard in load_shards(self.store.as_ref(), run, job.value.no, now).await? {
                        let kind = super::recover::LossKind::Silent;
                        self.runner_lost(shard.value.id, kind, "its host died").await?;
                    }
                }
            }
            self.sweep_run(run).await?;
            let open = load_run(self.store.as_ref(), run, now)
                .await?
                .is_some_and(|run| run.value.judgement.is_none());
            if !open {
                return Ok(());
            }
        }
        Err(ServiceError::Invalid(format!("{run} cannot be closed")))
    }
}
