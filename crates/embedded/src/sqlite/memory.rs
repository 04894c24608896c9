//! Documents and pages that were read, remembered by a store that nobody else writes to.
//!
//! What is remembered is what a read at this moment would find: a commit first makes its documents forgotten, and every
//! page of their partitions, lets nobody remember them while it is at work, and afterwards nobody who began to read before
//! it was over.

use super::read::Wanted;
use foldhash::fast::RandomState;
use shared::domain::time::Timestamp;
use shared::ports::{Document, Key, Page};
use shared::recent::Recent;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Half of what is remembered of documents at most, in bytes.
const HALF_BYTES: usize = 4 * 1024 * 1024;
/// Half of what is remembered of pages, in bytes.
const HALF_OF_PAGES_BYTES: usize = 2 * 1024 * 1024;
/// A longer page is not remembered.
const PAGE_BYTES: usize = 256 * 1024;
/// A longer body is not remembered.
const BODY_BYTES: usize = 64 * 1024;
/// What a document costs beside its texts, in bytes.
const FRAME_BYTES: usize = 160;
/// Documents, and partitions, are told apart by so many lanes when it is asked what was written lately.
const LANES: usize = 256;
/// The last commit of a lane in which one is at work.
const AT_WORK: u64 = u64::MAX;

/// When a read began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

/// A page as it was found.
#[derive(Debug)]
struct Seen {
    page: Page,
    since: Moment,
    /// When it was looked for: an earlier time may find what was expired by then.
    at: Timestamp,
}

#[derive(Debug)]
struct State {
    documents: Recent<Key, Document, RandomState>,
    pages: Recent<Wanted, Seen, RandomState>,
    /// Documents that are being written.
    writing: HashSet<Key>,
    /// Commits so far, and the last of each lane.
    commits: u64,
    lanes: Vec<u64>,
    /// The last of each lane of partitions.
    partitions: Vec<u64>,
}

impl State {
    /// Whether no commit has touched the lane since then.
    fn rested(lanes: &[u64], lane: usize, since: Moment) -> bool {
        lanes.get(lane).is_some_and(|last| *last <= since.0)
    }
}

/// The memory.
#[derive(Debug)]
pub(super) struct Memory {
    hasher: RandomState,
    state: Mutex<State>,
}

impl Default for Memory {
    fn default() -> Self {
        let state = State {
            documents: Recent::new(HALF_BYTES),
            pages: Recent::new(HALF_OF_PAGES_BYTES),
            writing: HashSet::new(),
            commits: 0,
            lanes: vec![0; LANES],
            partitions: vec![0; LANES],
        };
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

    fn lane(&self, of: impl Hash) -> usize {
        usize::try_from(self.hasher.hash_one(of) % LANES as u64).unwrap_or(0)
    }

    /// The document as it is now, if it is remembered.
    pub(super) fn document(&self, key: &Key) -> Option<Document> {
        self.state().documents.look(key, Document::clone)
    }

    /// The page as it is now, if it is remembered.
    pub(super) fn page(&self, wanted: &Wanted, now: Timestamp) -> Option<Page> {
        let lane = self.lane(&wanted.partition);
        let mut state = self.state();
        let State { pages, partitions, .. } = &mut *state;
        let fresh = |seen: &Seen| {
            State::rested(partitions, lane, seen.since)
                && seen.at <= now
                && seen.page.documents.iter().all(|document| document.lives(now))
        };
        pages.look(wanted, |seen| fresh(seen).then(|| seen.page.clone())).flatten()
    }

    /// Remembers what a read found that began at `since`, unless something of its partition may have been written
    /// meanwhile.
    pub(super) fn keep_page(&self, since: Moment, wanted: Wanted, now: Timestamp, page: &Page) {
        let bytes = FRAME_BYTES + page.documents.iter().map(size).sum::<usize>();
        if bytes > PAGE_BYTES {
            return;
        }
        let lane = self.lane(&wanted.partition);
        let mut state = self.state();
        if State::rested(&state.partitions, lane, since) {
            state.pages.put(wanted, bytes, Seen { page: page.clone(), since, at: now });
        }
    }

    /// The body of this version of a document, if it is remembered.
    pub(super) fn body(&self, key: &Key, version: u64) -> Option<Arc<str>> {
        let body = |document: &Document| (document.version == version).then(|| Arc::clone(&document.body));
        self.state().documents.look(key, body).flatten()
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
        if State::rested(&state.lanes, lane, since) && !state.writing.contains(&document.key) {
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
            if let Some(last) = state.partitions.get_mut(self.lane(&key.partition)) {
                *last = AT_WORK;
            }
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
            let (lane, partition) = (self.0.lane(&key), self.0.lane(&key.partition));
            let State { lanes, partitions, .. } = &mut *state;
            lanes.get_mut(lane).into_iter().chain(partitions.get_mut(partition)).for_each(|last| *last = now);
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
    fn a_page_is_what_a_query_would_find_now() {
        let memory = Arc::new(Memory::default());
        let wanted = Wanted { partition: "p".into(), prefix: "a".into(), after: None, limit: 5 };
        let soon = Document { expires_at: Some(Timestamp(50)), ..document("a1", 1, "one") };
        let page = Page { documents: vec![soon, document("a2", 1, "two")], next: None };
        let keep = |since| memory.keep_page(since, wanted.clone(), Timestamp(10), &page);
        let found = |now| memory.page(&wanted, Timestamp(now)).is_some();
        let before = memory.now();
        keep(before);
        assert!(found(10) && found(49));
        assert!(!found(9), "a document that was expired at 10 may have lived then");
        assert!(!found(50), "the first is expired");
        let is_apart = |partition: &String| memory.lane(partition) != memory.lane("p");
        let elsewhere = Key::new((0..).map(|n| format!("p{n}")).find(is_apart).unwrap(), "a1");
        drop(memory.writing(std::iter::once(&elsewhere)));
        assert!(found(10), "what is written elsewhere is of no matter");
        let new = Key::new("p", "a3");
        let commit = memory.writing(std::iter::once(&new));
        let during = memory.now();
        keep(before);
        keep(during);
        assert!(!found(10), "its partition is being written");
        drop(commit);
        keep(before);
        keep(during);
        assert!(!found(10), "it was written meanwhile");
        keep(memory.now());
        assert!(found(10));
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
