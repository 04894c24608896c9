//! A place for a scenario: a project of its own, a place for what tests remember, and the built program.

use crate::account::Account;
use crate::processes;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest that any run of this suite may take; only a hang comes near.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The project and everything around it; removed at the end.
pub(crate) struct Stage {
    scratch: TempDir,
    /// The project's directory.
    pub(crate) project: PathBuf,
    /// Where the project's tests may keep something, outside of the project.
    pub(crate) state: PathBuf,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code.
    pub(crate) code: i32,
    /// What it wrote to stdout.
    pub(crate) stdout: String,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
    /// Its reports, if it was judged; checked against each other and against the exit code.
    pub(crate) account: Option<Account>,
    /// How long it took.
    pub(crate) took: Duration,
    /// Most resident memory of the `fleetest` process itself, in KiB, as far as seen.
    pub(crate) peak_kib: u64,
}

/// A run under way.
pub(crate) struct Underway {
    pub(crate) child: Child,
    began: Instant,
    scratch: PathBuf,
}

impl Stage {
    /// An empty project.
    pub(crate) fn new() -> Self {
        let scratch = tempfile::Builder::new().prefix("fleetest-e2e-").tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let (project, state) = (root.join("project"), root.join("state"));
        for dir in [&project, &state, &root.join("home")] {
            fs::create_dir(dir).unwrap();
        }
        Self { scratch, project, state }
    }

    /// A project with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let stage = Self::new();
        for (path, text) in files {
            stage.write(path, text);
        }
        stage
    }

    /// A copy of `tests/fixtures/NAME`.
    pub(crate) fn of(name: &str) -> Self {
        let stage = Self::new();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        copy(&fixtures.join(name), &stage.project);
        stage
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.project.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A path beside the project.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.scratch.path().canonicalize().unwrap().join(name)
    }

    /// `fleetest` with these arguments in the project, its environment set up as a user's.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(fleetest());
        command.args(args);
        self.surround(&mut command);
        command
    }

    /// Sets the directory and the environment of any program.
    pub(crate) fn surround(&self, command: &mut Command) {
        command.current_dir(&self.project);
        for name in
            ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "XDG_STATE_HOME", "VIRTUAL_ENV", "PYTEST_ADDOPTS"]
        {
            command.env_remove(name);
        }
        // Cargo and its shims keep their state at home; only ours moves.
        command
            .env("XDG_STATE_HOME", self.beside("home"))
            .env("LC_ALL", "C.UTF-8")
            .env("FLEETEST_PYTHON", python())
            .env("CARGO_TARGET_DIR", built().join("e2e-projects"))
            .env(processes::MARK, &self.state)
            .stdin(Stdio::null());
    }

    /// Runs `fleetest run ARGS` with all reports to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.start(args).end()
    }

    /// Starts `fleetest run ARGS` with all reports.
    pub(crate) fn start(&self, args: &[&str]) -> Underway {
        let mut command = self.command(&["run"]);
        self.add_reports(&mut command, args);
        command.args(args);
        self.spawn(command)
    }

    /// Starts a prepared command that ends in arguments to `run`; adds the reports behind them.
    pub(crate) fn start_command(&self, mut command: Command) -> Underway {
        self.add_reports(&mut command, &[]);
        self.spawn(command)
    }

    /// Adds the reports that are not asked for anyway.
    fn add_reports(&self, command: &mut Command, args: &[&str]) {
        let scratch = self.beside("reports");
        drop(fs::remove_dir_all(&scratch));
        fs::create_dir(&scratch).unwrap();
        for (flag, name) in [("--json", "report.json"), ("--junit", "junit.xml")] {
            if !args.iter().any(|arg| arg.starts_with(flag)) {
                command.arg(flag).arg(scratch.join(name));
            }
        }
    }

    fn spawn(&self, mut command: Command) -> Underway {
        let scratch = self.beside("reports");
        let out = fs::File::create(scratch.join("stdout")).unwrap();
        let err = fs::File::create(scratch.join("stderr")).unwrap();
        let began = Instant::now();
        let child = command.stdout(out).stderr(err).spawn().unwrap();
        Underway { child, began, scratch }
    }

    /// Waits until no process of this stage is left.
    pub(crate) fn assert_deserted(&self) {
        let mut left = Vec::new();
        let gone = eventually(Duration::from_secs(15), || {
            left = processes::of(&self.state);
            left.is_empty()
        });
        assert!(gone, "processes are left behind: {left:#?}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Nothing that a failed test started may outlive it.
        for process in processes::of(&self.state) {
            process.kill();
        }
    }
}

impl Underway {
    /// Waits for its end and reads its reports.
    pub(crate) fn end(mut self) -> Ended {
        let mut peak_kib = 0;
        let pid = self.child.id();
        let mut status = None;
        let ended = eventually(PATIENCE, || {
            peak_kib = processes::peak_kib(pid).unwrap_or(0).max(peak_kib);
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let took = self.began.elapsed();
        let text = |name: &str| String::from_utf8(fs::read(self.scratch.join(name)).unwrap()).unwrap();
        let (stdout, stderr) = (text("stdout"), text("stderr"));
        if !ended {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        let status = status.unwrap_or_else(|| panic!("it did not end\n{stdout}\n{stderr}"));
        let code = status.code().unwrap_or_else(|| panic!("it ended with {status}\n{stderr}"));
        let account = Account::read(&self.scratch, code, &stderr);
        Ended { code, stdout, stderr, account, took, peak_kib }
    }

    /// Kills it without warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Ended {
    /// The reports, which must be there, with this exit code.
    pub(crate) fn judged(&self, code: i32) -> &Account {
        assert_eq!(self.code, code, "exit code\n{}", self.stderr);
        self.account.as_ref().unwrap_or_else(|| panic!("no report was written\n{}", self.stderr))
    }

    /// That it was refused with this exit code and one message that has all these parts.
    pub(crate) fn refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "exit code\n{}", self.stderr);
        assert!(self.account.is_none(), "nothing ran, so nothing is reported");
        assert_eq!(self.stderr.matches("error: ").count(), 1, "one message\n{}", self.stderr);
        self.says(parts);
    }

    /// That the terminal shows all of this.
    pub(crate) fn says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is missing in\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("fault of fleetest"), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked at crates"), "{}", self.stderr);
    }
}

/// Polls until it holds or the time is up.
pub(crate) fn eventually(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(3));
    }
}

/// Where cargo put what it built.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_owned()
}

/// The built program.
pub(crate) fn fleetest() -> PathBuf {
    let program = built().join("fleetest");
    assert!(program.is_file(), "there is no `{}`: run `cargo build` first", program.display());
    program
}

/// The Python with pytest in it that tests use.
pub(crate) fn python() -> PathBuf {
    let stated = std::env::vars_os().find(|(key, _)| key == "FLEETEST_TEST_PYTHON").map(|(_, value)| value);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let python = stated.map_or_else(|| workspace.join("target/venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "no Python at {}: run `cargo xtask ci` once", python.display());
    python
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
