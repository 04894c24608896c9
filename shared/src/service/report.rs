//! Reports and history of a run that is over, streamed from what was accepted.
//!
//! One pass over the chunks of each job hands out finished case records one by one. It never holds all results,
//! and no report is ever whole in memory.

mod assembly;
pub(crate) mod pages;
mod reading;
mod spool;

use super::facts::JobFacts;
use super::history::Observed;
use super::repository::load_run;
use super::submit::load_spec;
use super::{ServiceError, ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::origin::{Figures, Trigger};
use crate::domain::outcome::Counts;
use crate::domain::queue::Queue;
use crate::domain::queue::lease::Lease;
use crate::domain::report::{CaseRecord, JobSummary, RunSummary, Span};
use crate::domain::run::{Job, Run};
use crate::domain::spec::RunSpec;
use crate::domain::statistics::KEEP_RUNS;
use crate::domain::unit::UnitEvent;
use crate::domain::verdict::{Judgement, Verdict};
use crate::ports::{Blobs, PortError};
use assembly::Assembly;
use async_trait::async_trait;
pub use reading::ReportSize;
use reading::sizes_key;
use spool::Spool;
use std::collections::{BTreeMap, BTreeSet};

/// Spans kept per job for the Gantt.
const SPAN_LIMIT: usize = 4000;
/// Records at the end of a job after which what has piled up is stored.
const RECORDS_PER_PAUSE: usize = 200;

/// What is learned from a job is held until it is over; one with more cases teaches nothing.
const LEARN_LIMIT_CASES: u64 = 200_000;

/// Names of the reports of a run, under `runs/{run}/`.
pub const REPORTS: [&str; 4] = ["report.json", "junit.xml", "ctrf.json", "report.html"];

/// Blob of the run's summary.
#[must_use]
pub fn summary_key(run: RunId) -> String {
    format!("runs/{run}/summary.json")
}

/// Blob of one of the [`REPORTS`].
#[must_use]
pub(crate) fn report_key(run: RunId, name: &str) -> String {
    format!("runs/{run}/{name}")
}

impl Services {
    /// Renders the reports of a run and learns from it. Doing it twice gives the same reports.
    /// What is known of the jobs already need not be read again.
    pub(crate) async fn write_reports(
        &self,
        run: &Run,
        jobs: &[Job],
        known: Vec<Option<JobFacts>>,
    ) -> ServiceResult<Figures> {
        let spec = load_spec(self, run.id).await?;
        let (mut summary, facts) = self.summary(run, &spec, jobs, known).await?;
        // Few look at a report of what another CI has shown already: it is rendered when someone does.
        let late = run.origin.trigger == Trigger::Import;
        let bound = self.settings.few_requests();
        let mut spool = if late { Spool::of_pages(run.id, bound) } else { Spool::new(run.id, bound) };
        spool.begin(&summary)?;
        for ((job, summary), facts) in jobs.iter().zip(&summary.jobs).zip(facts) {
            let pass = Pass { spec: &spec, job, learn: self.settings.keep_history && may_learn(summary) };
            let observed = self.job_records(&pass, facts, summary, &mut spool).await?;
            if let Some(observed) = observed {
                // Predictions only: a run is not kept open because they cannot be saved.
                drop(self.learn(&spec.project, job, observed).await);
            }
        }
        spool.finish(self.blobs.as_ref()).await?;
        let figures = figures(&summary);
        for job in &mut summary.jobs {
            job.spans.clear();
        }
        let key = summary_key(run.id);
        let bytes = serde_json::to_vec(&summary).map_err(|error| PortError::Corrupt {
            port: "blobs",
            subject: key.clone(),
            reason: error.to_string(),
        })?;
        self.blobs.put(&key, bytes).await?;
        Ok(figures)
    }

    /// Renders the reports of a run that is over and has none yet.
    async fn render_late(&self, run: &Run) -> ServiceResult<()> {
        let spec = load_spec(self, run.id).await?;
        let jobs: Vec<Job> =
            self.jobs(run.id, self.clock.now()).await?.into_iter().map(|job| job.value).collect();
        let (summary, facts) = self.summary(run, &spec, &jobs, Vec::new()).await?;
        let mut spool = Spool::of_reports(run.id, &format!("{:032x}-", self.ids.uuid()));
        spool.begin(&summary)?;
        for ((job, summary), facts) in jobs.iter().zip(&summary.jobs).zip(facts) {
            let pass = Pass { spec: &spec, job, learn: false };
            self.job_records(&pass, facts, summary, &mut spool).await?;
        }
        spool.finish(self.blobs.as_ref()).await
    }

    /// Shows every case record of a finished run.
    ///
    /// # Errors
    /// `NotFound` if there is no such run; port errors.
    pub async fn visit_cases(
        &self,
        run: RunId,
        mut show: impl FnMut(&CaseRecord) + Send,
    ) -> ServiceResult<RunSummary> {
        let now = self.clock.now();
        let stored = load_run(self.store.as_ref(), run, now)
            .await?
            .ok_or_else(|| ServiceError::NotFound(run.to_string()))?;
        let spec = load_spec(self, run).await?;
        let jobs: Vec<Job> = self.jobs(run, now).await?.into_iter().map(|job| job.value).collect();
        let (summary, facts) = self.summary(&stored.value, &spec, &jobs, Vec::new()).await?;
        for ((job, job_summary), facts) in jobs.iter().zip(&summary.jobs).zip(facts) {
            let pass = Pass { spec: &spec, job, learn: false };
            self.job_records(&pass, facts, job_summary, &mut Showing(&mut show)).await?;
        }
        Ok(summary)
    }

    /// The summary of a run, and what was read for it.
    async fn summary(
        &self,
        run: &Run,
        spec: &RunSpec,
        jobs: &[Job],
        known: Vec<Option<JobFacts>>,
    ) -> ServiceResult<(RunSummary, Vec<JobFacts>)> {
        let mut counts = Counts::default();
        let mut summaries = Vec::with_capacity(jobs.len());
        let mut facts = Vec::with_capacity(jobs.len());
        let known = known.into_iter().chain(std::iter::repeat_with(|| None));
        for (job, known) in jobs.iter().zip(known) {
            let known = match known {
                Some(known) => known,
                None => self.queue_and_shards(job).await?,
            };
            let known = self.with_leases(job, known).await?;
            let summary = job_summary(job, &known);
            counts.add(&summary.counts);
            summaries.push(summary);
            facts.push(known.small());
        }
        let summary = RunSummary {
            run: run.id,
            project: spec.project.clone(),
            commit: spec.commit.clone(),
            branch: spec.branch.clone(),
            judgement: run.judgement.clone().unwrap_or_else(Judgement::passed),
            counts,
            queued_at: run.queued_at,
            finished_at: run.finished_at.unwrap_or(run.queued_at),
            version: self.settings.version.clone(),
            jobs: summaries,
        };
        Ok((summary, facts))
    }

    /// Hands every case record of a job to the audience; returns what history should learn.
    async fn job_records(
        &self,
        pass: &Pass<'_>,
        facts: JobFacts,
        summary: &JobSummary,
        audience: &mut dyn Audience,
    ) -> ServiceResult<Option<Observed>> {
        let Pass { spec, job, learn } = *pass;
        let facts = self.with_leases(job, facts).await?;
        let Some(queue) = facts.queue() else { return Ok(None) };
        let appended = match queue.len > queue.manifest_len {
            true => self.appended_entries(job.run, job.no).await?,
            false => Vec::new(),
        };
        let mut records = Assembly::new(job, appended);
        let trusted = matches!(summary.judgement.verdict, Verdict::Passed | Verdict::Failed);
        let whole = trusted && queue.drained() && !spec.is_partial();
        let mut observed = self.nothing_observed(pass, &facts, whole).await?;
        for lease in facts.leases.iter().flatten() {
            for part in 0..=lease.next_part {
                for event in self.part_events(lease, part).await? {
                    observed.overhead(lease, &event);
                    if let Some(record) = records.event(lease, event) {
                        observed.record(&record);
                        audience.record(summary, &record)?;
                    }
                }
                audience.pause(self.blobs.as_ref()).await?;
            }
        }
        for (number, record) in records.rest().into_iter().enumerate() {
            observed.record(&record);
            audience.record(summary, &record)?;
            if number % RECORDS_PER_PAUSE == 0 {
                audience.pause(self.blobs.as_ref()).await?;
            }
        }
        Ok((trusted && learn).then_some(observed))
    }

    /// The events of a part; the coordinator's own verdicts come after the last part of their lease.
    pub(super) async fn part_events(&self, lease: &Lease, part: u32) -> ServiceResult<Vec<UnitEvent>> {
        if part < lease.next_part {
            self.load_chunk(lease, part).await
        } else {
            Ok(self.with_verdicts(lease.clone()).await?.verdicts)
        }
    }

    /// Nothing observed yet; where it will be learned from, with all that is known of the suite and the leased units.
    async fn nothing_observed(
        &self,
        pass: &Pass<'_>,
        facts: &JobFacts,
        whole: bool,
    ) -> ServiceResult<Observed> {
        let setup_ms = pass.job.manifest.as_ref().map(|manifest| manifest.setup_ms);
        let observed = Observed { setup_ms, whole, ..Observed::default() };
        if !pass.learn {
            return Ok(observed);
        }
        let (project, job) = (&pass.spec.project, &pass.job.spec.name);
        let known = self.suite_history(project, job).await?;
        let mut aged = known.clone();
        if whole {
            aged.age(KEEP_RUNS);
        }
        let held = facts.leases.iter().flatten().flat_map(|lease| &lease.entries);
        let units: BTreeSet<&str> = held.map(|held| held.unit.as_str()).collect();
        let before = self.unit_details(project, job, &aged, &units).await?;
        Ok(Observed { learns: true, run_no: aged.head.run_no, known, before, ..observed })
    }
}

fn job_summary(job: &Job, facts: &JobFacts) -> JobSummary {
    let queue = facts.queue();
    let launched = facts.shards.iter().filter(|shard| shard.value.started_at.is_some());
    JobSummary {
        job: job.no,
        name: job.spec.name.clone(),
        framework: job.spec.suite.framework,
        judgement: job.judgement.clone().unwrap_or_else(Judgement::passed),
        counts: queue.map(|queue| queue.counts).unwrap_or_default(),
        not_run_units: queue.map_or(0, Queue::not_run),
        deselected: queue.map_or(0, |queue| queue.deselected),
        notes: job.manifest.as_ref().map(|manifest| manifest.notes.clone()).unwrap_or_default(),
        started_at: job.started_at,
        finished_at: job.finished_at,
        launches: launched.map(|shard| shard.value.id.attempt).sum(),
        spans: spans(facts.leases.iter().flatten()),
    }
}

fn may_learn(job: &JobSummary) -> bool {
    job.counts.planned <= LEARN_LIMIT_CASES
}

/// One pass over the records of a job.
#[derive(Clone, Copy)]
struct Pass<'a> {
    spec: &'a RunSpec,
    job: &'a Job,
    learn: bool,
}

