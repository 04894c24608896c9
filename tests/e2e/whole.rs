//! The fixture with every kind of test, run as a whole and suite by suite.

use crate::account::{Account, Counts};
use crate::stage::{Stage, eventually};
use crate::table::{self, ROWS};
use std::fs;
use std::time::Duration;

#[test]
fn every_kind_of_test_comes_to_what_the_table_says() {
    let stage = Stage::of("zoo");
    let ctrf = stage.beside("ctrf.json");
    let html = stage.beside("report.html");
    let ended =
        stage.run(&[".", &format!("--ctrf={}", ctrf.display()), &format!("--html={}", html.display())]);
    // That a suite did not run because of the failures must not hide them.
    let account = ended.judged(1);
    table::check(account, &ROWS, 2);
    let verdicts: Vec<(&str, &str)> =
        account.jobs.iter().map(|job| (job.name.as_str(), job.verdict.as_str())).collect();
    assert_eq!(
        verdicts,
        [
            ("lint", "passed"),
            ("unit", "failed"),
            ("rust", "failed"),
            ("checks", "failed"),
            ("cells[flavour=sweet]", "passed"),
            ("cells[flavour=sour]", "failed"),
            ("gated", "errored"),
            ("other[a=1,b=x]", "passed"),
            ("other[a=1,b=y]", "passed"),
        ]
    );
    assert_eq!(account.job("gated").cause.as_ref().unwrap().code, "need_not_met");
    ended.says(&["`gated` was not run because `checks`, which it needs, did not pass"]);
    check_ctrf(&fs::read(&ctrf).unwrap(), account.run.counts);
    check_html(&fs::read_to_string(&html).unwrap());
    check_free_of_escapes(&stage, account, &ended.stderr);
    stage.assert_deserted();
    let daemon = fs::read_to_string(stage.state.join("daemon.pid")).unwrap();
    assert!(eventually(Duration::from_secs(5), || !alive(&daemon)), "the daemon {daemon} outlives its run");
}

fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn check_ctrf(bytes: &[u8], counts: Counts) {
    let ctrf: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    let summary = &ctrf["results"]["summary"];
    let number = |key: &str| summary[key].as_u64().unwrap_or_else(|| panic!("no {key} in {summary}"));
    // A job without a single case stands there as an entry of its own.
    let entries = counts.planned + 1;
    assert_eq!(number("tests"), entries);
    assert_eq!(number("passed"), counts.passed);
    assert_eq!(number("skipped") + number("pending"), counts.skipped);
    assert_eq!(ctrf["results"]["tests"].as_array().unwrap().len() as u64, entries);
}

fn check_html(page: &str) {
    assert!(page.contains("test_deaths.py::test_segfault"), "failures are on the page");
    for reach in ["src=\"http", "href=\"http", "@import", "<link "] {
        assert!(!page.contains(reach), "the page must not reach for the network: {reach}");
    }
}

/// Colours may stay in what a test printed; whatever else a terminal would obey may not.
fn check_free_of_escapes(stage: &Stage, account: &Account, stderr: &str) {
    assert!(!stderr.contains('\x1b') && !stderr.contains('\x07'), "a pipe gets plain text");
    for name in ["report.json", "junit.xml"] {
        let text = fs::read(stage.beside("reports").join(name)).unwrap();
        assert!(!text.iter().any(|byte| matches!(byte, 0x1b | 0x07)), "{name} holds raw escapes");
    }
    let rude = account.case("test_rude.py::test_escapes");
    let shown = format!("{} {}", rude.failure().message, rude.attempts[0].output);
    for harm in ["\x1b]", "\x1b[2J", "\x07"] {
        assert!(!shown.contains(harm), "{harm:?} is in {shown:?}");
    }
    let huge = account.case("test_rude.py::test_huge_output");
    assert!(huge.attempts[0].output.len() < 70_000, "output is cut to 64 KiB");
}

#[test]
fn one_suite_runs_without_what_it_needs_and_says_so() {
    let stage = Stage::of("zoo");
    let ended = stage.run(&["--suite", "unit", "--slots=4"]);
    table::check(ended.judged(1), &table::of_suite("unit"), 2);
    ended.says(&["`unit` runs without `lint`, which it needs"]);
    stage.assert_deserted();
}

#[test]
fn several_suites_run_in_one_run() {
    let stage = Stage::of("zoo");
    let ended = stage.run(&["--suite=lint", "--suite=other"]);
    let rows = [table::of_suite("lint"), table::of_suite("other")].concat();
    table::check(ended.judged(0), &rows, 2);
}

#[test]
fn without_retries_nothing_is_flaky() {
    let stage = Stage::of("zoo");
    let ended = stage.run(&["--suite=unit", "--retries=0"]);
    let account = ended.judged(1);
    for row in table::of_suite("unit") {
        let case = account.case(row.id);
        let outcome = if row.is_flaky { "failed" } else { row.outcome };
        // Whose fault a death was is only known after the suspect has run alone.
        let attempts = if outcome == "crashed" { 2 } else { 1 };
        assert_eq!((case.outcome.as_str(), case.attempts.len()), (outcome, attempts), "{}", row.id);
    }
}

#[test]
fn every_retry_that_was_asked_for_is_made() {
    let stage = Stage::of("zoo");
    let ended = stage.run(&["--suite=checks", "--suite=rust", "--retries=2"]);
    let rows = [table::of_suite("checks"), table::of_suite("rust")].concat();
    table::check(ended.judged(1), &rows, 3);
}
