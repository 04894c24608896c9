//! From what was asked to jobs and wanted shards, and from a manifest to an ordered queue.

use super::repository::{Commit, Stored, job_key, load_run, shard_key};
use super::resolve::Outlook;
use super::submit::{load_spec, open_entry};
use super::{ServiceResult, Services};
use crate::domain::config::jobs;
use crate::domain::id::{JobNo, RunId};
use crate::domain::run::{Gate, Job, JobStatus, Run, RunStatus, gate};
use crate::domain::shard::Shard;
use crate::domain::spec::{ChosenUnit, JobSpec, RunSpec, Shards};
use crate::domain::split::{SplitInput, entries, shards_auto, units_to_detail};
use crate::domain::unit::{DiscoveredUnit, Entry};
use crate::domain::verdict::{Cause, CauseCode};
use crate::ports::{Condition, PortError, Topic};

/// Jobs written by one commit; larger plans take several passes, which is harmless.
const JOBS_PER_COMMIT: usize = 20;

impl Services {
    /// Plans a queued run, and opens the gates of jobs whose needs are met.
    ///
    /// # Errors
    /// Port errors; the next pass goes on where this one stopped.
    pub async fn plan(&self, id: RunId) -> ServiceResult<()> {
        let now = self.clock.now();
        let Some(run) = load_run(self.store.as_ref(), id, now).await? else {
            return Ok(());
        };
        let partial = run.value.partial;
        match run.value.status {
            RunStatus::Finished => return Ok(()),
            RunStatus::Queued if run.value.origin.parked && run.value.cancel.is_none() => return Ok(()),
            RunStatus::Queued => {
                self.supersede(&run.value).await?;
                if !self.plan_jobs(run).await? {
                    return Ok(());
                }
            }
            RunStatus::Running => {}
        }
        let jobs = self.jobs(id, now).await?;
        let all: Vec<Job> = jobs.iter().map(|job| job.value.clone()).collect();
        let mut opened = false;
        for job in jobs {
            if job.value.status == JobStatus::Waiting && gate(&job.value, &all, partial) == Gate::Open {
                opened |= self.open_job(id, job).await?;
            }
        }
        if opened {
            self.wake(Topic::Launch, id, 0).await;
        } else if all.is_empty() || all.iter().any(|job| job.status == JobStatus::Waiting) {
            self.wake(Topic::Aggregate, id, 0).await;
        }
        Ok(())
    }

    /// Creates the jobs. Returns whether the run is planned now.
    async fn plan_jobs(&self, run: Stored<Run>) -> ServiceResult<bool> {
        let outlook = self.outlook(&run.value).await?;
        let mut next = run.value;
        match outlook {
            Outlook::Later => return Ok(false),
            Outlook::Never(cause) => next.cancel = next.cancel.or(Some(cause)),
            Outlook::Ready(spec) => self.plan_spec(&mut next, &spec).await?,
        }
        next.status = RunStatus::Running;
        let mut commit = Commit::new();
        commit.put_run(Condition::Version(run.version), &next, Some(open_entry(&next)))?;
        match commit.perform(self.store.as_ref()).await {
            // Someone else planned it, to the same jobs.
            Ok(()) | Err(PortError::Conflict { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    async fn plan_spec(&self, next: &mut Run, spec: &RunSpec) -> ServiceResult<()> {
        let id = next.id;
        next.origin.learn(spec);
        // A run that was parked was given its time again when it was approved.
        next.deadline = next.deadline.max(self.run_deadline(next.queued_at, spec));
        match jobs(spec) {
            Ok(jobs) if jobs.is_empty() => {
                let cause = Cause::new(CauseCode::NoTests, "no suite of the run has any of the chosen cases");
                next.cancel.get_or_insert(cause);
            }
            Ok(jobs) => {
                next.jobs = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
                self.create_jobs(id, jobs).await?;
            }
            Err(error) => {
                let cause = Cause::new(CauseCode::SetupFailed, error.to_string());
                next.cancel.get_or_insert(cause);
            }
        }
        Ok(())
    }

    async fn create_jobs(&self, run: RunId, jobs: Vec<JobSpec>) -> ServiceResult<()> {
        let numbered: Vec<(u32, JobSpec)> = (1..).zip(jobs).collect();
        for part in numbered.chunks(JOBS_PER_COMMIT) {
            let mut commit = Commit::new();
            for (no, spec) in part {
                let job = Job {
                    run,
                    no: JobNo(*no),
                    spec: spec.clone(),
                    status: JobStatus::Waiting,
                    shards: 0,
                    started_at: None,
                    deadline: None,
                    finished_at: None,
                    manifest: None,
                    broken: None,
                    judgement: None,
                };
                commit.create(job_key(run, job.no), &job)?;
            }
            match commit.perform(self.store.as_ref()).await {
                // Written by an earlier pass that did not get to the end.
                Ok(()) | Err(PortError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Gives a job its shards. Returns whether this call did it.
    async fn open_job(&self, run: RunId, job: Stored<Job>) -> ServiceResult<bool> {
        let now = self.clock.now();
        let mut next = job.value;
        let shards = match next.spec.suite.shards {
            Shards::Fixed(count) => count.max(1),
            Shards::Auto => self.auto_shards(run, &next.spec).await?,
        };
        next.status = JobStatus::Running;
        next.shards = shards;
        // Shards first: a job that runs always has them, and creating them twice is refused by the store.
        for shard in 1..=shards {
            let mut commit = Commit::new();
            // A job that was closed in between gets no shards any more.
            commit.check(job_key(run, next.no), job.version);
            commit.create(shard_key(run, next.no, shard), &Shard::wanted(run, next.no, shard, now))?;
            match commit.perform(self.store.as_ref()).await {
                Ok(()) | Err(PortError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut commit = Commit::new();
        commit.replace(job_key(run, next.no), job.version, &next)?;
        match commit.perform(self.store.as_ref()).await {
            Ok(()) => Ok(true),
            Err(PortError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn auto_shards(&self, run: RunId, job: &JobSpec) -> ServiceResult<u32> {
        if self.settings.max_shards <= 1 {
            return Ok(1);
        }
        let spec = load_spec(self, run).await?;
        let history = self.suite_history(&spec.project, &job.name).await?;
        let total_us: u64 = history.units.values().map(crate::domain::statistics::UnitStats::total_us).sum();
        let setup_ms = history.head.setup_ms.unwrap_or(0);
        let slots = job.suite.slots.unwrap_or(1);
        Ok(shards_auto(total_us / 1000, setup_ms, job.suite.target_time_ms, slots, self.settings.max_shards))
    }

    /// The ordered queue of a manifest, from history.
    pub(crate) async fn plan_entries(
        &self,
        spec: &RunSpec,
        job: &JobSpec,
        units: &[DiscoveredUnit],
        slots: u32,
    ) -> ServiceResult<Vec<Entry>> {
        let history = self.suite_history(&spec.project, &job.name).await?;
        let wanted = units_to_detail(units, &history, slots);
        let details = self.case_history(&spec.project, &job.name, &history, &wanted).await?;
        let chosen: Vec<ChosenUnit> =
            spec.chosen.iter().filter(|unit| unit.job == job.name).cloned().collect();
        if !spec.chosen.is_empty() && chosen.is_empty() {
            return Ok(Vec::new());
        }
        Ok(entries(&SplitInput { units, history: &history, details: &details, slots, chosen: &chosen }))
    }
}
