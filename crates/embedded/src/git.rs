//! The forge of one machine: the git command, and a folder with shallow copies of what was looked up.
//!
//! Addresses and references are checked before git sees them, and git runs hardened (`domain::git`): no program, hook,
//! filter or setting of a repository has any effect, because nothing is ever checked out. A repository that cannot be
//! reached is left alone for a few seconds, so that many waiting runs do not wait for the same silence one by one.

mod child;
mod copy;

use async_trait::async_trait;
use copy::LocalCopy;
use shared::domain::address::{Reference, Remote};
use shared::domain::detect::Listing;
use shared::ports::forge::{Forge, Resolved};
use shared::ports::{PortError, PortResult};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

const PORT: &str = "forge";
/// So many calls of git at once.
const AT_ONCE: usize = 4;
/// A repository that could not be reached is not asked again for so long.
const SILENCE: Duration = Duration::from_secs(5);

/// What the forge may use.
#[derive(Debug, Clone, Default)]
pub struct GitConfig {
    /// Where copies are kept; may be emptied whenever nothing runs.
    pub folder: PathBuf,
    /// Variables that git gets for every transport, as in `PATH` and proxies.
    pub environment: BTreeMap<String, OsString>,
    /// Variables that only ssh gets, as in `HOME` and `SSH_AUTH_SOCK`: by them it finds its keys.
    pub ssh_environment: BTreeMap<String, OsString>,
    /// Whether an absolute path on this machine is an address. For one's own machine only: whoever may register a
    /// project can then read every repository that this process can.
    pub allow_local: bool,
}

/// Where commits come from; checked.
#[derive(Debug, Clone)]
enum Origin {
    Remote(Remote),
    Local(PathBuf),
}

impl Origin {
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
}

/// Repositories by the git command.
#[derive(Debug)]
pub struct GitForge {
    shared: Arc<Shared>,
    room: Semaphore,
}

#[derive(Debug)]
struct Shared {
    config: GitConfig,
    repositories: Mutex<BTreeMap<String, Arc<Mutex<Known>>>>,
}

/// What is known of one repository; held while git works on its copy.
#[derive(Debug, Default)]
struct Known {
    silent: Option<(Instant, String)>,
}

impl GitForge {
    /// A forge; nothing is started or written yet.
    #[must_use]
    pub fn new(config: GitConfig) -> Self {
        let shared = Shared { config, repositories: Mutex::default() };
        Self { shared: Arc::new(shared), room: Semaphore::new(AT_ONCE) }
    }

    fn origin(&self, url: &str) -> PortResult<Origin> {
        let path = Path::new(url);
        if self.shared.config.allow_local && path.is_absolute() && !url.chars().any(char::is_control) {
            return Ok(Origin::Local(path.to_owned()));
        }
        Remote::parse(url).map(Origin::Remote).map_err(|error| denied(url, error.to_string()))
    }

    /// Does `work` on the copy of a repository, on a thread of its own.
    async fn on_copy<T: Send + 'static>(
        &self,
        url: &str,
        work: impl FnOnce(&LocalCopy<'_>) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        let origin = self.origin(url)?;
        let gone = |_| away(url, "the program is ending".to_owned());
        let _place = self.room.acquire().await.map_err(gone)?;
        let (sender, receiver) = oneshot::channel();
        let (shared, subject) = (Arc::clone(&self.shared), url.to_owned());
        let started = std::thread::Builder::new().name(PORT.to_owned()).spawn(move || {
            // Nobody waits any more if the run was given up.
            drop(sender.send(shared.work(&subject, &origin, work)));
        });
        started.map_err(|error| away(url, format!("no thread to look it up: {error}")))?;
        receiver.await.unwrap_or_else(|_| Err(away(url, "looking it up ended without an answer".to_owned())))
    }
}

impl Shared {
    fn work<T>(
        &self,
        url: &str,
        origin: &Origin,
        work: impl FnOnce(&LocalCopy<'_>) -> PortResult<T>,
    ) -> PortResult<T> {
        let known = {
            let mut all = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(url.to_owned()).or_default())
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, reason)) = &known.silent
            && since.elapsed() < SILENCE
        {
            return Err(away(url, reason.clone()));
        }
        let done = work(&LocalCopy::new(&self.config, url, origin));
        known.silent = match &done {
            Err(PortError::Unavailable { reason, .. }) => Some((Instant::now(), reason.clone())),
            Ok(_) | Err(_) => None,
        };
        done
    }
}

#[async_trait]
impl Forge for GitForge {
    fn check(&self, url: &str) -> PortResult<()> {
        self.origin(url).map(drop)
    }

    async fn resolve(&self, url: &str, reference: &str) -> PortResult<Resolved> {
        let reference = Reference::parse(reference).map_err(|error| denied(reference, error.to_string()))?;
        self.on_copy(url, move |copy| {
            if reference.is_commit() {
                let commit = copy.ensure(reference.as_str())?;
                return Ok(Resolved { commit, branch: None });
            }
            copy.find(&reference)
        })
        .await
    }

    async fn file(&self, url: &str, commit: &str, path: &str) -> PortResult<Option<String>> {
        let (commit, path) = (whole(commit)?, path.to_owned());
        self.on_copy(url, move |copy| copy.file(&copy.ensure(&commit)?, &path)).await
    }

    async fn listing(&self, url: &str, commit: &str) -> PortResult<Listing> {
        let commit = whole(commit)?;
        self.on_copy(url, move |copy| copy.listing(&copy.ensure(&commit)?)).await
    }
}

fn whole(commit: &str) -> PortResult<String> {
    let sound = Reference::parse(commit).is_ok_and(|reference| reference.is_commit());
    if sound { Ok(commit.to_owned()) } else { Err(denied(commit, "it is no whole commit id".to_owned())) }
}

fn denied(subject: &str, reason: String) -> PortError {
    PortError::Denied { port: PORT, subject: subject.to_owned(), reason }
}

fn away(subject: &str, reason: String) -> PortError {
    PortError::Unavailable { port: PORT, subject: subject.to_owned(), reason }
}

#[cfg(test)]
mod tests;
