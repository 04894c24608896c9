//! The forge: where repositories are looked up before a run, without running anything of theirs.

use super::{PortError, PortResult};
use crate::domain::address::Remote;
use crate::domain::detect::Listing;
use async_trait::async_trait;
use std::fmt::Debug;

/// A file of a commit that is larger is `Denied`.
pub const FILE_LIMIT_BYTES: usize = 1024 * 1024;

/// What a reference stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Full commit id.
    pub commit: String,
    /// The branch, if the reference names one (`HEAD` names the default one).
    pub branch: Option<String>,
}

/// Looks up commits of remote repositories.
///
/// Errors: `NotFound` if the repository has no such branch, tag or commit; `Denied` if the address is refused or the
/// repository is not there for us; `Unavailable` if it may work later. What is said of one commit never changes.
#[async_trait]
pub trait Forge: Debug + Send + Sync {
    /// Whether runs may be fetched from an address like this; says why not. Asks nobody.
    fn check(&self, url: &str) -> PortResult<()> {
        let refused = |reason: String| PortError::Denied { port: "forge", subject: url.to_owned(), reason };
        Remote::parse(url).map(drop).map_err(|error| refused(error.to_string()))
    }
    /// The commit that a branch, a tag (a branch of the same name comes first), a full reference, `HEAD` or a whole
    /// commit id stands for now.
    async fn resolve(&self, url: &str, reference: &str) -> PortResult<Resolved>;
    /// Text of a file of a commit; `None` if it has none at this path, or something that is no file.
    async fn file(&self, url: &str, commit: &str, path: &str) -> PortResult<Option<String>>;
    /// What detection needs to know of a commit.
    async fn listing(&self, url: &str, commit: &str) -> PortResult<Listing>;
    /// Whether we may be shown repositories that runners, which have no credential of ours, cannot fetch. Asks nobody.
    fn sees_private(&self) -> bool {
        false
    }
    /// The commit as an archive, if runners cannot fetch it themselves; `None` if they can.
    async fn snapshot(&self, url: &str, commit: &str) -> PortResult<Option<Box<dyn Snapshot>>> {
        let _ = (url, commit);
        Ok(None)
    }
}

/// A tar archive, plain or compressed by gzip, with everything of a commit in one folder, whose name means nothing.
#[async_trait]
pub trait Snapshot: Send {
    /// The next bytes; `None` at the end, which comes only after everything did.
    async fn next(&mut self) -> PortResult<Option<Vec<u8>>>;
}

/// A forge that knows no repository: for hosts whose runs never name one.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoForge;

impl NoForge {
    fn refuse<T>(url: &str) -> PortResult<T> {
        let reason = "this host looks up no repositories".to_owned();
        Err(PortError::Denied { port: "forge", subject: url.to_owned(), reason })
    }
}

#[async_trait]
impl Forge for NoForge {
    async fn resolve(&self, url: &str, _: &str) -> PortResult<Resolved> {
        Self::refuse(url)
    }

    async fn file(&self, url: &str, _: &str, _: &str) -> PortResult<Option<String>> {
        Self::refuse(url)
    }

    async fn listing(&self, url: &str, _: &str) -> PortResult<Listing> {
        Self::refuse(url)
    }
}
