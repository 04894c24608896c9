//! Accepting results: one numbered part of a lease, exactly once, event by event.
//!
//! A case leaves `outstanding` once, with its final outcome; a failing one that may be tried again stays
//! outstanding and is remembered in its entry until the entry ends, when it becomes a new entry.

use super::close::{Ending, Leftover};
use super::lease::{Held, Lease, LeaseStatus, Progress};
use super::{Queue, Rejected, Stopped};
use crate::domain::case::{CaseId, CaseResult};
use crate::domain::outcome::Outcome;
use crate::domain::unit::{Entry, Selection, UnitEvent};
use std::collections::{BTreeMap, BTreeSet};

/// Names of failed cases that wait for their retry in one lease, in bytes; beyond, a failure is final at once. A
/// unit in which hundreds of cases fail is broken, not flaky.
const REMEMBERED_BYTES: usize = 16 * 1024;

/// What acceptance needs to know beyond lease and queue.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Bodies of the promised entries that are announced, and of the entries that are aborted, in this part.
    pub bodies: BTreeMap<u32, Entry>,
    /// For entries that are aborted in this part: what earlier parts of the lease said about them.
    pub leftovers: BTreeMap<u32, Leftover>,
}

/// One accepted case, for onlookers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedCase {
    /// Place of its entry in the lease.
    pub entry: usize,
    /// Number of the event in the part.
    pub event: usize,
    /// Whether another attempt follows.
    pub retrying: bool,
}

/// The state after a part, and what must be stored with it.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The queue.
    pub queue: Queue,
    /// The lease.
    pub lease: Lease,
    /// New entries, numbered from the old `queue.len` on.
    pub appended: Vec<Entry>,
    /// Accepted cases.
    pub cases: Vec<AcceptedCase>,
    /// Cases announced for the first time.
    pub announced: u64,
}

/// How a part is met.
#[derive(Debug, Clone)]
pub enum Acceptance {
    /// It was accepted before: answer as then, change nothing.
    Duplicate,
    /// It is new.
    New(Box<Accepted>),
}

impl Queue {
    /// Accepts part `part` of `lease`. With `closing`, the lease is completed by it.
    ///
    /// # Errors
    /// `StaleLease` if the lease is over or the epoch is another; `PartGap` if a part is missing before this one;
    /// `Malformed` if the events break their documented order.
    pub fn accept(
        &self,
        lease: &Lease,
        (epoch, part): (u64, u32),
        events: &[UnitEvent],
        known: &Known,
        closing: bool,
    ) -> Result<Acceptance, Rejected> {
        if lease.epoch != epoch {
            return Err(Rejected::StaleLease);
        }
        if part < lease.next_part {
            return Ok(Acceptance::Duplicate);
        }
        if lease.status != LeaseStatus::Active {
            return Err(Rejected::StaleLease);
        }
        if part > lease.next_part {
            return Err(Rejected::PartGap { expected: lease.next_part, given: part });
        }
        let mut step = Step::new(self, lease, known);
        step.watched = watched(lease, events);
        step.lease.next_part += 1;
        for (number, event) in events.iter().enumerate() {
            step.event(number, event)?;
        }
        if closing {
            step.complete()?;
        }
        Ok(Acceptance::New(Box::new(step.finish())))
    }
}

pub(super) struct Step<'a> {
    pub(super) queue: Queue,
    pub(super) lease: Lease,
    pub(super) known: &'a Known,
    pub(super) appended: Vec<Entry>,
    cases: Vec<AcceptedCase>,
    announced: u64,
    seen: BTreeMap<u32, Leftover>,
    /// Entries of which it must be known in the end what was said about them.
    watched: BTreeSet<u32>,
}

/// Entries that end early, and promised ones: all others are over when their last result is there.
fn watched(lease: &Lease, events: &[UnitEvent]) -> BTreeSet<u32> {
    let cut =
        events.iter().filter(|event| matches!(event, UnitEvent::Aborted { .. } | UnitEvent::Yielded { .. }));
    let promised = lease.entries.iter().filter(|held| held.promised).map(|held| held.index);
    cut.map(UnitEvent::entry).chain(promised).collect()
}

