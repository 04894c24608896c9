//! Everything that was accepted for a job, case by case, added up by the checker's own rules.

use shared::domain::case::CaseId;
use shared::domain::outcome::{Counts, Outcome};
use shared::domain::queue::lease::Lease;
use shared::domain::unit::UnitEvent;
use std::collections::{BTreeMap, BTreeSet};

/// One case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CaseTally {
    pub(super) unit: String,
    pub(super) attempts: Vec<Outcome>,
}

/// All cases of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) cases: BTreeMap<CaseId, CaseTally>,
    judged: BTreeSet<(u64, usize)>,
}

impl Tally {
    pub(super) fn planned(&self) -> u64 {
        self.cases.len() as u64
    }

    /// Takes an accepted part.
    pub(super) fn part(&mut self, lease: &Lease, events: &[UnitEvent]) -> Result<(), String> {
        for event in events {
            let held = lease.entries.iter().find(|held| held.index == event.entry());
            let held =
                held.ok_or_else(|| format!("a result for entry {} outside its lease", event.entry()))?;
            match event {
                UnitEvent::Announced { cases, .. } => {
                    for case in cases {
                        if self.cases.contains_key(case) != held.promised {
                            return Err(format!("case `{case}`: planned twice, or promised and unknown"));
                        }
                        self.cases.entry(case.clone()).or_default().unit.clone_from(&held.unit);
                    }
                }
                UnitEvent::Case { result, .. } => {
                    self.result(&result.case, result.attempt, result.outcome)?;
                }
                UnitEvent::Started { .. }
                | UnitEvent::CaseStarted { .. }
                | UnitEvent::Finished { .. }
                | UnitEvent::Yielded { .. }
                | UnitEvent::Aborted { .. } => {}
            }
        }
        Ok(())
    }

    /// Takes the results that the coordinator gave, each once.
    pub(super) fn verdicts(&mut self, lease: &Lease) -> Result<(), String> {
        for (number, event) in lease.verdicts.iter().enumerate() {
            if !self.judged.insert((lease.epoch, number)) {
                continue;
            }
            if let UnitEvent::Case { entry, result } = event {
                let unit = lease.entries.iter().find(|held| held.index == *entry).map(|held| &held.unit);
                let case = self.cases.entry(result.case.clone()).or_default();
                case.unit.clone_from(unit.unwrap_or(&String::new()));
                self.result(&result.case, result.attempt, result.outcome)?;
            }
        }
        Ok(())
    }

    fn result(&mut self, case: &CaseId, attempt: u32, outcome: Outcome) -> Result<(), String> {
        let known = self.cases.get_mut(case).ok_or_else(|| format!("a result for unknown case `{case}`"))?;
        known.attempts.push(outcome);
        if known.attempts.len() != attempt as usize {
            return Err(format!("case `{case}`: attempt {attempt} as number {}", known.attempts.len()));
        }
        Ok(())
    }

    /// The counts of a job in which nothing is outstanding.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for case in self.cases.values() {
            let last = case.attempts.last().copied().unwrap_or(Outcome::Errored);
            counts.announce(1);
            counts.settle(last);
            counts.flaky += u64::from(last == Outcome::Passed && case.attempts.len() > 1);
        }
        counts
    }
}
