//! Finds out which suites a project has when no `fleetest.toml` says so.
//!
//! A list of files and the text of a few manifests in, suites with reasons out. Who lists the files (a disk, a commit
//! of a forge) leaves out what [`is_folder_listed`] leaves out. Detection never runs anything of the project.

use super::spec::{Framework, SuiteSpec};
use std::collections::{BTreeMap, BTreeSet};

/// Files whose text [`detect`] looks at, wherever they are at most one folder deep.
pub const MANIFESTS: [&str; 6] =
    ["pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini", ".pytest.ini", "Cargo.toml"];
/// Files that say that a folder holds a Python project.
const PYTHON_PROJECT: [&str; 5] = ["pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "tox.ini"];

/// Folders are listed this deep.
pub const DEPTH_LIMIT: usize = 8;
/// So many files are listed.
pub const FILES_LIMIT: usize = 50_000;
/// So much of a manifest is read.
pub const MANIFEST_LIMIT_BYTES: u64 = 1024 * 1024;
/// Folders that hold what others wrote or what tools built.
const SKIPPED: [&str; 8] =
    ["target", "node_modules", "venv", "env", "__pycache__", "site-packages", "build", "dist"];

/// What [`detect`] needs to know of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Relative slash-separated paths, in order.
    pub files: Vec<String>,
    /// Texts of the manifests among them.
    pub manifests: BTreeMap<String, String>,
    /// Whether the project has more files than were listed.
    pub truncated: bool,
}

/// Whether the files in a folder of this name count: hidden folders and built things do not.
#[must_use]
pub fn is_folder_listed(name: &str) -> bool {
    !name.starts_with('.') && !SKIPPED.contains(&name)
}

/// Whether a file at this relative path counts, by the names of its folders and by its depth.
#[must_use]
pub fn is_file_listed(path: &str) -> bool {
    let mut folders: Vec<&str> = path.split('/').collect();
    let depth = folders.len();
    folders.pop();
    depth <= DEPTH_LIMIT && folders.into_iter().all(is_folder_listed)
}

/// Whether [`detect`] wants to see the text of this file.
#[must_use]
pub fn is_manifest(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    !folder.contains('/') && MANIFESTS.contains(&name)
}

/// A suite, and why it is believed to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The suite, with every default.
    pub suite: SuiteSpec,
    /// As in `[tool.pytest.ini_options] in pyproject.toml`.
    pub because: String,
}

/// Nothing was recognised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no tests recognised among {files} files\n\
     looked for: pytest ({pytest}), cargo ({cargo})\n\
     hint: say what to run in `fleetest.toml`, for example\n\n\
     [suite.unit]\n\
     framework = \"command\"\n\
     command = \"make test\"\n\
     results = [\"build/test-results/**/*.xml\"]   # JUnit XML or TAP; leave it out if only the exit code counts\n",
    pytest = "pytest.ini, [tool.pytest] in pyproject.toml, setup.cfg or tox.ini, conftest.py, test_*.py, *_test.py",
    cargo = "Cargo.toml in the root or in a folder of the root"
)]
pub struct NothingFound {
    /// How many files were looked at.
    pub files: usize,
}

/// Recognises suites: `files` are relative slash-separated paths, `manifests` the texts of those named in
/// [`MANIFESTS`].
///
/// # Errors
/// `NothingFound`, with what was looked for and how to go on.
pub fn detect(files: &[String], manifests: &BTreeMap<String, String>) -> Result<Vec<Detected>, NothingFound> {
    let project = Project { files: files.iter().map(String::as_str).collect(), manifests };
    let cargo = project.cargo();
    let mut found = project.pytest(!cargo.is_empty());
    found.extend(cargo);
    if found.is_empty() { Err(NothingFound { files: files.len() }) } else { Ok(found) }
}

struct Project<'p> {
    files: BTreeSet<&'p str>,
    manifests: &'p BTreeMap<String, String>,
}

