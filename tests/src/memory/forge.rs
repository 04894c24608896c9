//! `Forge` over commits that a test describes.

use super::lock;
use async_trait::async_trait;
use shared::domain::address::Reference;
use shared::domain::detect::{Listing, is_file_listed, is_manifest};
use shared::domain::id::digest_hex;
use shared::ports::forge::{Forge, Resolved, Snapshot};
use shared::ports::{PortError, PortResult};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Repositories in memory.
#[derive(Debug, Default)]
pub struct MemoryForge {
    repositories: Mutex<BTreeMap<String, Repository>>,
    away: AtomicBool,
    asked: AtomicU32,
    archive: Mutex<Option<Vec<PortResult<Vec<u8>>>>>,
}

#[derive(Debug, Default)]
struct Repository {
    references: BTreeMap<String, String>,
    commits: BTreeMap<String, BTreeMap<String, String>>,
}

impl MemoryForge {
    /// Adds a commit with these files and lets full references (`refs/heads/main`, `HEAD`) stand for it; returns its id.
    pub fn commit(&self, url: &str, files: &[(&str, &str)], references: &[&str]) -> String {
        let mut all = lock(&self.repositories);
        let repository = all.entry(url.to_owned()).or_default();
        let commit: String = digest_hex(&format!("{url}{files:?}")).chars().take(40).collect();
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        repository.commits.insert(commit.clone(), files);
        for reference in references {
            repository.references.insert((*reference).to_owned(), commit.clone());
        }
        commit
    }

    /// From now on, nothing can be reached, or everything again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Keeps everything from runners: each commit comes once as this archive, in these pieces.
    pub fn hide(&self, pieces: Vec<PortResult<Vec<u8>>>) {
        *lock(&self.archive) = Some(pieces);
    }

    /// How often a reference was asked for.
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    fn on<T>(&self, url: &str, work: impl FnOnce(&Repository) -> PortResult<T>) -> PortResult<T> {
        self.check(url)?;
        let subject = url.to_owned();
        if self.away.load(Ordering::SeqCst) {
            let reason = "it does not answer".to_owned();
            return Err(PortError::Unavailable { port: "forge", subject, reason });
        }
        let all = lock(&self.repositories);
        let reason = "there is no such repository".to_owned();
        let repository = all.get(url).ok_or(PortError::Denied { port: "forge", subject, reason })?;
        work(repository)
    }
}

impl Repository {
    fn files(&self, commit: &str) -> PortResult<&BTreeMap<String, String>> {
        self.commits.get(commit).ok_or_else(|| unknown(commit))
    }
}

fn unknown(reference: &str) -> PortError {
    PortError::NotFound { port: "forge", subject: reference.to_owned() }
}

#[async_trait]
impl Forge for MemoryForge {
    async fn resolve(&self, url: &str, reference: &str) -> PortResult<Resolved> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.on(url, |repository| {
            let subject = reference.to_owned();
            let refuse = |reason: String| PortError::Denied { port: "forge", subject, reason };
            let parsed = Reference::parse(reference).map_err(|error| refuse(error.to_string()))?;
            if parsed.is_commit() {
                repository.files(reference)?;
                return Ok(Resolved { commit: reference.to_owned(), branch: None });
            }
            let names =
                [format!("refs/heads/{reference}"), format!("refs/tags/{reference}"), reference.to_owned()];
            let hit = names.iter().find_map(|name| Some((name, repository.references.get(name)?)));
            let (name, commit) = hit.ok_or_else(|| unknown(reference))?;
            let name = if name == "HEAD" { "refs/heads/main" } else { name };
            let branch = name.strip_prefix("refs/heads/").map(str::to_owned);
            Ok(Resolved { commit: commit.clone(), branch })
        })
    }

    async fn file(&self, url: &str, commit: &str, path: &str) -> PortResult<Option<String>> {
        self.on(url, |repository| Ok(repository.files(commit)?.get(path).cloned()))
    }

    async fn listing(&self, url: &str, commit: &str) -> PortResult<Listing> {
        self.on(url, |repository| {
            let mut listing = Listing::default();
            for (path, text) in repository.files(commit)?.iter().filter(|(path, _)| is_file_listed(path)) {
                if is_manifest(path) {
                    listing.manifests.insert(path.clone(), text.clone());
                }
                listing.files.push(path.clone());
            }
            Ok(listing)
        })
    }

    fn sees_private(&self) -> bool {
        lock(&self.archive).is_some()
    }

    async fn snapshot(&self, url: &str, commit: &str) -> PortResult<Option<Box<dyn Snapshot>>> {
        self.on(url, |repository| repository.files(commit).map(drop))?;
        let pieces = lock(&self.archive).as_mut().map(std::mem::take);
        Ok(pieces.map(|pieces| -> Box<dyn Snapshot> { Box::new(Pieces(pieces.into())) }))
    }
}

/// An archive in pieces; after one that did not come, nothing more does.
struct Pieces(VecDeque<PortResult<Vec<u8>>>);

#[async_trait]
impl Snapshot for Pieces {
    async fn next(&mut self) -> PortResult<Option<Vec<u8>>> {
        self.0.pop_front().transpose()
    }
}
