//! `/v1/projects/{project}/audit` and `/v1/audit`: who changed what.

use crate::api::door::{Api, Authorized, CanAudit, Instance, OneProject};
use crate::api::extract::Asked;
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{AuditShown, Page, ProblemBody};
use axum::http::Uri;
use axum::response::Response;
use shared::domain::id::ProjectId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_all)).routes(routes!(list))
}

/// Changes to what belongs to no project, newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(Part),
    responses((status = 200, body = Page<AuditShown>), (status = "4XX", body = ProblemBody)))]
async fn list_all(
    door: Authorized<Instance, CanAudit>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    listed(&door, None, &part, &uri).await
}

/// Changes to a project, newest first.
#[utoipa::path(get, path = "/v1/projects/{project}/audit", tag = "audit", params(("project" = String, Path), Part),
    responses((status = 200, body = Page<AuditShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<OneProject, CanAudit>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    listed(&door, Some(&door.resource.0.value.id), &part, &uri).await
}

async fn listed<R, I>(
    door: &Authorized<R, I>,
    project: Option<&ProjectId>,
    part: &Part,
    uri: &Uri,
) -> Result<Response, Problem> {
    let name = format!("audit {}", project.map_or("", |project| &project.0));
    let after = part.after(door, &name)?;
    let listed = door.services().audit_log(project, after.as_deref(), part.limit()?).await?;
    Ok(page::answer(door, (&name, uri), listed, AuditShown::from))
}
