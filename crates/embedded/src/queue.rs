//! The queue of one process: senders push wakes, one receiver is drained by the wiring.
//!
//! Equal wakes that are due and not yet received are delivered once: a wake carries no facts, so looking once
//! serves both. Nothing is stored: wakes are lost with the process, and the sweep makes up for them.

use async_trait::async_trait;
use shared::ports::{PortError, PortResult, Queue, Wake};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Longest delay; a day, so that adding it to a point in time never overflows.
const DELAY_LIMIT_MS: u64 = 24 * 60 * 60 * 1_000;

/// The sending end; clones send to the same receiver.
#[derive(Debug, Clone)]
pub struct LocalQueue {
    sender: mpsc::UnboundedSender<(Instant, Wake)>,
}

/// The receiving end.
#[derive(Debug)]
pub struct Receiver {
    arrivals: mpsc::UnboundedReceiver<(Instant, Wake)>,
    delayed: BinaryHeap<Reverse<(Instant, Wake)>>,
    ready: VecDeque<Wake>,
    is_ready: BTreeSet<Wake>,
}

impl LocalQueue {
    /// A queue and its receiver.
    #[must_use]
    pub fn new() -> (Self, Receiver) {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let (delayed, ready, is_ready) = (BinaryHeap::new(), VecDeque::new(), BTreeSet::new());
        (Self { sender }, Receiver { arrivals, delayed, ready, is_ready })
    }
}

#[async_trait]
impl Queue for LocalQueue {
    async fn send(&self, wake: Wake, delay_ms: u64) -> PortResult<()> {
        let due = Instant::now() + Duration::from_millis(delay_ms.min(DELAY_LIMIT_MS));
        self.sender.send((due, wake)).map_err(|_returned| PortError::Unavailable {
            port: "queue",
            subject: wake.run.to_string(),
            reason: "nobody drains the queue any more".to_owned(),
        })
    }
}

impl Receiver {
    /// The next due wake; `None` once every sender is gone and nothing is left. Cancelling loses nothing.
    ///
    /// Needs a tokio runtime with time.
    pub async fn next(&mut self) -> Option<Wake> {
        loop {
            self.settle();
            if let Some(wake) = self.ready.pop_front() {
                self.is_ready.remove(&wake);
                return Some(wake);
            }
            match self.delayed.peek().map(|Reverse((due, _))| *due) {
                None => {
                    let arrival = self.arrivals.recv().await?;
                    self.delayed.push(Reverse(arrival));
                }
                Some(due) => tokio::select! {
                    biased;
                    Some(arrival) = self.arrivals.recv() => self.delayed.push(Reverse(arrival)),
                    () = sleep_until(due) => {}
                },
            }
        }
    }

    /// Moves everything that has arrived and is due to the ready wakes.
    fn settle(&mut self) {
        while let Ok(arrival) = self.arrivals.try_recv() {
            self.delayed.push(Reverse(arrival));
        }
        let now = Instant::now();
        while self.delayed.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            if let Some(Reverse((_, wake))) = self.delayed.pop()
                && self.is_ready.insert(wake)
            {
                self.ready.push_back(wake);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::id::RunId;
    use shared::ports::Topic;
    use testkit::contract::queue::QueueProbe;
    use tokio::sync::Mutex;

    struct Probe(LocalQueue, Mutex<Receiver>);

    impl Probe {
        fn new() -> Self {
            let (queue, receiver) = LocalQueue::new();
            Self(queue, Mutex::new(receiver))
        }
    }

    #[async_trait]
    impl QueueProbe for Probe {
        async fn send(&self, wake: Wake, delay_ms: u64) -> PortResult<()> {
            self.0.send(wake, delay_ms).await
        }

        async fn receive(&self, within_ms: u64) -> Option<Wake> {
            let mut receiver = self.1.lock().await;
            tokio::time::timeout(Duration::from_millis(within_ms), receiver.next()).await.ok().flatten()
        }
    }

    /// Virtual time: waiting jumps to the next timer.
    fn in_virtual_time(test: impl Future<Output = ()>) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap().block_on(test);
    }

    testkit::queue_contract!(local_queue, in_virtual_time, (Probe::new(), ()));

    fn wake(run: u128) -> Wake {
        Wake { topic: Topic::Plan, run: RunId(run) }
    }

    #[test]
    fn equal_wakes_that_wait_are_delivered_once() {
        in_virtual_time(async {
            let (queue, mut receiver) = LocalQueue::new();
            for run in [1, 2, 1, 2, 1] {
                queue.send(wake(run), 0).await.unwrap();
            }
            drop(queue);
            assert_eq!(receiver.next().await, Some(wake(1)));
            assert_eq!(receiver.next().await, Some(wake(2)));
            assert_eq!(receiver.next().await, None);
        });
    }

    #[test]
    fn delayed_wakes_outlive_their_senders() {
        in_virtual_time(async {
            let (queue, mut receiver) = LocalQueue::new();
            queue.send(wake(1), 1_000).await.unwrap();
            queue.send(wake(2), u64::MAX).await.unwrap();
            drop(queue);
            assert_eq!(receiver.next().await, Some(wake(1)));
            assert_eq!(receiver.next().await, Some(wake(2)));
            assert_eq!(receiver.next().await, None);
        });
    }

    #[test]
    fn sending_to_nobody_is_an_error() {
        in_virtual_time(async {
            let (queue, receiver) = LocalQueue::new();
            drop(receiver);
            assert!(matches!(queue.send(wake(1), 0).await, Err(PortError::Unavailable { .. })));
        });
    }
}
