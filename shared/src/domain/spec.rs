//! What a user asks of a run: suites, the jobs they expand to, and where the source is.
//!
//! These are parsed values: a suite that reached this module has a known framework, sane numbers and
//! well-formed globs. Reading `fleetest.toml` is `domain::config`'s work.

use super::case::CaseId;
use super::id::{ProjectId, SourceId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The driver that runs a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framework {
    /// Python's pytest.
    Pytest,
    /// Rust's `cargo test`.
    Cargo,
    /// Any command that writes JUnit XML or TAP, or only has an exit code.
    Command,
}

impl Framework {
    /// Every framework, for messages.
    pub const ALL: [Self; 3] = [Self::Pytest, Self::Cargo, Self::Command];

    /// The word used in `fleetest.toml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pytest => "pytest",
            Self::Cargo => "cargo",
            Self::Command => "command",
        }
    }
}

impl fmt::Display for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many machines a job gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shards {
    /// The cheapest number that meets the target time, from history.
    Auto,
    /// Exactly this many, at least 1.
    Fixed(u32),
}

/// A named set of tests with one framework.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteSpec {
    /// Name, unique in the run.
    pub name: String,
    /// Driver.
    pub framework: Framework,
    /// Directory, relative to the root of the source, in which everything runs; empty = the root.
    pub working_dir: String,
    /// Files or directories handed to the framework; empty = its own configuration decides.
    pub paths: Vec<String>,
    /// Further arguments for the framework.
    pub args: Vec<String>,
    /// The command line of a `command` suite, run by `sh -c`.
    pub command: Option<String>,
    /// Globs of the report files that `command` writes (JUnit XML or TAP); empty = only the exit code counts.
    pub results: Vec<String>,
    /// Commands run once per runner before discovery, by `sh -c`.
    pub setup: Vec<String>,
    /// Environment for set-up and tests.
    pub env: BTreeMap<String, String>,
    /// Machines.
    pub shards: Shards,
    /// Slots per runner; `None` = the machine's cores.
    pub slots: Option<u32>,
    /// Wall time that `Shards::Auto` aims at, in milliseconds.
    pub target_time_ms: Option<u64>,
    /// Attempts after the first, for cases that failed.
    pub retries: u32,
    /// Limit for the whole job, in milliseconds.
    pub timeout_ms: u64,
    /// Limit for one case, in milliseconds.
    pub case_timeout_ms: u64,
    /// Names of suites that must pass first.
    pub needs: Vec<String>,
    /// Matrix: one job per combination.
    pub matrix: BTreeMap<String, Vec<String>>,
    /// Globs of files to keep.
    pub artifacts: Vec<String>,
    /// Globs of coverage files to keep.
    pub coverage: Vec<String>,
}

/// Default limit for one case: 5 minutes.
pub const CASE_TIMEOUT_MS: u64 = 5 * 60 * 1000;
/// Default limit for a job: 60 minutes.
pub const JOB_TIMEOUT_MS: u64 = 60 * 60 * 1000;

impl SuiteSpec {
    /// How many folders the working directory is below the root of the source.
    #[must_use]
    pub fn folder_depth(&self) -> usize {
        self.working_dir.split('/').filter(|part| !part.is_empty() && *part != ".").count()
    }

    /// A suite with every default.
    #[must_use]
    pub fn new(name: &str, framework: Framework) -> Self {
        Self {
            name: name.to_owned(),
            framework,
            working_dir: String::new(),
            paths: Vec::new(),
            args: Vec::new(),
            command: None,
            results: Vec::new(),
            setup: Vec::new(),
            env: BTreeMap::new(),
            shards: Shards::Auto,
            slots: None,
            target_time_ms: None,
            retries: 1,
            timeout_ms: JOB_TIMEOUT_MS,
            case_timeout_ms: CASE_TIMEOUT_MS,
            needs: Vec::new(),
            matrix: BTreeMap::new(),
            artifacts: Vec::new(),
            coverage: Vec::new(),
        }
    }
}

