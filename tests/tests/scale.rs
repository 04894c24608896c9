//! The simulated world at its largest: one run with very many shards and cases, on a cloud with its quotas.
//!
//! A plain test run plays some of it; the whole, a thousand shards and a million cases, takes a minute and 4 GiB and is a step of
//! `cargo xtask ci`. To see what it used:
//! `FLEETEST_SIM_SHARDS=1000 cargo test -p testkit --test scale -- --nocapture`

use shared::domain::verdict::Verdict;
use testkit::sim::config::SimConfig;
use testkit::sim::{Scenario, Trouble, history};
use testkit::world::quota::AWS;

const UNITS_PER_SHARD: u64 = 10;
const CASES_PER_UNIT: u64 = 100;
const UNIT_MS: (u64, u64) = (10_000, 50_000);

#[test]
fn a_run_of_many_shards_keeps_to_the_quotas_of_its_cloud() {
    let shards = SimConfig::from_env().unwrap().shards;
    let units = UNITS_PER_SHARD * u64::from(shards);
    let large = Scenario::large(1, shards, (units, CASES_PER_UNIT), UNIT_MS);
    let history = history(&large, Trouble::Nothing, false);
    let usage = history.usage.unwrap();
    let (requests, took_ms) = (history.requests, history.took_ms);
    println!("{shards} shards, {units} units: {took_ms:?} ms, {requests} requests of runners, {usage:?}");
    assert_eq!(history.violations, Vec::<String>::new());
    let end = history.ends.first().unwrap();
    assert_eq!(end.verdict, Some(Verdict::Passed));
    assert_eq!(end.counts.passed, units * CASES_PER_UNIT);
    // Nothing is hot: no partition takes what it is allowed, so nothing has to wait for it.
    assert!(usage.most_written.0 < AWS.write_units, "{usage:?}");
    assert!(usage.most_read.0 < AWS.read_units, "{usage:?}");
    assert_eq!(usage.throttled, 0, "{usage:?}");
    // Launches are the exception: a cloud starts so many in a second, and the others are asked for again.
    assert!(usage.launches_refused <= u64::from(shards) / 25 + 10, "{usage:?}");
    // Decisions that are taken anew are the exception.
    assert!(usage.conflicts * 4 < usage.commits, "{usage:?}");
}
