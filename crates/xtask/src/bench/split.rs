//! `cargo xtask bench split`: how close the plan and the lease rule come to the bound, on recorded durations.
//!
//! The durations are those of the published suites' cases, read from the reports that `cargo xtask conformance`
//! leaves behind. The plan is made from a history that is wrong by up to a fifth; the replay uses the truth. Nothing is
//! run and nothing waits: the same recordings give the same figures.

use super::section;
use crate::table::Table;
use crate::{place, say};
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use shared::domain::case::CaseId;
use shared::domain::predict::Details;
use shared::domain::split::{SplitInput, entries, lower_bound_us, simulate};
use shared::domain::statistics::{CaseStats, SuiteStats, UnitStats};
use shared::domain::unit::DiscoveredUnit;
use std::collections::BTreeMap;
use std::path::Path;

/// Numbers of slots.
const SLOTS: [u32; 9] = [2, 4, 8, 16, 32, 64, 128, 256, 512];
/// Makespan ÷ lower bound, mean over everything.
const TARGET: f64 = 1.03;
/// Cost of starting a batch, in microseconds: a call over loopback and a commit.
const OVERHEAD_US: u64 = 500;

#[derive(Deserialize)]
struct Report {
    cases: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    unit: String,
    id: CaseId,
    duration_us: u64,
}

type Recorded = BTreeMap<String, BTreeMap<CaseId, u64>>;

/// `cargo xtask bench split`.
pub(crate) fn command() -> Result<()> {
    let recordings = recordings(&place::root().join("target").join("conformance"))?;
    let mut table =
        Table::new(&["suite", "units", "cases", "total s", "ratio, mean of 2…512 slots", "worst"]);
    let mut all = Vec::new();
    for (name, recorded) in &recordings {
        let ratios: Vec<f64> = SLOTS.iter().map(|slots| ratio(recorded, *slots)).collect();
        let total_us: u64 = recorded.values().flat_map(BTreeMap::values).sum();
        table.row(vec![
            name.clone(),
            recorded.len().to_string(),
            recorded.values().map(BTreeMap::len).sum::<usize>().to_string(),
            format!("{:.1}", seconds(total_us)),
            format!("{:.3}", mean(&ratios)),
            format!("{:.3}", ratios.iter().copied().fold(0.0, f64::max)),
        ]);
        all.extend(ratios);
    }
    let reached = mean(&all);
    let text = format!(
        "# Splitting\n\nMakespan ÷ lower bound (the longest case, or the total ÷ slots) on recorded durations, in a pure \
         replay with predictions off by up to ±20 % and {OVERHEAD_US} µs per batch. Mean over all: {reached:.3} \
         (target ≤ {TARGET}).\nMade by `cargo xtask bench split` from the reports of `cargo xtask conformance`.\n\n{}",
        table.markdown()
    );
    say::out(&text);
    section::store(&place::root().join("docs").join("performance.md"), "split", &text)?;
    if reached > TARGET {
        bail!("the mean ratio is {reached:.3}, over the target of {TARGET}");
    }
    Ok(())
}

fn recordings(folder: &Path) -> Result<BTreeMap<String, Recorded>> {
    let missing = || format!("no recordings in `{}`; run `cargo xtask conformance` first", folder.display());
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).with_context(missing)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(suite) = name.strip_suffix(".fleetest.json") else { continue };
        let text = std::fs::read_to_string(&path)?;
        let report: Report = serde_json::from_str(&text).with_context(|| format!("`{name}` is no report"))?;
        let mut recorded = Recorded::new();
        for row in report.cases {
            recorded.entry(row.unit).or_default().insert(row.id, row.duration_us.max(1));
        }
        found.insert(suite.to_owned(), recorded);
    }
    if found.is_empty() {
        bail!(missing());
    }
    Ok(found)
}

/// Makespan ÷ lower bound for one suite on so many slots.
fn ratio(recorded: &Recorded, slots: u32) -> f64 {
    let (history, details) = remembered(recorded);
    let units: Vec<DiscoveredUnit> = recorded
        .keys()
        .map(|key| DiscoveredUnit { key: key.clone(), cases: None, divisible: true, size_bytes: 0 })
        .collect();
    let plan =
        entries(&SplitInput { units: &units, history: &history, details: &details, slots, chosen: &[] });
    let (mut durations, mut predictions) = (Vec::new(), Vec::new());
    for entry in &plan {
        let chosen = entry.selection.compile();
        let cases = recorded.get(&entry.unit).into_iter().flatten();
        durations.push(cases.filter(|(case, _)| chosen.keeps(case)).map(|(_, us)| us).sum::<u64>());
        predictions.push(entry.predicted_ms * 1000);
    }
    let makespan_us = simulate(&durations, &predictions, slots, OVERHEAD_US);
    let cases: Vec<u64> = recorded.values().flat_map(BTreeMap::values).copied().collect();
    seconds(makespan_us) / seconds(lower_bound_us(&cases, slots)).max(f64::MIN_POSITIVE)
}

/// A history of these durations, each off by up to a fifth in a way that depends on the case alone.
fn remembered(recorded: &Recorded) -> (SuiteStats, Details) {
    let (mut history, mut details) = (SuiteStats::default(), Details::new());
    for (key, cases) in recorded {
        let mut unit = UnitStats::default();
        let mut stats = BTreeMap::new();
        for (case, us) in cases {
            let wrong =
                case.0.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
            let ewma_us = us * (80 + wrong % 41) / 100;
            unit.predicted_us += ewma_us;
            unit.cases += 1;
            stats.insert(case.clone(), CaseStats { ewma_us, samples: 1, ..CaseStats::default() });
        }
        history.units.insert(key.clone(), unit);
        details.insert(key.clone(), stats);
    }
    (history, details)
}

#[expect(clippy::cast_precision_loss, reason = "durations of tests are far below 2^52 microseconds")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "a few dozen ratios")]
fn mean(ratios: &[f64]) -> f64 {
    ratios.iter().sum::<f64>() / ratios.len().max(1) as f64
}
