//! The peers of each subject and their measurement in turn.

use super::forget;
use crate::suites::{crates, python};
use crate::{launch, place, say, toolbox};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Something to measure.
#[derive(Debug)]
pub(super) struct Subject {
    /// Name for the table.
    pub(super) name: String,
    /// Whether the published targets are about it.
    pub(super) anchor: bool,
    /// Its directory.
    pub(super) project: PathBuf,
}

/// Median times: two of the framework's own runners, then `fleetest` without and with history.
#[derive(Debug, Clone)]
pub(super) struct Medians {
    /// Name for the table.
    pub(super) name: String,
    /// Whether the published targets are about it.
    pub(super) anchor: bool,
    /// The medians.
    pub(super) times: [Duration; 4],
}

/// Plain pytest, `pytest -n 2`, `fleetest` first, `fleetest` again.
pub(super) fn pytest(subject: &Subject, program: &Path, rounds: usize) -> Result<Medians> {
    let plain = || python::pytest(&subject.project);
    let parallel = || {
        let mut command = python::pytest(&subject.project);
        command.args(["-n", "2"]);
        command
    };
    measure(subject, program, rounds, [&plain, &parallel])
}

/// `cargo nextest run`, `cargo test --doc`, `fleetest` first, `fleetest` again.
pub(super) fn cargo(subject: &Subject, program: &Path, rounds: usize) -> Result<Medians> {
    let runner = toolbox::test_runner();
    if !runner.is_nextest() {
        bail!("cargo-nextest is the peer for crates; install it with `cargo install cargo-nextest --locked`");
    }
    crates::build(&subject.project)?;
    let nextest = || {
        let mut command = runner.command();
        command.args(["--no-fail-fast"]).current_dir(&subject.project);
        command
    };
    // nextest runs no doc tests, so neither does `fleetest` here.
    let config = subject.project.join("fleetest.toml");
    write(&config, "[suite.cargo]\nframework = \"cargo\"\nargs = [\"--lib\", \"--bins\", \"--tests\"]\n")?;
    let measured = measure(subject, program, rounds, [&nextest, &nextest]);
    std::fs::remove_file(&config).with_context(|| format!("could not remove `{}`", config.display()))?;
    measured
}

/// A project of one trivial pytest test.
pub(super) fn trivial(program: &Path, rounds: usize) -> Result<Medians> {
    let project = place::target().join("bench").join("trivial");
    python_project(&project)?;
    write(&project.join("test_one.py"), "def test_one():\n    assert 1 + 1 == 2\n")?;
    pytest(&Subject { name: "one trivial test".to_owned(), anchor: false, project }, program, rounds)
}

/// An empty Python project that uses our own test environment.
pub(super) fn python_project(project: &Path) -> Result<()> {
    toolbox::test_python()?;
    std::fs::create_dir_all(project).with_context(|| format!("could not create `{}`", project.display()))?;
    let venv = project.join(".venv");
    if !venv.exists() {
        std::os::unix::fs::symlink(place::venv(), &venv).context("could not link the environment")?;
    }
    Ok(())
}

/// Writes a file of a generated project.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("could not write `{}`", path.display()))
}

fn measure(
    subject: &Subject,
    program: &Path,
    rounds: usize,
    peers: [&dyn Fn() -> Command; 2],
) -> Result<Medians> {
    let fleetest = || {
        let mut command = Command::new(program);
        command.arg("run").arg(&subject.project).args(["--retries", "0", "--quiet"]);
        python::deterministic(&mut command);
        command
    };
    let mut times: [Vec<Duration>; 4] = Default::default();
    // One unmeasured round fills the caches of disk and interpreter for all alike.
    for round in 0..=rounds {
        let label = if round == 0 { "warm-up".to_owned() } else { format!("round {round} of {rounds}") };
        say::err(&format!("{}: {label}", subject.name));
        forget(&subject.project)?;
        let commands = [(peers[0])(), (peers[1])(), fleetest(), fleetest()];
        for (mut command, times) in commands.into_iter().zip(&mut times) {
            let took = wall(&mut command)?;
            if round > 0 {
                times.push(took);
            }
        }
    }
    Ok(Medians { name: subject.name.clone(), anchor: subject.anchor, times: times.map(median) })
}

fn wall(command: &mut Command) -> Result<Duration> {
    let log = place::target().join("bench.log");
    let timed = launch::timed(command, &log)?;
    // 1 (and Cargo's 100 and 101): tests failed, which some published suites do on purpose or for good.
    if !matches!(timed.code, Some(0 | 1 | 100 | 101)) {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        bail!("`{}` ended with {:?}:\n{}", launch::line(command), timed.code, launch::ending(&said, 15));
    }
    Ok(timed.wall)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    (at(times.len().saturating_sub(1) / 2) + at(times.len() / 2)) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(median([4, 1, 2, 9].map(Duration::from_secs).to_vec()), Duration::from_secs(3));
        assert_eq!(median([7, 1, 2].map(Duration::from_secs).to_vec()), Duration::from_secs(2));
    }

    #[test]
    fn a_run_that_could_not_run_is_no_measurement() {
        std::fs::create_dir_all(place::target()).unwrap();
        let error = wall(Command::new("sh").args(["-c", "echo broken; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("broken"), "{error}");
    }
}
