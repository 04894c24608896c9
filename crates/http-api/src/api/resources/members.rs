//! `/v1/projects/{project}/members`: people of identity providers and their roles.

use crate::api::door::{Api, Authorized, CanGrant, OneProject};
use crate::api::extract::{Asked, Body};
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{MemberBody, MemberShown, Page, ProblemBody, RoleWord};
use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use shared::domain::access::Role;
use shared::domain::member::check_subject;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, put, remove))
}

/// Members of a project, by subject.
#[utoipa::path(get, path = "/v1/projects/{project}/members", tag = "members",
    params(("project" = String, Path), Part),
    responses((status = 200, body = Page<MemberShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<OneProject, CanGrant>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    let project = &door.resource.0.value.id;
    let name = format!("members {project}");
    let after = part.after(&door, &name)?;
    let listed = door.services().members(project, after.as_deref(), part.limit()?).await?;
    Ok(page::answer(&door, (&name, &uri), listed, MemberShown::from))
}

/// A member.
#[utoipa::path(get, path = "/v1/projects/{project}/members/{subject}", tag = "members",
    params(("project" = String, Path), ("subject" = String, Path, description = "`oidc:issuer#subject`, escaped")),
    responses((status = 200, body = MemberShown), (status = "4XX", body = ProblemBody)))]
async fn show(door: Authorized<OneProject, CanGrant>) -> Result<Json<MemberShown>, Problem> {
    let subject = known(&door)?;
    Ok(Json(door.services().member(&door.resource.0.value.id, &subject).await?.into()))
}

/// Gives somebody a role in a project, in place of the one they had.
#[utoipa::path(put, path = "/v1/projects/{project}/members/{subject}", tag = "members",
    params(("project" = String, Path), ("subject" = String, Path, description = "`oidc:issuer#subject`, escaped")),
    request_body = MemberBody,
    responses((status = 200, body = MemberShown), (status = 201, body = MemberShown),
        (status = "4XX", body = ProblemBody)))]
async fn put(
    door: Authorized<OneProject, CanGrant>,
    Body(body): Body<MemberBody>,
) -> Result<Response, Problem> {
    let (subject, role) = (subject(&door)?, allowed(&door, body.role)?);
    let project = &door.resource.0.value.id;
    let (member, is_new) = door.services().put_member(&door.actor, project, &subject, role).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(MemberShown::from(member))).into_response())
}

/// Takes somebody's role away.
#[utoipa::path(delete, path = "/v1/projects/{project}/members/{subject}", tag = "members",
    params(("project" = String, Path), ("subject" = String, Path, description = "`oidc:issuer#subject`, escaped")),
    responses((status = 200, body = MemberShown), (status = "4XX", body = ProblemBody)))]
async fn remove(door: Authorized<OneProject, CanGrant>) -> Result<Json<MemberShown>, Problem> {
    let subject = known(&door)?;
    let project = &door.resource.0.value.id;
    Ok(Json(door.services().remove_member(&door.actor, project, &subject).await?.into()))
}

type Door = Authorized<OneProject, CanGrant>;

fn subject(door: &Door) -> Result<String, Problem> {
    let subject: String = door.path.read("subject")?;
    check_subject(&subject).map_err(|detail| Problem::invalid("subject", detail))?;
    Ok(subject)
}

/// What can be nobody's subject names nobody.
fn known(door: &Door) -> Result<String, Problem> {
    let subject: String = door.path.read("subject")?;
    check_subject(&subject).map_err(Problem::not_found)?;
    Ok(subject)
}

/// Nobody gives more than they have.
fn allowed(door: &Door, word: RoleWord) -> Result<Role, Problem> {
    let own = door.principal.role_in(Some(&door.resource.0.value.id));
    let role = Role::from(word);
    if own.is_none_or(|own| own < role) {
        return Err(Problem::invalid("/role", "the role is above your own"));
    }
    Ok(role)
}
