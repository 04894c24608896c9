//! Which runs' folders stay on disk, and the pointer to the newest.
//!
//! Runs are kept as `runs/run_…`, whose names sort by age. Only folders that carry a run's name are ever removed;
//! `last` is a symbolic link that is replaced in one step, so a reader never finds it missing or half-made.

use shared::domain::id::RunId;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How many runs stay.
pub const KEPT_RUNS: usize = 20;

/// The folder of one run inside a state folder.
#[must_use]
pub fn run_folder(state: &Path, run: RunId) -> PathBuf {
    state.join("runs").join(run.to_string())
}

/// Where the newest run's report files are found.
#[must_use]
pub fn last_folder(state: &Path) -> PathBuf {
    state.join("last")
}

/// Which of these entries are runs too old to keep, given that the newest `kept` stay and `current` always does.
#[must_use]
pub fn expired(names: &[String], kept: usize, current: RunId) -> Vec<RunId> {
    let mut runs: Vec<RunId> =
        names.iter().filter_map(|name| name.parse().ok()).filter(|run| *run != current).collect();
    runs.sort_unstable();
    runs.dedup();
    let excess = runs.len().saturating_sub(kept.saturating_sub(1));
    runs.truncate(excess);
    runs
}

/// Removes the folders of runs that are too old to keep; answers how many went.
///
/// # Errors
/// The first folder that could not be listed or removed; the others are still tried.
pub fn prune(state: &Path, kept: usize, current: RunId) -> io::Result<usize> {
    let folder = state.join("runs");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let mut removed = 0;
    let mut first_error = None;
    for run in expired(&names, kept, current) {
        match fs::remove_dir_all(run_folder(state, run)) {
            Ok(()) => removed += 1,
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(removed), Err)
}

/// Makes `last` point to this run's folder.
///
/// # Errors
/// The file system knows no symbolic links, or something that is no link is in the way.
pub fn point_last(state: &Path, run: RunId) -> io::Result<()> {
    let fresh = state.join(format!("last.{run}"));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Relative, so that the project can be moved.
    std::os::unix::fs::symlink(Path::new("runs").join(run.to_string()), &fresh)?;
    fs::rename(&fresh, last_folder(state)).inspect_err(|_| drop(fs::remove_file(&fresh)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn make(state: &Path, run: u128) {
        let folder = run_folder(state, RunId(run));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("report.html"), run.to_string()).unwrap();
    }

    fn names(state: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(state.join("runs"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_go_and_strangers_stay() {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path();
        for run in 1..=5 {
            make(state, run);
        }
        fs::create_dir(state.join("runs/mine")).unwrap();
        assert_eq!(prune(state, 3, RunId(5)).unwrap(), 2);
        let left: Vec<String> = [3, 4, 5].iter().map(|run| RunId(*run).to_string()).collect();
        assert_eq!(names(state), [vec!["mine".to_owned()], left].concat());
    }

    #[test]
    fn a_link_that_is_named_like_a_run_is_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path().join("state");
        fs::create_dir_all(scratch.path().join("precious")).unwrap();
        make(&state, 2);
        std::os::unix::fs::symlink(scratch.path().join("precious"), run_folder(&state, RunId(1))).unwrap();
        assert_eq!(prune(&state, 1, RunId(2)).unwrap(), 0);
        assert!(scratch.path().join("precious").is_dir());
    }

    #[test]
    fn last_always_leads_to_the_newest() {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path();
        for run in [1, 2] {
            make(state, run);
            point_last(state, RunId(run)).unwrap();
            let text = fs::read_to_string(last_folder(state).join("report.html")).unwrap();
            assert_eq!(text, run.to_string());
        }
        assert_eq!(fs::read_dir(state).unwrap().count(), 2, "only `runs` and `last` are there");
    }

    #[test]
    fn a_folder_in_the_way_is_an_error_and_stays() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("last")).unwrap();
        assert!(point_last(scratch.path(), RunId(1)).is_err());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    proptest! {
        #[test]
        fn what_goes_is_older_than_what_stays(runs in proptest::collection::btree_set(0u128..100, 0..40), kept in 1usize..30, current in 0u128..100) {
            let names: Vec<String> = runs.iter().map(|run| RunId(*run).to_string()).collect();
            let gone = expired(&names, kept, RunId(current));
            prop_assert!(!gone.contains(&RunId(current)));
            let stay: Vec<RunId> =
                runs.iter().map(|run| RunId(*run)).filter(|run| !gone.contains(run) && *run != RunId(current)).collect();
            prop_assert!(stay.len() < kept);
            prop_assert!(gone.is_empty() || stay.len() == kept - 1);
            prop_assert!(gone.iter().all(|old| stay.iter().all(|young| old < young)));
        }
    }
}