impl Project<'_> {
    fn pytest(&self, other_framework: bool) -> Vec<Detected> {
        if let Some(because) = self.pytest_config("") {
            return vec![detected("pytest", Framework::Pytest, "", because)];
        }
        let configured: Vec<(&str, String)> =
            self.folders().into_iter().filter_map(|dir| Some((dir, self.pytest_config(dir)?))).collect();
        if !configured.is_empty() {
            let folders = configured.into_iter().map(|(dir, because)| (dir.to_owned(), because)).collect();
            return in_folders("pytest", Framework::Pytest, folders);
        }
        let python = PYTHON_PROJECT.iter().find(|name| self.files.contains(**name));
        let because = self.test_files().filter(|_| !other_framework || python.is_some());
        because.map(|because| detected("pytest", Framework::Pytest, "", because)).into_iter().collect()
    }

    /// Why a folder is configured for pytest.
    fn pytest_config(&self, dir: &str) -> Option<String> {
        for name in ["pytest.ini", ".pytest.ini"] {
            let path = join(dir, name);
            if self.files.contains(path.as_str()) {
                return Some(path);
            }
        }
        let sections =
            [("pyproject.toml", "[tool.pytest"), ("tox.ini", "[pytest]"), ("setup.cfg", "[tool:pytest]")];
        for (name, section) in sections {
            let path = join(dir, name);
            let text = self.manifests.get(&path);
            let line = text.and_then(|text| text.lines().find(|line| line.trim_start().starts_with(section)));
            if let Some(line) = line {
                return Some(format!("{} in {path}", line.trim()));
            }
        }
        // A bare `tests/conftest.py` configures tests that are run from the folder above it.
        let project =
            dir.is_empty() || PYTHON_PROJECT.iter().any(|name| self.files.contains(join(dir, name).as_str()));
        let conftest = join(dir, "conftest.py");
        (project && self.files.contains(conftest.as_str())).then_some(conftest)
    }

    /// The first test file by name, and how many there are.
    fn test_files(&self) -> Option<String> {
        let is_test = |path: &&&str| {
            let name = path.rsplit('/').next().unwrap_or(path);
            let stem = name.strip_suffix(".py").unwrap_or_default();
            (stem.starts_with("test_") || stem.ends_with("_test")) || name == "conftest.py"
        };
        let mut tests = self.files.iter().filter(is_test);
        let first = tests.next()?;
        Some(match tests.count() {
            0 => (*first).to_owned(),
            more => format!("{first} and {more} more"),
        })
    }

    fn cargo(&self) -> Vec<Detected> {
        if self.files.contains("Cargo.toml") {
            let workspace = self
                .manifests
                .get("Cargo.toml")
                .is_some_and(|text| text.lines().any(|line| line.trim_start().starts_with("[workspace")));
            let package = self
                .manifests
                .get("Cargo.toml")
                .is_none_or(|text| text.lines().any(|line| line.trim_start().starts_with("[package]")));
            let mut found = detected("cargo", Framework::Cargo, "", "Cargo.toml".to_owned());
            if workspace && package {
                // In the root of a workspace that is a package itself, cargo would test only that package.
                found.suite.args = vec!["--workspace".to_owned()];
                found.because.push_str(" (a workspace: all its packages)");
            }
            return vec![found];
        }
        let folders = self.folders().into_iter().map(|dir| (dir.to_owned(), join(dir, "Cargo.toml")));
        in_folders(
            "cargo",
            Framework::Cargo,
            folders.filter(|(_, path)| self.files.contains(path.as_str())).collect(),
        )
    }

    /// Direct folders of the root.
    fn folders(&self) -> BTreeSet<&str> {
        self.files.iter().filter_map(|path| path.split_once('/')).map(|(dir, _)| dir).collect()
    }
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

fn detected(name: &str, framework: Framework, dir: &str, because: String) -> Detected {
    let mut suite = SuiteSpec::new(name, framework);
    dir.clone_into(&mut suite.working_dir);
    Detected { suite, because }
}

