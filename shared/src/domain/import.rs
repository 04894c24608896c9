//! Results that ran elsewhere, as a run: cases of a report become what a runner would have said about them.
//!
//! Each suite is a job, each file or class a unit, and everything of a unit that came together an entry that was leased,
//! run and finished. So all that reads runs reads imports, and the completeness proof counts them again. Nothing is held
//! but a portion of each job, 40 bytes or so for each case seen, and results that are being told apart (`roster`).
//! Invariant: what is not taken is counted and told.

mod part;
mod roster;

pub use part::{ImportedJob, Portion};

use super::id::{JobNo, RunId};
use super::parse::ReportCase;
use super::sanitise::cut_text;
use super::time::Timestamp;
use part::Part;
use std::collections::BTreeMap;

/// Most cases of one import.
pub const CASE_LIMIT: u64 = 1_000_000;
/// Most suites of one import: each is a job.
pub const SUITE_LIMIT: usize = 32;
/// The suite of a report that has no name, if the importer gave none.
pub const NAMELESS: &str = "imported";
const NAME_LIMIT_BYTES: usize = 100;

/// An import that is under way.
#[derive(Debug)]
pub struct Importer {
    run: RunId,
    at: Timestamp,
    suite: Option<String>,
    /// The suite of the last case as the report names it, and as we do: most cases have the same.
    last: (String, String),
    jobs: BTreeMap<String, Part>,
    ready: Vec<Portion>,
    accepted: u64,
    too_many: u64,
    other_suites: u64,
}

impl Importer {
    /// An import as `run`, at this time; with `suite`, everything belongs to that one.
    #[must_use]
    pub fn new(run: RunId, at: Timestamp, suite: Option<&str>) -> Self {
        let suite = suite.map(suite_name);
        let (jobs, ready) = (BTreeMap::new(), Vec::new());
        let last = (String::new(), suite_name(""));
        Self { run, at, suite, last, jobs, ready, accepted: 0, too_many: 0, other_suites: 0 }
    }

    /// Cases taken so far, repetitions included.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Takes the next case of the report.
    pub fn case(&mut self, case: ReportCase) {
        if self.accepted >= CASE_LIMIT {
            self.too_many += 1;
            return;
        }
        if self.suite.is_none() && self.last.0 != case.suite {
            self.last = (case.suite.clone(), suite_name(&case.suite));
        }
        let name = self.suite.clone().unwrap_or_else(|| self.last.1.clone());
        if !self.jobs.contains_key(&name) && !self.add(&name) {
            self.other_suites += 1;
            return;
        }
        self.accepted += 1;
        if let Some(part) = self.jobs.get_mut(&name) {
            self.ready.extend(part.case(case));
        }
    }

    fn add(&mut self, name: &str) -> bool {
        let no = u32::try_from(self.jobs.len() + 1).unwrap_or(u32::MAX);
        let room = self.jobs.len() < SUITE_LIMIT;
        if room {
            self.jobs.insert(name.to_owned(), Part::new(self.run, JobNo(no), self.at));
        }
        room
    }

    /// What is complete and waits to be stored.
    pub fn take(&mut self) -> Vec<Portion> {
        std::mem::take(&mut self.ready)
    }

    /// Ends the report; what is left then waits to be stored.
    pub fn finish(&mut self) {
        if self.jobs.is_empty() {
            let name = self.suite.clone().unwrap_or_else(|| NAMELESS.to_owned());
            self.add(&name);
        }
        for part in self.jobs.values_mut() {
            self.ready.extend(part.finish());
        }
    }

    /// What was not taken although it could be read, in words.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        let mut refused = Vec::new();
        if self.too_many > 0 {
            refused
                .push(format!("{} cases after the first {CASE_LIMIT}: import them in parts", self.too_many));
        }
        if self.other_suites > 0 {
            let count = self.other_suites;
            refused.push(format!("{count} cases of more than {SUITE_LIMIT} suites: name one with `suite`"));
        }
        refused
    }

    /// The jobs, by number.
    #[must_use]
    pub fn into_jobs(self) -> Vec<ImportedJob> {
        let mut jobs: Vec<ImportedJob> =
            self.jobs.into_iter().map(|(name, part)| part.into_job(name)).collect();
        jobs.sort_by_key(|job| job.no);
        jobs
    }
}

/// A name as it may be part of keys and pages.
fn suite_name(text: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || " ._-+/:=,@()[]".contains(c);
    let plain: String = text.trim().chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    match plain.trim() {
        "" => NAMELESS.to_owned(),
        name => cut_text(name, NAME_LIMIT_BYTES).replace('\n', " "),
    }
}

#[cfg(test)]
mod tests;
