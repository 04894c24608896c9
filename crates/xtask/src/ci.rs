//! `cargo xtask ci`: the one command that says whether the repository is in order.
//!
//! It sets up what it needs under `target/`, then runs named and timed steps in the order in which they are
//! cheap. The first failing step ends it with what to do; it never goes on with something half checked.

use crate::toolbox::TestRunner;
use crate::{emulator, fuzz_api, launch, place, say, tidy, toolbox};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Seeds of the simulated world that each change has to survive.
const SIMULATION_SEEDS: &str = "2000";
/// Variable that tells the simulation test how many seeds to run.
const SEEDS_VARIABLE: &str = "FLEETEST_SIM_SEEDS";
/// Shards of the large run that each change has to bear, with a thousand cases each.
const LARGE_SHARDS: &str = "1000";
/// Variable that tells the large run how many shards it has.
const SHARDS_VARIABLE: &str = "FLEETEST_SIM_SHARDS";
/// Variable that tells tests which Python has pytest.
const PYTHON_VARIABLE: &str = "FLEETEST_TEST_PYTHON";

/// `cargo xtask ci`.
pub(crate) fn command(fast: bool) -> Result<()> {
    let begin = Instant::now();
    let mut steps = Steps::default();
    steps.step("format", "run `cargo fmt`", || cargo(&["fmt", "--all", "--check"]))?;
    steps.step(
        "tidy",
        "each line above says what to do; the rules are in crates/xtask/src/tidy",
        tidy::command,
    )?;
    steps.step("clippy", "fix what it names; `#[expect(lint, reason = …)]` where it is wrong", || {
        cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
    })?;
    let (runner, python) =
        steps.step("tools", "see the message; the machine needs Rust, Python 3 and git", || {
            need("git")?;
            Ok((toolbox::test_runner(), toolbox::test_python()?))
        })?;
    steps.step("build", "the compiler's message is above", toolbox::built)?;
    let cloud = steps.step("emulator", "see the message; it listens on loopback only", emulator::start)?;
    steps.step("tests", "rerun one with `cargo nextest run -E 'test(NAME)'`", || {
        tests(&runner, &python, cloud.endpoint())
    })?;
    drop(cloud);
    steps.step("doctests", "rerun with `cargo test --doc --workspace`", || {
        cargo(&["test", "--doc", "--workspace", "--locked", "--quiet"])
    })?;
    if !fast {
        slow_steps(&mut steps, &runner, &python)?;
    }
    say::err(&format!("\n{}ci: every step passed in {}", steps.summary(), seconds(begin.elapsed())));
    Ok(())
}

fn slow_steps(steps: &mut Steps, runner: &TestRunner, python: &Path) -> Result<()> {
    steps.step("simulation", "the failing seed is printed with the line that replays it", || {
        simulation(runner, python)
    })?;
    steps.step(
        "large run",
        "what was used of the cloud, and which kind of document was hot, is above",
        || large_run(runner),
    )?;
    steps.step(
        "api fuzzing",
        "each failure above has its request; docs/fuzzing.md says how to send it again",
        || fuzz_api::command(fuzz_api::EXAMPLES, fuzz_api::SEED),
    )?;
    steps.step("documentation", "rerun with `cargo doc --workspace --no-deps`", || {
        let mut doc = Command::new("cargo");
        doc.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"]);
        launch::check(doc.env("RUSTDOCFLAGS", "-D warnings").current_dir(place::root()))
    })?;
    steps.step("supply chain", "see deny.toml", supply_chain)?;
    steps.step("smoke", "run the command above by hand and look at its report", smoke)
}

fn tests(runner: &TestRunner, python: &Path, cloud: &str) -> Result<()> {
    let mut command = runner.command();
    command.args(["--workspace", "--locked"]);
    if runner.is_nextest() {
        // The closing summary line is what pipelines read; keep it whatever the user's configuration says.
        command.args(["--no-fail-fast", "--final-status-level", "slow"]);
    } else {
        command.arg("--no-fail-fast");
    }
    launch::check(
        command
            .env(PYTHON_VARIABLE, python)
            .env(emulator::ENDPOINT_VARIABLE, cloud)
            .current_dir(place::root()),
    )
}

