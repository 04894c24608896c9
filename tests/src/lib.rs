//! What tests stand on: in-memory adapters, one contract suite per port, and wrappers that inject faults.
//!
//! A development dependency only. Everything here is deterministic: no clock, no randomness but from a given
//! seed, no hash maps. Code that asserts may panic; each such file says so at its head.

pub mod contract;
pub mod fault;
pub mod memory;