impl<'a> Step<'a> {
    pub(super) fn new(queue: &Queue, lease: &Lease, known: &'a Known) -> Self {
        Self {
            queue: queue.clone(),
            lease: lease.clone(),
            known,
            appended: Vec::new(),
            cases: Vec::new(),
            announced: 0,
            seen: known.leftovers.clone(),
            watched: BTreeSet::new(),
        }
    }

    pub(super) fn finish(self) -> Accepted {
        Accepted {
            queue: self.queue,
            lease: self.lease,
            appended: self.appended,
            cases: self.cases,
            announced: self.announced,
        }
    }

    fn event(&mut self, number: usize, event: &UnitEvent) -> Result<(), Rejected> {
        let at = self.position(event.entry())?;
        if self.watched.contains(&event.entry()) {
            self.seen.entry(event.entry()).or_default().note(event);
        }
        match event {
            UnitEvent::Started { at: begun, .. } => {
                self.advance(at, Progress::Waiting, Progress::Started)?;
                self.held(at)?.started_at = Some(*begun);
                Ok(())
            }
            UnitEvent::Announced { .. } => self.announce(at, event),
            UnitEvent::CaseStarted { .. } => self.expect(at, Progress::Announced),
            UnitEvent::Case { result, .. } => self.case(at, number, result),
            UnitEvent::Finished { at: ended, .. } => {
                self.finished(at)?;
                self.held(at)?.finished_at = Some(*ended);
                Ok(())
            }
            UnitEvent::Yielded { slots, at: ended, .. } => {
                self.yielded(at, *slots)?;
                self.held(at)?.finished_at = Some(*ended);
                Ok(())
            }
            UnitEvent::Aborted { suspect, reason, .. } => self.aborted(at, suspect.as_ref(), reason),
        }
    }

    fn announce(&mut self, at: usize, event: &UnitEvent) -> Result<(), Rejected> {
        let UnitEvent::Announced { cases, deselected, more, .. } = event else { return Ok(()) };
        self.expect(at, Progress::Started)?;
        let unique: BTreeSet<&CaseId> = cases.iter().collect();
        if unique.len() != cases.len() {
            return Err(self.malformed(at, "a case is announced twice"));
        }
        let held = self.held(at)?;
        held.announced = held.announced.saturating_add(u32::try_from(cases.len()).unwrap_or(u32::MAX));
        if *more {
            return Ok(());
        }
        held.progress = Progress::Announced;
        let (promised, index, fresh) = (held.promised, held.index, u64::from(held.announced));
        if promised {
            return self.settle_vanished(at, index);
        }
        self.queue.counts.announce(fresh);
        self.queue.deselected += u64::from(*deselected);
        self.announced += fresh;
        Ok(())
    }

    /// Promised cases that this collection no longer finds get their final outcome here: that of their last
    /// attempt, or errored if they never had one.
    fn settle_vanished(&mut self, at: usize, index: u32) -> Result<(), Rejected> {
        let known = self.known;
        let Some(Entry { selection: Selection::Only(promised), previous, .. }) = known.bodies.get(&index)
        else {
            return Err(self.malformed(at, "the entry's cases are unknown"));
        };
        let announced = self.seen.get(&index).and_then(|seen| seen.announced.clone()).unwrap_or_default();
        let found: BTreeSet<&CaseId> = announced.iter().collect();
        let expected: BTreeSet<&CaseId> = promised.iter().collect();
        if found.len() != announced.len() || !found.is_subset(&expected) {
            return Err(self.malformed(at, "a case is announced that the entry does not stand for"));
        }
        for (number, case) in promised.iter().enumerate() {
            if !found.contains(case) {
                self.settle(previous.get(number).copied().unwrap_or(Outcome::Errored), false);
            }
        }
        Ok(())
    }

    fn case(&mut self, at: usize, number: usize, result: &CaseResult) -> Result<(), Rejected> {
        self.expect(at, Progress::Announced)?;
        let held = self.held(at)?;
        held.resulted += 1;
        let (over, attempt) = (held.resulted > held.announced, held.attempt);
        if over || result.attempt != attempt {
            return Err(self.malformed(at, "a result without an announced case, or of another attempt"));
        }
        let retrying = self.may_retry(result);
        if retrying {
            self.queue.retried += 1;
            self.held(at)?.again.push((result.case.clone(), result.outcome));
        } else {
            self.settle(result.outcome, attempt > 1);
        }
        self.cases.push(AcceptedCase { entry: at, event: number, retrying });
        Ok(())
    }

