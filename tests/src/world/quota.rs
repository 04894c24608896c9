//! What a cloud allows: units of reading and writing per second of each partition, and launches per second. Beyond, it
//! refuses, as throttling does.
//!
//! Figures and rules are those that AWS documents for `DynamoDB` (a unit writes 1 KiB or reads 4 KiB consistently, a write in a
//! transaction takes two; 1,000 and 3,000 units per second and partition) and for `RunTask` (20 per second after a burst of
//! 100). A partition here is all that has one partition key, and an index is one partition: the table is not expected
//! to split what is hot.

use super::Hub;
use async_trait::async_trait;
use shared::domain::id::ShardAttempt;
use shared::domain::time::Timestamp;
use shared::ports::{
    Change, Document, Key, LaunchOrder, Launcher, Page, PortError, PortResult, RunnerState, Store, Write,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const WRITE_UNIT_BYTES: usize = 1024;
const READ_UNIT_BYTES: usize = 4096;
/// What a document has beside key and body: version, expiry, names of the attributes.
const FRAME_BYTES: usize = 64;

/// What is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Quotas {
    /// Units of writing per second and partition.
    pub write_units: u64,
    /// Units of reading per second and partition.
    pub read_units: u64,
    /// Launches per second.
    pub launches: u64,
    /// Launches at once, after a rest.
    pub launch_burst: u64,
    /// How long a call takes, in milliseconds, from and to.
    pub call_ms: (u64, u64),
}

/// Those of an account on AWS that nobody has raised.
pub const AWS: Quotas =
    Quotas { write_units: 1_000, read_units: 3_000, launches: 20, launch_burst: 100, call_ms: (4, 12) };

/// What was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most units of reading that a partition took in one second, refused ones included, and which it was.
    pub most_read: (u64, String),
    /// The same of writing.
    pub most_written: (u64, String),
    /// Units of reading by kind of document, of the busiest second.
    pub reads: BTreeMap<String, u64>,
    /// Units of writing by kind of document, of the busiest second.
    pub writes: BTreeMap<String, u64>,
    /// Calls that were refused for that.
    pub throttled: u64,
    /// Launches that were refused.
    pub launches_refused: u64,
    /// Commits that met another one.
    pub conflicts: u64,
    /// Commits.
    pub commits: u64,
}

#[derive(Debug, Default)]
struct Book {
    second: u64,
    /// Units of reading and writing in this second.
    used: BTreeMap<String, (u64, u64)>,
    reads: BTreeMap<String, u64>,
    writes: BTreeMap<String, u64>,
    /// Launches that are left, in thousandths, and when that was reckoned.
    launches: Option<(u64, Timestamp)>,
    usage: Usage,
}

/// Counts and refuses.
#[derive(Debug)]
pub struct Meter {
    hub: Arc<Hub>,
    quotas: Quotas,
    book: Mutex<Book>,
}

/// A port behind a meter.
#[derive(Debug)]
pub struct Metered<P: ?Sized> {
    meter: Arc<Meter>,
    inner: Arc<P>,
}

impl<P: ?Sized> Metered<P> {
    /// Wraps a port.
    #[must_use]
    pub fn new(meter: &Arc<Meter>, inner: Arc<P>) -> Self {
        Self { meter: Arc::clone(meter), inner }
    }
}

fn units(bytes: usize, unit: usize) -> u64 {
    bytes.div_ceil(unit).max(1) as u64
}

fn bytes(document: &Document) -> usize {
    document.key.partition.len() + document.key.sort.len() + document.body.len() + FRAME_BYTES
}

fn kind(sort: &str) -> String {
    sort.split('#').next().unwrap_or_default().to_owned()
}

/// Units of reading that a document takes, or what is not there.
#[must_use]
pub fn read_units(document: Option<&Document>) -> u64 {
    units(document.map_or(0, bytes), READ_UNIT_BYTES)
}

/// Units of reading that a page takes, whose documents are read together.
#[must_use]
pub fn page_units(page: &[Document]) -> u64 {
    units(page.iter().map(bytes).sum(), READ_UNIT_BYTES)
}

/// Units of writing that a commit takes, in the table and in its indexes.
#[must_use]
pub fn write_units(writes: &[Write]) -> u64 {
    price(writes).0.values().sum()
}

