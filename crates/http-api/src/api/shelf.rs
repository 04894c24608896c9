//! A little memory for blobs that never change: the pages, indexes and key tables of finished runs.
//!
//! It is a wrapper around the real blobs, so nobody above or below knows of it. What is read most lately stays; the
//! bytes kept are bounded. A blob that is missing is not remembered: it may come.

use async_trait::async_trait;
use shared::ports::{Blobs, LinkTerms, PortResult};
use shared::service::Services;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most bytes kept.
const SHELF_BYTES: usize = 32 * 1024 * 1024;
/// A blob that is larger than this is not kept.
const BLOB_BYTES: usize = 2 * 1024 * 1024;

/// The services with a shelf before their blobs.
pub(super) fn with_shelf(services: &Services) -> Services {
    let shelf = Shelf { blobs: Arc::clone(&services.blobs), kept: Mutex::default() };
    Services { blobs: Arc::new(shelf), ..services.clone() }
}

/// Which part of which blob.
type Wanted = (String, Option<(u64, u64)>);

#[derive(Debug, Default)]
struct Kept {
    parts: BTreeMap<Wanted, (u64, Arc<[u8]>)>,
    /// The same by the time of the last look.
    looks: BTreeMap<u64, Wanted>,
    clock: u64,
    bytes: usize,
}

impl Kept {
    fn look(&mut self, wanted: &Wanted) -> Option<Arc<[u8]>> {
        self.clock += 1;
        let (look, bytes) = self.parts.get_mut(wanted)?;
        self.looks.remove(look);
        *look = self.clock;
        self.looks.insert(self.clock, wanted.clone());
        Some(Arc::clone(bytes))
    }

    fn keep(&mut self, wanted: Wanted, bytes: &[u8]) {
        if bytes.len() > BLOB_BYTES || self.parts.contains_key(&wanted) {
            return;
        }
        self.clock += 1;
        self.bytes += bytes.len();
        self.looks.insert(self.clock, wanted.clone());
        self.parts.insert(wanted, (self.clock, bytes.into()));
        while self.bytes > SHELF_BYTES {
            let Some((_, oldest)) = self.looks.pop_first() else { return };
            if let Some((_, gone)) = self.parts.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(gone.len());
            }
        }
    }
}

#[derive(Debug)]
struct Shelf {
    blobs: Arc<dyn Blobs>,
    kept: Mutex<Kept>,
}

/// Records are read one at a time and rarely twice.
fn worth_keeping(key: &str) -> bool {
    key.contains("/cases/")
        && std::path::Path::new(key).extension().is_none_or(|extension| extension != "records")
}

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Kept> {
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
        let kept = self.kept().look(&wanted);
        if let Some(bytes) = kept {
            return Ok(bytes.to_vec());
        }
        let bytes = self.blobs.fetch(key, range).await?;
        self.kept().keep(wanted, &bytes);
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
    fn what_was_looked_at_last_stays_and_the_bytes_are_bounded() {
        let mut kept = Kept::default();
        let part = |number: usize| (format!("runs/r/cases/{number}"), None);
        let blob = vec![7; 1024 * 1024];
        for number in 0..100 {
            kept.keep(part(number), &blob);
            assert!(kept.look(&part(0)).is_some(), "{number}");
            assert!(kept.bytes <= SHELF_BYTES && kept.looks.len() == kept.parts.len());
        }
        assert_eq!((kept.bytes, kept.parts.len()), (SHELF_BYTES, 32));
        assert!(kept.look(&part(1)).is_none() && kept.look(&part(99)).is_some());
        kept.keep(part(200), &vec![0; BLOB_BYTES + 1]);
        assert!(kept.look(&part(200)).is_none());
    }

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
