//! Fetching one commit with the git command line, hardened.
//!
//! Git runs without the user's and the system's configuration, without hooks, helpers, templates, submodules or
//! prompts, with one transport allowed, an empty environment, and `--` before everything that came from
//! outside. What was checked out is compared with what was asked for. Nothing is retried here.

use super::address::{Reference, Remote, Transport};
use super::{GitEnvironment, SourceError};
use crate::session::control::Control;
use crate::setup::child::{self, Ended};
use crate::setup::{describe, last_lines};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A fetch that takes longer is given up.
pub(super) const FETCH_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Settings of every call; the last of two contradicting ones wins, so the transport follows.
const SETTINGS: [&str; 13] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "protocol.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
];

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
            Self::Remote(remote) => match remote.transport() {
                Transport::Https => "https",
                Transport::Ssh => "ssh",
            },
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
        match diagnose(&ended.tail) {
            Diagnosis::UnknownReference => self.unknown(reference),
            Diagnosis::ForeignOwner => SourceError::ForeignOwner { origin },
            Diagnosis::Other if ended.tail.trim().is_empty() => {
                SourceError::Unreachable { origin, detail: format!("git {}", describe(ended.status)) }
            }
            Diagnosis::Other => SourceError::Unreachable { origin, detail: last_lines(&ended.tail) },
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
        command.envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
            ("GIT_ALLOW_PROTOCOL", self.origin.protocol()),
            // Without a terminal nobody can answer; ssh must fail instead of asking.
            ("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=30"),
            ("LC_ALL", "C"),
        ]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.arg("-c").arg(format!("protocol.{}.allow=always", self.origin.protocol()));
        command
    }
}

/// What git's message says.
#[derive(Debug, PartialEq, Eq)]
enum Diagnosis {
    UnknownReference,
    ForeignOwner,
    Other,
}

fn diagnose(message: &str) -> Diagnosis {
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    if says(&["detected dubious ownership"]) {
        Diagnosis::ForeignOwner
    } else if says(&[
        "couldn't find remote ref",
        "not our ref",
        "unadvertised object",
        "bad object",
        "invalid refspec",
    ]) {
        Diagnosis::UnknownReference
    } else {
        Diagnosis::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_git_are_understood() {
        for (message, expected) in [
            ("fatal: couldn't find remote ref nope\n", Diagnosis::UnknownReference),
            ("fatal: remote error: upload-pack: not our ref 0123\n", Diagnosis::UnknownReference),
            (
                "error: Server does not allow request for unadvertised object 01\n",
                Diagnosis::UnknownReference,
            ),
            ("fatal: detected dubious ownership in repository at '/x'\n", Diagnosis::ForeignOwner),
            ("fatal: unable to access 'https://x/': Could not resolve host: x\n", Diagnosis::Other),
        ] {
            assert_eq!(diagnose(message), expected, "{message}");
        }
    }
}
