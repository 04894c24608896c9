//! `cargo xtask bench import`: how fast results are imported, and in how much memory.
//!
//! Each round is a process of its own, so that its peak is its own; rates are for the time it had a core, so that other
//! work on the machine does not count.

use super::section;
use crate::table::Table;
use crate::{launch, place, say};
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::process::Command;

/// Least rate of reading, in MB/s of one core.
const TARGET_MB_PER_S: f64 = 100.0;
/// Sizes that are read: memory must not follow them.
const SIZES_MIB: [u32; 2] = [20, 200];

/// What is measured.
const STEPS: [(&str, &str); 4] = [
    ("read", "reading"),
    ("store", "reading, and storing the results (while the body comes)"),
    ("import", "the whole import: also proven, judged, in pages of cases, learned from"),
    ("reports", "the same, and the four reports rendered when the first is asked for"),
];

/// What one round says.
#[derive(Debug, Clone, Deserialize)]
struct Round {
    cases: u64,
    mb_per_s: f64,
    peak_mib: f64,
}

/// `cargo xtask bench import`.
pub(crate) fn command(rounds: usize) -> Result<()> {
    if rounds == 0 {
        bail!("a median needs at least one round; use `--rounds 5` or more");
    }
    let mut table = Table::new(&["what", "report", "cases", "MB/s of one core", "peak memory"]);
    let mut reading = f64::MAX;
    for (what, name) in STEPS {
        for mib in SIZES_MIB {
            say::err(&format!("{name}, {mib} MiB"));
            let all = (0..rounds).map(|_| round(what, mib)).collect::<Result<Vec<Round>>>()?;
            let rate = median(all.iter().map(|round| round.mb_per_s));
            let peak = all.iter().map(|round| round.peak_mib).fold(0.0, f64::max);
            let cases = all.first().map_or(0, |round| round.cases);
            if what == "read" {
                reading = reading.min(rate);
            }
            let row = [
                name.to_owned(),
                format!("{mib} MiB"),
                cases.to_string(),
                format!("{rate:.0}"),
                format!("{peak:.1} MiB"),
            ];
            table.row(row.to_vec());
        }
    }
    let met = if reading >= TARGET_MB_PER_S { "met" } else { "missed" };
    let text = format!(
        "# Imports\n\nJUnit XML with a text of some KiB at every 50th case, made up while it is read; medians of {rounds} rounds, memory of the worst one. \
         Target: reading at {TARGET_MB_PER_S:.0} MB/s of one core or more, in memory that does not follow the size: {met}.\n\
         Made by `cargo xtask bench import`.\n\n{}",
        table.markdown()
    );
    say::out(&text);
    section::store(&place::root().join("docs").join("performance.md"), "import", &text)
}

fn round(what: &str, mib: u32) -> Result<Round> {
    let mut command = Command::new("cargo");
    command.current_dir(place::root());
    command.args(["run", "--release", "--quiet", "-p", "embedded", "--example", "import_rate", "--", what]);
    command.arg(mib.to_string());
    let output = command.output().with_context(|| format!("could not start `{}`", launch::line(&command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", launch::line(&command), String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("the measurement printed something else than its figures")
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    super::middle(&mut values).unwrap_or_default()
}
