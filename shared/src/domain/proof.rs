//! The completeness proof: every entry closed once, every case planned once and ended once.
//!
//! The ledger is fed everything that was accepted, lease by lease in the order of their epochs, and compares
//! it with the counters that were kept on the way. It holds 24 bytes or so per case and no text.

use super::case::{CaseId, CaseResult};
use super::outcome::{Counts, Outcome};
use super::queue::Queue;
use super::queue::lease::{Lease, LeaseStatus, Progress};
use super::unit::UnitEvent;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// How many contradictions are told in words.
const TOLD: usize = 20;

/// A case in 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CaseKey(u128);

impl CaseKey {
    /// The key of a case.
    #[must_use]
    pub fn of(case: &CaseId) -> Self {
        let digest = Sha256::digest(case.0.as_bytes());
        Self(digest.iter().take(16).fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte)))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    attempts: u32,
    last: Option<Outcome>,
}

/// Everything that was accepted for one job, added up again from nothing.
#[derive(Debug, Default)]
pub struct Ledger {
    closed: Vec<u8>,
    cases: BTreeMap<CaseKey, Mark>,
    pieces: BTreeMap<u32, Vec<CaseId>>,
    problems: Vec<String>,
}

impl Ledger {
    /// A ledger for a queue of `len` entries.
    #[must_use]
    pub fn new(len: u32) -> Self {
        Self { closed: vec![0; len as usize], ..Self::default() }
    }

    /// Takes the end of a lease and the verdicts stored in it.
    pub fn lease(&mut self, lease: &Lease) {
        for held in &lease.entries {
            let closed = match held.progress {
                Progress::Waiting => false,
                Progress::Started | Progress::Announced => lease.status != LeaseStatus::Active,
                Progress::Finished | Progress::Aborted => true,
            };
            if closed {
                match self.closed.get_mut(held.index as usize) {
                    Some(times) => *times = times.saturating_add(1),
                    None => self.problem(format!("entry {} does not exist", held.index)),
                }
            }
        }
        for event in &lease.verdicts {
            if let UnitEvent::Case { result, .. } = event {
                self.cases.entry(CaseKey::of(&result.case)).or_default();
                self.result(result);
            }
        }
    }

    /// Takes one accepted event of `lease`.
    pub fn event(&mut self, lease: &Lease, event: &UnitEvent) {
        match event {
            UnitEvent::Announced { entry, cases, more, .. } => {
                if *more {
                    self.pieces.entry(*entry).or_default().extend(cases.iter().cloned());
                    return;
                }
                let promised = lease.entries.iter().any(|held| held.index == *entry && held.promised);
                for case in self.pieces.remove(entry).unwrap_or_default().iter().chain(cases) {
                    self.planned(case, promised);
                }
            }
            UnitEvent::Case { result, .. } => self.result(result),
            UnitEvent::Started { .. }
            | UnitEvent::CaseStarted { .. }
            | UnitEvent::Finished { .. }
            | UnitEvent::Yielded { .. }
            | UnitEvent::Aborted { .. } => {}
        }
    }

    fn planned(&mut self, case: &CaseId, promised: bool) {
        let known = match self.cases.entry(CaseKey::of(case)) {
            Entry::Occupied(_) => true,
            Entry::Vacant(place) => {
                place.insert(Mark::default());
                false
            }
        };
        if known != promised {
            let what = if promised { "was never announced before" } else { "is announced by two units" };
            self.problem(format!("case `{case}` {what}"));
        }
    }

    fn result(&mut self, result: &CaseResult) {
        let Some(mark) = self.cases.get_mut(&CaseKey::of(&result.case)) else {
            return self.problem(format!("case `{}` has a result but was never announced", result.case));
        };
        let expected = mark.attempts + 1;
        mark.attempts = expected;
        mark.last = Some(result.outcome);
        if result.attempt != expected {
            self.problem(format!(
                "case `{}` has a result for attempt {} where {expected} was due",
                result.case, result.attempt
            ));
        }
    }

    fn problem(&mut self, text: String) {
        if self.problems.len() < TOLD {
            self.problems.push(text);
        }
    }

    /// How often a case was attempted.
    #[must_use]
    pub fn attempts(&self, case: &CaseId) -> u32 {
        self.cases.get(&CaseKey::of(case)).map_or(0, |mark| mark.attempts)
    }

    /// Cases by final outcome. A case that was announced and then never found again is errored.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for mark in self.cases.values() {
            counts.announce(1);
            counts.settle(mark.last.unwrap_or(Outcome::Errored));
            if mark.last == Some(Outcome::Passed) && mark.attempts > 1 {
                counts.flaky += 1;
            }
        }
        counts
    }

    /// Everything that contradicts `queue`; empty if and only if the job is proven complete.
    #[must_use]
    pub fn contradictions(&self, queue: &Queue) -> Vec<String> {
        let mut found = self.problems.clone();
        let wrong = self.closed.iter().filter(|times| **times != 1).count();
        if wrong > 0 {
            found.push(format!("{wrong} of {} entries were not closed exactly once", self.closed.len()));
        }
        if !queue.counts.conserved() || queue.counts.outstanding > 0 {
            found.push(format!("{} announced cases have no outcome", queue.counts.outstanding));
        }
        let counted = self.counts();
        if counted != queue.counts {
            found.push(format!("the results add up to {counted:?}, the counters say {:?}", queue.counts));
        }
        found
    }
}
