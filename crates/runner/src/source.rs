//! The source of a job: a directory used where it stands, or one commit fetched with git.
//!
//! Addresses and references are checked before git sees them (`domain::address`), and git runs hardened (`git`). What
//! came from a request is only ever fetched by https or ssh; a local repository only by [`fetch_local`], for a
//! path that a person gave on the command line, or where whoever runs the server has allowed it.

mod archive;
mod git;

use crate::link::Link;
use crate::session::control::Control;
pub use archive::ArchiveError;
use git::{Checkout, FETCH_LIMIT, Origin};
pub use shared::domain::address::{AddressError, Reference, Remote};
use shared::domain::spec::Source;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Why there is no source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The address or reference is refused.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The directory is not there.
    #[error("the directory `{path}` cannot be used: {reason}; give the path of a project")]
    Directory {
        /// The path.
        path: String,
        /// Why.
        reason: String,
    },
    /// Git itself cannot be started.
    #[error("`git` cannot be started; install git and make sure that it is in PATH")]
    NoGit(#[source] io::Error),
    /// The repository cannot be reached or read.
    #[error(
        "the repository `{origin}` cannot be fetched; check the address, the network and your access rights"
    )]
    Unreachable {
        /// The repository.
        origin: String,
        /// Git's own words.
        detail: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error(
        "the repository `{origin}` has no branch, tag or commit `{reference}`; `git ls-remote` shows what it has"
    )]
    UnknownReference {
        /// The repository.
        origin: String,
        /// The reference.
        reference: String,
    },
    /// Git refuses a local repository that belongs to another user.
    #[error(
        "the repository `{origin}` belongs to another user and git does not read it; clone it first and give the clone"
    )]
    ForeignOwner {
        /// The repository.
        origin: String,
    },
    /// It took too long.
    #[error(
        "fetching `{origin}` took longer than {limit_s} s; check the network, or use a smaller repository"
    )]
    TooSlow {
        /// The repository.
        origin: String,
        /// The limit, in seconds.
        limit_s: u64,
    },
    /// The repository handed out something else than what was asked for.
    #[error("commit `{wanted}` was asked for and `{got}` was checked out; do not trust this repository")]
    OtherCommit {
        /// What was asked for.
        wanted: String,
        /// What came.
        got: String,
    },
    /// The uploaded archive cannot be used.
    #[error("the archive of the source cannot be used: {0}")]
    Archive(#[source] ArchiveError),
    /// The coordinator has not looked the reference up.
    #[error("the reference `{0}` was never looked up; this is a fault of Fleetest")]
    Unresolved(String),
    /// The runner was told to stop.
    #[error("fetching was stopped")]
    Stopped,
    /// The destination cannot be used.
    #[error("the directory `{path}` cannot be filled; it must be new or empty, and writable")]
    Destination {
        /// The destination.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SourceError {
    /// Output of the tool that failed, if there is any.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Unreachable { detail, .. } => detail.clone(),
            Self::NoGit(source) | Self::Destination { source, .. } => source.to_string(),
            Self::Archive(error) => error.detail(),
            Self::Address(_)
            | Self::Directory { .. }
            | Self::UnknownReference { .. }
            | Self::ForeignOwner { .. }
            | Self::TooSlow { .. }
            | Self::OtherCommit { .. }
            | Self::Unresolved(_)
            | Self::Stopped => String::new(),
        }
    }
}

/// The few variables of the environment that git may see; read in `config`.
#[derive(Clone, Default)]
pub struct GitEnvironment {
    /// For every transport: `PATH`, proxies, certificates.
    pub always: BTreeMap<String, OsString>,
    /// For ssh only, which finds its keys by them.
    pub ssh: BTreeMap<String, OsString>,
    /// Whether a repository may be an absolute path of this machine, although it came with a request.
    pub local: bool,
}

impl fmt::Debug for GitEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's address may hold a password.
        f.debug_struct("GitEnvironment").field("always", &self.always.keys()).finish_non_exhaustive()
    }
}

