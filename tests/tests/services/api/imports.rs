//! Imports: what becomes of results that ran elsewhere, whole, damaged, repeated, cut off and too large.

use super::{Answer, Front};
use crate::desk::now;
use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use http_body::{Frame, SizeHint};
use serde_json::{Value, json};
use shared::domain::access::{Role, Scope};
use shared::domain::id::RunId;
use shared::domain::outcome::Outcome;
use shared::domain::report::FlakyKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

const GREEN: &str = "<testsuites name='unit'><testsuite name='a' tests='2'>\
    <testcase classname='pkg.A' name='one' file='a.py' time='0.5'/><testcase classname='pkg.A' name='two' file='a.py'/>\
    </testsuite></testsuites>";

fn import(front: &Front, query: &str, body: impl Into<Body>) -> Answer {
    import_as(front, &front.admin, query, "application/octet-stream", body)
}

fn import_as(front: &Front, key: &str, query: &str, kind: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(format!("/v1/projects/web/imports{query}"))
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, kind);
    front.send(request.body(body.into()).unwrap())
}

fn verdict(imported: &Value) -> (&str, &str) {
    let run = &imported["run"];
    (run["verdict"].as_str().unwrap(), run["cause"]["code"].as_str().unwrap_or_default())
}

fn id(imported: &Value) -> RunId {
    imported["run"]["id"].as_str().unwrap().parse().unwrap()
}

fn runs(front: &Front) -> usize {
    front.get("/v1/projects/web/runs").ok()["items"].as_array().unwrap().len()
}

/// Neither a run nor a blob is there.
fn assert_nothing_stays(front: &Front) {
    assert_eq!(runs(front), 0);
    assert_eq!(now(front.desk.services.blobs.list("")).unwrap(), Vec::<String>::new());
}

#[test]
fn results_of_any_ci_become_a_run_like_any_other() {
    let front = Front::with_project("web");
    let about = "?commit=0123abc&branch=main&pull_request=7&build=https%3A%2F%2Fci.example%2F9";
    let answer = import(&front, about, GREEN);
    assert_eq!(answer.status, 201);
    let place = answer.headers["location"].to_str().unwrap().to_owned();
    let imported = answer.ok();
    assert_eq!((verdict(&imported), imported["accepted"].as_u64()), (("passed", ""), Some(2)));
    assert_eq!((&imported["not_accepted"], &imported["repeated"]), (&json!([]), &json!(false)));
    let run = front.get(&place).ok();
    assert_eq!(run, imported["run"]);
    assert_eq!(
        (&run["status"], &run["commit"], &run["branch"]),
        (&json!("finished"), &json!("0123abc"), &json!("main"))
    );
    assert_eq!(run["trigger"], json!({ "kind": "import", "of": "https://ci.example/9" }));
    assert_eq!((&run["counts"]["passed"], &run["pull_request"]), (&json!(2), &json!(7)));
    let records = front.desk.records(id(&imported));
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].unit.as_str(), records[0].attempts[0].duration_us), ("a.py", 500_000));
    // Its reports are rendered when the first of them is asked for.
    let lengths = || {
        let listed = front.get(&format!("{place}/reports")).ok();
        let length = |report: &Value| report["size_bytes"].as_u64();
        listed["items"].as_array().unwrap().iter().map(length).collect::<Vec<_>>()
    };
    assert_eq!(lengths(), [None; 4]);
    let mut report = Vec::new();
    let mut keep = |bytes: &[u8]| {
        report.extend_from_slice(bytes);
        Ok(())
    };
    now(front.desk.services.read_report(id(&imported), "junit.xml", &mut keep)).unwrap();
    assert!(lengths().contains(&Some(report.len() as u64)) && !lengths().contains(&None));
    assert!(String::from_utf8(report).unwrap().contains("tests=\"2\""));
    // Nothing of it is left to do: the sweep finds it closed.
    front.desk.sweep();
    assert_eq!(front.get(&place).ok(), run);
    assert_eq!(front.desk.launcher.orders().len(), 0);
}

