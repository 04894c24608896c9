//! Webhooks in: believed by their signature alone, taken once, turned into runs.

use super::{Answer, Front};
use crate::desk::{REPOSITORY, now};
use axum::body::Body;
use axum::http::Request;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use shared::domain::access::{Role, Scope};
use shared::domain::id::RunId;

const SECRET: &str = "0123456789abcdef-first";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const CONFIG: &str = "[suite.unit]\nframework = \"pytest\"\n[suite.e2e]\nframework = \"pytest\"\n";

fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn front() -> Front {
    let front = Front::new();
    let project = json!({ "id": "web", "repository": REPOSITORY, "config": CONFIG });
    front.post("/v1/projects", &project).ok();
    set_secret(&front, SECRET, true).ok();
    front
}

fn set_secret(front: &Front, secret: &str, keep_previous: bool) -> Answer {
    let body = json!({ "secret": secret, "keep_previous": keep_previous });
    front.call("PUT", "/v1/projects/web/webhook-secrets", Some(&front.admin), Some(&body))
}

fn request(
    project: &str,
    event: &str,
    delivery: &str,
    body: Vec<u8>,
    signature: Option<&str>,
) -> Request<Body> {
    let mut request = Request::post(format!("/v1/webhooks/github/{project}"))
        .header("content-type", "application/json")
        .header("x-github-event", event)
        .header("x-github-delivery", delivery);
    if let Some(signature) = signature {
        request = request.header("x-hub-signature-256", signature);
    }
    request.body(Body::from(body)).unwrap()
}

fn send(front: &Front, event: &str, delivery: &str, payload: &Value) -> Answer {
    let body = payload.to_string().into_bytes();
    let signature = sign(SECRET, &body);
    front.send(request("web", event, delivery, body, Some(&signature)))
}

fn push() -> Value {
    json!({ "ref": "refs/heads/main", "after": COMMIT, "sender": { "login": "ann" },
        "repository": { "clone_url": "https://evil.example/x.git" } })
}

fn run_of(front: &Front, answer: Answer) -> Value {
    let shown = answer.ok();
    let run = shown["run"].as_str().unwrap_or_else(|| panic!("{shown}"));
    front.get(&format!("/v1/runs/{run}")).ok()
}

#[test]
fn a_push_makes_one_run_however_often_it_comes_or_is_replayed() {
    let front = front();
    let first = send(&front, "push", "d-1", &push());
    assert_eq!(first.status, 202);
    let event = first.body["id"].as_str().unwrap().to_owned();
    let run = run_of(&front, first);
    assert_eq!((&run["commit"], &run["branch"]), (&json!(COMMIT), &json!("main")));
    assert_eq!(
        (&run["trigger"], &run["actor"]),
        (&json!({ "kind": "webhook", "of": "push" }), &json!("github:ann"))
    );
    assert_eq!(run["parked"], false);
    front.desk.clock.advance_ms(60_000);
    assert_eq!(run_of(&front, send(&front, "push", "d-1", &push()))["id"], run["id"]);
    let replay = format!("/v1/projects/web/webhooks/{event}/replay");
    let replayed = front.call("POST", &replay, Some(&front.admin), None);
    assert_eq!((replayed.status, &replayed.body["run"]), (202, &run["id"]));
    assert_eq!(front.get("/v1/projects/web/runs").ok()["items"].as_array().unwrap().len(), 1);
    let other = run_of(&front, send(&front, "push", "d-2", &push()));
    assert_ne!(other["id"], run["id"], "another delivery is another run");
    let listed = front.get("/v1/projects/web/webhooks").ok();
    let deliveries: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|one| one["delivery"].as_str().unwrap()).collect();
    assert_eq!(deliveries, ["d-2", "d-1"]);
}

