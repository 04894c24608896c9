//! Runs: started, listed, filtered, cancelled.

use super::Front;
use serde_json::json;

const CONFIG: &str = "[suite.unit]\nframework = \"pytest\"\n[suite.e2e]\nframework = \"pytest\"\n";

#[test]
fn a_run_is_accepted_found_and_cancelled() {
    let front = Front::with_project("web");
    let body = json!({ "ref": "main", "config": CONFIG, "suites": ["unit"], "branch": "main" });
    let accepted = front.post("/v1/projects/web/runs", &body);
    assert_eq!(accepted.status, 202);
    let place = accepted.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(accepted.body["status"], "queued");
    assert_eq!(front.get(&place).ok()["trigger"]["kind"], "request");
    front.desk.sweep();
    assert_eq!(front.get(&place).ok()["status"], "running");
    front.desk.clock.advance_ms(1);
    front.post(&format!("{place}/cancel"), &json!({ "reason": "wrong branch" })).ok();
    let told = front.get("/v1/projects/web/audit?limit=1").ok()["items"][0].clone();
    assert_eq!(
        (&told["action"], &told["subject"]),
        (&json!("run.cancelled"), &accepted.body["id"]),
        "{told}"
    );
    assert!(told["after"]["message"].as_str().unwrap().ends_with(": wrong branch"), "{told}");
    front.desk.sweep();
    front.desk.sweep();
    let over = front.get(&place).ok();
    assert_eq!((&over["status"], &over["verdict"]), (&json!("finished"), &json!("cancelled")));
    assert!(over["cause"]["message"].as_str().unwrap().contains("wrong branch"));
}

#[test]
fn lists_are_newest_first_in_parts_and_by_filter() {
    let front = Front::with_project("web");
    let mut ids = Vec::new();
    for branch in ["a", "b", "a", "b", "a"] {
        front.desk.clock.advance_ms(5);
        let body = json!({ "config": CONFIG, "branch": branch });
        ids.push(front.post("/v1/projects/web/runs", &body).ok()["id"].clone());
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut next = Some("/v1/projects/web/runs?limit=2".to_owned());
    while let Some(path) = next {
        let part = front.get(&path);
        let link = part.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
        seen.extend(part.ok()["items"].as_array().unwrap().iter().map(|run| run["id"].clone()));
        next = link.map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
    }
    assert_eq!(seen, ids);
    let only = front.get("/v1/projects/web/runs?branch=b&limit=1").ok();
    assert_eq!(only["items"][0]["id"], ids[1]);
    let cursor = only["next_cursor"].as_str().unwrap();
    let rest = front.get(&format!("/v1/projects/web/runs?branch=b&limit=1&cursor={cursor}")).ok();
    assert_eq!(rest["items"], json!([front.get(&format!("/v1/runs/{}", ids[3].as_str().unwrap())).ok()]));
    let foreign = front.get(&format!("/v1/projects?cursor={cursor}"));
    assert_eq!(foreign.problem(), (422, "invalid"));
}

#[test]
fn what_cannot_be_is_refused_at_its_place() {
    let front = Front::with_project("web");
    let table = [
        (json!({ "config": "[suite.unit]\nframwork = 1" }), "/config"),
        (json!({ "config": CONFIG, "suites": ["unti"] }), "/suites"),
        (json!({ "config": CONFIG, "filter": "((" }), "/filter"),
        (json!({ "config": CONFIG, "priority": "high" }), "/priority"),
        (json!({ "configg": CONFIG }), "/configg"),
    ];
    for (body, pointer) in table {
        let refused = front.post("/v1/projects/web/runs", &body);
        assert_eq!(refused.problem(), (422, "invalid"), "{body}");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{}", refused.body);
    }
    assert_eq!(front.get("/v1/runs/run_x").problem(), (404, "not_found"));
    assert_eq!(front.get("/v1/nothing").problem(), (404, "not_found"));
    assert_eq!(
        front.call("PUT", "/v1/projects", Some(&front.admin), None).problem(),
        (405, "method_not_allowed")
    );
}
