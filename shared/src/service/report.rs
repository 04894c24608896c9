//! Reports and history of a run that is over, streamed from what was accepted.
//!
//! Two passes over the chunks of each job: the first adds up how many attempts each case had, the second hands
//! out finished case records one by one. No pass holds all results; only cases that were tried more than once
//! wait in memory for their other attempts.

use super::history::Observed;
use super::repository::{load_leases, load_queue, load_run, load_shards};
use super::submit::load_spec;
use super::tape::Tape;
use super::{ServiceError, ServiceResult, Services};
use crate::domain::case::{CaseId, CaseResult, Failure};
use crate::domain::id::RunId;
use crate::domain::outcome::{Counts, Outcome};
use crate::domain::proof::Ledger;
use crate::domain::queue::Queue;
use crate::domain::queue::lease::Lease;
use crate::domain::render::{Ctrf, Html, Json, Junit, Renderer};
use crate::domain::report::{CaseRecord, JobSummary, RunSummary, Span};
use crate::domain::run::{Job, Run};
use crate::domain::spec::RunSpec;
use crate::domain::time::Timestamp;
use crate::domain::unit::UnitEvent;
use crate::domain::verdict::{Judgement, Verdict};
use crate::ports::PortError;
use std::collections::BTreeMap;

/// Spans kept per job for the Gantt.
const SPAN_LIMIT: usize = 4000;

/// Names of the reports of a run, to be read by [`Services::read_report`].
pub const REPORTS: [&str; 4] = ["report.json", "junit.xml", "ctrf.json", "report.html"];

/// Blob of the run's summary.
#[must_use]
pub fn summary_key(run: RunId) -> String {
    format!("runs/{run}/summary.json")
}

impl Services {
    /// Renders the reports of a run and learns from it. Doing it twice gives the same reports.
    pub(crate) async fn write_reports(&self, run: &Run, jobs: &[Job]) -> ServiceResult<()> {
        let spec = load_spec(self, run.id).await?;
        let mut summary = self.summary(run, &spec, jobs).await?;
        let mut tapes = REPORTS.map(|name| Tape::new(run.id, name));
        {
            let [json, junit, ctrf, html] = tapes.each_ref().map(Tape::pen);
            let mut renderers: [Box<dyn Renderer + Send>; 4] = [
                Box::new(Json::new(json)),
                Box::new(Junit::new(junit)),
                Box::new(Ctrf::new(ctrf)),
                Box::new(Html::new(html)),
            ];
            each(&mut renderers, |renderer| renderer.begin(&summary))?;
            for (job, summary) in jobs.iter().zip(&summary.jobs) {
                let mut show =
                    |record: &CaseRecord| each(&mut renderers, |renderer| renderer.case(summary, record));
                let observed = self.job_records(&spec, job, summary, (&mut show, &mut tapes)).await?;
                if let Some(observed) = observed {
                    // Predictions only: a run is not kept open because they cannot be saved.
                    drop(self.learn(&spec.project, &job.spec.name, observed).await);
                }
            }
            each(&mut renderers, |renderer| renderer.finish())?;
        }
        for tape in tapes {
            tape.end(self).await?;
        }
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
        Ok(())
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
        let summary = self.summary(&stored.value, &spec, &jobs).await?;
        for (job, job_summary) in jobs.iter().zip(&summary.jobs) {
            let mut show = |record: &CaseRecord| {
                show(record);
                Ok(())
            };
            self.job_records(&spec, job, job_summary, (&mut show, &mut [])).await?;
        }
        Ok(summary)
    }

    async fn summary(&self, run: &Run, spec: &RunSpec, jobs: &[Job]) -> ServiceResult<RunSummary> {
        let mut counts = Counts::default();
        let mut summaries = Vec::with_capacity(jobs.len());
        for job in jobs {
            let summary = self.job_summary(job).await?;
            counts.add(&summary.counts);
            summaries.push(summary);
        }
        Ok(RunSummary {
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
        })
    }

