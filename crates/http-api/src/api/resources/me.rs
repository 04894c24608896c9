//! `/v1/me`: who the caller is and what it may do.

use crate::api::door::{Api, Authorized, CanRead, Myself};
use crate::api::wire::{MeShown, ProblemBody};
use axum::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(me))
}

/// Whom the credential stands for, and what it is good for.
#[utoipa::path(get, path = "/v1/me", tag = "members",
    responses((status = 200, body = MeShown), (status = "4XX", body = ProblemBody)))]
async fn me(door: Authorized<Myself, CanRead>) -> Json<MeShown> {
    Json(door.principal.as_ref().clone().into())
}
