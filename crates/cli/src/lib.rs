//! The `fleetest` command: arguments, project and state folders, live progress, the end of a run.
//!
//! Pure parts give lines and values as data; only `progress::terminal` and `run` write to the terminal. Nothing
//! here decides what a test's outcome is or which tests run: that is the core's and the runner's work.

pub mod args;
pub mod ci;
pub mod config;
pub mod engine;
pub mod exit;
pub mod git;
pub mod history;
pub mod interrupt;
pub mod line;
pub mod lock;
pub mod order;
pub mod progress;
pub mod project;
pub mod remote;
pub mod run;
pub mod serve;
pub mod start;
pub mod suites;
pub mod summary;
