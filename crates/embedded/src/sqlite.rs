//! The store in one SQLite file, or in memory.
//!
//! One thread owns the writing connection. Commits that wait together share one transaction: each is judged and
//! applied in turn, and none is answered before the transaction is over. Short reads happen where they are asked for, on a
//! connection that is free: they wait neither for a transaction nor for a checkpoint (write-ahead log), and going to
//! another thread and back takes longer than a read. Reads of the index may be long and have a thread of their own. In
//! memory there is one connection and one thread. What comes home from the log does so on a connection and a thread of its
//! own, and who is alone with a file may remember what was read. A crash of the process loses nothing that was answered; a
//! power cut may lose the last commits (`synchronous=NORMAL`) but never tears one.

mod blob;
mod error;
mod keeper;
mod memory;
mod open;
mod read;
mod snapshot;
mod write;

use crate::lane::Lane;
use async_trait::async_trait;
use blob::BlobChange;
use keeper::Keeper;
use memory::Memory;
use open::Session;
use read::Wanted;
use shared::domain::time::Timestamp;
use shared::ports::limits::check_commit;
use shared::ports::{Clock, Document, Key, Page, PortError, PortResult, Store, Write};
use std::io;
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use tokio::sync::oneshot;
use write::{Commit, Work};

/// Commits that one transaction takes at most.
const GROUP_LIMIT: usize = 64;
/// Connections for short reads at most; each may cache some 2 MB of pages.
const READERS_LIMIT: usize = 4;

/// The store of one machine.
#[derive(Debug)]
pub struct SqliteStore {
    clock: Arc<dyn Clock>,
    waiting: Arc<Mutex<Vec<Commit>>>,
    writer: Lane<Session>,
    /// Absent in memory, where only the writer sees the database.
    readers: Option<Readers>,
    /// Absent in memory.
    keeper: Option<Arc<Keeper>>,
    /// What was read, if nobody else writes.
    memory: Option<Arc<Memory>>,
}

#[derive(Debug)]
struct Readers {
    /// For short reads, on the thread that asks.
    first: Mutex<Session>,
    more: Vec<Mutex<Session>>,
    /// For reads of the index.
    long: Lane<Session>,
}

impl Readers {
    fn open(path: &Path) -> PortResult<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let one = || {
            let mut session = Session::open_file(path)?;
            session.only_read()?;
            Ok(session)
        };
        let more = (1..cores.min(READERS_LIMIT)).map(|_| one().map(Mutex::new)).collect::<PortResult<_>>()?;
        let first = Mutex::new(one()?);
        Ok(Self { first, more, long: Lane::start("store", one()?).map_err(|error| no_thread(&error))? })
    }

    /// A connection that is free, or else the first one when it is.
    fn short(&self) -> MutexGuard<'_, Session> {
        let free = self.more.iter().find_map(|session| match session.try_lock() {
            Ok(session) => Some(session),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| self.first.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn no_thread(error: &io::Error) -> PortError {
    PortError::Unavailable { port: "store", subject: "thread".to_owned(), reason: error.to_string() }
}

impl SqliteStore {
    /// Opens or creates the store in a file; `clock` judges expiry inside commits.
    ///
    /// Expired documents are removed on the way.
    ///
    /// # Errors
    /// `Denied` if the file cannot be opened or was written by a newer version, `Corrupt` if it is no store,
    /// `Unavailable` if another process holds it.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Self::open_file(path, clock, None)
    }

    /// The same, of a file that nobody else will write to as long as this store lives: what was read is remembered and
    /// need not be looked at again.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_alone(path: &Path, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Self::open_file(path, clock, Some(Arc::default()))
    }

    fn open_file(path: &Path, clock: Arc<dyn Clock>, memory: Option<Arc<Memory>>) -> PortResult<Self> {
        let mut writer = Session::open_file(path)?;
        writer.prepare(clock.now())?;
        writer.memory.clone_from(&memory);
        let readers = Readers::open(path)?;
        let writer = Lane::start("store", writer).map_err(|error| no_thread(&error))?;
        let keeper = Some(Arc::new(Keeper::open(path, no_thread)?));
        Ok(Self { clock, waiting: Arc::default(), writer, readers: Some(readers), keeper, memory })
    }

    /// A store that is gone when dropped.
    ///
    /// # Errors
    /// `Unavailable` if there is no memory or no thread to be had.
    pub fn in_memory(clock: Arc<dyn Clock>) -> PortResult<Self> {
        let mut writer = Session::open_memory()?;
        writer.prepare(clock.now())?;
        let writer = Lane::start("store", writer).map_err(|error| no_thread(&error))?;
        Ok(Self { clock, waiting: Arc::default(), writer, readers: None, keeper: None, memory: None })
    }

    /// A read of a few documents.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Session) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        match &self.readers {
            Some(readers) => read(&mut readers.short()),
            None => self.writer.run(read).await,
        }
    }
}

