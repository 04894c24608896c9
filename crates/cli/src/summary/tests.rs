//! The end of a run for each kind of end.

use super::*;
use crate::progress::tests::result;
use proptest::prelude::*;
use shared::domain::case::CaseResult;
use shared::domain::id::{ProjectId, RunId};
use shared::domain::outcome::{Counts, Outcome};
use shared::domain::spec::Framework;
use shared::domain::time::Timestamp;
use shared::domain::verdict::{Cause, CauseCode, Judgement};

const TRACEBACK: &str = "\
def test_split():
    left, right = split(\"a-b\")
    assert left == \"a\"
    rest = right.strip()
    one = 1
    two = 2
    three = 3
    four = 4
    five = 5
    six = 6
    seven = 7
    eight = 8
    nine = 9
    ten = 10
    eleven = 11
>   assert rest == \"c\"
E   AssertionError: assert 'b' == 'c'
E     - c
E     + b

tests/test_split.py:31: AssertionError";

fn attempt(case: &str, attempt: u32, outcome: Outcome) -> CaseResult {
    CaseResult {
        file: Some("tests/test_split.py".to_owned()),
        line: Some(31),
        ..result(case, attempt, outcome, 123_400)
    }
}

fn record(attempts: Vec<CaseResult>) -> CaseRecord {
    CaseRecord {
        job: JobNo(1),
        unit: "tests/test_split.py".to_owned(),
        shards: vec![1; attempts.len()],
        attempts,
    }
}

fn failure(case: &str) -> CaseRecord {
    let mut last = attempt(case, 2, Outcome::Failed);
    if let Some(failure) = &mut last.failure {
        failure.detail = TRACEBACK.to_owned();
    }
    last.output = (1..=9).map(|n| format!("\x1b[31mline\x1b[0m {n}\n")).collect();
    record(vec![attempt(case, 1, Outcome::Failed), last])
}

fn job(n: u32, name: &str, judgement: Judgement, counts: Counts) -> JobSummary {
    JobSummary {
        job: JobNo(n),
        name: name.to_owned(),
        framework: Framework::Pytest,
        judgement,
        counts,
        not_run_units: 0,
        deselected: 0,
        notes: Vec::new(),
        started_at: Some(Timestamp(1_000)),
        finished_at: Some(Timestamp(42_000)),
        launches: 1,
        spans: Vec::new(),
    }
}

fn run(judgement: Judgement, jobs: Vec<JobSummary>) -> RunSummary {
    let mut counts = Counts::default();
    jobs.iter().for_each(|job| counts.add(&job.counts));
    RunSummary {
        run: RunId(1),
        project: ProjectId("demo".to_owned()),
        commit: None,
        branch: None,
        judgement,
        counts,
        queued_at: Timestamp(0),
        finished_at: Timestamp(42_400),
        version: "0.1.0".to_owned(),
        jobs,
    }
}

fn counts(passed: u64, failed: u64, skipped: u64, outstanding: u64) -> Counts {
    let planned = passed + failed + skipped + outstanding;
    Counts { planned, passed, failed, skipped, outstanding, ..Counts::default() }
}

fn because(code: CauseCode, message: &str, detail: &str) -> Judgement {
    Judgement::because(Cause { code, message: message.to_owned(), detail: detail.to_owned() })
}

fn tests_failed() -> Judgement {
    because(CauseCode::TestsFailed, "tests failed", "")
}

fn shown(summary: &RunSummary, records: &[CaseRecord], detail: Detail, width: Option<usize>) -> String {
    let mut highlights = Highlights::default();
    records.iter().for_each(|record| highlights.fold(record));
    let rerun = Rerun {
        target: ".".to_owned(),
        reference: None,
        suites: Vec::new(),
        name_suite: summary.jobs.len() > 1,
        history: true,
        filter_of: |case| case.to_string(),
    };
    let reports = [("html".to_owned(), PathBuf::from(".fleetest/last/report.html"))];
    let ending = Ending { summary, highlights: &highlights, rerun: &rerun, reports: &reports, detail, width };
    render(&ending).iter().map(|line| line.text() + "\n").collect()
}

#[test]
fn green_is_short() {
    let mut counted = counts(2_996, 0, 4, 0);
    counted.flaky = 2;
    let summary = run(Judgement::passed(), vec![job(1, "unit", Judgement::passed(), counted)]);
    let mut alone = attempt("tests/test_split.py::test_shared", 2, Outcome::Passed);
    alone.alone = true;
    let records = [
        record(vec![
            attempt("tests/test_split.py::test_clock", 1, Outcome::Failed),
            attempt("tests/test_split.py::test_clock", 2, Outcome::Passed),
        ]),
        record(vec![attempt("tests/test_split.py::test_shared", 1, Outcome::Failed), alone]),
        record(vec![attempt("tests/test_split.py::test_fast", 1, Outcome::Passed)]),
    ];
    insta::assert_snapshot!(shown(&summary, &records, Detail::Verbose, Some(80)));
    insta::assert_snapshot!("green_quiet", shown(&summary, &records, Detail::Quiet, Some(80)));
}

#[test]
fn red_says_what_and_how_to_run_it_again() {
    let summary = run(tests_failed(), vec![job(1, "unit", tests_failed(), counts(28, 2, 1, 0))]);
    let mut bare = attempt("tests/test_split.py::test_it['x y']", 1, Outcome::TimedOut);
    bare.failure = Some(shared::domain::case::Failure {
        kind: "timeout".to_owned(),
        message: "no end after 5m 00s\nkilled with its children".to_owned(),
        detail: String::new(),
    });
    let records = [failure("tests/test_split.py::test_split"), record(vec![bare])];
    insta::assert_snapshot!(shown(&summary, &records, Detail::Normal, Some(80)));
    insta::assert_snapshot!("red_quiet_unbounded", shown(&summary, &records, Detail::Quiet, None));
}

#[test]
fn many_failures_are_cut_and_counted() {
    let summary = run(tests_failed(), vec![job(1, "unit", tests_failed(), counts(0, 1_234, 0, 0))]);
    let records: Vec<CaseRecord> =
        (0..1_234).map(|n| record(vec![attempt(&format!("t::test_{n}"), 1, Outcome::Failed)])).collect();
    let text = shown(&summary, &records, Detail::Normal, Some(80));
    assert_eq!(text.matches("FAILED t::").count(), FAILURES_SHOWN);
    assert!(text.contains("+1,224 more failures, see .fleetest/last/report.html"), "{text}");
    assert!(text.ends_with("   FAILED 1,234 of 1,234 tests in 42s\n"), "{text}");
}

#[test]
fn several_jobs_are_told_apart_and_causes_explained() {
    let broken = because(
        CauseCode::SetupFailed,
        "set-up command `pip install -e .[test]` ended with exit code 1",
        "ERROR: No matching distribution found for attrs>=99",
    );
    let unmet = because(CauseCode::NeedNotMet, "`unit` did not pass, and `e2e` needs it", "");
    let jobs = vec![
        job(1, "unit[python=3.12]", tests_failed(), counts(28, 1, 1, 0)),
        job(2, "lint", broken.clone(), Counts::default()),
        job(3, "e2e", unmet, Counts::default()),
        job(4, "docs", Judgement::passed(), counts(3, 0, 0, 0)),
    ];
    let summary = run(broken, jobs);
    insta::assert_snapshot!(shown(
        &summary,
        &[failure("tests/test_split.py::test_split")],
        Detail::Normal,
        Some(100)
    ));
}

#[test]
fn ends_before_the_end() {
    let end = |code, message: &str, counted: Counts| {
        let judgement = because(code, message, "");
        let summary = run(judgement.clone(), vec![job(1, "unit", judgement, counted)]);
        shown(&summary, &[], Detail::Normal, Some(100))
    };
    let source = because(
        CauseCode::SourceFailed,
        "`https://example.org/a` could not be reached",
        "fatal: unable to access",
    );
    let ends = [
        end(CauseCode::CancelledByUser, "cancelled by Ctrl-C", counts(300, 1, 0, 700)),
        end(CauseCode::DeadlinePassed, "the run passed its limit of 1h 00m", counts(1, 0, 0, 0)),
        end(CauseCode::NoTests, "pytest found no tests in `tests`", Counts::default()),
        end(CauseCode::RunnerLost, "3 runners in a row were killed by signal 9", counts(10, 2, 0, 5)),
        shown(&run(source, Vec::new()), &[], Detail::Normal, Some(100)),
    ];
    insta::assert_snapshot!(ends.join("--------\n"));
}

proptest! {
    #[test]
    fn only_lines_to_copy_are_wider_than_allowed(name in ".{1,120}", message in ".{0,120}", detail in "(.{0,150}\n){0,30}", width in 40usize..120) {
        let mut last = attempt(&name, 1, Outcome::Failed);
        last.failure = Some(shared::domain::case::Failure { kind: String::new(), message, detail });
        let summary = run(tests_failed(), vec![job(1, "unit", tests_failed(), counts(0, 1, 0, 0))]);
        let text = shown(&summary, &[record(vec![last])], Detail::Normal, Some(width));
        let wide: Vec<&str> = text.lines().filter(|line| crate::line::columns(line) > width).collect();
        let exempt = |line: &&&str| line.contains("again: ") || line.starts_with("   FAILED") || line.contains(".fleetest");
        prop_assert!(wide.iter().filter(|line| !exempt(line)).count() == 0, "{wide:?}");
    }
}
