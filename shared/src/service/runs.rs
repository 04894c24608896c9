//! Runs as people look for them: by project, newest first.

use super::audit::Listed;
use super::repository::{Stored, load_run, parse, project_partition, run_key};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::id::{ProjectId, RunId};
use crate::domain::run::{Run, RunStatus};
use crate::domain::verdict::Verdict;
use crate::ports::{Document, Key};

/// Rows looked at by one request at most; a rarer match is found by going on.
const SCAN_LIMIT: usize = 2_000;
const SCAN_PAGE: usize = 200;

/// Which runs are wanted; `None` = any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Life-cycle place.
    pub status: Option<RunStatus>,
    /// Verdict.
    pub verdict: Option<Verdict>,
    /// Branch.
    pub branch: Option<String>,
    /// Commit, or its beginning.
    pub commit: Option<String>,
}

impl RunFilter {
    fn keeps(&self, run: &Run) -> bool {
        let fits = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        let commit = self.commit.as_deref().is_none_or(|wanted| {
            run.origin.commit.as_deref().is_some_and(|commit| commit.starts_with(wanted))
        });
        let verdict = run.judgement.as_ref().map(|judgement| judgement.verdict);
        self.status.is_none_or(|status| run.status == status)
            && (self.verdict.is_none() || verdict == self.verdict)
            && fits(&self.branch, &run.origin.branch)
            && commit
    }
}

/// A run as it is stored, by itself or in the list of its project; not read yet.
#[derive(Debug, Clone)]
pub struct RunDocument(Document);

impl RunDocument {
    /// Where it stands, and its version there: together they name one text, for ever.
    #[must_use]
    pub fn place(&self) -> (&Key, u64) {
        (&self.0.key, self.0.version)
    }

    /// The run.
    ///
    /// # Errors
    /// `Corrupt` if it cannot be read.
    pub fn run(&self) -> ServiceResult<Run> {
        Ok(parse(&self.0)?.value)
    }
}

impl Services {
    /// A run with its version.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn run(&self, id: RunId) -> ServiceResult<Stored<Run>> {
        load_run(self.store.as_ref(), id, self.clock.now())
            .await?
            .ok_or_else(|| ServiceError::NotFound(id.to_string()))
    }

    /// A run, not read yet.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn run_document(&self, id: RunId) -> ServiceResult<RunDocument> {
        let found = self.store.load(&run_key(id), self.clock.now()).await?;
        found.map(RunDocument).ok_or_else(|| ServiceError::NotFound(id.to_string()))
    }

    /// All runs of a project as rows, newest first.
    ///
    /// # Errors
    /// Port errors.
    pub async fn run_rows(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<RunDocument>> {
        let (partition, now) = (project_partition(project), self.clock.now());
        let page = self.store.query(&partition, "run#", after, limit, now).await?;
        Ok(Listed { items: page.documents.into_iter().map(RunDocument).collect(), next: page.next })
    }

    /// Runs of a project, newest first. A page may be short, even empty, and still have a next one.
    ///
    /// # Errors
    /// Port errors.
    pub async fn runs(
        &self,
        project: &ProjectId,
        filter: &RunFilter,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<Run>> {
        let now = self.clock.now();
        let partition = project_partition(project);
        let page_size = if *filter == RunFilter::default() { limit } else { SCAN_PAGE };
        let mut items: Vec<Run> = Vec::new();
        let mut place = after.map(str::to_owned);
        for _ in 0..SCAN_LIMIT.div_ceil(page_size.max(1)) {
            let page = self.store.query(&partition, "run#", place.as_deref(), page_size, now).await?;
            for document in &page.documents {
                place = Some(document.key.sort.clone());
                let run: Run = parse(document)?.value;
                if filter.keeps(&run) {
                    items.push(run);
                }
                if items.len() == limit {
                    let more = page.next.is_some()
                        || page.documents.last().map(|last| &last.key.sort) != place.as_ref();
                    return Ok(Listed { items, next: place.filter(|_| more) });
                }
            }
            if page.next.is_none() {
                return Ok(Listed { items, next: None });
            }
        }
        Ok(Listed { items, next: place })
    }
}
