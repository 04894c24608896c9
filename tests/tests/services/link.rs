//! The runner link's router: what each wrong call is answered with.

use crate::desk::{Desk, now, spec, suite, unit};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use shared::domain::spec::{Shards, SuiteSpec};
use shared::wire::link::{LINK_PREFIX, Problem, RunnerEnd};
use std::sync::Arc;
use tower::ServiceExt as _;

struct Door(Router);

impl Door {
    fn of(desk: &Desk) -> Self {
        Self(http_api::link::router(Arc::clone(&desk.services)))
    }

    /// Status and, for anything but success, the problem's code.
    fn call(&self, method: &str, name: &str, token: Option<&str>, body: String) -> (u16, String) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{LINK_PREFIX}/{name}"))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = now(self.0.clone().oneshot(request.body(Body::from(body)).unwrap())).unwrap();
        let status = response.status().as_u16();
        if status == 200 {
            return (status, String::new());
        }
        let kind = response.headers().get(header::CONTENT_TYPE).unwrap().to_str().unwrap().to_owned();
        assert_eq!(kind, "application/problem+json", "{name}");
        let bytes = now(to_bytes(response.into_body(), usize::MAX)).unwrap();
        let problem: Problem = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(problem.status, status);
        assert!(!problem.title.is_empty() && !problem.detail.is_empty());
        (status, problem.code)
    }
}

fn beat() -> String {
    r#"{"phase":"tests"}"#.to_owned()
}

fn answer(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[test]
fn who_is_nobody_is_told_so_before_anything_is_read() {
    let desk = Desk::new();
    desk.submit(&spec(vec![suite("unit")]));
    let runner = desk.runner(1, 1, 1);
    let door = Door::of(&desk);
    let bent = runner.token.replacen(".1.1.", ".1.2.", 1);
    assert_ne!(bent, runner.token);
    for token in [None, Some(""), Some("fls.x"), Some(bent.as_str())] {
        for call in ["lease", "results", "heartbeat", "logs", "release", "finish"] {
            let body = "x".repeat(16 * 1024 * 1024);
            assert_eq!(door.call("POST", call, token, body), answer(401, "unauthorised"), "{call}");
        }
        assert_eq!(door.call("PUT", "manifest", token, "{".into()), answer(401, "unauthorised"));
    }
    assert_eq!(door.call("POST", "heartbeat", Some(&runner.token), beat()), answer(200, ""));
}

#[test]
fn a_runner_that_is_over_is_fenced() {
    let desk = Desk::new();
    desk.submit(&spec(vec![suite("unit")]));
    let runner = desk.runner(1, 1, 1);
    runner.finish(RunnerEnd::Done);
    assert_eq!(Door::of(&desk).call("POST", "heartbeat", Some(&runner.token), beat()), answer(410, "fenced"));
}

#[test]
fn bodies_are_refused_by_size_and_by_shape() {
    let desk = Desk::new();
    desk.submit(&spec(vec![suite("unit")]));
    let runner = desk.runner(1, 1, 1);
    let (door, token) = (Door::of(&desk), Some(runner.token.as_str()));
    let large = format!(r#"{{"phase":"{}"}}"#, "x".repeat(3 * 1024 * 1024));
    assert_eq!(door.call("POST", "heartbeat", token, large), answer(413, "invalid"));
    assert_eq!(door.call("POST", "heartbeat", token, "{".into()), answer(400, "invalid"));
    let strange = r#"{"phase":"tests","more":1}"#.to_owned();
    assert_eq!(door.call("POST", "heartbeat", token, strange), answer(422, "invalid"));
    let version = r#"{"link_version":99,"bootstrap_token":"","boot_nonce":"12345678","slots":1}"#.to_owned();
    assert_eq!(door.call("POST", "session", None, version), answer(422, "invalid"));
}

#[test]
fn leases_are_answered_by_epoch_part_and_order_and_belong_to_one_runner() {
    let desk = Desk::new();
    let two = SuiteSpec { shards: Shards::Fixed(2), ..suite("unit") };
    desk.submit(&spec(vec![two]));
    let (mut one, other) = (desk.runner(1, 1, 1), desk.runner(1, 2, 1));
    one.manifest(&[unit("a")]);
    let batch = one.lease(None).unwrap();
    let door = Door::of(&desk);
    let results = |epoch: u64, part: u32, events: &str| {
        format!(r#"{{"lease":"{}","epoch":{epoch},"part":{part},"events":[{events}]}}"#, batch.last.lease)
    };
    let call = |token: &str, body: String| door.call("POST", "results", Some(token), body);
    let epoch = batch.last.epoch;
    assert_eq!(call(&other.token, results(epoch, 0, "")), answer(409, "stale_lease"));
    assert_eq!(call(&one.token, results(epoch + 1, 0, "")), answer(409, "stale_lease"));
    assert_eq!(call(&one.token, results(epoch, 3, "")), answer(409, "part_gap"));
    let finished = r#"{"event":"finished","entry":0,"overhead_us":0,"at":1}"#;
    assert_eq!(call(&one.token, results(epoch, 0, finished)), answer(422, "malformed"));
    assert_eq!(call(&one.token, results(epoch, 0, "")), answer(200, ""));
}
