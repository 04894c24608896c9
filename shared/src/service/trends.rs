//! How a project does over days, from the rows of its runs.

use super::runs::RunFilter;
use super::{ServiceResult, Services};
use crate::domain::id::ProjectId;
use crate::domain::trend::{Day, Trend};

/// Runs looked at, at most: the newest.
const RUNS_LIMIT: usize = 20_000;
const PAGE: usize = 200;

/// Days of a project.
#[derive(Debug, Clone)]
pub struct Trends {
    /// Oldest first.
    pub days: Vec<Day>,
    /// Whether every run of these days was looked at.
    pub complete: bool,
}

impl Services {
    /// The last `days` days of a project.
    ///
    /// # Errors
    /// Port errors.
    pub async fn trends(&self, project: &ProjectId, days: u32) -> ServiceResult<Trends> {
        let mut trend = Trend::new(days, self.clock.now());
        let mut after: Option<String> = None;
        for _ in 0..RUNS_LIMIT / PAGE {
            let page = self.runs(project, &RunFilter::default(), after.as_deref(), PAGE).await?;
            let early = page.items.last().is_some_and(|run| run.queued_at < trend.since());
            page.items.iter().for_each(|run| trend.take(run));
            after = page.next;
            if early || after.is_none() {
                return Ok(Trends { days: trend.days(), complete: true });
            }
        }
        Ok(Trends { days: trend.days(), complete: false })
    }
}
