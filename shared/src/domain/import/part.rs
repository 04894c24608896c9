//! One job of an import: results into entries of a queue, leases and the events that a runner would have sent.

use super::roster::{Roster, Told};
use crate::domain::case::{CaseId, CaseResult, Failure};
use crate::domain::id::{JobNo, LeaseId, RunId, ShardAttempt};
use crate::domain::outcome::Outcome;
use crate::domain::parse::{ReportCase, identity};
use crate::domain::queue::lease::{Held, Lease, LeaseStatus, Progress};
use crate::domain::queue::{Policy, Queue};
use crate::domain::sanitise::cut_text;
use crate::domain::time::Timestamp;
use crate::domain::unit::{Entry, LeasedEntry, Selection, UnitEvent};
use std::collections::{BTreeMap, BTreeSet};

/// A portion is complete with so much text, …
const PORTION_BYTES: usize = 512 * 1024;
/// … so many cases …
const PORTION_CASES: usize = 2_000;
/// … or so many units: a lease is a small document.
const PORTION_UNITS: usize = 60;
/// Parts of one lease.
const LEASE_PARTS: u32 = 50;
/// After so many entries, a portion has one unit for all that is new: the list of entries is held.
const ENTRY_LIMIT: u32 = 20_000;
/// That unit.
const OTHERS: &str = "(others)";
const UNIT_LIMIT_BYTES: usize = 200;
const MESSAGE_LIMIT_BYTES: usize = 8 * 1024;
const KIND_LIMIT_BYTES: usize = 200;

/// Events to be stored as one part of a lease.
#[derive(Debug, Clone)]
pub struct Portion {
    /// The lease, as far as its part is concerned.
    pub lease: Lease,
    /// Number of the part.
    pub part: u32,
    /// The events.
    pub events: Vec<UnitEvent>,
}

/// A job whose results are all stored.
#[derive(Debug, Clone)]
pub struct ImportedJob {
    /// Number.
    pub no: JobNo,
    /// Name of its suite.
    pub name: String,
    /// Its queue, drained.
    pub queue: Queue,
    /// Its leases, completed.
    pub leases: Vec<Lease>,
    /// Entries of further attempts in groups, each with the number of its first.
    pub appended: Vec<(u32, Vec<Entry>)>,
}

/// A job under way.
#[derive(Debug)]
pub(super) struct Part {
    holder: ShardAttempt,
    at: Timestamp,
    spent_us: u64,
    roster: Roster,
    pending: Vec<Told>,
    pending_bytes: usize,
    units: BTreeSet<String>,
    queue: Queue,
    lease: Option<Lease>,
    leases: Vec<Lease>,
    appended: Vec<(u32, Vec<Entry>)>,
}

impl Part {
    pub(super) fn new(run: RunId, job: JobNo, at: Timestamp) -> Self {
        Self {
            holder: ShardAttempt { run, job, shard: 1, attempt: 1 },
            at,
            spent_us: 0,
            roster: Roster::default(),
            pending: Vec::new(),
            pending_bytes: 0,
            units: BTreeSet::new(),
            queue: Queue::new(0, 0, Policy { retries: 0, fail_fast: None }),
            lease: None,
            leases: Vec::new(),
            appended: Vec::new(),
        }
    }

    pub(super) fn case(&mut self, case: ReportCase) -> Option<Portion> {
        let told = self.told(case);
        for told in self.roster.place(told) {
            self.wait(told);
        }
        let full = self.pending_bytes >= PORTION_BYTES
            || self.pending.len() >= PORTION_CASES
            || self.units.len() >= PORTION_UNITS;
        if full { self.portion() } else { None }
    }

    pub(super) fn finish(&mut self) -> Vec<Portion> {
        let mut portions: Vec<Portion> = self.portion().into_iter().collect();
        for told in self.roster.finish() {
            self.wait(told);
            if self.pending_bytes >= PORTION_BYTES || self.units.len() >= PORTION_UNITS {
                portions.extend(self.portion());
            }
        }
        portions.extend(self.portion());
        self.close_lease();
        portions
    }

    pub(super) fn into_job(self, name: String) -> ImportedJob {
        let queue = self.queue.timed(self.at);
        ImportedJob { no: self.holder.job, name, queue, leases: self.leases, appended: self.appended }
    }

    fn wait(&mut self, told: Told) {
        self.pending_bytes += told.bytes();
        self.units.insert(told.unit.clone());
        self.pending.push(told);
    }