/// One suite × one matrix cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// `unit`, or `unit[os=linux,python=3.12]`; the key of the job's history.
    pub name: String,
    /// The suite.
    pub suite: SuiteSpec,
    /// The cell's values by dimension.
    pub cell: BTreeMap<String, String>,
}

/// Where the source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Source {
    /// A directory of the runner's machine, used where it stands.
    Directory {
        /// Absolute path.
        path: String,
    },
    /// A git repository at one commit.
    Git {
        /// `https` or `ssh` URL.
        url: String,
        /// Full commit id.
        commit: String,
    },
    /// A branch, tag or commit of a git repository, until planning has looked it up. No runner ever gets this.
    Reference(Unresolved),
    /// An uploaded archive, which the runner fetches over the link.
    Archive(Archive),
    /// The same as the forge made it of a commit: everything lies in one folder, which is no part of the source. A kind of its
    /// own, so that whoever does not know it refuses it.
    Snapshot(Archive),
}

impl Source {
    /// The archive that runners fetch over the link, if it is one.
    #[must_use]
    pub fn archive(&self) -> Option<&Archive> {
        match self {
            Self::Archive(archive) | Self::Snapshot(archive) => Some(archive),
            Self::Directory { .. } | Self::Git { .. } | Self::Reference(_) => None,
        }
    }
}

/// A reference that is still to be looked up, and what to make of the commit that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unresolved {
    /// `https` or `ssh` URL.
    pub url: String,
    /// Branch, tag or commit.
    pub reference: String,
    /// If the spec has no suites yet: the names of those that are wanted of the commit's own; empty = all.
    pub suites: Vec<String>,
    /// If the spec has no suites yet: the `fleetest.toml` for a commit that has none.
    pub config: Option<String>,
    /// Whether `config` is used instead of the commit's own.
    pub config_wins: bool,
    /// Whether the spec's limit was asked for; if not, the commit's configuration has a say in it.
    pub timeout_asked: bool,
}

impl Unresolved {
    /// A whole commit id whose suites are known.
    #[must_use]
    pub fn of_commit(url: &str, commit: &str) -> Self {
        let (url, reference) = (url.to_owned(), commit.to_owned());
        Self { url, reference, suites: Vec::new(), config: None, config_wins: false, timeout_asked: true }
    }
}

/// An uploaded tar archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The upload.
    pub id: SourceId,
    /// Where its bytes are.
    pub blob: String,
    /// SHA-256 of the bytes, in hexadecimal digits.
    pub sha256: String,
    /// How many bytes.
    pub size_bytes: u64,
    /// Whether they are compressed.
    pub gzip: bool,
}

/// Cases chosen by name, as `--failed` does: unit key and the cases in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChosenUnit {
    /// Job name.
    pub job: String,
    /// Unit key.
    pub unit: String,
    /// Cases.
    pub cases: Vec<CaseId>,
}

/// Everything one run was asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The project.
    pub project: ProjectId,
    /// Source.
    pub source: Source,
    /// Commit, if known.
    pub commit: Option<String>,
    /// Branch, if known.
    pub branch: Option<String>,
    /// Suites.
    pub suites: Vec<SuiteSpec>,
    /// Stop after this many final failures.
    pub fail_fast: Option<u32>,
    /// Only cases that match this expression (see `domain::filter`).
    pub filter: Option<String>,
    /// Only these cases; empty = all.
    pub chosen: Vec<ChosenUnit>,
    /// Limit for the whole run, in milliseconds.
    pub timeout_ms: u64,
}

impl RunSpec {
    /// Whether only a part of the tests was asked for.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.filter.is_some() || !self.chosen.is_empty()
    }

    /// Whether a job of this name has anything to do.
    #[must_use]
    pub fn wants_job(&self, name: &str) -> bool {
        self.chosen.is_empty() || self.chosen.iter().any(|unit| unit.job == name)
    }
}
