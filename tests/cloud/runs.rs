//! Runs that nothing happens to.

use crate::project::{Project, SUITE, json};
use crate::receiver::Receiver;
use crate::stack::{PATIENCE, eventually, stack};
use serde_json::Value;

const TESTS: &str = "\
import pytest

@pytest.mark.parametrize('n', range(20))
def test_counts(n):
    assert n >= 0

def test_fails():
    assert 1 == 2, 'not yet'

@pytest.mark.skip
def test_skipped():
    pass
";

#[test]
fn a_folder_is_tested_in_the_cloud_reported_and_told_of() {
    let project = Project::with(&[("test_it.py", TESTS), ("fleetest.toml", SUITE)]);
    let receiver = Receiver::new();
    project.types(&["notifications", "add", "hook", "--on", "finished", "--webhook", &receiver.url]);
    let output = project.tries(&["run", "--remote", "--upload", "--junit=out.xml", "--json=out.json"]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("FAILED test_it.py::test_fails") && err.contains("not yet"), "{err}");
    assert!(err.contains("1 failed, 20 passed, 1 skipped"), "{err}");
    let report = json(&project.path("out.json"));
    assert_eq!(report["run"]["verdict"], "failed");
    let junit = std::fs::read_to_string(project.path("out.xml")).unwrap();
    assert_eq!(junit.matches("<testcase ").count(), 22, "{junit}");
    let told: Value = serde_json::from_str(&receiver.next(PATIENCE)).unwrap();
    assert!(told.to_string().contains("failed"), "{told}");
}

#[test]
fn a_run_that_is_cancelled_ends_its_task() {
    let waiting = "import time\n\ndef test_waits():\n    time.sleep(600)\n";
    let project = Project::with(&[("test_it.py", waiting), ("fleetest.toml", SUITE)]);
    let run = project.starts();
    eventually("a case runs", || {
        let shown = stack().find(&format!("/v1/runs/{run}/jobs/1/leases"))?;
        shown["items"].as_array().is_some_and(|leases| !leases.is_empty()).then_some(())
    });
    project.types(&["cancel", &run]);
    assert_eq!(stack().finished(&run)["verdict"], "cancelled");
}

#[test]
fn what_passes_is_green_and_remembered() {
    let project = Project::with(&[("test_it.py", "def test_it():\n    pass\n"), ("fleetest.toml", SUITE)]);
    for _ in 0..2 {
        let output = project.tries(&["run", "--remote", "--upload"]);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{err}");
    }
    let runs = stack().get(&format!("/v1/projects/{}/runs", project.id));
    let verdicts: Vec<&Value> = runs["items"].as_array().unwrap().iter().map(|run| &run["verdict"]).collect();
    assert_eq!(verdicts, ["passed", "passed"]);
}
