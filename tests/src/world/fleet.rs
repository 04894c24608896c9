//! The simulated launcher: which runner processes exist, and how each came to its end.
//!
//! It starts what is ordered once per shard attempt. Whether a started runner ever comes forward, and when, is
//! drawn from the seed by the hub.

use super::Hub;
use async_trait::async_trait;
use shared::domain::id::ShardAttempt;
use shared::domain::time::Timestamp;
use shared::ports::{LaunchOrder, Launcher, PortError, PortResult, RunnerState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long a runner that was asked to stop may take before it is killed, in milliseconds.
pub const STOP_TIMEOUT_MS: u64 = 20_000;

/// One process.
#[derive(Debug, Clone)]
pub struct Process {
    /// What was ordered.
    pub order: LaunchOrder,
    /// What the launcher would say.
    pub state: RunnerState,
    /// Stands still until then.
    pub paused_until: Timestamp,
    /// Asked to end.
    pub told_to_stop: bool,
    /// Units that slots work on, or whose last results are not stored yet.
    pub begun: BTreeMap<u32, BTreeSet<String>>,
}

/// How launches go wrong, in calls per thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct LaunchRates {
    /// There is no room.
    pub no_room: u64,
    /// Refused for good.
    pub denied: u64,
    /// Started, but it never comes forward.
    pub silent: u64,
    /// It comes forward late.
    pub slow: u64,
}

/// What became of processes since it was last asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes {
    /// One ended.
    pub deaths: bool,
    /// One stands still.
    pub pauses: bool,
}

#[derive(Debug, Default)]
struct Book {
    processes: BTreeMap<ShardAttempt, Process>,
    started: Vec<(LaunchOrder, u64)>,
    stops: Vec<ShardAttempt>,
    changes: Changes,
    ended: Vec<ShardAttempt>,
    deaths_under: BTreeMap<(ShardAttempt, String), u32>,
    rates: LaunchRates,
}

/// All runner processes.
#[derive(Debug)]
pub struct Fleet {
    hub: Arc<Hub>,
    book: Mutex<Book>,
}

