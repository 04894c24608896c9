//! Closing what a host that died has left open, and forgetting what is too old.

use super::repository::{Commit, OPEN_RUNS, load_run, load_shards, partition, row_key};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::run::JobStatus;
use crate::domain::verdict::{Cause, CauseCode};
use crate::ports::{COMMIT_LIMIT, Change, Condition, Write};

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

    /// Removes every document of a run that is over. Its blobs are the caller's to remove.
    ///
    /// # Errors
    /// Port errors.
    pub async fn forget(&self, run: RunId) -> ServiceResult<()> {
        if let Some(stored) = load_run(self.store.as_ref(), run, self.clock.now()).await? {
            let mut commit = Commit::new();
            commit.delete(row_key(&stored.value));
            commit.perform(self.store.as_ref()).await?;
        }
        loop {
            let page = self.store.query(&partition(run), "", None, COMMIT_LIMIT, self.clock.now()).await?;
            if page.documents.is_empty() {
                return Ok(());
            }
            let writes = page
                .documents
                .into_iter()
                .map(|document| Write {
                    key: document.key,
                    condition: Condition::Any,
                    change: Change::Delete,
                })
                .collect();
            self.store.commit(writes).await?;
        }
    }
}
