//! The rules: pure, synchronous and deterministic.
//!
//! Time and ids are arguments. Nothing here performs an effect; state machines return the next state and
//! say, as data, what should happen.

pub mod case;
pub mod id;
pub mod outcome;
pub mod proof;
pub mod queue;
pub mod report;
pub mod run;
pub mod shard;
pub mod spec;
pub mod split;
pub mod time;
pub mod unit;
pub mod verdict;
