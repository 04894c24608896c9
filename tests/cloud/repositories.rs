//! Runs of a repository that the stack looks up.

use crate::project::{Project, SUITE};
use crate::stack::stack;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use testkit::github::FakeGithub;

const NAME: &str = "acme/basket";

/// The files of the example, by their paths in it.
fn example() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/python");
    let mut files = Vec::new();
    for folder in ["basket", "tests"] {
        let names = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let sources: Vec<PathBuf> =
            names.filter(|path| path.extension().is_some_and(|ending| ending == "py")).collect();
        for path in sources {
            let inside = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            files.push((inside, fs::read_to_string(path).unwrap()));
        }
    }
    files.push(("pyproject.toml".to_owned(), fs::read_to_string(root.join("pyproject.toml")).unwrap()));
    // A task has its frameworks already.
    files.push(("fleetest.toml".to_owned(), SUITE.to_owned()));
    files
}

#[test]
fn the_branch_of_a_private_repository_is_tested_although_runners_have_no_credentials() {
    let forge = &stack().forge;
    let github = FakeGithub::at(forge.port);
    github.take_token(&forge.token);
    let files = example();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let commit = github.commit(NAME, &files, &["refs/heads/main"]);
    github.hide(NAME);
    let project = Project::of(&format!("https://{}/{NAME}.git", forge.host));
    let asked = stack().post(&format!("/v1/projects/{}/runs", project.id), &json!({ "ref": "main" }));
    let run = asked["id"].as_str().unwrap();
    let shown = stack().finished(run);
    assert_eq!((&shown["verdict"], &shown["commit"]), (&json!("passed"), &json!(commit)), "{shown}");
    assert_eq!((&shown["branch"], &shown["counts"]["passed"]), (&json!("main"), &json!(15)), "{shown}");
    let requests = github.take_requests();
    let archives = requests.iter().filter(|request| request.target.starts_with("/codeload/"));
    assert_eq!(archives.count(), 1, "however many runners there are: {requests:?}");
    // All forms of the report.
    let report = |format: &str| stack().text(&format!("/v1/runs/{run}/reports/{format}"));
    assert_eq!(report("junit.xml").matches("<testcase ").count(), 17);
    let ctrf: serde_json::Value = serde_json::from_str(&report("ctrf.json")).unwrap();
    assert_eq!(ctrf["results"]["summary"]["passed"], 15, "{ctrf}");
    assert!(report("report.html").contains("test_basket"));
    let own: serde_json::Value = serde_json::from_str(&report("report.json")).unwrap();
    assert_eq!(own["run"]["verdict"], "passed");
}
