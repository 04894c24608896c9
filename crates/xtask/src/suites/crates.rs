//! Suites of published crates: copied out of what `cargo vendor` fetches and made workspaces of their own.

use super::{Reference, Suite, shelf};
use crate::{launch, libtest};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fetches the crate's sources.
pub(super) fn fetch(suite: &Suite) -> Result<PathBuf> {
    let home = shelf().join(format!("{}-{}", suite.name, suite.version));
    let project = home.join("project");
    let manifest = project.join("Cargo.toml");
    if home.join("ready").exists() {
        return Ok(project);
    }
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("could not clear `{}`", home.display()))?;
    }
    let vendored = vendor(suite, &home)?;
    fs::rename(&vendored, &project).with_context(|| format!("could not move `{}`", vendored.display()))?;
    let text =
        fs::read_to_string(&manifest).with_context(|| format!("could not read `{}`", manifest.display()))?;
    fs::write(&manifest, format!("{text}\n[workspace]\n")).context("could not write the manifest")?;
    launch::capture(Command::new("cargo").args(["generate-lockfile", "--quiet"]).current_dir(&project))?;
    fs::write(home.join("ready"), "").context("could not write the stamp")?;
    Ok(project)
}

/// A crate that only depends on the wanted one gives Cargo a reason to fetch its sources.
fn vendor(suite: &Suite, home: &Path) -> Result<PathBuf> {
    let asking = home.join("asking");
    fs::create_dir_all(asking.join("src"))
        .with_context(|| format!("could not create `{}`", asking.display()))?;
    let manifest = format!(
        "[package]\nname = \"asking\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{} = \"={}\"\n",
        suite.name, suite.version
    );
    fs::write(asking.join("Cargo.toml"), manifest).context("could not write a manifest")?;
    fs::write(asking.join("src").join("lib.rs"), "").context("could not write a source file")?;
    let mut command = Command::new("cargo");
    command.args(["vendor", "--quiet", "--versioned-dirs"]).arg(home.join("vendor")).current_dir(&asking);
    launch::capture(&mut command).with_context(|| format!("could not fetch `{}`", suite.name))?;
    Ok(home.join("vendor").join(format!("{}-{}", suite.name, suite.version)))
}

/// What `cargo test` prints, with stdout and stderr in the order in which they were written.
pub(super) fn reference(suite: &Suite, project: &Path) -> Result<Reference> {
    let log = suite.output("framework.log");
    // Builds are not what is measured or compared; a broken build must not look like an empty suite.
    build(project)?;
    let mut command = Command::new("cargo");
    let timed = launch::timed(command.args(["test", "--no-fail-fast"]).current_dir(project), &log)?;
    let text = fs::read_to_string(&log).with_context(|| format!("could not read `{}`", log.display()))?;
    let cases = libtest::cases(&text);
    if cases.is_empty() {
        bail!("`cargo test` printed no case of `{}`:\n{}", suite.name, launch::ending(&text, 20));
    }
    Ok(Reference { cases, timed })
}

/// Builds the crate's tests.
pub(crate) fn build(project: &Path) -> Result<()> {
    launch::capture(Command::new("cargo").args(["test", "--no-run", "--quiet"]).current_dir(project))
        .map(drop)
}
