//! Cutting one unit into entries that together select each of its cases exactly once.

use super::{
    Details, Forecast, LISTED_PARTS, MIN_PIECE_US, OVERHEAD_FACTOR, PIECE_PARTS, SHARE_PARTS, count,
    distinct, entry,
};
use crate::domain::case::CaseId;
use crate::domain::unit::{DiscoveredUnit, Entry, Selection};
use std::collections::BTreeSet;

/// What is the same for every unit of a job.
#[derive(Debug)]
pub(super) struct Planner<'a> {
    pub(super) forecast: Forecast<'a>,
    pub(super) details: &'a Details,
    /// Total predicted time divided by slots.
    pub(super) ideal_us: u64,
}

impl Planner<'_> {
    /// The entries of a unit; `chosen` limits it to some cases.
    pub(super) fn unit(&self, unit: &DiscoveredUnit, chosen: Option<&[CaseId]>) -> Vec<Entry> {
        if !unit.divisible {
            return vec![self.whole(unit)];
        }
        // What could not be collected is run again whole: its cases were not known.
        let chosen = chosen.filter(|cases| !cases.iter().any(|case| case.stands_for(&unit.key)));
        match (chosen, &unit.cases) {
            (Some(chosen), _) => self.listed(unit, chosen, Selection::Only),
            (None, Some(cases)) => self.listed(unit, &distinct(cases), |only| {
                // One entry for all that is listed needs no list.
                if only.len() == cases.len() { Selection::All } else { Selection::Only(only) }
            }),
            (None, None) => self.collected(unit),
        }
    }

    fn whole(&self, unit: &DiscoveredUnit) -> Entry {
        let known = self.forecast.known(&unit.key);
        let alone = known.is_some_and(|known| known.all_alone || !known.isolation.is_empty());
        Entry { alone, ..entry(&unit.key, Selection::All, self.forecast.unit_us(unit)) }
    }

    /// A unit whose cases are all named beforehand: no entry for the unknown is needed.
    fn listed(
        &self,
        unit: &DiscoveredUnit,
        cases: &[CaseId],
        selection: impl Fn(Vec<CaseId>) -> Selection,
    ) -> Vec<Entry> {
        let (alone, beside) = self.by_isolation(unit, cases);
        let target_us = self.piece_us(unit, LISTED_PARTS);
        let groups = self.groups(unit, &beside, target_us);
        let mut entries: Vec<Entry> =
            groups.into_iter().map(|(cases, us)| entry(&unit.key, selection(cases), us)).collect();
        entries.extend(self.alone(unit, alone));
        entries
    }

    /// A unit whose cases only collection knows.
    fn collected(&self, unit: &DiscoveredUnit) -> Vec<Entry> {
        let whole = self.whole(unit);
        if self.forecast.known(&unit.key).is_some_and(|known| known.all_alone) {
            return vec![whole];
        }
        let isolation =
            self.forecast.known(&unit.key).map(|known| known.isolation.as_slice()).unwrap_or_default();
        let known: Vec<CaseId> = match self.details.get(&unit.key) {
            Some(cases) if self.is_too_long(unit) => cases.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let (_, beside) = self.by_isolation(unit, &known);
        let mut groups = self.groups(unit, &beside, self.piece_us(unit, PIECE_PARTS));
        if groups.len() < 2 {
            groups.clear();
        }
        let mut except: Vec<CaseId> = groups.iter().flat_map(|(cases, _)| cases.iter().cloned()).collect();
        except.extend(isolation.iter().cloned());
        let except = distinct(&except);
        let mut entries: Vec<Entry> =
            groups.iter().map(|(cases, us)| entry(&unit.key, Selection::Only(cases.clone()), *us)).collect();
        entries.push(match (except.is_empty(), groups.is_empty()) {
            (true, _) => Entry { alone: false, ..whole },
            (false, true) => entry(&unit.key, Selection::Except(except), self.forecast.unit_us(unit)),
            (false, false) => entry(&unit.key, Selection::Except(except), self.rest_us(unit)),
        });
        entries.extend(self.alone(unit, distinct(isolation)));
        entries
    }

    /// Collection, and one new case.
    fn rest_us(&self, unit: &DiscoveredUnit) -> u64 {
        self.forecast.overhead_us(&unit.key).saturating_add(self.forecast.typical_case_us(&unit.key))
    }

    fn alone(&self, unit: &DiscoveredUnit, cases: Vec<CaseId>) -> Option<Entry> {
        if cases.is_empty() {
            return None;
        }
        let us = cases.iter().fold(self.forecast.overhead_us(&unit.key), |sum, case| {
            sum.saturating_add(self.forecast.case_us(&unit.key, case, self.details))
        });
        Some(Entry { alone: true, ..entry(&unit.key, Selection::Only(cases), us) })
    }

    /// Cases that must run alone, and the others.
    fn by_isolation(&self, unit: &DiscoveredUnit, cases: &[CaseId]) -> (Vec<CaseId>, Vec<CaseId>) {
        let known = self.forecast.known(&unit.key);
        let all = known.is_some_and(|known| known.all_alone);
        let isolation: BTreeSet<&CaseId> = known.into_iter().flat_map(|known| &known.isolation).collect();
        cases.iter().cloned().partition(|case| all || isolation.contains(case))
    }

    fn is_too_long(&self, unit: &DiscoveredUnit) -> bool {
        self.forecast.unit_us(unit) > self.ideal_us / SHARE_PARTS
    }

    fn piece_us(&self, unit: &DiscoveredUnit, parts: u64) -> u64 {
        let floor_us = self.forecast.overhead_us(&unit.key).saturating_mul(OVERHEAD_FACTOR).max(MIN_PIECE_US);
        (self.ideal_us / parts).max(floor_us)
    }

    /// Contiguous groups of about equal time, with the time of each (overhead included). Neighbours stay together
    /// because they share fixtures.
    fn groups(&self, unit: &DiscoveredUnit, cases: &[CaseId], target_us: u64) -> Vec<(Vec<CaseId>, u64)> {
        let timed: Vec<(&CaseId, u64)> = cases
            .iter()
            .map(|case| (case, self.forecast.case_us(&unit.key, case, self.details).max(1)))
            .collect();
        let total_us = timed.iter().fold(0_u64, |sum, (_, us)| sum.saturating_add(*us));
        let wanted = total_us.div_ceil(target_us.max(1)).clamp(1, count(cases.len()).max(1));
        let overhead_us = self.forecast.overhead_us(&unit.key);
        let mut groups: Vec<(Vec<CaseId>, u64)> = Vec::new();
        let (mut before_us, mut current) = (0_u64, None);
        for (case, us) in timed {
            // The group in whose stretch of the total the middle of the case lies.
            let middle = u128::from(before_us) + u128::from(us / 2);
            let number = middle * u128::from(wanted) / u128::from(total_us.max(1));
            before_us = before_us.saturating_add(us);
            match groups.last_mut() {
                Some((group, sum)) if current == Some(number) => {
                    group.push(case.clone());
                    *sum = sum.saturating_add(us);
                }
                _ => groups.push((vec![case.clone()], us.saturating_add(overhead_us))),
            }
            current = Some(number);
        }
        groups
    }
}
