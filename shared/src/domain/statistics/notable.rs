//! The cases of a job that people ask for: the flakiest, the slowest, and those that broke lately.
//!
//! The lists are renewed whenever a run is learned from, when every unit that it saw is in memory anyway; so they cost
//! nothing to read. Each is short: one document. A run of a part of the suite renews what it saw and keeps the
//! rest.

use super::case::CaseStats;
use super::suite::{UnitDetail, escaped_bytes};
use crate::domain::case::CaseId;
use crate::domain::id::RunId;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Cases of each list.
pub const NOTABLE_LIMIT: usize = 100;
/// JSON bytes of the unit keys and ids of a list.
const LIST_BYTES: usize = 60 * 1024;

/// A case of note.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotableCase {
    /// Unit.
    pub unit: String,
    /// The case.
    pub case: CaseId,
    /// How flaky it is, from 0 to 1.
    pub flaky_score: f64,
    /// Moving average of its time, in microseconds.
    pub ewma_us: u64,
    /// Spread of that.
    pub spread_us: u64,
    /// Outcomes remembered.
    pub window: u32,
    /// Failures among them.
    pub failures: u32,
    /// Whether the newest is one.
    pub last_failed: bool,
    /// The run since which it fails, if it does and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<RunId>,
}

impl NotableCase {
    fn new(unit: &str, case: &CaseId, stats: &CaseStats) -> Self {
        Self {
            unit: unit.to_owned(),
            case: case.clone(),
            flaky_score: stats.flaky_score(),
            ewma_us: stats.ewma_us,
            spread_us: stats.spread_us,
            window: stats.window,
            failures: stats.failures(),
            last_failed: stats.last_failed(),
            since: None,
        }
    }
}

/// The lists of a job, the most notable first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Notable {
    /// By flaky score.
    pub flaky: Vec<NotableCase>,
    /// By time.
    pub slow: Vec<NotableCase>,
    /// Failed in the last run that had them, and passed before: the latest to break first.
    pub broken: Vec<NotableCase>,
}

impl Notable {
    /// Takes what a run left of its units; `whole` = it ran the whole suite, so what it did not see is gone.
    pub fn renew(&mut self, run: RunId, details: &BTreeMap<String, UnitDetail>, whole: bool) {
        let broken_before = std::mem::take(&mut self.broken);
        let kept = |case: &NotableCase| !whole && !details.contains_key(&case.unit);
        self.flaky.retain(kept);
        self.slow.retain(kept);
        self.broken = broken_before.iter().filter(|case| kept(case)).cloned().collect();
        let mut too_quick_us = 0;
        for (unit, detail) in details {
            for (case, stats) in detail.live() {
                self.consider(run, &broken_before, (unit, case, stats));
                if stats.samples > 0 && stats.ewma_us >= too_quick_us {
                    self.slow.push(NotableCase::new(unit, case, stats));
                }
                // The lists stay short on the way, also within a unit: it may be a report of any length.
                if [&self.flaky, &self.slow, &self.broken].iter().any(|list| list.len() > 4 * NOTABLE_LIMIT) {
                    self.cut();
                    too_quick_us = self.slow.get(NOTABLE_LIMIT - 1).map_or(0, |case| case.ewma_us);
                }
            }
        }
        self.cut();
    }

    fn consider(
        &mut self,
        run: RunId,
        broken_before: &[NotableCase],
        (unit, case, stats): (&str, &CaseId, &CaseStats),
    ) {
        let streak = stats.failed_bits.trailing_ones().min(stats.window);
        if stats.last_failed() && streak < stats.window {
            let known = broken_before.iter().find(|known| known.unit == unit && known.case == *case);
            let since = known.map_or((streak == 1).then_some(run), |known| known.since);
            self.broken.push(NotableCase { since, ..NotableCase::new(unit, case, stats) });
        }
        if stats.flaky_score() > 0.0 {
            self.flaky.push(NotableCase::new(unit, case, stats));
        }
    }

    fn cut(&mut self) {
        self.flaky
            .sort_by(|a, b| b.flaky_score.total_cmp(&a.flaky_score).then_with(|| place(a).cmp(&place(b))));
        self.slow.sort_by(|a, b| (Reverse(a.ewma_us), place(a)).cmp(&(Reverse(b.ewma_us), place(b))));
        // The youngest runs have the greatest ids.
        self.broken.sort_by(|a, b| (Reverse(a.since), place(a)).cmp(&(Reverse(b.since), place(b))));
        for list in [&mut self.flaky, &mut self.slow, &mut self.broken] {
            fit(list);
        }
    }
}

fn place(case: &NotableCase) -> (&str, &CaseId) {
    (&case.unit, &case.case)
}

fn fit(list: &mut Vec<NotableCase>) {
    let mut bytes = 0;
    list.retain(|case| {
        let size = escaped_bytes(&case.unit) + escaped_bytes(&case.case.0);
        let fits = bytes + size <= LIST_BYTES;
        bytes += if fits { size } else { 0 };
        fits
    });
    list.truncate(NOTABLE_LIMIT);
}

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotableKind {
    /// The flakiest.
    Flaky,
    /// The slowest.
    Slow,
    /// Those that broke lately.
    Broken,
}

