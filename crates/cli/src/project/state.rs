//! The folder in which a project's runs, store and reports live.
//!
//! `.fleetest/` in a project that can be written to; a folder named by digest under the user's state home for a
//! repository that is cloned; a scratch folder that goes away where neither can be had or nobody wants one. A
//! state folder is created with a `.gitignore` of its own, so that it never shows up in the project's history.

use crate::config::Config;
use crate::exit::Problem;
use crate::project::{Origin, Target};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Name of the state folder inside a project.
pub const FOLDER: &str = ".fleetest";

/// A state folder that exists and can be written to.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    note: Option<String>,
    scratch: Option<TempDir>,
}

impl State {
    /// Finds or creates the folder for this target; with `keep` unset, a scratch folder.
    ///
    /// # Errors
    /// A full disk, or a folder that is in the way.
    pub fn open(target: &Target, keep: bool, config: &Config) -> Result<Self, Problem> {
        if !keep {
            return Self::scratch(config, None);
        }
        let dir = match target {
            Target::Directory(path) => path.join(FOLDER),
            Target::Repository(repository) => match &config.state_home {
                Some(home) => home.join("fleetest").join(repository.origin.digest()),
                None => {
                    let note = "history is not kept: neither XDG_STATE_HOME nor HOME is set";
                    return Self::scratch(config, Some(note.to_owned()));
                }
            },
        };
        match create(&dir, target) {
            Ok(()) => Ok(Self { dir, note: None, scratch: None }),
            Err(error) if is_read_only(&error) => {
                let note = format!("history is not kept: `{}` cannot be written ({error})", dir.display());
                Self::scratch(config, Some(note))
            }
            Err(error) => Err(cannot_write(&dir, error)),
        }
    }

    fn scratch(config: &Config, note: Option<String>) -> Result<Self, Problem> {
        let made = tempfile::Builder::new().prefix("fleetest-").tempdir_in(&config.scratch);
        let scratch = made.map_err(|error| cannot_write(&config.scratch, error))?;
        Ok(Self { dir: scratch.path().to_owned(), note, scratch: Some(scratch) })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the next run will find it again.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.scratch.is_none()
    }

    /// What the user should know about it.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

fn create(dir: &Path, target: &Target) -> io::Result<()> {
    // A missing project directory is an error of its own, so only the state's own levels are created.
    match target {
        Target::Directory(_) => match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            other => other?,
        },
        Target::Repository(repository) => {
            fs::create_dir_all(dir)?;
            write_once(&dir.join("origin"), &origin_text(&repository.origin))?;
        }
    }
    write_once(&dir.join(".gitignore"), "*\n")?;
    // An old folder may have become read-only or lie on a full disk: better to know before the tests run.
    let mut probe = tempfile::tempfile_in(dir)?;
    probe.write_all(&[0; 4096])
}

fn origin_text(origin: &Origin) -> String {
    format!("{}\n", origin.display())
}

fn write_once(path: &Path, text: &str) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// A failed write in words: what, why, and what to do.
#[must_use]
pub fn cannot_write(path: &Path, error: io::Error) -> Problem {
    let problem = Problem::could_not_run(format!("cannot write to `{}`", path.display()));
    let kind = error.kind();
    let hint = if kind == io::ErrorKind::StorageFull {
        Some("the disk is full: free some space and run again")
    } else if kind == io::ErrorKind::QuotaExceeded {
        Some("your disk quota is used up: free some space and run again")
    } else if is_read_only(&error) {
        Some("check the rights of this directory, or run with `--no-history`")
    } else if matches!(kind, io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory) {
        Some("something that is no directory is in the way: move it, or run with `--no-history`")
    } else {
        None
    };
    let problem = match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    };
    problem.because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Repository;

    fn config(home: Option<&Path>) -> Config {
        Config { state_home: home.map(Path::to_owned), scratch: std::env::temp_dir(), ..Config::default() }
    }

    fn repository() -> Target {
        let origin = Origin::Remote("https://me:secret@example.org/a.git".to_owned());
        Target::Repository(Repository { origin, reference: None })
    }

    #[test]
    fn a_project_gets_a_folder_that_git_ignores() {
        let project = tempfile::tempdir().unwrap();
        let target = Target::Directory(project.path().to_owned());
        for _ in 0..2 {
            let state = State::open(&target, true, &config(None)).unwrap();
            assert!(state.is_kept() && state.note().is_none());
            assert_eq!(state.dir(), project.path().join(".fleetest"));
        }
        let names: Vec<_> =
            fs::read_dir(project.path().join(".fleetest")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [".gitignore"], "nothing else is left behind");
        assert_eq!(fs::read_to_string(project.path().join(".fleetest/.gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn a_gitignore_of_the_users_own_is_left_alone() {
        let project = tempfile::tempdir().unwrap();
        fs::create_dir(project.path().join(FOLDER)).unwrap();
        fs::write(project.path().join(".fleetest/.gitignore"), "store.db\n").unwrap();
        let target = Target::Directory(project.path().to_owned());
        State::open(&target, true, &config(None)).unwrap();
        assert_eq!(fs::read_to_string(project.path().join(".fleetest/.gitignore")).unwrap(), "store.db\n");
    }

    #[test]
    fn without_history_nothing_is_written_and_nothing_stays() {
        let project = tempfile::tempdir().unwrap();
        let target = Target::Directory(project.path().to_owned());
        let state = State::open(&target, false, &config(None)).unwrap();
        let dir = state.dir().to_owned();
        assert!(dir.is_dir() && !state.is_kept());
        drop(state);
        assert!(!dir.exists());
        assert_eq!(fs::read_dir(project.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_cloned_repository_keeps_its_state_at_home_without_its_password() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(&repository(), true, &config(Some(home.path()))).unwrap();
        assert!(state.dir().starts_with(home.path().join("fleetest")));
        let origin = fs::read_to_string(state.dir().join("origin")).unwrap();
        assert_eq!(origin, "https://example.org/a.git\n");
    }

    #[test]
    fn without_a_home_it_says_that_history_is_lost() {
        let state = State::open(&repository(), true, &config(None)).unwrap();
        assert!(!state.is_kept());
        assert!(state.note().unwrap().contains("history is not kept"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_read_only_project_is_run_without_history() {
        // Nobody, not even root, may create entries there.
        let target = Target::Directory(PathBuf::from("/sys/kernel"));
        let state = State::open(&target, true, &config(None)).unwrap();
        assert!(!state.is_kept() && state.dir().is_dir());
        let note = state.note().unwrap();
        assert!(note.starts_with("history is not kept: `/sys/kernel/.fleetest` cannot be written"), "{note}");
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let project = tempfile::tempdir().unwrap();
        fs::write(project.path().join(FOLDER), "").unwrap();
        let target = Target::Directory(project.path().to_owned());
        let problem = State::open(&target, true, &config(None)).unwrap_err();
        assert_eq!(problem.exit().code(), 3);
        assert!(problem.next_step().unwrap().contains("in the way"), "{problem:?}");
    }

    #[test]
    fn a_full_disk_is_called_a_full_disk() {
        let problem = cannot_write(Path::new("/x"), io::Error::from(io::ErrorKind::StorageFull));
        assert!(problem.next_step().unwrap().contains("disk is full"));
    }
}
