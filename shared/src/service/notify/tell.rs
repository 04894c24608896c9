//! From a run that is over to what is to be told of it.

use super::super::report::summary_key;
use super::super::repository::row_key;
use super::super::runs::RunFilter;
use super::super::{ServiceError, ServiceResult, Services};
use crate::domain::id::ProjectId;
use crate::domain::notify::Occasion;
use crate::domain::notify::story::{CASES_LIMIT, CaseLine, JobLine, Story};
use crate::domain::report::{CaseRecord, JobSummary, RunSummary};
use crate::domain::run::{Run, RunStatus};
use crate::domain::statistics::SuiteStats;
use crate::domain::verdict::{Judgement, Verdict};
use crate::ports::PortError;
use std::collections::BTreeMap;

/// Flaky cases of a run that are looked up in the history.
const FLAKY_LIMIT: usize = 500;
/// Runs of a branch looked at for the one before.
const BEFORE: usize = 50;

impl Services {
    /// The verdict of the branch before this run: that of the newest whole run that was asked for earlier, is over and
    /// was not cancelled.
    pub(super) async fn verdict_before(&self, run: &Run) -> ServiceResult<Option<Verdict>> {
        let filter = RunFilter {
            status: Some(RunStatus::Finished),
            branch: run.origin.branch.clone(),
            ..RunFilter::default()
        };
        let place = row_key(run).sort;
        let earlier = self.runs(&run.origin.project, &filter, Some(&place), BEFORE).await?;
        // Without a branch, `RunFilter` lets runs of all branches through.
        let same = earlier.items.into_iter().filter(|other| other.origin.branch == run.origin.branch);
        let judged = same.filter(|other| !other.partial).filter_map(|other| other.judgement);
        Ok(judged.map(|judgement| judgement.verdict).find(|verdict| *verdict != Verdict::Cancelled))
    }

    /// Everything that can be told of a run that is over.
    pub(super) async fn story(&self, run: &Run, wanted: &[Occasion]) -> ServiceResult<Story> {
        let title = match self.project(&run.origin.project).await {
            Ok(project) => project.value.title,
            Err(ServiceError::NotFound(_)) => run.origin.project.0.clone(),
            Err(error) => return Err(error),
        };
        let summary = self.kept_summary(run).await?;
        let jobs = summary.iter().flat_map(|summary| &summary.jobs).map(job_line).collect();
        let judgement = run.judgement.clone().unwrap_or_else(Judgement::passed);
        let counts = run.figures.as_ref().map(|figures| figures.counts).unwrap_or_default();
        let mut story = Story {
            project: run.origin.project.clone(),
            title,
            run: Some(run.id),
            verdict: judgement.verdict,
            cause: judgement.cause.map(|cause| cause.message),
            commit: run.origin.commit.clone(),
            branch: run.origin.branch.clone(),
            pull_request: run.origin.pull_request,
            counts,
            queued_at: run.queued_at,
            finished_at: run.finished_at.unwrap_or(run.queued_at),
            jobs,
            failures: Vec::new(),
            newly_flaky: Vec::new(),
            newly_flaky_count: 0,
        };
        let flaky = wanted.contains(&Occasion::NewFlaky) && counts.flaky > 0;
        if counts.failures() > 0 || flaky {
            self.add_cases(&mut story, run, flaky).await?;
        }
        Ok(story.fitted())
    }

    async fn kept_summary(&self, run: &Run) -> ServiceResult<Option<RunSummary>> {
        match self.blobs.fetch(&summary_key(run.id), None).await {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(PortError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn add_cases(&self, story: &mut Story, run: &Run, flaky: bool) -> ServiceResult<()> {
        let mut names: BTreeMap<u32, String> = BTreeMap::new();
        for job in self.jobs(run.id, self.clock.now()).await? {
            names.insert(job.value.no.0, job.value.spec.name);
        }
        let (mut failures, mut candidates) = (Vec::new(), Vec::new());
        let visited = self.visit_cases(run.id, |record| {
            let job = names.get(&record.job.0).map_or("", String::as_str);
            if record.outcome().is_failure() && failures.len() < CASES_LIMIT {
                failures.extend(CaseLine::of(job, record));
            }
            if flaky && record.flaky().is_some() && candidates.len() < FLAKY_LIMIT {
                candidates.push((job.to_owned(), record.clone()));
            }
        });
        match visited.await {
            Ok(_) => {}
            // Retention was faster: what is left is told without cases.
            Err(ServiceError::NotFound(_) | ServiceError::Port(PortError::NotFound { .. })) => return Ok(()),
            Err(error) => return Err(error),
        }
        story.failures = failures;
        let new = self.newly_flaky(&run.origin.project, candidates).await?;
        story.newly_flaky_count = u64::try_from(new.len()).unwrap_or(u64::MAX);
        story.newly_flaky = new;
        Ok(())
    }

    /// Those of a run's flaky cases that the history knows as flaky in this run only.
    async fn newly_flaky(
        &self,
        project: &ProjectId,
        candidates: Vec<(String, CaseRecord)>,
    ) -> ServiceResult<Vec<CaseLine>> {
        let mut histories: BTreeMap<String, SuiteStats> = BTreeMap::new();
        let mut new = Vec::new();
        for (job, record) in candidates {
            if !histories.contains_key(&job) {
                histories.insert(job.clone(), self.suite_history(project, &job).await?);
            }
            let (Some(history), Some(last)) = (histories.get(&job), record.last()) else { continue };
            let detail = self.unit_detail(project, &job, history, &record.unit).await?;
            let times = detail.cases.get(&last.case).map_or(0, |case| case.flaky_bits.count_ones());
            if times <= 1 {
                new.extend(CaseLine::of(&job, &record));
            }
        }
        Ok(new)
    }
}

fn job_line(job: &JobSummary) -> JobLine {
    JobLine {
        name: job.name.clone(),
        verdict: job.judgement.verdict,
        cause: job.judgement.cause.as_ref().map(|cause| cause.message.clone()),
        counts: job.counts,
    }
}
