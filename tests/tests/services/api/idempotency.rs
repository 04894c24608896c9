//! `Idempotency-Key`: sent twice, done once.

use super::{Answer, Front};
use crate::desk::now;
use serde_json::{Value, json};
use shared::domain::id::digest_hex;
use shared::service::idempotency::{Claim, HELD_MS, KEPT_MS};
use tower::ServiceExt as _;

const RUNS: &str = "/v1/projects/web/runs";
const CONFIG: &str = "[suite.unit]\nframework = \"pytest\"\n";

fn post(front: &Front, path: &str, key: &str, body: &Value) -> Answer {
    front.with("POST", path, &[("idempotency-key", key)], Some(body))
}

fn order() -> Value {
    json!({ "config": CONFIG })
}

/// Number of runs of the project.
fn runs(front: &Front) -> usize {
    front.get(RUNS).ok()["items"].as_array().unwrap().len()
}

/// Takes a claim of the admin as a request that then crashes.
fn crashed(front: &Front, key: &str, body: &Value) -> Claim {
    let me = front.get("/v1/me").ok()["subject"].as_str().unwrap().to_owned();
    let print = digest_hex(&format!("POST {RUNS}\n{body}"));
    now(front.desk.services.claim(&me, key, &print)).unwrap()
}

#[test]
fn the_same_request_again_is_the_same_answer_and_no_second_run() {
    let front = Front::with_project("web");
    let first = post(&front, RUNS, "a", &order());
    assert!(first.status == 202 && !first.headers.contains_key("idempotent-replayed"));
    let again = post(&front, RUNS, "a", &order());
    assert_eq!((again.status, &again.body), (202, &first.body));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.headers["location"], first.headers["location"]);
    assert_ne!(again.headers["x-request-id"], first.headers["x-request-id"]);
    assert_eq!(runs(&front), 1);
    post(&front, RUNS, "b", &order()).ok();
    assert_eq!(runs(&front), 2);
}

#[test]
fn a_key_is_good_for_one_request_of_one_caller_for_a_day() {
    let mut front = Front::with_project("web");
    post(&front, RUNS, "a", &order()).ok();
    let other = json!({ "config": CONFIG, "branch": "x" });
    assert_eq!(post(&front, RUNS, "a", &other).problem(), (422, "idempotency_mismatch"));
    let elsewhere = post(&front, "/v1/projects", "a", &order());
    assert_eq!(elsewhere.problem(), (422, "idempotency_mismatch"));
    let first = std::mem::take(&mut front.admin);
    front.admin = front.key(None, shared::domain::access::Role::Admin, &shared::domain::access::Scope::ALL);
    post(&front, RUNS, "a", &other).ok();
    front.admin = first;
    front.desk.clock.advance_ms(KEPT_MS);
    post(&front, RUNS, "a", &other).ok();
    assert_eq!(runs(&front), 3);
}

#[test]
fn a_request_at_work_is_waited_for_and_a_crashed_one_is_gone_on_with() {
    let front = Front::with_project("web");
    let Claim::Yours(ticket) = crashed(&front, "a", &order()) else { panic!("the key is fresh") };
    let refused = post(&front, RUNS, "a", &order());
    assert_eq!(refused.problem(), (409, "in_flight"));
    assert!(refused.headers.contains_key("retry-after"));
    front.desk.clock.advance_ms(HELD_MS);
    let done = post(&front, RUNS, "a", &order()).ok();
    assert_eq!(done["id"], format!("run_{:032x}", ticket.seed), "both attempts make one run");
    // Whoever comes back late changes nothing any more.
    assert!(now(front.desk.services.settle(ticket, None)).unwrap_err().is_conflict());
    assert_eq!(post(&front, RUNS, "a", &order()).ok(), done);
    assert_eq!(runs(&front), 1);
}

#[test]
fn a_caller_that_hangs_up_finds_its_request_done() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let settings = http_api::api::settings::ApiSettings { rate: None, ..Default::default() };
    let front = Front::with_settings(settings);
    front.make_project("web");
    let ask = |wait: &str| {
        let request = axum::http::Request::post(RUNS)
            .header("authorization", format!("Bearer {}", front.admin))
            .header("content-type", "application/json")
            .header("idempotency-key", "a")
            .header("prefer", wait)
            .body(axum::body::Body::from(order().to_string()));
        front.router.clone().oneshot(request.unwrap())
    };
    runtime.block_on(async {
        let hung_up = tokio::time::timeout(std::time::Duration::from_millis(20), ask("wait=1")).await;
        assert!(hung_up.is_err());
        let begun = std::time::Instant::now();
        let again = loop {
            let again = ask("wait=1").await.unwrap();
            if again.status() != 409 {
                break again;
            }
            assert!(begun.elapsed().as_secs() < 30, "nobody went on with it");
            tokio::task::yield_now().await;
        };
        assert_eq!(
            (again.status().as_u16(), &again.headers()["idempotent-replayed"]),
            (202, &"true".parse().unwrap())
        );
    });
    assert_eq!(runs(&front), 1);
}

#[test]
fn what_was_refused_may_be_put_right_under_the_same_key() {
    let front = Front::with_project("web");
    assert_eq!(post(&front, RUNS, "a", &json!({ "config": "x" })).problem(), (422, "invalid"));
    post(&front, RUNS, "a", &order()).ok();
    assert_eq!(runs(&front), 1);
    let long = "k".repeat(256);
    for bad in ["", " ", "a b", "a\tb", long.as_str()] {
        assert_eq!(post(&front, RUNS, bad, &order()).problem(), (400, "bad_header"));
    }
    let nobody = front.send(
        axum::http::Request::post(RUNS)
            .header("idempotency-key", "n")
            .body(axum::body::Body::empty())
            .unwrap(),
    );
    assert_eq!(nobody.problem(), (401, "unauthorised"));
}

#[test]
fn a_secret_is_in_its_first_answer_only() {
    let front = Front::with_project("web");
    let body = json!({ "name": "ci", "role": "viewer" });
    let made = post(&front, "/v1/projects/web/keys", "a", &body).ok();
    let again = post(&front, "/v1/projects/web/keys", "a", &body);
    assert_eq!(again.problem(), (409, "done_already"));
    assert_eq!(front.get("/v1/projects/web/keys").ok()["items"].as_array().unwrap().len(), 1);
    let rules = "/v1/projects/web/notifications";
    let channel = json!({ "kind": "webhook", "url": "https://example.org/hook" });
    let rule = json!({ "name": "hook", "on": ["failure"], "channel": channel });
    let hook = post(&front, rules, "b", &rule).ok();
    assert_eq!(post(&front, rules, "b", &rule).problem(), (409, "done_already"));
    let me = front.get("/v1/me").ok()["subject"].as_str().unwrap().to_owned();
    let services = &front.desk.services;
    let stored =
        now(services.store.query(&format!("idem#{me}"), "", None, 10, services.clock.now())).unwrap();
    assert_eq!(stored.documents.len(), 2);
    for document in &stored.documents {
        assert!(!document.body.contains(made["token"].as_str().unwrap()));
        assert!(!document.body.contains(hook["secret"].as_str().unwrap()));
    }
}
