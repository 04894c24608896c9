//! The periodic pass: everything that is not finished is looked at, whatever messages were lost.

use super::repository::OPEN_RUNS;
use super::turn::Seen;
use super::{ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::run::JobStatus;

/// Runs looked at in one pass; the oldest come first, and finished ones leave the index.
const RUNS_PER_SWEEP: usize = 1000;

impl Services {
    /// Looks at every open run. One run that fails does not keep the others from being looked at; the first error
    /// is returned at the end.
    ///
    /// # Errors
    /// The first error of any run.
    pub async fn sweep(&self) -> ServiceResult<()> {
        let keys = self.store.query_index(OPEN_RUNS, "~", RUNS_PER_SWEEP).await?;
        let (mut first_error, mut seen) = (None, Seen::default());
        for key in keys {
            let Some(run) = key.partition.strip_prefix("run#").and_then(|id| id.parse::<RunId>().ok()) else {
                continue;
            };
            if let Err(error) = self.sweep_one(run, Some(&mut seen)).await {
                first_error = first_error.or(Some(error));
            }
        }
        if self.settings.slots.is_some()
            && let Err(error) = self.dispatch().await
        {
            first_error = first_error.or(Some(error));
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Looks at one run, from its beginning to its end.
    ///
    /// # Errors
    /// Port errors.
    pub async fn sweep_run(&self, run: RunId) -> ServiceResult<()> {
        self.sweep_one(run, None).await
    }

    async fn sweep_one(&self, run: RunId, seen: Option<&mut Seen>) -> ServiceResult<()> {
        self.plan(run).await?;
        for job in self.jobs(run, self.clock.now()).await? {
            if job.value.status == JobStatus::Running {
                self.recover(run, job.value.no).await?;
            }
        }
        if self.settings.slots.is_none() {
            self.launch_run(run, seen).await?;
        }
        self.aggregate(run).await?;
        self.rest(run).await
    }
}
