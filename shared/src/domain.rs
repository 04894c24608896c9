//! The rules: pure, synchronous and deterministic.
//!
//! Time and ids are arguments. Nothing here performs an effect; state machines return the next state and
//! say, as data, what should happen.

pub mod access;
pub mod admit;
pub mod audit;
pub mod case;
pub mod case_page;
pub mod case_row;
pub mod config;
pub mod filter;
pub mod id;
pub mod key;
pub mod key_table;
pub mod notify;
pub mod member;
pub mod origin;
pub mod outcome;
pub mod predict;
pub mod project;
pub mod proof;
pub mod queue;
pub mod render;
pub mod report;
pub mod retain;
pub mod run;
pub mod secret;
pub mod shard;
pub mod spec;
pub mod split;
pub mod statistics;
pub mod time;
pub mod trend;
pub mod unit;
pub mod verdict;
pub mod webhook;
