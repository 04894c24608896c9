//! Every command against a scripted server: what it asks for, what it prints.

use crate::args::{Cli, Command};
use crate::exit::{Exit, describe};
use crate::remote::Session;
use crate::remote::client::Client;
use crate::remote::scripted::{Answer, Scripted, Seen, Written, json, problem};
use clap::{CommandFactory as _, Parser as _};
use serde_json::{Value, json as value};
use std::path::Path;

const RUN: &str = "run_0190b0f0c0de7000800000000000abcd";

pub(crate) fn run(verdict: Option<&str>) -> Value {
    let status = if verdict.is_some() { "finished" } else { "running" };
    let cause = verdict
        .filter(|word| *word == "failed")
        .map(|_| value!({"code": "tests_failed", "message": "2 tests failed", "detail": ""}));
    value!({
        "id": RUN, "project": "web", "status": status, "verdict": verdict, "cause": cause,
        "commit": "0123456789abcdef0123456789abcdef01234567", "branch": "main", "pull_request": 12,
        "trigger": {"kind": "request"}, "actor": "key:ci", "priority": 0, "parked": false, "partial": false, "jobs": 1,
        "counts": {"planned": 1300, "outstanding": 0, "passed": 1200, "failed": 1, "errored": 1, "skipped": 98,
            "timed_out": 0, "crashed": 0, "flaky": 3},
        "queued_at": "2023-11-14T22:00:00Z", "started_at": "2023-11-14T22:00:05Z",
        "finished_at": verdict.map(|_| "2023-11-14T22:01:10Z"), "some_later_field": 1
    })
}

fn job() -> Value {
    value!({"job": 1, "name": "unit[python=3.12]", "status": "finished", "verdict": "failed",
        "cause": {"code": "tests_failed", "message": "2 tests failed", "detail": ""},
        "counts": {"planned": 1300, "outstanding": 0, "passed": 1200, "failed": 1, "errored": 1, "skipped": 98,
            "timed_out": 0, "crashed": 0, "flaky": 3},
        "started_at": "2023-11-14T22:00:05Z", "finished_at": "2023-11-14T22:01:09Z"})
}

fn case(id: &str, outcome: &str) -> Value {
    value!({"key": "case_1", "job": 1, "job_name": "unit", "id": id, "outcome": outcome, "file": "tests/test_a.py",
        "line": 7, "failure": {"kind": "AssertionError", "message": "assert 1 == 2\n\u{1b}[2J"}, "duration_us": 5})
}

fn items(items: &[Value]) -> Answer {
    json(200, &value!({"items": items}))
}

/// What the server of most tests answers.
pub(crate) fn usual(seen: &Seen, _: usize) -> Answer {
    let path = seen.path.split('?').next().unwrap();
    let project = value!({"id": "web", "title": "Web", "repository": "https://example.org/web", "default_branch": "main",
        "config": null, "settings": {}, "created_at": "2023-11-14T00:00:00Z", "updated_at": "2023-11-14T00:00:00Z"});
    let key = value!({"id": "key_1", "name": "ci", "hint": "fl_ab", "project": "web", "role": "developer",
        "scopes": ["read", "run"], "created_at": "2023-11-14T00:00:00Z", "created_by": "key:root", "expires_at": null,
        "revoked_at": null, "last_used_at": "2023-11-14T22:00:00Z", "replaces": null});
    let schedule = value!({"id": "sch_1", "name": "nightly", "cron": "30 2 * * *", "zone": "Europe/Berlin",
        "paused": seen.method == "PATCH", "next_fires": ["2023-11-15T01:30:00Z", "2023-11-16T01:30:00Z"]});
    let notable = |id: &str| {
        value!({"job_name": "unit", "id": id, "flaky_score": 0.125, "outcomes": 64, "failures": 8,
        "duration_us": 4_250_000})
    };
    match (seen.method.as_str(), path) {
        ("GET", "/v1/projects/web/runs") => items(&[run(Some("failed")), run(None)]),
        ("GET", p) if p == format!("/v1/runs/{RUN}") => json(200, &run(Some("failed"))),
        ("GET", p) if p.ends_with("/jobs") => items(&[job()]),
        ("GET", p) if p.ends_with("/cases") => {
            items(&[case("tests/test_a.py::test_b", "failed"), case("c", "errored")])
        }
        ("POST", p) if p.ends_with("/cancel") => json(202, &run(Some("cancelled"))),
        ("POST", p) if p.ends_with("/rerun") => json(202, &run(None)),
        ("GET", p) if p.ends_with("/flaky") || p.ends_with("/slow") => {
            items(&[notable("tests/test_a.py::test_slow")])
        }
        ("GET", "/v1/projects/web/keys" | "/v1/keys") => items(&[key]),
        ("POST", "/v1/projects/web/keys" | "/v1/keys" | "/v1/projects/web/keys/key_1/rotate") => {
            json(201, &value!({"key": key, "token": "fl_fresh"}))
        }
        ("DELETE", _) => Answer::Say(204, Vec::new(), String::new()),
        ("GET", "/v1/projects/web/schedules") => items(&[schedule]),
        ("POST", "/v1/projects/web/schedules/sch_1/run") => json(202, &run(None)),
        ("POST", "/v1/projects/web/schedules") => json(201, &schedule),
        ("PATCH", "/v1/projects/web/schedules/sch_1") => json(200, &schedule),
        ("GET", "/v1/projects") => items(&[project]),
        ("GET" | "POST", "/v1/projects" | "/v1/projects/web") => json(200, &project),
        ("POST", "/v1/projects/web/imports") => {
            json(201, &value!({"run": run(Some("passed")), "not_accepted": ["case 7: no name", {"line": 3}]}))
        }
        _ => problem(404, "not_found", "there is no such thing here"),
    }
}

