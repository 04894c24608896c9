//! Runs again: what failed, what was chosen, all; and parked runs that wait for someone.

use super::Front;
use crate::desk::{now, spec, suite};
use serde_json::{Value, json};
use shared::domain::access::{Role, Scope};
use shared::domain::id::{ProjectId, RunId};
use shared::domain::origin::Origin;
use shared::domain::outcome::Outcome::{Failed, Passed};
use shared::domain::spec::{RunSpec, SuiteSpec};

/// A finished run in which the cases 1 and 3 of each unit failed.
fn finished(front: &Front) -> RunId {
    let once = SuiteSpec { retries: 0, ..suite("unit") };
    let run = front.start("web", vec![once, suite("e2e")]);
    front.play(run, 1, &[("a.py", 5), ("b.py", 5)], &|case, _| {
        if case.ends_with("_00001") || case.ends_with("_00003") { Failed } else { Passed }
    });
    front.play(run, 2, &[("e.py", 2)], &|_, _| Passed);
    run
}

fn again(front: &Front, run: RunId, body: &Value) -> RunId {
    front.desk.clock.advance_ms(10);
    let answer = front.post(&format!("/v1/runs/{run}/rerun"), body);
    assert_eq!(answer.status, 202, "{}", answer.body);
    let next: RunId = answer.body["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(answer.headers["location"], format!("/v1/runs/{next}"));
    assert_eq!(answer.body["trigger"], json!({ "kind": "rerun", "of": run.to_string() }));
    assert_eq!((&answer.body["commit"], &answer.body["branch"]), (&json!("c0ffee"), &json!("main")));
    front.desk.sweep();
    next
}

fn ids(front: &Front, run: RunId) -> Vec<String> {
    let mut ids: Vec<String> = front
        .all(&format!("/v1/runs/{run}/cases"))
        .iter()
        .map(|case| case["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
fn only_what_failed_runs_again() {
    let front = Front::with_project("web");
    let run = finished(&front);
    let next = again(&front, run, &json!({ "cases": "failed" }));
    front.play(next, 1, &[("a.py", 5), ("b.py", 5)], &|_, _| Passed);
    assert_eq!(
        ids(&front, next),
        ["a.py::test_00001", "a.py::test_00003", "b.py::test_00001", "b.py::test_00003"]
    );
    let over = front.get(&format!("/v1/runs/{next}")).ok();
    assert_eq!(
        (&over["verdict"], &over["partial"], &over["jobs"]),
        (&json!("passed"), &json!(true), &json!(1))
    );
    let nothing = front.post(&format!("/v1/runs/{next}/rerun"), &json!({ "cases": "failed" }));
    assert_eq!(nothing.problem(), (422, "invalid"));
}

#[test]
fn chosen_cases_or_all_run_again() {
    let front = Front::with_project("web");
    let run = finished(&front);
    let all = front.all(&format!("/v1/runs/{run}/cases"));
    let key = |id: &str| all.iter().find(|case| case["id"] == id).unwrap()["key"].clone();
    let chosen = json!({ "cases": "chosen", "chosen": [key("e.py::test_00001"), key("e.py::test_00001")] });
    let next = again(&front, run, &chosen);
    front.play(next, 1, &[("e.py", 2)], &|_, _| Passed);
    assert_eq!(ids(&front, next), ["e.py::test_00001"]);
    let whole = again(&front, run, &json!({ "cases": "all" }));
    front.play(whole, 1, &[("a.py", 5), ("b.py", 5)], &|_, _| Passed);
    front.play(whole, 2, &[("e.py", 2)], &|_, _| Passed);
    assert_eq!(ids(&front, whole), ids(&front, run));
}

#[test]
fn what_cannot_run_again_is_told_so() {
    let front = Front::with_project("web");
    let run = finished(&front);
    let unknown = "case_00000000000000000000000000000000";
    for body in [
        json!({ "cases": "chosen" }),
        json!({ "cases": "all", "chosen": [unknown] }),
        json!({ "cases": "chosen", "chosen": ["x"] }),
        json!({ "cases": "chosen", "chosen": [unknown] }),
        json!({ "cases": "some" }),
        json!({ "case": "all" }),
    ] {
        let answer = front.post(&format!("/v1/runs/{run}/rerun"), &body);
        assert_eq!(answer.problem(), (422, "invalid"), "{body}");
    }
    let open = front.start("web", vec![suite("unit")]);
    let early = front.post(&format!("/v1/runs/{open}/rerun"), &json!({ "cases": "all" }));
    assert_eq!(early.problem(), (409, "not_finished"));
}

#[test]
fn a_parked_run_waits_for_approval_however_long_and_so_does_its_rerun() {
    let front = Front::with_project("web");
    let services = &front.desk.services;
    let wanted = RunSpec { project: ProjectId("web".to_owned()), ..spec(vec![suite("unit")]) };
    let parked = || {
        let origin = Origin { parked: true, ..Origin::of(&wanted) };
        now(services.submit_from(RunId(services.ids.uuid()), &wanted, origin)).unwrap()
    };
    let run = parked();
    front.desk.pass(10 * wanted.timeout_ms);
    assert_eq!(front.get(&format!("/v1/runs/{run}")).ok()["status"], "queued");
    let developer = front.key(Some("web"), Role::Developer, &Scope::ALL);
    let path = format!("/v1/runs/{run}/approve");
    let refused = front.call("POST", &path, Some(&developer), Some(&json!({})));
    assert_eq!(refused.problem(), (403, "role_too_low"));
    assert_eq!(front.post(&path, &json!({})).ok()["parked"], false);
    assert_eq!(front.post(&path, &json!({})).status, 202, "approving twice is approving once");
    front.desk.sweep();
    front.play(run, 1, &[("a.py", 1)], &|_, _| Passed);
    assert_eq!(front.get(&format!("/v1/runs/{run}")).ok()["verdict"], "passed");
    let log = front.get("/v1/projects/web/audit").ok();
    let told: Vec<&Value> =
        log["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "run.approved").collect();
    assert_eq!((told.len(), &told[0]["before"]["parked"]), (1, &json!(true)));
    let other = parked();
    front.post(&format!("/v1/runs/{other}/cancel"), &json!({})).ok();
    front.desk.end(other);
    let late = front.post(&format!("/v1/runs/{other}/approve"), &json!({}));
    assert_eq!(late.problem(), (422, "invalid"));
    let next = front.post(&format!("/v1/runs/{other}/rerun"), &json!({ "cases": "all" })).ok();
    assert_eq!(next["parked"], true, "running it again is no approval");
}
