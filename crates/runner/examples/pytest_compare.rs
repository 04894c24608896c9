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
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
    let (p, x, d) = (median(plain), median(xdist), median(driver));
    println!(
        "{} | {verdict} | pytest {p:.2} s | pytest -n{slots} {x:.2} s | driver {d:.2} s | {:.2} x -n{slots}",
        root.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        d / x
    );
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let value = work();
    times.push(began.elapsed());
    value
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}
