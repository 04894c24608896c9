//! What the Lambda functions are made of.
//!
//! A function is a `main.rs` that opens the [`cloud`] and hands a [`start::Function`] to [`start::run`]. Events are
//! opened here and mapped to one use-case each; no rule lives here, and nothing here is trusted to happen: what an
//! event loses, the sweep makes up for.

pub mod batch;
pub mod cloud;
pub mod door;
pub mod metrics;
pub mod path;
pub mod redrive;
pub mod repositories;
pub mod start;
pub mod task;
pub mod tell;
pub mod tick;
