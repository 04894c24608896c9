//! `/v1/projects/{project}/deliveries`: what was told to whom, and whether it arrived.

use crate::api::door::{Api, Authorized, CanConfigure, OneProject};
use crate::api::extract::Asked;
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{DeliveryShown, Page, ProblemBody};
use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(redeliver))
}

/// Messages of a project, newest first. They are kept for thirty days.
#[utoipa::path(get, path = "/v1/projects/{project}/deliveries", tag = "notifications",
    params(("project" = String, Path), Part),
    responses((status = 200, body = Page<DeliveryShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<OneProject, CanConfigure>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    let project = &door.resource.0.value.id;
    let name = format!("deliveries {project}");
    let after = part.after(&door, &name)?;
    let listed = door.services().deliveries(project, after.as_deref(), part.limit()?).await?;
    Ok(page::answer(&door, (&name, &uri), listed, DeliveryShown::from))
}

/// Sends a message once more, whatever became of it.
#[utoipa::path(post, path = "/v1/projects/{project}/deliveries/{delivery}/redeliver", tag = "notifications",
    params(("project" = String, Path), ("delivery" = String, Path)),
    responses((status = 202, body = DeliveryShown), (status = "4XX", body = ProblemBody)))]
async fn redeliver(door: Authorized<OneProject, CanConfigure>) -> Result<Response, Problem> {
    let project = &door.resource.0.value.id;
    let delivery = door.services().redeliver(&door.actor, project, door.path.read("delivery")?).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryShown::from(delivery))).into_response())
}
