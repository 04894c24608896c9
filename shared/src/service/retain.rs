//! Retention: runs that a project need not keep are forgotten, a few at a time.
//!
//! Blobs go first and the run itself last, so that a crash in between leaves a run that the next pass finds again.

use super::repository::{Commit, load_run, parse, partition, project_partition, row_key, run_key};
use super::{ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::project::Project;
use crate::domain::retain::is_expired;
use crate::domain::run::{Job, Run, RunStatus};
use crate::ports::{COMMIT_LARGEST, Change, Condition, Write};

const PAGE: usize = 200;

impl Services {
    /// Forgets finished runs of all projects that are too old or too many, at most `limit` of them. Returns which.
    ///
    /// # Errors
    /// Port errors; the next call goes on.
    pub async fn retain(&self, limit: usize) -> ServiceResult<Vec<RunId>> {
        let mut forgotten = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.projects(after.as_deref(), PAGE).await?;
            for project in &page.items {
                let left = limit.saturating_sub(forgotten.len());
                for run in self.expired(project, left).await? {
                    self.forget_with_blobs(run).await?;
                    forgotten.push(run);
                }
            }
            after = page.next;
            if after.is_none() || forgotten.len() >= limit {
                return Ok(forgotten);
            }
        }
    }

    /// The expired runs of a project, at most `limit`.
    async fn expired(&self, project: &Project, limit: usize) -> ServiceResult<Vec<RunId>> {
        let now = self.clock.now();
        let place = project_partition(&project.id);
        let (mut expired, mut newer) = (Vec::new(), 0_u64);
        let mut after: Option<String> = None;
        while expired.len() < limit {
            let page = self.store.query(&place, "run#", after.as_deref(), PAGE, now).await?;
            for document in &page.documents {
                let run: Run = parse(document)?.value;
                let Some(finished_at) = run.finished_at.filter(|_| run.status == RunStatus::Finished) else {
                    continue;
                };
                let over = is_expired(&project.settings, newer, finished_at, now);
                if over && expired.len() < limit && self.is_at_rest(run.id).await? {
                    expired.push(run.id);
                }
                newer += 1;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(expired)
    }

    async fn is_at_rest(&self, run: RunId) -> ServiceResult<bool> {
        let jobs = self.jobs(run, self.clock.now()).await?;
        let jobs: Vec<Job> = jobs.into_iter().map(|job| job.value).collect();
        self.at_rest(&jobs).await
    }

    async fn forget_with_blobs(&self, run: RunId) -> ServiceResult<()> {
        for key in self.blobs.list(&format!("runs/{run}/")).await? {
            self.blobs.delete(&key).await?;
        }
        self.forget(run).await
    }

    /// Removes every document of a run that is over. Its blobs are the caller's to remove.
    ///
    /// # Errors
    /// Port errors.
    pub async fn forget(&self, run: RunId) -> ServiceResult<()> {
        let own = run_key(run);
        loop {
            let page = self.store.query(&partition(run), "", None, COMMIT_LARGEST, self.clock.now()).await?;
            let gone = page.documents.into_iter().map(|document| document.key).filter(|key| *key != own);
            let writes: Vec<Write> =
                gone.map(|key| Write { key, condition: Condition::Any, change: Change::Delete }).collect();
            if writes.is_empty() {
                break;
            }
            self.store.commit(writes).await?;
        }
        let Some(stored) = load_run(self.store.as_ref(), run, self.clock.now()).await? else {
            return Ok(());
        };
        let mut commit = Commit::new();
        commit.delete(row_key(&stored.value));
        commit.delete(own);
        Ok(commit.perform(self.store.as_ref()).await?)
    }
}
