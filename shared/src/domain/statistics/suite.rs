//! Statistics of a job's suite: per unit what planning needs, and the measured costs around it.

use super::blend;
use super::case::CaseStats;
use super::paging::paginate;
use crate::domain::case::CaseId;
use crate::domain::id::RunId;
use crate::domain::report::CaseRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Units and cases not seen in this many whole runs of the suite are forgotten.
pub const KEEP_RUNS: u32 = 50;
/// At most this many bytes of case ids are listed per unit as isolation cases; a unit with more runs alone as a whole.
const ISOLATION_LIMIT_BYTES: usize = 16 * 1024;

/// What planning knows of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitStats {
    /// Time of its cases together, in microseconds, without `overhead_us`.
    #[serde(rename = "t")]
    pub predicted_us: u64,
    /// Spread of that sum, in microseconds.
    #[serde(rename = "d")]
    pub spread_us: u64,
    /// Moving average of the time outside cases (import, collection), in microseconds.
    #[serde(rename = "o", default)]
    pub overhead_us: u64,
    /// Cases known.
    #[serde(rename = "n")]
    pub cases: u32,
    /// Pages of its case statistics.
    #[serde(rename = "p", default)]
    pub case_pages: u32,
    /// Cases that must run alone.
    #[serde(rename = "i", default, skip_serializing_if = "Vec::is_empty")]
    pub isolation: Vec<CaseId>,
    /// Too many isolation cases to list: the whole unit runs alone.
    #[serde(rename = "a", default, skip_serializing_if = "std::ops::Not::not")]
    pub all_alone: bool,
    /// Number of the suite's run in which it was last seen.
    #[serde(rename = "r", default)]
    pub last_seen: u32,
}

impl UnitStats {
    /// Predicted time of the whole unit, overhead included, in microseconds.
    #[must_use]
    pub fn total_us(&self) -> u64 {
        self.predicted_us.saturating_add(self.overhead_us)
    }
}

/// The small document that is read first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SuiteHead {
    /// Runs that were learned from, the last ones: a late repetition teaches nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<RunId>,
    /// Whole runs of the suite so far; runs of a part do not count.
    pub run_no: u32,
    /// Pages of unit statistics.
    pub pages: u32,
    /// Moving average of the time from session to manifest, in milliseconds; `None` before the first run.
    pub setup_ms: Option<u64>,
    /// Moving average of the cost of starting a batch, in milliseconds.
    pub batch_overhead_ms: Option<u64>,
}

/// One stored page of unit statistics.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitPage {
    /// By unit key.
    pub units: BTreeMap<String, UnitStats>,
}

/// Everything that planning one job needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SuiteStats {
    /// The head document.
    pub head: SuiteHead,
    /// By unit key.
    pub units: BTreeMap<String, UnitStats>,
}

impl SuiteStats {
    /// Joins a head and its pages.
    #[must_use]
    pub fn from_pages(head: SuiteHead, pages: impl IntoIterator<Item = UnitPage>) -> Self {
        Self { head, units: pages.into_iter().flat_map(|page| page.units).collect() }
    }

    /// The documents to store: the head, with the number of pages set, and the pages in order.
    #[must_use]
    pub fn into_pages(self) -> (SuiteHead, Vec<UnitPage>) {
        let pages: Vec<UnitPage> = paginate(self.units, |key, unit| unit_bytes(key, unit))
            .into_iter()
            .map(|units| UnitPage { units })
            .collect();
        let count = u32::try_from(pages.len()).unwrap_or(u32::MAX);
        (SuiteHead { pages: count, ..self.head }, pages)
    }

    /// Counts a whole run, before its records are taken, and forgets units that the last `keep_runs` whole runs did not see. Not to be called for
    /// runs of a part (`--filter`, `--failed`, fail-fast, cancelled): they see little and must not age the rest.
    pub fn age(&mut self, keep_runs: u32) {
        self.head.run_no = self.head.run_no.saturating_add(1);
        let oldest = self.head.run_no.saturating_sub(keep_runs);
        self.units.retain(|_, unit| unit.last_seen >= oldest);
    }

    /// Takes the measured costs of one run, in milliseconds.
    pub fn observe_costs(&mut self, setup_ms: Option<u64>, batch_overhead_ms: Option<u64>) {
        let merge = |old: Option<u64>, new: Option<u64>| match (old, new) {
            (Some(old), Some(new)) => Some(blend(old, new)),
            (old, new) => new.or(old),
        };
        self.head.setup_ms = merge(self.head.setup_ms, setup_ms);
        self.head.batch_overhead_ms = merge(self.head.batch_overhead_ms, batch_overhead_ms);
    }

