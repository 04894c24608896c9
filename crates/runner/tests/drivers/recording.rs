//! A sink that keeps what it is told and checks the order, and the context of a job.

use runner::driver::{CaseFilter, Driver, DriverError, JobContext, LogSink, Sink};
use shared::domain::case::{CaseId, CaseResult};
use shared::domain::spec::{JobSpec, SuiteSpec};
use shared::domain::unit::{Entry, LeasedEntry, Selection, UnitEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What one entry came to.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) announced: Vec<CaseId>,
    pub(crate) deselected: u32,
    pub(crate) results: Vec<CaseResult>,
    pub(crate) aborted: Option<String>,
    pub(crate) flushes: usize,
    started: bool,
    finished: bool,
    announcements: usize,
    next: Option<CaseId>,
}

impl Sink for Recording {
    fn event(&mut self, event: UnitEvent) {
        assert_eq!(event.entry(), 5);
        assert!(!self.finished, "nothing comes after the end: {event:?}");
        match event {
            UnitEvent::Started { .. } => self.started = true,
            UnitEvent::Announced { cases, deselected, .. } => {
                assert!(self.started);
                self.announcements += 1;
                (self.announced, self.deselected) = (cases, deselected);
            }
            UnitEvent::CaseStarted { case, .. } => self.next = Some(case),
            UnitEvent::Case { result, .. } => {
                assert!(self.announced.contains(&result.case), "{} was not announced", result.case);
                assert_eq!(result.failure.is_some(), result.outcome.is_failure(), "{result:?}");
                if let Some(next) = self.next.take() {
                    assert_eq!(next, result.case);
                }
                self.results.push(*result);
            }
            UnitEvent::Finished { .. } => self.finished = true,
            UnitEvent::Yielded { .. } => panic!("nobody is idle"),
            UnitEvent::Aborted { reason, .. } => {
                self.finished = true;
                self.aborted = Some(reason);
            }
        }
    }

    fn flush(&mut self) {
        self.flushes += 1;
    }

    fn idle_slots(&self) -> u32 {
        0
    }
}

impl Recording {
    fn check(&self) {
        assert!(self.started && self.finished);
        if self.aborted.is_none() {
            assert_eq!(self.announcements, 1);
            let told: BTreeSet<&CaseId> = self.results.iter().map(|result| &result.case).collect();
            assert_eq!(told.len(), self.results.len(), "each case once");
            assert_eq!(told, self.announced.iter().collect(), "announced and told are the same");
        }
    }

    /// `outcome id` of each result, in order.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.results.iter().map(|result| format!("{} {}", result.outcome, result.case)).collect()
    }

    pub(crate) fn result(&self, id: &str) -> &CaseResult {
        self.results
            .iter()
            .find(|result| result.case.0 == id)
            .unwrap_or_else(|| panic!("no `{id}`: {:?}", self.lines()))
    }
}

/// A leased first attempt.
pub(crate) fn entry(unit: &str, selection: Selection) -> LeasedEntry {
    LeasedEntry { index: 5, entry: Entry { selection, ..Entry::whole(unit, 0) } }
}

pub(crate) fn only(cases: &[&str]) -> Selection {
    Selection::Only(cases.iter().map(|case| CaseId::from(*case)).collect())
}

/// Runs an entry in a slot of its own.
pub(crate) fn run_entry(driver: &dyn Driver, entry: &LeasedEntry) -> Result<Recording, DriverError> {
    let mut recording = Recording::default();
    driver.open_slot(1)?.run(entry, false, &mut recording)?;
    recording.check();
    Ok(recording)
}

pub(crate) fn context(root: &Path, scratch: &Path, suite: SuiteSpec) -> (JobContext, Arc<Mutex<String>>) {
    let log = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&log);
    let sink: LogSink = Arc::new(move |_name, text| kept.lock().unwrap().push_str(text));
    let filter: CaseFilter = Arc::new(|case| !case.0.contains("filtered_out"));
    let job = JobSpec { name: suite.name.clone(), suite, cell: BTreeMap::new() };
    let (root, scratch) = (root.to_path_buf(), scratch.to_path_buf());
    let env = BTreeMap::from([("FROM_JOB".to_owned(), "yes".to_owned())]);
    (JobContext { job, root, scratch, env, slots: 2, filter, log: sink }, log)
}