impl NotableKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Flaky, Self::Slow, Self::Broken];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flaky => "flaky",
            Self::Slow => "slow",
            Self::Broken => "broken",
        }
    }

    /// Puts the most notable first: lists of several jobs become one.
    pub fn sort(self, cases: &mut [(String, NotableCase)]) {
        cases.sort_by(|(job_a, a), (job_b, b)| {
            let by_place = || (job_a, place(a)).cmp(&(job_b, place(b)));
            match self {
                Self::Flaky => b.flaky_score.total_cmp(&a.flaky_score),
                Self::Slow => b.ewma_us.cmp(&a.ewma_us),
                Self::Broken => b.since.cmp(&a.since),
            }
            .then_with(by_place)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stats() -> impl Strategy<Value = CaseStats> {
        (any::<u64>(), 0u64..16, 0u32..=64, 0u64..1_000_000).prop_map(|(bits, flaky, window, ewma_us)| {
            let mask = u64::MAX.checked_shr(64 - window).unwrap_or(0);
            CaseStats {
                ewma_us,
                samples: u32::from(window > 0),
                window,
                failed_bits: bits & bits.rotate_left(9) & mask,
                flaky_bits: flaky & !bits & mask,
                last_seen: 1,
                ..CaseStats::default()
            }
        })
    }

    fn cases(count: std::ops::Range<usize>) -> impl Strategy<Value = UnitDetail> {
        proptest::collection::vec(stats(), count).prop_map(|all| {
            let named = |(number, stats)| (CaseId(format!("case_{number}")), stats);
            UnitDetail { cases: all.into_iter().enumerate().map(named).collect() }
        })
    }

    fn units(of: impl Strategy<Value = UnitDetail>) -> impl Strategy<Value = BTreeMap<String, UnitDetail>> {
        proptest::collection::btree_map("[a-d]".prop_map(String::from), of, 0..4)
    }

    /// Some are as long as a report of everything.
    fn long_units() -> impl Strategy<Value = BTreeMap<String, UnitDetail>> {
        units(prop_oneof![9 => cases(0..40), 1 => cases(450..900)])
    }

    proptest! {
        #[test]
        fn a_whole_run_leaves_exactly_the_most_notable(units in long_units()) {
            let mut notable = Notable::default();
            notable.renew(RunId(1), &units, true);
            prop_assert!(notable.slow.capacity() <= 8 * NOTABLE_LIMIT, "the list stays short on the way");
            let all = || units.values().flat_map(|unit| unit.cases.values());
            let mut scores: Vec<f64> = all().map(CaseStats::flaky_score).filter(|score| *score > 0.0).collect();
            scores.sort_by(|a, b| b.total_cmp(a));
            scores.truncate(NOTABLE_LIMIT);
            let listed: Vec<f64> = notable.flaky.iter().map(|case| case.flaky_score).collect();
            prop_assert_eq!(listed, scores);
            let mut times: Vec<u64> = all().filter(|c| c.samples > 0).map(|case| case.ewma_us).collect();
            times.sort_by_key(|time| Reverse(*time));
            times.truncate(NOTABLE_LIMIT);
            let listed: Vec<u64> = notable.slow.iter().map(|case| case.ewma_us).collect();
            prop_assert_eq!(listed, times);
            prop_assert!(notable.broken.iter().all(|case| case.last_failed && case.failures < case.window));
            let broke = all().filter(|c| c.last_failed() && c.failures() < c.window).count();
            prop_assert_eq!(notable.broken.len(), broke.min(NOTABLE_LIMIT));
        }

        #[test]
        fn renewing_twice_changes_nothing_and_a_part_keeps_the_rest(units in units(cases(0..40))) {
            let mut once = Notable::default();
            once.renew(RunId(1), &units, true);
            let mut twice = once.clone();
            twice.renew(RunId(1), &units, true);
            prop_assert_eq!(&twice, &once);
            for (unit, detail) in &units {
                twice.renew(RunId(2), &BTreeMap::from([(unit.clone(), detail.clone())]), false);
            }
            prop_assert_eq!(twice.slow, once.slow);
            prop_assert_eq!(twice.broken, once.broken);
        }
    }

    #[test]
    fn a_broken_case_remembers_since_when_and_is_forgotten_once_mended() {
        let seen = |bits: u64| {
            let stats =
                CaseStats { window: 8, failed_bits: bits, samples: 1, last_seen: 1, ..CaseStats::default() };
            BTreeMap::from([(
                "a".to_owned(),
                UnitDetail { cases: BTreeMap::from([(CaseId::from("t"), stats)]) },
            )])
        };
        let mut notable = Notable::default();
        notable.renew(RunId(4), &seen(0b1), true);
        notable.renew(RunId(5), &seen(0b11), true);
        assert_eq!(notable.broken[0].since, Some(RunId(4)));
        notable.renew(RunId(6), &seen(0b110), true);
        assert!(notable.broken.is_empty());
        let mut late = Notable::default();
        late.renew(RunId(7), &seen(0b111), true);
        assert_eq!(late.broken[0].since, None, "it broke before anyone looked");
    }

    #[test]
    fn each_list_fits_into_a_document_whatever_the_ids_are() {
        let stats =
            CaseStats { window: 2, failed_bits: 1, flaky_bits: 2, samples: 1, ..CaseStats::default() };
        let cases =
            (0..500).map(|n| (CaseId(format!("{n}{}", "\u{1}".repeat(n * 10))), stats.clone())).collect();
        let mut notable = Notable::default();
        notable.renew(RunId(1), &BTreeMap::from([("a".to_owned(), UnitDetail { cases })]), true);
        assert!(!notable.flaky.is_empty());
        for list in [&notable.flaky, &notable.slow, &notable.broken] {
            let bytes = serde_json::to_string(list).unwrap().len();
            assert!(bytes < 100 * 1024, "{bytes}");
        }
    }
}
