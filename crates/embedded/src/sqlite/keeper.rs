//! Brings the write-ahead log home beside the commits: a commit that did so would keep all others waiting for the disk.

use super::open::Session;
use super::write::{Commit, Work};
use crate::lane::Lane;
use shared::ports::{Change, PortError, PortResult};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// After so many bytes the log is brought home.
const DUE_BYTES: usize = 8 * 1024 * 1024;
/// What a change writes beside its text, about: the page that it is in.
const PAGE_BYTES: usize = 4096;

/// Counts what is written.
#[derive(Debug)]
pub(super) struct Keeper {
    lane: Lane<Session>,
    written: AtomicUsize,
    busy: Arc<AtomicBool>,
}

/// About how much a commit writes.
pub(super) fn size(commit: &Commit) -> usize {
    match &commit.work {
        Work::Documents(writes) => writes
            .iter()
            .map(|write| match &write.change {
                Change::Put { body, .. } => PAGE_BYTES + body.len(),
                Change::Delete => PAGE_BYTES,
                Change::Check => 0,
            })
            .sum(),
        Work::Blob(_, change) => PAGE_BYTES + change.len(),
    }
}

impl Keeper {
    /// Opens a connection of its own.
    pub(super) fn open(path: &Path, no_thread: impl Fn(&io::Error) -> PortError) -> PortResult<Self> {
        let lane = Lane::start("store", Session::open_file(path)?).map_err(|error| no_thread(&error))?;
        Ok(Self { lane, written: AtomicUsize::new(0), busy: Arc::default() })
    }

    /// Notes what a group of commits wrote.
    pub(super) fn note(&self, bytes: usize) {
        let written = self.written.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if written < DUE_BYTES || self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        self.written.store(0, Ordering::Relaxed);
        let busy = Arc::clone(&self.busy);
        let bring = move |session: &mut Session| {
            session.bring_home();
            busy.store(false, Ordering::Release);
        };
        // Without its thread the commits bring the log home.
        drop(self.lane.submit(bring));
    }
}