#[test]
fn every_format_is_understood_with_and_without_being_named() {
    let table = [
        ("junit", include_str!("../../../fixtures/reports/junit/pytest.xml"), "failed"),
        ("tap", include_str!("../../../fixtures/reports/tap/subtests.tap"), "failed"),
        ("ctrf", include_str!("../../../fixtures/reports/ctrf/playwright.json"), "failed"),
        ("go-json", include_str!("../../../fixtures/reports/go-json/mixed.json"), "failed"),
        ("libtest-json", include_str!("../../../fixtures/reports/libtest-json/mixed.json"), "failed"),
        ("tap", include_str!("../../../fixtures/reports/tap/skip_all.tap"), "errored"),
        ("ctrf", include_str!("../../../fixtures/reports/ctrf/empty.json"), "errored"),
        ("ctrf", include_str!("../../../fixtures/reports/ctrf/unknown_status.json"), "errored"),
        ("go-json", include_str!("../../../fixtures/reports/go-json/truncated.json"), "errored"),
    ];
    for (format, text, expect) in table {
        let front = Front::with_project("web");
        let told = import(&front, &format!("?format={format}&suite=s&build=1"), text).ok();
        let found = import(&front, "?suite=s&build=2", text).ok();
        assert_eq!((verdict(&told).0, verdict(&found)), (expect, verdict(&told)), "{format}");
        assert_eq!(told["accepted"], found["accepted"]);
        assert_eq!(told["run"]["counts"], found["run"]["counts"]);
    }
}

#[test]
fn the_same_report_is_one_run_and_another_build_another() {
    let front = Front::with_project("web");
    let first = import(&front, "?commit=c&suite=u&build=1", GREEN).ok();
    let again = import(&front, "?commit=c&suite=u&build=1", GREEN);
    assert_eq!(again.status, 200);
    let again = again.ok();
    assert_eq!((id(&again), &again["repeated"], &again["accepted"]), (id(&first), &json!(true), &json!(2)));
    assert_eq!(runs(&front), 1);
    let stored = now(front.desk.services.blobs.list("runs/")).unwrap();
    assert!(stored.iter().all(|key| key.contains(&id(&first).to_string())), "{stored:?}");
    for other in
        ["?commit=d&suite=u&build=1", "?commit=c&suite=v&build=1", "?commit=c&suite=u&build=2", "?commit=c"]
    {
        assert_eq!(import(&front, other, GREEN).status, 201, "{other}");
    }
    assert_eq!(runs(&front), 5);
}

#[test]
fn what_is_not_taken_is_told_and_never_green() {
    let front = Front::with_project("web");
    let cut = &GREEN[..GREEN.len() - 60];
    let told = import(&front, "", cut.to_owned()).ok();
    assert_eq!((verdict(&told), told["accepted"].as_u64()), (("errored", "report_invalid"), Some(1)));
    assert!(told["not_accepted"][0]["reason"].as_str().unwrap().contains("cut off"), "{told}");
    assert_eq!((&told["not_accepted"][0]["line"], &told["not_accepted_count"]), (&json!(1), &json!(1)));
    assert!(told["run"]["cause"]["message"].as_str().unwrap().contains("line 1"), "{told}");
    assert_eq!(told["run"]["counts"]["passed"], 1);
    let lost = import(&front, "", GREEN.replace("tests='2'", "tests='3'")).ok();
    assert_eq!(verdict(&lost), ("errored", "report_invalid"));
    let bomb = import(&front, "", "<!DOCTYPE a><testsuite><testcase name='a'/></testsuite>").ok();
    assert_eq!((verdict(&bomb), bomb["accepted"].as_u64()), (("errored", "report_invalid"), Some(0)));
    let flood = format!("{{\"Action\":\"start\",\"Package\":\"p\"}}\n{}", "{\"Action\":1}\n".repeat(300));
    let flood = import(&front, "", flood).ok();
    assert_eq!(flood["not_accepted"].as_array().unwrap().len(), 100);
    assert_eq!(flood["not_accepted_count"], 301);
    let none = import(&front, "", "<testsuite name='a' tests='0'/>").ok();
    assert_eq!(verdict(&none), ("errored", "no_tests"));
}

