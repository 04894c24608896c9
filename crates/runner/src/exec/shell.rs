//! Command lines: `sh -c`, with the output going to the runner's log as it comes.

use super::{CaptureLimit, Channel, ExecError, Finished, Invocation, Stopper};
use crate::driver::{DriverError, JobContext};
use crate::sanitise::Sanitiser;
use shared::domain::verdict::CauseCode;
use std::time::Duration;

/// Runs a command line in the job's directory and environment, both outputs merged and logged under `log`.
/// What it leaves behind lives on until the stopper is stopped or dropped.
///
/// # Errors
/// As [`Invocation::run`].
pub fn run_shell(ctx: &JobContext, stopper: &Stopper, log: &str, line: &str) -> Result<Finished, ExecError> {
    let mut sanitiser = Sanitiser::new();
    let finished = shell(ctx, line)
        .merged()
        .keep(CaptureLimit { head_bytes: 2 * 1024, tail_bytes: 6 * 1024 })
        .time_limit(Duration::from_millis(ctx.job.suite.timeout_ms))
        .linger()
        .run_watched(stopper, &mut |_channel: Channel, bytes| {
            let text = sanitiser.push(bytes);
            if !text.is_empty() {
                (ctx.log)(log, &text);
            }
        });
    let rest = sanitiser.finish();
    if !rest.is_empty() {
        (ctx.log)(log, &rest);
    }
    finished
}

/// A command line as an invocation: `sh -c LINE` in the job's directory and environment.
pub(crate) fn shell(ctx: &JobContext, line: &str) -> Invocation {
    Invocation::new("sh", &ctx.root).args(["-c", line]).env(&ctx.env)
}

/// Runs the suite's set-up commands in order; the first that fails ends it.
///
/// # Errors
/// `Stopped`, or `Broken` with `SetupFailed` and the end of the command's output.
pub fn run_setup(ctx: &JobContext, stopper: &Stopper) -> Result<(), DriverError> {
    for line in &ctx.job.suite.setup {
        (ctx.log)("setup", &format!("$ {line}\n"));
        let finished = match run_shell(ctx, stopper, "setup", line) {
            Ok(finished) => finished,
            Err(ExecError::Stopped) => return Err(DriverError::Stopped),
            Err(error) => {
                let message = format!("set-up command `{line}` could not be run: {}", error.sentence());
                return Err(DriverError::broken(CauseCode::SetupFailed, message, ""));
            }
        };
        if !finished.is_success() {
            let how = if finished.timed_out {
                format!("was killed after {} ms", ctx.job.suite.timeout_ms)
            } else {
                format!("ended with {}", finished.ending)
            };
            let message = format!("set-up command `{line}` {how}");
            return Err(DriverError::broken(CauseCode::SetupFailed, message, finished.stdout.text()));
        }
    }
    Ok(())
}
