//! What moves the statistics, what must not, and that every stored page stays small.

use super::*;
use crate::domain::case::{CaseId, CaseResult, Failure};
use crate::domain::id::JobNo;
use crate::domain::outcome::Outcome;
use crate::domain::report::CaseRecord;
use crate::domain::time::Timestamp;
use proptest::prelude::*;

fn attempt(n: u32, outcome: Outcome, duration_us: u64, alone: bool) -> CaseResult {
    CaseResult {
        case: CaseId::from("a.py::t"),
        class: "a".into(),
        name: "t".into(),
        file: None,
        line: None,
        attempt: n,
        outcome,
        started_at: Timestamp(0),
        duration_us,
        slot: 1,
        alone,
        failure: outcome.is_failure().then(Failure::default),
        reason: None,
        output: String::new(),
    }
}

fn record(attempts: &[(Outcome, u64, bool)]) -> CaseRecord {
    let attempts: Vec<CaseResult> =
        attempts.iter().zip(1..).map(|((o, d, alone), n)| attempt(n, *o, *d, *alone)).collect();
    CaseRecord { job: JobNo(1), unit: "a.py".into(), shards: vec![1; attempts.len()], attempts }
}

fn history(outcomes: &str) -> CaseStats {
    let mut stats = CaseStats::default();
    for c in outcomes.chars() {
        stats.observe(
            &match c {
                'p' => record(&[(Outcome::Passed, 100, false)]),
                'f' => record(&[(Outcome::Failed, 100, false), (Outcome::Failed, 100, false)]),
                _ => record(&[(Outcome::Failed, 100, false), (Outcome::Passed, 100, false)]),
            },
            1,
        );
    }
    stats
}

#[test]
fn failures_and_time_outs_do_not_move_the_time_of_passes() {
    let mut stats = CaseStats::default();
    stats.observe(&record(&[(Outcome::Passed, 1_000, false)]), 1);
    let before = stats.ewma_us;
    stats.observe(&record(&[(Outcome::Failed, 5, false)]), 2);
    stats.observe(&record(&[(Outcome::TimedOut, 300_000_000, false)]), 3);
    stats.observe(&record(&[(Outcome::Crashed, 7, false)]), 4);
    assert_eq!((before, stats.ewma_us, stats.samples), (1_000, 1_000, 1));
    stats.observe(&record(&[(Outcome::TimedOut, 300_000_000, false), (Outcome::Passed, 2_000, false)]), 5);
    assert_eq!((stats.ewma_us, stats.spread_us), (1_300, 650));
}

#[test]
fn a_first_pass_replaces_the_guess_of_a_failure() {
    let mut stats = CaseStats::default();
    stats.observe(&record(&[(Outcome::Failed, 9_000, false)]), 1);
    assert_eq!((stats.ewma_us, stats.samples), (9_000, 0));
    stats.observe(&record(&[(Outcome::Passed, 100, false)]), 2);
    assert_eq!((stats.ewma_us, stats.samples), (100, 1));
}

#[test]
fn a_record_without_attempts_changes_nothing() {
    let mut stats = history("pf");
    let before = stats.clone();
    stats.observe(&record(&[]), 9);
    assert_eq!(stats, before);
}

