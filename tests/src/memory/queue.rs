//! `Queue` as a list that the test or the simulation takes wakes from, in whatever order it likes.

use super::lock;
use async_trait::async_trait;
use shared::domain::time::Timestamp;
use shared::ports::{Clock, PortResult, Queue, Wake};
use std::sync::{Arc, Mutex};

/// A queue in memory: sent wakes wait, with the time from which they may be delivered.
#[derive(Debug)]
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    waiting: Mutex<Vec<(Timestamp, Wake)>>,
}

impl MemoryQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, waiting: Mutex::new(Vec::new()) }
    }

    /// Every waiting wake with the time it is due, in the order of sending.
    #[must_use]
    pub fn waiting(&self) -> Vec<(Timestamp, Wake)> {
        lock(&self.waiting).clone()
    }

    /// The earliest time at which a wake is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        lock(&self.waiting).iter().map(|(due, _)| *due).min()
    }

    /// Takes the earliest wake that is due by the queue's clock; of several, the one sent first.
    pub fn pop(&self) -> Option<Wake> {
        let now = self.clock.now();
        let due: Vec<(Timestamp, usize)> =
            lock(&self.waiting).iter().enumerate().map(|(at, (due, _))| (*due, at)).collect();
        due.into_iter().filter(|(due, _)| *due <= now).min().and_then(|(_, at)| self.take(at))
    }

    /// Takes the wake at position `at` of [`Self::waiting`], due or not.
    pub fn take(&self, at: usize) -> Option<Wake> {
        let mut waiting = lock(&self.waiting);
        (at < waiting.len()).then(|| waiting.remove(at).1)
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(&self, wake: Wake, delay_ms: u64) -> PortResult<()> {
        let due = self.clock.now().plus_ms(delay_ms);
        lock(&self.waiting).push((due, wake));
        Ok(())
    }
}
