//! Virtual time, one thread, one seed: tasks take turns as the seed decides, and every wait is a virtual one.
//!
//! Tasks are boxed futures polled without a waker. A task that yields may be chosen again at once; a task that
//! sleeps is passed over until its time; a task that waits for an answer is passed over until it is woken. The
//! clock moves only when nobody can run. Nothing here knows what is simulated.

pub mod fleet;
pub mod link;
pub mod ports;
pub mod quota;
pub mod runner;
pub mod scheduler;
pub mod slot;
pub mod truth;

use crate::memory::{ManualClock, SplitMix};
use shared::domain::id::ShardAttempt;
use shared::domain::time::Timestamp;
use shared::ports::{Clock as _, Key};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whose task it is, and so how it can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Part of the simulation itself.
    World,
    /// One call of a service: its process may die at any point while faults are on.
    Service,
    /// A runner: stands still while it is paused, ends when it is killed.
    Runner(ShardAttempt),
}

struct Task {
    name: String,
    owner: Owner,
    work: Work,
    due: Timestamp,
    /// When it may run again at the earliest, also by what stands still around it.
    asleep_until: Timestamp,
}

struct State {
    random: SplitMix,
    spawned: Vec<(u64, Task)>,
    next_id: u64,
    current: u64,
    sleep: Timestamp,
    woken: Vec<u64>,
    trace: Option<Vec<String>>,
    violations: Vec<String>,
    changed: Vec<Key>,
    service_deaths: u64,
    slow_calls: u64,
    call_ms: Option<(u64, u64)>,
}

/// What all tasks share: the seed's generator, the clock, the trace, and what was found wrong.
pub struct Hub {
    /// The virtual clock.
    pub clock: Arc<ManualClock>,
    state: Mutex<State>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub for a seed; with `tracing`, every note is kept.
    #[must_use]
    pub fn new(seed: u64, start: Timestamp, tracing: bool) -> Arc<Self> {
        let state = State {
            random: SplitMix::new(seed),
            spawned: Vec::new(),
            next_id: 0,
            current: 0,
            sleep: Timestamp(0),
            woken: Vec::new(),
            trace: tracing.then(Vec::new),
            violations: Vec::new(),
            changed: Vec::new(),
            service_deaths: 0,
            slow_calls: 0,
            call_ms: None,
        };
        Arc::new(Self { clock: Arc::new(ManualClock::new(start)), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A number below `bound` from the seed.
    pub fn below(&self, bound: u64) -> u64 {
        self.state().random.below(bound)
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// True in `per_mille` of 1,000 cases.
    pub fn chance(&self, per_mille: u64) -> bool {
        self.state().random.chance(per_mille)
    }

    /// Writes a line of the trace, if anybody reads it.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(trace) = &mut self.state().trace {
            trace.push(format!("{:>9} {}", now.0 % 1_000_000_000, line()));
        }
    }

    /// The trace so far; empty unless tracing.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.state().trace.clone().unwrap_or_default()
    }

    /// Records that an invariant does not hold.
    pub fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("VIOLATION {what}"));
        self.state().violations.push(what);
    }

    /// What was found wrong so far.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// Whether nothing was found wrong so far.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.state().violations.is_empty()
    }

    /// Takes note that documents were written.
    pub fn changed(&self, keys: Vec<Key>) {
        self.state().changed.extend(keys);
    }

    /// Documents written since the last call.
    pub fn take_changed(&self) -> Vec<Key> {
        std::mem::take(&mut self.state().changed)
    }

    /// Service processes die in so many of 1,000,000 steps.
    pub fn set_service_deaths(&self, per_million: u64) {
        self.state().service_deaths = per_million;
    }

    /// So many of 1,000 port calls take their time.
    pub fn set_slow_calls(&self, per_mille: u64) {
        self.state().slow_calls = per_mille;
    }

    /// Every port call takes so long, in milliseconds, from and to.
    pub fn set_call_ms(&self, range: (u64, u64)) {
        self.state().call_ms = Some(range);
    }

    /// Whether they do.
    #[must_use]
    pub fn calls_take_time(&self) -> bool {
        self.state().call_ms.is_some()
    }

    /// What passes before a port call: others get a turn, and sometimes time goes by.
    pub async fn pace(&self) {
        let usual = self.state().call_ms;
        match usual {
            Some((from, to)) => self.sleep(self.between(from, to)).await,
            None => self.turn().await,
        }
        let slow = {
            let mut state = self.state();
            let rate = state.slow_calls;
            rate > 0 && state.random.chance(rate)
        };
        if slow {
            let longest_ms = if self.chance(20) { 120_000 } else { 1_500 };
            self.sleep(self.between(1, longest_ms)).await;
        }
    }

    /// Starts a task.
    pub fn spawn(
        &self,
        name: impl Into<String>,
        owner: Owner,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut state = self.state();
        state.next_id += 1;
        let id = state.next_id;
        let task = Task {
            name: name.into(),
            owner,
            work: Box::pin(work),
            due: Timestamp(0),
            asleep_until: Timestamp(0),
        };
        state.spawned.push((id, task));
    }

    /// Lets others go first.
    pub async fn turn(&self) {
        let mut waited = false;
        std::future::poll_fn(|_| {
            if waited {
                return Poll::Ready(());
            }
            waited = true;
            Poll::Pending
        })
        .await;
    }

    /// Waits for virtual time.
    pub async fn sleep(&self, ms: u64) {
        let due = self.now().plus_ms(ms);
        std::future::poll_fn(|_| {
            if self.now() >= due {
                return Poll::Ready(());
            }
            self.state().sleep = due;
            Poll::Pending
        })
        .await;
    }
}

/// An answer that another task gives, once.
#[derive(Debug)]
pub struct Slip<T> {
    state: Mutex<(Option<T>, Option<u64>)>,
}

impl<T> Default for Slip<T> {
    fn default() -> Self {
        Self { state: Mutex::new((None, None)) }
    }
}

impl<T> Slip<T> {
    /// Gives the answer; the first one counts.
    pub fn fill(&self, hub: &Hub, value: T) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0.is_none() {
            state.0 = Some(value);
        }
        if let Some(waiter) = state.1.take() {
            hub.state().woken.push(waiter);
        }
    }

    /// Waits for the answer for so long.
    pub async fn wait(&self, hub: &Hub, limit_ms: u64) -> Option<T> {
        let due = hub.now().plus_ms(limit_ms);
        std::future::poll_fn(|_| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(value) = state.0.take() {
                return Poll::Ready(Some(value));
            }
            if hub.now() >= due {
                return Poll::Ready(None);
            }
            let mut shared = hub.state();
            state.1 = Some(shared.current);
            shared.sleep = due;
            Poll::Pending
        })
        .await
    }
}
