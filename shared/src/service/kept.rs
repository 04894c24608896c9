//! Blobs that never change once they are there, remembered by whoever has seen them.
//!
//! It is a wrapper around the real blobs. What is remembered is right in however many processes at once, because it is
//! the same for ever; a blob that is missing is not remembered, because it may come.

use super::entries::is_entries;
use super::submit::is_spec;
use crate::ports::{Blobs, LinkTerms, PortResult, UploadLink, UploadTerms};
use crate::recent::Recent;
use async_trait::async_trait;
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is read of a blob that is larger than this part of all that is kept is read each time.
const BLOB_PARTS: usize = 4;

/// Which blobs are worth keeping.
pub type Worth = fn(&str) -> bool;
/// Which part of which blob.
type Wanted = (String, Option<(u64, u64)>);

/// Blobs before which those that never change are kept.
#[derive(Debug)]
pub struct KeptBlobs<S = RandomState> {
    blobs: Arc<dyn Blobs>,
    worth: Worth,
    largest_bytes: usize,
    /// Whether what is put is kept, too: who puts it will want it.
    keeps_put: bool,
    kept: Mutex<Recent<Wanted, Arc<[u8]>, S>>,
}

impl KeptBlobs {
    /// Keeps specs of runs and entries of queues, in at most twice `half_bytes`.
    #[must_use]
    pub fn new(blobs: Arc<dyn Blobs>, half_bytes: usize) -> Self {
        let kept = Self::of(blobs, half_bytes, |key| is_spec(key) || is_entries(key));
        Self { keeps_put: true, ..kept }
    }

    pub(crate) fn of(blobs: Arc<dyn Blobs>, half_bytes: usize, worth: Worth) -> Self {
        Self::with_limits(blobs, (half_bytes, half_bytes / BLOB_PARTS), worth)
    }
}

impl<S: BuildHasher + Default> KeptBlobs<S> {
    /// Keeps what is worth it: in at most twice `half_bytes`, and nothing that is longer than `largest_bytes`.
    #[must_use]
    pub fn with_limits(
        blobs: Arc<dyn Blobs>,
        (half_bytes, largest_bytes): (usize, usize),
        worth: Worth,
    ) -> Self {
        Self { blobs, worth, largest_bytes, keeps_put: false, kept: Mutex::new(Recent::new(half_bytes)) }
    }

    fn kept(&self) -> MutexGuard<'_, Recent<Wanted, Arc<[u8]>, S>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<S: BuildHasher + Default + Debug + Send> Blobs for KeptBlobs<S> {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        let worth_it = self.keeps_put && (self.worth)(key) && bytes.len() <= self.largest_bytes;
        let kept: Option<Arc<[u8]>> = worth_it.then(|| bytes.as_slice().into());
        self.blobs.put(key, bytes).await?;
        if let Some(kept) = kept {
            self.kept().put((key.to_owned(), None), kept.len(), kept);
        }
        Ok(())
    }

    async fn put_absent(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        self.blobs.put_absent(key, bytes).await
    }

    async fn compose(&self, key: &str, pieces: Vec<String>) -> PortResult<()> {
        self.blobs.compose(key, pieces).await
    }

    async fn fetch(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Vec<u8>> {
        if !(self.worth)(key) {
            return self.blobs.fetch(key, range).await;
        }
        let wanted = (key.to_owned(), range);
        let kept = self.kept().look(&wanted, Arc::clone);
        if let Some(bytes) = kept {
            return Ok(bytes.to_vec());
        }
        let bytes = self.blobs.fetch(key, range).await?;
        if bytes.len() <= self.largest_bytes {
            self.kept().put(wanted, bytes.len(), bytes.as_slice().into());
        }
        Ok(bytes)
    }

    async fn list(&self, prefix: &str) -> PortResult<Vec<String>> {
        self.blobs.list(prefix).await
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        self.kept().remove(&(key.to_owned(), None));
        self.blobs.delete(key).await
    }

    async fn link(&self, key: &str, terms: &LinkTerms) -> PortResult<Option<String>> {
        self.blobs.link(key, terms).await
    }

    async fn upload_link(&self, key: &str, terms: &UploadTerms) -> PortResult<Option<UploadLink>> {
        self.blobs.upload_link(key, terms).await
    }
}
