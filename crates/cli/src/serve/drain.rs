//! Wakes of many runs: those of one run one after the other, those of different runs side by side.
//!
//! A wake to launch is about whose turn it is, whichever run it names; it rings for the dispatcher instead.

use super::log::Log;
use embedded::queue::Receiver;
use shared::domain::id::RunId;
use shared::ports::{PortError, Topic, Wake};
use shared::service::{ServiceError, Services};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Runs that are looked at side by side.
const WORKERS: usize = 4;
/// A wake that failed is handled again after this long…
const AGAIN_MS: u64 = 1_000;
/// …and one that came second to someone else after this long.
const CONFLICT_MS: u64 = 50;

/// Wakes that wait for a worker, in order, or for their run.
#[derive(Debug, Default)]
struct Backlog {
    ready: VecDeque<Wake>,
    /// Runs that are looked at, and what is to be done for them next.
    busy: BTreeMap<RunId, BTreeSet<Wake>>,
}

impl Backlog {
    fn add(&mut self, wake: Wake) {
        match self.busy.get_mut(&wake.run) {
            Some(next) => drop(next.insert(wake)),
            None => {
                self.busy.insert(wake.run, BTreeSet::new());
                self.ready.push_back(wake);
            }
        }
    }

    fn done(&mut self, run: RunId) {
        for wake in self.busy.remove(&run).unwrap_or_default() {
            self.add(wake);
        }
    }
}

/// Handles wakes for ever; `bell` is rung for those to launch.
pub(super) async fn drain(services: Arc<Services>, mut wakes: Receiver, bell: Arc<Notify>, log: Log) {
    let mut backlog = Backlog::default();
    let mut workers = JoinSet::new();
    loop {
        while workers.len() < WORKERS
            && let Some(wake) = backlog.ready.pop_front()
        {
            let (services, log) = (Arc::clone(&services), log.clone());
            workers.spawn(async move {
                // In a task of its own: if it panics, its run must not stay busy for ever.
                drop(tokio::spawn(handle(services, wake, log)).await);
                wake.run
            });
        }
        tokio::select! {
            Some(done) = workers.join_next(), if !workers.is_empty() => {
                if let Ok(run) = done {
                    backlog.done(run);
                }
            }
            Some(wake) = wakes.next() => match wake.topic {
                Topic::Launch => bell.notify_one(),
                Topic::Plan | Topic::Aggregate => backlog.add(wake),
            },
        }
    }
}

async fn handle(services: Arc<Services>, wake: Wake, log: Log) {
    let Err(error) = services.handle(wake).await else { return };
    let again_ms = match &error {
        ServiceError::Port(PortError::Conflict { .. }) => Some(CONFLICT_MS),
        // The sweep looks at it now and then; more often is no use.
        ServiceError::Port(PortError::Denied { .. } | PortError::Corrupt { .. }) => None,
        ServiceError::Port(_)
        | ServiceError::Rejected(_)
        | ServiceError::Shard(_)
        | ServiceError::BadToken
        | ServiceError::Invalid(_)
        | ServiceError::Member(_)
        | ServiceError::NotFound(_) => Some(AGAIN_MS),
    };
    if again_ms != Some(CONFLICT_MS) {
        log.trouble(&format!("{} cannot be looked at", wake.run), &error);
    }
    if let Some(delay_ms) = again_ms {
        // The sweep would do it too, only later.
        drop(services.queue.send(wake, delay_ms).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wake(topic: Topic, run: u128) -> Wake {
        Wake { topic, run: RunId(run) }
    }

    #[test]
    fn wakes_of_a_run_wait_for_each_other_and_for_nobody_else() {
        let mut backlog = Backlog::default();
        for (topic, run) in [
            (Topic::Plan, 1),
            (Topic::Plan, 2),
            (Topic::Aggregate, 1),
            (Topic::Aggregate, 1),
            (Topic::Plan, 1),
        ] {
            backlog.add(wake(topic, run));
        }
        assert_eq!(backlog.ready.drain(..).collect::<Vec<_>>(), [wake(Topic::Plan, 1), wake(Topic::Plan, 2)]);
        backlog.done(RunId(1));
        assert_eq!(backlog.ready.drain(..).collect::<Vec<_>>(), [wake(Topic::Plan, 1)]);
        backlog.done(RunId(1));
        assert_eq!(backlog.ready.drain(..).collect::<Vec<_>>(), [wake(Topic::Aggregate, 1)]);
        backlog.done(RunId(1));
        backlog.done(RunId(2));
        assert!(backlog.busy.is_empty() && backlog.ready.is_empty());
    }
}
