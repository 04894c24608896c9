//! Adapters for one machine: SQLite, files, an in-process queue, local processes, the git command, the system's clock and ids.
//!
//! Each keeps the semantics of its port and nothing more; rules live in `shared`. Blocking work happens on
//! threads of this crate, so that every adapter can be awaited from any runtime.

mod lane;

pub mod blobs;
pub mod files;
pub mod git;
pub mod process;
pub mod queue;
pub mod sqlite;
pub mod system;
