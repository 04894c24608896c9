//! The suite's set-up commands: one after the other by `sh -c`, in the suite's directory.
//!
//! They run in every runner and must be idempotent; nothing is skipped because it ran before. Their output
//! goes to the log `setup`; the last lines of a failing one go into the cause.

pub mod child;

use crate::config::hide_private;
use crate::driver::JobContext;
use crate::session::control::Control;
use shared::domain::verdict::{Cause, CauseCode};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// Name of the log.
const LOG: &str = "setup";
/// Lines of a failing command's output that go into the cause.
const TAIL_LINES: usize = 30;

/// Runs the set-up commands of a job.
///
/// # Errors
/// `SetupFailed` with the failing command's last lines; the commands after it are not run.
pub fn run(context: &JobContext, control: &Control) -> Result<(), Cause> {
    let limit = Duration::from_millis(context.job.suite.timeout_ms);
    for line in &context.job.suite.setup {
        (context.log)(LOG, &format!("$ {line}\n"));
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).current_dir(&context.root).envs(&context.env);
        hide_private(&mut command);
        let ended = child::run(command, limit, control, &mut |text| (context.log)(LOG, text))
            .map_err(|error| failed(line, &format!("could not be started: {error}"), ""))?;
        if !ended.status.success() {
            let how = if ended.timed_out {
                "ran past the job's time limit".to_owned()
            } else {
                describe(ended.status)
            };
            return Err(failed(line, &how, &last_lines(&ended.tail)));
        }
    }
    Ok(())
}

fn failed(line: &str, how: &str, detail: &str) -> Cause {
    Cause {
        code: CauseCode::SetupFailed,
        message: format!("the set-up command `{line}` {how}; run it in the suite's directory to see why"),
        detail: detail.to_owned(),
    }
}

/// How a process ended, in words that follow its name.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended without a status".to_owned(),
    }
}

/// The last lines of a tool's output.
#[must_use]
pub fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::spec::{Framework, JobSpec, SuiteSpec};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    fn context(root: &std::path::Path, setup: &[&str], log: Arc<Mutex<String>>) -> JobContext {
        let mut suite = SuiteSpec::new("unit", Framework::Command);
        suite.setup = setup.iter().map(|&line| line.to_owned()).collect();
        JobContext {
            job: JobSpec { name: "unit".into(), suite, cell: BTreeMap::new() },
            root: root.to_owned(),
            scratch: root.to_owned(),
            env: BTreeMap::from([("COLOUR".to_owned(), "blue".to_owned())]),
            slots: 1,
            filter: Arc::new(|_| true),
            log: Arc::new(move |name, text| {
                assert_eq!(name, "setup");
                log.lock().unwrap().push_str(text);
            }),
        }
    }

    #[test]
    fn commands_run_in_order_in_the_directory_with_the_environment() {
        let (root, log) = (tempfile::tempdir().unwrap(), Arc::default());
        let context = context(root.path(), &["echo $COLOUR > a", "cat a"], Arc::clone(&log));
        run(&context, &Control::default()).unwrap();
        assert_eq!(*log.lock().unwrap(), "$ echo $COLOUR > a\n$ cat a\nblue\n");
    }

    #[test]
    fn the_first_failure_ends_it_with_its_last_lines() {
        let (root, log) = (tempfile::tempdir().unwrap(), Arc::default());
        let context = context(root.path(), &["seq 100; exit 7", "touch never"], log);
        let cause = run(&context, &Control::default()).unwrap_err();
        assert_eq!(cause.code, CauseCode::SetupFailed);
        assert!(cause.message.contains("`seq 100; exit 7` exited with code 7"), "{}", cause.message);
        assert!(cause.detail.starts_with("71\n") && cause.detail.ends_with("\n100"), "{}", cause.detail);
        assert!(!root.path().join("never").exists());
    }
}
