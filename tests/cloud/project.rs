//! A project of one scenario, and the command line in its folder.

use crate::stack::{admin_key, stack};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use testkit::emulator;

/// A suite whose cases run one after the other, each once.
pub(crate) const SUITE: &str = "\
[suite.unit]
framework = \"pytest\"
slots = 1
retries = 0
";

/// A folder with a project that the stack knows.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) id: String,
    folder: TempDir,
}

impl Project {
    /// A project with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let project = Self { id: emulator::unique("p"), folder: TempDir::new().unwrap() };
        for (name, text) in files {
            fs::write(project.path(name), text).unwrap();
        }
        project.types(&["projects", "create", &project.id.clone()]);
        project
    }

    /// A project with a repository, and an empty folder.
    pub(crate) fn of(repository: &str) -> Self {
        let project = Self { id: emulator::unique("p"), folder: TempDir::new().unwrap() };
        project.types(&["projects", "create", &project.id.clone(), "--repository", repository]);
        project
    }

    /// A place in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command in its folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&stack().program);
        command.current_dir(self.folder.path()).args(arguments);
        command.env("FLEETEST_URL", &stack().url).env("FLEETEST_TOKEN", admin_key());
        command.env("FLEETEST_PROJECT", &self.id);
        command
    }

    /// What a command came to.
    pub(crate) fn tries(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command that goes well wrote to stdout.
    pub(crate) fn types(&self, arguments: &[&str]) -> String {
        let output = self.tries(arguments);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}\n{err}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The id of a run of the folder as it is, which nobody waits for.
    pub(crate) fn starts(&self) -> String {
        self.types(&["run", "--remote", "--upload", "--detach"]).trim().to_owned()
    }

    /// The cases of a run with this outcome, by name.
    pub(crate) fn cases(run: &str, outcome: &str) -> Vec<String> {
        let cases = stack().get(&format!("/v1/runs/{run}/cases?outcome={outcome}&limit=200"));
        let names = cases["items"].as_array().unwrap().iter();
        names.map(|case| case["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// A JSON file.
pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
