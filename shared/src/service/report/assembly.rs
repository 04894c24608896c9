//! Case records out of result events: attempts that belong together, put together.
//!
//! A case that is not tried again is complete with its first result and passes straight through. Cases that have a
//! retry wait for the end of the job, and so do cases of entries that were not finished: only they are held in
//! memory.

use crate::domain::case::{CaseId, CaseResult, Failure};
use crate::domain::outcome::Outcome;
use crate::domain::queue::lease::{Lease, Progress};
use crate::domain::report::CaseRecord;
use crate::domain::run::Job;
use crate::domain::time::Timestamp;
use crate::domain::unit::{Entry, Selection, UnitEvent};
use std::collections::{BTreeMap, BTreeSet};

/// Puts the attempts of cases together as they come by.
pub(super) struct Assembly<'a> {
    job: &'a Job,
    retried: BTreeSet<CaseId>,
    waiting: BTreeMap<CaseId, CaseRecord>,
    announced: BTreeMap<CaseId, String>,
}

impl<'a> Assembly<'a> {
    /// `appended` are the entries that were added to the job's queue: retries are among them.
    pub(super) fn new(job: &'a Job, appended: Vec<Entry>) -> Self {
        let retried = appended
            .into_iter()
            .filter(|entry| entry.attempt > 1)
            .filter_map(|entry| match entry.selection {
                Selection::Only(cases) => Some(cases),
                Selection::All | Selection::Except(_) => None,
            })
            .flatten()
            .collect();
        Self { job, retried, waiting: BTreeMap::new(), announced: BTreeMap::new() }
    }

    /// Takes an accepted event; returns the record that it completes.
    pub(super) fn event(&mut self, lease: &Lease, event: UnitEvent) -> Option<CaseRecord> {
        let held = lease.entries.iter().find(|held| held.index == event.entry())?;
        match event {
            UnitEvent::Announced { cases, .. } => {
                // A finished entry has a result for each of its cases.
                if held.progress != Progress::Finished {
                    self.announced.extend(cases.into_iter().map(|case| (case, held.unit.clone())));
                }
                None
            }
            UnitEvent::Case { result, .. } => self.result(lease, &held.unit, *result),
            UnitEvent::Started { .. }
            | UnitEvent::CaseStarted { .. }
            | UnitEvent::Finished { .. }
            | UnitEvent::Yielded { .. }
            | UnitEvent::Aborted { .. } => None,
        }
    }

    fn result(&mut self, lease: &Lease, unit: &str, result: CaseResult) -> Option<CaseRecord> {
        self.announced.remove(&result.case);
        let empty = || CaseRecord {
            job: self.job.no,
            unit: unit.to_owned(),
            shards: Vec::new(),
            attempts: Vec::new(),
        };
        let waits = self.retried.contains(&result.case);
        let case = result.case.clone();
        let mut record = self.waiting.remove(&case).unwrap_or_else(empty);
        record.shards.push(lease.holder.shard);
        record.attempts.push(result);
        if waits {
            self.waiting.insert(case, record);
            return None;
        }
        Some(record)
    }

    /// The cases that were tried more than once, and those that were announced and have no result at all.
    pub(super) fn rest(self) -> Vec<CaseRecord> {
        let (no, waiting) = (self.job.no, self.waiting);
        let unheard =
            self.announced.into_iter().filter(|(case, _)| !waiting.contains_key(case)).map(|(case, unit)| {
                CaseRecord { job: no, unit, shards: vec![0], attempts: vec![not_run(case)] }
            });
        let unheard: Vec<CaseRecord> = unheard.collect();
        waiting.into_values().chain(unheard).collect()
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
