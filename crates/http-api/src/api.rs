//! The public API, `/v1`: one router, used unchanged by `fleetest serve` and by the cloud's functions.
//!
//! A handler can reach the services only through [`door::Authorized`], which cannot be made without a check: a route
//! that forgets it does not compile. The document at `/openapi.json` is generated from the same handlers. What holds
//! for every route (identity, limits, idempotency, conditions, tracing) is done once, in the layers around them.

mod body;
mod conditional;
mod describe;
mod docs;
pub mod door;
pub mod extract;
mod holdings;
pub mod idempotency;
mod identity;
mod metrics;
pub mod oidc;
pub mod page;
pub mod problem;
mod rate;
mod request;
pub mod resources;
mod sanity;
pub mod settings;
mod shelf;
mod shown;
pub mod trace;
pub mod wait;
pub mod wire;

pub use describe::description;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use door::Api;
use problem::Problem;

/// Largest JSON body of an ordinary request, in bytes.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// The router.
///
/// Around each route is one layer: id, trace, counting, problems written out; then who is calling and how often; then, by
/// method, whether the caller knows the answer, whether this was done before, or whether the resource is as the caller
/// thinks. It is one and not a stack of five because each layer is cloned and boxed for each request.
pub fn router(api: Api) -> Router {
    let text = description().to_string();
    let (routes, _) = resources::routes().layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES)).split_for_parts();
    let routes = routes
        .route("/openapi.json", get(move || resources::description(text)))
        .merge(docs::routes())
        .fallback(|| async { Problem::not_found("there is no such route") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .with_state(api.clone());
    let gate = conditional::Gate::new(routes.clone().layer(from_fn(conditional::tagged)));
    routes.layer(from_fn_with_state(request::Around { api, gate }, request::around))
}
