//! Executes one shard of one job: session with the coordinator, framework drivers, processes.
//!
//! The runner is a guest: it knows the link protocol and nothing of stores, queues or clouds. It is plain
//! threads without an async runtime: one per slot, one for the heartbeat, one that flushes results.

pub mod detect;
pub mod driver;
pub mod exec;
pub mod mask;
pub mod parse;
pub mod sanitise;