impl GitEnvironment {
    fn for_transport(&self, protocol: &str) -> impl Iterator<Item = (&String, &OsString)> {
        self.always.iter().chain(self.ssh.iter().filter(move |_| protocol == "ssh"))
    }
}

/// What a source may be fetched with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// Where fetched sources lie.
    pub scratch: &'a Path,
    /// What git may see.
    pub environment: &'a GitEnvironment,
    /// The coordinator, which has the uploaded ones.
    pub link: &'a Link,
    /// What can end it early.
    pub control: &'a Control,
}

/// Makes the source of a session available; a fetched one lies in the scratch directory.
///
/// # Errors
/// See [`SourceError`].
pub fn provide(source: &Source, means: Means<'_>) -> Result<PathBuf, SourceError> {
    let Means { scratch, environment, link, control } = means;
    match source {
        Source::Directory { path } => {
            let refuse = |reason: String| SourceError::Directory { path: path.clone(), reason };
            let root = std::fs::canonicalize(path).map_err(|error| refuse(error.to_string()))?;
            if root.is_dir() { Ok(root) } else { Err(refuse("it is not a directory".to_owned())) }
        }
        Source::Git { url, commit } => {
            let dest = scratch.join("source");
            if environment.local && Path::new(url).is_absolute() {
                fetch_local(Path::new(url), commit, &dest, environment, control)?;
            } else {
                fetch_remote(url, commit, &dest, environment, control)?;
            }
            Ok(dest)
        }
        Source::Archive(archive) | Source::Snapshot(archive) => {
            let wrapped = matches!(source, Source::Snapshot(_));
            archive::provide((archive, wrapped), scratch, &|offset| link.source(offset), &|| {
                control.stopping()
            })
        }
        Source::Reference(wanted) => Err(SourceError::Unresolved(wanted.reference.clone())),
    }
}

/// Fetches one reference of a remote repository into `dest`, which must be new or empty; returns the commit.
///
/// # Errors
/// See [`SourceError`].
pub fn fetch_remote(
    url: &str,
    reference: &str,
    dest: &Path,
    environment: &GitEnvironment,
    control: &Control,
) -> Result<String, SourceError> {
    let remote = Remote::parse(url)?;
    fill(Origin::Remote(&remote), reference, dest, environment, control)
}

/// Fetches one reference of a repository on this machine (bare or not) into `dest`, which must be new or empty;
/// returns the commit. For paths that a person gave, never for what came with a request.
///
/// # Errors
/// See [`SourceError`].
pub fn fetch_local(
    path: &Path,
    reference: &str,
    dest: &Path,
    environment: &GitEnvironment,
    control: &Control,
) -> Result<String, SourceError> {
    let refuse = |reason: String| SourceError::Directory { path: path.display().to_string(), reason };
    let origin = std::fs::canonicalize(path).map_err(|error| refuse(error.to_string()))?;
    if !origin.join("HEAD").exists() && !origin.join(".git").exists() {
        return Err(refuse("it is no git repository".to_owned()));
    }
    fill(Origin::Local(&origin), reference, dest, environment, control)
}

fn fill(
    origin: Origin<'_>,
    reference: &str,
    dest: &Path,
    environment: &GitEnvironment,
    control: &Control,
) -> Result<String, SourceError> {
    let reference = Reference::parse(reference)?;
    let unusable = |source| SourceError::Destination { path: dest.display().to_string(), source };
    std::fs::create_dir_all(dest).map_err(unusable)?;
    if std::fs::read_dir(dest).map_err(unusable)?.next().is_some() {
        return Err(unusable(io::ErrorKind::DirectoryNotEmpty.into()));
    }
    let deadline = Instant::now() + FETCH_LIMIT;
    let filled = Checkout { origin, dest, environment, control, deadline }.run(&reference);
    if filled.is_err() {
        // Half a checkout must not be taken for a whole one.
        std::fs::remove_dir_all(dest).ok();
    }
    filled
}

#[cfg(test)]
mod tests;
