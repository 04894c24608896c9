//! Exactly-once selection as a property, the shape of queues, batches, shards, and the makespan against its bound.

use super::*;
use crate::domain::statistics::{CaseStats, UnitStats};
use proptest::prelude::*;

fn id(unit: &str, n: u32) -> CaseId {
    CaseId(format!("{unit}::case_{n:03}"))
}

fn history_of(units: &[(&str, &[u64], u64)]) -> (SuiteStats, Details) {
    let (mut stats, mut details) = (SuiteStats::default(), Details::new());
    for (key, cases, overhead_us) in units {
        let of_unit: BTreeMap<CaseId, CaseStats> = cases
            .iter()
            .zip(0..)
            .map(|(us, n)| (id(key, n), CaseStats { ewma_us: *us, samples: 1, ..CaseStats::default() }))
            .collect();
        let unit = UnitStats {
            predicted_us: cases.iter().sum(),
            overhead_us: *overhead_us,
            cases: u32::try_from(cases.len()).unwrap(),
            ..UnitStats::default()
        };
        stats.units.insert((*key).to_owned(), unit);
        details.insert((*key).to_owned(), of_unit);
    }
    (stats, details)
}

fn unit(key: &str, listed: Option<u32>, divisible: bool) -> DiscoveredUnit {
    let cases = listed.map(|n| (0..n).map(|n| id(key, n)).collect());
    DiscoveredUnit { key: key.to_owned(), cases, divisible, size_bytes: 0 }
}

