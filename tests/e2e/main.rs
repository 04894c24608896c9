//! The whole product through its public door: `fleetest run …` as a child process on real projects.
//!
//! Every run's exit code, JSON and JUnit are checked against each other in `account`, and against the table of the
//! fixture in `table`; after each run no process may be left. Nothing here looks inside.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation fails the test"
)]

mod account;
mod artifacts;
mod chaos;
mod commands;
mod configuration;
mod exits;
mod foreign_reports;
mod history;
mod hostile;
mod instance;
mod options;
mod processes;
mod remote;
mod remote_ci;
mod remote_refusals;
mod remote_resources;
mod repository;
mod selection;
mod serve;
mod settings;
mod stage;
mod table;
mod walk;
mod whole;
