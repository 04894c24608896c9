//! `run --remote` against a real server on loopback.

use crate::args::{Cli, Command, RunArgs};
use crate::ci::Ci;
use crate::config::Config;
use crate::exit::{Exit, Problem};
use crate::remote::Session;
use crate::remote::client::Client;
use crate::remote::commands::tests::{run, usual};
use crate::remote::scripted::{Answer, Scripted, Seen, Written, json};
use clap::Parser as _;
use serde_json::json as value;
use std::path::Path;

fn args(line: &[&str]) -> RunArgs {
    let cli = Cli::try_parse_from(["fleetest", "run", "--remote"].iter().chain(line)).unwrap();
    let Command::Run(run) = cli.command else { panic!("not a run") };
    *run
}

fn answer(seen: &Seen, n: usize) -> Answer {
    match seen.call().as_str() {
        "POST /v1/projects/web/sources" => json(
            201,
            &value!({"id": "src_1", "upload_url": "/v1/uploads/secret", "expires_at": "x", "limit_bytes": 9}),
        ),
        "PUT /v1/uploads/secret" => Answer::Say(201, Vec::new(), String::new()),
        "POST /v1/projects/web/runs" => json(202, &run(None)),
        call if call.contains("/reports/") => Answer::Say(200, Vec::new(), format!("<{call}>")),
        _ => usual(seen, n),
    }
}

/// A directory with a pytest suite.
fn project() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("pytest.ini"), "[pytest]\n").unwrap();
    std::fs::write(scratch.path().join("test_a.py"), "def test_a():\n    pass\n").unwrap();
    scratch
}

fn submit(config: &Config, line: &[&str], written: &mut Written) -> Result<Exit, Problem> {
    let client = Client::new(&config.remote).unwrap();
    let mut console = written.console();
    Session { client: &client, config, console: &mut console }.run_remotely(&args(line))
}

#[test]
fn a_directory_is_sent_run_watched_and_reported() {
    let server = Scripted::start(answer);
    let dir = project();
    let config = server.config(dir.path());
    let mut written = Written::default();
    let line = [
        "--suite=pytest",
        "--filter=test_a",
        "--fail-fast=2",
        "--timeout=90s",
        "--junit=out.xml",
        "--json=-",
    ];
    let exit = submit(&config, &line, &mut written).unwrap();
    assert_eq!(exit, Exit::TestsFailed);
    assert_eq!(
        server.calls()[..4],
        [
            "GET /v1/projects/web",
            "POST /v1/projects/web/sources",
            "PUT /v1/uploads/secret",
            "POST /v1/projects/web/runs"
        ]
    );
    let seen = server.seen();
    let body = seen[3].json();
    assert_eq!(body["source"], "src_1");
    assert_eq!(body["suites"], value!(["pytest"]));
    assert_eq!(
        (&body["filter"], &body["fail_fast"], &body["timeout_s"]),
        (&value!("test_a"), &value!(2), &value!(90))
    );
    assert!(body["config"].as_str().unwrap().contains("framework = \"pytest\""), "{body}");
    assert_eq!(body["ref"], value!(null));
    assert_eq!(seen[2].header("authorization"), None);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(seen[2].body.as_slice()));
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["pytest.ini", "test_a.py"]);
    let report = std::fs::read_to_string(dir.path().join("out.xml")).unwrap();
    assert!(report.contains("/reports/junit.xml"), "{report}");
    assert!(written.out().contains("/reports/report.json"), "{}", written.out());
    assert!(written.err().contains("detected pytest"), "{}", written.err());
}

