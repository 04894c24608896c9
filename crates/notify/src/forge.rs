//! The forge of hosts without git: repositories of GitHub (or a GitHub Enterprise Server), by its REST API.
//!
//! Only the API of the configured hosts is ever called, whatever an address says: of an address, nothing but owner and
//! name get into a URL. Ids that GitHub answers with are checked before anything is asked by them. Nothing is kept
//! between two calls, and nothing here asks twice: what may work later is `Unavailable`.

mod address;
mod answer;
mod repository;

pub use address::check_address;

use crate::client::Outbound;
use async_trait::async_trait;
use repository::{Entry, Repository};
use shared::domain::address::Reference;
use shared::domain::detect::{FILES_LIMIT, Listing, MANIFEST_LIMIT_BYTES, is_file_listed, is_manifest};
use shared::domain::secret::Secret;
use shared::ports::forge::{FILE_LIMIT_BYTES, Forge, Resolved, Snapshot};
use shared::ports::{PortError, PortResult};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name in errors.
const PORT: &str = "forge";
/// Manifests that are read; more folders than that tell little new, and each is a request.
const MANIFESTS_LIMIT: usize = 64;

/// Repositories by GitHub's REST API.
#[derive(Debug, Clone)]
pub struct GithubForge(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    outbound: Outbound,
    hosts: BTreeMap<String, String>,
    token: Option<Secret>,
}

impl GithubForge {
    /// A forge for the repositories of `hosts`: each a name in small letters, as in `github.com`, with the base of its
    /// API, as in `https://api.github.com`. The token is sent to all of them.
    #[must_use]
    pub fn new(outbound: Outbound, hosts: BTreeMap<String, String>, token: Option<Secret>) -> Self {
        Self(Arc::new(Shared { outbound, hosts, token }))
    }

    fn repository(&self, url: &str) -> PortResult<Repository> {
        let root = address::root(&self.0.hosts, url)?;
        Ok(Repository::new(Arc::clone(&self.0), url.to_owned(), root))
    }
}

#[async_trait]
impl Forge for GithubForge {
    fn check(&self, url: &str) -> PortResult<()> {
        check_address(&self.0.hosts, url)
    }

    async fn resolve(&self, url: &str, reference: &str) -> PortResult<Resolved> {
        let repository = self.repository(url)?;
        let parsed = Reference::parse(reference).map_err(|error| denied(reference, error.to_string()))?;
        let found = match parsed.is_commit() {
            true => repository.commit(reference).await?,
            false => repository.find(reference).await?,
        };
        match found {
            Some(resolved) => Ok(resolved),
            None => Err(repository.without(reference).await),
        }
    }

    async fn file(&self, url: &str, commit: &str, path: &str) -> PortResult<Option<String>> {
        let repository = self.repository(url)?;
        let mut tree = whole(commit)?.to_owned();
        // Such paths name no file of a commit.
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Ok(None);
        }
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let Some(folder) = repository.tree(&tree, false).await? else {
                return Err(repository.without(commit).await);
            };
            let Some(entry) = folder.entries.into_iter().find(|entry| entry.path == part) else {
                let reason = "its folder has more entries than GitHub lists";
                return if folder.truncated { Err(denied(path, reason.to_owned())) } else { Ok(None) };
            };
            if parts.peek().is_none() {
                return text_of(&repository, &entry, path).await;
            }
            if !entry.is_folder() {
                return Ok(None);
            }
            tree = entry.sha.into_text();
        }
        Ok(None)
    }

    async fn listing(&self, url: &str, commit: &str) -> PortResult<Listing> {
        let repository = self.repository(url)?;
        let Some(tree) = repository.tree(whole(commit)?, true).await? else {
            return Err(repository.without(commit).await);
        };
        let (files, mut truncated) = listed(tree.entries);
        let (wanted, left_out) = manifests(&files);
        truncated |= tree.truncated || left_out;
        let manifests = repository.texts(wanted, bytes(MANIFEST_LIMIT_BYTES)).await?;
        let files = files.into_iter().map(|entry| entry.path).collect();
        Ok(Listing { files, manifests, truncated })
    }

    fn sees_private(&self) -> bool {
        self.0.token.is_some()
    }

    async fn snapshot(&self, url: &str, commit: &str) -> PortResult<Option<Box<dyn Snapshot>>> {
        let repository = self.repository(url)?;
        if !self.sees_private() {
            return Ok(None);
        }
        let found = repository.snapshot(whole(commit)?).await?;
        Ok(found.map(|found| -> Box<dyn Snapshot> { Box::new(found) }))
    }
}

/// The text of an entry that is a file and not too large.
async fn text_of(repository: &Repository, entry: &Entry, path: &str) -> PortResult<Option<String>> {
    if !entry.is_file() {
        return Ok(None);
    }
    if entry.size.is_some_and(|size| bytes(size) > FILE_LIMIT_BYTES) {
        return Err(denied(path, format!("it is larger than {FILE_LIMIT_BYTES} bytes")));
    }
    repository.text(&entry.sha, FILE_LIMIT_BYTES).await.map(Some)
}

/// The files that detection is to know of, in the order of their paths, and whether there are more.
fn listed(entries: Vec<Entry>) -> (Vec<Entry>, bool) {
    let counts = |entry: &Entry| entry.is_file() && is_file_listed(&entry.path);
    let mut files: Vec<Entry> = entries.into_iter().filter(counts).collect();
    files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    let truncated = files.len() > FILES_LIMIT;
    files.truncate(FILES_LIMIT);
    (files, truncated)
}

/// The manifests whose texts are read, those of the root first, and whether some are left out.
fn manifests(files: &[Entry]) -> (Vec<&Entry>, bool) {
    let (mut wanted, large): (Vec<&Entry>, Vec<&Entry>) = files
        .iter()
        .filter(|entry| is_manifest(&entry.path))
        .partition(|entry| entry.size.is_none_or(|size| size <= MANIFEST_LIMIT_BYTES));
    wanted.sort_by_key(|entry| entry.path.contains('/'));
    let left_out = !large.is_empty() || wanted.len() > MANIFESTS_LIMIT;
    wanted.truncate(MANIFESTS_LIMIT);
    (wanted, left_out)
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn whole(commit: &str) -> PortResult<&str> {
    let sound = Reference::parse(commit).is_ok_and(|reference| reference.is_commit());
    if sound { Ok(commit) } else { Err(denied(commit, "it is no whole commit id".to_owned())) }
}

fn denied(subject: &str, reason: String) -> PortError {
    PortError::Denied { port: PORT, subject: subject.to_owned(), reason }
}

fn away(subject: &str, reason: String) -> PortError {
    PortError::Unavailable { port: PORT, subject: subject.to_owned(), reason }
}
