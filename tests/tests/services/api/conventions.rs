//! What holds for every route: tags, limits, traces, waiting, protection, counters, the page.

use super::Front;
use crate::desk::now;
use axum::body::Body;
use axum::http::Request;
use http_api::api::door::Api;
use http_api::api::settings::{ApiSettings, RateLimit};
use serde_json::{Value, json};
use shared::service::Services;
use std::sync::Arc;
use testkit::fault::{Fault, Faults, FaultyStore, Scripted};
use tower::ServiceExt as _;

const PROJECT: &str = "/v1/projects/web";
const RUNS: &str = "/v1/projects/web/runs";

fn order() -> Value {
    json!({ "config": "[suite.unit]\nframework = \"pytest\"\n" })
}

#[test]
fn a_tag_names_what_was_seen() {
    let front = Front::with_project("web");
    let seen = front.get(PROJECT);
    let tag = seen.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(seen.headers["cache-control"], "private, no-cache");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let same = front.with("GET", PROJECT, &[("if-none-match", &known)], None);
        assert_eq!((same.status, &same.body), (304, &Value::Null), "{known}");
        assert_eq!(same.headers["etag"], tag.as_str());
    }
    front.desk.clock.advance_ms(1);
    front.with("PATCH", PROJECT, &[], Some(&json!({ "title": "new" }))).ok();
    let fresh = front.with("GET", PROJECT, &[("if-none-match", &tag)], None);
    assert_eq!(fresh.status, 200);
    assert_ne!(fresh.headers["etag"], tag.as_str());
}

#[test]
fn a_change_may_demand_what_it_was_based_on() {
    let front = Front::with_project("web");
    let tag = front.get(PROJECT).headers["etag"].to_str().unwrap().to_owned();
    front.desk.clock.advance_ms(1);
    let change = |matched: &str, title: &str| {
        front.with("PATCH", PROJECT, &[("if-match", matched)], Some(&json!({ "title": title })))
    };
    change(&tag, "first").ok();
    assert_eq!(change(&tag, "second").problem(), (412, "precondition_failed"));
    assert_eq!(change(&format!("W/{tag}"), "weak").problem(), (412, "precondition_failed"));
    change("*", "third").ok();
    assert_eq!(front.get(PROJECT).ok()["title"], "third");
    let nothing = front.with("PATCH", "/v1/projects/none", &[("if-match", "*")], Some(&json!({})));
    assert_eq!(nothing.problem(), (412, "precondition_failed"));
    let foreign = front.key(Some("other"), shared::domain::access::Role::Admin, &[]);
    let request =
        Request::patch(PROJECT).header("if-match", "*").header("authorization", format!("Bearer {foreign}"));
    assert_eq!(front.send(request.body(Body::empty()).unwrap()).problem(), (412, "precondition_failed"));
}

#[test]
fn a_caller_that_asks_too_often_is_told_when_to_go_on() {
    let rate = Some(RateLimit { per_minute: 60, burst: 2 });
    let front = Front::with_settings(ApiSettings { rate, ..ApiSettings::default() });
    let first = front.get("/v1/projects");
    assert_eq!(first.headers["ratelimit-policy"], "\"default\";q=60;w=60;burst=2");
    assert_eq!(first.headers["ratelimit"], "\"default\";r=1;t=1");
    front.get("/v1/projects").ok();
    let refused = front.get("/v1/projects");
    assert_eq!(refused.problem(), (429, "rate_limited"));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.headers["ratelimit"], "\"default\";r=0;t=1");
    assert_eq!(front.call("GET", "/healthz", None, None).status, 200);
    front.desk.clock.advance_ms(1000);
    front.get("/v1/projects").ok();
    let free = Front::with_settings(ApiSettings { rate: None, ..ApiSettings::default() });
    assert!((0..1000).all(|_| free.get("/v1/me").status == 200));
    assert!(!free.get("/v1/me").headers.contains_key("ratelimit"));
}

#[test]
fn a_trace_goes_through_and_a_broken_one_begins_anew() {
    let front = Front::new();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let sent = format!("00-{trace}-00f067aa0ba902b7-01");
    let answer = front.with("GET", "/v1/me", &[("traceparent", &sent)], None);
    let got = answer.headers["traceparent"].to_str().unwrap();
    assert!(got.starts_with(&format!("00-{trace}-")) && got.ends_with("-01") && got != sent);
    let anew = front.with("GET", "/v1/me", &[("traceparent", "00-0-0-0")], None);
    assert!(!anew.headers["traceparent"].to_str().unwrap().contains(trace));
}

