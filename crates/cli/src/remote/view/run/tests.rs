//! Runs as people see them.

use super::*;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const RUN: &str = "run_0190b0f0c0de7000800000000000abcd";

fn counts() -> Value {
    json!({"planned": 1300, "outstanding": 0, "passed": 1200, "failed": 1, "errored": 1, "skipped": 98,
        "timed_out": 0, "crashed": 0, "flaky": 3})
}

fn run(verdict: Option<&str>, cause: Option<&str>) -> RunShown {
    let cause = cause.map(|code| json!({"code": code, "message": "it said why", "detail": "a\nb"}));
    let document = json!({
        "id": RUN, "project": "web", "status": if verdict.is_some() { "finished" } else { "running" },
        "verdict": verdict, "cause": cause, "commit": "0123456789abcdef0123456789abcdef01234567", "branch": "main",
        "pull_request": 12, "trigger": {"kind": "schedule", "of": "sched_1"}, "actor": "key:ci", "priority": 0,
        "parked": false, "partial": false, "jobs": 1, "counts": verdict.map(|_| counts()),
        "queued_at": "2023-11-14T22:00:00Z", "started_at": "2023-11-14T22:00:05Z",
        "finished_at": verdict.map(|_| "2023-11-14T22:01:10Z"), "some_later_field": 1,
    });
    serde_json::from_value(document).unwrap()
}

fn job(name: &str, verdict: Option<&str>) -> JobShown {
    let document = json!({
        "job": 1, "name": name, "suite": "unit", "cell": {}, "framework": "pytest", "needs": [],
        "status": if verdict.is_some() { "finished" } else { "running" }, "verdict": verdict, "cause": null,
        "shards": 1, "units": 7, "counts": counts(), "deselected": 0, "retried": 0, "remaining_ms": 0,
        "setup_ms": null, "started_at": "2023-11-14T22:00:05Z", "deadline": null,
        "finished_at": verdict.map(|_| "2023-11-14T22:01:09Z"),
    });
    serde_json::from_value(document).unwrap()
}

fn failed() -> Vec<CaseShown> {
    let document = json!([{
        "key": "case_1", "job": 1, "job_name": "unit", "unit": "tests/test_a.py", "id": "tests/test_a.py::test_b",
        "name": "test_b", "outcome": "timed_out", "attempts": 1, "duration_us": 5, "shard": 1, "slot": 1,
        "failure": {"kind": "AssertionError", "message": "assert 1 == 2\u{1b}[2J\nmore"},
    }]);
    serde_json::from_value(document).unwrap()
}

fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text() + "\n").collect()
}

#[test]
fn a_run_as_it_is_shown() {
    let parked = RunShown { parked: true, ..run(None, None) };
    let red = run(Some("failed"), Some("tests_failed"));
    let shown = [
        text(&page(&red, &[job("unit", Some("failed"))], &failed(), NOW)),
        text(&page(&run(Some("errored"), Some("setup_failed")), &[], &[], NOW)),
        text(&page(&parked, &[], &[], NOW)),
        text(&ending(&red, &[job("a", Some("passed")), job("b", Some("failed"))], &failed(), NOW)),
        text(&[progress(&run(None, None), &[job("a", None), job("b", Some("failed"))], NOW)]),
        text(&[progress(&parked, &[], NOW)]),
        text(&table(&[red.clone(), run(None, None), parked], NOW, None)),
        text(&table(&[red], NOW, Some(80))),
    ];
    insta::assert_snapshot!(shown.join("--------\n"));
}

#[test]
fn verdicts_have_the_published_codes_and_what_is_unknown_is_never_green() {
    let table = [
        (Some("passed"), None, 0),
        (Some("failed"), Some("tests_failed"), 1),
        (Some("errored"), Some("setup_failed"), 3),
        (Some("errored"), Some("no_tests"), 4),
        (Some("cancelled"), Some("cancelled_by_user"), 5),
        (Some("timed_out"), Some("deadline_passed"), 6),
        (Some("excellent"), None, 3),
        (None, None, 3),
    ];
    for (verdict, cause, expected) in table {
        assert_eq!(exit_of(&run(verdict, cause)).code(), expected, "{verdict:?} {cause:?}");
    }
}
