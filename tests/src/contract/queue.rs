//! What every `Queue` must do, seen through a probe that also receives.
//!
//! Nothing is asked about order or about single delivery: a queue may reorder and repeat.

use crate::memory::{ManualClock, MemoryQueue};
use async_trait::async_trait;
use shared::domain::id::RunId;
use shared::ports::{Clock as _, PortResult, Queue, Topic, Wake};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A queue together with its receiving end.
#[async_trait]
pub trait QueueProbe: Send + Sync {
    /// Sends.
    async fn send(&self, wake: Wake, delay_ms: u64) -> PortResult<()>;
    /// The next wake that arrives within `within_ms` of the queue's own time.
    async fn receive(&self, within_ms: u64) -> Option<Wake>;
}

/// The probe of [`MemoryQueue`]; waiting moves its clock.
#[derive(Debug)]
pub struct MemoryProbe {
    queue: MemoryQueue,
    clock: Arc<ManualClock>,
}

impl MemoryProbe {
    /// A probe of a new queue.
    #[must_use]
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Self { queue: MemoryQueue::new(Arc::clone(&clock) as _), clock }
    }
}

#[async_trait]
impl QueueProbe for MemoryProbe {
    async fn send(&self, wake: Wake, delay_ms: u64) -> PortResult<()> {
        self.queue.send(wake, delay_ms).await
    }

    async fn receive(&self, within_ms: u64) -> Option<Wake> {
        let until = self.clock.now().plus_ms(within_ms);
        self.clock.advance_to(self.queue.next_due().unwrap_or(until).min(until));
        self.queue.pop()
    }
}

/// Long enough for a repetition to arrive; in the queue's own time.
const LONG_MS: u64 = 60_000;

fn wake(topic: Topic, run: u128) -> Wake {
    Wake { topic, run: RunId(run) }
}

async fn send(probe: &dyn QueueProbe, wake: Wake, delay_ms: u64) {
    let sent = probe.send(wake, delay_ms).await;
    assert!(sent.is_ok(), "{sent:?}");
}

/// Every wake arrives at least once; nothing arrives that was not sent.
pub async fn every_wake_arrives(probe: &dyn QueueProbe) {
    let topics = [Topic::Plan, Topic::Launch, Topic::Aggregate];
    let sent: BTreeSet<Wake> = (1..=20).flat_map(|run| topics.map(|topic| wake(topic, run))).collect();
    for one in &sent {
        send(probe, *one, 0).await;
    }
    let mut arrived = BTreeSet::new();
    while arrived.len() < sent.len() {
        let next = probe.receive(LONG_MS).await;
        assert!(next.is_some_and(|wake| sent.contains(&wake)), "{next:?} with {} arrived", arrived.len());
        arrived.extend(next);
    }
}

/// A wake sent after its like was received is a new one.
pub async fn a_wake_can_be_sent_again(probe: &dyn QueueProbe) {
    for _ in 0..3 {
        send(probe, wake(Topic::Plan, 1), 0).await;
        assert_eq!(probe.receive(LONG_MS).await, Some(wake(Topic::Plan, 1)));
    }
}

/// A delayed wake arrives, but not before its delay is over.
pub async fn a_delayed_wake_is_not_early(probe: &dyn QueueProbe) {
    send(probe, wake(Topic::Launch, 1), 5_000).await;
    assert_eq!(probe.receive(4_900).await, None);
    assert_eq!(probe.receive(LONG_MS).await, Some(wake(Topic::Launch, 1)));
}

/// Later wakes overtake a delayed one.
pub async fn a_delay_holds_up_nobody_else(probe: &dyn QueueProbe) {
    send(probe, wake(Topic::Launch, 1), 30_000).await;
    send(probe, wake(Topic::Launch, 2), 10_000).await;
    send(probe, wake(Topic::Launch, 3), 0).await;
    for run in [3, 2, 1] {
        assert_eq!(probe.receive(LONG_MS).await, Some(wake(Topic::Launch, run)));
    }
}
