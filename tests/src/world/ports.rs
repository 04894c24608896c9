//! Ports of the world: each call lets others go first, so that two uses of a service meet between any two calls.
//!
//! Faults are the wrappers of [`crate::fault`]; these stand around them. The store also says which documents
//! were written, and the queue turns a wake into a call of the service, as a deployment's wiring does.

use super::{Hub, Owner};
use async_trait::async_trait;
use shared::domain::id::{RunId, ShardAttempt};
use shared::domain::time::Timestamp;
use shared::ports::{
    Blobs, Document, Key, LaunchOrder, Launcher, LinkTerms, Notice, Observer, Page, PortResult, Queue,
    RunnerState, Store, UploadLink, UploadTerms, Wake, Write,
};
use shared::service::Services;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// A port behind which others get a turn.
#[derive(Debug, Clone)]
pub struct Turning<P: ?Sized> {
    hub: Arc<Hub>,
    inner: Arc<P>,
}

impl<P: ?Sized> Turning<P> {
    /// Wraps a port.
    #[must_use]
    pub fn new(hub: Arc<Hub>, inner: Arc<P>) -> Self {
        Self { hub, inner }
    }
}

/// Innermost: tells the hub what was written.
#[derive(Debug)]
pub struct Watched<P: ?Sized> {
    hub: Arc<Hub>,
    inner: Arc<P>,
}

impl<P: ?Sized> Watched<P> {
    /// Wraps a port.
    #[must_use]
    pub fn new(hub: Arc<Hub>, inner: Arc<P>) -> Self {
        Self { hub, inner }
    }
}

#[async_trait]
impl Store for Watched<dyn Store> {
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>> {
        self.inner.load(key, now).await
    }

    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> PortResult<Page> {
        self.inner.query(partition, prefix, after, limit, now).await
    }

    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        self.inner.query_index(name, upto, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        let keys: Vec<Key> = writes.iter().map(|write| write.key.clone()).collect();
        let answer = self.inner.commit(writes).await;
        self.hub.note(|| {
            let names: Vec<&str> = keys.iter().map(|key| key.sort.as_str()).collect();
            format!("commit {} {}", names.join(" "), if answer.is_ok() { "ok" } else { "refused" })
        });
        if answer.is_ok() {
            self.hub.changed(keys);
        }
        answer
    }
}

#[async_trait]
impl Store for Turning<dyn Store> {
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>> {
        self.hub.pace().await;
        self.inner.load(key, now).await
    }

    async fn load_many(&self, keys: &[Key], now: Timestamp) -> PortResult<Vec<Option<Document>>> {
        // Where calls take their time this is one. Elsewhere they are what they may be anywhere: read one after the other.
        let at_once = self.hub.calls_take_time();
        if at_once {
            self.hub.pace().await;
        }
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(if at_once { self.inner.load(key, now).await? } else { self.load(key, now).await? });
        }
        Ok(found)
    }

    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> PortResult<Page> {
        self.hub.pace().await;
        self.inner.query(partition, prefix, after, limit, now).await
    }

    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        self.hub.pace().await;
        self.inner.query_index(name, upto, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        self.hub.pace().await;
        self.inner.commit(writes).await
    }
}

#[async_trait]
impl Blobs for Turning<dyn Blobs> {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        self.hub.pace().await;
        self.hub.note(|| format!("put {key}"));
        self.inner.put(key, bytes).await
    }

    async fn put_absent(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        self.hub.pace().await;
        self.inner.put_absent(key, bytes).await
    }

    async fn compose(&self, key: &str, pieces: Vec<String>) -> PortResult<()> {
        self.hub.pace().await;
        self.hub.note(|| format!("compose {key}"));
        self.inner.compose(key, pieces).await
    }

    async fn fetch(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Vec<u8>> {
        self.hub.pace().await;
        self.inner.fetch(key, range).await
    }

    async fn list(&self, prefix: &str) -> PortResult<Vec<String>> {
        self.hub.pace().await;
        self.inner.list(prefix).await
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        self.hub.pace().await;
        self.inner.delete(key).await
    }

    async fn link(&self, key: &str, terms: &LinkTerms) -> PortResult<Option<String>> {
        self.hub.pace().await;
        self.inner.link(key, terms).await
    }

    async fn upload_link(&self, key: &str, terms: &UploadTerms) -> PortResult<Option<UploadLink>> {
        self.hub.pace().await;
        self.inner.upload_link(key, terms).await
    }
}

#[async_trait]
impl Launcher for Turning<dyn Launcher> {
    async fn launch(&self, order: &LaunchOrder) -> PortResult<String> {
        self.hub.pace().await;
        let answer = self.inner.launch(order).await;
        self.hub.pace().await;
        answer
    }

    async fn describe(&self, shard: &ShardAttempt) -> PortResult<RunnerState> {
        self.hub.pace().await;
        self.inner.describe(shard).await
    }

    async fn stop(&self, shard: &ShardAttempt) -> PortResult<()> {
        self.hub.pace().await;
        self.inner.stop(shard).await
    }
}

#[async_trait]
impl Queue for Turning<dyn Queue> {
    async fn send(&self, wake: Wake, delay_ms: u64) -> PortResult<()> {
        self.hub.pace().await;
        self.inner.send(wake, delay_ms).await
    }
}

/// How often a wake whose handling failed is delivered again.
const DELIVERIES: u32 = 4;

/// Turns wakes into calls: each is delivered by a task of its own, so any order is possible.
#[derive(Debug)]
pub struct Deliveries {
    hub: Arc<Hub>,
    services: OnceLock<Weak<Services>>,
}

impl Deliveries {
    /// Deliveries to services that are named later.
    #[must_use]
    pub fn new(hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self { hub, services: OnceLock::new() })
    }

    /// Names the receiver.
    pub fn connect(&self, services: &Arc<Services>) {
        drop(self.services.set(Arc::downgrade(services)));
    }
}

#[async_trait]
impl Queue for Deliveries {
    async fn send(&self, wake: Wake, delay_ms: u64) -> PortResult<()> {
        let Some(services) = self.services.get().and_then(Weak::upgrade) else { return Ok(()) };
        let hub = Arc::clone(&self.hub);
        self.hub.spawn(format!("wake {:?}", wake.topic), Owner::Service, async move {
            hub.sleep(delay_ms).await;
            for _ in 0..DELIVERIES {
                hub.note(|| format!("wake {:?}", wake.topic));
                match services.handle(wake).await {
                    Ok(()) => return,
                    Err(error) => hub.note(|| format!("wake {:?} failed: {error}", wake.topic)),
                }
                hub.sleep(hub.between(500, 30_000)).await;
            }
        });
        Ok(())
    }
}

/// Counts what onlookers are told.
#[derive(Debug, Default)]
pub struct Onlooker {
    finished: Mutex<BTreeMap<RunId, u32>>,
}

impl Onlooker {
    /// How often the run's end was told.
    #[must_use]
    pub fn finished(&self, run: RunId) -> u32 {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.get(&run).copied().unwrap_or(0)
    }
}

impl Observer for Onlooker {
    fn notice(&self, run: RunId, notice: Notice) {
        if notice == Notice::Finished {
            *self.finished.lock().unwrap_or_else(PoisonError::into_inner).entry(run).or_default() += 1;
        }
    }
}
