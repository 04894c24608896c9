//! The simulated world: many seeds, the seeds of mended faults, one seed twice, and every single fault.
//!
//! A plain test run plays a few hundred seeds. `FLEETEST_SIM_SEEDS=2000` plays that many, from `FLEETEST_SIM_FIRST` on;
//! `FLEETEST_SIM_SEED=7` plays seed 7 alone and prints what happened. A million:
//! `FLEETEST_SIM_SEEDS=1000000 cargo test --release -p testkit --test simulation many_seeds -- --nocapture`

#![expect(clippy::unwrap_used, reason = "a test fails by panicking and prints its trace")]

use shared::domain::verdict::Verdict;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use testkit::sim::config::SimConfig;
use testkit::sim::{History, sim};
use testkit::sweep_faults::sweep_faults;

fn failure(seed: u64, history: &History) -> Option<String> {
    (!history.violations.is_empty()).then(|| {
        format!(
            "seed {seed}: {}\n  replay: FLEETEST_SIM_SEED={seed} cargo test -p testkit --test simulation many_seeds -- --nocapture",
            history.violations.join("\n    ")
        )
    })
}

/// Plays seeds on all cores; answers with what went wrong, at most ten.
fn play(seeds: &[u64]) -> Vec<String> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicU64::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while found.lock().unwrap().len() < 10 {
                    let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
                    let Some(seed) = seeds.get(at) else { return };
                    if let Some(text) = failure(*seed, &sim(*seed, false)) {
                        found.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn many_seeds_keep_every_invariant() {
    let config = SimConfig::from_env().unwrap();
    if let Some(seed) = config.replay {
        let history = sim(seed, true);
        for line in &history.trace {
            println!("{line}");
        }
        println!("{} steps", history.steps);
        assert_eq!(failure(seed, &history), None);
        return;
    }
    let seeds: Vec<u64> = (config.first..config.first + config.seeds).collect();
    let found = play(&seeds);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn seeds_of_mended_faults_stay_mended() {
    let seeds: Vec<u64> = include_str!("../seeds.txt")
        .lines()
        .filter_map(|line| line.split('#').next())
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line.parse().unwrap())
        .collect();
    let found = play(&seeds);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn one_seed_is_one_history() {
    for seed in 0..20 {
        let (first, second) = (sim(seed, true), sim(seed, true));
        assert!(first.trace.len() > 20, "seed {seed} has no history");
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

#[test]
fn every_single_fault_comes_to_the_same_end() {
    let (histories, found) = sweep_faults(1);
    assert!(histories > 500, "{histories}");
    let told: Vec<String> = found.iter().take(5).map(|d| format!("{}: {}", d.trouble, d.what)).collect();
    assert!(found.is_empty(), "{} of {histories}:\n{}", found.len(), told.join("\n"));
}

#[test]
fn the_seeds_come_to_every_verdict() {
    let mut verdicts: Vec<Verdict> =
        (0..200).flat_map(|seed| sim(seed, false).ends).filter_map(|end| end.verdict).collect();
    verdicts.sort_unstable();
    verdicts.dedup();
    let all =
        [Verdict::Passed, Verdict::Failed, Verdict::TimedOut, Verdict::Errored, Verdict::Cancelled].to_vec();
    assert_eq!(verdicts, all);
}