impl SqliteStore {
    async fn perform(&self, work: Work) -> PortResult<()> {
        let (reply, receiver) = oneshot::channel();
        let (waiting, clock, keeper) =
            (Arc::clone(&self.waiting), Arc::clone(&self.clock), self.keeper.clone());
        waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Commit { work, reply });
        // One job per commit; the first takes along what has come meanwhile, and later ones find nothing to do.
        self.writer.submit(move |session| {
            let group = {
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let size = waiting.len().min(GROUP_LIMIT);
                waiting.drain(..size).collect::<Vec<_>>()
            };
            let bytes = group.iter().map(keeper::size).sum();
            session.commit_group(group, clock.now());
            if let Some(keeper) = keeper {
                keeper.note(bytes);
            }
        })?;
        self.writer.answer(receiver).await
    }

    /// Stores a blob; with `absent`, only if there is none.
    pub(crate) async fn put_blob(&self, key: &str, bytes: Vec<u8>, absent: bool) -> PortResult<()> {
        let change = if absent { BlobChange::PutAbsent(bytes) } else { BlobChange::Put(bytes) };
        self.perform(Work::Blob(key.to_owned(), change)).await
    }

    pub(crate) async fn delete_blob(&self, key: &str) -> PortResult<()> {
        self.perform(Work::Blob(key.to_owned(), BlobChange::Delete)).await
    }

    /// A blob or a part of it.
    pub(crate) async fn blob(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Option<Vec<u8>>> {
        let key = key.to_owned();
        self.read(move |session| session.blob(&key, range)).await
    }

    /// Whether there is such a blob.
    pub(crate) async fn holds_blob(&self, key: &str) -> PortResult<bool> {
        let key = key.to_owned();
        self.read(move |session| session.holds_blob(&key)).await
    }

    /// Keys of blobs that start with `prefix`, in order.
    pub(crate) async fn blob_keys(&self, prefix: &str) -> PortResult<Vec<String>> {
        let prefix = prefix.to_owned();
        self.long_read(move |session| session.blob_keys(&prefix)).await
    }

    /// A read of any number of rows.
    async fn long_read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Session) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        self.readers.as_ref().map_or(&self.writer, |readers| &readers.long).run(read).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>> {
        let remembered = self.memory.as_ref().and_then(|memory| memory.document(key));
        if let Some(document) = remembered {
            return Ok(document.lives(now).then_some(document));
        }
        let (key, memory) = (key.clone(), self.memory.clone());
        self.read(move |session| session.load(memory.as_deref(), key, now)).await
    }

    async fn load_many(&self, keys: &[Key], now: Timestamp) -> PortResult<Vec<Option<Document>>> {
        let remembered = |memory: &Arc<Memory>| keys.iter().map(|key| memory.document(key)).collect();
        let all: Option<Vec<Document>> = self.memory.as_ref().and_then(remembered);
        if let Some(all) = all {
            return Ok(all.into_iter().map(|document| document.lives(now).then_some(document)).collect());
        }
        let (keys, memory) = (keys.to_vec(), self.memory.clone());
        let read = move |session: &mut Session| {
            keys.into_iter().map(|key| session.load(memory.as_deref(), key, now)).collect()
        };
        self.read(read).await
    }

    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> PortResult<Page> {
        let (partition, prefix) = (partition.to_owned(), prefix.to_owned());
        let wanted = Wanted { partition, prefix, after: after.map(str::to_owned), limit };
        let remembered = self.memory.as_ref().and_then(|memory| memory.page(&wanted, now));
        if let Some(page) = remembered {
            return Ok(page);
        }
        let memory = self.memory.clone();
        self.read(move |session| session.query(memory.as_deref(), wanted, now)).await
    }

    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        let (name, upto) = (name.to_owned(), upto.to_owned());
        self.long_read(move |session| session.query_index(&name, &upto, limit)).await
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        check_commit(&writes)?;
        self.perform(Work::Documents(writes)).await
    }
}

#[cfg(test)]
mod tests;
