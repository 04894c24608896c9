//! The rules: pure, synchronous and deterministic.
//!
//! Time and ids are arguments. Nothing here performs an effect; state machines return the next state and
//! say, as data, what should happen.

pub mod access;
pub mod address;
pub mod admit;
pub mod artifact;
pub mod audit;
pub mod case;
pub mod case_page;
pub mod case_row;
pub mod config;
pub mod detect;
pub mod filter;
pub mod git;
pub mod id;
pub mod import;
pub mod key;
pub mod key_table;
pub mod member;
pub mod notify;
pub mod order;
pub mod origin;
pub mod outcome;
pub mod packed;
pub mod parse;
pub mod predict;
pub mod project;
pub mod proof;
pub mod queue;
pub mod render;
pub mod report;
pub mod resolve;
pub mod retain;
pub mod run;
pub mod sanitise;
pub mod schedule;
pub mod secret;
pub mod shard;
pub mod spec;
pub mod split;
pub mod statistics;
pub mod time;
pub mod trend;
pub mod unit;
pub mod upload;
pub mod verdict;
pub mod webhook;
