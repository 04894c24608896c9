//! Documents that were read, remembered by a store that nobody else writes to.
//!
//! What is remembered is what a read at this moment would find: a commit first makes its documents forgotten, lets nobody
//! remember them while it is at work, and afterwards nobody who began to read before it was over.

use foldhash::fast::RandomState;
use shared::ports::{Document, Key};
use shared::recent::Recent;
use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Half of what is remembered at most, in bytes.
const HALF_BYTES: usize = 4 * 1024 * 1024;
/// A longer body is not remembered.
const BODY_BYTES: usize = 64 * 1024;
/// What a document costs beside its texts, in bytes.
const FRAME_BYTES: usize = 160;
/// Documents are told apart by so many lanes when it is asked what was written lately.
const LANES: usize = 256;

/// When a read began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

#[derive(Debug)]
struct State {
    documents: Recent<Key, Document, RandomState>,
    /// Documents that are being written.
    writing: HashSet<Key>,
    /// Commits so far, and the last of each lane.
    commits: u64,
    lanes: Vec<u64>,
}

/// The memory.
#[derive(Debug)]
pub(super) struct Memory {
    hasher: RandomState,
    state: Mutex<State>,
}

impl Default for Memory {
    fn default() -> Self {
        let documents = Recent::new(HALF_BYTES);
        let state = State { documents, writing: HashSet::new(), commits: 0, lanes: vec![0; LANES] };
        Self { hasher: RandomState::default(), state: Mutex::new(state) }
    }
}

fn size(document: &Document) -> usize {
    let Document { key, body, .. } = document;
    FRAME_BYTES + 2 * (key.partition.len() + key.sort.len()) + body.len()
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lane(&self, key: &Key) -> usize {
        usize::try_from(self.hasher.hash_one(key) % LANES as u64).unwrap_or(0)
    }

    /// The document as it is now, if it is remembered.
    pub(super) fn document(&self, key: &Key) -> Option<Document> {
        self.state().documents.get(key).cloned()
    }

    /// The body of this version of a document, if it is remembered.
    pub(super) fn body(&self, key: &Key, version: u64) -> Option<Arc<str>> {
        let mut state = self.state();
        let known = state.documents.get(key).filter(|document| document.version == version);
        known.map(|document| Arc::clone(&document.body))
    }

    /// Now: to be asked before a read.
    pub(super) fn now(&self) -> Moment {
        Moment(self.state().commits)
    }

    /// Remembers what was just written, before anything else is.
    pub(super) fn keep_written(&self, document: Document) {
        if document.body.len() <= BODY_BYTES {
            self.state().documents.put(document.key.clone(), size(&document), document);
        }
    }

    /// Remembers what a read found that began at `since`, unless it may have been written meanwhile.
    pub(super) fn keep(&self, since: Moment, document: &Document) {
        if document.body.len() > BODY_BYTES {
            return;
        }
        let lane = self.lane(&document.key);
        let mut state = self.state();
        let last = state.lanes.get(lane).copied().unwrap_or_default();
        if last <= since.0 && !state.writing.contains(&document.key) {
            state.documents.put(document.key.clone(), size(document), document.clone());
        }
    }

    /// Forgets a document.
    pub(super) fn forget(&self, key: &Key) {
        self.state().documents.remove(key);
    }

    /// Forgets documents that are about to be written, until the commit is over.
    pub(super) fn writing<'a>(self: &Arc<Self>, keys: impl Iterator<Item = &'a Key>) -> Writing {
        let mut state = self.state();
        for key in keys {
            state.documents.remove(key);
            state.writing.insert(key.clone());
        }
        drop(state);
        Writing(Arc::clone(self))
    }
}

/// A commit at work; over when dropped.
#[derive(Debug)]
pub(super) struct Writing(Arc<Memory>);

impl Drop for Writing {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.commits += 1;
        let (now, written) = (state.commits, std::mem::take(&mut state.writing));
        for key in written {
            if let Some(last) = state.lanes.get_mut(self.0.lane(&key)) {
                *last = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(sort: &str, version: u64, body: &str) -> Document {
        Document { key: Key::new("p", sort), version, body: body.into(), expires_at: None }
    }

    fn found(memory: &Memory, sort: &str) -> Option<u64> {
        memory.document(&Key::new("p", sort)).map(|document| document.version)
    }

    #[test]
    fn a_read_that_began_before_a_commit_was_over_is_not_remembered() {
        let memory = Arc::new(Memory::default());
        let (old, new) = (document("a", 1, "old"), document("a", 2, "new"));
        let before = memory.now();
        memory.keep(before, &old);
        assert_eq!(found(&memory, "a"), Some(1));
        let commit = memory.writing(std::iter::once(&old.key));
        let during = memory.now();
        assert_eq!(found(&memory, "a"), None);
        memory.keep(before, &old);
        memory.keep(during, &old);
        assert_eq!(found(&memory, "a"), None, "it is being written");
        drop(commit);
        memory.keep(before, &old);
        memory.keep(during, &old);
        assert_eq!(found(&memory, "a"), None, "it was written meanwhile");
        memory.keep(memory.now(), &new);
        assert_eq!(found(&memory, "a"), Some(2));
        assert_eq!(memory.body(&new.key, 2).as_deref(), Some("new"));
        assert_eq!(memory.body(&new.key, 1), None);
    }

    #[test]
    fn very_long_bodies_are_not_remembered() {
        let memory = Memory::default();
        for (sort, length, kept) in [("long", BODY_BYTES, Some(1)), ("longer", BODY_BYTES + 1, None)] {
            memory.keep(memory.now(), &document(sort, 1, &"b".repeat(length)));
            assert_eq!(found(&memory, sort), kept);
        }
    }
}
