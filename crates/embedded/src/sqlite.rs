//! The store in one SQLite file, or in memory.
//!
//! One thread owns the writing connection, another the reading one, so that readers wait neither for a
//! transaction nor for a checkpoint (write-ahead log). Commits that wait together share one transaction: each is
//! judged and applied in turn, and none is answered before the transaction is over. In memory there is one
//! connection and one thread. A crash of the process loses nothing that was answered; a power cut may lose the last
//! commits (`synchronous=NORMAL`) but never tears one.

mod error;
mod open;
mod read;
mod snapshot;
mod write;

use crate::lane::Lane;
use async_trait::async_trait;
use open::Session;
use shared::domain::time::Timestamp;
use shared::ports::limits::check_commit;
use shared::ports::{Clock, Document, Key, Page, PortError, PortResult, Store, Write};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use write::Commit;

/// Commits that one transaction takes at most.
const GROUP_LIMIT: usize = 64;

/// The store of one machine.
#[derive(Debug)]
pub struct SqliteStore {
    clock: Arc<dyn Clock>,
    waiting: Arc<Mutex<Vec<Commit>>>,
    writer: Lane<Session>,
    /// Absent in memory, where only the writer sees the database.
    reader: Option<Lane<Session>>,
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
        let mut writer = Session::open_file(path)?;
        writer.prepare(clock.now())?;
        let mut reader = Session::open_file(path)?;
        reader.only_read()?;
        Self::start(clock, writer, Some(reader))
    }

    /// A store that is gone when dropped.
    ///
    /// # Errors
    /// `Unavailable` if there is no memory or no thread to be had.
    pub fn in_memory(clock: Arc<dyn Clock>) -> PortResult<Self> {
        let mut writer = Session::open_memory()?;
        writer.prepare(clock.now())?;
        Self::start(clock, writer, None)
    }

    fn start(clock: Arc<dyn Clock>, writer: Session, reader: Option<Session>) -> PortResult<Self> {
        let no_thread = |error: io::Error| PortError::Unavailable {
            port: "store",
            subject: "thread".to_owned(),
            reason: error.to_string(),
        };
        let writer = Lane::start("store", writer).map_err(no_thread)?;
        let reader = reader.map(|reader| Lane::start("store", reader)).transpose().map_err(no_thread)?;
        Ok(Self { clock, waiting: Arc::default(), writer, reader })
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Session) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        self.reader.as_ref().unwrap_or(&self.writer).run(read).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>> {
        let key = key.clone();
        self.read(move |session| session.load(key, now)).await
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
        let after = after.map(str::to_owned);
        self.read(move |session| session.query(&partition, &prefix, after.as_deref(), limit, now)).await
    }

    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        let (name, upto) = (name.to_owned(), upto.to_owned());
        self.read(move |session| session.query_index(&name, &upto, limit)).await
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        check_commit(&writes)?;
        let (reply, receiver) = oneshot::channel();
        let (waiting, clock) = (Arc::clone(&self.waiting), Arc::clone(&self.clock));
        waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Commit { writes, reply });
        // One job per commit; the first takes along what has come meanwhile, and later ones find nothing to do.
        self.writer.submit(move |session| {
            let group = {
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let size = waiting.len().min(GROUP_LIMIT);
                waiting.drain(..size).collect::<Vec<_>>()
            };
            session.commit_group(group, clock.now());
        })?;
        self.writer.answer(receiver).await
    }
}

#[cfg(test)]
mod tests;
