//! Wrapper adapters that inject faults by a plan; the wrapped adapter never knows.
//!
//! One [`Faults`] is shared by the wrappers of a world: it numbers their calls from 0 in one sequence and asks
//! the plan about each. No clock, no threads, no randomness but a seed, so one plan over one history of calls
//! gives one history of faults. A failed call is always `Unavailable`: the caller cannot know whether it was done.

mod plan;
mod wrappers;

pub use plan::{Calm, Rates, Scripted, Seeded};
pub use wrappers::{FaultyBlobs, FaultyLauncher, FaultyQueue, FaultyStore};

use shared::ports::{PortError, PortResult};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: the call goes through.
    Pass,
    /// The call is not made, and fails.
    FailBefore,
    /// The call is made, its answer is lost, and it fails.
    FailAfter,
    /// Queue only, `Pass` elsewhere: the call succeeds, the wake is lost.
    Drop,
    /// Queue only, `Pass` elsewhere: the wake is sent twice.
    Duplicate,
    /// Queue only, `Pass` elsewhere: the wake is sent with so many milliseconds of delay more.
    Delay(u64),
}

/// One call of a wrapped port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number over all wrappers that share a [`Faults`], counted from 0.
    pub number: u64,
    /// `store`, `blobs`, `queue` or `launcher`.
    pub port: &'static str,
    /// The method.
    pub operation: &'static str,
    /// What it is about: first key, blob key, topic and run, shard.
    pub subject: String,
}

impl Call {
    /// Whether the call is meant to change something outside.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.operation, "load" | "query" | "query_index" | "fetch" | "list" | "describe")
    }
}

/// Decides what happens to calls, one after the other.
pub trait FaultPlan: Debug + Send {
    /// The fate of this call.
    fn decide(&mut self, call: &Call) -> Fault;
}

#[derive(Debug)]
struct State {
    plan: Box<dyn FaultPlan>,
    calls: u64,
    injected: u64,
    recording: Option<Vec<(Call, Fault)>>,
}

/// The plan of a world and the count of its calls; cloning shares both.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Mutex<State>>);

impl Faults {
    /// Faults by this plan.
    #[must_use]
    pub fn new(plan: impl FaultPlan + 'static) -> Self {
        let state = State { plan: Box::new(plan), calls: 0, injected: 0, recording: None };
        Self(Arc::new(Mutex::new(state)))
    }

    /// As [`Self::new`], and every call is remembered for [`Self::recorded`].
    #[must_use]
    pub fn recording(plan: impl FaultPlan + 'static) -> Self {
        let faults = Self::new(plan);
        faults.with(|state| state.recording = Some(Vec::new()));
        faults
    }

    /// From now on nothing goes wrong.
    pub fn stop(&self) {
        self.replace(Calm);
    }

    /// From now on this plan decides; the count of calls goes on.
    pub fn replace(&self, plan: impl FaultPlan + 'static) {
        self.with(|state| state.plan = Box::new(plan));
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.with(|state| state.calls)
    }

    /// Calls so far that did not simply pass.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.with(|state| state.injected)
    }

    /// Calls so far with their fates; empty unless recording.
    #[must_use]
    pub fn recorded(&self) -> Vec<(Call, Fault)> {
        self.with(|state| state.recording.clone().unwrap_or_default())
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn next(&self, port: &'static str, operation: &'static str, subject: &str) -> Fault {
        self.with(|state| {
            let call = Call { number: state.calls, port, operation, subject: subject.to_owned() };
            state.calls += 1;
            let fault = state.plan.decide(&call);
            state.injected += u64::from(fault != Fault::Pass);
            if let Some(recording) = &mut state.recording {
                recording.push((call, fault));
            }
            fault
        })
    }

    /// Makes a call, or fails before or after it.
    async fn around<T>(
        &self,
        port: &'static str,
        operation: &'static str,
        subject: String,
        call: impl Future<Output = PortResult<T>> + Send,
    ) -> PortResult<T> {
        let fault = self.next(port, operation, &subject);
        apply(fault, (port, operation), &subject, call).await
    }
}