fn simulation(runner: &TestRunner, python: &Path) -> Result<()> {
    let mut command = runner.command();
    if runner.is_nextest() {
        // Without a test that runs seeds this step would prove nothing, so none is a failure. Of the whole workspace,
        // because a package alone has dependencies with other features and would be compiled once more.
        let seeds = "package(testkit) & test(/seed|simulat/)";
        command.args(["--workspace", "--locked", "--no-tests", "fail", "-E", seeds]);
    } else {
        command.args(["--package", "testkit", "--locked", "seed"]);
    }
    command.env(SEEDS_VARIABLE, SIMULATION_SEEDS).env(PYTHON_VARIABLE, python);
    launch::check(command.current_dir(place::root()))
}

fn large_run(runner: &TestRunner) -> Result<()> {
    let mut command = runner.command();
    if runner.is_nextest() {
        let large = "package(testkit) & binary(scale)";
        command.args(["--workspace", "--locked", "--no-tests", "fail", "-E", large]);
    } else {
        command.args(["--package", "testkit", "--locked", "--test", "scale"]);
    }
    launch::check(command.env(SHARDS_VARIABLE, LARGE_SHARDS).current_dir(place::root()))
}

fn supply_chain() -> Result<()> {
    if !launch::works("cargo", &["deny", "--version"]) {
        say::err(
            "note: cargo-deny is not installed; tidy has checked licences, sources and bans by deny.toml",
        );
        return Ok(());
    }
    cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"])
}

/// Runs the built program on every example, as the README tells a new user to.
fn smoke() -> Result<()> {
    toolbox::built()?;
    let program = place::target().join("debug").join("fleetest");
    let examples = place::root().join("examples");
    let mut tried = 0;
    for entry in std::fs::read_dir(&examples).context("could not list `examples`")? {
        let example = entry.context("could not list `examples`")?.path();
        if !example.is_dir() {
            continue;
        }
        say::err(&format!(
            "$ fleetest run examples/{}",
            example.file_name().unwrap_or_default().to_string_lossy()
        ));
        launch::check(Command::new(&program).arg("run").arg(&example).current_dir(place::root()))?;
        tried += 1;
    }
    if tried == 0 {
        bail!("there is no example to run; `examples` must not be empty");
    }
    Ok(())
}

fn need(program: &str) -> Result<()> {
    if !launch::works(program, &["--version"]) {
        bail!("`{program}` is not installed; install it with the system's package manager");
    }
    Ok(())
}

fn cargo(args: &[&str]) -> Result<()> {
    launch::check(Command::new("cargo").args(args).current_dir(place::root()))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The steps so far and what each took.
#[derive(Debug, Default)]
struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    fn step<T>(&mut self, name: &'static str, advice: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        say::err(&format!("\n=== {name}"));
        let begin = Instant::now();
        let outcome = work();
        let took = begin.elapsed();
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        say::err(&format!("--- {name}: {word} after {}", seconds(took)));
        self.done.push((name, took));
        outcome.with_context(|| format!("step `{name}` failed; {advice}"))
    }

    fn summary(&self) -> String {
        self.done.iter().map(|(name, took)| format!("{name:>14}  {}\n", seconds(*took))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_named_with_what_to_do() {
        let mut steps = Steps::default();
        assert!(steps.step("first", "nothing", || Ok(())).is_ok());
        let error = steps.step("second", "do this", || -> Result<()> { bail!("it broke") }).unwrap_err();
        assert_eq!(format!("{error:#}"), "step `second` failed; do this: it broke");
        assert_eq!(steps.done.len(), 2);
        assert!(steps.summary().contains("second"));
    }
}