/// One suite for each folder; a single one needs no folder in its name.
fn in_folders(name: &str, framework: Framework, folders: Vec<(String, String)>) -> Vec<Detected> {
    let single = folders.len() == 1;
    let suite = |(dir, because): (String, String)| {
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let folder: String = dir.chars().map(safe).collect();
        let name = if single { name.to_owned() } else { format!("{name}-{folder}") };
        detected(&name, framework, &dir, because)
    };
    folders.into_iter().map(suite).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str], manifests: &[(&str, &str)]) -> Vec<(String, String, String)> {
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        let texts = manifests.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let found = detect(&files, &texts).unwrap_or_default();
        found.into_iter().map(|one| (one.suite.name, one.suite.working_dir, one.because)).collect()
    }

    fn check(files: &[&str], manifests: &[(&str, &str)], expect: &[(&str, &str, &str)]) {
        let owned = |part: &&str| (*part).to_owned();
        let expect: Vec<_> = expect.iter().map(|(a, b, c)| (owned(a), owned(b), owned(c))).collect();
        assert_eq!(found(files, manifests), expect);
    }

    #[test]
    fn pytest_by_configuration() {
        check(&["pytest.ini"], &[], &[("pytest", "", "pytest.ini")]);
        let text = "[project]\n[tool.pytest.ini_options]\n";
        let because = "[tool.pytest.ini_options] in pyproject.toml";
        check(&["pyproject.toml"], &[("pyproject.toml", text)], &[("pytest", "", because)]);
        check(&["tox.ini"], &[("tox.ini", "[pytest]\n")], &[("pytest", "", "[pytest] in tox.ini")]);
        let cfg = [("setup.cfg", "[tool:pytest]\n")];
        check(&["setup.cfg"], &cfg, &[("pytest", "", "[tool:pytest] in setup.cfg")]);
        check(&["pyproject.toml"], &[("pyproject.toml", "[project]\n")], &[]);
    }

    #[test]
    fn pytest_by_file_names() {
        check(&["a/b/test_x.py", "a/y_test.py"], &[], &[("pytest", "", "a/b/test_x.py and 1 more")]);
        check(&["tests/unit/conftest.py"], &[], &[("pytest", "", "tests/unit/conftest.py")]);
        check(&["tests/conftest.py"], &[], &[("pytest", "", "tests/conftest.py")]);
        let project = ["api/conftest.py", "api/setup.py"];
        check(&project, &[], &[("pytest", "api", "api/conftest.py")]);
        check(&["latest.py", "contest_x.py", "test_x.txt"], &[], &[]);
    }

    #[test]
    fn a_script_in_a_rust_project_is_no_suite() {
        check(&["Cargo.toml", "scripts/test_it.py"], &[], &[("cargo", "", "Cargo.toml")]);
        let both = [("pytest", "", "tests/test_it.py"), ("cargo", "", "Cargo.toml")];
        check(&["Cargo.toml", "pyproject.toml", "tests/test_it.py"], &[], &both);
    }

    #[test]
    fn cargo_in_the_root_or_in_folders() {
        check(&["Cargo.toml", "x/Cargo.toml"], &[], &[("cargo", "", "Cargo.toml")]);
        check(&["rust/Cargo.toml", "README"], &[], &[("cargo", "rust", "rust/Cargo.toml")]);
        let two = [("cargo-a", "a", "a/Cargo.toml"), ("cargo-b-c", "b.c", "b.c/Cargo.toml")];
        check(&["a/Cargo.toml", "b.c/Cargo.toml"], &[], &two);
        let files = ["Cargo.toml".to_owned()];
        let text = "[workspace]\nmembers = []\n[package]\nname = \"x\"\n".to_owned();
        let found = detect(&files, &BTreeMap::from([("Cargo.toml".to_owned(), text)])).unwrap();
        assert_eq!(found[0].suite.args, ["--workspace"]);
    }

    #[test]
    fn nothing_says_what_to_do() {
        let error = detect(&["README.md".to_owned()], &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("pytest.ini") && error.contains("Cargo.toml"), "{error}");
        assert!(error.contains("fleetest.toml") && error.contains("framework = \"command\""), "{error}");
    }
}
