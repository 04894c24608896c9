//! Reports, jobs, shards and leases of a run, and that none of it is for strangers.

use super::Front;
use crate::desk::suite;
use serde_json::{Value, json};
use shared::domain::access::{Role, Scope};
use shared::domain::outcome::Outcome::{Failed, Passed};

#[test]
fn reports_are_listed_with_their_lengths_and_handed_out_as_files() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    // Long enough for a report of several pieces.
    front.play(run, 1, &[("a.py", 9000)], &|_, _| Passed);
    let listed = front.get(&format!("/v1/runs/{run}/reports")).ok();
    let items = listed["items"].as_array().unwrap();
    let names: Vec<&str> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["report.json", "junit.xml", "ctrf.json", "report.html"]);
    for item in items {
        let report = front.get(item["path"].as_str().unwrap());
        assert_eq!((report.status, json!(report.text.len())), (200, item["size_bytes"].clone()));
        let header = |name: &str| report.headers[name].to_str().unwrap();
        assert_eq!(header("content-type"), item["media_type"]);
        assert!(header("content-disposition").starts_with("attachment; filename=\"run_"));
        assert_eq!(
            (header("content-security-policy"), header("x-content-type-options")),
            ("sandbox", "nosniff")
        );
    }
    assert!(items[0]["size_bytes"].as_u64().unwrap() > 1024 * 1024);
    for nothing in ["spec.json", "summary.json", "..%2F..%2Fx", "report.json.pieces"] {
        let answer = front.get(&format!("/v1/runs/{run}/reports/{nothing}"));
        assert_eq!(answer.problem(), (404, "not_found"), "{nothing}");
    }
    assert_eq!(front.get(&format!("/v1/runs/{run}/artifacts")).ok()["items"], json!([]));
}

#[test]
fn a_job_shows_its_counts_its_shards_and_who_did_what() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    let waiting = front.get(&format!("/v1/runs/{run}/jobs/1")).ok();
    assert_eq!((&waiting["status"], &waiting["verdict"]), (&json!("running"), &Value::Null));
    let shards = front.all(&format!("/v1/runs/{run}/jobs/1/shards"));
    assert_eq!((shards.len(), &shards[0]["status"]), (1, &json!("launching")));
    front.play(run, 1, &[("a.py", 4), ("b.py", 2)], &|case, _| {
        if case == "a.py::test_00001" { Failed } else { Passed }
    });
    let job = front.get(&format!("/v1/runs/{run}/jobs/1")).ok();
    assert_eq!((&job["name"], &job["verdict"]), (&json!("unit"), &json!("failed")));
    assert_eq!((&job["counts"]["passed"], &job["counts"]["failed"]), (&json!(5), &json!(1)));
    assert_eq!(job["cause"]["code"], "tests_failed");
    let leases = front.all(&format!("/v1/runs/{run}/jobs/1/leases?limit=1"));
    let mut units: Vec<&str> = leases
        .iter()
        .flat_map(|lease| lease["spans"].as_array().unwrap())
        .map(|span| span["unit"].as_str().unwrap())
        .collect();
    units.sort_unstable();
    assert_eq!(units, ["a.py", "a.py", "b.py"], "the failed case was tried twice");
    for place in ["jobs/2", "jobs/x", "jobs/2/shards", "jobs/2/leases", "jobs/0/leases"] {
        assert_eq!(front.get(&format!("/v1/runs/{run}/{place}")).problem(), (404, "not_found"), "{place}");
    }
}

#[test]
fn nothing_of_a_run_is_for_those_who_have_no_role_in_its_project() {
    let front = Front::with_project("web");
    front.make_project("theirs");
    let run = front.start("theirs", vec![suite("unit")]);
    front.play(run, 1, &[("a.py", 2)], &|_, _| Passed);
    let case = front.all(&format!("/v1/runs/{run}/cases"))[0]["key"].as_str().unwrap().to_owned();
    let stranger = front.key(Some("web"), Role::Admin, &Scope::ALL);
    let viewer = front.key(Some("theirs"), Role::Viewer, &[Scope::Read]);
    let mut paths: Vec<String> =
        ["jobs", "jobs/1", "jobs/1/shards", "jobs/1/leases", "cases", "logs", "reports", "artifacts"]
            .iter()
            .map(|place| format!("/v1/runs/{run}/{place}"))
            .collect();
    paths.push(format!("/v1/runs/{run}/cases/{case}"));
    paths.push(format!("/v1/runs/{run}/reports/junit.xml"));
    paths.push(format!("/v1/projects/theirs/cases/{case}/history"));
    paths.extend(["flaky", "slow", "broken", "trends"].map(|list| format!("/v1/projects/theirs/{list}")));
    for path in &paths {
        assert_eq!(front.call("GET", path, Some(&stranger), None).problem(), (404, "not_found"), "{path}");
        assert_eq!(front.call("GET", path, None, None).problem(), (401, "unauthorised"), "{path}");
        assert_eq!(front.call("GET", path, Some(&viewer), None).status, 200, "{path}");
    }
    for (action, body) in [("rerun", json!({ "cases": "all" })), ("approve", json!({}))] {
        let path = format!("/v1/runs/{run}/{action}");
        let as_who = |key: &str| front.call("POST", &path, Some(key), Some(&body));
        assert_eq!(as_who(&stranger).problem(), (404, "not_found"), "{path}");
        assert_eq!(as_who(&viewer).problem(), (403, "role_too_low"), "{path}");
    }
}
