//! The public API, `/v1`: one router, used unchanged by `fleetest serve` and by the cloud's functions.
//!
//! A handler can reach the services only through [`door::Authorized`], which cannot be made without a check: a route
//! that forgets it does not compile. The document at `/openapi.json` is generated from the same handlers.

pub mod door;
pub mod extract;
pub mod identity;
pub mod page;
pub mod problem;
mod request;
pub mod resources;
mod shelf;
pub mod wire;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use door::Api;
use problem::Problem;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

/// Largest JSON body of an ordinary request, in bytes.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Fleetest",
        description = "Serverless test execution: runs, results, history and rights.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("key" = []))
)]
struct Description;

/// The router, with its description.
pub fn described(api: Api) -> (Router, utoipa::openapi::OpenApi) {
    let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .merge(resources::routes())
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .split_for_parts();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    description.components.get_or_insert_default().add_security_scheme("key", bearer);
    let text = description.to_json().unwrap_or_default();
    let router = router
        .route("/openapi.json", get(move || resources::description(text)))
        .fallback(|| async { Problem::not_found("there is no such route") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(axum::middleware::from_fn_with_state(api.clone(), request::around))
        .with_state(api);
    (router, description)
}

/// The router.
pub fn router(api: Api) -> Router {
    described(api).0
}
