//! From discovered units and history to the queue's entries, in the order in which they should start.
//!
//! Longest predicted first; work for one lane alone last. A unit that would be longer than its share of the ideal time is
//! cut by case. Whatever is predicted, the entries of a unit select every case that collection can find exactly
//! once: parts are `Only`, and one `Except` takes what history does not know.

mod batch;
mod cut;
mod shards;
mod simulate;

pub use batch::{BATCH_ALPHA, BATCH_EPSILON_PARTS, batch_target_ms};
pub use shards::shards_auto;
pub use simulate::{lower_bound_us, simulate};

use super::case::CaseId;
use super::predict::{Details, Forecast, count};
use super::spec::ChosenUnit;
use super::statistics::SuiteStats;
use super::unit::{DiscoveredUnit, Entry, Selection};
use std::collections::{BTreeMap, BTreeSet};

/// A unit is cut if it is predicted to take more than 1/2 of the ideal time (total / slots).
pub const SHARE_PARTS: u64 = 2;
/// The parts of a cut unit aim at 1/8 of the ideal time.
pub const PIECE_PARTS: u64 = 8;
/// Units whose cases are listed are cut into about this many entries per slot, over the whole job.
pub const LISTED_PARTS: u64 = 32;
/// A part is worth at least this many times the overhead that cutting repeats.
const OVERHEAD_FACTOR: u64 = 4;
/// No part is predicted shorter than this, in microseconds, unless a case is: an entry costs bookkeeping.
const MIN_PIECE_US: u64 = 5_000;

/// What planning a queue needs.
#[derive(Debug, Clone, Copy)]
pub struct SplitInput<'a> {
    /// Units in the framework's order.
    pub units: &'a [DiscoveredUnit],
    /// The suite's history; empty on the first run.
    pub history: &'a SuiteStats,
    /// Case statistics of at least the units that [`units_to_detail`] names.
    pub details: &'a Details,
    /// Slots of all shards together.
    pub slots: u32,
    /// Cases chosen by name, of this job only; empty = all. A chosen unit that cannot be divided runs whole.
    pub chosen: &'a [ChosenUnit],
}

/// Keys of the units whose case statistics planning wants: those long enough to be cut, and those whose cases are listed.
#[must_use]
pub fn units_to_detail(units: &[DiscoveredUnit], history: &SuiteStats, slots: u32) -> Vec<String> {
    let forecast = Forecast::new(history);
    let ideal_us = ideal_us(forecast.total_us(units), slots);
    let wanted = |unit: &&DiscoveredUnit| {
        unit.divisible
            && forecast.known(&unit.key).is_some()
            && (unit.cases.is_some() || forecast.unit_us(unit) > ideal_us / SHARE_PARTS)
    };
    units.iter().filter(wanted).map(|unit| unit.key.clone()).collect()
}

/// The queue of a job in its first order.
#[must_use]
pub fn entries(input: &SplitInput<'_>) -> Vec<Entry> {
    let chosen = chosen_cases(input.chosen);
    let forecast = Forecast::new(input.history);
    let units: Vec<&DiscoveredUnit> = input
        .units
        .iter()
        .filter(|unit| chosen.is_empty() || chosen.contains_key(unit.key.as_str()))
        .collect();
    let total_us = units.iter().fold(0_u64, |sum, unit| sum.saturating_add(forecast.unit_us(unit)));
    let planner =
        cut::Planner { forecast, details: input.details, ideal_us: ideal_us(total_us, input.slots) };
    let mut entries: Vec<Entry> = units
        .into_iter()
        .flat_map(|unit| planner.unit(unit, chosen.get(unit.key.as_str()).map(Vec::as_slice)))
        .collect();
    // Stable, so that equal predictions keep the framework's order.
    entries.sort_by_key(|entry| (entry.alone, std::cmp::Reverse(entry.predicted_ms)));
    entries
}

/// Chosen cases by unit, each once, in the order of choice.
fn chosen_cases(chosen: &[ChosenUnit]) -> BTreeMap<&str, Vec<CaseId>> {
    let mut by_unit = BTreeMap::<&str, Vec<CaseId>>::new();
    for unit in chosen {
        by_unit.entry(&unit.unit).or_default().extend(unit.cases.iter().cloned());
    }
    for cases in by_unit.values_mut() {
        *cases = distinct(cases);
    }
    by_unit
}

fn distinct(cases: &[CaseId]) -> Vec<CaseId> {
    let mut seen = BTreeSet::new();
    cases.iter().filter(|case| seen.insert(*case)).cloned().collect()
}

fn ideal_us(total_us: u64, slots: u32) -> u64 {
    total_us / u64::from(slots.max(1))
}

fn entry(unit: &str, selection: Selection, predicted_us: u64) -> Entry {
    Entry { selection, ..Entry::whole(unit, predicted_us.div_ceil(1000).max(1)) }
}

#[cfg(test)]
mod tests;
