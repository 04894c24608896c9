//! The routes, one file per resource.

mod audit;
mod deliveries;
mod health;
mod keys;
mod notifications;
mod projects;
#[expect(unused_qualifications, reason = "the derive of utoipa writes paths in full")]
mod runs;
mod webhooks;

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
        .merge(keys::routes())
        .merge(audit::routes())
        .merge(notifications::routes())
        .merge(deliveries::routes())
        .merge(webhooks::routes())
}

/// The description as JSON.
pub(super) async fn description(text: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text)
}
