//! `run --remote` and `import` as steps of a CI job.

use crate::commands::Shell;
use crate::instance::{Instance, repository};
use crate::stage::Stage;
use serde_json::json;
use std::fs;

const TESTS: &str =
    "def test_a():\n    pass\n\ndef test_b():\n    assert 1 == 2, 'a % and\\n::set-env name=PATH::/evil'\n";
const CONFIG: &str = "[suite.unit]\nframework = \"pytest\"\nslots = 1\nretries = 0\n";
const HEAD: &str = "0123456789abcdef0123456789abcdef01234567";
const MERGE: &str = "89abcdef0123456789abcdef0123456789abcdef";

#[test]
fn a_job_of_github_actions_says_what_it_tests_and_is_told_what_failed() {
    let stage = Stage::new();
    let root = repository(&stage, "project", &[("api/test_it.py", TESTS), ("api/fleetest.toml", CONFIG)]);
    let server = Instance::new(&stage).start();
    let (summary, event) = (stage.beside("summary.md"), stage.beside("event.json"));
    fs::write(&summary, "before\n").unwrap();
    fs::write(&event, json!({ "number": 12, "pull_request": { "head": { "sha": HEAD } } }).to_string())
        .unwrap();
    let shell = Shell::new(&stage, &server)
        .with("GITHUB_ACTIONS", "true")
        .with("GITHUB_SHA", MERGE)
        .with("GITHUB_REF", "refs/pull/12/merge")
        .with("GITHUB_HEAD_REF", "fix")
        .with("GITHUB_WORKSPACE", root.to_str().unwrap())
        .with("GITHUB_EVENT_PATH", event.to_str().unwrap())
        .with("GITHUB_STEP_SUMMARY", summary.to_str().unwrap());
    shell.gets(&["projects", "create", "api"]);
    let run = shell.types(&["run", "api", "--remote"]);
    run.ended(1, &["project `api`", "FAILED test_it.py::test_b"]);

    let shown = shell.json(&["runs", "--project=api"])["items"][0].clone();
    assert_eq!(
        (&shown["commit"], &shown["branch"], &shown["pull_request"]),
        (&json!(HEAD), &json!("fix"), &json!(12))
    );
    let told = fs::read_to_string(&summary).unwrap();
    assert!(told.starts_with("before\n### ❌ Failed: 1 failed"), "{told}");
    assert!(told.contains("test\\_it\\.py\\:4"), "{told}");
    let id = shown["id"].as_str().unwrap();
    assert!(told.contains(&format!("fleetest rerun {id}").replace('_', "\\_")), "{told}");
    let both = format!("{}{}", run.out, run.err);
    let commands: Vec<&str> = both.lines().filter(|line| line.starts_with("::")).collect();
    let (pause, rest) = commands.split_first().unwrap();
    let word = pause.strip_prefix("::stop-commands::").unwrap();
    assert_eq!(rest[0], format!("::{word}::"), "what is printed meanwhile commands nothing");
    assert_eq!(rest.len(), 2, "{rest:?}");
    assert!(rest[1].starts_with("::error file=api/test_it.py,line=4,title="), "{rest:?}");
}

#[test]
fn an_import_takes_commit_branch_and_change_from_the_job() {
    let stage = Stage::new();
    let server = Instance::new(&stage).start();
    let shell = Shell::new(&stage, &server)
        .with("FLEETEST_PROJECT", "web")
        .with("GITLAB_CI", "true")
        .with("CI_COMMIT_SHA", HEAD)
        .with("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "fix")
        .with("CI_MERGE_REQUEST_IID", "7");
    shell.gets(&["projects", "create", "web"]);
    stage.write("junit.xml", "<testsuite name=\"s\"><testcase classname=\"c\" name=\"a\"/></testsuite>");
    shell.types(&["import", "junit.xml"]).ended(0, &[]).shows(&["PASSED", "1 passed"]);
    let shown = shell.json(&["runs"])["items"][0].clone();
    assert_eq!(
        (&shown["commit"], &shown["branch"], &shown["pull_request"], &shown["trigger"]["kind"]),
        (&json!(HEAD), &json!("fix"), &json!(7), &json!("import"))
    );
    // What is said aloud counts more, and another build is another run.
    let of = ["import", "junit.xml", "--commit", MERGE, "--branch=main", "--pull-request=8", "--build=17"];
    let made = shell.json(&of);
    assert_eq!(
        (&made["run"]["commit"], &made["run"]["branch"], &made["run"]["pull_request"]),
        (&json!(MERGE), &json!("main"), &json!(8))
    );
    assert_eq!((&made["accepted"], &made["repeated"]), (&json!(1), &json!(false)));
    let again = shell.types(&of);
    again.ended(0, &["was imported before"]).shows(&[made["run"]["id"].as_str().unwrap()]);
}
