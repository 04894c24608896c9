//! Predicted times: from a suite's statistics to one number per unit, per case and per group of cases.
//!
//! What history does not know is taken to cost the upper quartile of what it knows: being wrong by starting a short
//! unit early is cheap, by starting a long one last is not. Predictions order work and size batches; they never decide
//! what runs.

use super::case::CaseId;
use super::statistics::{CaseStats, SuiteStats, UnitStats};
use super::unit::DiscoveredUnit;
use std::collections::BTreeMap;

/// A unit of a suite that has no history at all.
pub const UNKNOWN_UNIT_US: u64 = 1_000_000;
/// A byte of a unit's source, in a suite that has no history at all.
pub const UNKNOWN_BYTE_US: u64 = 20;
/// A listed case of a suite that has no history at all.
pub const UNKNOWN_CASE_US: u64 = 20_000;

/// Case statistics of the units that planning looks into, by unit key.
pub type Details = BTreeMap<String, BTreeMap<CaseId, CaseStats>>;

/// Predictions for one job.
#[derive(Debug, Clone)]
pub struct Forecast<'a> {
    history: &'a SuiteStats,
    unknown_unit_us: u64,
    unknown_case_us: u64,
}

impl<'a> Forecast<'a> {
    /// Reads the quartiles out of the history.
    #[must_use]
    pub fn new(history: &'a SuiteStats) -> Self {
        let known = || history.units.values().filter(|unit| unit.cases > 0);
        let per_unit = known().map(UnitStats::total_us).collect();
        let per_case = known().map(|unit| unit.predicted_us / u64::from(unit.cases.max(1))).collect();
        Self {
            history,
            unknown_unit_us: upper_quartile(per_unit).unwrap_or(UNKNOWN_UNIT_US),
            unknown_case_us: upper_quartile(per_case).unwrap_or(UNKNOWN_CASE_US),
        }
    }

    /// What history knows of the unit.
    #[must_use]
    pub fn known(&self, key: &str) -> Option<&'a UnitStats> {
        self.history.units.get(key).filter(|unit| unit.cases > 0)
    }

    /// Predicted time of a whole unit, overhead included, in microseconds.
    #[must_use]
    pub fn unit_us(&self, unit: &DiscoveredUnit) -> u64 {
        match (self.known(&unit.key), &unit.cases) {
            (Some(known), _) => known.total_us(),
            (None, Some(cases)) => self.unknown_case_us.saturating_mul(count(cases.len())),
            // In a suite without history the size of a file says more about its time than nothing.
            (None, None) if self.history.units.is_empty() && unit.size_bytes > 0 => {
                // Half of the guess stays: tiny files must not look so short that one slot is given all of them.
                (UNKNOWN_UNIT_US / 2).saturating_add(unit.size_bytes.saturating_mul(UNKNOWN_BYTE_US))
            }
            (None, None) => self.unknown_unit_us,
        }
    }

    /// Time of the unit outside its cases, in microseconds; paid again by each part of a unit that is split.
    #[must_use]
    pub fn overhead_us(&self, key: &str) -> u64 {
        self.known(key).map_or(0, |unit| unit.overhead_us)
    }

    /// Predicted time of one case, in microseconds: its own history, else the unit's mean, else the suite's quartile.
    #[must_use]
    pub fn case_us(&self, key: &str, case: &CaseId, details: &Details) -> u64 {
        let own = details.get(key).and_then(|cases| cases.get(case)).map(|stats| stats.ewma_us);
        own.unwrap_or_else(|| self.typical_case_us(key))
    }

    /// Predicted time of a case of which nothing is known but its unit, in microseconds.
    #[must_use]
    pub fn typical_case_us(&self, key: &str) -> u64 {
        self.known(key).map_or(self.unknown_case_us, |unit| unit.predicted_us / u64::from(unit.cases.max(1)))
    }

    /// Predicted time of all units together, in microseconds.
    #[must_use]
    pub fn total_us(&self, units: &[DiscoveredUnit]) -> u64 {
        units.iter().fold(0, |sum, unit| sum.saturating_add(self.unit_us(unit)))
    }
}

/// The value that three quarters do not exceed.
fn upper_quartile(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    let last = values.len().checked_sub(1)?;
    values.get(last * 3 / 4).copied()
}

pub(super) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(key: &str, cases: Option<usize>) -> DiscoveredUnit {
        let cases = cases.map(|n| (0..n).map(|i| CaseId(format!("{key}::{i}"))).collect());
        DiscoveredUnit { key: key.into(), cases, divisible: true, size_bytes: 0 }
    }

    fn history(units: &[(&str, u64, u32)]) -> SuiteStats {
        let mut stats = SuiteStats::default();
        for (key, us, cases) in units {
            let unit = UnitStats { predicted_us: *us, cases: *cases, ..UnitStats::default() };
            stats.units.insert((*key).to_owned(), unit);
        }
        stats
    }

    #[test]
    fn an_unknown_unit_costs_the_upper_quartile() {
        let stats = history(&[("a", 10, 1), ("b", 20, 1), ("c", 30, 1), ("d", 40, 1), ("e", 1_000, 1)]);
        let forecast = Forecast::new(&stats);
        assert_eq!(forecast.unit_us(&unit("new", None)), 40);
        assert_eq!(forecast.unit_us(&unit("new", Some(3))), 120);
        assert_eq!(forecast.unit_us(&unit("e", None)), 1_000);
        assert_eq!(forecast.total_us(&[unit("a", None), unit("new", None)]), 50);
    }

    #[test]
    fn without_history_listed_cases_give_the_proportions() {
        let stats = SuiteStats::default();
        let forecast = Forecast::new(&stats);
        assert_eq!(forecast.unit_us(&unit("a", None)), UNKNOWN_UNIT_US);
        assert_eq!(forecast.unit_us(&unit("a", Some(7))), 7 * UNKNOWN_CASE_US);
        let sized = |size_bytes| DiscoveredUnit { size_bytes, ..unit("a", None) };
        assert!(forecast.unit_us(&sized(50_000)) > forecast.unit_us(&sized(900)));
    }

    #[test]
    fn a_case_costs_what_it_did_or_what_its_unit_does() {
        let stats = history(&[("a", 100, 4)]);
        let own = CaseStats { ewma_us: 77, ..CaseStats::default() };
        let details = Details::from([("a".into(), BTreeMap::from([(CaseId::from("x"), own)]))]);
        let forecast = Forecast::new(&stats);
        assert_eq!(forecast.case_us("a", &CaseId::from("x"), &details), 77);
        assert_eq!(forecast.case_us("a", &CaseId::from("y"), &details), 25);
    }
}
