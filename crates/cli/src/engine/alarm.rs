//! Keeps an eye on where a run's state is kept: what will not work again ends the run at once.
//!
//! Most writes are made for runners, which can only try again; without this a full disk would be found out when
//! the last of them has lost its patience.

use async_trait::async_trait;
use shared::domain::time::Timestamp;
use shared::ports::{
    Blobs, Document, Key, LinkTerms, Page, PortError, PortResult, Store, UploadLink, UploadTerms, Write,
};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The first lasting error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alarm {
    error: Arc<Mutex<Option<PortError>>>,
    bell: Arc<Notify>,
}

impl Alarm {
    /// Waits for a lasting error.
    pub(super) async fn raised(&self) -> PortError {
        loop {
            let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).take();
            match error {
                Some(error) => return error,
                None => self.bell.notified().await,
            }
        }
    }

    fn heed<T>(&self, result: PortResult<T>) -> PortResult<T> {
        let lasting = match &result {
            Err(PortError::Denied { port, subject, reason }) => {
                PortError::Denied { port, subject: subject.clone(), reason: reason.clone() }
            }
            Err(PortError::Corrupt { port, subject, reason }) => {
                PortError::Corrupt { port, subject: subject.clone(), reason: reason.clone() }
            }
            _ => return result,
        };
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(lasting);
        self.bell.notify_one();
        result
    }
}

/// A place that is watched.
#[derive(Debug)]
pub(super) struct Watched<T> {
    /// The place.
    pub(super) inner: Arc<T>,
    /// What is raised.
    pub(super) alarm: Alarm,
}

#[async_trait]
impl<T: Store> Store for Watched<T> {
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>> {
        self.alarm.heed(self.inner.load(key, now).await)
    }

    async fn load_many(&self, keys: &[Key], now: Timestamp) -> PortResult<Vec<Option<Document>>> {
        self.alarm.heed(self.inner.load_many(keys, now).await)
    }

    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> PortResult<Page> {
        self.alarm.heed(self.inner.query(partition, prefix, after, limit, now).await)
    }

    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        self.alarm.heed(self.inner.query_index(name, upto, limit).await)
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        self.alarm.heed(self.inner.commit(writes).await)
    }
}

#[async_trait]
impl<T: Blobs> Blobs for Watched<T> {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        self.alarm.heed(self.inner.put(key, bytes).await)
    }

    async fn put_absent(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        self.alarm.heed(self.inner.put_absent(key, bytes).await)
    }

    async fn compose(&self, key: &str, pieces: Vec<String>) -> PortResult<()> {
        self.alarm.heed(self.inner.compose(key, pieces).await)
    }

    async fn fetch(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Vec<u8>> {
        self.alarm.heed(self.inner.fetch(key, range).await)
    }

    async fn list(&self, prefix: &str) -> PortResult<Vec<String>> {
        self.alarm.heed(self.inner.list(prefix).await)
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        self.alarm.heed(self.inner.delete(key).await)
    }

    async fn link(&self, key: &str, terms: &LinkTerms) -> PortResult<Option<String>> {
        self.alarm.heed(self.inner.link(key, terms).await)
    }

    async fn upload_link(&self, key: &str, terms: &UploadTerms) -> PortResult<Option<UploadLink>> {
        self.alarm.heed(self.inner.upload_link(key, terms).await)
    }
}
