//! What a framework driver must do, and nothing about any framework.
//!
//! A driver belongs to one runner of one job. `discover` starts the framework, builds what must be built and
//! lists units; `open_slot` gives one lane of execution; a slot runs one leased entry at a time and tells the sink
//! everything as it happens, in the order that [`UnitEvent`] documents. Drivers never retry and never judge a
//! run: that is the coordinator's work.

pub mod cargo;
pub mod command;
pub mod pytest;
mod telling;

use shared::domain::case::CaseId;
use shared::domain::spec::{Framework, JobSpec};
use shared::domain::unit::{DiscoveredUnit, LeasedEntry, UnitEvent};
use shared::domain::verdict::{Cause, CauseCode};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Decides whether a case is part of the run (the run's filter).
pub type CaseFilter = Arc<dyn Fn(&CaseId) -> bool + Send + Sync>;
/// Takes text for the runner's own log (`build`, `setup`): name of the log, text.
pub type LogSink = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Everything a driver may know about its job.
#[derive(Clone)]
pub struct JobContext {
    /// The job.
    pub job: JobSpec,
    /// Absolute path of the directory in which the framework runs (source root + `working_dir`).
    pub root: PathBuf,
    /// A private scratch directory of this runner, outside the source; removed afterwards.
    pub scratch: PathBuf,
    /// Environment variables to add for every child (suite's `env`, matrix, run ids, secrets).
    pub env: BTreeMap<String, String>,
    /// Slots of this runner.
    pub slots: u32,
    /// The run's case filter; always true if there is none.
    pub filter: CaseFilter,
    /// The runner's log.
    pub log: LogSink,
}

impl fmt::Debug for JobContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment may hold secrets.
        f.debug_struct("JobContext")
            .field("job", &self.job.name)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// Why a driver cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The job cannot be run at all: it fails with this cause.
    #[error("{}", .0.message)]
    Broken(Cause),
    /// The driver was stopped on request.
    #[error("the driver was stopped")]
    Stopped,
}

impl DriverError {
    /// A cause with the failing tool's output.
    #[must_use]
    pub fn broken(code: CauseCode, message: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Broken(Cause { code, message: message.into(), detail: detail.into() })
    }
}

/// Receives events of one entry; buffering and sending is the sink's business.
pub trait Sink {
    /// Takes one event.
    fn event(&mut self, event: UnitEvent);
    /// Returns only once everything taken so far is stored by the coordinator (careful mode).
    fn flush(&mut self);
    /// How many slots of this runner have nothing to do at the moment.
    fn idle_slots(&self) -> u32;
}

/// A framework driver.
pub trait Driver: Send + Sync {
    /// Builds, starts the framework and lists the units in the framework's own order. An empty list means that
    /// there are no tests. Called once, before any slot is opened.
    ///
    /// # Errors
    /// `Broken` with the framework's own message.
    fn discover(&self) -> Result<Vec<DiscoveredUnit>, DriverError>;

    /// What people should know of how the tests are run, as in options of the project that are ignored; after
    /// `discover`.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Opens slot number `slot`, counted from 1; several may be open at once, each used by one thread.
    ///
    /// # Errors
    /// `Broken` if no process can be started.
    fn open_slot(&self, slot: u32) -> Result<Box<dyn Slot>, DriverError>;

    /// Kills everything the driver has started, from any thread; running slots return `Stopped`. May be called twice.
    fn stop(&self);
}

/// The driver of a job's framework.
///
/// # Errors
/// None today; a framework may need something that this build lacks.
pub fn open(context: JobContext) -> Result<Box<dyn Driver>, DriverError> {
    Ok(match context.job.suite.framework {
        Framework::Pytest => Box::new(pytest::PytestDriver::new(context)),
        Framework::Cargo => Box::new(cargo::CargoDriver::new(context)),
        Framework::Command => Box::new(command::CommandDriver::new(context)),
    })
}

/// One lane of execution.
pub trait Slot: Send {
    /// Runs the entry to its end: on return exactly one `Finished`, `Yielded` or `Aborted` event has been given, unless it
    /// returns an error. `alone` says that no other slot of this runner is working meanwhile.
    ///
    /// # Errors
    /// `Stopped` after [`Driver::stop`]; `Broken` if the driver can never run anything again.
    fn run(&mut self, entry: &LeasedEntry, alone: bool, sink: &mut dyn Sink) -> Result<(), DriverError>;

    /// Takes down what the tests of this slot shared; nothing is run in it afterwards. Called once, when no work is
    /// left. Answers what went wrong with it.
    fn close(&mut self) -> Option<Cause> {
        None
    }
}
