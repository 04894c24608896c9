//! The wrapped ports: each call asks [`Faults`] for its fate and is passed on accordingly.

use super::{Fault, Faults, apply};
use async_trait::async_trait;
use shared::domain::id::ShardAttempt;
use shared::domain::time::Timestamp;
use shared::ports::{
    Blobs, Document, Key, LaunchOrder, Launcher, LinkTerms, Page, PortResult, Queue, RunnerState, Store,
    UploadLink, UploadTerms, Wake, Write,
};
use std::sync::Arc;

macro_rules! wrapper {
    ($(#[$doc:meta])* $name:ident, $port:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            inner: Arc<dyn $port>,
            faults: Faults,
        }

        impl $name {
            /// Wraps an adapter.
            #[must_use]
            pub fn new(inner: Arc<dyn $port>, faults: Faults) -> Self {
                Self { inner, faults }
            }
        }
    };
}

wrapper!(
    /// A store whose calls may fail.
    FaultyStore, Store
);
wrapper!(
    /// Blobs whose calls may fail.
    FaultyBlobs, Blobs
);
wrapper!(
    /// A queue that may fail, lose, repeat and delay.
    FaultyQueue, Queue
);
wrapper!(
    /// A launcher whose calls may fail.
    FaultyLauncher, Launcher
);

#[async_trait]
impl Store for FaultyStore {
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>> {
        self.faults.around("store", "load", key.to_string(), self.inner.load(key, now)).await
    }

    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> PortResult<Page> {
        let call = self.inner.query(partition, prefix, after, limit, now);
        self.faults.around("store", "query", format!("{partition}/{prefix}"), call).await
    }

    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        let call = self.inner.query_index(name, upto, limit);
        self.faults.around("store", "query_index", name.to_owned(), call).await
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        let subject = writes.first().map_or_else(|| "nothing".to_owned(), |write| write.key.to_string());
        self.faults.around("store", "commit", subject, self.inner.commit(writes)).await
    }
}

#[async_trait]
impl Blobs for FaultyBlobs {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        self.faults.around("blobs", "put", key.to_owned(), self.inner.put(key, bytes)).await
    }

    async fn put_absent(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        self.faults.around("blobs", "put_absent", key.to_owned(), self.inner.put_absent(key, bytes)).await
    }

    async fn compose(&self, key: &str, pieces: Vec<String>) -> PortResult<()> {
        self.faults.around("blobs", "compose", key.to_owned(), self.inner.compose(key, pieces)).await
    }

    async fn fetch(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Vec<u8>> {
        self.faults.around("blobs", "fetch", key.to_owned(), self.inner.fetch(key, range)).await
    }

    async fn list(&self, prefix: &str) -> PortResult<Vec<String>> {
        self.faults.around("blobs", "list", prefix.to_owned(), self.inner.list(prefix)).await
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        self.faults.around("blobs", "delete", key.to_owned(), self.inner.delete(key)).await
    }

    async fn link(&self, key: &str, terms: &LinkTerms) -> PortResult<Option<String>> {
        self.faults.around("blobs", "link", key.to_owned(), self.inner.link(key, terms)).await
    }

    async fn upload_link(&self, key: &str, terms: &UploadTerms) -> PortResult<Option<UploadLink>> {
        let inner = self.inner.upload_link(key, terms);
        self.faults.around("blobs", "upload_link", key.to_owned(), inner).await
    }
}

#[async_trait]
impl Queue for FaultyQueue {
    async fn send(&self, wake: Wake, delay_ms: u64) -> PortResult<()> {
        let subject = format!("{:?} {}", wake.topic, wake.run);
        let fault = self.faults.next("queue", "send", &subject);
        let (copies, more_ms) = match fault {
            Fault::Drop => (0, 0),
            Fault::Duplicate => (2, 0),
            Fault::Delay(more_ms) => (1, more_ms),
            Fault::Pass | Fault::FailBefore | Fault::FailAfter => (1, 0),
        };
        let deliver = async {
            for _ in 0..copies {
                self.inner.send(wake, delay_ms.saturating_add(more_ms)).await?;
            }
            Ok(())
        };
        apply(fault, ("queue", "send"), &subject, deliver).await
    }
}

#[async_trait]
impl Launcher for FaultyLauncher {
    async fn launch(&self, order: &LaunchOrder) -> PortResult<String> {
        self.faults.around("launcher", "launch", order.shard.to_string(), self.inner.launch(order)).await
    }

    async fn describe(&self, shard: &ShardAttempt) -> PortResult<RunnerState> {
        self.faults.around("launcher", "describe", shard.to_string(), self.inner.describe(shard)).await
    }

    async fn stop(&self, shard: &ShardAttempt) -> PortResult<()> {
        self.faults.around("launcher", "stop", shard.to_string(), self.inner.stop(shard)).await
    }
}
