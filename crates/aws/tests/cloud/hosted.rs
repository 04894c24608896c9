//! Adapters whose futures need the sockets and timers of tokio, for suites that poll on any thread.

use crate::hosting::hosted;
use async_trait::async_trait;
use shared::domain::id::ShardAttempt;
use shared::domain::time::Timestamp;
use shared::ports::{
    Blobs, Document, Key, LaunchOrder, Launcher, LinkTerms, Page, PortResult, RunnerState, Store, UploadLink,
    UploadTerms, Write,
};

/// An adapter, every call of which is hosted.
#[derive(Debug)]
pub(crate) struct Hosted<P>(pub(crate) P);

#[async_trait]
impl<P: Store> Store for Hosted<P> {
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>> {
        hosted(self.0.load(key, now)).await
    }

    async fn load_many(&self, keys: &[Key], now: Timestamp) -> PortResult<Vec<Option<Document>>> {
        hosted(self.0.load_many(keys, now)).await
    }

    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> PortResult<Page> {
        hosted(self.0.query(partition, prefix, after, limit, now)).await
    }

    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        hosted(self.0.query_index(name, upto, limit)).await
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        hosted(self.0.commit(writes)).await
    }
}

#[async_trait]
impl<P: Blobs> Blobs for Hosted<P> {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        hosted(self.0.put(key, bytes)).await
    }

    async fn put_absent(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        hosted(self.0.put_absent(key, bytes)).await
    }

    async fn compose(&self, key: &str, pieces: Vec<String>) -> PortResult<()> {
        hosted(self.0.compose(key, pieces)).await
    }

    async fn fetch(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Vec<u8>> {
        hosted(self.0.fetch(key, range)).await
    }

    async fn list(&self, prefix: &str) -> PortResult<Vec<String>> {
        hosted(self.0.list(prefix)).await
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        hosted(self.0.delete(key)).await
    }

    async fn link(&self, key: &str, terms: &LinkTerms) -> PortResult<Option<String>> {
        hosted(self.0.link(key, terms)).await
    }

    async fn upload_link(&self, key: &str, terms: &UploadTerms) -> PortResult<Option<UploadLink>> {
        hosted(self.0.upload_link(key, terms)).await
    }
}

#[async_trait]
impl<P: Launcher> Launcher for Hosted<P> {
    async fn launch(&self, order: &LaunchOrder) -> PortResult<String> {
        hosted(self.0.launch(order)).await
    }

    async fn describe(&self, shard: &ShardAttempt) -> PortResult<RunnerState> {
        hosted(self.0.describe(shard)).await
    }

    async fn stop(&self, shard: &ShardAttempt) -> PortResult<()> {
        hosted(self.0.stop(shard)).await
    }
}
