//! Whose turn it is: one ready task after the other, as the seed decides. A step costs what it touches, however many wait.

use super::fleet::Fleet;
use super::{Hub, Owner, Task};
use shared::domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Waker};

/// Chooses which task runs next and moves the clock.
pub struct Scheduler {
    hub: Arc<Hub>,
    fleet: Arc<Fleet>,
    tasks: BTreeMap<u64, Task>,
    /// Tasks that can run, in order.
    ready: Vec<u64>,
    /// All others, by the time from which they can.
    asleep: BTreeSet<(Timestamp, u64)>,
    steps: u64,
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl Scheduler {
    /// A scheduler without tasks but those spawned on the hub.
    #[must_use]
    pub fn new(hub: Arc<Hub>, fleet: Arc<Fleet>) -> Self {
        Self { hub, fleet, tasks: BTreeMap::new(), ready: Vec::new(), asleep: BTreeSet::new(), steps: 0 }
    }

    /// Steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Lets one task run up to its next wait; false if there is no task at all.
    pub fn step(&mut self) -> bool {
        self.absorb();
        let now = self.hub.now();
        let mut next = self.asleep.first().copied();
        while let Some((_, id)) = next.filter(|(due, _)| *due <= now) {
            self.place(id);
            next = self.asleep.first().copied();
        }
        if self.ready.is_empty() {
            let next = next.filter(|(due, _)| due.0 < u64::MAX);
            if let Some((due, _)) = next {
                self.hub.clock.advance_to(due);
            }
            return next.is_some();
        }
        let pick = usize::try_from(self.hub.below(self.ready.len() as u64)).unwrap_or(0);
        if let Some(id) = self.ready.get(pick).copied() {
            self.poll(id);
        }
        true
    }

    /// Takes in new tasks, wakes those that were answered, and forgets those whose process is dead.
    fn absorb(&mut self) {
        let (spawned, woken) = {
            let mut state = self.hub.state();
            (std::mem::take(&mut state.spawned), std::mem::take(&mut state.woken))
        };
        for (id, task) in spawned {
            self.tasks.insert(id, task);
            self.place(id);
        }
        for id in woken {
            if let Some(task) = self.tasks.get_mut(&id) {
                task.due = Timestamp(0);
                self.place(id);
            }
        }
        let changes = self.fleet.take_changes();
        if changes.deaths {
            let fleet = &self.fleet;
            self.tasks.retain(|_, task| match task.owner {
                Owner::Runner(id) => fleet.alive(&id),
                Owner::World | Owner::Service => true,
            });
        }
        if changes.deaths || changes.pauses {
            self.ready.clear();
            self.asleep.clear();
            let all: Vec<u64> = self.tasks.keys().copied().collect();
            all.into_iter().for_each(|id| self.place(id));
        }
    }

    /// Puts a task where it belongs now.
    fn place(&mut self, id: u64) {
        let now = self.hub.now();
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let due = match task.owner {
            Owner::Runner(runner) => task.due.max(self.fleet.paused_until(&runner)),
            Owner::World | Owner::Service => task.due,
        };
        let before = std::mem::replace(&mut task.asleep_until, due);
        self.asleep.remove(&(before, id));
        let place = self.ready.binary_search(&id);
        if due > now {
            self.asleep.insert((due, id));
        }
        match place {
            Ok(at) if due > now => drop(self.ready.remove(at)),
            Err(at) if due <= now => self.ready.insert(at, id),
            Ok(_) | Err(_) => {}
        }
    }

    fn forget(&mut self, id: u64) {
        if let Some(task) = self.tasks.remove(&id) {
            self.asleep.remove(&(task.asleep_until, id));
        }
        if let Ok(at) = self.ready.binary_search(&id) {
            self.ready.remove(at);
        }
    }

    fn poll(&mut self, id: u64) {
        self.steps += 1;
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let deaths = {
            let mut state = self.hub.state();
            state.current = id;
            state.sleep = Timestamp(0);
            if task.owner == Owner::Service && state.service_deaths > 0 {
                let limit = state.service_deaths;
                state.random.below(1_000_000) < limit
            } else {
                false
            }
        };
        if deaths {
            self.hub.note(|| format!("{} dies in the middle", task.name));
            self.forget(id);
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        let over = task.work.as_mut().poll(&mut context).is_ready();
        task.due = self.hub.state().sleep;
        if over { self.forget(id) } else { self.place(id) }
    }
}