#[test]
fn a_reference_is_fetched_by_the_server() {
    let server = Scripted::start(answer);
    let dir = project();
    let mut written = Written::default();
    let exit = submit(&server.config(dir.path()), &["--ref=v1.2", "--detach"], &mut written).unwrap();
    assert_eq!(exit, Exit::Passed);
    assert_eq!(server.calls(), ["GET /v1/projects/web", "POST /v1/projects/web/runs"]);
    let body = server.seen()[1].json();
    assert_eq!(
        (&body["ref"], &body["config"], &body["source"]),
        (&value!("v1.2"), &value!(null), &value!(null))
    );
    assert_eq!(written.out().trim(), "run_0190b0f0c0de7000800000000000abcd");
}

#[test]
fn a_ci_job_says_what_it_tests_and_github_is_told() {
    let server = Scripted::start(answer);
    let dir = project();
    let summary = dir.path().join("summary.md");
    let sha = "0123456789abcdef0123456789abcdef01234567";
    let shown = summary.display().to_string();
    let ci = Ci::detect(|name| {
        let value = match name {
            "GITHUB_ACTIONS" => "true",
            "GITHUB_SHA" => sha,
            "GITHUB_REF" => "refs/pull/12/merge",
            "GITHUB_HEAD_REF" => "fix",
            "GITHUB_STEP_SUMMARY" => &shown,
            _ => return None,
        };
        Some(value.to_owned())
    });
    let config = Config { ci, ..server.config(dir.path()) };
    let mut written = Written::default();
    let exit = submit(&config, &[], &mut written).unwrap();
    assert_eq!(exit, Exit::TestsFailed);
    let seen = server.seen();
    let body = seen.iter().find(|seen| seen.call() == "POST /v1/projects/web/runs").unwrap().json();
    assert_eq!(
        (&body["commit"], &body["branch"], &body["pull_request"]),
        (&value!(sha), &value!("fix"), &value!(12))
    );
    let told = std::fs::read_to_string(&summary).unwrap();
    assert!(told.starts_with("### ❌ Failed: 2 failed"), "{told}");
    let annotations: Vec<String> =
        written.err().lines().filter(|line| line.starts_with("::error ")).map(str::to_owned).collect();
    assert_eq!(annotations.len(), 2, "{}", written.err());
    assert!(annotations[0].starts_with("::error file=tests/test_a.py,line=7,title="), "{annotations:?}");
}

#[test]
fn flags_without_meaning_are_refused_before_anything_is_asked() {
    let server = Scripted::start(answer);
    let dir = project();
    let config = server.config(dir.path());
    let lines: [&[&str]; 13] = [
        &["--slots=2"],
        &["--shards=2"],
        &["--retries=1"],
        &["--case-timeout=1s"],
        &["--failed"],
        &["--no-history"],
        &["--ref=main", "--upload"],
        &["--detach", "--junit=x"],
        &["--filter=("],
        &["no-such-directory"],
        &["https://example.org/web"],
        &["--timeout=2d"],
        &["--project=No Such"],
    ];
    for line in lines {
        let problem = submit(&config, line, &mut Written::default()).unwrap_err();
        assert_eq!(problem.exit(), Exit::Usage, "{line:?}: {problem}");
    }
    assert_eq!(server.calls(), Vec::<String>::new());
    let problem = submit(&config, &["--suite=pytets"], &mut Written::default()).unwrap_err();
    assert_eq!(problem.next_step(), Some("did you mean `--suite pytest`?"));
    let other = submit(&config, &["--project=other"], &mut Written::default()).unwrap_err();
    assert!(other.next_step().unwrap().contains("fleetest projects create other"));
    assert!(server.calls().iter().all(|call| call.starts_with("GET ")));
}

#[test]
fn a_project_is_named_like_its_folder() {
    let server = Scripted::start(answer);
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("Web");
    std::fs::create_dir(&folder).unwrap();
    let mut config = server.config(Path::new("/"));
    config.remote.project = None;
    let mut written = Written::default();
    let line = [folder.to_str().unwrap(), "--ref=main", "--detach"];
    submit(&config, &line, &mut written).unwrap();
    assert!(written.err().contains("project `web` (the folder's name"), "{}", written.err());
}
