//! The contract with the real git, and what is particular to it.

use super::*;
use std::fs;
use std::process::Command;
use tempfile::TempDir;
use testkit::contract::block_on;
use testkit::contract::forge::{FIRST, Known, SECOND};

fn git(dir: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").current_dir(dir).args(identity).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn commit(work: &Path, files: &[(&str, &str)]) -> String {
    for (path, text) in files {
        let path = work.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    git(work, &["add", "--all", "--force", "."]);
    git(work, &["commit", "--quiet", "-m", "x"]);
    git(work, &["rev-parse", "HEAD"])
}

#[expect(clippy::disallowed_methods, reason = "the tests run with the environment that they have")]
fn environment() -> BTreeMap<String, OsString> {
    std::env::var_os("PATH").map(|path| ("PATH".to_owned(), path)).into_iter().collect()
}

fn forge(scratch: &Path, allow_local: bool) -> GitForge {
    let environment = environment();
    let folder = scratch.join("copies");
    GitForge::new(GitConfig { folder, environment, ssh_environment: BTreeMap::new(), allow_local })
}

fn known() -> (Known, TempDir) {
    let scratch = TempDir::new().unwrap();
    let work = scratch.path().join("work");
    fs::create_dir(&work).unwrap();
    git(&work, &["init", "--quiet"]);
    let first = commit(&work, FIRST);
    git(&work, &["branch", "feature/x"]);
    git(&work, &["tag", "-a", "v1", "-m", "x"]);
    git(&work, &["tag", "both"]);
    let second = commit(&work, SECOND);
    git(&work, &["branch", "both"]);
    let url = work.display().to_string();
    let forge = Arc::new(forge(scratch.path(), true));
    (Known { forge, url, first, second }, scratch)
}

testkit::forge_contract!(git_forge, known());

#[test]
fn paths_are_addresses_only_where_that_is_allowed() {
    let (known, scratch) = known();
    let strict = forge(scratch.path(), false);
    let refused = block_on(strict.resolve(&known.url, "main"));
    assert!(matches!(refused, Err(PortError::Denied { .. })), "{refused:?}");
    assert!(matches!(strict.check(&known.url), Err(PortError::Denied { .. })));
    let missing = block_on(known.forge.resolve("/nowhere/at/all", "main"));
    assert!(matches!(missing, Err(PortError::Denied { .. })), "{missing:?}");
}

#[test]
fn a_repository_that_is_away_may_be_back_later_and_is_left_alone_for_a_moment() {
    let scratch = TempDir::new().unwrap();
    let forge = forge(scratch.path(), false);
    // Nothing listens on port 1 of the loopback interface.
    for _ in 0..2 {
        let away = block_on(forge.resolve("https://127.0.0.1:1/a.git", "main"));
        assert!(
            matches!(&away, Err(PortError::Unavailable { reason, .. }) if !reason.is_empty()),
            "{away:?}"
        );
    }
}

#[test]
fn a_branch_that_moved_is_seen_and_links_are_no_files() {
    let (known, scratch) = known();
    let work = scratch.path().join("work");
    assert_eq!(block_on(known.forge.resolve(&known.url, "main")).unwrap().commit, known.second);
    std::os::unix::fs::symlink("/etc/passwd", work.join("link")).unwrap();
    let third = commit(&work, &[("README", "three")]);
    assert_eq!(block_on(known.forge.resolve(&known.url, "main")).unwrap().commit, third);
    assert_eq!(block_on(known.forge.file(&known.url, &third, "link")).unwrap(), None);
    let listing = block_on(known.forge.listing(&known.url, &third)).unwrap();
    assert!(!listing.files.contains(&"link".to_owned()));
    assert_eq!(block_on(known.forge.file(&known.url, &third, "README")).unwrap().as_deref(), Some("three"));
}

#[test]
fn a_copy_stays_small_and_a_large_file_is_refused() {
    let (known, scratch) = known();
    let work = scratch.path().join("work");
    let large = commit(&work, &[("fleetest.toml", &"#".repeat(2 * 1024 * 1024))]);
    let refused = block_on(known.forge.file(&known.url, &large, "fleetest.toml"));
    assert!(matches!(refused, Err(PortError::Denied { .. })), "{refused:?}");
    let copies: Vec<_> = fs::read_dir(scratch.path().join("copies")).unwrap().collect();
    assert_eq!(copies.len(), 1);
    let shallow = git(&copies[0].as_ref().unwrap().path(), &["rev-list", "--all", "--count"]);
    assert_eq!(shallow, "1", "only the commit itself is fetched");
}
