//! The routes, one file per resource.

mod artifacts;
mod audit;
#[expect(unused_qualifications, reason = "the derive of utoipa writes paths in full")]
mod cases;
mod deliveries;
mod health;
#[expect(unused_qualifications, reason = "the derive of utoipa writes paths in full")]
mod imports;
mod jobs;
mod keys;
#[expect(unused_qualifications, reason = "the derive of utoipa writes paths in full")]
mod logs;
mod me;
mod members;
mod notifications;
mod projects;
mod reports;
mod rerun;
#[expect(unused_qualifications, reason = "the derive of utoipa writes paths in full")]
mod runs;
mod schedules;
mod sources;
#[expect(unused_qualifications, reason = "the derive of utoipa writes paths in full")]
mod statistics;
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
        .merge(rerun::routes())
        .merge(jobs::routes())
        .merge(cases::routes())
        .merge(logs::routes())
        .merge(artifacts::routes())
        .merge(reports::routes())
        .merge(statistics::routes())
        .merge(imports::routes())
        .merge(keys::routes())
        .merge(members::routes())
        .merge(me::routes())
        .merge(audit::routes())
        .merge(notifications::routes())
        .merge(deliveries::routes())
        .merge(webhooks::routes())
        .merge(schedules::routes())
        .merge(sources::routes())
}

/// The description as JSON.
pub(super) async fn description(text: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text)
}
