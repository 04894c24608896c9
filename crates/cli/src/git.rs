//! Which commit and branch a working directory stands at, as far as git can say.
//!
//! Knowing it makes reports better and nothing depends on it: no git, no repository, a broken one or a slow one
//! give an answer without facts, never an error.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Where a working directory stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revision {
    /// Full commit id.
    pub commit: Option<String>,
    /// Branch, unless detached.
    pub branch: Option<String>,
    /// Whether tracked files differ from the commit.
    pub dirty: bool,
}

/// How long git may think about it.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Asks git where `dir` stands.
#[must_use]
pub fn revision(dir: &Path, patience: Duration) -> Revision {
    ask(dir, &["status", "--porcelain=v2", "--branch", "--untracked-files=no"], patience)
        .map(|text| parse(&text))
        .unwrap_or_default()
}

/// What git prints; `None` if it fails or takes too long. A run inside a git hook asks about `dir`, not about the
/// hook's repository.
#[must_use]
pub fn ask(dir: &Path, question: &[&str], patience: Duration) -> Option<String> {
    ask_bytes(dir, question, patience).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The same, byte by byte: names of files need not be text.
#[must_use]
pub fn ask_bytes(dir: &Path, question: &[&str], patience: Duration) -> Option<Vec<u8>> {
    let mut command = Command::new("git");
    command
        .arg("--no-optional-locks")
        // A project's own configuration may name a program here, which would run before any test does.
        .args(["-c", "core.fsmonitor=false"])
        .arg("-C")
        .arg(dir)
        .args(question)
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    for inherited in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(inherited);
    }
    output(command, patience)
}

fn output(mut command: Command, patience: Duration) -> Option<Vec<u8>> {
    let mut child = command.spawn().ok()?;
    let mut stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.read_to_end(&mut bytes);
        drop(sender.send(read.map(|_| bytes)));
    });
    let bytes = receiver.recv_timeout(patience);
    if bytes.is_err() {
        drop(child.kill());
    }
    let success = child.wait().is_ok_and(|status| status.success());
    let bytes = bytes.ok()?.ok()?;
    success.then_some(bytes)
}

fn parse(text: &str) -> Revision {
    let mut revision = Revision::default();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(header) => read_header(header, &mut revision),
            None => revision.dirty = true,
        }
    }
    revision
}

fn read_header(header: &str, revision: &mut Revision) {
    match header.split_once(' ') {
        // A repository without a commit says `(initial)`.
        Some(("branch.oid", id)) if id.bytes().all(|b| b.is_ascii_hexdigit()) => {
            revision.commit = Some(id.to_owned());
        }
        Some(("branch.head", name)) if name != "(detached)" => {
            revision.branch = Some(name.to_owned());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(dir: &Path, args: &[&str]) {
        let identity =
            ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"];
        let mut command = Command::new("git");
        command.arg("-C").arg(dir).args(identity).args(args);
        for inherited in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(inherited);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    #[test]
    fn a_repository_is_known_by_commit_branch_and_changes() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        git(dir, &["init", "-q"]);
        let empty = revision(dir, PATIENCE);
        assert_eq!((empty.commit, empty.branch.as_deref()), (None, Some("main")));
        std::fs::write(dir.join("a"), "1").unwrap();
        git(dir, &["add", "a"]);
        git(dir, &["commit", "-q", "-m", "x"]);
        let clean = revision(dir, PATIENCE);
        assert_eq!(clean.commit.as_ref().map(String::len), Some(40));
        assert!(!clean.dirty);
        std::fs::write(dir.join("a"), "22").unwrap();
        std::fs::create_dir(dir.join("sub")).unwrap();
        assert_eq!(revision(&dir.join("sub"), PATIENCE), Revision { dirty: true, ..clean.clone() });
        git(dir, &["checkout", "-q", "--detach"]);
        assert_eq!(revision(dir, PATIENCE).branch, None);
    }

    #[test]
    fn no_repository_is_no_error() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(revision(scratch.path(), PATIENCE), Revision::default());
        assert_eq!(revision(&scratch.path().join("gone"), PATIENCE), Revision::default());
    }

    #[test]
    fn an_endless_program_is_given_up() {
        let mut command = Command::new("sh");
        command.args(["-c", "exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        assert_eq!(output(command, Duration::from_millis(20)), None);
    }

    #[test]
    fn a_missing_program_is_no_error() {
        assert_eq!(output(Command::new("/no/such/program"), PATIENCE), None);
    }
}
