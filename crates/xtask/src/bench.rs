//! `cargo xtask bench run`: wall time beside the frameworks' own runners, and memory with many cases.
//!
//! All peers of a suite are measured in one invocation, round by round in turn, so that a noisy machine is noisy
//! for each of them; the median is reported. A run that did not end as the suite should is an error, not a number.

pub(crate) mod api;
mod bill;
pub(crate) mod cold;
pub(crate) mod import;
mod memory;
mod peers;
mod section;
pub(crate) mod split;

use crate::suites::{self, Kind};
use crate::table::Table;
use crate::{place, say, toolbox};
use anyhow::{Context as _, Result, bail};
use peers::{Medians, Subject};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `fleetest run` ÷ `pytest -n 2`, median over the anchor suites.
const TARGET_PARALLEL: f64 = 0.6;
/// Most that `fleetest run` may take beyond plain `pytest`.
const TARGET_EXTRA: Duration = Duration::from_millis(150);
/// Most resident memory of the `fleetest` process with 100,000 cases, in MiB.
const TARGET_MEMORY_MIB: f64 = 80.0;

/// A published target beside what was measured.
struct Goal {
    what: String,
    target: String,
    measured: String,
    met: bool,
}

/// `cargo xtask bench run`.
pub(crate) fn command(
    only: &[String],
    rounds: usize,
    binary: Option<PathBuf>,
    no_memory: bool,
) -> Result<()> {
    if rounds == 0 {
        bail!("a median needs at least one round; use `--rounds 5` or more");
    }
    let program = toolbox::fleetest(binary)?;
    let mut pytest = Vec::new();
    let mut crates = Vec::new();
    for suite in suites::chosen(only)? {
        let project = suite.fetch()?;
        let subject = Subject { name: suite.name.to_owned(), anchor: suite.anchor, project };
        match suite.kind {
            Kind::Pytest(_) => pytest.push(peers::pytest(&subject, &program, rounds)?),
            Kind::Cargo => crates.push(peers::cargo(&subject, &program, rounds)?),
        }
    }
    let trivial = peers::trivial(&program, rounds)?;
    let peaks = if no_memory { Vec::new() } else { memory::peaks(&program)? };
    let text = page(&pytest, &crates, &trivial, &peaks, rounds);
    say::out(&text);
    if only.is_empty() && !no_memory {
        section::store(&place::root().join("docs").join("performance.md"), "run", &text)?;
    }
    Ok(())
}

fn page(
    pytest: &[Medians],
    crates: &[Medians],
    trivial: &Medians,
    peaks: &[(String, f64)],
    rounds: usize,
) -> String {
    let mut all = pytest.to_vec();
    all.push(trivial.clone());
    format!(
        "# Performance\n\nMedians of {rounds} rounds, all peers in turn in one invocation, on a machine with {} core(s). \
         Seconds of wall time, whole process. \"first\" = without history, \"again\" = planned from the run before.\n\
         Made by `cargo xtask bench run`.\n\n## Targets\n\n{}\n## pytest suites\n\n{}\n## Crates, after a warm build\n\n\
         Both run the same cases: nextest runs no doc tests, so `fleetest` is told to leave them out.\n\n{}\n{}",
        toolbox::cores(),
        goals_table(&goals(pytest, crates, trivial, peaks)),
        pytest_table(&all),
        crates_table(crates),
        memory_table(peaks),
    )
}

fn pytest_table(rows: &[Medians]) -> String {
    let mut table = Table::new(&[
        "suite",
        "pytest",
        "pytest -n 2",
        "first",
        "again",
        "first ÷ -n 2",
        "again ÷ -n 2",
        "first − pytest",
    ]);
    for row in rows {
        let [plain, parallel, first, again] = row.times;
        table.row(vec![
            row.name.clone(),
            seconds(plain),
            seconds(parallel),
            seconds(first),
            seconds(again),
            format!("{:.2}", ratio(first, parallel)),
            format!("{:.2}", ratio(again, parallel)),
            difference(first, plain),
        ]);
    }
    table.markdown()
}

fn crates_table(rows: &[Medians]) -> String {
    let mut table =
        Table::new(&["crate", "cargo nextest run", "first", "again", "first ÷ nextest", "again ÷ nextest"]);
    for row in rows {
        let [nextest, _, first, again] = row.times;
        table.row(vec![
            row.name.clone(),
            seconds(nextest),
            seconds(first),
            seconds(again),
            format!("{:.2}", ratio(first, nextest)),
            format!("{:.2}", ratio(again, nextest)),
        ]);
    }
    table.markdown()
}

