//! Ending what was not finished: released and lost leases, yielded and aborted entries, and crash isolation.
//!
//! Entries nobody began become free again. An entry that was begun is closed and *replaced* by a new one with
//! the cases that have no result yet. If its process died under it, the replacement runs alone and carefully;
//! if that one dies too, the case that ran is judged crashed and the rest goes on.

use super::accept::{Accepted, Known, Step};
use super::lease::{Lease, LeaseStatus, Progress};
use super::{Queue, Rejected};
use crate::domain::case::{CaseId, CaseResult, Failure};
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::domain::unit::{Entry, Selection, UnitEvent};
use crate::domain::verdict::excerpt;
use std::collections::BTreeSet;

/// How a lease ends that is not completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Its runner gave it back.
    Release,
    /// Its runner is gone for reasons outside: nobody is to blame.
    Loss,
    /// Its runner's process was seen to die: what it ran is suspect, but so is the machine.
    Crash,
    /// The driver's process died under a runner that lives: what it ran is to blame.
    Abort,
    /// So many slots share the rest.
    Share(u32),
}

/// What is known of an entry that was begun and not finished.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leftover {
    /// Its cases, if they were announced to the last.
    pub announced: Option<Vec<CaseId>>,
    /// The pieces of an announcement that is not whole yet.
    pub pieces: Vec<CaseId>,
    /// Cases with an accepted result.
    pub done: BTreeSet<CaseId>,
    /// The case that ran when the process died, if known for sure.
    pub suspect: Option<CaseId>,
}

impl Leftover {
    /// Takes note of an event of the entry.
    pub fn note(&mut self, event: &UnitEvent) {
        match event {
            UnitEvent::Announced { cases, more, .. } => {
                self.pieces.extend(cases.iter().cloned());
                if !more {
                    self.announced = Some(std::mem::take(&mut self.pieces));
                }
            }
            UnitEvent::CaseStarted { case, .. } => self.suspect = Some(case.clone()),
            UnitEvent::Case { result, .. } => {
                self.suspect = self.suspect.take().filter(|case| *case != result.case);
                self.done.insert(result.case.clone());
            }
            UnitEvent::Started { .. }
            | UnitEvent::Finished { .. }
            | UnitEvent::Yielded { .. }
            | UnitEvent::Aborted { .. } => {}
        }
    }
}

impl Queue {
    /// Ends an active lease that was not completed. `known` holds the bodies of the entries that were begun and
    /// what their accepted parts said.
    ///
    /// # Errors
    /// `StaleLease` if the lease has ended already.
    pub fn end(
        &self,
        lease: &Lease,
        ending: Ending,
        known: &Known,
        reason: &str,
        now: Timestamp,
    ) -> Result<Accepted, Rejected> {
        if lease.status != LeaseStatus::Active {
            return Err(Rejected::StaleLease);
        }
        let mut step = Step::new(self, lease, known);
        for at in 0..lease.entries.len() {
            step.end_entry(at, ending, reason)?;
        }
        step.lease.status = if ending == Ending::Release { LeaseStatus::Released } else { LeaseStatus::Lost };
        step.lease.ended_at = Some(now);
        step.queue.open_leases = step.queue.open_leases.saturating_sub(1);
        Ok(step.finish())
    }
}

