//! A little memory for blobs that never change: the pages, indexes and key tables of finished runs.
//!
//! It is a wrapper around the real blobs, so nobody above or below knows of it. What is read most lately stays; the
//! bytes kept are bounded. A blob that is missing is not remembered: it may come.

use async_trait::async_trait;
use foldhash::fast::RandomState;
use shared::ports::{Blobs, LinkTerms, PortResult};
use shared::recent::Recent;
use shared::service::Services;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Half of what is kept at most, in bytes.
const HALF_BYTES: usize = 24 * 1024 * 1024;
/// A blob that is larger than this is not kept.
const BLOB_BYTES: usize = 2 * 1024 * 1024;

/// The services with a shelf before their blobs.
pub(super) fn with_shelf(services: &Services) -> Services {
    let kept = Mutex::new(Recent::new(HALF_BYTES));
    let shelf = Shelf { blobs: Arc::clone(&services.blobs), kept };
    Services { blobs: Arc::new(shelf), ..services.clone() }
}

/// Which part of which blob.
type Wanted = (String, Option<(u64, u64)>);

#[derive(Debug)]
struct Shelf {
    blobs: Arc<dyn Blobs>,
    kept: Mutex<Recent<Wanted, Arc<[u8]>, RandomState>>,
}

/// Records are read one at a time and rarely twice.
fn worth_keeping(key: &str) -> bool {
    key.contains("/cases/")
        && std::path::Path::new(key).extension().is_none_or(|extension| extension != "records")
}

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Recent<Wanted, Arc<[u8]>, RandomState>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Blobs for Shelf {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        self.blobs.put(key, bytes).await
    }

    async fn put_absent(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        self.blobs.put_absent(key, bytes).await
    }

    async fn compose(&self, key: &str, pieces: Vec<String>) -> PortResult<()> {
        self.blobs.compose(key, pieces).await
    }

    async fn fetch(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Vec<u8>> {
        if !worth_keeping(key) {
            return self.blobs.fetch(key, range).await;
        }
        let wanted = (key.to_owned(), range);
        let kept = self.kept().look(&wanted, Arc::clone);
        if let Some(bytes) = kept {
            return Ok(bytes.to_vec());
        }
        let bytes = self.blobs.fetch(key, range).await?;
        if bytes.len() <= BLOB_BYTES {
            self.kept().put(wanted, bytes.len(), bytes.as_slice().into());
        }
        Ok(bytes)
    }

    async fn list(&self, prefix: &str) -> PortResult<Vec<String>> {
        self.blobs.list(prefix).await
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        self.blobs.delete(key).await
    }

    async fn link(&self, key: &str, terms: &LinkTerms) -> PortResult<Option<String>> {
        self.blobs.link(key, terms).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_never_changes_is_kept() {
        for key in ["runs/r/cases/index.json", "runs/r/cases/keys-00000", "runs/r/cases/rest-00000.rows"] {
            assert!(worth_keeping(key), "{key}");
        }
        for key in ["runs/r/cases/rest-00000.records", "runs/r/report.json", "runs/r/jobs/00001/logs/x.log"] {
            assert!(!worth_keeping(key), "{key}");
        }
    }
}
