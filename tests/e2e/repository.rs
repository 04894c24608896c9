//! Repositories that are cloned first.

use crate::stage::Stage;
use std::path::PathBuf;
use std::process::Command;

const GOOD: &str = "def test_one():\n    pass\n";
const BAD: &str = "def test_one():\n    assert False\n";

/// A bare repository: `main` is good, `work` is bad, `v1` is a tag on the first, bad, commit.
struct Origin {
    stage: Stage,
    bare: PathBuf,
    first: String,
}

impl Origin {
    fn new() -> Self {
        let stage = Stage::with(&[("test_one.py", BAD)]);
        let bare = stage.beside("origin.git");
        let origin = Self { bare, first: String::new(), stage };
        origin.git(&["init", "--quiet", "--initial-branch=main"]);
        origin.commit("first");
        origin.git(&["tag", "v1"]);
        let first = origin.git(&["rev-parse", "HEAD"]);
        origin.stage.write("test_one.py", GOOD);
        origin.commit("second");
        origin.git(&["checkout", "--quiet", "-b", "work"]);
        origin.stage.write("test_two.py", &BAD.replace("one", "two"));
        origin.commit("third");
        origin.git(&["checkout", "--quiet", "main"]);
        origin.git(&["clone", "--quiet", "--bare", ".", &origin.bare.display().to_string()]);
        Self { first: first.trim().to_owned(), ..origin }
    }

    fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        self.stage.surround(&mut command);
        let output = command.args(["-c", "user.name=t", "-c", "user.email=t@t"]).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "-m", message]);
    }
}

#[test]
fn a_bare_repository_is_cloned_at_what_was_asked_for() {
    let origin = Origin::new();
    let bare = origin.bare.display().to_string();
    let run = |reference: &str| origin.stage.run(&[&bare, "--ref", reference]);
    let main = origin.stage.run(&[&bare]);
    assert_eq!(main.judged(0).ids(), ["test_one.py::test_one"]);
    assert_eq!(run("main").judged(0).run.counts.planned, 1);
    assert_eq!(run("work").judged(1).run.counts.planned, 2);
    let tag = run("v1");
    assert_eq!(tag.judged(1).run.commit.as_deref(), Some(origin.first.as_str()));
    assert_eq!(run(&origin.first).judged(1).run.commit.as_deref(), Some(origin.first.as_str()));
    run("no-such-branch").refused(3, &["no-such-branch"]);
    origin.stage.run(&[&bare, "--ref=-x"]).refused(2, &["is not the name of a branch, tag or commit"]);
    let left: Vec<_> =
        std::fs::read_dir(origin.bare.join("refs/heads")).into_iter().flatten().flatten().collect();
    assert!(!origin.bare.join(".fleetest").exists(), "a bare repository is not written to: {left:?}");
    origin.stage.assert_deserted();
}

#[test]
fn what_failed_in_a_repository_is_remembered() {
    let origin = Origin::new();
    let bare = origin.bare.display().to_string();
    assert_eq!(origin.stage.run(&[&bare, "--ref=work"]).judged(1).run.counts.planned, 2);
    let again = origin.stage.run(&[&bare, "--ref=work", "--failed"]);
    assert_eq!(again.judged(1).ids(), ["test_two.py::test_two"]);
}

#[test]
fn hooks_of_a_repository_do_not_run() {
    let origin = Origin::new();
    let proof = origin.stage.beside("proof");
    let hook = origin.bare.join("hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\n", proof.display())).unwrap();
    Command::new("chmod").arg("+x").arg(&hook).status().unwrap();
    origin.stage.run(&[&origin.bare.display().to_string()]).judged(0);
    assert!(!proof.exists());
}
