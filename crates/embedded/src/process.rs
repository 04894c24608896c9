//! Runners as child processes of this one.
//!
//! A runner leads a process group of its own. Its pointer to the coordinator is in its environment; its bootstrap
//! token is the one line on its standard input, so it shows in no process list. That pipe then stays open until
//! this launcher is gone: its end tells a runner that nobody waits for it any more. One thread per runner waits for
//! its end, kills what it left behind, remembers how it ended and calls `on_exit`.
//!
//! Invariant: no signal is sent to a process id after its process was reaped, because both happen under one lock
//! (on Linux; elsewhere a process cannot be awaited without reaping it, which leaves an instant of doubt).

mod ending;
mod orphans;
mod spawn;

use async_trait::async_trait;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use shared::domain::id::ShardAttempt;
use shared::ports::{LaunchOrder, Launcher, PortError, PortResult, RunnerState};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Environment variable: where the runner finds the coordinator.
pub const LINK_URL_VARIABLE: &str = "FLEETEST_LINK_URL";
/// Environment variable: how many slots the runner should offer; absent = all of its machine.
pub const SLOTS_VARIABLE: &str = "FLEETEST_SLOTS";
/// Environment variable: the launch that a process descends from, by which what it leaves behind is found.
pub const LAUNCH_VARIABLE: &str = "FLEETEST_LAUNCH";

/// How long a dropped launcher waits for its killed runners.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Launchers that this process has made.
static LAUNCHERS: AtomicU32 = AtomicU32::new(0);

/// Told about the end of each runner, on a thread of the launcher, after the runner's processes are gone.
pub type OnExit = Arc<dyn Fn(ShardAttempt, RunnerState) + Send + Sync>;

/// What to start, and how.
#[derive(Clone)]
pub struct LaunchConfig {
    /// The runner's program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables added to this process's own environment.
    pub env: BTreeMap<OsString, OsString>,
    /// Its working directory.
    pub dir: PathBuf,
    /// Where it finds the coordinator.
    pub link_url: String,
    /// Most runners alive at once.
    pub capacity: usize,
    /// Most slots of all runners alive at once: a runner that names no number takes all of them. `None` = slots are
    /// not counted.
    pub slots: Option<u32>,
    /// How long a runner may take to end after SIGTERM.
    pub grace: Duration,
    /// Where its standard output and error go, one file per launch; `None` = nowhere.
    pub log_dir: Option<PathBuf>,
    /// Told about each end.
    pub on_exit: OnExit,
}

impl LaunchConfig {
    /// A runner without arguments, one at a time, with 10 s of grace, whose end interests nobody.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, dir: impl Into<PathBuf>, link_url: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            dir: dir.into(),
            link_url: link_url.into(),
            capacity: 1,
            slots: None,
            grace: Duration::from_secs(10),
            log_dir: None,
            on_exit: Arc::new(|_shard, _state| {}),
        }
    }
}

impl fmt::Debug for LaunchConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment may hold secrets.
        f.debug_struct("LaunchConfig")
            .field("program", &self.program)
            .field("dir", &self.dir)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Phase {
    /// Started and not reaped: its process id is its own.
    Live,
    /// Reaped; what it left behind is being killed.
    Clearing,
    Ended(RunnerState),
}

#[derive(Debug)]
struct Runner {
    pid: Pid,
    slots: u32,
    phase: Phase,
    stop_requested: bool,
    /// Open for as long as somebody waits for the runner.
    lifeline: Option<ChildStdin>,
}

type Runners = BTreeMap<String, Runner>;

/// Ended runners that are remembered; an older one is as unknown as one that never was.
const REMEMBERED: usize = 512;

#[derive(Debug)]
struct Shared {
    config: LaunchConfig,
    /// Tells this launcher from every other one on the machine.
    name: String,
    /// By client token; the ended ones are remembered.
    runners: Mutex<Runners>,
    /// The ended ones, oldest first.
    endings: Mutex<VecDeque<String>>,
    ended: Condvar,
}

impl Shared {
    /// The value of the launch variable.
    fn mark(&self, token: &str) -> String {
        format!("{}-{token}", self.name)
    }

    fn runners(&self) -> MutexGuard<'_, Runners> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an end, and forgets the oldest if there are too many.
    fn remember_end(&self, runners: &mut Runners, token: &str) {
        let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        endings.push_back(token.to_owned());
        if endings.len() > REMEMBERED {
            endings.pop_front().and_then(|oldest| runners.remove(&oldest));
        }
    }