/// Who is shown the records.
#[async_trait]
trait Audience: Send {
    fn record(&mut self, job: &JobSummary, record: &CaseRecord) -> ServiceResult<()>;
    /// A moment between two chunks, to store what has piled up.
    async fn pause(&mut self, blobs: &dyn Blobs) -> ServiceResult<()>;
}

#[async_trait]
impl Audience for Spool {
    fn record(&mut self, job: &JobSummary, record: &CaseRecord) -> ServiceResult<()> {
        self.case(job, record)
    }

    async fn pause(&mut self, blobs: &dyn Blobs) -> ServiceResult<()> {
        self.drain(blobs).await
    }
}

struct Showing<'a, F>(&'a mut F);

#[async_trait]
impl<F: FnMut(&CaseRecord) + Send> Audience for Showing<'_, F> {
    fn record(&mut self, _: &JobSummary, record: &CaseRecord) -> ServiceResult<()> {
        (self.0)(record);
        Ok(())
    }

    async fn pause(&mut self, _: &dyn Blobs) -> ServiceResult<()> {
        Ok(())
    }
}

/// The run in numbers.
fn figures(summary: &RunSummary) -> Figures {
    let mut frameworks: Vec<String> =
        summary.jobs.iter().map(|job| job.framework.as_str().to_owned()).collect();
    frameworks.sort_unstable();
    frameworks.dedup();
    let mut busy_by_framework_ms = BTreeMap::<String, u64>::new();
    for job in &summary.jobs {
        *busy_by_framework_ms.entry(job.framework.as_str().to_owned()).or_default() += busy_ms(job);
    }
    Figures {
        counts: summary.counts,
        started_at: summary.jobs.iter().filter_map(|job| job.started_at).min(),
        busy_ms: summary.jobs.iter().map(busy_ms).sum(),
        busy_by_framework_ms,
        slot_ms: summary.jobs.iter().map(slot_ms).sum(),
        launches: summary.jobs.iter().map(|job| job.launches).sum(),
        frameworks,
    }
}

