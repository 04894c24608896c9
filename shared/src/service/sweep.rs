//! The periodic pass: everything that is not finished is looked at, whatever messages were lost.

use super::repository::{Commit, load};
use super::turn::Seen;
use super::{ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::run::JobStatus;
use crate::ports::{Condition, Key};
use serde::{Deserialize, Serialize};

/// Runs looked at in one pass, at most; finished ones leave the index.
const RUNS_PER_SWEEP: usize = 1000;

/// So many of the runs that a pass did not get to are noted: the next one begins with the first of them that is still open.
const AHEAD: usize = 100;

/// The runs that the last pass did not get to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ahead(Vec<RunId>);

fn ahead_key() -> Key {
    Key::new("sweep".to_owned(), "ahead".to_owned())
}

impl Services {
    /// Looks at every open run. One run that fails does not keep the others from being looked at; the first error
    /// is returned at the end.
    ///
    /// # Errors
    /// The first error of any run.
    pub async fn sweep(&self) -> ServiceResult<()> {
        self.sweep_while(&|| true).await.map(drop)
    }

    /// The same for as long as there is time; the next pass goes on where this one stops. Returns whether it looked at
    /// every run.
    ///
    /// # Errors
    /// The first error of any run.
    pub async fn sweep_while(&self, is_time: &(dyn Fn() -> bool + Sync)) -> ServiceResult<bool> {
        let mut runs = self.open_runs("~").await?;
        let stored = load::<Ahead>(self.store.as_ref(), &ahead_key(), self.clock.now()).await?;
        let ahead = stored.map(|stored| stored.value).unwrap_or_default();
        // Whatever of it is over by now.
        let first = ahead.0.iter().find_map(|next| runs.iter().position(|run| run == next));
        runs.rotate_left(first.unwrap_or(0));
        let (mut first_error, mut seen, mut left) = (None, Seen::default(), Ahead::default());
        for (looked_at, run) in runs.iter().enumerate() {
            if looked_at >= RUNS_PER_SWEEP || !is_time() {
                left.0.extend(runs.iter().skip(looked_at).take(AHEAD));
                break;
            }
            if let Err(error) = self.sweep_one(*run, Some(&mut seen)).await {
                first_error = first_error.or(Some(error));
            }
        }
        if left != ahead {
            let mut commit = Commit::new();
            commit.put(ahead_key(), Condition::Any, &left, None)?;
            commit.perform(self.store.as_ref()).await?;
        }
        if self.settings.slots.is_some()
            && let Err(error) = self.dispatch().await
        {
            first_error = first_error.or(Some(error));
        }
        first_error.map_or(Ok(left.0.is_empty()), Err)
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
