//! Admission: which runners may start when slots are few and runs are many.
//!
//! The order is: higher priority of the run, higher priority of its project, the project with the fewest slots at
//! work, the oldest run. The first in that order is never overtaken: if it does not fit, nothing starts until it
//! does, so that wide runners are not starved by narrow ones. Only a run that its project's limit holds back is passed
//! over. Every grant counts before the next is decided.

use super::id::{JobNo, ProjectId, RunId};
use super::time::Timestamp;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A shard that wants a runner now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Job.
    pub job: JobNo,
    /// Shard.
    pub shard: u32,
    /// Slots of the runner; more than there are count as all.
    pub slots: u32,
}

/// A run that is not over, as far as admission looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRun {
    /// Run.
    pub run: RunId,
    /// Its project.
    pub project: ProjectId,
    /// Priority of the run.
    pub priority: i32,
    /// Priority of the project.
    pub project_priority: i32,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// Runs of the project that may be begun and not over; `None` = any number.
    pub concurrency: Option<u32>,
    /// Whether a runner was ever started for it.
    pub begun: bool,
    /// Slots of its runners that may be at work.
    pub taken: u32,
    /// What it wants, in the order in which it should start.
    pub wanted: Vec<Want>,
}

/// A runner that may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Run.
    pub run: RunId,
    /// Job.
    pub job: JobNo,
    /// Shard.
    pub shard: u32,
}

#[derive(Debug, Default)]
struct Share {
    taken: u32,
    begun: u32,
}

struct Candidate<'a> {
    run: &'a OpenRun,
    begun: bool,
    next: usize,
}

impl Candidate<'_> {
    fn want(&self) -> Option<&Want> {
        self.run.wanted.get(self.next)
    }

    fn allowed(&self, share: &Share) -> bool {
        self.begun || self.run.concurrency.is_none_or(|limit| share.begun < limit)
    }
}

/// The runners that may start now under a budget of `slots`, in the order in which they should.
#[must_use]
pub fn admit(runs: &[OpenRun], slots: u32) -> Vec<Grant> {
    let mut shares: BTreeMap<&ProjectId, Share> = BTreeMap::new();
    for run in runs {
        let share = shares.entry(&run.project).or_default();
        share.taken += run.taken;
        share.begun += u32::from(run.begun);
    }
    let mut free = slots.saturating_sub(shares.values().map(|share| share.taken).sum());
    let mut candidates: Vec<Candidate<'_>> = runs
        .iter()
        .filter(|run| !run.wanted.is_empty())
        .map(|run| Candidate { run, begun: run.begun, next: 0 })
        .collect();
    let mut grants = Vec::new();
    while let Some((candidate, want)) = first(&mut candidates, &shares) {
        let need = want.slots.clamp(1, slots.max(1));
        if need > free {
            break;
        }
        free -= need;
        grants.push(Grant { run: candidate.run.run, job: want.job, shard: want.shard });
        let share = shares.entry(&candidate.run.project).or_default();
        share.taken += need;
        share.begun += u32::from(!candidate.begun);
        candidate.begun = true;
        candidate.next += 1;
    }
    grants
}

/// The candidate whose turn it is, and what it wants.
fn first<'c, 'r>(
    candidates: &'c mut [Candidate<'r>],
    shares: &BTreeMap<&ProjectId, Share>,
) -> Option<(&'c mut Candidate<'r>, Want)> {
    let nothing = Share::default();
    let share = |candidate: &Candidate<'_>| shares.get(&candidate.run.project).unwrap_or(&nothing);
    candidates
        .iter_mut()
        .filter(|candidate| candidate.allowed(share(candidate)))
        .filter_map(|candidate| candidate.want().copied().map(|want| (candidate, want)))
        .min_by_key(|(candidate, _)| {
            let run = candidate.run;
            let first = (Reverse(run.priority), Reverse(run.project_priority));
            (first, share(candidate).taken, run.queued_at, run.run)
        })
}

#[cfg(test)]
mod tests;