    async fn job_summary(&self, job: &Job) -> ServiceResult<JobSummary> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let queue = load_queue(store, job.run, job.no, now).await?.map(|queue| queue.value);
        let shards = load_shards(store, job.run, job.no, now).await?;
        let mut spans = Vec::new();
        for lease in load_leases(store, job.run, job.no, now).await? {
            for part in 0..lease.value.next_part {
                let events = self.load_chunk(&lease.value, part).await?;
                note_spans(&lease.value, &events, &mut spans);
            }
        }
        Ok(JobSummary {
            job: job.no,
            name: job.spec.name.clone(),
            framework: job.spec.suite.framework,
            judgement: job.judgement.clone().unwrap_or_else(Judgement::passed),
            counts: queue.as_ref().map(|queue| queue.counts).unwrap_or_default(),
            not_run_units: queue.as_ref().map_or(0, Queue::not_run),
            deselected: queue.as_ref().map_or(0, |queue| queue.deselected),
            started_at: job.started_at,
            finished_at: job.finished_at,
            launches: shards
                .iter()
                .filter(|shard| shard.value.started_at.is_some())
                .map(|shard| shard.value.id.attempt)
                .sum(),
            spans: closed_spans(spans),
        })
    }

    /// Hands every case record of a job to the renderers; returns what history should learn.
    async fn job_records(
        &self,
        spec: &RunSpec,
        job: &Job,
        summary: &JobSummary,
        (show, tapes): (&mut Show<'_>, &mut [Tape]),
    ) -> ServiceResult<Option<Observed>> {
        let now = self.clock.now();
        let Some(queue) = load_queue(self.store.as_ref(), job.run, job.no, now).await? else {
            return Ok(None);
        };
        let ledger = self.ledger(job.run, job.no, queue.value.len).await?;
        let mut records = Assembly::new(job, &ledger);
        let verdict = summary.judgement.verdict;
        let trusted = matches!(verdict, Verdict::Passed | Verdict::Failed);
        let whole = trusted && queue.value.drained() && spec.filter.is_none() && spec.chosen.is_empty();
        let mut observed = Observed {
            setup_ms: job.manifest.as_ref().map(|manifest| manifest.setup_ms),
            whole,
            ..Observed::default()
        };
        let mut history = self.suite_history(&spec.project, &job.spec.name).await?;
        if whole {
            history.age(crate::domain::statistics::KEEP_RUNS);
        }
        for lease in load_leases(self.store.as_ref(), job.run, job.no, now).await? {
            for part in 0..=lease.value.next_part {
                let events = self.told(&lease.value, part).await?;
                for event in events {
                    observed.overhead(&lease.value, &event);
                    if let Some(record) = records.event(&lease.value, event) {
                        self.observe(spec, job, &history, &mut observed, &record).await?;
                        show(&record)?;
                    }
                }
                Tape::wind_all(tapes, self).await?;
            }
        }
        for record in records.leftovers() {
            show(&record)?;
        }
        Ok(trusted.then_some(observed))
    }

    /// The events of a part. The coordinator's own verdicts come after the last part of their lease.
    async fn told(&self, lease: &Lease, part: u32) -> ServiceResult<Vec<UnitEvent>> {
        if part < lease.next_part {
            self.load_chunk(lease, part).await
        } else {
            Ok(self.with_verdicts(lease.clone()).await?.verdicts)
        }
    }

    async fn observe(
        &self,
        spec: &RunSpec,
        job: &Job,
        history: &crate::domain::statistics::SuiteStats,
        observed: &mut Observed,
        record: &CaseRecord,
    ) -> ServiceResult<()> {
        if !self.settings.keep_history {
            return Ok(());
        }
        if !observed.details.contains_key(&record.unit) {
            let detail = self.unit_detail(&spec.project, &job.spec.name, history, &record.unit).await?;
            observed.details.insert(record.unit.clone(), detail);
        }
        if let Some(detail) = observed.details.get_mut(&record.unit) {
            detail.observe(record, history.head.run_no);
        }
        Ok(())
    }
}

/// Shows one record to whoever renders.
type Show<'a> = dyn FnMut(&CaseRecord) -> ServiceResult<()> + Send + 'a;