impl Step<'_> {
    fn end_entry(&mut self, at: usize, ending: Ending, reason: &str) -> Result<(), Rejected> {
        let held = self.held(at)?;
        let (progress, index, predicted_ms) = (held.progress, held.index, held.predicted_ms);
        match progress {
            Progress::Waiting => {
                self.queue.free.insert(index);
                self.queue.remaining_ms += predicted_ms;
                Ok(())
            }
            Progress::Started | Progress::Announced => {
                let leftover = self.known.leftovers.get(&index).cloned().unwrap_or_default();
                self.replace(at, &leftover, ending, reason)
            }
            Progress::Finished | Progress::Aborted => Ok(()),
        }
    }

    /// Closes a begun entry and appends what must run in its place.
    pub(super) fn replace(
        &mut self,
        at: usize,
        leftover: &Leftover,
        ending: Ending,
        reason: &str,
    ) -> Result<(), Rejected> {
        let index = self.held(at)?.index;
        let known = self.known;
        let Some(body) = known.bodies.get(&index) else {
            return Err(self.malformed(at, "the entry's body is unknown"));
        };
        self.queue.closed += 1;
        self.queue.superseded += 1;
        self.append_retry(at)?;
        let mut next = remainder(body, leftover);
        if matches!(ending, Ending::Crash | Ending::Abort) {
            next.crashes += 1;
            next.runner_deaths += u32::from(ending == Ending::Crash);
        }
        // One death of a runner is no proof against a test: machines are taken away.
        if ending == Ending::Abort || (ending == Ending::Crash && next.runner_deaths > 1) {
            self.blame(&mut next, index, leftover, reason);
        }
        if matches!(ending, Ending::Crash | Ending::Abort) {
            next.alone = true;
            next.careful = true;
        }
        let slots = if let Ending::Share(slots) = ending { slots } else { 1 };
        for part in share(next, slots) {
            self.append(part);
        }
        Ok(())
    }

    /// After a second death in careful mode the case that ran is judged; if none is known because the process
    /// died before announcing, the unit itself is.
    fn blame(&mut self, next: &mut Entry, index: u32, leftover: &Leftover, reason: &str) {
        let known = self.known;
        let Some(body) = known.bodies.get(&index) else { return };
        if !body.careful {
            return;
        }
        let Selection::Only(rest) = &mut next.selection else {
            return self.blame_unit(next, index, body, reason);
        };
        if leftover.announced.is_none() {
            return self.blame_unit(next, index, body, reason);
        }
        let suspect = leftover.suspect.clone().filter(|case| rest.contains(case));
        let guilty = suspect.or_else(|| {
            // Dying again and again between cases: the next case in line answers for it, so that the run ends.
            (next.crashes > CRASH_LIMIT).then(|| rest.first().cloned()).flatten()
        });
        let Some(case) = guilty else { return };
        if let Some(position) = rest.iter().position(|other| *other == case) {
            rest.remove(position);
            if position < next.previous.len() {
                next.previous.remove(position);
            }
        }
        next.crashes = body.crashes;
        self.settle(Outcome::Crashed, false);
        self.lease.verdicts.push(crashed(body, index, case, reason));
    }

    fn blame_unit(&mut self, next: &mut Entry, index: u32, body: &Entry, reason: &str) {
        let unit = CaseId(body.unit.clone());
        // Parts of one unit answer for different cases, so that no two of them blame the same.
        let guilty = match &body.selection {
            Selection::Only(cases) => cases.clone(),
            Selection::Except(cases) if cases.contains(&unit) => Vec::new(),
            Selection::All | Selection::Except(_) => vec![unit],
        };
        if !body.promised {
            self.queue.counts.announce(guilty.len() as u64);
        }
        for case in guilty {
            self.settle(Outcome::Crashed, false);
            self.lease.verdicts.push(crashed(body, index, case, reason));
        }
        next.selection = Selection::Only(Vec::new());
    }

    /// Turns the failed cases of an entry that ends into an entry of their own, to be run alone.
    pub(super) fn append_retry(&mut self, at: usize) -> Result<(), Rejected> {
        let shard = self.lease.holder.shard;
        let held = self.held(at)?;
        let again = std::mem::take(&mut held.again);
        if again.is_empty() {
            return Ok(());
        }
        let (unit, attempt) = (held.unit.clone(), held.attempt + 1);
        let predicted_ms = held.predicted_ms / u64::from(held.announced.max(1)) * again.len() as u64;
        let (cases, previous) = again.into_iter().unzip();
        self.append(Entry {
            unit,
            selection: Selection::Only(cases),
            attempt,
            alone: true,
            careful: false,
            crashes: 0,
            runner_deaths: 0,
            promised: true,
            previous,
            predicted_ms,
            avoid_shard: Some(shard),
        });
        Ok(())
    }

    fn append(&mut self, entry: Entry) {
        self.queue.free.insert(self.queue.len);
        self.queue.len += 1;
        self.queue.remaining_ms += entry.predicted_ms;
        self.appended.push(entry);
    }
}

/// A reason is repeated in the verdict on each case: longer ones are cut.
const REASON_BYTES: usize = 400;
/// Most parts that the rest of an entry is shared in.
const SHARES: u32 = 64;
/// Deaths between cases after which the next case in line is judged.
const CRASH_LIMIT: u32 = 3;

/// What is left of an entry: everything if it was never announced, else the announced cases without a result.
fn remainder(body: &Entry, leftover: &Leftover) -> Entry {
    let mut next = body.clone();
    if let Some(announced) = &leftover.announced {
        let before: Vec<(CaseId, Outcome)> = match &body.selection {
            Selection::Only(cases) => cases.iter().cloned().zip(body.previous.iter().copied()).collect(),
            Selection::All | Selection::Except(_) => Vec::new(),
        };
        let rest: Vec<CaseId> =
            announced.iter().filter(|case| !leftover.done.contains(case)).cloned().collect();
        next.previous = rest
            .iter()
            .filter_map(|case| before.iter().find(|(other, _)| other == case).map(|(_, outcome)| *outcome))
            .collect();
        let share = rest.len() as u64;
        next.predicted_ms = body.predicted_ms * share / (announced.len() as u64).max(1);
        next.selection = Selection::Only(rest);
        next.promised = true;
    }
    next
}

/// An entry cut into at most `slots` parts of neighbouring cases; none if it stands for no case.
fn share(entry: Entry, slots: u32) -> Vec<Entry> {
    let Selection::Only(cases) = &entry.selection else { return vec![entry] };
    let slots = usize::try_from(slots.clamp(1, SHARES)).unwrap_or(1);
    let size = cases.len().div_ceil(slots).max(1);
    let total = cases.len().max(1) as u64;
    let mut previous = entry.previous.chunks(size);
    let part = |cases: &[CaseId]| Entry {
        selection: Selection::Only(cases.to_vec()),
        previous: previous.next().map(<[Outcome]>::to_vec).unwrap_or_default(),
        predicted_ms: entry.predicted_ms * cases.len() as u64 / total,
        ..entry.clone()
    };
    cases.chunks(size).map(part).collect()
}

fn crashed(body: &Entry, index: u32, case: CaseId, reason: &str) -> UnitEvent {
    let result = CaseResult {
        class: String::new(),
        name: case.0.clone(),
        case,
        file: None,
        line: None,
        attempt: body.attempt,
        outcome: Outcome::Crashed,
        started_at: Timestamp(0),
        duration_us: 0,
        slot: 0,
        alone: true,
        failure: Some(Failure {
            kind: "crashed".to_owned(),
            message: format!(
                "the process that ran it died, and died again when it ran alone: {}",
                excerpt(reason, REASON_BYTES)
            ),
            detail: String::new(),
        }),
        reason: None,
        output: String::new(),
    };
    UnitEvent::Case { entry: index, result: Box::new(result) }
}
