//! HTTP doors of Fleetest: axum routers over the services, the same in every host.
//!
//! [`link::router`] is the runner link, [`api::router`] the public API. Handlers parse, call one use-case and map its
//! answer; no rule lives here.

pub mod api;
pub mod link;
mod problem;

pub use problem::LinkProblem;
