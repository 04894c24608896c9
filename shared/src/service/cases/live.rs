//! Cases of a run that has no pages: read from the accepted parts, a bounded number of them at a time.
//!
//! A list shows one row for each attempt. What arrives while someone is paging may be missed or shift; the pages that
//! the run leaves are exact.

use super::{CaseFilter, CaseKey, CaseRecord, CaseRow, Listed, Run, ServiceError, ServiceResult, Services};
use crate::domain::case::{CaseId, CaseResult};
use crate::domain::case_page::Sieve;
use crate::domain::queue::lease::Lease;
use crate::domain::run::{Job, JobStatus};
use crate::domain::unit::{Selection, UnitEvent};
use crate::service::repository::load_leases;
use std::collections::{BTreeSet, VecDeque};

/// Parts read for one list at most.
const LIST_PARTS: usize = 64;
/// Parts read for one case at most.
const CASE_PARTS: usize = 20_000;

/// Where a list goes on: job, epoch of the lease, part, event.
type LivePlace = (u32, u64, u32, usize);

fn place_text((job, epoch, part, event): LivePlace) -> String {
    format!("l{job}.{epoch}.{part}.{event}")
}

fn read_place(text: &str) -> Option<LivePlace> {
    let mut parts = text.strip_prefix('l')?.split('.');
    let place = (
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    Some(place)
}

/// A walk over the accepted parts of a run.
struct Walk<'a> {
    services: &'a Services,
    jobs: VecDeque<Job>,
    leases: VecDeque<Lease>,
    from: LivePlace,
    part: u32,
    retried: BTreeSet<CaseId>,
}

/// A part of a lease.
struct Part {
    epoch: u64,
    number: u32,
    results: Vec<(usize, CaseRecord)>,
}

impl<'a> Walk<'a> {
    async fn new(services: &'a Services, run: &Run, from: LivePlace) -> ServiceResult<Self> {
        let jobs = services.jobs(run.id, services.clock.now()).await?;
        let jobs = jobs.into_iter().map(|job| job.value).filter(|job| job.no.0 >= from.0).collect();
        let mut walk =
            Self { services, jobs, leases: VecDeque::new(), from, part: 0, retried: BTreeSet::new() };
        walk.enter().await?;
        Ok(walk)
    }

    /// Reads the leases of the job in front.
    async fn enter(&mut self) -> ServiceResult<()> {
        let Some(job) = self.jobs.front() else { return Ok(()) };
        let resumed = job.no.0 == self.from.0;
        let leases = load_leases(self.services.store.as_ref(), job.run, job.no, self.services.clock.now());
        self.leases = leases.await?.into_iter().map(|lease| lease.value).collect();
        self.leases.retain(|lease| !resumed || lease.epoch >= self.from.1);
        let same = resumed && self.leases.front().is_some_and(|lease| lease.epoch == self.from.1);
        self.part = if same { self.from.2 } else { 0 };
        self.retried = BTreeSet::new();
        if job.status != JobStatus::Finished {
            let appended = self.services.appended_entries(job.run, job.no).await?;
            for entry in appended.into_iter().filter(|entry| entry.attempt > 1) {
                if let Selection::Only(cases) = entry.selection {
                    self.retried.extend(cases);
                }
            }
        }
        Ok(())
    }

    /// The next part, with the job it is of.
    async fn next(&mut self) -> ServiceResult<Option<(Job, Part)>> {
        loop {
            let Some(job) = self.jobs.front() else { return Ok(None) };
            let Some(lease) = self.leases.front() else {
                self.jobs.pop_front();
                self.enter().await?;
                continue;
            };
            if self.part > lease.next_part {
                self.leases.pop_front();
                self.part = 0;
                continue;
            }
            let events = self.services.part_events(lease, self.part).await?;
            let first = if (job.no.0, lease.epoch, self.part) == (self.from.0, self.from.1, self.from.2) {
                self.from.3
            } else {
                0
            };
            let part = Part { epoch: lease.epoch, number: self.part, results: results(lease, events, first) };
            let job = job.clone();
            self.part += 1;
            return Ok(Some((job, part)));
        }
    }

    fn row(&self, job: &Job, record: &CaseRecord) -> Option<CaseRow> {
        let mut row = CaseRow::of(&job.spec.name, record)?;
        row.provisional = row.outcome.is_failure() && self.retried.contains(&row.id);
        Some(row)
    }
}

fn results(lease: &Lease, events: Vec<UnitEvent>, first: usize) -> Vec<(usize, CaseRecord)> {
    let record = |unit: String, result: CaseResult| CaseRecord {
        job: lease.holder.job,
        unit,
        shards: vec![lease.holder.shard],
        attempts: vec![result],
    };
    let result = |(number, event): (usize, UnitEvent)| match event {
        UnitEvent::Case { entry, result } => {
            let held = lease.entries.iter().find(|held| held.index == entry)?;
            Some((number, record(held.unit.clone(), *result)))
        }
        UnitEvent::Started { .. }
        | UnitEvent::Announced { .. }
        | UnitEvent::CaseStarted { .. }
        | UnitEvent::Finished { .. }
        | UnitEvent::Yielded { .. }
        | UnitEvent::Aborted { .. } => None,
    };
    events.into_iter().enumerate().skip(first).filter_map(result).collect()
}

impl Services {
    pub(super) async fn live_cases(
        &self,
        run: &Run,
        filter: &CaseFilter,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<String>> {
        let from = after.and_then(read_place).unwrap_or_default();
        let mut walk = Walk::new(self, run, from).await?;
        let jobs: Vec<(u32, String)> =
            walk.jobs.iter().map(|job| (job.no.0, job.spec.name.clone())).collect();
        let sieve = filter.sieve(&jobs);
        let mut items = Vec::new();
        let mut read = 0;
        while let Some((job, part)) = walk.next().await? {
            let place = |event: usize| place_text((job.no.0, part.epoch, part.number, event));
            if read == LIST_PARTS {
                return Ok(Listed { items, next: Some(place(0)) });
            }
            read += 1;
            for (number, record) in &part.results {
                let Some(row) = kept(&walk, &sieve, &job, record) else { continue };
                if items.len() == limit {
                    return Ok(Listed { items, next: Some(place(*number)) });
                }
                let text = serde_json::to_string(&row);
                items.push(text.map_err(|error| ServiceError::Invalid(error.to_string()))?);
            }
        }
        Ok(Listed { items, next: None })
    }

    /// A case with the attempts at it so far.
    pub(super) async fn live_case(
        &self,
        run: &Run,
        key: CaseKey,
    ) -> ServiceResult<Option<(CaseRow, CaseRecord)>> {
        let mut walk = Walk::new(self, run, LivePlace::default()).await?;
        let mut found: Option<(Job, CaseRecord)> = None;
        for _ in 0..CASE_PARTS {
            let Some((job, part)) = walk.next().await? else { break };
            let wanted = |record: &CaseRecord| {
                record.last().is_some_and(|last| CaseKey::of(&job.spec.name, &last.case) == key)
            };
            for (_, record) in part.results.into_iter().filter(|(_, record)| wanted(record)) {
                match &mut found {
                    Some((_, known)) => {
                        known.shards.extend(record.shards);
                        known.attempts.extend(record.attempts);
                    }
                    None => found = Some((job.clone(), record)),
                }
            }
        }
        Ok(found.and_then(|(job, record)| Some((walk.row(&job, &record)?, record))))
    }
}

fn kept(walk: &Walk<'_>, sieve: &Sieve, job: &Job, record: &CaseRecord) -> Option<CaseRow> {
    walk.row(job, record).filter(|row| sieve.keeps_row(row))
}