impl Fleet {
    /// An empty fleet.
    #[must_use]
    pub fn new(hub: Arc<Hub>, rates: LaunchRates) -> Arc<Self> {
        Arc::new(Self { hub, book: Mutex::new(Book { rates, ..Book::default() }) })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on launches go wrong like this.
    pub fn set_rates(&self, rates: LaunchRates) {
        self.book().rates = rates;
    }

    /// What became of processes since the last call.
    pub fn take_changes(&self) -> Changes {
        std::mem::take(&mut self.book().changes)
    }

    /// Orders started since the last call, with the delay before their process begins to work; a delay of
    /// `u64::MAX` means never.
    pub fn take_started(&self) -> Vec<(LaunchOrder, u64)> {
        std::mem::take(&mut self.book().started)
    }

    /// Processes asked to stop since the last call.
    pub fn take_stops(&self) -> Vec<ShardAttempt> {
        std::mem::take(&mut self.book().stops)
    }

    /// Processes that ended since the last call.
    pub fn take_ended(&self) -> Vec<ShardAttempt> {
        std::mem::take(&mut self.book().ended)
    }

    /// Whether the process exists.
    #[must_use]
    pub fn alive(&self, id: &ShardAttempt) -> bool {
        self.book().processes.get(id).is_some_and(|process| process.state == RunnerState::Running)
    }

    /// Processes that exist.
    #[must_use]
    pub fn living(&self) -> Vec<ShardAttempt> {
        let book = self.book();
        let alive = |process: &&Process| process.state == RunnerState::Running;
        book.processes.values().filter(alive).map(|process| process.order.shard).collect()
    }

    /// Attempts that were ever started.
    #[must_use]
    pub fn launched(&self) -> Vec<ShardAttempt> {
        self.book().processes.keys().copied().collect()
    }

    /// Until when the process stands still.
    #[must_use]
    pub fn paused_until(&self, id: &ShardAttempt) -> Timestamp {
        self.book().processes.get(id).map_or(Timestamp(0), |process| process.paused_until)
    }

    /// Makes the process stand still.
    pub fn pause(&self, id: &ShardAttempt, ms: u64) {
        let until = self.hub.now().plus_ms(ms);
        self.hub.note(|| format!("{} is paused for {ms} ms", short(id)));
        let mut book = self.book();
        book.changes.pauses = true;
        if let Some(process) = book.processes.get_mut(id) {
            process.paused_until = process.paused_until.max(until);
        }
    }

    /// Asks the process to end; it is killed if it does not.
    pub fn tell_to_stop(&self, id: &ShardAttempt) {
        if !self.alive(id) || self.told_to_stop(id) {
            return;
        }
        let mut book = self.book();
        if let Some(process) = book.processes.get_mut(id) {
            process.told_to_stop = true;
        }
        book.stops.push(*id);
    }

    /// Whether the process was asked to end.
    #[must_use]
    pub fn told_to_stop(&self, id: &ShardAttempt) -> bool {
        self.book().processes.get(id).is_some_and(|process| process.told_to_stop)
    }

    /// A slot of the process works on this unit too, or has reported all that it worked on.
    pub fn working_on(&self, id: &ShardAttempt, slot: u32, unit: Option<&str>) {
        if let Some(process) = self.book().processes.get_mut(id) {
            match unit {
                Some(unit) => {
                    process.begun.entry(slot).or_default().insert(unit.to_owned());
                }
                None => {
                    process.begun.remove(&slot);
                }
            }
        }
    }

    /// Ends the process; false if it had ended.
    pub fn end(&self, id: &ShardAttempt, exit_code: Option<i32>, reason: &str) -> bool {
        let mut book = self.book();
        let Some(process) = book.processes.get_mut(id) else { return false };
        if process.state != RunnerState::Running {
            return false;
        }
        process.state = RunnerState::Stopped { exit_code, reason: reason.to_owned() };
        let units: BTreeSet<String> = std::mem::take(&mut process.begun).into_values().flatten().collect();
        for unit in units {
            *book.deaths_under.entry((*id, unit)).or_default() += 1;
        }
        book.changes.deaths = true;
        book.ended.push(*id);
        drop(book);
        self.hub.note(|| format!("{} ends: {reason}", short(id)));
        true
    }

    /// How often a process of this job died while it worked on this unit.
    #[must_use]
    pub fn deaths_under(&self, of: &ShardAttempt, unit: &str) -> u32 {
        let book = self.book();
        let same = |id: &ShardAttempt| id.run == of.run && id.job == of.job;
        book.deaths_under.iter().filter(|((id, name), _)| same(id) && name == unit).map(|(_, n)| n).sum()
    }

    /// What the launcher would say.
    #[must_use]
    pub fn state(&self, id: &ShardAttempt) -> RunnerState {
        self.book().processes.get(id).map_or(RunnerState::Unknown, |process| process.state.clone())
    }
}

/// A shard attempt for the trace.
#[must_use]
pub fn short(id: &ShardAttempt) -> String {
    format!("runner {}/{}/{}", id.job, id.shard, id.attempt)
}

#[async_trait]
impl Launcher for Fleet {
    async fn launch(&self, order: &LaunchOrder) -> PortResult<String> {
        let rates = self.book().rates;
        let token = order.shard.client_token();
        if self.book().processes.contains_key(&order.shard) {
            return Ok(token);
        }
        let subject = order.shard.to_string();
        if self.hub.chance(rates.no_room) {
            return Err(PortError::Unavailable { port: "launcher", subject, reason: "no room".to_owned() });
        }
        if self.hub.chance(rates.denied) {
            return Err(PortError::Denied { port: "launcher", subject, reason: "not allowed".to_owned() });
        }
        let delay_ms = if self.hub.chance(rates.silent) {
            u64::MAX
        } else if self.hub.chance(rates.slow) {
            self.hub.between(30_000, 600_000)
        } else {
            self.hub.between(10, 2_000)
        };
        let process = Process {
            order: order.clone(),
            state: RunnerState::Running,
            paused_until: Timestamp(0),
            told_to_stop: false,
            begun: BTreeMap::new(),
        };
        self.hub.note(|| format!("{} is started", short(&order.shard)));
        let mut book = self.book();
        book.processes.insert(order.shard, process);
        book.started.push((order.clone(), delay_ms));
        Ok(token)
    }

    async fn describe(&self, shard: &ShardAttempt) -> PortResult<RunnerState> {
        Ok(self.state(shard))
    }

    async fn stop(&self, shard: &ShardAttempt) -> PortResult<()> {
        self.tell_to_stop(shard);
        Ok(())
    }
}