#[test]
fn however_a_run_is_made_it_knows_that_its_project_has_a_limit() {
    let front = front();
    let limit = |concurrency: Value| {
        let body = json!({ "settings": { "concurrency": concurrency } });
        front.with("PATCH", "/v1/projects/web", &[], Some(&body)).ok();
    };
    let is_limited = |id: &Value| {
        let id: RunId = id.as_str().unwrap().parse().unwrap();
        now(front.desk.services.run(id)).unwrap().value.origin.limited
    };
    let free = run_of(&front, send(&front, "push", "d-1", &push()))["id"].clone();
    assert!(!is_limited(&free));
    limit(json!(1));
    assert!(is_limited(&run_of(&front, send(&front, "push", "d-2", &push()))["id"]));
    let asked = front.post("/v1/projects/web/runs", &json!({ "ref": "main" })).ok()["id"].clone();
    assert!(is_limited(&asked));
    // What is run again is a run of today.
    let rerun = |id: &Value| {
        let id = id.as_str().unwrap();
        front.post(&format!("/v1/runs/{id}/cancel"), &json!({})).ok();
        front.desk.end(id.parse().unwrap());
        front.post(&format!("/v1/runs/{id}/rerun"), &json!({ "cases": "all" })).ok()["id"].clone()
    };
    assert!(is_limited(&rerun(&free)));
    limit(json!(null));
    assert!(!is_limited(&rerun(&asked)));
}

#[test]
fn who_cannot_sign_learns_nothing_and_does_nothing() {
    let front = front();
    front.post("/v1/projects", &json!({ "id": "bare" })).ok();
    let body = push().to_string().into_bytes();
    let right = sign(SECRET, &body);
    let table = [
        request("web", "push", "d", body.clone(), None),
        request("web", "push", "d", body.clone(), Some("sha256=00")),
        request("web", "push", "d", body.clone(), Some(&sign("another-secret-0123", &body))),
        request("web", "push", "d", b"{}".to_vec(), Some(&right)),
        request("web", "push", "d", body.clone(), Some(&right.replace("sha256", "sha1"))),
        request("bare", "push", "d", body.clone(), Some(&right)),
        request("nobody", "push", "d", body.clone(), Some(&right)),
        request("N%20", "push", "d", body, Some(&right)),
    ];
    let mut details = Vec::new();
    for request in table {
        let refused = front.send(request);
        assert_eq!(refused.problem(), (401, "unauthorised"));
        details.push(refused.body["detail"].clone());
    }
    details.dedup();
    assert_eq!(details.len(), 1, "every refusal reads the same");
    assert_eq!(front.get("/v1/projects/web/webhooks").ok()["items"], json!([]));
}

#[test]
fn a_secret_is_replaced_without_a_gap_and_never_shown() {
    let front = front();
    let body = push().to_string().into_bytes();
    let status = |secret: &str, delivery: &str| {
        front.send(request("web", "push", delivery, body.clone(), Some(&sign(secret, &body)))).status
    };
    let shown = set_secret(&front, "0123456789abcdef-second", true).ok();
    assert_eq!(shown["active"].as_array().unwrap().len(), 2);
    assert_eq!((status(SECRET, "a"), status("0123456789abcdef-second", "b")), (202, 202));
    set_secret(&front, "0123456789abcdef-second", false).ok();
    assert_eq!((status(SECRET, "c"), status("0123456789abcdef-second", "d")), (401, 202));
    assert_eq!(set_secret(&front, "short", true).problem(), (422, "invalid"));
    for path in ["/v1/projects/web/webhook-secrets", "/v1/projects/web/audit"] {
        assert!(!front.get(path).ok().to_string().contains("0123456789abcdef"), "{path}");
    }
    let developer = front.key(Some("web"), Role::Developer, &Scope::ALL);
    let refused = front.call("GET", "/v1/projects/web/webhook-secrets", Some(&developer), None);
    assert_eq!(refused.problem(), (403, "role_too_low"));
}