/// Units of writing by partition, and by kind of document.
fn price(writes: &[Write]) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let factor = if writes.len() > 1 { 2 } else { 1 };
    let mut price: BTreeMap<String, u64> = BTreeMap::new();
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for Write { key, change, .. } in writes {
        let (body, index) = match change {
            Change::Put { body, index, .. } => (body.len(), index.as_ref()),
            Change::Delete | Change::Check => (0, None),
        };
        let size = key.partition.len() + key.sort.len() + body + FRAME_BYTES;
        let cost = factor * units(size, WRITE_UNIT_BYTES);
        *price.entry(key.partition.clone()).or_default() += cost;
        *kinds.entry(kind(&key.sort)).or_default() += cost;
        if let Some(index) = index {
            *price.entry(format!("index {}", index.name)).or_default() += 1;
        }
    }
    (price, kinds)
}

impl Meter {
    /// A meter that has counted nothing.
    #[must_use]
    pub fn new(hub: &Arc<Hub>, quotas: Quotas) -> Arc<Self> {
        Arc::new(Self { hub: Arc::clone(hub), quotas, book: Mutex::default() })
    }

    /// What was used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.book().usage.clone()
    }

    /// The book, opened at the page of this second.
    fn book(&self) -> MutexGuard<'_, Book> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let second = self.hub.now().0 / 1_000;
        if book.second != second {
            book.second = second;
            book.used.clear();
            book.reads.clear();
            book.writes.clear();
        }
        book
    }

    fn read(&self, partition: &str, sort: &str, size: usize) -> PortResult<()> {
        let mut book = self.book();
        *book.reads.entry(kind(sort)).or_default() += units(size, READ_UNIT_BYTES);
        let used = &mut book.used.entry(partition.to_owned()).or_default().0;
        *used += units(size, READ_UNIT_BYTES);
        let used = *used;
        if used > book.usage.most_read.0 {
            book.usage.most_read = (used, partition.to_owned());
            book.usage.reads = book.reads.clone();
        }
        if used <= self.quotas.read_units { Ok(()) } else { Err(throttled(&mut book, partition)) }
    }

    fn write(&self, writes: &[Write]) -> PortResult<()> {
        let mut book = self.book();
        book.usage.commits += 1;
        let mut hot = None;
        let (price, kinds) = price(writes);
        for (kind, units) in kinds {
            *book.writes.entry(kind).or_default() += units;
        }
        for (partition, units) in price {
            let used = &mut book.used.entry(partition.clone()).or_default().1;
            *used += units;
            let used = *used;
            if used > book.usage.most_written.0 {
                book.usage.most_written = (used, partition.clone());
                book.usage.writes = book.writes.clone();
            }
            if used > self.quotas.write_units {
                hot = Some(partition);
            }
        }
        hot.map_or(Ok(()), |partition| Err(throttled(&mut book, &partition)))
    }

    fn launch(&self) -> bool {
        let now = self.hub.now();
        let mut book = self.book();
        let full = self.quotas.launch_burst * 1_000;
        let (left, since) = book.launches.unwrap_or((full, now));
        let left = (left + now.since_ms(since) * self.quotas.launches).min(full);
        let granted = left >= 1_000;
        book.launches = Some((if granted { left - 1_000 } else { left }, now));
        book.usage.launches_refused += u64::from(!granted);
        granted
    }
}

fn throttled(book: &mut Book, partition: &str) -> PortError {
    book.usage.throttled += 1;
    PortError::Unavailable { port: "store", subject: partition.to_owned(), reason: "throttled".to_owned() }
}

#[async_trait]
impl Store for Metered<dyn Store> {
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>> {
        let found = self.inner.load(key, now).await?;
        self.meter.read(&key.partition, &key.sort, found.as_ref().map_or(0, bytes))?;
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
        let page = self.inner.query(partition, prefix, after, limit, now).await?;
        self.meter.read(partition, prefix, page.documents.iter().map(bytes).sum())?;
        Ok(page)
    }

    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        self.inner.query_index(name, upto, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        self.meter.write(&writes)?;
        let done = self.inner.commit(writes).await;
        self.meter.book().usage.conflicts += u64::from(matches!(done, Err(PortError::Conflict { .. })));
        done
    }
}

#[async_trait]
impl Launcher for Metered<dyn Launcher> {
    async fn launch(&self, order: &LaunchOrder) -> PortResult<String> {
        if self.meter.launch() {
            return self.inner.launch(order).await;
        }
        let (subject, reason) = (order.shard.to_string(), "throttled".to_owned());
        Err(PortError::Unavailable { port: "launcher", subject, reason })
    }

    async fn describe(&self, shard: &ShardAttempt) -> PortResult<RunnerState> {
        self.inner.describe(shard).await
    }

    async fn stop(&self, shard: &ShardAttempt) -> PortResult<()> {
        self.inner.stop(shard).await
    }
}
