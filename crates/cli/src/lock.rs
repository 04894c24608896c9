//! One `fleetest run` at a time in one state folder.
//!
//! The operating system holds the lock and drops it when its owner dies, however that happens; the text in the
//! file only says who the owner is. It is emptied on a clean release, so text found by the next owner means that
//! the last one was killed.

use crate::args::duration::Human;
use crate::exit::Problem;
use crate::project::state::cannot_write;
use serde::{Deserialize, Serialize};
use shared::domain::time::Timestamp;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

const FILE: &str = "lock";

/// Who holds, or held, the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// When it took the lock.
    pub started_at: Timestamp,
}

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    killed: Option<Owner>,
}

impl Lock {
    /// Takes the lock of the state folder `dir` for `owner`, a `fleetest run`.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be written.
    pub fn take(dir: &Path, owner: Owner) -> Result<Self, Problem> {
        Self::take_or(dir, owner, |holder| taken(holder, owner.started_at))
    }

    /// Takes the lock of the folder `dir` for `owner`; `taken` says in words that another process holds it.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be written.
    pub fn take_or(
        dir: &Path,
        owner: Owner,
        taken: impl FnOnce(Option<Owner>) -> Problem,
    ) -> Result<Self, Problem> {
        let path = dir.join(FILE);
        let failed = |error| cannot_write(&path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(read(&mut file))),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let killed = read(&mut file);
        write(&mut file, owner).map_err(failed)?;
        Ok(Self { file, killed })
    }

    /// The last owner, if it was killed before it could finish.
    #[must_use]
    pub fn killed_owner(&self) -> Option<Owner> {
        self.killed
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Failing to empty it costs a wrong note in the next run, nothing else.
        drop(self.file.set_len(0));
    }
}

fn read(file: &mut File) -> Option<Owner> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write(file: &mut File, owner: Owner) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(serde_json::to_string(&owner)?.as_bytes())?;
    file.flush()
}

fn taken(owner: Option<Owner>, now: Timestamp) -> Problem {
    let Some(Owner { pid, started_at }) = owner else {
        return Problem::could_not_run("another `fleetest run` has just started in this project")
            .hint("wait for it, or run beside it with `--no-history`");
    };
    let since = Human(now.since_ms(started_at));
    Problem::could_not_run(format!(
        "another `fleetest run` is working in this project (process {pid}, since {started_at}, {since} ago)"
    ))
    .hint(format!("wait for it, end it with `kill {pid}`, or run beside it with `--no-history`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    const ME: Owner = Owner { pid: 4242, started_at: Timestamp(1_700_000_000_000) };
    const LATER: Owner = Owner { pid: 1, started_at: Timestamp(1_700_000_065_000) };

    #[test]
    fn the_second_run_hears_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let _lock = Lock::take(dir.path(), ME).unwrap();
        let problem = Lock::take(dir.path(), LATER).unwrap_err();
        assert_eq!(problem.exit().code(), 3);
        insta::assert_snapshot!(format!("{problem}\n{}", problem.next_step().unwrap()), @r"
        another `fleetest run` is working in this project (process 4242, since 2023-11-14T22:13:20.000Z, 1m 05s ago)
        wait for it, end it with `kill 4242`, or run beside it with `--no-history`
        ");
    }

    #[test]
    fn a_released_lock_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        drop(Lock::take(dir.path(), ME).unwrap());
        assert_eq!(Lock::take(dir.path(), LATER).unwrap().killed_owner(), None);
    }

    #[test]
    fn a_killed_owner_is_known_and_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), serde_json::to_string(&ME).unwrap()).unwrap();
        assert_eq!(Lock::take(dir.path(), LATER).unwrap().killed_owner(), Some(ME));
    }

    #[test]
    fn a_torn_file_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), b"{\"pid\": 4\xff").unwrap();
        assert_eq!(Lock::take(dir.path(), ME).unwrap().killed_owner(), None);
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), "");
    }

    #[test]
    fn a_child_that_outlives_the_run_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path(), ME).unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        drop(lock);
        let again = Lock::take(dir.path(), LATER);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(again.is_ok());
    }
}
