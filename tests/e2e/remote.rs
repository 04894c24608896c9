//! Runs by command: sent, watched, cancelled, repeated; against a real server.

use crate::commands::Shell;
use crate::instance::{Instance, Server, repository};
use crate::stage::{PATIENCE, Stage, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Two that pass and one that fails until the test opens the gate.
const TESTS: &str = "import os\n\ndef test_a():\n    pass\n\ndef test_b():\n    pass\n\ndef test_c():\n    assert os.path.exists('GATE'), 'not yet'\n";
const CONFIG: &str = "[suite.unit]\nframework = \"pytest\"\nslots = 1\nretries = 0\n";
/// One that waits for the gate.
const WAITING: &str = "import os, time\n\ndef test_waiting():\n    while not os.path.exists('GATE'):\n        time.sleep(0.01)\n";

/// The stage's project as a repository with these tests, which look at a gate outside of it.
fn project(stage: &Stage, tests: &str) -> Value {
    let tests = tests.replace("GATE", gate(stage).to_str().unwrap());
    let root = repository(stage, "project", &[("test_it.py", &tests), ("fleetest.toml", CONFIG)]);
    json!({ "id": "project", "repository": root })
}

fn gate(stage: &Stage) -> std::path::PathBuf {
    stage.state.join("gate")
}

fn open(stage: &Stage) {
    fs::write(gate(stage), "").unwrap();
}

fn head(root: &Path) -> String {
    let output = Command::new("git").current_dir(root).args(["rev-parse", "HEAD"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A server with the project on it.
fn serve(stage: &Stage, tests: &str) -> Server {
    let server = Instance::new(stage).start();
    server.post("/v1/projects", &project(stage, tests));
    server
}

fn newest(shell: &Shell<'_>) -> Value {
    shell.json(&["runs", "--limit=1"])["items"][0].clone()
}

#[test]
fn a_commit_that_the_repository_has_is_fetched_by_the_server() {
    let stage = Stage::new();
    let server = serve(&stage, TESTS);
    let shell = Shell::new(&stage, &server);
    let run = shell.types(&["run", "--remote", "--junit=out.xml", "--json=-"]);
    run.ended(1, &["FAILED test_it.py::test_c", "not yet", "1 failed, 2 passed", "--failed", "junit"]);
    assert!(!run.err.contains("sending"), "{}", run.err);
    assert_eq!(run.json()["run"]["verdict"], "failed");
    assert!(fs::read_to_string(stage.project.join("out.xml")).unwrap().contains("<testsuites"));
    let shown = newest(&shell);
    assert_eq!(
        (&shown["commit"], &shown["branch"], &shown["verdict"], &shown["counts"]["planned"]),
        (&json!(head(&stage.project)), &json!("main"), &json!("failed"), &json!(3))
    );
    let id = shown["id"].as_str().unwrap();
    assert_eq!(shell.json(&["show", id]), shown);
    shell.types(&["show", id]).shows(&["FAILED", "FAILED unit", "on main", "not yet", "fleetest rerun"]);
    shell.types(&["runs", "--status=failed", "--branch=main"]).shows(&["VERDICT", id]);
    let none = shell.types(&["runs", "--status=passed"]);
    none.ended(0, &["no such runs"]);
    assert_eq!(none.out, "");
    // Another commit, by its name.
    let tagged = shell.types(&["run", "--remote", "--ref=main", "--detach"]);
    assert_eq!(server.finished(tagged.ended(0, &["watch it"]).out.trim())["verdict"], "failed");
}

#[test]
fn a_working_tree_with_changes_is_sent() {
    let stage = Stage::new();
    let server = serve(&stage, TESTS);
    let shell = Shell::new(&stage, &server);
    stage.write("test_it.py", "def test_changed():\n    pass\n");
    stage.write("test_new.py", "def test_new():\n    pass\n");
    let run = shell.types(&["run", "--remote"]);
    run.ended(0, &["sending 3 files", "it differs from its commit", "2 passed"]);
    assert_eq!(run.out, "", "stdout is for data");
    let shown = newest(&shell);
    assert_eq!((&shown["commit"], &shown["branch"]), (&json!(head(&stage.project)), &json!("main")));
    shell.types(&["run", "--remote", "--quiet", "--filter=test_new"]).ended(0, &["1 passed"]);
    // No repository, no git: what lies there is sent.
    let bare = Stage::new();
    bare.write("test_it.py", "def test_x():\n    assert 0\n");
    bare.write("fleetest.toml", CONFIG);
    let bare_shell = Shell::new(&bare, &server);
    bare_shell.gets(&["projects", "create", "bare"]);
    bare_shell.types(&["run", "--remote", "--project=bare"]).ended(1, &["the project has no repository"]);
}

#[test]
fn watching_may_end_and_be_taken_up_again() {
    let stage = Stage::new();
    let server = serve(&stage, WAITING);
    let shell = Shell::new(&stage, &server);
    let run = shell.gets(&["run", "--remote", "--detach"]);
    let run = run.trim();
    let mut watch = shell.starts(&["watch", run]);
    watch.until_it_says("running");
    watch.interrupt();
    watch.ends().ended(5, &["the run goes on", &format!("fleetest watch {run}")]);
    assert_eq!(server.get(&format!("/v1/runs/{run}"))["status"], "running", "looking away stops nothing");
    let mut again = shell.starts(&["watch", run, "--json"]);
    again.until_it_says("running");
    open(&stage);
    let seen = again.ends();
    seen.ended(0, &["PASSED", "1 passed"]);
    assert_eq!(seen.json()["verdict"], "passed");
    shell.types(&["watch", run]).ended(0, &["PASSED"]);
}

#[test]
fn a_watch_outlives_its_server() {
    let stage = Stage::new();
    let mut instance = Instance::new(&stage);
    let server = instance.start();
    server.post("/v1/projects", &project(&stage, WAITING));
    let shell = Shell::new(&stage, &server);
    let run = shell.gets(&["run", "--remote", "--detach"]);
    let mut watch = shell.starts(&["watch", run.trim()]);
    watch.until_it_says("running");
    let address = server.url.trim_start_matches("http://").to_owned();
    server.kill();
    watch.until_it_says("cannot be reached; the run goes on, trying again");
    let server = instance.start_at(&address, &["--allow-local-sources", "--slots=2"]);
    watch.until_it_says("the server is back");
    open(&stage);
    watch.ends().ended(0, &["1 passed"]);
    server.stop();
}

#[test]
fn a_log_is_followed_while_it_is_written() {
    let stage = Stage::new();
    let setup =
        format!("echo first; while [ ! -e {} ]; do sleep 0.01; done; echo second", gate(&stage).display());
    let server = serve(&stage, "def test_a():\n    pass\n");
    stage.write("fleetest.toml", &format!("{CONFIG}setup = [\"{setup}\"]\n"));
    let shell = Shell::new(&stage, &server);
    let run = shell.gets(&["run", "--remote", "--detach"]);
    let run = run.trim();
    let has_log = || shell.json(&["logs", run])["items"][0]["name"] == "1-setup";
    assert!(eventually(PATIENCE, has_log));
    let mut log = shell.starts(&["logs", run, "--name=setup", "--follow"]);
    log.until_it_says("first");
    open(&stage);
    let said = log.ends();
    said.ended(0, &[]).shows(&["first\n", "second\n"]);
    assert_eq!(server.finished(run)["verdict"], "passed");
    // Once it is over, the same without waiting.
    assert_eq!(shell.gets(&["logs", run, "--name=setup"]), said.out);
    shell.types(&["logs", run]).shows(&["1-setup", "complete"]).ended(0, &["choose one"]);
    assert!(shell.json(&["logs", run])["items"][0]["path"].is_string());
    shell.types(&["logs", run, "--name=other"]).ended(2, &["no log of"]);
    shell.types(&["logs", run, "--follow"]).ended(2, &["one can be followed"]);
}

#[test]
fn a_run_is_cancelled_by_command_and_by_ctrl_c() {
    let stage = Stage::new();
    let server = serve(&stage, WAITING);
    let shell = Shell::new(&stage, &server);
    let run = shell.gets(&["run", "--remote", "--detach"]);
    let run = run.trim();
    let mut watch = shell.starts(&["watch", run]);
    watch.until_it_says("running");
    shell.types(&["cancel", run, "--reason", "wrong branch"]).ended(0, &["told to stop"]).shows(&[run]);
    watch.ends().ended(5, &["CANCELLED", "wrong branch"]);
    let cancelled = shell.json(&["cancel", run]);
    assert_eq!(cancelled["verdict"], "cancelled", "once more changes nothing");

    let mut run = shell.starts(&["run", "--remote"]);
    run.until_it_says("running");
    run.interrupt();
    run.ends().ended(5, &["cancelling", "CANCELLED", "interrupted at the terminal"]);
    assert_eq!(newest(&shell)["verdict"], "cancelled");
    shell.types(&["runs", "--status=cancelled"]).shows(&["CANCELLED"]);
}

#[test]
fn only_what_failed_is_run_again() {
    let stage = Stage::new();
    let server = serve(&stage, TESTS);
    let shell = Shell::new(&stage, &server);
    shell.types(&["run", "--remote"]).ended(1, &[]);
    let first = newest(&shell);
    let id = first["id"].as_str().unwrap();
    let again = shell.types(&["rerun", id, "--failed", "--watch"]);
    again.ended(1, &["FAILED test_it.py::test_c", "1 failed"]);
    let second = newest(&shell);
    assert_eq!((&second["trigger"]["kind"], &second["trigger"]["of"]), (&json!("rerun"), &json!(id)));
    assert_eq!(second["counts"]["planned"], 1, "only the one that failed");
    open(&stage);
    let watched = shell.types(&["rerun", id, "--watch", "--json"]);
    assert_eq!(watched.ended(0, &["1 passed"]).json()["verdict"], "passed");
    let all = shell.json(&["rerun", id, "--all"]);
    assert_eq!(server.finished(all["id"].as_str().unwrap())["counts"]["passed"], 3);
    let passed = shell.gets(&["rerun", id, "--all"]);
    server.finished(passed.trim());
    shell.types(&["rerun", passed.trim(), "--failed"]).ended(4, &["no case of", "--all"]);
}

#[test]
fn history_names_flaky_and_slow_cases() {
    let stage = Stage::new();
    let marker = stage.state.join("seen");
    let flaky = format!(
        "import os, time\n\ndef test_flaky():\n    seen = os.path.exists('{0}')\n    open('{0}', 'w').close()\n    assert seen\n\ndef test_slow():\n    time.sleep(0.05)\n",
        marker.display()
    );
    let server = serve(&stage, &flaky);
    let shell = Shell::new(&stage, &server);
    shell.types(&["flaky"]).ended(0, &["no case is known to be flaky"]);
    stage.write("fleetest.toml", &CONFIG.replace("retries = 0", "retries = 1"));
    shell.types(&["run", "--remote"]).ended(0, &["2 passed (1 flaky)"]);
    shell.types(&["flaky"]).shows(&["FLAKY", "test_it.py::test_flaky"]);
    let flaky = shell.json(&["flaky"]);
    assert_eq!(flaky["items"].as_array().unwrap().len(), 1);
    assert!(flaky["items"][0]["flaky_score"].as_f64().unwrap() > 0.0);
    shell.types(&["slow", "--limit=1"]).shows(&["TIME", "test_it.py::test_slow"]);
    assert_eq!(shell.json(&["slow"])["items"][0]["id"], "test_it.py::test_slow");
}
