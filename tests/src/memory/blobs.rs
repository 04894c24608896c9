//! `Blobs` in an ordered map.

use super::lock;
use async_trait::async_trait;
use shared::ports::limits::{check_blob_key, check_blob_prefix};
use shared::ports::{Blobs, LinkTerms, PortError, PortResult, UploadLink, UploadTerms};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// What an address for an upload begins with; its key follows.
pub const UPLOAD_SCHEME: &str = "memory:";

/// Blobs in memory.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    uploads: AtomicBool,
}

impl MemoryBlobs {
    /// From now on there are addresses for uploads. Whoever has one puts its bytes by hand.
    pub fn allow_uploads(&self) {
        self.uploads.store(true, Ordering::SeqCst);
    }
}

/// The part of `bytes` that a range names, cut at the end.
fn part(bytes: &[u8], range: Option<(u64, u64)>) -> Vec<u8> {
    let Some((from, to)) = range else { return bytes.to_vec() };
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(place(from)..place(to)).unwrap_or_default().to_vec()
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        check_blob_key(key)?;
        lock(&self.blobs).insert(key.to_owned(), bytes);
        Ok(())
    }

    async fn put_absent(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        check_blob_key(key)?;
        match lock(&self.blobs).entry(key.to_owned()) {
            Entry::Occupied(_) => Err(PortError::AlreadyExists { port: "blobs", subject: key.to_owned() }),
            Entry::Vacant(free) => {
                free.insert(bytes);
                Ok(())
            }
        }
    }

    async fn compose(&self, key: &str, pieces: Vec<String>) -> PortResult<()> {
        check_blob_key(key)?;
        let mut blobs = lock(&self.blobs);
        let mut whole = Vec::new();
        for piece in pieces {
            let missing = || PortError::NotFound { port: "blobs", subject: piece.clone() };
            whole.extend_from_slice(blobs.get(&piece).ok_or_else(missing)?);
        }
        blobs.insert(key.to_owned(), whole);
        Ok(())
    }

    async fn fetch(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Vec<u8>> {
        check_blob_key(key)?;
        let blobs = lock(&self.blobs);
        let missing = || PortError::NotFound { port: "blobs", subject: key.to_owned() };
        blobs.get(key).map(|bytes| part(bytes, range)).ok_or_else(missing)
    }

    async fn list(&self, prefix: &str) -> PortResult<Vec<String>> {
        check_blob_prefix(prefix)?;
        let blobs = lock(&self.blobs);
        let from = blobs.range(prefix.to_owned()..).map(|(key, _)| key);
        Ok(from.take_while(|key| key.starts_with(prefix)).cloned().collect())
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        check_blob_key(key)?;
        lock(&self.blobs).remove(key);
        Ok(())
    }

    async fn link(&self, _key: &str, _terms: &LinkTerms) -> PortResult<Option<String>> {
        Ok(None)
    }

    async fn upload_link(&self, key: &str, terms: &UploadTerms) -> PortResult<Option<UploadLink>> {
        check_blob_key(key)?;
        let headers = vec![("x-size".to_owned(), terms.size_bytes.to_string())];
        let link = UploadLink { url: format!("{UPLOAD_SCHEME}{key}"), headers };
        Ok(self.uploads.load(Ordering::SeqCst).then_some(link))
    }
}