#[test]
fn an_answer_that_may_wait_comes_when_the_run_is_over() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let front = Front::with_project("web");
    let ask = |method: &str, path: &str, wait: &str, body: Body| {
        let request = Request::builder().method(method).uri(path).header("prefer", format!("wait={wait}"));
        let request = request.header("authorization", format!("Bearer {}", front.admin));
        front.router.clone().oneshot(request.header("content-type", "application/json").body(body).unwrap())
    };
    let begun = std::time::Instant::now();
    let accepted = runtime.block_on(ask("POST", RUNS, "1", Body::from(order().to_string()))).unwrap();
    assert!(accepted.status() == 202 && begun.elapsed().as_millis() >= 1000);
    assert_eq!(accepted.headers()["preference-applied"], "wait=1");
    let place = accepted.headers()["location"].to_str().unwrap().to_owned();
    let waiting = ask("GET", &place, "60", Body::empty());
    let ends = async {
        // Let the question come first: it looks, finds the run open, and waits.
        tokio::task::yield_now().await;
        front.post(&format!("{place}/cancel"), &json!({})).ok();
        front.desk.sweep();
        front.desk.sweep();
    };
    let (over, ()) = runtime.block_on(async { tokio::join!(waiting, ends) });
    let bytes = runtime.block_on(axum::body::to_bytes(over.unwrap().into_body(), usize::MAX)).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["status"], "finished");
    assert!(begun.elapsed().as_secs() < 30, "it answered early");
    assert!(!front.get(&place).headers.contains_key("preference-applied"));
}

#[test]
fn what_no_honest_client_sends_is_refused() {
    let front = Front::with_project("web");
    let long = format!("/v1/projects?x={}", "a".repeat(9000));
    assert_eq!(front.get(&long).problem(), (414, "uri_too_long"));
    for path in ["/v1/projects/%00", "/v1/projects/a%0d%0ab", "/v1/projects?x=%zz", "/v1/projects/%"] {
        assert_eq!(front.get(path).problem(), (400, "bad_uri"), "{path}");
    }
    for path in
        ["/v1/projects/../keys", "/v1//projects", "/v1/projects/web/", "/V1/projects", "/v1/projects;a"]
    {
        assert_eq!(front.get(path).problem(), (404, "not_found"), "{path}");
    }
    let many = front.with("GET", "/v1/me", &[("x-much", &"a".repeat(40_000))], None);
    assert_eq!(many.problem(), (431, "headers_too_large"));
    let twice = front.with("GET", "/v1/me", &[("authorization", "Bearer fl_x")], None);
    assert_eq!(twice.problem(), (400, "bad_header"));
}

#[test]
fn bodies_have_limits() {
    let front = Front::with_project("web");
    let send = |kind: &str, body: String| {
        let request = Request::post(RUNS).header("authorization", format!("Bearer {}", front.admin));
        front.send(request.header("content-type", kind).body(Body::from(body)).unwrap())
    };
    let deep = format!("{{\"config\": {}1{}}}", "[".repeat(64), "]".repeat(64));
    assert_eq!(send("application/json", deep).problem(), (422, "too_deep"));
    let deeper = "[".repeat(500_000);
    assert_eq!(send("application/json", deeper).problem(), (422, "too_deep"));
    let large = json!({ "config": "a".repeat(2 << 20) }).to_string();
    assert_eq!(send("application/json", large).problem(), (413, "too_large"));
    assert_eq!(send("text/plain", "{}".to_owned()).problem(), (415, "not_json"));
    assert_eq!(send("application/json", "{".to_owned()).problem(), (400, "not_json"));
    assert_eq!(send("application/json", "{}{}".to_owned()).problem(), (400, "not_json"));
    let twice = "{\"ref\": \"a\", \"ref\": \"b\"}".to_owned();
    assert_eq!(send("application/json", twice).problem(), (422, "invalid"));
    for torn in ["{\"ref\": \"\\ud800\"}", "{\"ref\": \"\\ude00\\ud800\"}", "{\"pull_request\": 1e999}"] {
        assert_eq!(send("application/json", torn.to_owned()).problem(), (400, "not_json"), "{torn}");
    }
    for huge in ["18446744073709551616", "-1", "1e3", "1.0"] {
        let body = format!("{{\"pull_request\": {huge}}}");
        assert_eq!(send("application/json", body).problem(), (422, "invalid"), "{huge}");
    }
}

#[test]
fn packed_bodies_are_refused_as_such() {
    let front = Front::with_project("web");
    for packing in ["gzip", "br", "identity"] {
        let request = Request::post(RUNS).header("authorization", format!("Bearer {}", front.admin));
        let request = request.header("content-type", "application/json").header("content-encoding", packing);
        let answer = front.send(request.body(Body::from(json!({ "ref": "main" }).to_string())).unwrap());
        assert_eq!(answer.problem(), (415, "unsupported_media_type"), "{packing}");
    }
}