#[test]
fn the_flaky_score_tells_flaky_from_broken_and_mended() {
    let show = ["", "pppp", "ppkpp", "kk", "fffff", "ff", "pppffffff", "ppffpp", "pfpfpfpf", "kppppppp"]
        .map(|h| format!("{h:>9} flips {} score {:.2}", history(h).flips(), history(h).flaky_score()));
    insta::assert_snapshot!(show.join("\n"), @r"
              flips 0 score 0.00
         pppp flips 0 score 0.00
        ppkpp flips 0 score 0.49
           kk flips 0 score 0.75
        fffff flips 0 score 0.00
           ff flips 0 score 0.00
    pppffffff flips 1 score 0.00
       ppffpp flips 2 score 0.00
     pfpfpfpf flips 7 score 0.50
     kppppppp flips 0 score 0.46
    ");
}

#[test]
fn evidence_fades_over_the_window() {
    let fresh = history("k").flaky_score();
    let old = history(&format!("k{}", "p".repeat(50))).flaky_score();
    let gone = history(&format!("k{}", "p".repeat(64))).flaky_score();
    assert!(fresh > old && old > gone && gone == 0.0, "{fresh} {old} {gone}");
}

#[test]
fn isolation_is_learnt_and_unlearnt() {
    let mut stats = CaseStats::default();
    stats.observe(&record(&[(Outcome::Failed, 1, false), (Outcome::Passed, 1, true)]), 1);
    assert!(stats.isolation);
    stats.observe(&record(&[(Outcome::Passed, 1, true)]), 2);
    assert!(stats.isolation);
    stats.observe(&record(&[(Outcome::Failed, 1, true), (Outcome::Failed, 1, true)]), 3);
    assert!(!stats.isolation);
}

#[test]
fn a_unit_sums_its_live_cases_and_ages() {
    let mut suite = SuiteStats::default();
    let mut detail = UnitDetail::default();
    suite.age(2);
    detail.observe(&record(&[(Outcome::Passed, 1_000, false)]), suite.head.run_no);
    suite.observe_unit("a.py", &detail, Some(50));
    let unit = &suite.units["a.py"];
    assert_eq!((unit.total_us(), unit.cases, unit.case_pages), (1_050, 1, 1));
    suite.age(2);
    suite.age(2);
    assert!(suite.units.contains_key("a.py"));
    suite.age(2);
    assert!(suite.units.is_empty());
}

#[test]
fn costs_are_averaged() {
    let mut suite = SuiteStats::default();
    suite.observe_costs(Some(100), None);
    suite.observe_costs(Some(200), Some(7));
    assert_eq!((suite.head.setup_ms, suite.head.batch_overhead_ms), (Some(130), Some(7)));
}

#[test]
fn pages_stay_small_and_give_back_what_they_took() {
    let mut detail = UnitDetail::default();
    let mut suite = SuiteStats::default();
    for n in 0..20_000_u32 {
        let full = CaseStats {
            ewma_us: u64::from(n) << 20,
            failed_bits: u64::MAX,
            flaky_bits: u64::MAX,
            isolation: true,
            ..history("pp")
        };
        detail
            .cases
            .insert(CaseId(format!("tests/deep/path/test_module.py::TestClass::test_{n}[\"x\"]")), full);
        let unit = UnitStats {
            predicted_us: u64::MAX,
            isolation: vec![CaseId(format!("tests/dir_{n}/x.py::test")); 3],
            ..UnitStats::default()
        };
        suite.units.insert(format!("tests/dir_{n}/x.py"), unit);
    }
    let pages = detail.clone().into_pages();
    let (head, unit_pages) = suite.clone().into_pages();
    assert!(pages.len().is_power_of_two() && unit_pages.len().is_power_of_two());
    let largest = pages.iter().map(|p| serde_json::to_string(p).unwrap().len()).max().unwrap();
    let largest_units = unit_pages.iter().map(|p| serde_json::to_string(p).unwrap().len()).max().unwrap();
    assert!(largest < 100_000 && largest_units < 100_000, "{largest} {largest_units}");
    assert_eq!(UnitDetail::from_pages(pages), detail);
    assert_eq!(SuiteStats::from_pages(head.clone(), unit_pages).units, suite.units);
    assert_eq!(usize::try_from(head.pages).unwrap(), suite.into_pages().1.len());
}

#[test]
fn a_small_suite_is_one_page() {
    assert_eq!(SuiteStats::default().into_pages().1.len(), 1);
    assert_eq!(UnitDetail::default().into_pages().len(), 1);
}

proptest! {
    #[test]
    fn scores_stay_in_range_and_stored_statistics_survive(outcomes in "[pfk]{0,130}") {
        let stats = history(&outcomes);
        prop_assert!((0.0..=1.0).contains(&stats.flaky_score()));
        prop_assert!(stats.window <= 64 && stats.flips() <= 63);
        let text = serde_json::to_string(&stats).unwrap();
        prop_assert_eq!(serde_json::from_str::<CaseStats>(&text).unwrap(), stats);
    }

    #[test]
    fn a_key_lies_on_the_page_that_its_hash_names(keys in proptest::collection::btree_set("[a-z/]{1,30}", 0..200)) {
        let map: std::collections::BTreeMap<String, u8> = keys.into_iter().map(|k| (k, 0)).collect();
        let pages = paginate(map.clone(), |_, _| 2_000);
        let count = u32::try_from(pages.len()).unwrap();
        for key in map.keys() {
            prop_assert!(pages[usize::try_from(page_of(key, count)).unwrap()].contains_key(key));
        }
    }
}
