//! What every case of `tests/fixtures/zoo` must come to.

use crate::account::{Account, Case};
use std::collections::BTreeSet;

/// One case: its job, id, outcome, kind of its last failure, and whether it is flaky.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) job: &'static str,
    pub(crate) id: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) is_flaky: bool,
}

const fn row(job: &'static str, id: &'static str, outcome: &'static str, kind: &'static str) -> Row {
    Row { job, id, outcome, kind, is_flaky: false }
}

const fn flaky(job: &'static str, id: &'static str) -> Row {
    Row { job, id, outcome: "passed", kind: "", is_flaky: true }
}

/// All of them.
pub(crate) const ROWS: [Row; 50] = [
    row("lint", "lint::command", "passed", ""),
    flaky("unit", "test_again.py::test_flaky"),
    row("unit", "test_again.py::test_steady", "passed", ""),
    row("unit", "test_deaths.py::test_before", "passed", ""),
    row("unit", "test_deaths.py::test_exit", "crashed", "exit:3"),
    row("unit", "test_deaths.py::test_between", "passed", ""),
    row("unit", "test_deaths.py::test_segfault", "crashed", "signal:SIGSEGV"),
    row("unit", "test_deaths.py::test_abort", "crashed", "signal:SIGABRT"),
    row("unit", "test_deaths.py::test_after", "passed", ""),
    row("unit", "test_hang.py::test_hang", "timed_out", "timeout"),
    row("unit", "test_hang.py::test_after_hang", "passed", ""),
    row("unit", "test_import.py", "errored", "CollectError"),
    row("unit", "test_kinds.py::test_pass", "passed", ""),
    row("unit", "test_kinds.py::test_fail", "failed", "AssertionError"),
    row("unit", "test_kinds.py::test_error", "errored", "OSError"),
    row("unit", "test_kinds.py::test_teardown_error", "errored", "OSError"),
    row("unit", "test_kinds.py::test_skip", "skipped", ""),
    row("unit", "test_kinds.py::test_xfail", "skipped", ""),
    row("unit", "test_kinds.py::test_xpass_strict", "failed", "XPassStrict"),
    row("unit", "test_kinds.py::test_words[plain]", "passed", ""),
    row("unit", "test_kinds.py::test_words[with space]", "passed", ""),
    row("unit", "test_kinds.py::test_words[a::b]", "passed", ""),
    row("unit", "test_kinds.py::test_words[it's]", "failed", "AssertionError"),
    row("unit", "test_kinds.py::test_words[<&>\"]", "passed", ""),
    row("unit", r"test_kinds.py::test_words[\xfcn\xef]", "passed", ""),
    row("unit", "test_rude.py::test_daemon", "passed", ""),
    row("unit", "test_rude.py::test_close_stdout", "passed", ""),
    row("unit", "test_rude.py::test_change_directory", "passed", ""),
    flaky("unit", "test_rude.py::test_directory_is_back"),
    row("unit", "test_rude.py::test_escapes", "failed", "AssertionError"),
    row("unit", "test_rude.py::test_huge_output", "passed", ""),
    row("unit", "test_rude.py::test_bytes", "passed", ""),
    row("unit", "test_rude.py::test_last", "passed", ""),
    row("rust", "zoo::doc::src/lib.rs - twice (line 5)", "passed", ""),
    row("rust", "zoo::lib::tests::passes", "passed", ""),
    row("rust", "zoo::lib::tests::fails", "failed", "panic"),
    row("rust", "zoo::lib::tests::ignored", "skipped", ""),
    row("rust", "zoo::lib::tests::should_panic_and_does_not", "failed", "failed"),
    row("rust", "zoo::test/whole::passes", "passed", ""),
    row("rust", "zoo::test/whole::aborts", "crashed", "signal:SIGABRT"),
    row("rust", "zoo::test/whole::exits", "errored", "unproved"),
    flaky("rust", "zoo::test/whole::flaky"),
    row("checks", "checks::good", "passed", ""),
    row("checks", "checks::bad", "failed", "failure"),
    row("checks", "checks::broken", "errored", "error"),
    row("checks", "checks::later", "skipped", ""),
    row("cells[flavour=sweet]", "cells::command", "passed", ""),
    row("cells[flavour=sour]", "cells::command", "failed", "exit_status"),
    row("other[a=1,b=x]", "other::command", "passed", ""),
    row("other[a=1,b=y]", "other::command", "passed", ""),
];

/// Rows of the jobs of one suite.
pub(crate) fn of_suite(suite: &str) -> Vec<Row> {
    ROWS.into_iter().filter(|row| row.job.split('[').next() == Some(suite)).collect()
}

/// Whether the outcome is red.
pub(crate) fn is_red(outcome: &str) -> bool {
    !matches!(outcome, "passed" | "skipped")
}

/// Checks that the account has exactly these rows, with this many attempts for those that stay red.
pub(crate) fn check(account: &Account, rows: &[Row], red_attempts: usize) {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for row in rows {
        seen.insert((row.job, row.id));
        let cases = account.cases_of(row.job);
        match cases.iter().find(|case| case.id == row.id) {
            None => wrong.push(format!("{} {} is missing", row.job, row.id)),
            Some(case) => wrong.extend(difference(row, case, red_attempts)),
        }
    }
    let extra = account
        .jobs
        .iter()
        .flat_map(|job| account.cases_of(&job.name).into_iter().map(move |case| (job, case)));
    for (job, case) in extra.filter(|(job, case)| !seen.contains(&(job.name.as_str(), case.id.as_str()))) {
        wrong.push(format!("{} {} was not expected", job.name, case.id));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn difference(row: &Row, case: &Case, red_attempts: usize) -> Option<String> {
    let kind = case
        .attempts
        .last()
        .and_then(|last| last.failure.as_ref())
        .map_or("", |failure| failure.kind.as_str());
    let found = (case.outcome.as_str(), kind, case.flaky.is_some());
    let attempts = case.attempts.len();
    let expected_attempts = match (is_red(row.outcome), row.is_flaky) {
        (true, _) => red_attempts,
        (false, true) => 2,
        (false, false) => 1,
    };
    (found != (row.outcome, row.kind, row.is_flaky) || attempts != expected_attempts)
        .then(|| format!("{} {}: {found:?} after {attempts} attempts, not {row:?}", row.job, row.id))
}
