//! The `fleetest-runner` program: one session, configured by its environment and standard input.

use runner::config;
use runner::driver::{Driver, DriverError, JobContext};
use shared::domain::verdict::CauseCode;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let exit = match config::from_environment() {
        Ok(config) => runner::run(&config, &driver_for),
        Err(error) => return complain(&error.to_string(), 2),
    };
    match exit.complaint() {
        Some(text) => complain(&text, exit.code()),
        None => ExitCode::from(exit.code()),
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    // Nobody is left to tell if standard error is gone.
    writeln!(std::io::stderr(), "fleetest-runner: {text}").ok();
    ExitCode::from(code)
}

fn driver_for(context: JobContext) -> Result<Box<dyn Driver>, DriverError> {
    let JobContext { job, .. } = context;
    let message = format!("this runner has no driver for `{}`", job.suite.framework);
    Err(DriverError::broken(CauseCode::FrameworkMissing, message, ""))
}
