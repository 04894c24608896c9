//! From what was asked to jobs and wanted shards, and from a manifest to an ordered queue.

use super::repository::{Commit, Stored, job_key, load_run_and_jobs, load_shards, shard_key};
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
use crate::ports::{COMMIT_LARGEST, COMMIT_LIMIT, Condition, PortResult, Topic};
use std::collections::BTreeSet;

/// Jobs written by one commit, beside the run.
const JOBS_PER_COMMIT: usize = COMMIT_LARGEST - 2;
/// A pass that leaves shards to the next one leaves it this long.
const NEXT_PASS_MS: u64 = 1_000;

/// Jobs that are made with their shards, so that one commit has room for all however long they are.
const FEW_JOBS: usize = 10;

/// What became of planning a run.
enum Planned {
    /// It cannot be planned yet.
    Later,
    /// This pass did it: these are the jobs, and whether some of them have their shards already.
    By(Vec<Stored<Job>>, bool),
    /// Somebody else has changed the run.
    Elsewhere,
}

/// What became of giving a job its shards.
enum Opened {
    /// This pass did it.
    Here,
    /// They are many; a later pass goes on.
    Later,
    /// Somebody else has changed the job.
    Elsewhere,
}

/// What the last of several commits takes, and what goes before.
fn split_last<T>(all: &[T], most: usize) -> (&[T], &[T]) {
    let before = all.len().saturating_sub(1) / most * most;
    let (parts, last) = all.split_at(before);
    (last, parts)
}

fn creation_of(jobs: &[Job]) -> PortResult<Commit> {
    let mut commit = Commit::new();
    for job in jobs {
        commit.create(job_key(job.run, job.no), job)?;
    }
    Ok(commit)
}

fn create_shards(commit: &mut Commit, shards: &[Shard]) -> PortResult<()> {
    for shard in shards {
        commit.create(shard_key(shard.id.run, shard.id.job, shard.id.shard), shard)?;
    }
    Ok(())
}

impl Services {
    /// Plans a queued run, and opens the gates of jobs whose needs are met.
    ///
    /// # Errors
    /// Port errors; the next pass goes on where this one stopped.
    pub async fn plan(&self, id: RunId) -> ServiceResult<()> {
        let now = self.clock.now();
        let Some((run, jobs)) = load_run_and_jobs(self.store.as_ref(), id, now).await? else {
            return Ok(());
        };
        let partial = run.value.partial;
        let (mut opened, mut later) = (false, false);
        let jobs = match run.value.status {
            RunStatus::Finished => return Ok(()),
            RunStatus::Queued if run.value.origin.parked && run.value.cancel.is_none() => return Ok(()),
            RunStatus::Queued => {
                self.supersede(&run.value).await?;
                match self.plan_jobs(run).await? {
                    Planned::Later => return Ok(()),
                    Planned::By(jobs, some) => {
                        opened = some;
                        jobs
                    }
                    Planned::Elsewhere => self.jobs(id, now).await?,
                }
            }
            RunStatus::Running => jobs,
        };
        let all: Vec<Job> = jobs.iter().map(|job| job.value.clone()).collect();
        for job in jobs {
            if job.value.status == JobStatus::Waiting && gate(&job.value, &all, partial) == Gate::Open {
                match self.open_job(id, job).await? {
                    Opened::Here => opened = true,
                    Opened::Later => later = true,
                    Opened::Elsewhere => {}
                }
            }
        }
        if opened {
            self.wake(Topic::Launch, id, 0).await;
        } else if later {
            // A wake of its own is on its way.
        } else if all.is_empty() || all.iter().any(|job| job.status == JobStatus::Waiting) {
            self.wake(Topic::Aggregate, id, 0).await;
        }
        Ok(())
    }

    /// Creates the jobs, and with them the run's plan.
    async fn plan_jobs(&self, run: Stored<Run>) -> ServiceResult<Planned> {
        let outlook = self.outlook(&run.value).await?;
        let mut next = run.value;
        let jobs = match outlook {
            Outlook::Later => return Ok(Planned::Later),
            Outlook::Never(cause) => {
                next.cancel = next.cancel.or(Some(cause));
                Vec::new()
            }
            Outlook::Ready(spec) => self.plan_spec(&mut next, &spec),
        };
        next.status = RunStatus::Running;
        // The last part goes with the run: a run that says how many jobs it has always has them.
        let (last, parts) = split_last(&jobs, JOBS_PER_COMMIT);
        for part in parts.chunks(JOBS_PER_COMMIT) {
            creation_of(part)?.attempt(self.store.as_ref()).await?;
        }
        let run_of = |mut commit: Commit| {
            commit.put_run(Condition::Version(run.version), &next, Some(open_entry(&next)))?;
            PortResult::Ok(commit)
        };
        // Those that need not wait have their shards at once, if they are few.
        let (open, shards) = self.opened(&next, &jobs).await?;
        let (made, _) = split_last(&open, JOBS_PER_COMMIT);
        let mut commit = creation_of(made)?;
        create_shards(&mut commit, &shards)?;
        if run_of(commit)?.attempt(self.store.as_ref()).await? {
            let made = open.into_iter().map(|value| Stored { value, version: 1 }).collect();
            return Ok(Planned::By(made, !shards.is_empty()));
        }
        // Someone else planned it, to the same jobs; or some of them were left by a pass that did not get to the end.
        for job in last {
            creation_of(std::slice::from_ref(job))?.attempt(self.store.as_ref()).await?;
        }
        run_of(Commit::new())?.attempt(self.store.as_ref()).await?;
        Ok(Planned::Elsewhere)
    }