fn each(
    renderers: &mut [Box<dyn Renderer + Send + '_>],
    mut step: impl FnMut(&mut dyn Renderer) -> std::io::Result<()>,
) -> ServiceResult<()> {
    for renderer in renderers {
        step(renderer.as_mut())
            .map_err(|error| ServiceError::Invalid(format!("a report cannot be written: {error}")))?;
    }
    Ok(())
}

fn note_spans(lease: &Lease, events: &[UnitEvent], spans: &mut Vec<(u32, Span)>) {
    for event in events {
        match event {
            UnitEvent::Started { entry, slot, at } => {
                let unit =
                    lease.entries.iter().find(|held| held.index == *entry).map(|held| held.unit.clone());
                let span = Span {
                    shard: lease.holder.shard,
                    slot: *slot,
                    unit: unit.unwrap_or_default(),
                    started_at: *at,
                    ended_at: Timestamp(0),
                };
                spans.push((*entry, span));
            }
            UnitEvent::Finished { entry, at, .. } => {
                if let Some((_, span)) = spans.iter_mut().rev().find(|(index, _)| index == entry) {
                    span.ended_at = *at;
                }
            }
            UnitEvent::Announced { .. }
            | UnitEvent::CaseStarted { .. }
            | UnitEvent::Case { .. }
            | UnitEvent::Aborted { .. } => {}
        }
    }
}

fn closed_spans(spans: Vec<(u32, Span)>) -> Vec<Span> {
    let mut closed: Vec<Span> =
        spans.into_iter().map(|(_, span)| span).filter(|span| span.ended_at >= span.started_at).collect();
    if closed.len() > SPAN_LIMIT {
        closed.sort_by_key(|span| std::cmp::Reverse(span.ended_at.since_ms(span.started_at)));
        closed.truncate(SPAN_LIMIT);
    }
    closed.sort_by_key(|span| (span.shard, span.slot, span.started_at));
    closed
}

/// Puts the attempts of cases together as they come by.
struct Assembly<'a> {
    job: &'a Job,
    ledger: &'a Ledger,
    waiting: BTreeMap<CaseId, CaseRecord>,
    announced: BTreeMap<CaseId, String>,
}

impl<'a> Assembly<'a> {
    fn new(job: &'a Job, ledger: &'a Ledger) -> Self {
        Self { job, ledger, waiting: BTreeMap::new(), announced: BTreeMap::new() }
    }

    fn event(&mut self, lease: &Lease, event: UnitEvent) -> Option<CaseRecord> {
        let unit = |entry: u32| {
            lease
                .entries
                .iter()
                .find(|held| held.index == entry)
                .map(|held| held.unit.clone())
                .unwrap_or_default()
        };
        match event {
            UnitEvent::Announced { entry, cases, .. } => {
                for case in cases.into_iter().filter(|case| self.ledger.attempts(case) == 0) {
                    self.announced.insert(case, unit(entry));
                }
                None
            }
            UnitEvent::Case { entry, result } => self.result(lease, unit(entry), *result),
            UnitEvent::Started { .. }
            | UnitEvent::CaseStarted { .. }
            | UnitEvent::Finished { .. }
            | UnitEvent::Aborted { .. } => None,
        }
    }

    fn result(&mut self, lease: &Lease, unit: String, result: CaseResult) -> Option<CaseRecord> {
        let due = self.ledger.attempts(&result.case) as usize;
        let case = result.case.clone();
        let mut record = self.waiting.remove(&case).unwrap_or_else(|| CaseRecord {
            job: self.job.no,
            unit,
            shards: Vec::new(),
            attempts: Vec::new(),
        });
        record.shards.push(lease.holder.shard);
        record.attempts.push(result);
        if record.attempts.len() < due {
            self.waiting.insert(case, record);
            return None;
        }
        Some(record)
    }

    /// Cases that were announced and have no result at all, and those that wait for an attempt that never came.
    fn leftovers(self) -> Vec<CaseRecord> {
        let no = self.job.no;
        let vanished = self.announced.into_iter().map(move |(case, unit)| CaseRecord {
            job: no,
            unit,
            shards: vec![0],
            attempts: vec![not_run(case)],
        });
        self.waiting.into_values().chain(vanished).collect()
    }
}

fn not_run(case: CaseId) -> CaseResult {
    CaseResult {
        class: String::new(),
        name: case.0.clone(),
        case,
        file: None,
        line: None,
        attempt: 1,
        outcome: Outcome::Errored,
        started_at: Timestamp(0),
        duration_us: 0,
        slot: 0,
        alone: false,
        failure: Some(Failure {
            kind: "not_run".to_owned(),
            message: "it was announced, but the run ended before it had a result".to_owned(),
            detail: String::new(),
        }),
        reason: None,
        output: String::new(),
    }
}