fn busy_ms(job: &JobSummary) -> u64 {
    job.spans.iter().map(|span| span.ended_at.since_ms(span.started_at)).sum()
}

/// How long the slots that did anything were there for, together.
fn slot_ms(job: &JobSummary) -> u64 {
    let slots: BTreeSet<(u32, u32)> = job.spans.iter().map(|span| (span.shard, span.slot)).collect();
    let wall_ms = job.started_at.zip(job.finished_at).map_or(0, |(from, to)| to.since_ms(from));
    wall_ms.saturating_mul(slots.len() as u64)
}

/// What the slots did when; of very many entries the longest.
fn spans<'a>(leases: impl Iterator<Item = &'a Lease>) -> Vec<Span> {
    let mut spans: Vec<Span> = leases
        .flat_map(|lease| lease.entries.iter().map(move |held| (lease, held)))
        .filter_map(|(lease, held)| {
            Some(Span {
                shard: lease.holder.shard,
                slot: lease.slot,
                unit: held.unit.clone(),
                started_at: held.started_at?,
                ended_at: held.finished_at?,
            })
        })
        .collect();
    if spans.len() > SPAN_LIMIT {
        spans.sort_by_key(|span| std::cmp::Reverse(span.ended_at.since_ms(span.started_at)));
        spans.truncate(SPAN_LIMIT);
    }
    spans.sort_by_key(|span| (span.shard, span.slot, span.started_at));
    spans
}
