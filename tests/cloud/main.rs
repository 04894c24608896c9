//! Scenarios of the whole stack in a box: what a user sees, through the compiled functions.
//!
//! `cargo xtask cloud` builds and deploys it, and starts this. Scenarios share the stack; each has a project of its own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a scenario that cannot be set up fails"
)]

mod claims;
mod faults;
mod messages;
mod project;
mod receiver;
mod repositories;
mod runs;
mod stack;
