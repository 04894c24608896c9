//! Closing: jobs are proved and judged, then the run is reported and judged.
//!
//! Every step is decided from what is stored, so it may be repeated by anybody at any time. A job's verdict is
//! written once, with the version it was decided on; so is the run's.

use super::chunks::is_result;
use super::facts::JobFacts;
use super::kept::KeptBlobs;
use super::repository::{Commit, Stored, job_key, load_run_and_jobs, load_shards, queue_key, shard_key};
use super::submit::open_entry;
use super::{ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::proof::Ledger;
use crate::domain::queue::lease::Lease;
use crate::domain::queue::{Queue, Stopped};
use crate::domain::run::{Gate, Job, JobStatus, JobStep, Run, RunStatus, decide, gate, judge, stop_cause};
use crate::domain::shard::{Shard, ShardStatus};
use crate::domain::verdict::{Cause, CauseCode, Judgement};
use crate::ports::{Condition, Notice, PortError, Topic};
use std::sync::Arc;

/// How long a runner may take to end after its job is over (session tear-down, last logs), in milliseconds.
const RETIRE_MS: u64 = 30_000;
/// The same where the runner has files to send.
const KEEPING_MS: u64 = 15 * 60_000;

/// Half of what is kept of the results between the proof of a job and the reports, in bytes.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// A job as a pass has left it.
struct Seen {
    job: Job,
    /// What is known of it beside.
    facts: Option<JobFacts>,
    /// Whether no compute of it can be left.
    at_rest: bool,
}

impl Seen {
    fn of(job: Job) -> Self {
        Self { job, facts: None, at_rest: false }
    }
}

impl Services {
    /// Moves every job of the run as far as it can go, and closes the run when all are over.
    ///
    /// # Errors
    /// Port errors; the next pass goes on.
    pub async fn aggregate(&self, id: RunId) -> ServiceResult<()> {
        let now = self.clock.now();
        let Some((run, jobs)) = load_run_and_jobs(self.store.as_ref(), id, now).await? else {
            return Ok(());
        };
        if run.value.status != RunStatus::Running {
            return Ok(());
        }
        let all: Vec<Job> = jobs.iter().map(|job| job.value.clone()).collect();
        // What a job is proved by goes into the reports again.
        let blobs = Arc::new(KeptBlobs::of(Arc::clone(&self.blobs), KEPT_BYTES, is_result));
        let keeping = Self { blobs, ..self.clone() };
        let mut seen = Vec::with_capacity(all.len());
        for job in jobs {
            seen.push(match job.value.status {
                JobStatus::Waiting => keeping.waiting(&run.value, job, &all).await?,
                JobStatus::Running => keeping.running(&run.value, job, &all).await?,
                JobStatus::Finished => {
                    let at_rest = self.retire(&job.value).await?;
                    Seen { job: job.value, facts: None, at_rest }
                }
            });
        }
        let others_over = seen.iter().all(|seen| seen.job.status == JobStatus::Finished);
        let closed = seen.iter().zip(&all).any(|(seen, before)| seen.job.status != before.status);
        if !others_over && closed && seen.len() > 1 {
            // Two that close a job each, at once, both see the other one's at work; not so a moment later.
            self.see_again(id, &mut seen).await?;
        }
        keeping.close_run(run, seen).await
    }

    async fn see_again(&self, id: RunId, seen: &mut [Seen]) -> ServiceResult<()> {
        let jobs = self.jobs(id, self.clock.now()).await?;
        for (seen, job) in seen.iter_mut().zip(jobs) {
            if seen.job.status != job.value.status {
                *seen = Seen { at_rest: false, ..Seen::of(job.value) };
            }
        }
        Ok(())
    }

    async fn waiting(&self, run: &Run, job: Stored<Job>, all: &[Job]) -> ServiceResult<Seen> {
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
                None => return Ok(Seen::of(job.value)),
            },
        };
        self.close_job(job, Judgement::because(cause), JobFacts::default(), all).await
    }

    async fn running(&self, run: &Run, job: Stored<Job>, all: &[Job]) -> ServiceResult<Seen> {
        let now = self.clock.now();
        let (id, no) = (run.id, job.value.no);
        let facts = self.queue_and_shards(&job.value).await?;
        let shards: Vec<Shard> = facts.shards.iter().map(|shard| shard.value.clone()).collect();
        match (decide(run, &job.value, facts.queue(), &shards, now), &facts.queue) {
            (JobStep::Wait, queue) => {
                if queue.as_ref().is_some_and(|queue| queue.value.stopped.is_some()) {
                    self.stop_runners(&shards).await;
                }
            }
            (JobStep::Stop(why), Some(queue)) => {
                let mut commit = Commit::new();
                commit.replace(queue_key(id, no), queue.version, &queue.value.clone().stop(why))?;
                commit.attempt(self.store.as_ref()).await?;
                self.stop_runners(&shards).await;
                // Decided anew at once: the queue may be settled already.
                self.wake(Topic::Aggregate, id, 0).await;
            }
            (JobStep::Close(cause), _) => {
                return self.close_job(job, Judgement::because(cause), facts, all).await;
            }
            (JobStep::Prove, Some(_)) => {
                let facts = self.with_leases(&job.value, facts).await?;
                let judgement = self.prove(run, &job.value, &facts).await?;
                return self.close_job(job, judgement, facts, all).await;
            }
            (JobStep::Stop(_) | JobStep::Prove, None) => {}
        }
        Ok(Seen::of(job.value))
    }

    async fn prove(&self, run: &Run, job: &Job, facts: &JobFacts) -> ServiceResult<Judgement> {
        let Some(queue) = facts.queue() else {
            return Ok(Judgement::because(Cause::new(CauseCode::Internal, "the job has no queue")));
        };
        let ledger = self.ledger(queue.len, facts.leases.as_deref().unwrap_or_default()).await?;
        let shards: Vec<Shard> = facts.shards.iter().map(|shard| shard.value.clone()).collect();
        Ok(judge_job(run, job, queue, &shards, &ledger))
    }

    /// Writes a job's verdict, once, and what it stood for.
    async fn close_job(
        &self,
        job: Stored<Job>,
        judgement: Judgement,
        facts: JobFacts,
        all: &[Job],
    ) -> ServiceResult<Seen> {
        let now = self.clock.now();
        let (run, no) = (job.value.run, job.value.no);
        let mut next = job.value.clone();
        next.status = JobStatus::Finished;
        next.finished_at = Some(now);
        next.judgement = Some(judgement.fitted());
        let mut commit = Commit::new();
        commit.replace(job_key(run, no), job.version, &next)?;
        match commit.perform(self.store.as_ref()).await {
            Ok(()) => {}
            Err(PortError::Conflict { .. }) => {
                self.wake(Topic::Aggregate, run, 0).await;
                return Ok(Seen::of(job.value));
            }
            Err(error) => return Err(error.into()),
        }
        let at_rest = self.retire_shards(&next, &facts.shards).await?;
        if all.iter().any(|other| other.no != no && other.status == JobStatus::Waiting) {
            self.wake(Topic::Plan, run, 0).await;
        }
        Ok(Seen { job: next, facts: Some(facts.small()), at_rest })
    }

    /// No compute outlives its job: what is still wanted is not wanted any more, what has not come forward is
    /// stopped, and what runs may end in order, for a while. Whether none is left.
    async fn retire(&self, job: &Job) -> ServiceResult<bool> {
        let shards = load_shards(self.store.as_ref(), job.run, job.no, self.clock.now()).await?;
        self.retire_shards(job, &shards).await
    }

    async fn retire_shards(&self, job: &Job, shards: &[Stored<Shard>]) -> ServiceResult<bool> {
        let now = self.clock.now();
        let keeps_files = !job.spec.suite.artifacts.is_empty();
        let patience =
            job.finished_at.unwrap_or(now).plus_ms(if keeps_files { KEEPING_MS } else { RETIRE_MS });
        let mut at_rest = true;
        for shard in shards {
            if now < patience && matches!(shard.value.status, ShardStatus::Running | ShardStatus::Finished) {
                at_rest &= shard.value.at_rest();
                continue;
            }
            if shard.value.over() {
                at_rest &= self.stop_leftovers(shard.clone()).await?;
                continue;
            }
            let next = shard.value.finished().stopping(&shard.value, now);
            let mut commit = Commit::new();
            commit.replace(shard_key(job.run, job.no, next.id.shard), shard.version, &next)?;
            at_rest &= match commit.perform(self.store.as_ref()).await {
                Ok(()) => self.stop_leftovers(Stored { value: next, version: shard.version + 1 }).await?,
                Err(PortError::Conflict { .. }) => false,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(at_rest)
    }

    async fn stop_runners(&self, shards: &[Shard]) {
        for shard in shards.iter().filter(|shard| shard.live()) {
            // A runner that cannot be told hears it with its next heartbeat.
            drop(self.launcher.stop(&shard.id).await);
        }
    }

    /// Closes the run when every job is over: reports and history first, the verdict last.
    async fn close_run(&self, run: Stored<Run>, seen: Vec<Seen>) -> ServiceResult<()> {
        let id = run.value.id;
        let planned = seen.len() == run.value.jobs as usize;
        let over = seen.iter().all(|seen| seen.job.status == JobStatus::Finished);
        if !planned || !over {
            return Ok(());
        }
        // The sweep goes on looking at it until no compute of it is left.
        let at_rest = seen.iter().all(|seen| seen.at_rest);
        let (jobs, facts): (Vec<Job>, Vec<Option<JobFacts>>) =
            seen.into_iter().map(|seen| (seen.job, seen.facts)).unzip();
        let mut next = run.value.clone();
        next.status = RunStatus::Finished;
        // From the jobs, not from the clock: whoever writes the reports of this run writes the same.
        next.finished_at =
            Some(jobs.iter().filter_map(|job| job.finished_at).max().unwrap_or(next.queued_at));
        next.judgement = Some(match &next.cancel {
            Some(cause) if jobs.is_empty() => Judgement::because(cause.clone()),
            _ => judge(&jobs, next.partial),
        });
        next.figures = Some(self.write_reports(&next, &jobs, facts).await?);
        let mut commit = Commit::new();
        let index = if at_rest { None } else { Some(open_entry(&next)) };
        commit.put_run(Condition::Version(run.version), &next, index)?;
        self.remember_to_tell(&mut commit, &next).await?;
        match commit.perform(self.store.as_ref()).await {
            Ok(()) => {}
            // A cancel came in between, or someone else closed it: the next pass sees which.
            Err(PortError::Conflict { .. }) => {
                self.wake(Topic::Aggregate, id, 0).await;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        self.notice(id, Notice::Finished);
        self.pass_turn(&next).await
    }

    /// Looks after what is left running of a finished run, and takes it out of the index when that is nothing.
    pub(crate) async fn rest(&self, id: RunId) -> ServiceResult<()> {
        let now = self.clock.now();
        let Some((run, jobs)) = load_run_and_jobs(self.store.as_ref(), id, now).await? else {
            return Ok(());
        };
        if run.value.status != RunStatus::Finished {
            return Ok(());
        }
        let mut at_rest = true;
        for job in &jobs {
            at_rest &= self.retire(&job.value).await?;
        }
        if !at_rest {
            return Ok(());
        }
        let mut commit = Commit::new();
        commit.put_run(Condition::Version(run.version), &run.value, None)?;
        commit.attempt(self.store.as_ref()).await?;
        Ok(())
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
    async fn ledger(&self, len: u32, leases: &[Lease]) -> ServiceResult<Ledger> {
        let mut ledger = Ledger::new(len);
        for lease in leases {
            for part in 0..lease.next_part {
                for event in self.load_chunk(lease, part).await? {
                    ledger.event(lease, &event);
                }
            }
            ledger.lease(&self.with_verdicts(lease.clone()).await?);
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