#[test]
fn a_fork_waits_for_someone_and_is_not_our_branch() {
    let front = front();
    let pull = json!({
        "action": "opened", "number": 9, "sender": { "login": "eve" },
        "pull_request": {
            "head": { "sha": COMMIT, "ref": "main", "label": "eve:main", "repo": { "id": 2 } },
            "base": { "sha": COMMIT, "ref": "main", "label": "us:main", "repo": { "id": 1 } },
        },
    });
    let run = run_of(&front, send(&front, "pull_request", "d", &pull));
    assert_eq!(
        (&run["parked"], &run["branch"], &run["pull_request"]),
        (&json!(true), &json!("eve:main"), &json!(9))
    );
    front.desk.sweep();
    assert!(front.desk.launcher.orders().is_empty(), "nothing of it runs");
    assert_eq!(front.get(&format!("/v1/runs/{}", run["id"].as_str().unwrap())).ok()["status"], "queued");
}

#[test]
fn a_check_is_run_again_for_its_suite_alone() {
    let front = front();
    let commit = front.desk.forge.commit(REPOSITORY, &[("pytest.ini", "")], &[]);
    let check = json!({
        "action": "rerequested",
        "check_run": { "head_sha": commit, "name": "fleetest / unit", "check_suite": { "head_branch": "main" } },
    });
    run_of(&front, send(&front, "check_run", "d", &check));
    front.desk.sweep();
    let names: Vec<String> =
        front.desk.launcher.orders().values().map(|order| order.shard.job.to_string()).collect();
    assert_eq!(names.len(), 1, "one suite of two");
}

#[test]
fn what_starts_nothing_is_kept_with_its_reason() {
    let front = front();
    let ignored = [
        ("ping", json!({ "zen": "x" })),
        ("star", json!({})),
        ("push", json!({ "ref": "refs/heads/x", "after": "0".repeat(40), "deleted": true })),
    ];
    for (place, (event, payload)) in ignored.into_iter().enumerate() {
        let shown = send(&front, event, &format!("d-{place}"), &payload).ok();
        assert_eq!((&shown["outcome"], shown["reason"].is_string()), (&json!("ignored"), true), "{event}");
    }
    assert_eq!(send(&front, "push", "d-9", &json!({ "ref": 1 })).problem(), (422, "invalid"));
    assert_eq!(send(&front, "push", "d 9", &push()).problem(), (422, "invalid"));
    assert_eq!(front.get("/v1/projects/web/runs").ok()["items"], json!([]));
}

#[test]
fn what_could_not_be_started_is_started_by_a_replay() {
    let front = front();
    let unset =
        |config: &Value| front.call("PATCH", "/v1/projects/web", Some(&front.admin), Some(config)).status;
    let repository = json!({ "repository": null });
    assert_eq!(unset(&repository), 200);
    let shown = send(&front, "push", "d", &push()).ok();
    assert_eq!(shown["outcome"], "failed");
    assert!(shown["reason"].as_str().unwrap().contains("repository"), "{shown}");
    assert_eq!(unset(&json!({ "repository": "https://example.org/x.git" })), 200);
    let replay = format!("/v1/projects/web/webhooks/{}/replay", shown["id"].as_str().unwrap());
    let replayed = front.call("POST", &replay, Some(&front.admin), None).ok();
    assert_eq!(replayed["outcome"], "run");
    assert_eq!(run_of(&front, send(&front, "push", "d", &push()))["id"], replayed["run"]);
}

#[test]
fn a_payload_may_have_twenty_five_megabytes_and_no_more() {
    let front = front();
    let padded = |bytes: usize| {
        let mut payload = push();
        payload["padding"] = json!("x".repeat(bytes));
        payload
    };
    assert_eq!(send(&front, "push", "d-1", &padded(24 * 1024 * 1024)).status, 202);
    assert_eq!(send(&front, "push", "d-2", &padded(26 * 1024 * 1024)).problem(), (413, "too_large"));
}
