//! Closing: jobs are proved and judged, then the run is reported and judged.
//!
//! Every step is decided from what is stored, so it may be repeated by anybody at any time. A job's verdict is
//! written once, with the version it was decided on; so is the run's.

use super::repository::{Commit, Stored, job_key, load_queue, load_run, load_shards, queue_key, shard_key};
use super::submit::open_entry;
use super::{ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::proof::Ledger;
use crate::domain::queue::{Queue, Stopped};
use crate::domain::run::{Gate, Job, JobStatus, JobStep, Run, RunStatus, decide, gate, judge, stop_cause};
use crate::domain::shard::{Shard, ShardStatus};
use crate::domain::verdict::{Cause, CauseCode, Judgement};
use crate::ports::{Condition, Notice, PortError, Topic};

/// How long a runner may take to end after its job is over (session tear-down, last logs), in milliseconds.
const RETIRE_MS: u64 = 30_000;
/// The same where the runner has files to send.
const KEEPING_MS: u64 = 15 * 60_000;

impl Services {
    /// Moves every job of the run as far as it can go, and closes the run when all are over.
    ///
    /// # Errors
    /// Port errors; the next pass goes on.
    pub async fn aggregate(&self, id: RunId) -> ServiceResult<()> {
        let now = self.clock.now();
        let Some(run) = load_run(self.store.as_ref(), id, now).await? else {
            return Ok(());
        };
        if run.value.status != RunStatus::Running {
            return Ok(());
        }
        let jobs = self.jobs(id, now).await?;
        let all: Vec<Job> = jobs.iter().map(|job| job.value.clone()).collect();
        for job in jobs {
            match job.value.status {
                JobStatus::Waiting => self.waiting(&run.value, job, &all).await?,
                JobStatus::Running => self.running(&run.value, job).await?,
                JobStatus::Finished => self.retire(&job.value).await?,
            }
        }
        self.close_run(id).await
    }

    async fn waiting(&self, run: &Run, job: Stored<Job>, all: &[Job]) -> ServiceResult<()> {
        let cause = match gate(&job.value, all, run.partial) {
            Gate::Barred(needed) => Cause::new(
                CauseCode::NeedNotMet,
                format!(
                    "`{}` was not run because `{needed}`, which it needs, did not pass",
                    job.value.spec.name
                ),
            ),
            Gate::Open | Gate::Closed => match &run.cancel {
                Some(cause) => cause.clone(),
                None if run.deadline < self.clock.now() => {
                    stop_cause(Stopped::Deadline, run, &job.value, &[])
                }
                None => return Ok(()),
            },
        };
        self.close_job(job, Judgement::because(cause)).await
    }

    async fn running(&self, run: &Run, job: Stored<Job>) -> ServiceResult<()> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let (id, no) = (run.id, job.value.no);
        let queue = load_queue(store, id, no, now).await?;
        let stored = load_shards(store, id, no, now).await?;
        let shards: Vec<Shard> = stored.iter().map(|shard| shard.value.clone()).collect();
        match decide(run, &job.value, queue.as_ref().map(|queue| &queue.value), &shards, now) {
            JobStep::Wait => {
                let stopped = queue.is_some_and(|queue| queue.value.stopped.is_some());
                if stopped { self.stop_runners(&shards).await } else { Ok(()) }
            }
            JobStep::Stop(why) => {
                let Some(queue) = queue else { return Ok(()) };
                let mut commit = Commit::new();
                commit.replace(queue_key(id, no), queue.version, &queue.value.stop(why))?;
                match commit.perform(store).await {
                    Ok(()) | Err(PortError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
                self.stop_runners(&shards).await?;
                // Decided anew at once: the queue may be settled already.
                self.wake(Topic::Aggregate, id, 0).await;
                Ok(())
            }
            JobStep::Close(cause) => self.close_job(job, Judgement::because(cause)).await,
            JobStep::Prove => {
                let Some(queue) = queue else { return Ok(()) };
                let judgement = self.prove(run, &job.value, &queue.value, &shards).await?;
                self.close_job(job, judgement).await
            }
        }
    }

    async fn prove(&self, run: &Run, job: &Job, queue: &Queue, shards: &[Shard]) -> ServiceResult<Judgement> {
        let ledger = self.ledger(run.id, job.no, queue.len).await?;
        Ok(judge_job(run, job, queue, shards, &ledger))
    }

    /// Writes a job's verdict, once, and what it stood for: its report and its history.
    async fn close_job(&self, job: Stored<Job>, judgement: Judgement) -> ServiceResult<()> {
        let now = self.clock.now();
        let (run, no) = (job.value.run, job.value.no);
        let mut next = job.value;
        next.status = JobStatus::Finished;
        next.finished_at = Some(now);
        next.judgement = Some(judgement.fitted());
        let mut commit = Commit::new();
        commit.replace(job_key(run, no), job.version, &next)?;
        match commit.perform(self.store.as_ref()).await {
            Ok(()) => {}
            Err(PortError::Conflict { .. }) => {
                self.wake(Topic::Aggregate, run, 0).await;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        self.retire(&next).await?;
        self.wake(Topic::Plan, run, 0).await;
        Ok(())
    }

    /// No compute outlives its job: what is still wanted is not wanted any more, what has not come forward is
    /// stopped, and what runs may end in order, for a while.
    async fn retire(&self, job: &Job) -> ServiceResult<()> {
        let now = self.clock.now();
        let keeps_files = !job.spec.suite.artifacts.is_empty();
        let patience =
            job.finished_at.unwrap_or(now).plus_ms(if keeps_files { KEEPING_MS } else { RETIRE_MS });
        for shard in load_shards(self.store.as_ref(), job.run, job.no, now).await? {
            if now < patience && matches!(shard.value.status, ShardStatus::Running | ShardStatus::Finished) {
                continue;
            }
            if shard.value.over() {
                self.stop_leftovers(shard).await?;
                continue;
            }
            let next = shard.value.finished().stopping(&shard.value, now);
            let mut commit = Commit::new();
            commit.replace(shard_key(job.run, job.no, next.id.shard), shard.version, &next)?;
            match commit.perform(self.store.as_ref()).await {
                Ok(()) => {
                    self.stop_leftovers(Stored { value: next, version: shard.version + 1 }).await?;
                }
                Err(PortError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn stop_runners(&self, shards: &[Shard]) -> ServiceResult<()> {
        for shard in shards.iter().filter(|shard| shard.live()) {
            // A runner that cannot be told hears it with its next heartbeat.
            drop(self.launcher.stop(&shard.id).await);
        }
        Ok(())
    }

    /// Closes the run when every job is over: reports and history first, the verdict last.
    async fn close_run(&self, id: RunId) -> ServiceResult<()> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let Some(run) = load_run(store, id, now).await? else {
            return Ok(());
        };
        let jobs: Vec<Job> = self.jobs(id, now).await?.into_iter().map(|job| job.value).collect();
        let planned = jobs.len() == run.value.jobs as usize;
        let over = jobs.iter().all(|job| job.status == JobStatus::Finished);
        if run.value.status != RunStatus::Running || !planned || !over {
            return Ok(());
        }
        let mut next = run.value.clone();
        next.status = RunStatus::Finished;
        // From the jobs, not from the clock: whoever writes the reports of this run writes the same.
        next.finished_at =
            Some(jobs.iter().filter_map(|job| job.finished_at).max().unwrap_or(next.queued_at));
        next.judgement = Some(match &next.cancel {
            Some(cause) if jobs.is_empty() => Judgement::because(cause.clone()),
            _ => judge(&jobs, next.partial),
        });
        next.figures = Some(self.write_reports(&next, &jobs).await?);
        let mut commit = Commit::new();
        // The sweep goes on looking at it until no compute of it is left.
        let index = if self.at_rest(&jobs).await? { None } else { Some(open_entry(&next)) };
        commit.put_run(Condition::Version(run.version), &next, index)?;
        self.remember_to_tell(&mut commit, &next).await?;
        match commit.perform(store).await {
            Ok(()) => {}
            // A cancel came in between, or someone else closed it: the next pass sees which.
            Err(PortError::Conflict { .. }) => {
                self.wake(Topic::Aggregate, id, 0).await;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        self.notice(id, Notice::Finished);
        Ok(())
    }

    /// Looks after what is left running of a finished run, and takes it out of the index when that is nothing.
    pub(crate) async fn rest(&self, id: RunId) -> ServiceResult<()> {
        let now = self.clock.now();
        let Some(run) = load_run(self.store.as_ref(), id, now).await? else {
            return Ok(());
        };
        if run.value.status != RunStatus::Finished {
            return Ok(());
        }
        let jobs: Vec<Job> = self.jobs(id, now).await?.into_iter().map(|job| job.value).collect();
        for job in &jobs {
            self.retire(job).await?;
        }
        if !self.at_rest(&jobs).await? {
            return Ok(());
        }
        let mut commit = Commit::new();
        commit.put_run(Condition::Version(run.version), &run.value, None)?;
        match commit.perform(self.store.as_ref()).await {
            Ok(()) | Err(PortError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn at_rest(&self, jobs: &[Job]) -> ServiceResult<bool> {
        let now = self.clock.now();
        for job in jobs {
            let shards = load_shards(self.store.as_ref(), job.run, job.no, now).await?;
            if !shards.iter().all(|shard| shard.value.at_rest()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Everything that was accepted for a job, added up again.
    pub(crate) async fn ledger(
        &self,
        run: RunId,
        job: crate::domain::id::JobNo,
        len: u32,
    ) -> ServiceResult<Ledger> {
        let now = self.clock.now();
        let mut ledger = Ledger::new(len);
        for lease in super::repository::load_leases(self.store.as_ref(), run, job, now).await? {
            for part in 0..lease.value.next_part {
                for event in self.load_chunk(&lease.value, part).await? {
                    ledger.event(&lease.value, &event);
                }
            }
            ledger.lease(&self.with_verdicts(lease.value).await?);
        }
        Ok(ledger)
    }
}

/// The verdict of a job whose queue is settled.
#[must_use]
pub fn judge_job(run: &Run, job: &Job, queue: &Queue, shards: &[Shard], ledger: &Ledger) -> Judgement {
    let failures = queue.counts.failures();
    let failed = || {
        Judgement::because(Cause::new(
            CauseCode::TestsFailed,
            format!("{failures} of {} cases failed", queue.counts.planned),
        ))
    };
    match queue.stopped {
        Some(Stopped::FailFast) => return failed(),
        // A case that failed after the stop was given no other attempt: that is no judgement on it.
        Some(why) if !queue.drained() || failures > 0 => {
            return Judgement::because(stop_cause(why, run, job, shards));
        }
        _ => {}
    }
    // A failed tear-down says nothing about the tests, all of which have their results.
    let (regret, broken): (Vec<_>, Vec<_>) =
        job.broken.iter().partition(|cause| cause.code == CauseCode::TeardownFailed);
    if let Some(cause) = broken.first() {
        return Judgement::because((*cause).clone());
    }
    let contradictions = ledger.contradictions(queue);
    if !contradictions.is_empty() {
        let mut cause =
            Cause::new(CauseCode::Incomplete, "the results do not prove that every test ran exactly once");
        cause.detail = contradictions.join("\n");
        return Judgement::because(cause);
    }
    let ran = queue.counts.planned - queue.counts.skipped;
    if failures > 0 {
        failed()
    } else if let Some(cause) = regret.first() {
        Judgement::because((*cause).clone())
    } else if ran == 0 {
        Judgement::because(Cause::new(CauseCode::NoTests, no_tests(queue)))
    } else {
        Judgement::passed()
    }
}

fn no_tests(queue: &Queue) -> String {
    match (queue.counts.skipped, queue.deselected) {
        (0, 0) => {
            "no tests were found (check `paths`, `--filter`, and the framework's own patterns)".to_owned()
        }
        (0, left_out) => {
            format!("no test was run: {left_out} were left out by the project's configuration or --filter")
        }
        (skipped, _) => format!("no test was run: all {skipped} were skipped"),
    }
}