    /// The jobs of a spec, and what the run learns from it.
    fn plan_spec(&self, next: &mut Run, spec: &RunSpec) -> Vec<Job> {
        next.origin.learn(spec);
        // A run that was parked was given its time again when it was approved.
        next.deadline = next.deadline.max(self.run_deadline(next.queued_at, spec, &next.origin));
        match jobs(spec) {
            Ok(jobs) if jobs.is_empty() => {
                let cause = Cause::new(CauseCode::NoTests, "no suite of the run has any of the chosen cases");
                next.cancel.get_or_insert(cause);
                Vec::new()
            }
            Ok(jobs) => {
                next.jobs = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
                (1..).zip(jobs).map(|(no, spec)| Job::waiting(next.id, JobNo(no), spec)).collect()
            }
            Err(error) => {
                let cause = Cause::new(CauseCode::SetupFailed, error.to_string());
                next.cancel.get_or_insert(cause);
                Vec::new()
            }
        }
    }

    /// Jobs of a run that is about to be planned, those that need not wait with their shards as far as one commit takes them.
    async fn opened(&self, run: &Run, jobs: &[Job]) -> ServiceResult<(Vec<Job>, Vec<Shard>)> {
        let (mut open, mut shards) = (jobs.to_vec(), Vec::new());
        for job in
            open.iter_mut().filter(|job| jobs.len() <= FEW_JOBS && gate(job, jobs, run.partial) == Gate::Open)
        {
            let (next, wanted) = self.with_shards(job.clone()).await?;
            // Beside the jobs, the run and its row in the list of its project.
            let many = shards.len() + wanted.len();
            if many <= self.settings.stride.shards_per_commit && jobs.len() + many + 2 <= COMMIT_LIMIT {
                *job = next;
                shards.extend(wanted);
            }
        }
        Ok((open, shards))
    }

    /// A job as it runs, and the shards that it wants.
    async fn with_shards(&self, mut job: Job) -> ServiceResult<(Job, Vec<Shard>)> {
        let now = self.clock.now();
        job.shards = match job.spec.suite.shards {
            Shards::Fixed(count) => count.max(1),
            Shards::Auto => self.auto_shards(job.run, &job.spec).await?,
        };
        job.status = JobStatus::Running;
        let wanted = (1..=job.shards).map(|shard| Shard::wanted(job.run, job.no, shard, now)).collect();
        Ok((job, wanted))
    }

    /// Gives a job its shards.
    async fn open_job(&self, run: RunId, job: Stored<Job>) -> ServiceResult<Opened> {
        let (now, stride) = (self.clock.now(), &self.settings.stride);
        let (next, wanted) = self.with_shards(job.value).await?;
        // A job that was closed in between gets no shards any more.
        let key = job_key(run, next.no);
        let shards_of = |part: &[Shard]| {
            let mut commit = Commit::new();
            commit.check(key.clone(), job.version);
            create_shards(&mut commit, part)?;
            PortResult::Ok(commit)
        };
        // The last part goes with the job: a job that runs always has its shards.
        let (last, parts) = split_last(&wanted, stride.shards_per_commit);
        // What earlier passes have made is passed over.
        let there: BTreeSet<u32> = match parts {
            [] => BTreeSet::new(),
            _ => load_shards(self.store.as_ref(), run, next.no, now)
                .await?
                .iter()
                .map(|shard| shard.value.id.shard)
                .collect(),
        };
        let missing: Vec<Shard> =
            parts.iter().filter(|shard| !there.contains(&shard.id.shard)).cloned().collect();
        for (number, part) in missing.chunks(stride.shards_per_commit).enumerate() {
            if number == stride.commits_per_pass {
                self.wake(Topic::Plan, run, NEXT_PASS_MS).await;
                return Ok(Opened::Later);
            }
            shards_of(part)?.attempt(self.store.as_ref()).await?;
        }
        let mut commit = Commit::new();
        commit.replace(key.clone(), job.version, &next)?;
        create_shards(&mut commit, last)?;
        if commit.attempt(self.store.as_ref()).await? {
            return Ok(Opened::Here);
        }
        // Some of them may have been left by a pass that did not get to the end, and wanted another number.
        for shard in last {
            shards_of(std::slice::from_ref(shard))?.attempt(self.store.as_ref()).await?;
        }
        let mut commit = Commit::new();
        commit.replace(key.clone(), job.version, &next)?;
        let here = commit.attempt(self.store.as_ref()).await?;
        Ok(if here { Opened::Here } else { Opened::Elsewhere })
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
