//! Watching a real server, also one that goes away.

use super::*;
use crate::remote::commands::tests::run;
use crate::remote::scripted::{Answer, NOW, Scripted, Seen, Written, json, problem};
use serde_json::json as value;
use std::io::Write;
use std::sync::mpsc::Sender;

const RUN: &str = "run_0190b0f0c0de7000800000000000abcd";

fn jobs() -> Answer {
    json(
        200,
        &value!({"items": [{"job": 1, "name": "unit", "status": "running",
        "counts": {"planned": 10, "outstanding": 6, "passed": 3, "failed": 1, "errored": 0, "skipped": 0,
            "timed_out": 0, "crashed": 0, "flaky": 0}}]}),
    )
}

fn other(seen: &Seen) -> Answer {
    match seen.path.split('?').next().unwrap() {
        path if path.ends_with("/jobs") => jobs(),
        path if path.ends_with("/cases") => json(200, &value!({"items": []})),
        _ => problem(404, "not_found", "there is no such thing here"),
    }
}

fn is_run(seen: &Seen) -> bool {
    seen.method == "GET" && seen.path == format!("/v1/runs/{RUN}")
}

fn client(server: &Scripted) -> Client {
    Client::new(&server.settings()).unwrap().with_patience(Duration::from_millis(300))
}

fn code(watched: &Watched) -> Option<u8> {
    match watched {
        Watched::Over(over) => Some(exit_of(&over.run).code()),
        Watched::Detached => None,
    }
}

#[test]
fn a_watch_ends_with_the_verdict_and_asks_only_for_what_is_new() {
    let server = Scripted::start(|seen, n| {
        let tag = vec![("etag", "\"a\"".to_owned())];
        match (is_run(seen), n) {
            (true, 0) => Answer::Say(200, tag, run(None).to_string()),
            (true, 2) => {
                assert_eq!(seen.header("if-none-match"), Some("\"a\""));
                Answer::Say(304, tag, String::new())
            }
            (true, _) => json(200, &run(Some("failed"))),
            (false, _) => other(seen),
        }
    });
    let mut written = Written::default();
    let watched =
        watch(&client(&server), &mut written.console(), RUN, OnStop::Detach, &StopFlag::default()).unwrap();
    assert_eq!(code(&watched), Some(1));
    assert!(written.out.is_empty());
    insta::assert_snapshot!(written.err());
}

#[test]
fn verdicts_have_the_published_codes_and_what_is_unknown_is_never_green() {
    let coded = |verdict: Option<&str>, cause: Option<&str>| {
        let mut document = run(verdict);
        document["cause"] =
            cause.map_or(Value::Null, |code| value!({"code": code, "message": "", "detail": ""}));
        exit_of(&serde_json::from_value(document).unwrap()).code()
    };
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
        assert_eq!(coded(verdict, cause), expected, "{verdict:?} {cause:?}");
    }
}

/// Lets the server come back once the watcher has said that it is away.
struct Ear {
    heard: Vec<u8>,
    come_back: Sender<()>,
}

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.heard.extend_from_slice(bytes);
        if String::from_utf8_lossy(bytes).contains("cannot be reached") {
            self.come_back.send(()).unwrap();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_watch_outlives_a_restart_of_the_server() {
    let server = Scripted::start(|seen, n| match (is_run(seen), n) {
        (true, 0) => json(200, &run(None)),
        (true, 2) => Answer::GoAway,
        (true, _) => json(200, &run(Some("passed"))),
        (false, _) => other(seen),
    });
    let mut ear = Ear { heard: Vec::new(), come_back: server.come_back() };
    let mut out = Vec::new();
    let mut console = Console::plain(&mut out, &mut ear, || NOW);
    let watched = watch(&client(&server), &mut console, RUN, OnStop::Detach, &StopFlag::default()).unwrap();
    assert_eq!(code(&watched), Some(0));
    let heard = String::from_utf8_lossy(&ear.heard).into_owned();
    assert_eq!(heard.matches("cannot be reached").count(), 1, "{heard}");
    assert!(heard.contains("the server is back"), "{heard}");
}

#[test]
fn a_run_that_does_not_exist_is_not_waited_for() {
    let server = Scripted::start(|seen, _| other(seen));
    let mut written = Written::default();
    let problem = watch(&client(&server), &mut written.console(), RUN, OnStop::Detach, &StopFlag::default())
        .unwrap_err();
    assert_eq!(problem.exit(), Exit::Usage);
    assert_eq!(server.calls().len(), 1);
}

#[test]
fn a_wish_to_stop_detaches_or_cancels() {
    let server = || {
        let cancelled = std::sync::atomic::AtomicBool::new(false);
        Scripted::start(move |seen, _| {
            if seen.path.ends_with("/cancel") {
                cancelled.store(true, std::sync::atomic::Ordering::SeqCst);
                return json(202, &run(None));
            }
            let verdict = cancelled.load(std::sync::atomic::Ordering::SeqCst).then_some("cancelled");
            if is_run(seen) { json(200, &run(verdict)) } else { other(seen) }
        })
    };
    let stop = StopFlag::default();
    stop.raise();
    let looked_away = server();
    let mut written = Written::default();
    let watched = watch(&client(&looked_away), &mut written.console(), RUN, OnStop::Detach, &stop).unwrap();
    assert_eq!(code(&watched), None);
    assert_eq!(detached(&mut written.console(), RUN), Exit::Cancelled);
    assert!(written.err().contains(&format!("fleetest watch {RUN}")));
    assert!(looked_away.calls().iter().all(|call| call.starts_with("GET ")));
    let stopped = server();
    let watched = watch(&client(&stopped), &mut written.console(), RUN, OnStop::Cancel, &stop).unwrap();
    assert_eq!(code(&watched), Some(5));
    let cancels: Vec<String> = stopped.calls().into_iter().filter(|call| call.starts_with("POST ")).collect();
    assert_eq!(cancels, [format!("POST /v1/runs/{RUN}/cancel")], "once");
}
