//! The Fleetest core: rules, wire types, ports and use-cases, without any I/O.
//!
//! `domain` decides and knows nothing else; `ports` names what the outside must provide; `wire` is what
//! crosses a process boundary; `service` loads, asks `domain`, saves conditionally and then acts. `recent` is a bounded memory
//! that adapters use.
//! This crate never reads a clock, a file, the environment or a socket: adapters do.

pub mod domain;
pub mod ports;
pub mod recent;
pub mod service;
pub mod wire;