    /// A crash is always looked at again alone; other failures as often as the job allows.
    fn may_retry(&self, result: &CaseResult) -> bool {
        let retries = self.queue.policy.retries.max(u32::from(result.outcome == Outcome::Crashed));
        result.outcome.is_failure()
            && result.attempt <= retries
            && self.queue.retry_allowed()
            && self.remembers(&result.case)
            && self.queue.stopped.is_none()
    }

    /// Whether the lease has room to remember one more case: a lease is a small document.
    fn remembers(&self, case: &CaseId) -> bool {
        let again = self.lease.entries.iter().flat_map(|held| &held.again);
        again.map(|(case, _)| case.0.len()).sum::<usize>() + case.0.len() <= REMEMBERED_BYTES
    }

    pub(super) fn settle(&mut self, outcome: Outcome, repeated: bool) {
        self.queue.counts.settle(outcome);
        if outcome == Outcome::Passed && repeated {
            self.queue.counts.flaky += 1;
        }
        let limit = self.queue.policy.fail_fast.map(u64::from);
        if limit.is_some_and(|limit| self.queue.counts.failures() >= limit) {
            self.queue.stopped = self.queue.stopped.or(Some(Stopped::FailFast));
        }
    }

    fn finished(&mut self, at: usize) -> Result<(), Rejected> {
        self.expect(at, Progress::Announced)?;
        let held = self.held(at)?;
        if held.resulted != held.announced {
            return Err(self.malformed(at, "finished with fewer results than announced cases"));
        }
        held.progress = Progress::Finished;
        self.queue.closed += 1;
        self.append_retry(at)
    }

    fn yielded(&mut self, at: usize, slots: u32) -> Result<(), Rejected> {
        self.expect(at, Progress::Announced)?;
        let index = self.held(at)?.index;
        let leftover = self.seen.get(&index).cloned().unwrap_or_default();
        self.replace(at, &leftover, Ending::Share(slots), "")?;
        self.held(at)?.progress = Progress::Aborted;
        Ok(())
    }

    fn aborted(&mut self, at: usize, suspect: Option<&CaseId>, reason: &str) -> Result<(), Rejected> {
        let held = self.held(at)?;
        if !matches!(held.progress, Progress::Started | Progress::Announced) {
            return Err(self.malformed(at, "aborted without having been started"));
        }
        let index = held.index;
        let mut leftover = self.seen.get(&index).cloned().unwrap_or_default();
        leftover.suspect = suspect.cloned().or(leftover.suspect);
        self.replace(at, &leftover, Ending::Abort, reason)?;
        self.held(at)?.progress = Progress::Aborted;
        Ok(())
    }

    fn complete(&mut self) -> Result<(), Rejected> {
        let open = self
            .lease
            .entries
            .iter()
            .position(|held| !matches!(held.progress, Progress::Finished | Progress::Aborted));
        // Entries that a stopped job never began go back; any other open entry is the runner's mistake.
        if let Some(at) = open {
            return Err(self.malformed(at, "the lease is closed with an unfinished entry"));
        }
        self.lease.status = LeaseStatus::Completed;
        self.queue.open_leases = self.queue.open_leases.saturating_sub(1);
        Ok(())
    }

    fn position(&self, index: u32) -> Result<usize, Rejected> {
        self.lease.entries.iter().position(|held| held.index == index).ok_or_else(|| Rejected::Malformed {
            entry: index,
            detail: "the entry is not in this lease".to_owned(),
        })
    }

    pub(super) fn held(&mut self, at: usize) -> Result<&mut Held, Rejected> {
        self.lease.entries.get_mut(at).ok_or(Rejected::StaleLease)
    }

    fn expect(&self, at: usize, progress: Progress) -> Result<(), Rejected> {
        if self.lease.entries.get(at).is_some_and(|held| held.progress == progress) {
            return Ok(());
        }
        Err(self.malformed(at, "an event out of order"))
    }

    fn advance(&mut self, at: usize, from: Progress, to: Progress) -> Result<(), Rejected> {
        self.expect(at, from)?;
        self.held(at)?.progress = to;
        Ok(())
    }

    pub(super) fn malformed(&self, at: usize, detail: &str) -> Rejected {
        let entry = self.lease.entries.get(at).map_or(u32::MAX, |held| held.index);
        Rejected::Malformed { entry, detail: detail.to_owned() }
    }
}
