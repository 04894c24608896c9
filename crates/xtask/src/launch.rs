//! Starting other programs and waiting for them.
//!
//! `check` and `capture` turn an exit status into an error that names the command line; `timed` measures and
//! leaves the judgement on the exit code to the caller.

use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The command line as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        if argument.is_empty() || argument.contains([' ', '"', '\'', '&', '|', '(', ')', '*']) {
            let _ = write!(text, " '{argument}'");
        } else {
            let _ = write!(text, " {argument}");
        }
    }
    text
}

/// Runs a command on this terminal; anything but exit code 0 is an error.
pub(crate) fn check(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs a command quietly and returns its stdout; on failure the error carries the end of its output.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start `{}`", line(command)))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let all = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        bail!("`{}` ended with {}\n{}", line(command), output.status, ending(&all, 30));
    }
    Ok(stdout)
}

/// How a measured command ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed {
    /// Exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Start to end.
    pub(crate) wall: Duration,
}

/// Runs a command with stdout and stderr in one file and measures it.
pub(crate) fn timed(command: &mut Command, log: &Path) -> Result<Timed> {
    let file = File::create(log).with_context(|| format!("could not create `{}`", log.display()))?;
    let second = file.try_clone().context("could not open the log twice")?;
    command.stdin(Stdio::null()).stdout(file).stderr(second);
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("could not start `{}`", line(command)))?;
    Ok(Timed { code: status.code(), wall: begin.elapsed() })
}

/// The last `count` lines of a text.
pub(crate) fn ending(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().collect::<Vec<_>>().join("\n")
}

/// Whether a program can be started at all with these arguments and succeeds.
pub(crate) fn works(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_shows_its_last_output() {
        let error =
            capture(Command::new("sh").args(["-c", "echo early; echo late >&2; exit 7"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("sh -c 'echo early") && text.contains('7') && text.contains("late"), "{text}");
    }

    #[test]
    fn only_the_end_of_an_output_is_kept() {
        assert_eq!(ending("a\nb\nc", 2), "b\nc");
        assert_eq!(ending("a", 2), "a");
    }
}
