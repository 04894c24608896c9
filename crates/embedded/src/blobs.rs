//! Blobs of one machine: short ones are rows beside the documents, long ones are files.
//!
//! Most blobs are short (a part of results, a spec, a page), and a file each would cost more than all the rest of a
//! request. A key is a row or a file; while it changes from one to the other it may be both, and then the row counts.
//! Changes of one key take turns.

use crate::files::{FileBlobs, Piece};
use crate::sqlite::SqliteStore;
use async_trait::async_trait;
use shared::ports::limits::{check_blob_key, check_blob_prefix};
use shared::ports::{Blobs, LinkTerms, PortError, PortResult, UploadLink, UploadTerms};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

/// A blob up to this length is a row.
const ROW_BYTES: usize = 64 * 1024;
/// Keys that share a place take turns without need; rare enough.
const PLACES: usize = 64;

/// The blobs of one folder.
#[derive(Debug)]
pub struct LocalBlobs {
    rows: Arc<SqliteStore>,
    files: FileBlobs,
    turns: Vec<Mutex<()>>,
}

impl LocalBlobs {
    /// Rows in `rows`, files in `files`.
    #[must_use]
    pub fn new(rows: Arc<SqliteStore>, files: FileBlobs) -> Self {
        Self { rows, files, turns: (0..PLACES).map(|_| Mutex::new(())).collect() }
    }

    async fn turn(&self, key: &str) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % PLACES as u64).unwrap_or(0);
        match self.turns.get(place) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }

    /// A key whose blob is a file from now on has no row.
    async fn is_file(&self, key: &str) -> PortResult<()> {
        if self.rows.holds_blob(key).await? { self.rows.delete_blob(key).await } else { Ok(()) }
    }
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        check_blob_key(key)?;
        let _turn = self.turn(key).await;
        if bytes.len() > ROW_BYTES {
            self.files.put(key, bytes).await?;
            return self.is_file(key).await;
        }
        self.rows.put_blob(key, bytes, false).await?;
        if self.files.holds(key)? { self.files.delete(key).await } else { Ok(()) }
    }

    async fn link(&self, _key: &str, _terms: &LinkTerms) -> PortResult<Option<String>> {
        Ok(None)
    }

    async fn upload_link(&self, _key: &str, _terms: &UploadTerms) -> PortResult<Option<UploadLink>> {
        Ok(None)
    }

    async fn put_absent(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        check_blob_key(key)?;
        let _turn = self.turn(key).await;
        let taken = || PortError::AlreadyExists { port: "blobs", subject: key.to_owned() };
        if bytes.len() > ROW_BYTES {
            let held = self.rows.holds_blob(key).await?;
            return if held { Err(taken()) } else { self.files.put_absent(key, bytes).await };
        }
        if self.files.holds(key)? { Err(taken()) } else { self.rows.put_blob(key, bytes, true).await }
    }

    async fn compose(&self, key: &str, pieces: Vec<String>) -> PortResult<()> {
        check_blob_key(key)?;
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            check_blob_key(&piece)?;
            parts.push(match self.rows.blob(&piece, None).await? {
                Some(bytes) => Piece::Bytes(bytes),
                None => Piece::File(piece),
            });
        }
        let _turn = self.turn(key).await;
        self.files.join(key, parts).await?;
        self.is_file(key).await
    }

    async fn fetch(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Vec<u8>> {
        check_blob_key(key)?;
        if let Some(bytes) = self.rows.blob(key, range).await? {
            return Ok(bytes);
        }
        match self.files.fetch(key, range).await {
            // It may have become a row in between.
            Err(PortError::NotFound { port, subject }) => {
                self.rows.blob(key, range).await?.ok_or(PortError::NotFound { port, subject })
            }
            fetched => fetched,
        }
    }

    async fn list(&self, prefix: &str) -> PortResult<Vec<String>> {
        check_blob_prefix(prefix)?;
        let files = self.files.list(prefix).await?;
        let mut keys: BTreeSet<String> = self.rows.blob_keys(prefix).await?.into_iter().collect();
        keys.extend(files);
        Ok(keys.into_iter().collect())
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        check_blob_key(key)?;
        let _turn = self.turn(key).await;
        self.is_file(key).await?;
        if self.files.holds(key)? { self.files.delete(key).await } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemClock;
    use tempfile::TempDir;
    use testkit::contract::block_on;

    fn fresh() -> (LocalBlobs, TempDir) {
        let folder = TempDir::new().unwrap();
        let store =
            SqliteStore::open(&folder.path().join("state.db"), Arc::new(SystemClock::default())).unwrap();
        let files = FileBlobs::open(folder.path().join("blobs")).unwrap();
        (LocalBlobs::new(Arc::new(store), files), folder)
    }

    testkit::blobs_contract!(local_blobs, fresh());

    #[test]
    fn a_blob_is_found_whether_it_is_short_or_long_and_when_it_changes() {
        let (blobs, _folder) = fresh();
        let (short, long) = (vec![1; ROW_BYTES], vec![2; ROW_BYTES + 1]);
        for bytes in [&short, &long, &short, &long] {
            block_on(blobs.put("a/b", bytes.clone())).unwrap();
            assert_eq!(&block_on(blobs.fetch("a/b", None)).unwrap(), bytes);
            assert_eq!(block_on(blobs.fetch("a/b", Some((1, 3)))).unwrap(), bytes[1..3]);
            assert_eq!(block_on(blobs.list("a/")).unwrap(), ["a/b"]);
            for other in [&short, &long] {
                let refused = block_on(blobs.put_absent("a/b", other.clone()));
                assert!(matches!(refused, Err(PortError::AlreadyExists { .. })), "{refused:?}");
            }
        }
        block_on(blobs.put("a/c", short.clone())).unwrap();
        block_on(blobs.compose("a/b", vec!["a/b".to_owned(), "a/c".to_owned()])).unwrap();
        assert_eq!(block_on(blobs.fetch("a/b", None)).unwrap(), [long, short].concat());
        block_on(blobs.delete("a/b")).unwrap();
        assert!(matches!(block_on(blobs.fetch("a/b", None)), Err(PortError::NotFound { .. })));
    }

    #[test]
    fn short_blobs_make_no_files_and_outlive_their_adapter() {
        let (blobs, folder) = fresh();
        block_on(blobs.put("a/b", b"kept".to_vec())).unwrap();
        drop(blobs);
        assert_eq!(std::fs::read_dir(folder.path().join("blobs")).unwrap().count(), 0);
        let store =
            SqliteStore::open(&folder.path().join("state.db"), Arc::new(SystemClock::default())).unwrap();
        let files = FileBlobs::open(folder.path().join("blobs")).unwrap();
        let again = LocalBlobs::new(Arc::new(store), files);
        assert_eq!(block_on(again.fetch("a/b", None)).unwrap(), b"kept");
    }
}
