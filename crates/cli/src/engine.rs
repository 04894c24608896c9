//! The seam between the command and what executes a run: what is ordered, and what comes back.
//!
//! [`local::execute`] is the executing function that [`crate::run::conduct`] is given: it drops its sender when the
//! run is over, writes the reports (JSON to stdout if asked), and answers a judged run; an error means that there is
//! none.

mod alarm;
pub(crate) mod ground;
mod host;
pub mod local;
mod reports;

use crate::args::reports::ReportPaths;
use crate::ci::github::FailedCase;
use crate::summary::Highlights;
use shared::domain::report::RunSummary;
use shared::domain::spec::RunSpec;
use std::path::PathBuf;

/// A run to execute.
#[derive(Debug, Clone)]
pub struct RunOrder {
    /// What is to be run.
    pub spec: RunSpec,
    /// Slots per runner, if the user chose; otherwise the suite's, otherwise the machine's cores.
    pub slots: Option<u32>,
    /// Folder for the store, the blobs and the runs; it exists and is ours alone.
    pub state_dir: PathBuf,
    /// Whether the folder will be there for the next run.
    pub keep_history: bool,
    /// Reports to write besides those of the state folder; paths are absolute.
    pub reports: ReportPaths,
}

/// A run that is over.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The run.
    pub summary: RunSummary,
    /// Its cases, as the terminal shows them.
    pub highlights: Highlights,
    /// Report files that were written, with the name of their kind; the most readable first.
    pub reports: Vec<(String, PathBuf)>,
    /// What else the user should know.
    pub notes: Vec<String>,
    /// Some of the cases that failed, as a CI service is told.
    pub failed: Vec<FailedCase>,
}
