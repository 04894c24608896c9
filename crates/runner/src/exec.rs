//! Runs one child process to its end: own process group, time limit, bounded capture, kill-tree.
//!
//! Everything that a driver starts goes through [`Invocation::run`]. It owns the child until it is reaped, so
//! no process outlives its call unless it was asked to linger, and then it belongs to the [`Stopper`].
//! Memory is bounded by the [`CaptureLimit`], whatever the child prints. Nothing here judges a result.

mod capture;
mod child;
mod pump;
mod stopper;

pub use capture::{CaptureLimit, Captured};
pub use shared::domain::sanitise::cut_text;
mod shell;

pub(crate) use shell::shell;
pub use stopper::Stopper;

use crate::config::hide_private;
use shared::domain::time::Timestamp;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, PipeReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

/// How long a child may take to end after SIGTERM before it gets SIGKILL.
pub const GRACE: Duration = Duration::from_secs(2);
/// How long output is still read after the child has ended while a grandchild keeps the pipe open.
pub const DRAIN: Duration = Duration::from_secs(2);

/// Why a child could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The stopper was stopped before the start or while the child ran.
    #[error("stopped on request")]
    Stopped,
    /// The operating system refused to start it.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The operating system failed while it ran.
    #[error("lost touch with `{program}`")]
    Lost {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ExecError {
    /// The message with its cause, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Stopped => self.to_string(),
            Self::Start { source, .. } | Self::Lost { source, .. } => format!("{self}: {source}"),
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Code(i32),
    /// It was killed by this signal, as in `SIGSEGV`.
    Signal(String),
}

impl Ending {
    /// Whether it exited with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Code(0)
    }

    pub(crate) fn of(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(number)) => Self::Signal(signal_name(number)),
            (None, None) => Self::Signal("unknown signal".to_owned()),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(name) => write!(f, "{name}"),
        }
    }
}

/// The name of a signal number, as in `SIGSEGV`.
#[must_use]
pub fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_unknown| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

/// Which of the child's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Standard output, or both if they are merged.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a finished child left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub ending: Ending,
    /// Whether it was killed because its time was over.
    pub timed_out: bool,
    /// Whether something it had started kept its output open after it had ended.
    pub leaky: bool,
    /// From start to end, without the drain.
    pub duration: Duration,
    /// Standard output, or both outputs in order if they were merged.
    pub stdout: Captured,
    /// Standard error; empty if merged.
    pub stderr: Captured,
}

impl Finished {
    /// Whether it ended by itself with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        !self.timed_out && self.ending.is_success()
    }
}

/// A child to be run.
#[derive(Debug, Clone)]
pub struct Invocation {
    program: OsString,
    args: Vec<OsString>,
    dir: PathBuf,
    env: BTreeMap<OsString, OsString>,
    pub(crate) time_limit: Option<Duration>,
    merged: bool,
    pub(crate) limit: CaptureLimit,
    pub(crate) linger: bool,
}

impl Invocation {
    /// A program in a directory, with the runner's own environment, separate outputs and no time limit.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>, dir: impl Into<PathBuf>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            dir: dir.into(),
            env: BTreeMap::new(),
            time_limit: None,
            merged: false,
            limit: CaptureLimit::default(),
            linger: false,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds environment variables.
    #[must_use]
    pub fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, vars: impl IntoIterator<Item = (K, V)>) -> Self {
        self.env.extend(vars.into_iter().map(|(k, v)| (k.as_ref().to_owned(), v.as_ref().to_owned())));
        self
    }

    /// Kills the child's group after this time.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// One pipe for both outputs, so that they stay in order.
    #[must_use]
    pub fn merged(mut self) -> Self {
        self.merged = true;
        self
    }

    /// How much output to keep.
    #[must_use]
    pub fn keep(mut self, limit: CaptureLimit) -> Self {
        self.limit = limit;
        self
    }

    /// Lets what the child leaves behind live until the stopper is stopped or dropped (services started by
    /// set-up commands).
    #[must_use]
    pub fn linger(mut self) -> Self {
        self.linger = true;
        self
    }

    /// Runs the child to its end.
    ///
    /// # Errors
    /// `Stopped` once the stopper was stopped, otherwise what the operating system says.
    pub fn run(&self, stopper: &Stopper) -> Result<Finished, ExecError> {
        self.run_watched(stopper, &mut |_channel, _bytes| {})
    }

    /// Runs the child to its end and hands over its output as it comes, before the capture limit applies.
    ///
    /// # Errors
    /// As [`Invocation::run`].
    pub fn run_watched(
        &self,
        stopper: &Stopper,
        watch: &mut dyn FnMut(Channel, &[u8]),
    ) -> Result<Finished, ExecError> {
        let (mut command, pipes) = self.command().map_err(|source| self.start_error(source))?;
        let child = stopper.spawn(&mut command).map_err(|refused| match refused {
            stopper::Refused::Stopped => ExecError::Stopped,
            stopper::Refused::Os(source) => self.start_error(source),
        })?;
        // The write ends live in `command`; while they are open here, the pipes never end.
        drop(command);
        pump::Pump::new(self, child, pipes).run(watch).map_err(|lost| match lost {
            pump::Lost::Stopped => ExecError::Stopped,
            pump::Lost::Os(source) => ExecError::Lost { program: self.name(), source },
        })
    }

    fn command(&self) -> io::Result<(Command, Vec<(Channel, PipeReader)>)> {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(&self.program);
        hide_private(&mut command);
        command.args(&self.args).envs(&self.env).current_dir(&self.dir).stdin(Stdio::null()).process_group(0);
        let (out_reader, out_writer) = io::pipe()?;
        if self.merged {
            command.stdout(out_writer.try_clone()?).stderr(out_writer);
            return Ok((command, vec![(Channel::Stdout, out_reader)]));
        }
        let (err_reader, err_writer) = io::pipe()?;
        command.stdout(out_writer).stderr(err_writer);
        Ok((command, vec![(Channel::Stdout, out_reader), (Channel::Stderr, err_reader)]))
    }

    fn start_error(&self, source: io::Error) -> ExecError {
        // A missing directory and a missing program look the same to the operating system.
        let source = if source.kind() == io::ErrorKind::NotFound && !self.dir.is_dir() {
            let text = format!("the directory `{}` does not exist", self.dir.display());
            io::Error::new(io::ErrorKind::NotFound, text)
        } else {
            source
        };
        ExecError::Start { program: self.name(), source }
    }

    fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }
}

/// The time, for results.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Microseconds of a duration, saturating.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
