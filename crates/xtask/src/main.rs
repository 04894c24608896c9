//! Automation of this repository: `cargo xtask tidy | ci | emulator | cloud | infra | fuzz-api | conformance | bench`.
//!
//! Everything that a person or a pipeline does to the repository is a subcommand here, so that no rule lives
//! in a shell script. This crate holds no product code and nothing depends on it.

mod bench;
mod ci;
mod cloud;
mod compare;
mod conformance;
mod emulator;
mod fuzz_api;
mod infra;
mod junit;
mod launch;
mod libtest;
mod place;
mod say;
mod suites;
mod table;
mod tidy;
mod toolbox;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Automation of the Fleetest repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check the rules of the house: dependency direction, sizes, names, licences.
    Tidy,
    /// Everything that must hold before a change goes in, with all of its own set-up.
    Ci {
        /// Leave out the slow steps: documentation, many simulation seeds, the smoke run.
        #[arg(long)]
        fast: bool,
    },
    /// Send a served instance what its description allows and forbids, and hold its answers against it.
    FuzzApi {
        /// Requests that are made up for each operation; a few thousand are a long round.
        #[arg(long, value_name = "N", default_value_t = fuzz_api::EXAMPLES)]
        examples: u32,
        /// Other seeds make other requests.
        #[arg(long, value_name = "S", default_value_t = fuzz_api::SEED)]
        seed: u64,
    },
    /// Install the AWS emulator under `target/`, for tests that are run by hand.
    Emulator,
    /// Build the functions, deploy the stack into an AWS emulator, and play the scenarios of `tests/cloud` in it.
    Cloud {
        /// Only scenarios whose names hold one of these.
        only: Vec<String>,
    },
    /// Check the account's foundation with Terraform and make it in an AWS emulator, as far as this machine can.
    Infra,
    /// Run published test suites with their own framework and with `fleetest`, and compare case by case.
    Conformance {
        /// Only these suites; without it all of them.
        #[arg(long, num_args = 1..)]
        only: Vec<String>,
        /// This program instead of a fresh release build.
        #[arg(long)]
        binary: Option<PathBuf>,
        /// Download and run the framework's own side only; compares nothing and proves nothing.
        #[arg(long)]
        reference_only: bool,
    },
    /// Measure `fleetest run` beside the frameworks' own runners.
    Bench {
        #[command(subcommand)]
        what: Measure,
    },
}

#[derive(Debug, Subcommand)]
enum Measure {
    /// Wall time on published suites and memory with 100,000 cases.
    Run {
        /// Only these suites; without it all of them.
        #[arg(long, num_args = 1..)]
        only: Vec<String>,
        /// Rounds per suite and peer; the median is reported.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// This program instead of a fresh release build.
        #[arg(long)]
        binary: Option<PathBuf>,
        /// Leave out the memory measurement.
        #[arg(long)]
        no_memory: bool,
    },
    /// Requests per second and latencies of `fleetest serve`, beside handlers that do only the bare query or insert.
    Api {
        /// This program instead of a fresh release build.
        #[arg(long)]
        binary: Option<PathBuf>,
        /// Print only; leave the page in `docs/` as it is.
        #[arg(long)]
        no_page: bool,
        /// Passed on, as in `-- --seconds 2 --runs 100 --cases 100 --rounds 1 --hold 5`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Rate and memory of importing results.
    Import {
        /// Rounds per measurement; the median is reported.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Starts and sizes of the Lambda functions, beside the least that a function can be.
    Cold {
        /// Rounds; the median is reported.
        #[arg(long, default_value_t = 21)]
        rounds: usize,
    },
    /// Makespan beside its lower bound on recorded durations, replayed; runs nothing.
    Split,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Task::Tidy => tidy::command(),
        Task::Ci { fast } => ci::command(fast),
        Task::FuzzApi { examples, seed } => fuzz_api::command(examples, seed),
        Task::Emulator => emulator::command(),
        Task::Cloud { only } => cloud::command(&only),
        Task::Infra => infra::command(),
        Task::Conformance { only, binary, reference_only } => {
            conformance::command(&only, binary, reference_only)
        }
        Task::Bench { what: Measure::Run { only, rounds, binary, no_memory } } => {
            bench::command(&only, rounds, binary, no_memory)
        }
        Task::Bench { what: Measure::Api { binary, no_page, arguments } } => {
            bench::api::command(binary, &arguments, !no_page)
        }
        Task::Bench { what: Measure::Import { rounds } } => bench::import::command(rounds),
        Task::Bench { what: Measure::Cold { rounds } } => bench::cold::command(rounds),
        Task::Bench { what: Measure::Split } => bench::split::command(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::err(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