fn show(entries: &[Entry]) -> String {
    let line = |e: &Entry| {
        let cases = match &e.selection {
            Selection::All => "all".to_owned(),
            Selection::Only(cases) => format!("only {}", cases.len()),
            Selection::Except(cases) => format!("except {}", cases.len()),
        };
        format!("{} {cases} {} ms{}", e.unit, e.predicted_ms, if e.alone { " alone" } else { "" })
    };
    entries.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn long_first_unknown_as_the_quartile_long_units_cut_and_isolation_last() {
    let big = [100_000_u64; 40];
    let units: [(&str, &[u64], u64); 4] = [
        ("big.py", &big, 1_000),
        ("a.py", &[300_000], 0),
        ("b.py", &[900_000, 1], 0),
        ("c.py", &[50_000], 0),
    ];
    let (mut stats, details) = history_of(&units);
    stats.units.get_mut("b.py").unwrap().isolation = vec![id("b.py", 1)];
    let found = ["a.py", "b.py", "big.py", "c.py", "new.py"].map(|key| unit(key, None, true));
    assert_eq!(units_to_detail(&found, &stats, 2), ["big.py"]);
    let input = SplitInput { units: &found, history: &stats, details: &details, slots: 2, chosen: &[] };
    insta::assert_snapshot!(show(&entries(&input)), @r"
    b.py except 1 901 ms
    new.py all 901 ms
    big.py only 4 401 ms
    big.py only 4 401 ms
    big.py only 4 401 ms
    big.py only 4 401 ms
    big.py only 4 401 ms
    big.py only 4 401 ms
    big.py only 4 401 ms
    big.py only 3 301 ms
    big.py only 3 301 ms
    big.py only 3 301 ms
    big.py only 3 301 ms
    a.py all 300 ms
    big.py except 40 101 ms
    c.py all 50 ms
    b.py only 1 1 ms alone
    ");
}

#[test]
fn listed_cases_are_grouped_without_history() {
    let found = [unit("lib", Some(200), true), unit("cli", Some(3), true)];
    let (stats, details) = history_of(&[]);
    let input = SplitInput { units: &found, history: &stats, details: &details, slots: 2, chosen: &[] };
    let queue = entries(&input);
    assert!(queue.len() >= 50 && queue.len() <= 80, "{}", show(&queue));
}

#[test]
fn one_listed_entry_needs_no_list_and_an_indivisible_unit_is_never_cut() {
    let found = [unit("one", Some(1), true), unit("cmd", None, false)];
    let (mut stats, details) = history_of(&[("cmd", &[9_000_000], 0)]);
    stats.units.get_mut("cmd").unwrap().isolation = vec![id("cmd", 0)];
    let input = SplitInput { units: &found, history: &stats, details: &details, slots: 2, chosen: &[] };
    let queue = entries(&input);
    assert!(queue.iter().all(|e| e.selection == Selection::All));
    assert!(queue.iter().any(|e| e.unit == "cmd" && e.alone));
}

#[test]
fn chosen_cases_run_and_nothing_else() {
    let found = [unit("a.py", None, true), unit("b.py", None, true)];
    let (stats, details) = history_of(&[]);
    let choose = |cases: &[u32]| ChosenUnit {
        job: "unit".into(),
        unit: "a.py".into(),
        cases: cases.iter().map(|n| id("a.py", *n)).collect(),
    };
    let chosen = [choose(&[1, 2]), choose(&[2])];
    let input = SplitInput { units: &found, history: &stats, details: &details, slots: 64, chosen: &chosen };
    let picked: Vec<CaseId> = entries(&input)
        .into_iter()
        .flat_map(|e| match e.selection {
            Selection::Only(cases) => cases,
            Selection::All | Selection::Except(_) => panic!("not limited"),
        })
        .collect();
    assert_eq!(picked, [id("a.py", 1), id("a.py", 2)]);
}

#[test]
fn a_unit_that_could_not_be_collected_is_chosen_whole() {
    let found = [unit("a.py", None, true)];
    let (stats, details) = history_of(&[]);
    let broken = CaseId::from("a.py");
    for cases in [vec![broken.clone()], vec![id("a.py", 1), broken.instead_of(&id("a.py", 1))]] {
        let chosen = [ChosenUnit { job: "unit".into(), unit: "a.py".into(), cases }];
        let input =
            SplitInput { units: &found, history: &stats, details: &details, slots: 1, chosen: &chosen };
        let selections: Vec<Selection> = entries(&input).into_iter().map(|e| e.selection).collect();
        assert_eq!(selections, [Selection::All]);
    }
}

#[test]
fn groups_are_balanced() {
    let times: Vec<u64> = (0..200).map(|n| 1_000 + (n * 7_919) % 9_000).collect();
    let (stats, details) = history_of(&[("big.py", &times, 0)]);
    let found = [unit("big.py", None, true)];
    let input = SplitInput { units: &found, history: &stats, details: &details, slots: 4, chosen: &[] };
    let parts: Vec<u64> = entries(&input)
        .iter()
        .filter(|e| matches!(e.selection, Selection::Only(_)))
        .map(|e| e.predicted_ms)
        .collect();
    let (least, most) = (parts.iter().min().unwrap(), parts.iter().max().unwrap());
    assert!(parts.len() >= 30 && most - least <= 22, "{parts:?}");
}

#[test]
fn batches_shrink_and_end_with_single_entries() {
    assert_eq!(batch_target_ms(10_000, 4, 3), 1_250);
    assert_eq!(batch_target_ms(100, 4, 3), 60);
}

#[test]
fn shards_are_the_fewest_that_meet_the_target() {
    assert_eq!(shards_auto(600_000, 10_000, Some(70_000), 2, 100), 5);
    assert_eq!(shards_auto(600_000, 10_000, None, 2, 100), 1);
    assert_eq!(shards_auto(600_000, 10_000, Some(70_000), 2, 3), 3);
    assert_eq!(shards_auto(600_000, 60_000, Some(5_000), 2, 100), 5);
    assert_eq!(shards_auto(0, 0, Some(0), 0, 0), 1);
}

/// A small reproducible source of numbers in `[0, 1)`.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 33).unwrap()) / f64::from(1_u32 << 31)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is positive and small"
    )]
    fn scaled_us(&mut self, us: f64, low: f64, width: f64) -> u64 {
        (us * (low + width * self.next())) as u64
    }

    /// About log-normal, as recorded test times are: most are short, a few are a hundred times the median.
    fn heavy_tailed_us(&mut self, median_us: f64, sigma: f64) -> u64 {
        let normal = (0..12).map(|_| self.next()).sum::<f64>() - 6.0;
        self.scaled_us(median_us * (sigma * normal).exp(), 1.0, 0.0) + 200
    }
}

