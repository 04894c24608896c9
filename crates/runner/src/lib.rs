//! Executes one shard of one job: session with the coordinator, framework drivers, processes.
//!
//! The runner is a guest: it knows the link protocol and nothing of stores, queues or clouds. It is plain
//! threads without an async runtime: one per slot, one for the heartbeat, one that flushes results.

pub mod config;
pub mod driver;
pub mod exec;
pub mod heartbeat;
pub mod link;
pub mod mask;
pub mod outbox;
pub mod parse;
pub mod sanitise;
pub mod session;
pub mod setup;
pub mod slots;
pub mod source;

pub use config::RunnerConfig;
pub use session::{DriverFactory, RunnerExit, run};
