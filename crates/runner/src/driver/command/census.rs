//! Two passes over the reports: count and name the cases, then hand them out.
//!
//! Between the passes only a fingerprint and a few counters are kept for each case, and the ids until they are
//! announced, so memory does not follow the size of the reports.

use super::reports::Report;
use crate::driver::CaseFilter;
use crate::driver::telling::Telling;
use crate::parse::{ReportCase, Severity, identity};
use shared::domain::case::{CaseId, CaseResult};
use shared::domain::outcome::Outcome;
use shared::domain::time::Timestamp;
use shared::domain::unit::{Chosen, Selection};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// What is known of all cases with one id.
#[derive(Default)]
struct Tally {
    count: u32,
    seen: u32,
    failures: u32,
    report: u32,
    last: Option<Outcome>,
    /// Every repetition came in the same report after a failure: a tool that retries, last attempt wins.
    retried: bool,
}

impl Tally {
    fn add(&mut self, outcome: Outcome, report: u32) {
        if let Some(last) = self.last {
            self.retried &= last.is_failure() && self.report == report;
        } else {
            self.retried = true;
        }
        (self.last, self.report) = (Some(outcome), report);
        self.count += 1;
        self.failures += u32::from(outcome.is_failure());
    }

    /// Whether a failure is told: of a retried case only the last attempt counts.
    fn is_failure(&self) -> bool {
        if self.is_retry() { self.last.is_some_and(Outcome::is_failure) } else { self.failures > 0 }
    }

    fn is_retry(&self) -> bool {
        self.count > 1 && self.retried && self.last != Some(Outcome::Skipped)
    }
}

/// Two independent hashes: a million ids do not collide.
fn fingerprint(id: &str) -> (u64, u64) {
    let hash = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        id.hash(&mut hasher);
        hasher.finish()
    };
    (hash(1), hash(2))
}

fn variant(id: &str, number: u32) -> CaseId {
    CaseId(if number <= 1 { id.to_owned() } else { format!("{id}#{number}") })
}

/// The first pass.
pub(super) struct Census<'s> {
    selection: &'s Selection,
    chosen: Chosen<'s>,
    filter: &'s CaseFilter,
    tallies: HashMap<(u64, u64), Tally>,
    ids: Vec<CaseId>,
    reports: u32,
    /// Cases of all reports, chosen or not.
    pub(super) cases: u64,
    /// What is wrong with the reports, by name of the file.
    pub(super) faults: Vec<String>,
}

/// What will be told.
pub(super) struct Plan {
    /// Every case that gets a result, each once.
    pub(super) announced: Vec<CaseId>,
    /// Cases that the run's filter left out.
    pub(super) deselected: u64,
    /// The case that stands for the command itself, if it is told.
    pub(super) command: Option<CaseId>,
    /// Asked for, not reported, and the run was not sound: errored, not dropped.
    pub(super) unseen: Vec<CaseId>,
}