    /// Waits until no runner that `concerns` is left unended, or `limit` is over.
    fn wait_ended(&self, limit: Duration, concerns: impl Fn(&str) -> bool) -> MutexGuard<'_, Runners> {
        let busy = |runners: &mut Runners| {
            runners.iter().any(|(token, runner)| concerns(token) && !matches!(runner.phase, Phase::Ended(_)))
        };
        let waited = self.ended.wait_timeout_while(self.runners(), limit, busy);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Starts runners as local processes.
#[derive(Debug)]
pub struct ProcessLauncher {
    shared: Arc<Shared>,
}

impl ProcessLauncher {
    /// A launcher; on Linux this process becomes the parent of whatever its runners leave behind.
    #[must_use]
    pub fn new(config: LaunchConfig) -> Self {
        orphans::adopt();
        let number = LAUNCHERS.fetch_add(1, Ordering::SeqCst);
        let name = format!("{}-{number}", std::process::id());
        let (runners, endings) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { config, name, runners, endings, ended: Condvar::new() }) }
    }

    /// Runners that have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        live(&self.shared.runners())
    }

    /// Asks every runner to end in order, without waiting for it.
    pub fn stop_all(&self) {
        for runner in self.shared.runners().values_mut() {
            if matches!(runner.phase, Phase::Live) {
                runner.stop_requested = true;
                kill(runner.pid, Signal::SIGTERM).ok();
            }
        }
    }

    /// Kills every runner with its group and waits up to `limit` until all have ended; blocks. Whether they have.
    pub fn kill_all(&self, limit: Duration) -> bool {
        for runner in self.shared.runners().values() {
            kill_group(runner);
        }
        live(&self.shared.wait_ended(limit, |_token| true)) == 0
    }
}

impl Drop for ProcessLauncher {
    fn drop(&mut self) {
        self.kill_all(LAST_WAIT);
    }
}

fn living(runners: &Runners) -> impl Iterator<Item = &Runner> {
    runners.values().filter(|runner| !matches!(runner.phase, Phase::Ended(_)))
}

fn live(runners: &Runners) -> usize {
    living(runners).count()
}

/// The slots that the runner of an order takes; 0 where they are not counted.
fn need(config: &LaunchConfig, order: &LaunchOrder) -> u32 {
    config.slots.map_or(0, |all| order.slots.unwrap_or(all).clamp(1, all.max(1)))
}

fn kill_group(runner: &Runner) {
    if matches!(runner.phase, Phase::Live) {
        // A group that is gone already is what we want.
        killpg(runner.pid, Signal::SIGKILL).ok();
    }
}

/// Kills the group of a runner that is still there when its grace is over.
fn kill_after_grace(shared: &Shared, token: &str) {
    let runners = shared.wait_ended(shared.config.grace, |other| other == token);
    runners.get(token).into_iter().for_each(kill_group);
}

fn unavailable(order: &LaunchOrder, reason: String) -> PortError {
    PortError::Unavailable { port: "launcher", subject: order.shard.to_string(), reason }
}

#[async_trait]
impl Launcher for ProcessLauncher {
    async fn launch(&self, order: &LaunchOrder) -> PortResult<String> {
        let token = order.shard.client_token();
        // Held while the process starts, so that two calls for one launch cannot start two.
        let mut runners = self.shared.runners();
        if runners.contains_key(&token) {
            return Ok(token);
        }
        let capacity = self.shared.config.capacity;
        if live(&runners) >= capacity {
            return Err(unavailable(order, format!("all {capacity} places on this machine are taken")));
        }
        let slots = need(&self.shared.config, order);
        let taken: u32 = living(&runners).map(|runner| runner.slots).sum();
        if self.shared.config.slots.is_some_and(|all| taken + slots > all) {
            return Err(unavailable(
                order,
                format!("{taken} slots of this machine are taken, {slots} are needed"),
            ));
        }
        let runner = spawn::start(&self.shared, order, &token)?;
        runners.insert(token.clone(), runner);
        Ok(token)
    }

    async fn describe(&self, shard: &ShardAttempt) -> PortResult<RunnerState> {
        let runners = self.shared.runners();
        Ok(runners.get(&shard.client_token()).map_or(RunnerState::Unknown, |runner| match &runner.phase {
            Phase::Live | Phase::Clearing => RunnerState::Running,
            Phase::Ended(state) => state.clone(),
        }))
    }

    async fn stop(&self, shard: &ShardAttempt) -> PortResult<()> {
        let token = shard.client_token();
        let mut runners = self.shared.runners();
        let Some(runner) = runners.get_mut(&token) else { return Ok(()) };
        if runner.stop_requested || !matches!(runner.phase, Phase::Live) {
            return Ok(());
        }
        runner.stop_requested = true;
        kill(runner.pid, Signal::SIGTERM).ok();
        let shared = Arc::clone(&self.shared);
        let timer = thread::Builder::new().name("stop-grace".to_owned());
        if timer.spawn(move || kill_after_grace(&shared, &token)).is_err() {
            // Without a thread there is no grace.
            kill_group(runner);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
