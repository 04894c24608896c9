//! `Launcher` that writes orders down; the simulation plays the runners.
//!
//! An order is known by its client token for ever, so that a second launch of the same attempt starts nothing.

use super::lock;
use async_trait::async_trait;
use shared::domain::id::ShardAttempt;
use shared::ports::{LaunchOrder, Launcher, PortError, PortResult, RunnerState};
use std::collections::BTreeMap;
use std::sync::Mutex;

#[derive(Debug, Default)]
struct Book {
    runners: BTreeMap<String, (LaunchOrder, RunnerState)>,
    started: Vec<LaunchOrder>,
    stops: Vec<ShardAttempt>,
}

/// A launcher in memory.
#[derive(Debug)]
pub struct MemoryLauncher {
    capacity: usize,
    obedient: bool,
    book: Mutex<Book>,
}

impl Default for MemoryLauncher {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl MemoryLauncher {
    /// A launcher with room for `capacity` live runners, which stop as soon as they are told.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, obedient: true, book: Mutex::new(Book::default()) }
    }

    /// A launcher whose runners stop only by [`Self::set_state`]; `stop` is merely written down.
    #[must_use]
    pub fn disobedient(capacity: usize) -> Self {
        Self { obedient: false, ..Self::new(capacity) }
    }

    /// Every order that started a runner, by client token.
    #[must_use]
    pub fn orders(&self) -> BTreeMap<String, LaunchOrder> {
        lock(&self.book).runners.iter().map(|(token, (order, _))| (token.clone(), order.clone())).collect()
    }

    /// Orders that started a runner since the last call, in the order of launching.
    pub fn take_started(&self) -> Vec<LaunchOrder> {
        std::mem::take(&mut lock(&self.book).started)
    }

    /// Calls of `stop` for known runners since the last call, in order.
    pub fn take_stops(&self) -> Vec<ShardAttempt> {
        std::mem::take(&mut lock(&self.book).stops)
    }

    /// Says what has become of a runner; an unknown one stays unknown.
    pub fn set_state(&self, shard: &ShardAttempt, state: RunnerState) {
        if let Some(runner) = lock(&self.book).runners.get_mut(&shard.client_token()) {
            runner.1 = state;
        }
    }

    /// Live runners.
    #[must_use]
    pub fn live(&self) -> usize {
        lock(&self.book).live()
    }
}

impl Book {
    fn live(&self) -> usize {
        self.runners.values().filter(|(_, state)| is_live(state)).count()
    }
}

fn is_live(state: &RunnerState) -> bool {
    matches!(state, RunnerState::Pending | RunnerState::Running)
}

#[async_trait]
impl Launcher for MemoryLauncher {
    async fn launch(&self, order: &LaunchOrder) -> PortResult<String> {
        let token = order.shard.client_token();
        let mut book = lock(&self.book);
        if book.runners.contains_key(&token) {
            return Ok(token);
        }
        if book.live() >= self.capacity {
            let reason = format!("all {} places are taken", self.capacity);
            return Err(PortError::Unavailable {
                port: "launcher",
                subject: order.shard.to_string(),
                reason,
            });
        }
        book.runners.insert(token.clone(), (order.clone(), RunnerState::Running));
        book.started.push(order.clone());
        Ok(token)
    }

    async fn describe(&self, shard: &ShardAttempt) -> PortResult<RunnerState> {
        let book = lock(&self.book);
        Ok(book.runners.get(&shard.client_token()).map_or(RunnerState::Unknown, |(_, state)| state.clone()))
    }

    async fn stop(&self, shard: &ShardAttempt) -> PortResult<()> {
        let mut book = lock(&self.book);
        if let Some((_, state)) = book.runners.get_mut(&shard.client_token()) {
            if self.obedient && is_live(state) {
                *state = RunnerState::Stopped { exit_code: None, reason: "stopped on request".to_owned() };
            }
            book.stops.push(*shard);
        }
        Ok(())
    }
}
