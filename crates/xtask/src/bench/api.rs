//! `cargo xtask bench api`: requests per second and latencies of `fleetest serve`, beside bare handlers.
//!
//! The measuring program is a bench of `testkit`; this only builds both and keeps what it printed.

use super::section;
use crate::{launch, place, say, toolbox};
use anyhow::{Context as _, Result};
use std::path::PathBuf;
use std::process::Command;

/// Measures, prints, and with `keep` writes the section of the page.
pub(crate) fn command(binary: Option<PathBuf>, arguments: &[String], keep: bool) -> Result<()> {
    let program = toolbox::fleetest(binary)?;
    let program = program.canonicalize().with_context(|| format!("`{}` is not there", program.display()))?;
    let mut bench = Command::new("cargo");
    bench.args(["bench", "--quiet", "-p", "testkit", "--bench", "api", "--", "--program"]).arg(program);
    bench.args(arguments).current_dir(place::root()).stderr(std::process::Stdio::inherit());
    let output = bench.output().context("could not start cargo")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    say::out(&text);
    if !output.status.success() {
        anyhow::bail!("`{}` failed", launch::line(&bench));
    }
    if keep {
        section::store(&place::root().join("docs").join("performance.md"), "api", &text)?;
    }
    Ok(())
}
