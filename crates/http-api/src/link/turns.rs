//! Turns: calls that change the queue of one job wait for each other.
//!
//! The store would refuse all but one of them and let them decide again, which is right and, with many slots, slow.
//! Taking turns is a matter of one process and of speed only: another process may still come in between.

use shared::service::token::Caller;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use tokio::sync::{Mutex, MutexGuard};

/// Jobs that share a place wait for each other without need; rare enough.
const PLACES: usize = 256;

/// Who is served now, by job.
#[derive(Debug)]
pub(super) struct Turns(Vec<Mutex<()>>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..PLACES).map(|_| Mutex::new(())).collect())
    }
}

impl Turns {
    /// Waits for the turn of the caller's job, in the order of asking.
    pub(super) async fn take(&self, caller: &Caller) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        (caller.id.run, caller.id.job).hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % PLACES as u64).unwrap_or(0);
        match self.0.get(place) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }
}
