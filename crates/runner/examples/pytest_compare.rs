//! Runs a real pytest suite with plain pytest, `pytest -n N` and this driver, compares every case and prints
//! wall times (a first round of the driver, without history, is shown apart): `pytest_compare DIRECTORY SLOTS ROUNDS [PYTEST ARGUMENT...]`; without rounds, the driver's
//! cases are listed. The interpreter is
//! `FLEETEST_TEST_PYTHON`.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring instrument"
)]
#![allow(dead_code, reason = "the harness serves the tests too")]
#![allow(clippy::allow_attributes, reason = "whether the harness is used whole differs by target")]
#![allow(missing_docs, unreachable_pub, reason = "the harness serves the tests too")]

#[path = "../tests/pytest/harness.rs"]
mod harness;

use harness::{Job, plain_pytest};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use shared::domain::case::CaseId;
use shared::domain::unit::{DiscoveredUnit, Entry, Selection};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let root = PathBuf::from(arguments.next().expect("a directory"));
    let slots: u32 = arguments.next().expect("a number of slots").parse().expect("a number");
    let rounds: usize = arguments.next().expect("a number of rounds").parse().expect("a number");
    let further: Vec<String> = arguments.collect();
    let args: Vec<&str> = further.iter().map(String::as_str).collect();
    let root = root.canonicalize().expect("an existing directory");
    if rounds == 0 {
        return list(&Job::new(&root, slots).args(&args).env("PYTHONPATH", "src"));
    }
    let spread = format!("-n{slots}");
    let (mut plain, mut xdist, mut driver) = (Vec::new(), Vec::new(), Vec::new());
    let mut verdict = String::new();
    let mut history: BTreeMap<String, Vec<(CaseId, u64)>> = BTreeMap::new();
    let mut first = (0.0, 0.0);
    // The first round only makes history, as the first run of a project does.
    for _ in 0..=rounds {
        let job = Job::new(&root, slots).args(&args).env("PYTHONPATH", "src");
        let planned = plan(&history, slots);
        let ours = timed(&mut driver, || {
            let entries = |units: &[DiscoveredUnit]| match planned.as_slice() {
                [] => units.iter().map(|unit| Entry::whole(&unit.key, 0)).collect(),
                known => known.to_vec(),
            };
            job.run_entries(entries).unwrap_or_else(|e| panic!("{e:?}"))
        });
        if history.is_empty() {
            first = driver.pop().unwrap_or_default();
            for result in ours.cases() {
                let unit = result.case.0.split("::").next().unwrap_or_default().to_owned();
                history.entry(unit).or_default().push((result.case.clone(), result.duration_us + 300));
            }
            continue;
        }
        let theirs = timed(&mut plain, || plain_pytest(&job, &[]));
        timed(&mut xdist, || plain_pytest(&job, &[&spread]));
        let (ours_rows, aborted) = (ours.junit(), ours.aborted());
        let missing: Vec<_> = theirs.iter().filter(|row| !ours_rows.contains(row)).take(5).collect();
        let extra: Vec<_> = ours_rows.iter().filter(|row| !theirs.contains(row)).take(5).collect();
        let same = ours_rows == theirs && aborted.is_empty();
        let failed = theirs.iter().filter(|row| row.2.is_failure()).count();
        verdict =
            format!("{} cases ({failed} failing) {}", theirs.len(), if same { "equal" } else { "DIFFER" });
        if let Some(case) =
            ours.cases().find(|case| !theirs.contains(&(case.class.clone(), case.name.clone(), case.outcome)))
        {
            println!("{case:#?}");
        }
        if !same {
            println!(
                "ours {} theirs {} missing {missing:?} extra {extra:?} aborted {aborted:?}",
                ours_rows.len(),
                theirs.len()
            );
        }
    }
    let name = root.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let (p, x, d) = (median(plain), median(xdist), median(driver));
    println!(
        "{name} | {verdict} | pytest {:.2} s (cpu {:.2}) | pytest -n{slots} {:.2} s (cpu {:.2}) | driver {:.2} s (cpu {:.2}), first {:.2} s | \
         wall {:.2} cpu {:.2} x -n{slots}",
        p.0,
        p.1,
        x.0,
        x.1,
        d.0,
        d.1,
        first.0,
        d.0 / x.0,
        d.1 / x.1
    );
}

/// With no rounds at all: what the driver alone says.
fn list(job: &Job) {
    for case in job.run().unwrap_or_else(|e| panic!("{e:?}")).cases() {
        let message = case.failure.as_ref().map_or("", |failure| failure.message.as_str());
        println!("{} {} {} us slot {} {message}", case.outcome, case.case, case.duration_us, case.slot);
    }
    println!("{}", job.log.lock().expect("no panic"));
}

/// Longest first; a file longer than half a slot's share in parts, as a coordinator with history would lease it.
fn plan(history: &BTreeMap<String, Vec<(CaseId, u64)>>, slots: u32) -> Vec<Entry> {
    let total: u64 = history.values().flatten().map(|(_, us)| us).sum();
    let share = (total / u64::from(slots) / 4).max(1);
    let mut entries = Vec::new();
    for (unit, cases) in history {
        let sum: u64 = cases.iter().map(|(_, us)| us).sum();
        if sum <= share * 2 {
            entries.push(Entry::whole(unit, sum));
            continue;
        }
        let mut parts: Vec<(Vec<CaseId>, u64)> = vec![(Vec::new(), 0)];
        for (case, us) in cases {
            if parts.last().is_some_and(|part| part.1 >= share) {
                parts.push((Vec::new(), 0));
            }
            if let Some(part) = parts.last_mut() {
                part.0.push(case.clone());
                part.1 += us;
            }
        }
        let listed: Vec<CaseId> = parts.iter().skip(1).flat_map(|part| part.0.clone()).collect();
        for (place, (cases, us)) in parts.into_iter().enumerate() {
            let selection =
                if place == 0 { Selection::Except(listed.clone()) } else { Selection::Only(cases) };
            entries.push(Entry { selection, ..Entry::whole(unit, us) });
        }
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.predicted_ms));
    entries
}

/// Wall and processor seconds, the latter of all processes that ended meanwhile.
fn timed<T>(times: &mut Vec<(f64, f64)>, work: impl FnOnce() -> T) -> T {
    let (began, used) = (Instant::now(), cpu_seconds());
    let value = work();
    times.push((began.elapsed().as_secs_f64(), cpu_seconds() - used));
    value
}

fn cpu_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("a valid question");
    let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    std::time::Duration::from_micros(us.unsigned_abs()).as_secs_f64()
}

fn median(times: Vec<(f64, f64)>) -> (f64, f64) {
    let (mut wall, mut cpu): (Vec<f64>, Vec<f64>) = times.into_iter().unzip();
    wall.sort_by(f64::total_cmp);
    cpu.sort_by(f64::total_cmp);
    (wall[wall.len() / 2], cpu[cpu.len() / 2])
}
