//! `cargo xtask conformance`: published suites, run by their own framework and by `fleetest`, case by case.
//!
//! Equal means the same multiset of class, name and outcome. Rust has no class in its own output, so crates are
//! compared by the name of the test, which `fleetest` may show inside or after its class.

use crate::compare::{self, Case, Tally};
use crate::suites::{self, Kind, Reference, Suite, python};
use crate::table::Table;
use crate::{junit, launch, place, say, toolbox};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Differences shown per suite.
const SHOWN: usize = 5;
/// Longest sentence about one of them, in characters.
const SENTENCE: usize = 200;

/// One row of the table.
struct Row {
    suite: &'static Suite,
    reference: Tally,
    /// Absent if only the framework's side was run, or if `fleetest` could not run the suite.
    candidate: Option<Tally>,
    differences: Vec<String>,
}

/// `cargo xtask conformance`.
pub(crate) fn command(only: &[String], binary: Option<PathBuf>, reference_only: bool) -> Result<()> {
    let chosen = suites::chosen(only)?;
    let program = if reference_only { None } else { Some(toolbox::fleetest(binary)?) };
    let mut rows = Vec::new();
    for suite in chosen {
        say::err(&format!("{} {}", suite.name, suite.version));
        rows.push(row(suite, program.as_deref())?);
    }
    let text = page(&rows);
    say::out(&text);
    let unequal = rows.iter().filter(|row| !row.differences.is_empty()).count();
    if program.is_some() && only.is_empty() {
        let path = place::root().join("docs").join("conformance.md");
        std::fs::write(&path, &text).with_context(|| format!("could not write `{}`", path.display()))?;
    }
    if unequal > 0 {
        bail!("{unequal} suite(s) differ; outputs of both sides are in `target/conformance`");
    }
    Ok(())
}

fn row(suite: &'static Suite, program: Option<&Path>) -> Result<Row> {
    let project = suite.fetch()?;
    let reference = suite.reference(&project)?;
    let tally = compare::tally(&reference.cases);
    let Some(program) = program else {
        return Ok(Row { suite, reference: tally, candidate: None, differences: Vec::new() });
    };
    match candidate(suite, &project, program) {
        Ok((cases, code)) => {
            let mut differences = differences(suite, &reference, &cases);
            if code != reference.timed.code.map(|code| i32::from(code != 0)) {
                differences
                    .push(format!("exit code: framework {:?}, fleetest {code:?}", reference.timed.code));
            }
            Ok(Row { suite, reference: tally, candidate: Some(compare::tally(&cases)), differences })
        }
        Err(error) => {
            let differences = vec![format!("fleetest did not report: {error:#}")];
            Ok(Row { suite, reference: tally, candidate: None, differences })
        }
    }
}

/// Runs `fleetest` on the suite; its cases and exit code.
fn candidate(suite: &Suite, project: &Path, program: &Path) -> Result<(Vec<Case>, Option<i32>)> {
    let report = suite.output("fleetest.xml");
    // A report of an earlier run must not be taken for this one's.
    if report.exists() {
        std::fs::remove_file(&report).context("could not remove the last report")?;
    }
    let log = suite.output("fleetest.log");
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg(project)
        .args(["--no-history", "--retries", "0", "--quiet", "--junit"])
        .arg(&report);
    command.arg("--json").arg(suite.output("fleetest.json"));
    python::deterministic(&mut command);
    let timed = launch::timed(&mut command, &log)?;
    let text = std::fs::read_to_string(&report).with_context(|| {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        format!("no JUnit report (exit {:?}): {}", timed.code, launch::ending(&said, 5))
    })?;
    Ok((junit::cases(&text)?, timed.code))
}

fn differences(suite: &Suite, reference: &Reference, candidate: &[Case]) -> Vec<String> {
    match suite.kind {
        Kind::Pytest(_) => compare::differences(&reference.cases, candidate),
        Kind::Cargo => {
            let nameless: Vec<Case> = reference.cases.iter().map(|case| classless(case, "")).collect();
            let known: Vec<&str> = nameless.iter().map(|case| case.name.as_str()).collect();
            let found: Vec<Case> =
                candidate.iter().map(|case| classless(case, longest(case, &known))).collect();
            compare::differences(&nameless, &found)
        }
    }
}

