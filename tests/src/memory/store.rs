//! `Store` in an ordered map.
//!
//! A commit is judged whole before anything changes, under one lock: that is its atomicity. Expired documents
//! stay in the map until they are overwritten, as on disk.

use super::lock;
use async_trait::async_trait;
use shared::domain::time::Timestamp;
use shared::ports::limits::check_commit;
use shared::ports::{
    Change, Clock, Condition, Document, IndexEntry, Key, Page, PortError, PortResult, Store, Write,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex};

#[derive(Debug, Default)]
struct Contents {
    documents: BTreeMap<Key, (Document, Option<IndexEntry>)>,
    index: BTreeSet<(IndexEntry, Key)>,
}

/// A store in memory; its clock judges expiry inside `commit`.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    contents: Mutex<Contents>,
}

impl Contents {
    fn version(&self, key: &Key, now: Timestamp) -> Option<u64> {
        self.documents.get(key).filter(|(d, _)| d.lives(now)).map(|(d, _)| d.version)
    }

    fn holds(&self, write: &Write, now: Timestamp) -> bool {
        match write.condition {
            Condition::Absent => self.version(&write.key, now).is_none(),
            Condition::Version(wanted) => self.version(&write.key, now) == Some(wanted),
            Condition::Any => true,
        }
    }

    fn apply(&mut self, write: Write, now: Timestamp) {
        match write.change {
            Change::Put { body, expires_at, index } => {
                let version = self.version(&write.key, now).map_or(1, |v| v + 1);
                self.forget(&write.key);
                if let Some(entry) = &index {
                    self.index.insert((entry.clone(), write.key.clone()));
                }
                let document = Document { key: write.key.clone(), version, body: body.into(), expires_at };
                self.documents.insert(write.key, (document, index));
            }
            Change::Delete => self.forget(&write.key),
            Change::Check => {}
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some((_, Some(entry))) = self.documents.remove(key) {
            self.index.remove(&(entry, key.clone()));
        }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, contents: Mutex::new(Contents::default()) }
    }

    /// Every document that is stored, expired ones included, in key order: for invariants and traces.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Document> {
        lock(&self.contents).documents.values().map(|(document, _)| document.clone()).collect()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>> {
        let contents = lock(&self.contents);
        Ok(contents.documents.get(key).map(|(d, _)| d).filter(|d| d.lives(now)).cloned())
    }

    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> PortResult<Page> {
        let contents = lock(&self.contents);
        let first = match after {
            Some(after) if after >= prefix => Bound::Excluded(Key::new(partition, after)),
            Some(_) | None => Bound::Included(Key::new(partition, prefix)),
        };
        let mut found = contents
            .documents
            .range((first, Bound::Unbounded))
            .take_while(|(key, _)| key.partition == partition && key.sort.starts_with(prefix))
            .map(|(_, (document, _))| document)
            .filter(|document| document.lives(now));
        let documents: Vec<Document> = found.by_ref().take(limit).cloned().collect();
        let more = found.next().is_some();
        let next = documents.last().filter(|_| more).map(|last| last.key.sort.clone());
        Ok(Page { documents, next })
    }

    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        let contents = lock(&self.contents);
        let first = (IndexEntry { name: name.to_owned(), sort: String::new() }, Key::new("", ""));
        let keys = contents
            .index
            .range(first..)
            .take_while(|(entry, _)| entry.name == name && entry.sort.as_str() <= upto);
        Ok(keys.take(limit).map(|(_, key)| key.clone()).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        check_commit(&writes)?;
        let now = self.clock.now();
        let mut contents = lock(&self.contents);
        if let Some(failed) = writes.iter().find(|write| !contents.holds(write, now)) {
            return Err(PortError::Conflict { port: "store", subject: failed.key.to_string() });
        }
        writes.into_iter().for_each(|write| contents.apply(write, now));
        Ok(())
    }
}
