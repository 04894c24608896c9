//! One leased entry on its way: what was announced, what has a result, what is left for a fresh process.
//!
//! Pure bookkeeping between slot messages and the sink. Each announced case gets exactly one result, whatever
//! happens to the processes that run it.

use super::protocol::{ResultLine, junit_names};
use crate::driver::{CaseFilter, Sink};
use shared::domain::case::{CaseId, CaseResult, Failure};
use shared::domain::outcome::Outcome;
use shared::domain::time::Timestamp;
use shared::domain::unit::{LeasedEntry, Selection, UnitEvent};
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Why a process did not come to the end of its work.
pub(super) struct Mishap {
    /// `Crashed` or `TimedOut`.
    pub(super) outcome: Outcome,
    /// Machine code.
    pub(super) kind: String,
    /// What happened, as a sentence without its subject.
    pub(super) clause: String,
    /// What the process printed last.
    pub(super) detail: String,
}

/// What to do after a process ended early.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Run the rest in a fresh process.
    GoOn,
    /// Everything has its result.
    Over,
    /// The entry cannot be brought to an end here.
    Abort(String),
}

/// Bookkeeping of one entry.
pub(super) struct Task<'a> {
    leased: &'a LeasedEntry,
    filter: &'a CaseFilter,
    slot: u32,
    alone: bool,
    began: Instant,
    /// Announced cases without a result; `None` before the announcement.
    remaining: Option<BTreeSet<CaseId>>,
    /// What the present process collected, by its numbers.
    collected: Vec<CaseId>,
    running: Option<usize>,
    running_since: Timestamp,
    cases_us: u64,
    /// How many cases were announced, how long that took, and since when they run.
    announced: Option<usize>,
    collecting: Duration,
    ran_since: Instant,
}

/// Fewer cases than this are not shared…
const SHARED_CASES: usize = 4;
/// …nor less time than this…
const SHARED_TIME: Duration = Duration::from_millis(200);
/// …nor less than so many collections of the file.
const SHARED_COLLECTIONS: u32 = 3;

impl<'a> Task<'a> {
    pub(super) fn new(leased: &'a LeasedEntry, filter: &'a CaseFilter, slot: u32, alone: bool) -> Self {
        Self {
            leased,
            filter,
            slot,
            alone,
            began: Instant::now(),
            remaining: None,
            collected: Vec::new(),
            running: None,
            running_since: now(),
            cases_us: 0,
            announced: None,
            collecting: Duration::ZERO,
            ran_since: Instant::now(),
        }
    }