/// Ratio of makespan to bound for one trace with predictions that are off by up to ±20 %.
fn ratio(units: u32, slots: u32, seed: u64) -> f64 {
    let mut numbers = Numbers(seed * 977 + u64::from(slots) * 31 + u64::from(units));
    let sigma = 0.8 + 0.1 * f64::from(u32::try_from(seed).unwrap());
    let times: Vec<u64> = (0..units).map(|_| numbers.heavy_tailed_us(250_000.0, sigma)).collect();
    let noisy: Vec<u64> = times.iter().map(|us| numbers.scaled_us(*us as f64, 0.8, 0.4)).collect();
    simulate(&times, &noisy, slots, 500) as f64 / lower_bound_us(&times, slots) as f64
}

#[test]
fn the_makespan_stays_within_three_percent_of_the_bound() {
    let mut table = Vec::new();
    let mut all = Vec::new();
    for slots in [2_u32, 4, 8, 16, 32, 64, 128, 256, 512] {
        // From barely enough units for the slots to plenty of them.
        let of_slots: Vec<f64> = [6, 20, 60]
            .iter()
            .flat_map(|per_slot| (0..8).map(move |seed| ratio(slots * per_slot, slots, seed)))
            .collect();
        let mean = of_slots.iter().sum::<f64>() / of_slots.len() as f64;
        let worst = of_slots.iter().copied().fold(0.0, f64::max);
        assert!(of_slots.iter().all(|ratio| *ratio >= 1.0));
        table.push(format!("{slots:>3} slots: mean {mean:.4} worst {worst:.4}"));
        all.extend(of_slots);
    }
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    println!("{}\nmean {mean:.4}", table.join("\n"));
    assert!(mean <= 1.03, "mean {mean:.4}");
}

#[test]
fn a_bad_schedule_is_seen_as_bad() {
    // The bound is no mere formality: with predictions turned upside down the longest unit starts last.
    let times = [10, 10, 10, 10, 10, 10, 10, 10, 80];
    let upside_down: Vec<u64> = times.iter().map(|us| 1_000 - us).collect();
    assert_eq!(simulate(&times, &times, 2, 0), 80);
    assert!(simulate(&times, &upside_down, 2, 0) >= 120);
}

#[derive(Debug, Clone)]
struct World {
    listed: bool,
    divisible: bool,
    all_alone: bool,
    slots: u32,
    /// Per case: known to history, present in the collection, isolation, microseconds.
    cases: Vec<(bool, bool, bool, u64)>,
}

fn world() -> impl Strategy<Value = World> {
    let case = (any::<bool>(), any::<bool>(), any::<bool>(), 0_u64..3_000_000);
    (any::<bool>(), any::<bool>(), any::<bool>(), 1_u32..20, proptest::collection::vec(case, 0..40)).prop_map(
        |(listed, divisible, all_alone, slots, cases)| World { listed, divisible, all_alone, slots, cases },
    )
}

proptest! {
    #[test]
    fn every_case_of_any_collection_is_selected_exactly_once(world in world()) {
        let mut stats = UnitStats { all_alone: world.all_alone, overhead_us: 10, ..UnitStats::default() };
        let mut known = BTreeMap::new();
        let mut found = Vec::new();
        for ((in_history, present, isolation, us), n) in world.cases.iter().zip(0..) {
            if *in_history {
                stats.cases += 1;
                stats.predicted_us += us;
                known.insert(id("u", n), CaseStats { ewma_us: *us, ..CaseStats::default() });
                if *isolation {
                    stats.isolation.push(id("u", n));
                }
            }
            if *present {
                found.push(id("u", n));
            }
        }
        let history = SuiteStats { units: BTreeMap::from([("u".into(), stats)]), ..SuiteStats::default() };
        let details = Details::from([("u".into(), known)]);
        let listed = world.listed.then(|| found.clone());
        let units = [DiscoveredUnit { key: "u".into(), cases: listed, divisible: world.divisible, size_bytes: 0 }];
        let input =
            SplitInput { units: &units, history: &history, details: &details, slots: world.slots, chosen: &[] };
        let queue = entries(&input);
        for case in &found {
            let takers = queue.iter().filter(|e| e.selection.compile().keeps(case)).count();
            prop_assert_eq!(takers, 1, "{}\n{}", case, show(&queue));
        }
        prop_assert!(queue.is_sorted_by_key(|e| e.alone));
        prop_assert!(queue.iter().all(|e| e.predicted_ms > 0));
    }
}