/// Makes a call as its fault demands; what it answers by itself, such as a conflict, is never hidden.
async fn apply<T>(
    fault: Fault,
    (port, operation): (&'static str, &'static str),
    subject: &str,
    call: impl Future<Output = PortResult<T>> + Send,
) -> PortResult<T> {
    let lost = |when: &str| {
        let reason = format!("injected: `{operation}` failed {when} it was done");
        PortError::Unavailable { port, subject: subject.to_owned(), reason }
    };
    match fault {
        Fault::FailBefore => Err(lost("before")),
        Fault::FailAfter => call.await.and_then(|_| Err(lost("after"))),
        Fault::Pass | Fault::Drop | Fault::Duplicate | Fault::Delay(_) => call.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::block_on;
    use crate::memory::{ManualClock, MemoryBlobs, MemoryQueue, MemoryStore};
    use shared::domain::id::RunId;
    use shared::domain::time::Timestamp;
    use shared::ports::{Blobs as _, Change, Condition, Key, Queue as _, Store, Topic, Wake, Write};
    use std::collections::BTreeMap;

    fn script(faults: &[(u64, Fault)]) -> Faults {
        Faults::recording(Scripted::new(faults.iter().copied().collect::<BTreeMap<_, _>>()))
    }

    fn create(sort: &str) -> Vec<Write> {
        let change = Change::Put { body: "{}".to_owned(), expires_at: None, index: None };
        vec![Write { key: Key::new("p", sort), condition: Condition::Absent, change }]
    }

    #[test]
    fn failing_before_does_nothing_and_failing_after_does_it() {
        let inner = Arc::new(MemoryStore::new(Arc::new(ManualClock::new(Timestamp(1)))));
        let faults = script(&[(1, Fault::FailBefore), (2, Fault::FailAfter)]);
        let store = FaultyStore::new(Arc::clone(&inner) as Arc<dyn Store>, faults.clone());
        let answers: Vec<bool> =
            ["a", "b", "c"].map(|sort| block_on(store.commit(create(sort))).is_ok()).to_vec();
        assert_eq!(answers, [true, false, false]);
        let kept: Vec<String> = inner.snapshot().into_iter().map(|document| document.key.sort).collect();
        assert_eq!(kept, ["a", "c"]);
        assert_eq!((faults.calls(), faults.injected()), (3, 2));
        let recorded = faults.recorded();
        assert_eq!(recorded[1].0.subject, "p/b");
        assert!(recorded[1].0.is_write());
    }

    #[test]
    fn a_refusal_is_not_hidden_by_a_fault_after_it() {
        let blobs = FaultyBlobs::new(Arc::new(MemoryBlobs::default()), script(&[(0, Fault::FailAfter)]));
        let missing = block_on(blobs.fetch("none", None));
        assert!(matches!(missing, Err(PortError::NotFound { .. })), "{missing:?}");
    }

    #[test]
    fn wakes_are_dropped_doubled_and_delayed() {
        let inner = Arc::new(MemoryQueue::new(Arc::new(ManualClock::new(Timestamp(0)))));
        let faults = script(&[
            (0, Fault::Drop),
            (1, Fault::Duplicate),
            (2, Fault::Delay(500)),
            (3, Fault::FailBefore),
            (4, Fault::FailAfter),
        ]);
        let queue = FaultyQueue::new(Arc::clone(&inner) as _, faults);
        let wake = |run| Wake { topic: Topic::Plan, run: RunId(run) };
        let answers: Vec<bool> = (0..5).map(|run| block_on(queue.send(wake(run), 10)).is_ok()).collect();
        assert_eq!(answers, [true, true, true, false, false]);
        let waiting = inner.waiting();
        let wanted = [(10, 1), (10, 1), (510, 2), (10, 4)].map(|(due, run)| (Timestamp(due), wake(run)));
        assert_eq!(waiting, wanted);
    }

    #[test]
    fn one_seed_gives_one_history_of_faults() {
        let history = |seed| {
            let faults = Faults::new(Seeded::new(seed, Rates::rough()));
            let ports = ["store", "queue", "launcher", "blobs"];
            let fates: Vec<Fault> = (0..2_000).map(|n| faults.next(ports[n % 4], "commit", "x")).collect();
            (fates, faults.injected())
        };
        assert_eq!(history(3), history(3));
        assert_ne!(history(3).0, history(4).0);
        let (fates, injected) = history(3);
        assert!((100..1_500).contains(&injected), "{injected}");
        for wanted in [Fault::FailBefore, Fault::FailAfter, Fault::Drop, Fault::Duplicate] {
            assert!(fates.contains(&wanted), "{wanted:?}");
        }
        let queue_only = |fault: &Fault| matches!(fault, Fault::Drop | Fault::Duplicate | Fault::Delay(_));
        assert!(fates.iter().enumerate().all(|(n, fault)| n % 4 == 1 || !queue_only(fault)));
    }

    #[test]
    fn after_stop_everything_passes() {
        let faults = Faults::new(Seeded::new(1, Rates { fail_before: 1_000, ..Rates::default() }));
        assert_eq!(faults.next("store", "load", "x"), Fault::FailBefore);
        faults.stop();
        assert!((0..100).all(|_| faults.next("store", "load", "x") == Fault::Pass));
        assert_eq!((faults.calls(), faults.injected()), (101, 1));
    }
}
