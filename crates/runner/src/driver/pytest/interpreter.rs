//! Which Python runs a project's tests.
//!
//! Order: what is stated (`FLEETEST_PYTHON`, then the suite's `PYTHON`), a virtual environment in the directory where
//! the suite runs or above it up to the root of the source, the activated one, then what the path offers. Nothing
//! is started here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Interpreters to try, in order; the first that can be started is taken. Only the last resort has two. `root` is
/// where the suite runs, `depth` how many folders that is below the root of the source.
pub(super) fn candidates(root: &Path, depth: usize, env: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let stated = ["FLEETEST_PYTHON", "PYTHON"].iter().find_map(|key| env.get(*key)).filter(|v| !v.is_empty());
    if let Some(stated) = stated {
        // A relative path with a directory in it is meant from where the suite runs.
        let path = Path::new(stated);
        let place = if path.components().count() > 1 { root.join(path) } else { path.to_path_buf() };
        return vec![place];
    }
    let active = env.get("VIRTUAL_ENV").map(PathBuf::from);
    let folders = root.ancestors().take(depth + 1);
    folders
        .flat_map(|folder| [folder.join(".venv"), folder.join("venv")])
        .chain(active)
        .map(|home| home.join("bin/python"))
        .find(|python| python.exists())
        .map_or_else(|| vec![PathBuf::from("python3"), PathBuf::from("python")], |python| vec![python])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_suites_word_comes_first_then_environments_then_the_path() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path();
        let names = [PathBuf::from("python3"), PathBuf::from("python")];
        assert_eq!(candidates(root, 0, &with(&[])), names);
        let python = root.join("venv/bin/python");
        std::fs::create_dir_all(python.parent().unwrap()).unwrap();
        std::fs::write(&python, "").unwrap();
        assert_eq!(candidates(root, 0, &with(&[("VIRTUAL_ENV", "/none")])), std::slice::from_ref(&python));
        assert_eq!(candidates(&root.join("sub"), 1, &with(&[])), [python]);
        assert_eq!(candidates(&root.join("sub"), 0, &with(&[])), names);
        assert_eq!(candidates(root, 0, &with(&[("PYTHON", "pypy3")])), [PathBuf::from("pypy3")]);
        let both = with(&[("PYTHON", "pypy3"), ("FLEETEST_PYTHON", "env/bin/python")]);
        assert_eq!(candidates(root, 0, &both), [root.join("env/bin/python")]);
    }
}
