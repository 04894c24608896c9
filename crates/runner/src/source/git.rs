//! Fetching one commit with the git command line, hardened.
//!
//! Git runs without the user's and the system's configuration, without hooks, helpers, templates, submodules or
//! prompts, with one transport allowed, an empty environment, and `--` before everything that came from
//! outside. What was checked out is compared with what was asked for. Nothing is retried here.

use super::{GitEnvironment, SourceError};
use crate::session::control::Control;
use crate::setup::child::{self, Ended};
use crate::setup::{describe, last_lines};
use shared::domain::address::{Reference, Remote};
use shared::domain::git::{self, Diagnosis};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A fetch that takes longer is given up.
pub(super) const FETCH_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Where the commits come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    Remote(&'a Remote),
    Local(&'a Path),
}

impl Origin<'_> {
    fn argument(&self) -> &OsStr {
        match self {
            Self::Remote(remote) => OsStr::new(remote.as_str()),
            Self::Local(path) => path.as_os_str(),
        }
    }

    fn protocol(&self) -> &'static str {
        match self {
            Self::Remote(remote) => remote.transport().protocol(),
            Self::Local(_) => "file",
        }
    }

    fn shown(&self) -> String {
        self.argument().to_string_lossy().into_owned()
    }
}

/// One repository that is being filled.
pub(super) struct Checkout<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) dest: &'a Path,
    pub(super) environment: &'a GitEnvironment,
    pub(super) control: &'a Control,
    pub(super) deadline: Instant,
}

impl Checkout<'_> {
    /// Fetches and checks out; returns the full commit id.
    pub(super) fn run(&self, reference: &Reference) -> Result<String, SourceError> {
        let mut init = self.git();
        init.args(["init", "--quiet", "--template=", "--"]).arg(self.dest);
        self.must(init, reference)?;
        let target = self.fetch(reference)?;
        let mut checkout = self.in_dest();
        checkout.args(["checkout", "--quiet", "--force", "--detach", target.as_str(), "--"]);
        self.must(checkout, reference)?;
        let commit = self.resolve("HEAD", reference)?;
        if reference.is_commit() && commit != reference.as_str() {
            return Err(SourceError::OtherCommit { wanted: reference.to_string(), got: commit });
        }
        Ok(commit)
    }

    /// Fetches what the reference needs; returns what to check out.
    fn fetch(&self, reference: &Reference) -> Result<String, SourceError> {
        let depth: &[&str] = match self.origin {
            Origin::Remote(_) => &["--depth=1", "--no-tags"],
            // A local repository costs little, and versions derived from tags keep working.
            Origin::Local(_) => &["--tags"],
        };
        let ended = self.spawn(self.fetch_command(depth, &[reference.as_str()]))?;
        if ended.status.success() {
            return self.resolve("FETCH_HEAD", reference);
        }
        let problem = self.explain(&ended, reference);
        let by_name = matches!(problem, SourceError::UnknownReference { .. });
        if !by_name || !(reference.is_commit() || reference.may_be_short_commit()) {
            return Err(problem);
        }
        // Not every server hands out a commit by its id, and none knows short ids: look through all branches.
        let everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
        let ended = self.spawn(self.fetch_command(&["--no-tags"], &everything))?;
        if !ended.status.success() {
            return Err(self.explain(&ended, reference));
        }
        self.resolve(reference.as_str(), reference)
    }

    fn fetch_command(&self, options: &[&str], refspecs: &[&str]) -> Command {
        let mut command = self.in_dest();
        command.args(["fetch", "--quiet", "--no-recurse-submodules", "--no-write-commit-graph"]);
        command.args(options).arg("--").arg(self.origin.argument()).args(refspecs);
        command
    }

    /// The full id of the commit that `name` stands for.
    fn resolve(&self, name: &str, reference: &Reference) -> Result<String, SourceError> {
        let mut command = self.in_dest();
        command.args(["rev-parse", "--verify", "--quiet", "--end-of-options"]);
        command.arg(format!("{name}^{{commit}}"));
        let ended = self.spawn(command)?;
        let commit = ended.tail.trim();
        let whole = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if ended.status.success() && whole { Ok(commit.to_owned()) } else { Err(self.unknown(reference)) }
    }

    fn must(&self, command: Command, reference: &Reference) -> Result<(), SourceError> {
        let ended = self.spawn(command)?;
        if ended.status.success() { Ok(()) } else { Err(self.explain(&ended, reference)) }
    }

    fn spawn(&self, command: Command) -> Result<Ended, SourceError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let ended = child::run(command, left, self.control, &mut |_| {}).map_err(SourceError::NoGit)?;
        if self.control.stopping() {
            return Err(SourceError::Stopped);
        }
        if ended.timed_out {
            let (origin, limit_s) = (self.origin.shown(), FETCH_LIMIT.as_secs());
            return Err(SourceError::TooSlow { origin, limit_s });
        }
        Ok(ended)
    }

    fn explain(&self, ended: &Ended, reference: &Reference) -> SourceError {
        let origin = self.origin.shown();
        match git::diagnose(&ended.tail) {
            Diagnosis::UnknownReference => self.unknown(reference),
            Diagnosis::ForeignOwner => SourceError::ForeignOwner { origin },
            Diagnosis::NoAccess | Diagnosis::Other if ended.tail.trim().is_empty() => {
                SourceError::Unreachable { origin, detail: format!("git {}", describe(ended.status)) }
            }
            Diagnosis::NoAccess | Diagnosis::Other => {
                SourceError::Unreachable { origin, detail: last_lines(&ended.tail) }
            }
        }
    }

    fn unknown(&self, reference: &Reference) -> SourceError {
        SourceError::UnknownReference { origin: self.origin.shown(), reference: reference.to_string() }
    }

    fn in_dest(&self) -> Command {
        let mut command = self.git();
        command.current_dir(self.dest);
        command
    }

    fn git(&self) -> Command {
        let mut command = Command::new("git");
        command.env_clear().envs(self.environment.for_transport(self.origin.protocol()));
        command.envs(git::environment(self.origin.protocol()));
        command.args(git::settings(self.origin.protocol()));
        command
    }
}
