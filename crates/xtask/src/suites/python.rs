//! pytest suites from source distributions, each with an environment of its own in `.venv` of its project.

use super::{Reference, Suite, shelf};
use crate::{junit, launch, place, toolbox};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What every suite is run with.
const RUNNERS: &[&str] = &["pytest==9.2.0", "pytest-xdist==3.8.0"];

/// Fetches the source distribution, unpacks it and installs it with its test requirements.
pub(super) fn fetch(suite: &Suite, extra: &[&str]) -> Result<PathBuf> {
    let home = shelf().join(format!("{}-{}", suite.name, suite.version));
    let project = home.join("project");
    let stamp = home.join("ready");
    let wanted = [RUNNERS, extra].concat();
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == wanted.join("\n")) {
        return Ok(project);
    }
    if home.exists() {
        std::fs::remove_dir_all(&home).with_context(|| format!("could not clear `{}`", home.display()))?;
    }
    let archive = download(suite, &home)?;
    std::fs::create_dir_all(&project).with_context(|| format!("could not create `{}`", project.display()))?;
    launch::capture(
        Command::new("tar").arg("xzf").arg(&archive).args(["--strip-components", "1", "-C"]).arg(&project),
    )?;
    let venv = project.join(".venv");
    toolbox::environment(&venv, &wanted)?;
    // Editable, so that the tests see the same sources whichever way they are imported.
    let mut install = Command::new(place::python_of(&venv));
    install.args(["-m", "pip", "install", "--quiet", "--editable", "."]).current_dir(&project);
    launch::capture(&mut install).with_context(|| format!("could not install `{}`", suite.name))?;
    std::fs::write(&stamp, wanted.join("\n"))
        .with_context(|| format!("could not write `{}`", stamp.display()))?;
    Ok(project)
}

fn download(suite: &Suite, home: &Path) -> Result<PathBuf> {
    let into = home.join("download");
    std::fs::create_dir_all(&into).with_context(|| format!("could not create `{}`", into.display()))?;
    let python = toolbox::test_python()?;
    let what = format!("{}=={}", suite.name, suite.version);
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", &what, "--dest"])
        .arg(&into);
    launch::capture(&mut pip).with_context(|| format!("could not download `{what}`"))?;
    let mut files = std::fs::read_dir(&into).context("could not list the download")?;
    match files.next() {
        Some(Ok(file)) => Ok(file.path()),
        Some(Err(error)) => Err(error).context("could not list the download"),
        None => bail!("pip downloaded nothing for `{what}`"),
    }
}

/// A command that runs pytest on the project as its own configuration says.
pub(crate) fn pytest(project: &Path) -> Command {
    let mut command = Command::new(place::python_of(&project.join(".venv")));
    command.args(["-m", "pytest", "-p", "no:cacheprovider"]).current_dir(project);
    deterministic(&mut command);
    command
}

/// The same hash seed on both sides: parameter ids made from sets would differ from run to run otherwise.
pub(crate) fn deterministic(command: &mut Command) {
    command.env("PYTHONHASHSEED", "0");
}

/// pytest's own JUnit report.
pub(super) fn reference(suite: &Suite, project: &Path) -> Result<Reference> {
    let report = suite.output("framework.xml");
    let mut command = pytest(project);
    command.args(["-o", "junit_family=xunit1"]).arg(format!("--junitxml={}", report.display()));
    let log = suite.output("framework.log");
    let timed = launch::timed(&mut command, &log)?;
    if !matches!(timed.code, Some(0 | 1)) {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        bail!(
            "pytest itself could not run `{}` (exit {:?}):\n{}",
            suite.name,
            timed.code,
            launch::ending(&text, 20)
        );
    }
    let text =
        std::fs::read_to_string(&report).with_context(|| format!("could not read `{}`", report.display()))?;
    Ok(Reference { cases: junit::cases(&text)?, timed })
}
