//! Runs a real pytest suite with plain pytest, `pytest -n N` and this driver, compares every case and prints
//! wall times: `pytest_compare DIRECTORY SLOTS ROUNDS [PYTEST ARGUMENT...]`. The interpreter is
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
    let spread = format!("-n{slots}");
    let (mut plain, mut xdist, mut driver) = (Vec::new(), Vec::new(), Vec::new());
    let mut verdict = String::new();
    for _ in 0..rounds {
        let job = Job::new(&root, slots).args(&args).env("PYTHONPATH", "src");
        let ours = timed(&mut driver, || job.run().unwrap_or_else(|e| panic!("{e:?}")));
        let theirs = timed(&mut plain, || plain_pytest(&job, &[]));
        timed(&mut xdist, || plain_pytest(&job, &[&spread]));
        let (ours_rows, aborted) = (ours.junit(), ours.aborted());
        let missing: Vec<_> = theirs.iter().filter(|row| !ours_rows.contains(row)).take(5).collect();
        let extra: Vec<_> = ours_rows.iter().filter(|row| !theirs.contains(row)).take(5).collect();
        let same = ours_rows == theirs && aborted.is_empty();
        let failed = theirs.iter().filter(|row| row.2.is_failure()).count();
        verdict =
            format!("{} cases ({failed} failing) {}", theirs.len(), if same { "equal" } else { "DIFFER" });
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
        "{name} | {verdict} | pytest {:.2} s (cpu {:.2}) | pytest -n{slots} {:.2} s (cpu {:.2}) | driver {:.2} s (cpu {:.2}) | \
         wall {:.2} cpu {:.2} x -n{slots}",
        p.0,
        p.1,
        x.0,
        x.1,
        d.0,
        d.1,
        d.0 / x.0,
        d.1 / x.1
    );
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
