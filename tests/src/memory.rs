//! In-memory adapters of every port: the reference for the contract suites, and what the simulation runs on.
//!
//! Each is a `Mutex` around plain ordered maps; every future is ready at once, so a single-threaded caller that
//! polls once per call sees one deterministic history. Nothing here waits, and time comes from a clock given by
//! the caller.

mod blobs;
mod forge;
mod launcher;
mod notifier;
mod queue;
mod sources;
mod store;

pub use blobs::{MemoryBlobs, UPLOAD_SCHEME};
pub use forge::MemoryForge;
pub use launcher::MemoryLauncher;
pub use notifier::MemoryNotifier;
pub use queue::MemoryQueue;
pub use sources::{ManualClock, SeededIds, SplitMix};
pub use store::MemoryStore;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic elsewhere: the failing test has been reported by then.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
