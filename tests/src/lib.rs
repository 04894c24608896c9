//! What tests stand on: in-memory adapters, one contract suite per port, wrappers that inject faults, and the
//! simulated world.
//!
//! A development dependency only. Everything here is deterministic: no clock, no randomness but from a given
//! seed, no hash maps. Code that asserts may panic; each such file says so at its head.

pub mod contract;
pub mod ecs;
pub mod emulator;
pub mod fault;
pub mod gate;
pub mod github;
pub mod http;
pub mod invariants;
pub mod memory;
pub mod sim;
pub mod sweep_faults;
pub mod world;