    /// The unit to collect.
    pub(super) fn unit(&self) -> &'a str {
        &self.leased.entry.unit
    }

    /// Whether each start is to be announced.
    pub(super) fn careful(&self) -> bool {
        self.leased.entry.careful
    }

    /// The case that runs, if it is known.
    pub(super) fn suspect(&self) -> Option<CaseId> {
        self.running.and_then(|index| self.collected.get(index)).cloned()
    }

    /// Whether every announced case has its result.
    pub(super) fn is_over(&self) -> bool {
        self.remaining.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// Takes what a process collected; announces the cases the first time and says which of them to run.
    pub(super) fn choose(
        &mut self,
        cases: Vec<String>,
        errors: usize,
        deselected: u32,
        sink: &mut dyn Sink,
    ) -> Option<Vec<usize>> {
        self.collected = cases.into_iter().map(CaseId).collect();
        self.running = None;
        if let Some(remaining) = &self.remaining {
            let picks: Vec<usize> = self.indexes(|_, case| remaining.contains(case));
            self.settle_missing(&picks, sink);
            return Some(picks);
        }
        let mut filtered = 0;
        let chosen = self.leased.entry.selection.compile();
        let mut picks = self.indexes(|index, case| {
            // An error hides the cases behind it, so no filter may hide the error.
            let kept = chosen.keeps(case) && (index < errors || (self.filter)(case));
            filtered += u32::from(chosen.keeps(case) && !kept);
            kept
        });
        if picks.is_empty() && filtered == 0 && !self.leased.entry.promised {
            // The chosen cases are gone and the file is broken: that is why. Promised ones are the coordinator's to end.
            picks = (0..errors).collect();
            self.name_errors_apart(errors);
        }
        let announced: Vec<CaseId> = picks.iter().filter_map(|i| self.collected.get(*i)).cloned().collect();
        self.remaining = Some(announced.iter().cloned().collect());
        self.announced = Some(announced.len());
        self.collecting = self.began.elapsed();
        self.ran_since = Instant::now();
        let all = picks.len() == self.collected.len();
        self.announce(announced, deselected + filtered, sink);
        if all { None } else { Some(picks) }
    }

    /// Takes one line of results; an error says why it makes no sense.
    pub(super) fn take(&mut self, line: ResultLine, sink: &mut dyn Sink) -> Result<(), String> {
        let next = line.next;
        if let (Some(index), Some(outcome)) = (line.case, line.outcome) {
            let Some(case) = self.collected.get(index).cloned() else {
                return Err(format!("a result for case {index} of {}", self.collected.len()));
            };
            self.cases_us = self.cases_us.saturating_add(line.duration_us);
            let result = CaseResult {
                case,
                class: line.class,
                name: line.name,
                file: line.file,
                line: line.line,
                attempt: self.leased.entry.attempt,
                outcome,
                started_at: Timestamp(line.started_ms),
                duration_us: line.duration_us,
                slot: self.slot,
                alone: self.alone,
                failure: line.failure,
                reason: line.reason,
                output: line.output,
            };
            self.running = None;
            self.settle(result, sink)?;
        }
        if let Some(index) = next {
            self.running = Some(index);
            self.running_since = now();
            if let Some(case) = self.suspect().filter(|_| self.careful()) {
                sink.event(UnitEvent::CaseStarted { entry: self.leased.index, case });
                sink.flush();
            }
        }
        Ok(())
    }

    /// Takes the early end of a process.
    pub(super) fn fail(&mut self, mishap: &Mishap, sink: &mut dyn Sink) -> After {
        if self.is_over() {
            return After::Over;
        }
        let running = self.suspect();
        self.running = None;
        let collecting = std::mem::take(&mut self.collected).is_empty();
        match (running, self.remaining.clone()) {
            (Some(case), _) => self.blame(case, mishap, "while this case ran", sink),
            (None, None) => return self.fail_collection(mishap, sink),
            (None, Some(remaining)) if collecting => {
                for case in remaining {
                    self.blame(case, mishap, "while its file was collected again", sink);
                }
            }
            (None, Some(_)) => {
                return After::Abort(format!("the process {} between two cases", mishap.clause));
            }
        }
        if self.is_over() { After::Over } else { After::GoOn }
    }

    /// The last event, once everything has its result.
    pub(super) fn finished(&self) -> UnitEvent {
        UnitEvent::Finished { entry: self.leased.index, overhead_us: self.overhead_us(), at: now() }
    }

    /// The last event, if the rest is left to `idle` other slots as well.
    pub(super) fn yielded(&self, idle: u32) -> UnitEvent {
        let (overhead_us, slots) = (self.overhead_us(), idle.saturating_add(1));
        UnitEvent::Yielded { entry: self.leased.index, slots, overhead_us, at: now() }
    }

    /// Whether it pays to share what is left with slots that have nothing to do: to collect the file again costs
    /// them about what it cost here.
    pub(super) fn worth_sharing(&self) -> bool {
        let (Some(remaining), Some(announced)) = (&self.remaining, self.announced) else { return false };
        let done = announced.saturating_sub(remaining.len());
        if self.leased.entry.alone || self.careful() || remaining.len() < SHARED_CASES || done == 0 {
            return false;
        }
        let ran = self.ran_since.elapsed();
        let left = ran.mul_f64(remaining.len() as f64 / done as f64);
        left > SHARED_TIME.max(self.collecting * SHARED_COLLECTIONS)
    }

    fn overhead_us(&self) -> u64 {
        let elapsed_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        elapsed_us.saturating_sub(self.cases_us)
    }

    /// The first event.
    pub(super) fn started(&self) -> UnitEvent {
        UnitEvent::Started { entry: self.leased.index, slot: self.slot, at: now() }
    }

    /// The event for an entry that cannot be brought to an end here.
    pub(super) fn aborted(&self, reason: String) -> UnitEvent {
        UnitEvent::Aborted { entry: self.leased.index, suspect: self.suspect(), reason }
    }

    fn fail_collection(&mut self, mishap: &Mishap, sink: &mut dyn Sink) -> After {
        let whole = CaseId(self.unit().to_owned());
        let stands_for = self.leased.entry.selection.compile().keeps(&whole);
        if !stands_for && matches!(self.leased.entry.selection, Selection::Only(_)) {
            return After::Abort(format!("the process {} while the file was collected", mishap.clause));
        }
        self.remaining = Some(BTreeSet::from([whole.clone()]));
        self.announce(vec![whole.clone()], 0, sink);
        self.blame(whole, mishap, "while the file was collected", sink);
        After::Over
    }

    /// Several parts of one file may find it broken: each says so under a name of its own.
    fn name_errors_apart(&mut self, errors: usize) {
        let Selection::Only(chosen) = &self.leased.entry.selection else { return };
        let Some(first) = chosen.first() else { return };
        for error in self.collected.iter_mut().take(errors) {
            *error = error.instead_of(first);
        }
    }

    fn announce(&self, cases: Vec<CaseId>, deselected: u32, sink: &mut dyn Sink) {
        sink.event(UnitEvent::Announced { entry: self.leased.index, cases, deselected, more: false });
    }

    fn indexes(&self, mut keep: impl FnMut(usize, &CaseId) -> bool) -> Vec<usize> {
        self.collected.iter().enumerate().filter(|(i, case)| keep(*i, case)).map(|(i, _)| i).collect()
    }

    /// A case that was announced and that a second collection does not find cannot run any more.
    fn settle_missing(&mut self, picks: &[usize], sink: &mut dyn Sink) {
        let found: BTreeSet<&CaseId> = picks.iter().filter_map(|i| self.collected.get(*i)).collect();
        let missing: Vec<CaseId> =
            self.remaining.iter().flatten().filter(|case| !found.contains(case)).cloned().collect();
        for case in missing {
            let failure = Failure {
                kind: "not_collected".to_owned(),
                message: "a second collection of the file, after a crash, did not find this case again"
                    .to_owned(),
                detail: String::new(),
            };
            self.settle_failed(case, Outcome::Errored, failure, sink);
        }
    }

    fn blame(&mut self, case: CaseId, mishap: &Mishap, when: &str, sink: &mut dyn Sink) {
        let failure = Failure {
            kind: mishap.kind.clone(),
            message: format!("the process {} {when}", mishap.clause),
            detail: mishap.detail.clone(),
        };
        self.settle_failed(case, mishap.outcome, failure, sink);
    }

    fn settle_failed(&mut self, case: CaseId, outcome: Outcome, failure: Failure, sink: &mut dyn Sink) {
        let (class, name) = junit_names(&case.0);
        let file = case.0.split("::").next().map(str::to_owned);
        let duration_us = now().since_ms(self.running_since).saturating_mul(1000);
        let result = CaseResult {
            case,
            class,
            name,
            file,
            line: None,
            attempt: self.leased.entry.attempt,
            outcome,
            started_at: self.running_since,
            duration_us,
            slot: self.slot,
            alone: self.alone,
            failure: Some(failure),
            reason: None,
            output: String::new(),
        };
        // The case comes from `remaining` or was just announced, so it is waited for.
        drop(self.settle(result, sink));
    }

    fn settle(&mut self, result: CaseResult, sink: &mut dyn Sink) -> Result<(), String> {
        let known = self.remaining.as_mut().is_some_and(|remaining| remaining.remove(&result.case));
        if !known {
            return Err(format!("a result that nobody waits for, `{}`", result.case));
        }
        sink.event(UnitEvent::Case { entry: self.leased.index, result: Box::new(result) });
        Ok(())
    }
}

fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
