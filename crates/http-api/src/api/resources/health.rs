//! Whether the server lives, whether it can serve, and its counters. These routes ask for no credential of the API.

use crate::api::door::Api;
use crate::api::identity::bearer;
use crate::api::problem::Problem;
use crate::api::wire::ProblemBody;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use serde::Serialize;
use shared::domain::id::digest_hex;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`, or `ready`.
    status: &'static str,
}

/// The server lives.
#[utoipa::path(get, path = "/healthz", tag = "service", security(()), responses((status = 200, body = Health)))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// The server can serve: its store answers.
#[utoipa::path(get, path = "/readyz", tag = "service", security(()),
    responses((status = 200, body = Health),
        (status = 503, body = ProblemBody, content_type = "application/problem+json")))]
async fn readyz(State(api): State<Api>) -> Result<Json<Health>, Problem> {
    api.services().ready().await?;
    Ok(Json(Health { status: "ready" }))
}

/// Counters in the text format of Prometheus; needs the server's own metrics token.
#[utoipa::path(get, path = "/metrics", tag = "service", security(("metrics" = [])),
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Result<impl IntoResponse, Problem> {
    let sent = bearer(&headers)?;
    let token = api.settings().metrics_token.as_deref();
    let token = token.ok_or_else(|| Problem::not_found("this server has no metrics token"))?;
    // Digests are compared: how long that takes says nothing about the token.
    if digest_hex(sent) != digest_hex(token) {
        return Err(Problem::unauthorised("this is not the metrics token"));
    }
    let services = api.services();
    let text = api.metrics().text(services.count_open_runs().await.ok(), &services.settings.version);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