pub(crate) struct Done {
    pub(crate) exit: u8,
    pub(crate) written: Written,
    pub(crate) calls: Vec<String>,
    pub(crate) seen: Vec<Seen>,
}

/// Runs a command line against a server.
pub(crate) fn command(server: &Scripted, here: &Path, line: &[&str]) -> Done {
    let cli = Cli::try_parse_from(["fleetest"].iter().chain(line)).unwrap();
    let Command::Remote(command) = cli.command else { panic!("no remote command") };
    let config = server.config(here);
    let client = Client::new(&config.remote).unwrap();
    let mut written = Written::default();
    let mut console = written.console();
    console.json = line.contains(&"--json");
    let answered = Session { client: &client, config: &config, console: &mut console }.answer(&command);
    let exit = answered.unwrap_or_else(|problem| {
        let (exit, lines) = describe(&anyhow::Error::from(problem));
        written.err.extend_from_slice(lines.join("\n").as_bytes());
        exit
    });
    Done { exit: exit.code(), written, calls: server.calls(), seen: server.seen() }
}

fn told(line: &[&str]) -> String {
    let server = Scripted::start(usual);
    let scratch = tempfile::tempdir().unwrap();
    let done = command(&server, scratch.path(), line);
    let (out, err) = (done.written.out(), done.written.err());
    format!(
        "$ fleetest {}\n[asked]\n{}\n[stdout]\n{out}[stderr]\n{err}[exit {}]\n",
        line.join(" "),
        done.calls.join("\n"),
        done.exit
    )
}

#[test]
fn every_command_asks_and_answers() {
    let lines: [&[&str]; 16] = [
        &["runs", "--branch", "main", "--status", "failed", "--limit", "5"],
        &["show", RUN],
        &["cancel", RUN, "--reason", "not needed"],
        &["rerun", RUN],
        &["flaky"],
        &["slow", "--project", "web"],
        &["keys", "list"],
        &["keys", "create", "ci", "--scope", "run"],
        &["keys", "rotate", "key_1", "--overlap", "1h"],
        &["keys", "revoke", "key_1", "--instance"],
        &["schedules", "list"],
        &["schedules", "create", "nightly", "--cron", "30 2 * * *"],
        &["schedules", "pause", "sch_1"],
        &["schedules", "run", "sch_1"],
        &["projects", "list"],
        &["projects", "show"],
    ];
    insta::assert_snapshot!(lines.map(told).join("\n"));
}