#[test]
fn an_array_is_no_object() {
    let front = Front::with_project("web");
    let rule = json!({ "name": "a", "on": ["finished"], "channel": ["slack", "https://example.org/hook"] });
    let schedule = json!({ "name": "a", "cron": "0 0 * * *", "order": [null, null] });
    let table = [
        ("POST", "/runs", json!([null, null]), ""),
        ("POST", "/runs", json!([]), ""),
        ("POST", "/schedules", schedule, "/order"),
        ("POST", "/notifications", rule, "/channel"),
        ("PATCH", "", json!({ "settings": [1, 0, false, 1, 1] }), "/settings"),
        ("PATCH", "", json!(["title"]), ""),
    ];
    for (method, path, body, pointer) in table {
        let refused = front.with(method, &format!("{PROJECT}{path}"), &[], Some(&body));
        assert_eq!(refused.problem(), (422, "invalid"), "{method} {path} {body}");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{method} {path} {body}");
    }
    assert_eq!(front.get(RUNS).ok()["items"], json!([]));
    front.with("PATCH", PROJECT, &[], Some(&json!({ "settings": null }))).ok();
}

#[test]
fn a_method_that_is_not_there_has_no_conditions() {
    let front = Front::with_project("web");
    for path in [format!("{PROJECT}/webhook-secrets"), "/v1/none".to_owned()] {
        let status = front.with("PATCH", &path, &[("if-match", "\"x\"")], Some(&json!({}))).status;
        assert_eq!(status, if path == "/v1/none" { 404 } else { 405 }, "{path}");
    }
}

#[test]
fn every_answer_is_protected() {
    let front = Front::new();
    for (path, status) in [("/v1/me", 200), ("/v1/none", 404), ("/healthz", 200), ("/docs", 200)] {
        let answer = front.get(path);
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert_eq!(answer.headers["x-frame-options"], "DENY");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"));
    }
    let wrong = front.call("DELETE", "/v1/me", Some(&front.admin), None);
    assert_eq!(
        (wrong.problem(), &wrong.headers["allow"]),
        ((405, "method_not_allowed"), &"GET,HEAD".parse().unwrap())
    );
}

#[test]
fn the_page_and_its_description_are_served() {
    let front = Front::new();
    let text = |path: &str, kind: &str| {
        let answer =
            now(front.router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap())).unwrap();
        assert_eq!(answer.headers()["content-type"], kind);
        String::from_utf8(now(axum::body::to_bytes(answer.into_body(), usize::MAX)).unwrap().to_vec())
            .unwrap()
    };
    let page = text("/docs", "text/html; charset=utf-8");
    for part in ["/docs/app.js", "/docs/style.css"] {
        assert!(page.contains(part));
    }
    assert!(text("/docs/app.js", "text/javascript; charset=utf-8").contains("/openapi.json"));
    text("/docs/style.css", "text/css; charset=utf-8");
    let described: Value = serde_json::from_str(&text("/openapi.json", "application/json")).unwrap();
    assert_eq!(described, http_api::api::description());
}

#[test]
fn counters_have_their_own_token() {
    let front = Front::new();
    assert_eq!(front.get("/metrics").problem(), (404, "not_found"));
    assert_eq!(front.call("GET", "/metrics", None, None).problem(), (401, "unauthorised"));
    let metrics_token = Some("scrape-me".to_owned());
    let front = Front::with_settings(ApiSettings { metrics_token, ..ApiSettings::default() });
    front.make_project("web");
    front.post(RUNS, &order()).ok();
    for bad in [None, Some(front.admin.as_str()), Some("scrape")] {
        assert_eq!(front.call("GET", "/metrics", bad, None).problem(), (401, "unauthorised"));
    }
    front.call("GET", "/v1/runs/none", Some(&front.admin), None);
    front.get("/nowhere");
    let request = Request::get("/metrics").header("authorization", "Bearer scrape-me").body(Body::empty());
    let answer = now(front.router.clone().oneshot(request.unwrap())).unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let bytes = now(axum::body::to_bytes(answer.into_body(), usize::MAX)).unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    for line in [
        "fleetest_open_runs 1",
        "fleetest_http_requests_total{route=\"/v1/projects/{project}/runs\",method=\"POST\",status=\"202\"} 1",
        "fleetest_http_requests_total{route=\"/v1/runs/{run}\",method=\"GET\",status=\"404\"} 1",
        "fleetest_http_requests_total{route=\"unmatched\",method=\"GET\",status=\"404\"} 1",
        "fleetest_http_request_duration_seconds_count{route=\"/metrics\",method=\"GET\"} 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn a_server_without_its_store_lives_and_is_not_ready() {
    let front = Front::new();
    assert_eq!(front.call("GET", "/readyz", None, None).ok()["status"], "ready");
    let faults = Faults::new(Scripted::at(0, Fault::FailBefore));
    let inner = Arc::clone(&front.desk.services.store);
    let store = Arc::new(FaultyStore::new(inner, faults));
    let services = Services { store, ..front.desk.services.as_ref().clone() };
    let router = http_api::api::router(Api::new(Arc::new(services)));
    let status = |path: &str| {
        now(router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()))
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!((status("/readyz"), status("/healthz"), status("/readyz")), (503, 200, 200));
}
