//! The folder of an instance: who may use it, what lies where, the key of its tokens.
//!
//! One process at a time serves a folder. Backups read beside it, which is why whoever deletes blobs holds
//! [`Place::deleting`] meanwhile and whoever copies them holds [`keep_blobs`].

use crate::args::duration::Human;
use crate::config::Config;
use crate::exit::Problem;
use crate::lock::{Lock, Owner};
use crate::project::state::cannot_write;
use crate::run::wall_clock;
use embedded::system::OsIds;
use shared::ports::IdSource as _;
use shared::service::token::TokenKey;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// File with the key of every token.
pub(crate) const KEY_FILE: &str = "token.key";
const DELETING_FILE: &str = "deleting.lock";
const SECRET_DIGITS: usize = 64;

/// The folder to be used when none is named: the platform's usual, else one in the current directory.
pub(crate) fn default_dir(config: &Config) -> PathBuf {
    match &config.data_home {
        Some(home) => home.join("fleetest"),
        None => config.here.join("fleetest-data"),
    }
}

/// An instance's folder, held by this process.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) token_key: TokenKey,
    deleting: File,
    lock: Lock,
}

impl Place {
    /// Takes hold of the folder, which is made if it is missing; nobody else may look into a new one.
    pub(crate) fn open(dir: &Path) -> Result<Self, Problem> {
        make_private(dir).map_err(|error| cannot_write(dir, error))?;
        let owner = Owner { pid: std::process::id(), started_at: wall_clock() };
        let lock = Lock::take_or(dir, owner, |holder| taken(dir, holder, owner))?;
        let token_key = token_key(&dir.join(KEY_FILE))?;
        let path = dir.join(DELETING_FILE);
        let deleting = open_lock(dir).map_err(|error| cannot_write(&path, error))?;
        let dir = fs::canonicalize(dir).map_err(|error| cannot_write(dir, error))?;
        Ok(Self { dir, token_key, deleting, lock })
    }

    /// Whether the last process that served the folder was killed.
    pub(crate) fn was_killed(&self) -> bool {
        self.lock.killed_owner().is_some()
    }

    /// The right to delete blobs, until it is dropped; `None` while a backup copies them.
    pub(crate) fn deleting(&self) -> Option<Deleting<'_>> {
        self.deleting.try_lock().ok().map(|()| Deleting(&self.deleting))
    }
}

/// The right to delete blobs.
pub(crate) struct Deleting<'a>(&'a File);

impl Drop for Deleting<'_> {
    fn drop(&mut self) {
        // It ends with the process at the latest.
        drop(self.0.unlock());
    }
}

/// Keeps every blob of the folder where it is until the answer is dropped; waits for a deletion under way.
pub(crate) fn keep_blobs(dir: &Path) -> io::Result<File> {
    let file = open_lock(dir)?;
    file.lock_shared()?;
    Ok(file)
}

fn open_lock(dir: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(DELETING_FILE))
}

/// Makes a folder that its owner alone may enter; one that exists keeps its rights.
pub(crate) fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// A scratch folder to be made that its owner alone may enter.
pub(crate) fn private_scratch(prefix: &str) -> tempfile::Builder<'_, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).permissions(fs::Permissions::from_mode(0o700));
    builder
}

/// The key that the folder has, or a fresh one.
fn token_key(path: &Path) -> Result<TokenKey, Problem> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().len() == SECRET_DIGITS => Ok(TokenKey::new(text.trim().to_owned())),
        Ok(_) => Err(Problem::could_not_run(format!("`{}` is no key of fleetest", path.display()))
            .hint("bring it back from a backup; without it, delete it and every session and cursor is void")),
        Err(error) if error.kind() == ErrorKind::NotFound => fresh_key(path),
        Err(error) => {
            Err(Problem::could_not_run(format!("`{}` cannot be read", path.display())).because(error))
        }
    }
}

fn fresh_key(path: &Path) -> Result<TokenKey, Problem> {
    let secret = OsIds.secret();
    let part = path.with_extension("new");
    let write = || {
        // Whole or not at all: a start that is killed here must not leave half a key.
        fs::remove_file(&part)
            .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(secret.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|error| cannot_write(path, error))?;
    Ok(TokenKey::new(secret))
}

fn taken(dir: &Path, holder: Option<Owner>, me: Owner) -> Problem {
    let dir = dir.display();
    let Some(Owner { pid, started_at }) = holder else {
        return Problem::could_not_run(format!("another process has just taken `{dir}`"))
            .hint("wait for it, or name another folder with `--data`");
    };
    let since = Human(me.started_at.since_ms(started_at));
    Problem::could_not_run(format!("`{dir}` is served by another process (process {pid}, since {since})"))
        .hint(format!("end it with `kill {pid}`, or name another folder with `--data`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_and_is_for_its_owner_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("new/fleetest");
        let sealed = Place::open(&dir).unwrap().token_key.seal("x", "text");
        assert_eq!(Place::open(&dir).unwrap().token_key.unseal("x", &sealed).as_deref(), Some("text"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir.join(KEY_FILE)), mode(&dir)), (0o600, 0o700));
    }

    #[test]
    fn a_broken_key_is_not_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join(KEY_FILE), "short").unwrap();
        let problem = Place::open(scratch.path()).unwrap_err();
        assert!(problem.to_string().contains("is no key"), "{problem}");
    }

    #[test]
    fn one_process_at_a_time() {
        let scratch = tempfile::tempdir().unwrap();
        let _place = Place::open(scratch.path()).unwrap();
        let problem = Place::open(scratch.path()).unwrap_err();
        assert!(problem.to_string().contains(&format!("process {}", std::process::id())), "{problem}");
    }

    #[test]
    fn nothing_is_deleted_while_a_backup_copies() {
        let scratch = tempfile::tempdir().unwrap();
        let place = Place::open(scratch.path()).unwrap();
        let keeping = keep_blobs(scratch.path()).unwrap();
        assert!(place.deleting().is_none());
        drop(keeping);
        drop(place.deleting().unwrap());
        assert!(keep_blobs(scratch.path()).is_ok(), "a deletion that is over is in nobody's way");
    }

    #[test]
    fn the_usual_folder_is_the_platforms() {
        let at = |data_home: Option<&str>| {
            let here = PathBuf::from("/here");
            default_dir(&Config { data_home: data_home.map(PathBuf::from), here, ..Config::default() })
        };
        assert_eq!(at(Some("/x")), PathBuf::from("/x/fleetest"));
        assert_eq!(at(None), PathBuf::from("/here/fleetest-data"));
    }
}