    /// A case of the report as attempts; those that the tool told within it come first.
    fn told(&mut self, case: ReportCase) -> Told {
        let id = CaseId(identity::of(&case));
        let unit = unit(&case);
        let duration_us = case.duration_us.unwrap_or_default();
        let started_at = self.at.plus_ms(self.spent_us / 1000);
        self.spent_us = self.spent_us.saturating_add(duration_us);
        let blank = CaseResult {
            case: id,
            class: case.class,
            name: case.name,
            file: case.file,
            line: case.line,
            attempt: 1,
            outcome: Outcome::Failed,
            started_at,
            duration_us: 0,
            slot: 1,
            alone: false,
            failure: None,
            reason: None,
            output: String::new(),
        };
        let mut attempts: Vec<CaseResult> = (1..)
            .zip(case.earlier)
            .map(|(attempt, failure)| CaseResult { attempt, failure: Some(fitted(failure)), ..blank.clone() })
            .collect();
        let attempt = u32::try_from(attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let failure = case.outcome.is_failure().then(|| fitted(case.failure.unwrap_or_default()));
        let (outcome, reason, output) = (case.outcome, case.reason, case.output);
        attempts.push(CaseResult { attempt, outcome, duration_us, failure, reason, output, ..blank });
        Told { unit, before: None, attempts }
    }

    /// Everything that waits, as one part of the lease.
    fn portion(&mut self) -> Option<Portion> {
        let waiting = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.units.clear();
        if waiting.is_empty() {
            return None;
        }
        let crowded = self.queue.len >= ENTRY_LIMIT;
        let mut rounds: BTreeMap<(u32, String), Vec<CaseResult>> = BTreeMap::new();
        for told in waiting {
            self.count(&told);
            let unit = if crowded { OTHERS.to_owned() } else { told.unit };
            for result in told.attempts {
                rounds.entry((result.attempt, unit.clone())).or_default().push(result);
            }
        }
        let mut lease = self.lease.take().unwrap_or_else(|| self.grant());
        let part = lease.next_part;
        lease.next_part += 1;
        let (mut events, mut again) = (Vec::new(), Vec::new());
        let mut first_again = None;
        for ((attempt, unit), results) in rounds {
            let index = self.queue.len;
            let entry = entry(&unit, attempt, &results);
            events.extend(self.entry(&mut lease, &LeasedEntry { index, entry: entry.clone() }, results));
            if attempt > 1 {
                first_again.get_or_insert(index);
                again.push(entry);
            }
        }
        self.appended.extend(first_again.map(|first| (first, again)));
        let head = Lease { entries: Vec::new(), ..lease.clone() };
        let full = lease.entries.len() >= PORTION_UNITS || lease.next_part >= LEASE_PARTS;
        self.lease = Some(lease);
        if full {
            self.close_lease();
        }
        Some(Portion { lease: head, part, events })
    }

    fn count(&mut self, told: &Told) {
        let counts = &mut self.queue.counts;
        match told.before {
            None => {
                counts.announce(1);
                counts.settle(told.outcome());
            }
            Some(before) => counts.resettle(before, told.outcome()),
        }
        let attempts = told.attempts.last().map_or(1, |last| last.attempt);
        counts.flaky += u64::from(attempts > 1 && told.outcome() == Outcome::Passed);
        self.queue.retried += u64::from(attempts > 1);
    }

    /// An entry that was begun and finished: what is remembered of it, and what its slot would have said.
    fn entry(&mut self, lease: &mut Lease, leased: &LeasedEntry, results: Vec<CaseResult>) -> Vec<UnitEvent> {
        self.queue.len += 1;
        self.queue.closed += 1;
        let entry = leased.index;
        let begun = results.first().map_or(self.at, |first| first.started_at);
        let ended = begun.plus_ms(results.iter().map(|result| result.duration_us).sum::<u64>() / 1000);
        let count = u32::try_from(results.len()).unwrap_or(u32::MAX);
        lease.entries.push(Held {
            progress: Progress::Finished,
            announced: count,
            resulted: count,
            started_at: Some(begun),
            finished_at: Some(ended),
            ..Held::new(leased)
        });
        let cases = results.iter().map(|result| result.case.clone()).collect();
        let mut events = vec![
            UnitEvent::Started { entry, slot: 1, at: begun },
            UnitEvent::Announced { entry, cases, deselected: 0, more: false },
        ];
        events.extend(results.into_iter().map(|result| UnitEvent::Case { entry, result: Box::new(result) }));
        events.push(UnitEvent::Finished { entry, overhead_us: 0, at: ended });
        events
    }

    fn grant(&mut self) -> Lease {
        self.queue.epoch += 1;
        let epoch = self.queue.epoch;
        Lease {
            id: self.lease_id(epoch),
            holder: self.holder,
            slot: 1,
            epoch,
            granted_at: self.at,
            ended_at: Some(self.at),
            status: LeaseStatus::Completed,
            entries: Vec::new(),
            next_part: 0,
            verdicts: Vec::new(),
            verdict_blobs: Vec::new(),
            closing: String::new(),
        }
    }

    fn lease_id(&self, epoch: u64) -> LeaseId {
        self.holder.lease_id(&format!("import-{epoch}"))
    }

    fn close_lease(&mut self) {
        self.leases.extend(self.lease.take());
    }
}

/// What the entry of some results was.
fn entry(unit: &str, attempt: u32, results: &[CaseResult]) -> Entry {
    let mut entry = Entry::whole(unit, 0);
    if attempt > 1 {
        entry.selection = Selection::Only(results.iter().map(|result| result.case.clone()).collect());
        entry.attempt = attempt;
        entry.promised = true;
    }
    entry
}

/// The unit of a case: its file, or its class, or the suite as a whole.
fn unit(case: &ReportCase) -> String {
    let named = case.file.as_deref().filter(|file| !file.is_empty()).unwrap_or(&case.class);
    let named = if named.is_empty() { NO_UNIT } else { named };
    if named.len() <= UNIT_LIMIT_BYTES && !named.contains(char::is_control) {
        return named.to_owned();
    }
    let plain: String = named.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut_text(&plain, UNIT_LIMIT_BYTES).replace('\n', " ")
}

/// The unit of cases without file and class.
const NO_UNIT: &str = "(suite)";

fn fitted(failure: Failure) -> Failure {
    Failure {
        kind: cut_text(&failure.kind, KIND_LIMIT_BYTES),
        message: cut_text(&failure.message, MESSAGE_LIMIT_BYTES),
        detail: failure.detail,
    }
}
