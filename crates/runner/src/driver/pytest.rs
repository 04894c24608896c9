//! The pytest driver: one warm process that has pytest and the project's own configuration loaded, and slots
//! forked from it that collect only the files they lease.
//!
//! The unit is a file as pytest's node ids name it. Collection runs in the slots, in parallel; the warm process
//! walks directories but never imports a test module. The driver knows no queue, retries nothing and judges
//! nothing. Its invariant: whatever the tests do to their processes, each announced case gets one result.

mod chatter;
mod config;
mod interpreter;
mod lane;
mod notice;
mod protocol;
mod slot;
mod task;
mod zygote;

use super::{Driver, DriverError, JobContext, Slot};
use lane::Lane;
use shared::domain::unit::DiscoveredUnit;
use shared::domain::verdict::CauseCode;
use slot::PytestSlot;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use zygote::{Found, Mode, Stillborn, Zygote};

/// How often a warm process may be killed by tests before the job is given up.
const RESTARTS: u32 = 5;
/// How long the project's own end of session may take.
const FAREWELL: Duration = Duration::from_secs(10);

/// Runs suites whose framework is pytest 7 or later.
///
/// `FLEETEST_PYTHON`, in the job's or the user's environment (or `PYTHON` in the job's), names the interpreter;
/// `FLEETEST_PYTEST_FORK=0` makes each slot a process of its own that starts pytest anew; `FLEETEST_PYTEST_PRELOAD=0`
/// keeps the warm process from importing what test files import at their top.
///
/// Dropping the driver lets the project close its pytest session; [`Driver::stop`] kills everything.
pub struct PytestDriver {
    shared: Arc<Shared>,
}

struct Shared {
    ctx: JobContext,
    run_uid: String,
    mode: Mode,
    stopped: AtomicBool,
    zygotes: Mutex<Zygotes>,
    restarting: Mutex<()>,
}

#[derive(Default)]
struct Zygotes {
    current: Option<Arc<Zygote>>,
    started: Vec<Weak<Zygote>>,
    deaths: u32,
    /// What the first one had to say about the project's options.
    notes: Vec<String>,
}

impl PytestDriver {
    /// A driver for this job; nothing is started yet.
    #[must_use]
    pub fn new(ctx: JobContext) -> Self {
        let forks = ctx.env.get("FLEETEST_PYTEST_FORK").is_none_or(|value| value != "0");
        let mode = if forks { Mode::Fork } else { Mode::Become };
        let mut noise = [0u8; 16];
        // Only names a run to plugins; equal ones do no harm.
        let _ = getrandom::fill(&mut noise);
        let run_uid = hex::encode(noise);
        let stopped = AtomicBool::new(false);
        let (zygotes, restarting) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { ctx, run_uid, mode, stopped, zygotes, restarting }) }
    }
}

impl Driver for PytestDriver {
    fn discover(&self) -> Result<Vec<DiscoveredUnit>, DriverError> {
        let (zygote, found) = self.shared.start_zygote()?;
        self.shared.zygotes().current = Some(zygote);
        (self.shared.ctx.log)("driver", &format!("{}, {} files\n", found.versions, found.units.len()));
        self.shared.zygotes().notes = found.notes;
        let discovered = |key: String| {
            // Node ids begin at pytest's own root, which is nearly always where it runs.
            let size_bytes = std::fs::metadata(self.shared.ctx.root.join(&key)).map_or(0, |file| file.len());
            DiscoveredUnit { key, cases: None, divisible: true, size_bytes }
        };
        Ok(found.units.into_iter().map(discovered).collect())
    }

    fn notes(&self) -> Vec<String> {
        self.shared.zygotes().notes.clone()
    }

    fn open_slot(&self, slot: u32) -> Result<Box<dyn Slot>, DriverError> {
        Ok(Box::new(PytestSlot::open(Arc::clone(&self.shared), slot)?))
    }

    fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let started = std::mem::take(&mut self.shared.zygotes().started);
        for zygote in started.iter().filter_map(Weak::upgrade) {
            zygote.kill();
        }
    }
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn zygotes(&self) -> MutexGuard<'_, Zygotes> {
        self.zygotes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process that is killed before it is ready is replaced once: that is no word about the project.
    fn start_zygote(&self) -> Result<(Arc<Zygote>, Found), DriverError> {
        match self.try_zygote()? {
            (zygote, Ok(found)) => Ok((zygote, found)),
            (_, Err(dead)) if !dead.was_killed || self.is_stopped() => Err(self.unless_stopped(dead)),
            (_, Err(_)) => {
                (self.ctx.log)(
                    "driver",
                    "pytest's warm process was killed at its start and is started again\n",
                );
                let (zygote, answer) = self.try_zygote()?;
                answer.map(|found| (zygote, found)).map_err(|dead| self.unless_stopped(dead))
            }
        }
    }

    fn unless_stopped(&self, dead: Stillborn) -> DriverError {
        if self.is_stopped() { DriverError::Stopped } else { dead.error }
    }

    fn try_zygote(&self) -> Result<(Arc<Zygote>, Result<Found, Stillborn>), DriverError> {
        let interpreters = interpreter::candidates(
            &self.ctx.root,
            self.ctx.job.suite.folder_depth(),
            &config::with_inherited(&self.ctx.env),
        );
        let newborn = Zygote::spawn(&self.ctx, &interpreters, self.mode)?;
        let zygote = newborn.zygote();
        self.zygotes().started.push(Arc::downgrade(&zygote));
        if self.is_stopped() {
            // `stop` may have looked before this one was listed.
            zygote.kill();
        }
        let answer = newborn.greet(&self.ctx, &self.run_uid);
        Ok((zygote, answer))
    }

    /// A new slot process, from a new warm process if the old one is gone.
    fn open_lane(&self, slot: u32, generation: u32) -> Result<Lane, DriverError> {
        loop {
            if self.is_stopped() {
                return Err(DriverError::Stopped);
            }
            let zygote = match self.mode {
                Mode::Fork => self.warm()?,
                Mode::Become => self.own()?,
            };
            match Lane::open(Arc::clone(&zygote), slot, generation, Arc::clone(&self.ctx.log)) {
                Ok(lane) => return Ok(lane),
                // It died in the meantime; the next one is counted.
                Err(_) if !zygote.is_alive() => {}
                Err(_) if self.is_stopped() => return Err(DriverError::Stopped),
                Err(error) => {
                    let text = format!("no process could be started for slot {slot}: {error}");
                    return Err(DriverError::broken(CauseCode::SetupFailed, text, ""));
                }
            }
        }
    }

    /// The living warm process. Whoever finds it dead starts the next one while the others wait.
    fn warm(&self) -> Result<Arc<Zygote>, DriverError> {
        let _turn = self.restarting.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.zygotes().current.clone();
        match current {
            Some(zygote) if zygote.is_alive() => return Ok(zygote),
            Some(_) => self.count_death()?,
            None => {}
        }
        let (zygote, _) = self.start_zygote()?;
        self.zygotes().current = Some(Arc::clone(&zygote));
        Ok(zygote)
    }

    fn count_death(&self) -> Result<(), DriverError> {
        let mut zygotes = self.zygotes();
        zygotes.deaths += 1;
        if zygotes.deaths <= RESTARTS {
            (self.ctx.log)("driver", "pytest's warm process died and is started again\n");
            return Ok(());
        }
        Err(DriverError::broken(
            CauseCode::RunnerLost,
            format!("the tests killed pytest's warm process {} times", zygotes.deaths),
            "",
        ))
    }

    /// A process for one slot alone: the one that listed the units, or a new one.
    fn own(&self) -> Result<Arc<Zygote>, DriverError> {
        let listed = self.zygotes().current.take();
        match listed {
            Some(zygote) if zygote.is_alive() => Ok(zygote),
            _ => Ok(self.start_zygote()?.0),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let current = self.zygotes().current.take();
        if let Some(zygote) =
            current.filter(|zygote| !self.stopped.load(Ordering::SeqCst) && zygote.is_alive())
        {
            zygote.end(FAREWELL);
        }
    }
}
