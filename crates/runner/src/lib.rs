//! Executes one shard of one job: session with the coordinator, framework drivers, processes.
//!
//! The runner is a guest: it knows the link protocol and nothing of stores, queues or clouds. It is plain
//! threads without an async runtime: one per slot, one for the heartbeat, one that flushes results.

pub mod config;
pub mod driver;
pub mod exec;
mod glob;
pub mod heartbeat;
mod keep;
pub mod link;
pub mod mask;
pub mod outbox;
pub mod scan;
pub mod session;
pub mod setup;
pub mod slots;
pub mod source;

pub use config::RunnerConfig;
pub use session::{DriverFactory, RunnerExit, run};
pub use shared::domain::{parse, sanitise};

use std::io::Write as _;
use std::sync::Arc;

/// A whole runner process: configuration from the environment and standard input, one session, an exit code.
/// Both `fleetest-runner` and the hidden subcommand of `fleetest` are this.
#[must_use]
pub fn main() -> u8 {
    let config = match config::from_environment() {
        Ok(config) => equipped(config),
        Err(error) => return complain(&error.to_string(), 2),
    };
    let exit = run(&config, &driver::open);
    match exit.complaint() {
        Some(text) => complain(&text, exit.code()),
        None => exit.code(),
    }
}

/// The configuration with masking, sanitising and filters.
fn equipped(config: RunnerConfig) -> RunnerConfig {
    RunnerConfig {
        cleaner: Arc::new(|secrets| {
            let secrets = mask::Secrets::new(secrets.values());
            Arc::new(move |text| secrets.hide(&sanitise::clean(text.as_bytes())))
        }),
        filter: Arc::new(|expression| {
            let filter =
                shared::domain::filter::Filter::parse(expression).map_err(|error| error.to_string())?;
            Ok(Arc::new(move |case| filter.keeps(case)))
        }),
        ..config
    }
}

fn complain(text: &str, code: u8) -> u8 {
    // Nobody is left to tell if standard error is gone.
    writeln!(std::io::stderr(), "fleetest-runner: {text}").ok();
    code
}