#[test]
fn retries_of_the_tool_are_attempts_and_repeated_names_are_cases() {
    let front = Front::with_project("web");
    let text = "<testsuite name='s'>\
        <testcase name='flaky'><flakyFailure message='slow'>t</flakyFailure></testcase>\
        <testcase name='again'><failure message='no'/></testcase><testcase name='again'/>\
        <testcase name='twice'/><testcase name='twice'/></testsuite>";
    let imported = import(&front, "", text).ok();
    assert_eq!(verdict(&imported), ("passed", ""));
    let counts = &imported["run"]["counts"];
    assert_eq!((&counts["planned"], &counts["flaky"]), (&json!(4), &json!(2)));
    let records = front.desk.records(id(&imported));
    let flaky: Vec<_> = records.iter().filter(|record| record.flaky() == Some(FlakyKind::Retry)).collect();
    assert_eq!(flaky.len(), 2);
    assert!(flaky.iter().all(|record| record.attempts.len() == 2 && record.outcome() == Outcome::Passed));
}

#[test]
fn a_big_report_is_stored_in_portions_and_learned_from() {
    let front = Front::with_project("web");
    let cases: String = (0..6_000)
        .map(|n| {
            format!(
                "<testcase classname='C{}' name='n{n}' time='0.001'><system-out>{}</system-out></testcase>",
                n / 100,
                "o".repeat(500)
            )
        })
        .collect();
    let imported = import(&front, "?suite=big", format!("<testsuite name='x'>{cases}</testsuite>")).ok();
    assert_eq!((verdict(&imported), imported["accepted"].as_u64()), (("passed", ""), Some(6_000)));
    let parts = now(front.desk.services.blobs.list(&format!("runs/{}/jobs/", id(&imported)))).unwrap();
    assert!((5..40).contains(&parts.len()), "{}", parts.len());
    assert_eq!(front.desk.records(id(&imported)).len(), 6_000);
}

/// A body that breaks off after its first piece.
struct Broken(Option<Bytes>);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let gone = || std::io::Error::other("connection reset");
        Poll::Ready(Some(self.0.take().map(Frame::data).ok_or_else(gone)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[test]
fn a_body_that_breaks_off_leaves_nothing_behind() {
    let front = Front::with_project("web");
    // Long enough that portions of it were stored before it broke.
    let cases: String = (0..5_000).map(|n| format!("<testcase name='n{n}'/>")).collect();
    let whole = format!("<testsuite name='x'>{cases}</testsuite>");
    let refused = import(&front, "", Body::new(Broken(Some(Bytes::from(whole)))));
    assert_eq!(refused.problem(), (400, "unreadable_body"));
    assert_nothing_stays(&front);
}

#[test]
fn what_is_too_large_or_no_report_is_refused_and_leaves_nothing_behind() {
    let mut front = Front::with_project("web");
    let api = http_api::api::door::Api::new(Arc::clone(&front.desk.services)).with_import_limit(100_000);
    front.router = http_api::api::router(api);
    let large = format!("<testsuite name='x'>{}</testsuite>", "<testcase name='n'/>".repeat(10_000));
    assert_eq!(import(&front, "", large.clone()).problem(), (413, "too_large"));
    let streamed = Body::new(Broken(Some(Bytes::from(large))));
    assert_eq!(import(&front, "", streamed).problem(), (413, "too_large"));
    for text in ["", "hello", "{\"a\":1}"] {
        assert_eq!(import(&front, "", text).problem(), (422, "invalid"), "{text}");
    }
    for query in ["?format=xml", "?pull_request=x", "?comit=1"] {
        assert_eq!(import(&front, query, GREEN).problem(), (422, "invalid"), "{query}");
    }
    let admin = front.admin.clone();
    let form = import_as(&front, &admin, "", "multipart/form-data; boundary=x", GREEN);
    assert_eq!(form.problem(), (415, "unsupported_media_type"));
    assert_nothing_stays(&front);
    assert_eq!(import_as(&front, &admin, "", "text/xml; charset=utf-8", GREEN).status, 201);
}

#[test]
fn importing_needs_the_role_and_the_scope() {
    let front = Front::with_project("web");
    front.make_project("other");
    let status = |project: &str, role: Role, scopes: &[Scope]| {
        let key = front.key(Some(project), role, scopes);
        import_as(&front, &key, "", "text/xml", GREEN).status
    };
    assert_eq!(status("web", Role::Developer, &[Scope::Import]), 201);
    assert_eq!(status("web", Role::Viewer, &Scope::ALL), 403);
    assert_eq!(status("web", Role::Admin, &[Scope::Read]), 403);
    assert_eq!(status("other", Role::Admin, &Scope::ALL), 404);
}