/// The longest known test name that the case's full text ends with, at a boundary; empty if there is none.
fn longest<'a>(case: &Case, known: &[&'a str]) -> &'a str {
    let full = format!("{}::{}", case.class, case.name);
    let fits = |name: &&&str| full.strip_suffix(**name).is_some_and(|before| before.ends_with("::"));
    known.iter().filter(fits).max_by_key(|name| name.len()).copied().unwrap_or("")
}

fn classless(case: &Case, name: &str) -> Case {
    let name = if name.is_empty() { case.name.clone() } else { name.to_owned() };
    Case { class: String::new(), name, outcome: case.outcome }
}

fn page(rows: &[Row]) -> String {
    let mut table = Table::new(&[
        "suite",
        "framework",
        "cases",
        "passed",
        "failed",
        "skipped",
        "fleetest: cases",
        "passed",
        "failed",
        "skipped",
        "equal",
        "first differences",
    ]);
    for row in rows {
        let framework = match row.suite.kind {
            Kind::Pytest(_) => "pytest",
            Kind::Cargo => "cargo test",
        };
        let mut cells = vec![format!("{} {}", row.suite.name, row.suite.version), framework.to_owned()];
        cells.extend(numbers(Some(row.reference)));
        cells.extend(numbers(row.candidate));
        cells.push(match (row.candidate, row.differences.is_empty()) {
            (None, true) => "not run".to_owned(),
            (_, equal) => if equal { "yes" } else { "no" }.to_owned(),
        });
        let more = row.differences.len().saturating_sub(SHOWN);
        let mut shown: Vec<String> = row.differences.iter().take(SHOWN).map(|text| cut(text)).collect();
        shown.extend((more > 0).then(|| format!("and {more} more")));
        cells.push(shown.join("; "));
        table.row(cells);
    }
    format!(
        "# Conformance\n\nPublished test suites, run by their own framework and by `fleetest run --no-history --retries 0`, \
         compared case by case (class, name, outcome, each as often as it occurs). Failures are the suites' own.\n\
         Made by `cargo xtask conformance` on a machine with {} core(s).\n\n{}",
        toolbox::cores(),
        table.markdown()
    )
}

/// A sentence that still fits into a table.
fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(SENTENCE).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn numbers(tally: Option<Tally>) -> Vec<String> {
    match tally {
        Some(t) => [t.cases, t.passed, t.failed, t.skipped].iter().map(ToString::to_string).collect(),
        None => vec!["–".to_owned(); 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Outcome;
    use crate::launch::Timed;
    use std::time::Duration;

    fn case(class: &str, name: &str) -> Case {
        Case { class: class.to_owned(), name: name.to_owned(), outcome: Outcome::Passed }
    }

    fn cargo_suite() -> &'static Suite {
        suites::ALL.iter().find(|suite| suite.kind == Kind::Cargo).unwrap()
    }

    fn reference(cases: Vec<Case>) -> Reference {
        Reference { cases, timed: Timed { code: Some(0), wall: Duration::ZERO } }
    }

    #[test]
    fn crates_are_compared_by_test_name_wherever_the_class_ends() {
        let own = reference(vec![
            case("src/lib.rs", "a::b"),
            case("tests/x.rs", "b"),
            case("doc d", "src/lib.rs - f (line 1)"),
        ]);
        let ours = [case("d::a", "b"), case("d::x", "b"), case("d", "src/lib.rs - f (line 1)")];
        assert!(differences(cargo_suite(), &own, &ours).is_empty());
        assert_eq!(differences(cargo_suite(), &own, &ours[..2]).len(), 1);
        assert_eq!(differences(cargo_suite(), &own, &[case("d", "bb")]).len(), 4);
    }

    #[test]
    fn the_page_says_who_differs_and_cuts_the_list() {
        let tally = Tally { cases: 9, passed: 9, failed: 0, skipped: 0 };
        let differences: Vec<String> = (0..9).map(|n| format!("case {n}")).collect();
        assert_eq!(cut(&"é".repeat(300)).chars().count(), SENTENCE + 1);
        let rows = [
            Row { suite: cargo_suite(), reference: tally, candidate: Some(tally), differences: Vec::new() },
            Row { suite: cargo_suite(), reference: tally, candidate: Some(tally), differences },
        ];
        let text = page(&rows);
        assert!(text.contains("| yes "), "{text}");
        assert!(text.contains("case 4; and 4 more") && !text.contains("case 5"), "{text}");
    }
}