    /// Takes what one run showed of a unit; `overhead_us` is `None` if it was not measured.
    pub fn observe_unit(&mut self, key: &str, detail: &UnitDetail, overhead_us: Option<u64>) {
        let run_no = self.head.run_no;
        let unit = self.units.entry(key.to_owned()).or_default();
        if let Some(new) = overhead_us {
            unit.overhead_us = if unit.last_seen == 0 { new } else { blend(unit.overhead_us, new) };
        }
        unit.last_seen = run_no;
        detail.summarise(unit);
    }
}

/// Case statistics of one unit: its detail pages, joined.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnitDetail {
    /// By case.
    pub cases: BTreeMap<CaseId, CaseStats>,
}

impl UnitDetail {
    /// Joins the unit's stored pages.
    #[must_use]
    pub fn from_pages(pages: impl IntoIterator<Item = Self>) -> Self {
        Self { cases: pages.into_iter().flat_map(|page| page.cases).collect() }
    }

    /// The documents to store, in order.
    #[must_use]
    pub fn into_pages(self) -> Vec<Self> {
        paginate(self.cases, case_bytes).into_iter().map(|cases| Self { cases }).collect()
    }

    /// Takes one run's record of one case.
    pub fn observe(&mut self, record: &CaseRecord, run_no: u32) {
        let Some(last) = record.last() else { return };
        self.cases.entry(last.case.clone()).or_default().observe(record, run_no);
    }

    /// Forgets cases that the last `keep_runs` whole runs did not see.
    pub fn age(&mut self, run_no: u32, keep_runs: u32) {
        let oldest = run_no.saturating_sub(keep_runs);
        self.cases.retain(|_, case| case.last_seen >= oldest);
    }

    /// The cases that one of the unit's last two runs saw: others are gone or renamed.
    pub fn live(&self) -> impl Iterator<Item = (&CaseId, &CaseStats)> {
        let seen = self.cases.values().map(|case| case.last_seen).max().unwrap_or(0);
        self.cases.iter().filter(move |(_, case)| case.last_seen.saturating_add(1) >= seen)
    }

    fn summarise(&self, unit: &mut UnitStats) {
        let live = || self.live();
        unit.predicted_us = live().fold(0, |sum, (_, case)| sum.saturating_add(case.ewma_us));
        // Cases vary independently, so their spreads add as squares.
        unit.spread_us = live()
            .fold(0_u64, |sum, (_, c)| sum.saturating_add(c.spread_us.saturating_mul(c.spread_us)))
            .isqrt();
        unit.cases = u32::try_from(live().count()).unwrap_or(u32::MAX);
        unit.case_pages = u32::try_from(self.to_page_count()).unwrap_or(1);
        let isolation: Vec<CaseId> =
            live().filter(|(_, case)| case.isolation).map(|(id, _)| id.clone()).collect();
        let bytes: usize = isolation.iter().map(|id| id.0.len() + 4).sum();
        unit.all_alone = bytes > ISOLATION_LIMIT_BYTES;
        unit.isolation = if unit.all_alone { Vec::new() } else { isolation };
    }

    fn to_page_count(&self) -> usize {
        let sizes = self.cases.iter().map(|(id, case)| (id.0.as_str(), case_bytes(id, case)));
        usize::try_from(super::pages_for(sizes)).unwrap_or(1)
    }
}

/// Upper bound of an item's JSON: an escaped character takes at most 6 bytes, but ids hold few; numbers 20 digits.
fn case_bytes(id: &CaseId, _: &CaseStats) -> usize {
    escaped_bytes(&id.0) + 130
}

fn unit_bytes(key: &str, unit: &UnitStats) -> usize {
    let isolation: usize = unit.isolation.iter().map(|id| escaped_bytes(&id.0) + 3).sum();
    escaped_bytes(key) + 150 + isolation
}

/// Upper bound of a text's JSON.
pub(super) fn escaped_bytes(text: &str) -> usize {
    text.bytes().map(|b| if b < 0x20 { 6 } else { 1 + usize::from(matches!(b, b'"' | b'\\')) }).sum::<usize>()
        + 4
}
