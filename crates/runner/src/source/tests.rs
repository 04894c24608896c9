//! Real repositories, fetched by the real git.

use super::*;
use crate::config;
use std::process::Command;
use std::sync::Arc;

struct Repository {
    scratch: tempfile::TempDir,
    first: String,
    second: String,
}

fn git(dir: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").current_dir(dir).args(identity).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A work tree with two commits, a tag on the first, a hook and a bare clone of it.
fn repository() -> Repository {
    let scratch = tempfile::tempdir().unwrap();
    let work = scratch.path().join("work");
    std::fs::create_dir(&work).unwrap();
    git(&work, &["init", "--quiet"]);
    let commit = |content: &str| {
        std::fs::write(work.join("file"), content).unwrap();
        git(&work, &["add", "."]);
        git(&work, &["commit", "--quiet", "-m", content]);
        git(&work, &["rev-parse", "HEAD"])
    };
    let first = commit("one");
    git(&work, &["tag", "v1"]);
    let second = commit("two");
    git(scratch.path(), &["clone", "--quiet", "--bare", "work", "bare.git"]);
    Repository { scratch, first, second }
}

impl Repository {
    fn fetch(&self, path: &str, reference: &str) -> Result<(String, String), SourceError> {
        let dest = self.scratch.path().join("dest").join(reference);
        let origin = self.scratch.path().join(path);
        let commit = fetch_local(&origin, reference, &dest, &config::git_environment(), &Control::default())?;
        Ok((commit, std::fs::read_to_string(dest.join("file")).unwrap()))
    }
}

#[test]
fn branches_tags_and_commits_of_bare_and_other_repositories_are_fetched() {
    let repository = repository();
    let (first, second) = (repository.first.clone(), repository.second.clone());
    for (path, reference, commit, content) in [
        ("bare.git", "main", &second, "two"),
        ("bare.git", "v1", &first, "one"),
        ("bare.git", "HEAD", &second, "two"),
        ("work", "refs/heads/main", &second, "two"),
        ("work", first.as_str(), &first, "one"),
        ("work", &first[..9], &first, "one"),
    ] {
        let fetched = repository.fetch(path, reference).unwrap();
        assert_eq!(fetched, (commit.clone(), content.to_owned()), "{path} {reference}");
    }
}

#[test]
fn what_is_not_there_is_named_with_a_way_out() {
    let repository = repository();
    let message = |path: &str, reference: &str| repository.fetch(path, reference).unwrap_err().to_string();
    for reference in ["nope", &"0".repeat(40), "abcdef1"] {
        let text = message("bare.git", reference);
        assert!(text.contains(&format!("has no branch, tag or commit `{reference}`")), "{text}");
        assert!(!repository.scratch.path().join("dest").join(reference).exists(), "half a checkout was left");
    }
    assert!(message("nowhere", "main").contains("nowhere` cannot be used"));
    std::fs::create_dir(repository.scratch.path().join("plain")).unwrap();
    assert!(message("plain", "main").contains("no git repository"));
    assert!(message("bare.git", "--upload-pack=x").contains("is refused"));
}

#[test]
fn hooks_and_filters_of_the_repository_do_not_run() {
    let repository = repository();
    let (work, canary) = (repository.scratch.path().join("work"), repository.scratch.path().join("canary"));
    let run = format!("touch {}", canary.display());
    for hook in ["post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = work.join(".git/hooks").join(hook);
        std::fs::create_dir_all(work.join(".git/hooks")).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{run}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    git(&work, &["config", "core.fsmonitor", &run]);
    git(&work, &["config", "filter.evil.smudge", &run]);
    std::fs::write(work.join(".gitattributes"), "* filter=evil\n").unwrap();
    git(&work, &["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "add", ".gitattributes"]);
    git(
        &work,
        &["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "commit", "-q", "-m", "evil"],
    );
    std::fs::remove_file(&canary).ok();
    repository.fetch("work", "main").unwrap();
    assert!(!canary.exists());
}

#[test]
fn a_remote_that_is_away_says_so() {
    let scratch = tempfile::tempdir().unwrap();
    let (environment, control) = (config::git_environment(), Control::default());
    let dest = scratch.path().join("dest");
    // Nothing listens on port 1 of the loopback interface.
    let error = fetch_remote("https://127.0.0.1:1/a.git", "main", &dest, &environment, &control).unwrap_err();
    assert!(matches!(&error, SourceError::Unreachable { detail, .. } if !detail.is_empty()), "{error:?}");
    let error = fetch_remote("ext::sh -c id", "main", &dest, &environment, &control).unwrap_err();
    assert!(matches!(error, SourceError::Address(_)));
    assert!(!dest.exists());
}

#[test]
fn a_destination_with_content_is_left_alone() {
    let repository = repository();
    let dest = repository.scratch.path().join("dest/main");
    std::fs::create_dir_all(&dest).unwrap();
    std::fs::write(dest.join("mine"), "mine").unwrap();
    let error = repository.fetch("bare.git", "main").unwrap_err();
    assert!(matches!(error, SourceError::Destination { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(dest.join("mine")).unwrap(), "mine");
}

#[test]
fn a_directory_is_used_where_it_stands() {
    let scratch = tempfile::tempdir().unwrap();
    let provide_at = |path: &Path| {
        let source = Source::Directory { path: path.display().to_string() };
        let control = Arc::new(Control::default());
        let link = Link::new("http://127.0.0.1:1", true, Arc::clone(&control));
        let environment = GitEnvironment::default();
        let means =
            Means { scratch: scratch.path(), environment: &environment, link: &link, control: &control };
        provide(&source, means)
    };
    assert_eq!(provide_at(scratch.path()).unwrap(), std::fs::canonicalize(scratch.path()).unwrap());
    assert!(matches!(provide_at(&scratch.path().join("nope")), Err(SourceError::Directory { .. })));
    std::fs::write(scratch.path().join("file"), "").unwrap();
    assert!(matches!(provide_at(&scratch.path().join("file")), Err(SourceError::Directory { .. })));
}

#[test]
fn a_request_reaches_a_repository_of_this_machine_only_with_leave() {
    let repository = repository();
    let path = repository.scratch.path().join("bare.git");
    let provide_with = |local: bool, name: &str| {
        let source = Source::Git { url: path.display().to_string(), commit: "main".to_owned() };
        let environment = GitEnvironment { local, ..config::git_environment() };
        let scratch = repository.scratch.path().join(name);
        let control = Arc::new(Control::default());
        let link = Link::new("http://127.0.0.1:1", true, Arc::clone(&control));
        let means = Means { scratch: &scratch, environment: &environment, link: &link, control: &control };
        provide(&source, means)
    };
    assert!(matches!(provide_with(false, "a"), Err(SourceError::Address(_))));
    assert!(provide_with(true, "b").unwrap().join("file").is_file());
}