impl<'s> Census<'s> {
    pub(super) fn new(selection: &'s Selection, filter: &'s CaseFilter) -> Self {
        Self {
            selection,
            chosen: selection.compile(),
            filter,
            tallies: HashMap::new(),
            ids: Vec::new(),
            reports: 0,
            cases: 0,
            faults: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, report: &Report) {
        self.reports += 1;
        let read = report.read(&mut |case| self.add(&case));
        let faults = read.issues.iter().filter(|issue| issue.severity == Severity::Fault);
        self.faults.extend(faults.map(|issue| format!("report `{}`, {issue}", report.name)));
    }

    /// Whether any case of the reports, chosen or not, is told as a failure.
    pub(super) fn has_failures(&self) -> bool {
        self.tallies.values().any(Tally::is_failure)
    }

    fn add(&mut self, case: &ReportCase) {
        let id = identity::of(case);
        let tally = self.tallies.entry(fingerprint(&id)).or_default();
        tally.add(case.outcome, self.reports);
        self.cases += 1;
        if tally.count == 1 {
            self.ids.push(CaseId(id));
        }
    }

    /// What is to be told, given the id that stands for the command, whether something is wrong, and whether it
    /// neither was to write a report nor did.
    pub(super) fn plan(&mut self, command: CaseId, wrong: bool, bare: bool) -> Plan {
        let (mut announced, mut deselected) = (Vec::with_capacity(self.ids.len()), 0);
        for id in std::mem::take(&mut self.ids) {
            let variants = match self.tallies.get(&fingerprint(&id.0)) {
                Some(tally) if !tally.is_retry() => tally.count,
                _ => 1,
            };
            for number in 1..=variants {
                let id = variant(&id.0, number);
                if !(self.filter)(&id) {
                    deselected += 1;
                } else if self.chosen.keeps(&id) {
                    announced.push(id);
                }
            }
        }
        let asked = matches!(self.selection, Selection::Only(cases) if cases.contains(&command));
        // Without any report to be had, the command is a case like any other.
        let left_out = bare && !(self.filter)(&command);
        deselected += u64::from(left_out);
        let tell = !left_out && (asked || ((wrong || bare) && self.chosen.keeps(&command)));
        let mut unseen = Vec::new();
        if let Selection::Only(cases) = self.selection
            && wrong
        {
            let seen: std::collections::BTreeSet<&CaseId> = announced.iter().collect();
            unseen = cases.iter().filter(|id| **id != command && !seen.contains(id)).cloned().collect();
        }
        announced.extend(unseen.iter().cloned());
        announced.extend(tell.then(|| command.clone()));
        Plan { announced, deselected, command: tell.then_some(command), unseen }
    }

    /// The id under which this occurrence is told, if it is.
    fn place(&mut self, id: &str) -> Option<(CaseId, u32)> {
        let tally = self.tallies.get_mut(&fingerprint(id))?;
        tally.seen += 1;
        let (number, attempts) = match tally.is_retry() {
            true if tally.seen < tally.count => return None,
            true => (1, tally.count),
            false if tally.seen > tally.count => return None,
            false => (tally.seen, 1),
        };
        let id = variant(id, number);
        ((self.filter)(&id) && self.chosen.keeps(&id)).then_some((id, attempts))
    }
}

/// The second pass.
pub(super) struct Emitter<'t, 's, 'c> {
    telling: &'t mut Telling<'s>,
    census: Census<'c>,
    at: Timestamp,
    spent_us: u64,
}

impl<'t, 's, 'c> Emitter<'t, 's, 'c> {
    pub(super) fn new(telling: &'t mut Telling<'s>, census: Census<'c>, at: Timestamp) -> Self {
        Self { telling, census, at, spent_us: 0 }
    }

    pub(super) fn emit(&mut self, report: &Report) {
        report.read(&mut |case| self.case(case));
    }

    fn case(&mut self, case: ReportCase) {
        let started_at = self.at.plus_ms(self.spent_us / 1000);
        let duration_us = case.duration_us.unwrap_or_default();
        self.spent_us = self.spent_us.saturating_add(duration_us);
        let Some((id, attempts)) = self.census.place(&identity::of(&case)) else { return };
        let earlier = u32::try_from(case.earlier.len()).unwrap_or_default() + attempts - 1;
        let reason = match case.reason {
            None if earlier > 0 && !case.outcome.is_failure() => {
                Some(format!("passed in the tool's own attempt {}; the ones before failed", earlier + 1))
            }
            reason => reason,
        };
        let blank = self.telling.result(id, &case.class, &case.name, case.outcome);
        let (file, line, failure, output) = (case.file, case.line, case.failure, case.output);
        let result = CaseResult { file, line, started_at, duration_us, failure, reason, output, ..blank };
        self.telling.case_starts(&result.case);
        self.telling.case(result);
    }
}
