//! Blobs that never change once they are there, remembered by whoever has seen them.
//!
//! It is a wrapper around the real blobs. What is remembered is right in however many processes at once, because it is
//! the same for ever; a blob that is missing is not remembered, because it may come.

use super::entries::is_entries;
use super::submit::is_spec;
use crate::ports::{Blobs, LinkTerms, PortResult};
use crate::recent::Recent;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A blob that is larger than this part of all that is kept is read each time.
const BLOB_PARTS: usize = 4;

/// Which blobs are worth keeping.
pub(crate) type Worth = fn(&str) -> bool;

/// Blobs before which those that never change are kept.
#[derive(Debug)]
pub struct KeptBlobs {
    blobs: Arc<dyn Blobs>,
    worth: Worth,
    half_bytes: usize,
    kept: Mutex<Recent<String, Arc<[u8]>>>,
}

impl KeptBlobs {
    /// Keeps specs of runs and entries of queues, in at most twice `half_bytes`.
    #[must_use]
    pub fn new(blobs: Arc<dyn Blobs>, half_bytes: usize) -> Self {
        Self::of(blobs, half_bytes, |key| is_spec(key) || is_entries(key))
    }

    /// Keeps what is worth it.
    pub(crate) fn of(blobs: Arc<dyn Blobs>, half_bytes: usize, worth: Worth) -> Self {
        Self { blobs, worth, half_bytes, kept: Mutex::new(Recent::new(half_bytes)) }
    }

    fn kept(&self) -> MutexGuard<'_, Recent<String, Arc<[u8]>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, key: &str, bytes: &[u8]) {
        if (self.worth)(key) && bytes.len() <= self.half_bytes / BLOB_PARTS {
            self.kept().put(key.to_owned(), bytes.len(), bytes.into());
        }
    }
}

#[async_trait]
impl Blobs for KeptBlobs {
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
        if range.is_some() || !(self.worth)(key) {
            return self.blobs.fetch(key, range).await;
        }
        let kept = self.kept().look(&key.to_owned(), Arc::clone);
        if let Some(bytes) = kept {
            return Ok(bytes.to_vec());
        }
        let bytes = self.blobs.fetch(key, None).await?;
        self.keep(key, &bytes);
        Ok(bytes)
    }

    async fn list(&self, prefix: &str) -> PortResult<Vec<String>> {
        self.blobs.list(prefix).await
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        self.kept().remove(&key.to_owned());
        self.blobs.delete(key).await
    }

    async fn link(&self, key: &str, terms: &LinkTerms) -> PortResult<Option<String>> {
        self.blobs.link(key, terms).await
    }
}
