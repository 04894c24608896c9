//! The routes, one file per resource.

mod audit;
mod health;
#[expect(unused_qualifications, reason = "the derive of utoipa writes paths in full")]
mod imports;
mod keys;
mod projects;
#[expect(unused_qualifications, reason = "the derive of utoipa writes paths in full")]
mod runs;

use super::door::Api;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;

/// Every described route.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(health::routes())
        .merge(projects::routes())
        .merge(runs::routes())
        .merge(imports::routes())
        .merge(keys::routes())
        .merge(audit::routes())
}

/// The description as JSON.
pub(super) async fn description(text: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text)
}
