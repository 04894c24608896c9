//! Tools that automation needs and a fresh machine lacks: found, or installed under `target/`.
//!
//! Nothing is installed outside `target/`, and what is already right is left alone.

use crate::{launch, place, say};
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What our own tests need of Python.
const TEST_REQUIREMENTS: &[&str] = &["pytest==9.2.0", "pytest-xdist==3.8.0", "hypothesis==6.170.15"];
/// The AWS emulator; its limits are told in `docs/gaps.md`.
const EMULATOR_REQUIREMENTS: &[&str] = &["ministack==1.5.33"];
/// The same with its translator of templates; its pins do not go together with those of SAM.
const BOX_REQUIREMENTS: &[&str] = &["ministack[full]==1.5.33"];
/// SAM, and what it builds functions with.
const SAM_REQUIREMENTS: &[&str] = &["aws-sam-cli==1.170.0", "cargo-lambda==1.9.2"];
/// The version of nextest that is installed where none is found.
const NEXTEST_VERSION: &str = "0.9.143";

/// How to run Rust tests.
#[derive(Debug, Clone)]
pub(crate) enum TestRunner {
    /// With nextest; `None` = it is Cargo's own subcommand, otherwise the path of the program.
    Nextest(Option<PathBuf>),
    /// With plain `cargo test`.
    Plain,
}

impl TestRunner {
    /// A command that runs tests; `nextest run …` or `test …` is already in it.
    pub(crate) fn command(&self) -> Command {
        let mut command = match self {
            Self::Nextest(Some(program)) => Command::new(program),
            Self::Nextest(None) | Self::Plain => Command::new("cargo"),
        };
        match self {
            Self::Nextest(_) => command.args(["nextest", "run"]),
            Self::Plain => command.arg("test"),
        };
        command
    }

    /// Whether it is nextest.
    pub(crate) fn is_nextest(&self) -> bool {
        matches!(self, Self::Nextest(_))
    }
}

/// Finds nextest, or installs it under `target/tools`, or falls back to plain `cargo test`.
pub(crate) fn test_runner() -> TestRunner {
    if launch::works("cargo", &["nextest", "--version"]) {
        return TestRunner::Nextest(None);
    }
    let tools = place::target().join("tools");
    let program = tools.join("bin").join("cargo-nextest");
    if launch::works(&program, &["nextest", "--version"]) {
        return TestRunner::Nextest(Some(program));
    }
    say::err("cargo-nextest is not installed; building it under target/tools (once, some minutes)");
    // A debug build is fast enough to start tests and takes a fraction of the time to compile.
    let mut install = Command::new("cargo");
    install
        .args(["install", "cargo-nextest", "--locked", "--debug", "--version", NEXTEST_VERSION, "--root"])
        .arg(&tools);
    // Its own directory: another profile of the same crates must not evict ours.
    install.arg("--target-dir").arg(tools.join("build"));
    match launch::check(&mut install) {
        Ok(()) => TestRunner::Nextest(Some(program)),
        Err(error) => {
            say::err(&format!("note: cargo-nextest could not be installed ({error:#}); using `cargo test`"));
            TestRunner::Plain
        }
    }
}

/// The Python interpreter of our tests, installed if it is not there.
pub(crate) fn test_python() -> Result<PathBuf> {
    let venv = place::venv();
    environment(&venv, TEST_REQUIREMENTS)?;
    Ok(place::python_of(&venv))
}

/// The Python interpreter of the AWS emulator, installed if it is not there.
pub(crate) fn emulator_python() -> Result<PathBuf> {
    let venv = place::venv_aws();
    installed(&venv, EMULATOR_REQUIREMENTS, "ministack")?;
    Ok(place::python_of(&venv))
}

/// The Python interpreter of the emulator that takes whole stacks, installed if it is not there.
pub(crate) fn box_python() -> Result<PathBuf> {
    let venv = place::target().join("venv-box");
    installed(&venv, BOX_REQUIREMENTS, "ministack, samtranslator")?;
    Ok(place::python_of(&venv))
}

/// The folder of the programs `sam` and `cargo-lambda`, installed if they are not there.
pub(crate) fn sam_programs() -> Result<PathBuf> {
    let venv = place::target().join("venv-sam");
    installed(&venv, SAM_REQUIREMENTS, "samcli")?;
    Ok(venv.join("bin"))
}

/// `PATH` with a folder first.
#[expect(clippy::disallowed_methods, reason = "the environment of a tool of the desk")]
pub(crate) fn path_with(bin: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(bin.to_path_buf()).chain(std::env::split_paths(&path));
    std::env::join_paths(all).context("a folder of PATH has a name that it cannot hold")
}

/// Makes `venv` hold exactly these requirements; does nothing if it already does.
pub(crate) fn environment(venv: &Path, requirements: &[&str]) -> Result<()> {
    installed(venv, requirements, "pytest")
}

/// As `environment`; `module` tells by being importable that it is whole.
fn installed(venv: &Path, requirements: &[&str], module: &str) -> Result<()> {
    let python = place::python_of(venv);
    let stamp = venv.join("requirements.stamp");
    let wanted = requirements.join("\n");
    let current = std::fs::read_to_string(&stamp).is_ok_and(|text| text == wanted);
    if current && launch::works(&python, &["-c", &format!("import {module}")]) {
        return Ok(());
    }
    launch::capture(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv)).context(
        "could not make a Python environment; install Python 3 with its `venv` module (Debian: `apt install python3-venv`)",
    )?;
    launch::capture(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(requirements))
        .context("could not install the Python packages that tests need; is the package index reachable?")?;
    std::fs::write(&stamp, wanted).with_context(|| format!("could not write `{}`", stamp.display()))
}

/// Builds every program and every test for development.
///
/// All at once, because dependencies of a package alone have other features and would be compiled twice.
pub(crate) fn built() -> Result<()> {
    let mut build = Command::new("cargo");
    build.args(["build", "--workspace", "--bins", "--tests", "--locked"]);
    launch::check(build.current_dir(place::root()))
}

/// The `fleetest` program: the given one, or a fresh release build.
pub(crate) fn fleetest(binary: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(binary) = binary {
        return std::fs::canonicalize(&binary)
            .with_context(|| format!("no program at `{}`", binary.display()));
    }
    let mut build = Command::new("cargo");
    launch::check(build.args(["build", "--release", "--package", "cli"]).current_dir(place::root()))?;
    Ok(place::target().join("release").join("fleetest"))
}

/// Cores of this machine, for the tables.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