#[test]
fn json_is_what_the_server_said_and_nothing_else() {
    let lines: [&[&str]; 7] = [
        &["runs", "--json"],
        &["show", RUN, "--json"],
        &["cancel", RUN, "--json"],
        &["flaky", "--json"],
        &["keys", "list", "--json"],
        &["schedules", "list", "--json"],
        &["projects", "show", "--json"],
    ];
    for line in lines {
        let server = Scripted::start(usual);
        let done = command(&server, Path::new("/"), line);
        assert_eq!(done.exit, 0, "{line:?}");
        let document: Value = serde_json::from_slice(&done.written.out).unwrap();
        assert!(document.is_object(), "{line:?}");
    }
    let server = Scripted::start(usual);
    let done = command(&server, Path::new("/"), &["show", RUN, "--json"]);
    let document: Value = serde_json::from_slice(&done.written.out).unwrap();
    assert_eq!(document["some_later_field"], 1, "fields of later versions are kept");
}

#[test]
fn lists_are_read_over_their_pages() {
    let server = Scripted::start(|seen, n| {
        assert_eq!(seen.path.contains("cursor=c%26"), n > 0, "{}", seen.path);
        match n {
            0 => json(200, &value!({"items": [run(None), run(None)], "next_cursor": "c&1"})),
            1 => json(200, &value!({"items": [], "next_cursor": "c&2"})),
            _ => json(200, &value!({"items": [run(None), run(None), run(None)], "next_cursor": "c&3"})),
        }
    });
    let done = command(&server, Path::new("/"), &["runs", "--limit", "4", "--json"]);
    let document: Value = serde_json::from_slice(&done.written.out).unwrap();
    assert_eq!(document["items"].as_array().unwrap().len(), 4);
    assert_eq!(done.calls.len(), 3);
}

#[test]
fn an_import_is_streamed_and_says_what_was_not_accepted() {
    let server = Scripted::start(usual);
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("junit.xml");
    std::fs::write(&file, "<testsuites/>").unwrap();
    let done = command(&server, scratch.path(), &["import", file.to_str().unwrap(), "--suite", "unit"]);
    assert_eq!(done.exit, 0);
    assert_eq!(done.calls, ["POST /v1/projects/web/imports?suite=unit&format=junit"]);
    assert_eq!(done.seen[0].body, b"<testsuites/>");
    assert!(done.written.err().contains("2 parts not accepted"), "{}", done.written.err());
    assert!(done.written.err().contains("case 7: no name") && done.written.out().contains("PASSED"));
    let unknown = scratch.path().join("x");
    std::fs::write(&unknown, "hello").unwrap();
    assert_eq!(command(&server, scratch.path(), &["import", unknown.to_str().unwrap()]).exit, 2);
}

#[test]
fn a_wrong_name_ends_in_code_2_and_an_empty_list_says_so() {
    let server = Scripted::start(|seen, _| match seen.method.as_str() {
        "GET" if seen.path.contains("/runs?") => items(&[]),
        _ => problem(404, "not_found", "there is no such thing here"),
    });
    let done = command(&server, Path::new("/"), &["show", "run_x"]);
    assert_eq!(done.exit, Exit::Usage.code());
    assert!(done.written.out.is_empty() && done.written.err().contains("there is no such thing here"));
    let done = command(&server, Path::new("/"), &["runs"]);
    assert_eq!((done.exit, done.written.out()), (0, String::new()));
    assert!(done.written.err().contains("`web` has no such runs"));
}

#[test]
fn help_of_the_remote_commands() {
    let mut command = Cli::command();
    command.build();
    let names = [
        "runs",
        "show",
        "watch",
        "logs",
        "cancel",
        "rerun",
        "flaky",
        "slow",
        "import",
        "doctor",
        "completions",
    ];
    let mut texts: Vec<String> = names
        .iter()
        .map(|name| {
            command.find_subcommand_mut(name).unwrap().clone().term_width(100).render_long_help().to_string()
        })
        .collect();
    for group in ["keys", "schedules", "projects"] {
        let group = command.find_subcommand_mut(group).unwrap();
        texts.push(group.clone().term_width(100).render_long_help().to_string());
        let children: Vec<String> =
            group.get_subcommands().map(|child| child.get_name().to_owned()).collect();
        for child in children.iter().filter(|child| *child != "help") {
            let child = group.find_subcommand_mut(child).unwrap();
            texts.push(child.clone().term_width(100).render_long_help().to_string());
        }
    }
    insta::assert_snapshot!(texts.join("\n--------\n"));
}

#[test]
fn completions_name_the_commands() {
    let mut written = Written::default();
    let exit = super::completions(clap_complete::Shell::Bash, &mut written.console());
    assert_eq!(exit, Exit::Passed);
    assert!(written.out().contains("schedules") && written.err.is_empty());
}
