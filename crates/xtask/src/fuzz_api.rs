//! `cargo xtask fuzz-api`: a served instance, asked by Schemathesis everything that its own description allows and much
//! that it forbids.
//!
//! The same seed makes the same requests, but for the ids that the server gives. The files in `fuzz/api` say what is
//! sent and what is checked; here the server is started, filled and stopped. It listens on loopback, and what it would
//! call is out of reach.

use crate::{launch, place, say, toolbox};
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Pinned, because the same seed means the same requests only in the same version.
const REQUIREMENTS: &[&str] = &["schemathesis==4.32.5", "hypothesis==6.170.15"];
/// Requests of an operation in each of the phases that make requests up; others follow from the description.
pub(crate) const EXAMPLES: u32 = 20;
/// The seed of each change's round.
pub(crate) const SEED: u64 = 1;
/// How long the server may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the settings of the served instance say and the file that they name.
const SETTINGS: &str = "[metrics]\ntoken_file = \"metrics\"\n";
const METRICS_TOKEN: &str = "a-token-of-the-metrics-alone";
/// Nobody listens at this port of this machine.
const NO_PROXY_THERE: &str = "http://127.0.0.1:9";

/// One round.
struct Round {
    python: PathBuf,
    scratch: PathBuf,
    url: String,
    token: String,
}

/// `cargo xtask fuzz-api`.
pub(crate) fn command(examples: u32, seed: u64) -> Result<()> {
    let venv = place::target().join("venv-schemathesis");
    toolbox::environment(&venv, REQUIREMENTS)?;
    toolbox::built()?;
    let scratch = place::target().join("fuzz-api");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch).context("could not remove the files of the last round")?;
    }
    std::fs::create_dir_all(scratch.join("home")).context("could not make a folder for the round")?;
    let mut server = Server::start(&scratch)?;
    let round = Round {
        python: place::python_of(&venv),
        url: server.url.clone(),
        token: server.token.clone(),
        scratch,
    };
    let outcome = round.play(examples, seed).and_then(|()| server.stop());
    let log = std::fs::read_to_string(server.log()).unwrap_or_default();
    let outcome = outcome.and_then(|()| unharmed(&log));
    outcome.with_context(|| {
        format!(
            "the API breaks its own description; again: `cargo xtask fuzz-api --examples {examples} --seed {seed}`; \
             the server said:\n{}",
            launch::ending(&log, 20)
        )
    })
}

/// A fault that the server caught is one all the same.
fn unharmed(log: &str) -> Result<()> {
    match log.lines().find(|line| line.contains("panicked at")) {
        Some(line) => bail!("the server panicked: {line}"),
        None => Ok(()),
    }
}

impl Round {
    fn play(&self, examples: u32, seed: u64) -> Result<()> {
        let scratch = &self.scratch;
        launch::check(self.script("seed.py").arg(&self.url).arg(scratch))
            .context("the instance could not be filled")?;
        let mut fuzz = self.with_python();
        fuzz.args(["-m", "schemathesis.cli", "--config-file"]).arg(scratch.join("schemathesis.toml"));
        fuzz.arg("run").arg(format!("{}/openapi.json", self.url));
        fuzz.args(["--seed", &seed.to_string(), "--max-examples", &examples.to_string()]);
        launch::check(fuzz.current_dir(scratch))?;
        launch::check(self.script("coverage.py").arg(scratch))
            .context("an operation never succeeded, so most of it was not tested")
    }

    fn script(&self, name: &str) -> Command {
        let mut command = self.with_python();
        command.arg(ours().join(name));
        command
    }

    /// Python that sees nothing of the user's own settings.
    fn with_python(&self) -> Command {
        let mut command = secluded(&self.python, &self.scratch);
        command
            .env("FLEETEST_TOKEN", &self.token)
            .env("FLEETEST_METRICS_TOKEN", METRICS_TOKEN)
            .env("FLEETEST_FUZZ_SCRATCH", &self.scratch)
            .env("SCHEMATHESIS_HOOKS", ours().join("hooks.py"))
            .env("PYTHONPATH", ours())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONHASHSEED", "0");
        command
    }
}

/// Where scripts and settings are.
fn ours() -> PathBuf {
    place::root().join("fuzz").join("api")
}

/// A command that sees nothing of the environment but where programs are.
#[expect(clippy::disallowed_methods, reason = "automation has no configuration of its own")]
fn secluded(program: &Path, scratch: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", scratch.join("home")).env("NO_COLOR", "1").stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// A running instance; it ends with this value.
struct Server {
    child: Child,
    url: String,
    token: String,
    scratch: PathBuf,
}

impl Server {
    fn start(scratch: &Path) -> Result<Self> {
        let settings = scratch.join("serve.toml");
        std::fs::write(&settings, SETTINGS)
            .and_then(|()| std::fs::write(scratch.join("metrics"), METRICS_TOKEN))
            .context("could not write the settings of the round's server")?;
        let mut command = secluded(&place::target().join("debug").join("fleetest"), scratch);
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--rate-limit",
            "0",
            "--new-admin-key",
            "--slots",
            "1",
        ]);
        // The seeded project's repository is a folder: nothing else could be fetched without a network.
        command.arg("--config").arg(&settings);
        command.arg("--allow-local-sources").arg("--data").arg(scratch.join("instance"));
        command.env("https_proxy", NO_PROXY_THERE).env("HTTPS_PROXY", NO_PROXY_THERE);
        let log =
            std::fs::File::create(scratch.join("server.log")).context("could not create the server's log")?;
        command.stdout(Stdio::piped()).stderr(log);
        let child =
            command.spawn().with_context(|| format!("could not start `{}`", launch::line(&command)))?;
        // From here on nothing leaves without ending the child.
        let mut server =
            Self { child, url: String::new(), token: String::new(), scratch: scratch.to_path_buf() };
        let said = server.child.stdout.take().context("the server has no output")?;
        for line in BufReader::new(said).lines().take(2) {
            server.note(&line.context("could not read what the server says")?);
        }
        if server.url.is_empty() || server.token.is_empty() {
            let log = std::fs::read_to_string(server.log()).unwrap_or_default();
            bail!("the server did not say where it is and how to call it:\n{}", launch::ending(&log, 20));
        }
        Ok(server)
    }

    /// Takes address and key out of the line that shows them to the operator.
    fn note(&mut self, line: &str) {
        for word in line.split_whitespace() {
            if let Some(url) = word.strip_prefix("FLEETEST_URL=") {
                url.clone_into(&mut self.url);
            } else if let Some(token) = word.strip_prefix("FLEETEST_TOKEN=") {
                token.clone_into(&mut self.token);
            }
        }
    }

    fn log(&self) -> PathBuf {
        self.scratch.join("server.log")
    }

    /// Asks the server to end, as an operator would; after everything that was sent it must still do so in order.
    fn stop(&mut self) -> Result<()> {
        launch::capture(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        let end = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().context("could not wait for the server")? {
                Some(status) => return ended_well(status),
                None if Instant::now() > end => bail!("the server does not end when it is asked to"),
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

fn ended_well(status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("the server ended with {status}");
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        // Harmless for one that has ended: its id is held until it was waited for.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            say::err(&format!("the server (process {}) could not be ended: {error}", self.child.id()));
        }
    }
}
