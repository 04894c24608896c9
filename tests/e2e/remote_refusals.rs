//! What goes wrong between a command and its server: the exit code, and words that say what to do.

use crate::commands::Shell;
use crate::instance::Instance;
use crate::stage::Stage;
use serde_json::json;
use std::net::TcpListener;

const RUN: &str = "run_01900000000070008000000000000000";

/// Every command that names something of a server, with things that are not there.
const UNKNOWN: [&[&str]; 17] = [
    &["runs", "--project=none"],
    &["show", RUN],
    &["watch", RUN],
    &["logs", RUN],
    &["cancel", RUN],
    &["rerun", RUN],
    &["approve", RUN],
    &["flaky", "--project=none"],
    &["slow", "--project=none"],
    &["keys", "list", "--project=none"],
    &["schedules", "list", "--project=none"],
    &["projects", "show", "none"],
    &["members", "list", "--project=none"],
    &["notifications", "list", "--project=none"],
    &["deliveries", "list", "--project=none"],
    &["webhooks", "list", "--project=none"],
    &["audit", "--project=none"],
];

#[test]
fn what_is_not_there_is_named_and_ends_in_code_2() {
    let stage = Stage::new();
    let server = Instance::new(&stage).start_with(&[]);
    let shell = Shell::new(&stage, &server);
    for args in UNKNOWN {
        let name = if args.contains(&RUN) { RUN } else { "none" };
        let said = shell.types(args);
        said.ended(2, &["error: ", name, "hint: check the name"]);
        assert_eq!((said.out.as_str(), said.err.matches("error: ").count()), ("", 1), "{args:?}");
    }
    shell.types(&["show", "run_1"]).ended(2, &["`run_1` is not a run id"]);
    stage.write("test_a.py", "def test_a():\n    pass\n");
    let run = shell.types(&["run", "--remote", "--project=none"]);
    run.ended(2, &["no project `none`", "fleetest projects create none"]);
    shell.types(&["run", "--remote"]).ended(2, &["no project `project`"]);
    stage.write("junit.xml", "<testsuite/>");
    shell.types(&["import", "junit.xml"]).ended(2, &["`project`"]);
}

#[test]
fn a_wrong_key_ends_in_code_2_and_is_never_shown() {
    let stage = Stage::new();
    let server = Instance::new(&stage).start();
    server.post("/v1/projects", &json!({ "id": "project" }));
    let wrong = "fl_0123456789abcdef0123456789abcdef0123456789abcd";
    let shell = Shell::at(&stage, &server.url, wrong);
    stage.write("test_a.py", "def test_a():\n    pass\n");
    for args in
        [&["runs"][..], &["show", RUN], &["watch", RUN], &["run", "--remote"], &["keys", "create", "x"]]
    {
        let said = shell.types(args);
        said.ended(2, &["error: the key is", "401", "FLEETEST_TOKEN"]);
        assert!(!said.err.contains(wrong) && said.out.is_empty(), "{said:?}");
    }
    let doctor = shell.types(&["doctor"]);
    doctor.ended(3, &[]).shows(&["fail key", "FLEETEST_TOKEN"]);
    Shell::at(&stage, &server.url, "").types(&["runs"]).ended(2, &["FLEETEST_TOKEN"]);
    // A key that may only read starts nothing.
    let reader = Shell::new(&stage, &server).gets(&["keys", "create", "reader", "--role=viewer"]);
    let reader = Shell::at(&stage, &server.url, reader.trim());
    reader.gets(&["runs"]);
    reader.types(&["run", "--remote"]).ended(2, &["403", "higher role"]);
    reader.types(&["audit"]).ended(2, &["403"]);
    reader.types(&["projects", "create", "mine"]).ended(2, &["403"]);
}

#[test]
fn a_server_that_is_not_there_ends_in_code_3() {
    let stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let shell = Shell::at(&stage, &url, "fl_x");
    stage.write("test_a.py", "def test_a():\n    pass\n");
    // Commands that write are tried for longer, so one of them is enough.
    for args in [&["watch", RUN][..], &["run", "--remote"]] {
        shell.types(args).ended(3, &["cannot be reached", &url, "fleetest serve"]);
    }
    let doctor = shell.types(&["doctor", "--json"]);
    let checks = doctor.ended(3, &[]).json();
    let server =
        checks["checks"].as_array().unwrap().iter().find(|check| check["subject"] == "server").unwrap();
    assert_eq!(server["health"], "fail");
}

#[test]
fn an_address_that_leads_elsewhere_is_said_to() {
    let stage = Stage::new();
    let server = Instance::new(&stage).start();
    let below = Shell::at(&stage, &format!("{}/elsewhere", server.url), &server.key);
    below.types(&["runs"]).ended(2, &["no such route", "check FLEETEST_URL"]);
    Shell::at(&stage, "ftp://example.org", "fl_x").types(&["runs"]).ended(2, &["FLEETEST_URL"]);
}

#[test]
fn doctor_is_content_with_a_good_server() {
    let stage = Stage::new();
    let server = Instance::new(&stage).start();
    let shell = Shell::new(&stage, &server);
    let checks = shell.json(&["doctor"]);
    let of = |subject: &str| {
        let found = checks["checks"].as_array().unwrap().iter().find(|check| check["subject"] == subject);
        found.unwrap_or_else(|| panic!("{subject}: {checks}")).clone()
    };
    for subject in ["server", "clock", "key"] {
        assert_eq!(of(subject)["health"], "ok", "{checks}");
    }
    assert!(of("key")["state"].as_str().unwrap().contains("admin of every project"));
    shell.types(&["doctor"]).ended(0, &[]).shows(&["ok server", "ok key"]);
}
