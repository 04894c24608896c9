//! Tells apart what several results with one id mean: attempts of a tool that retries, or other cases of that name.
//!
//! A result that follows failures only may be another attempt. It is held until that is sure: the end of the report, or a
//! further result after one that did not fail, which shows that these are different cases. If too much is held, the
//! answer is the careful one: different cases, so that the failure stays a failure.

use crate::domain::case::{CaseId, CaseResult};
use crate::domain::outcome::Outcome;
use crate::domain::proof::CaseKey;
use std::collections::BTreeMap;

/// Most text of results that are held.
const HELD_LIMIT_BYTES: usize = 2 * 1024 * 1024;

/// The attempts at a case that came together; at least one.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) unit: String,
    /// What the case came to before these, if they are further attempts.
    pub(super) before: Option<Outcome>,
    pub(super) attempts: Vec<CaseResult>,
}

impl Told {
    fn id(&self) -> CaseId {
        self.attempts.first().map_or_else(|| CaseId(String::new()), |first| first.case.clone())
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.attempts.last().map_or(Outcome::Errored, |last| last.outcome)
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let texts = |result: &CaseResult| {
            let failure =
                result.failure.as_ref().map_or(0, |failure| failure.message.len() + failure.detail.len());
            400 + failure
                + result.output.len()
                + result.case.0.len() * 2
                + result.class.len()
                + result.name.len()
        };
        self.attempts.iter().map(texts).sum()
    }

    fn renamed(mut self, id: &CaseId) -> Self {
        for result in &mut self.attempts {
            result.case = id.clone();
        }
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Every result so far failed: the next one may be another attempt.
    Failing,
    /// Failures, and then a result that is none; all but the first are held.
    Recovered,
    /// Results with this id are different cases.
    Apart,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    state: State,
    first: Outcome,
    attempts: u32,
    variants: u32,
}

/// Every id of a job.
#[derive(Debug, Default)]
pub(super) struct Roster {
    seen: BTreeMap<CaseKey, Seen>,
    held: BTreeMap<CaseId, Vec<Told>>,
    held_bytes: usize,
}

impl Roster {
    /// Takes what was told; returns what is sure by now.
    pub(super) fn place(&mut self, told: Told) -> Vec<Told> {
        let id = told.id();
        let Some(seen) = self.seen.get_mut(&CaseKey::of(&id)) else {
            self.enter(&id, &told);
            return vec![told];
        };
        let fits = self.held_bytes + told.bytes() <= HELD_LIMIT_BYTES;
        if seen.state == State::Failing && fits {
            if !told.outcome().is_failure() {
                seen.state = State::Recovered;
            }
            self.held_bytes += told.bytes();
            self.held.entry(id).or_default().push(told);
            return Vec::new();
        }
        seen.state = State::Apart;
        let mut apart = self.release(&id);
        apart.push(told);
        apart.into_iter().map(|told| self.variant(&id, told)).collect()
    }

    /// Ends the report: what is still held are attempts.
    pub(super) fn finish(&mut self) -> Vec<Told> {
        let mut sure = Vec::new();
        while let Some(id) = self.held.keys().next().cloned() {
            let told = self.release(&id);
            let skipped = told.last().is_some_and(|last| last.outcome() == Outcome::Skipped);
            let seen = self.seen.get(&CaseKey::of(&id)).copied();
            match seen {
                Some(seen) if !skipped => sure.push(further(seen, told)),
                _ => sure.extend(told.into_iter().map(|told| self.variant(&id, told))),
            }
        }
        sure
    }

    fn enter(&mut self, id: &CaseId, told: &Told) {
        let first = told.outcome();
        let state = if first.is_failure() { State::Failing } else { State::Apart };
        let attempts = u32::try_from(told.attempts.len()).unwrap_or(u32::MAX);
        self.seen.insert(CaseKey::of(id), Seen { state, first, attempts, variants: 1 });
    }

    fn release(&mut self, id: &CaseId) -> Vec<Told> {
        let told = self.held.remove(id).unwrap_or_default();
        self.held_bytes = self.held_bytes.saturating_sub(told.iter().map(Told::bytes).sum());
        told
    }

    /// Another case of the same name, under an id of its own.
    fn variant(&mut self, id: &CaseId, told: Told) -> Told {
        loop {
            let Some(seen) = self.seen.get_mut(&CaseKey::of(id)) else { return told };
            seen.variants += 1;
            let other = CaseId(format!("{id}#{}", seen.variants));
            if !self.seen.contains_key(&CaseKey::of(&other)) {
                let told = told.renamed(&other);
                self.enter(&other, &told);
                if let Some(seen) = self.seen.get_mut(&CaseKey::of(&other)) {
                    seen.state = State::Apart;
                }
                return told;
            }
        }
    }
}

/// Held results as the attempts that follow the first one.
fn further(seen: Seen, told: Vec<Told>) -> Told {
    let unit = told.first().map(|told| told.unit.clone()).unwrap_or_default();
    let mut attempts: Vec<CaseResult> = told.into_iter().flat_map(|told| told.attempts).collect();
    for (number, result) in (seen.attempts.saturating_add(1)..).zip(&mut attempts) {
        result.attempt = number;
    }
    Told { unit, before: Some(seen.first), attempts }
}