fn memory_table(peaks: &[(String, f64)]) -> String {
    if peaks.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["100,000 cases through", "peak resident memory of `fleetest`"]);
    for (name, mib) in peaks {
        table.row(vec![name.clone(), format!("{mib:.1} MiB")]);
    }
    format!("## Memory\n\n{}", table.markdown())
}

fn goals(pytest: &[Medians], crates: &[Medians], trivial: &Medians, peaks: &[(String, f64)]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for (name, which) in [("first", 2usize), ("again", 3)] {
        let mut ratios: Vec<f64> = pytest
            .iter()
            .filter(|row| row.anchor)
            .filter_map(|row| Some(ratio(*row.times.get(which)?, row.times[1])))
            .collect();
        if let Some(median) = middle(&mut ratios) {
            goals.push(Goal {
                what: format!("{name} ÷ `pytest -n 2`, median over the anchor suites"),
                target: format!("≤ {TARGET_PARALLEL}"),
                measured: format!("{median:.2}"),
                met: median <= TARGET_PARALLEL,
            });
        }
    }
    let all = pytest.iter().chain([trivial]);
    if let Some(worst) = all.max_by_key(|row| row.times[2].saturating_sub(row.times[0])) {
        goals.push(Goal {
            what: format!("first − `pytest`, worst suite ({})", worst.name),
            target: format!("≤ {} ms", TARGET_EXTRA.as_millis()),
            measured: difference(worst.times[2], worst.times[0]),
            met: worst.times[2] <= worst.times[0] + TARGET_EXTRA,
        });
    }
    for row in crates.iter().filter(|row| row.anchor) {
        let [nextest, _, _, again] = row.times;
        goals.push(Goal {
            what: format!("{}: again ÷ `cargo nextest run`", row.name),
            target: "≤ 1".to_owned(),
            measured: format!("{:.2}", ratio(again, nextest)),
            met: again <= nextest,
        });
    }
    goals.extend(peaks.iter().map(|(name, mib)| Goal {
        what: format!("memory, 100,000 cases through {name}"),
        target: format!("< {TARGET_MEMORY_MIB} MiB"),
        measured: format!("{mib:.1} MiB"),
        met: *mib < TARGET_MEMORY_MIB,
    }));
    goals
}

fn goals_table(goals: &[Goal]) -> String {
    let mut table = Table::new(&["what", "target", "measured", "met"]);
    for goal in goals {
        let met = if goal.met { "yes" } else { "no" };
        table.row(vec![goal.what.clone(), goal.target.clone(), goal.measured.clone(), met.to_owned()]);
    }
    table.markdown()
}

/// The middle value; `None` of nothing. Of an even number, the mean of the two in the middle.
fn middle(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len().saturating_sub(1)) / 2)?;
    Some(f64::midpoint(lower, upper))
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64().max(f64::EPSILON)
}

fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

fn difference(a: Duration, b: Duration) -> String {
    format!("{:+.0} ms", (a.as_secs_f64() - b.as_secs_f64()) * 1000.0)
}

/// Removes the product's state of a project, so that the next run has no history.
fn forget(project: &Path) -> Result<()> {
    let state = project.join(".fleetest");
    if state.exists() {
        std::fs::remove_dir_all(&state).with_context(|| format!("could not remove `{}`", state.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medians(name: &str, ms: [u64; 4]) -> Medians {
        Medians { name: name.to_owned(), anchor: true, times: ms.map(Duration::from_millis) }
    }

    #[test]
    fn the_middle_is_the_median() {
        assert_eq!(middle(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(middle(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(middle(&mut []), None);
    }

    #[test]
    fn a_missed_target_is_said_to_be_missed() {
        let suites = [medians("a", [1000, 1000, 500, 500]), medians("b", [1000, 1000, 1200, 600])];
        let crates = [medians("c", [100, 100, 800, 900]), medians("d", [100, 100, 90, 80])];
        let trivial = medians("one test", [200, 300, 250, 250]);
        let peaks = [("command".to_owned(), 79.9)];
        let met: Vec<bool> = goals(&suites, &crates, &trivial, &peaks).iter().map(|goal| goal.met).collect();
        // first: median(0.5, 1.2) = 0.85; again: 0.55; worst extra: 200 ms; crates: 9 and 0.8; memory below 80.
        assert_eq!(met, [false, true, false, false, true, true]);
        let text = page(&suites, &crates, &trivial, &peaks, 5);
        assert!(
            text.contains("| +200 ms") && text.contains("79.9 MiB") && text.contains("one test"),
            "{text}"
        );
    }
}
