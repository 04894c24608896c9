//! `/v1/projects/{project}/keys`, and `/v1/keys` for those that are good for every project.

use crate::api::door::{Api, Authorized, CanGrant, Instance, OneProject};
use crate::api::extract::{Asked, Body};
use crate::api::idempotency::Unkept;
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{KeyMade, KeyShown, NewKeyBody, Page, ProblemBody, RotateBody};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use shared::domain::access::{Role, Scope};
use shared::domain::id::{KeyId, ProjectId};
use shared::domain::time::Timestamp;
use shared::service::key::NewKey;
use std::collections::BTreeSet;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const NAME_LIMIT_CHARS: usize = 100;
const OVERLAP_LIMIT_S: u32 = 7 * 24 * 3600;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_all, create_all))
        .routes(routes!(revoke_all))
        .routes(routes!(list, create))
        .routes(routes!(revoke))
        .routes(routes!(rotate))
}

/// Keys that are good for every project.
#[utoipa::path(get, path = "/v1/keys", tag = "keys", params(Part),
    responses((status = 200, body = Page<KeyShown>), (status = "4XX", body = ProblemBody)))]
async fn list_all(
    door: Authorized<Instance, CanGrant>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    listed(&door, None, &part, &uri).await
}

/// Makes a key that is good for every project.
#[utoipa::path(post, path = "/v1/keys", tag = "keys", request_body = NewKeyBody,
    responses((status = 201, body = KeyMade), (status = "4XX", body = ProblemBody)))]
async fn create_all(
    door: Authorized<Instance, CanGrant>,
    Body(body): Body<NewKeyBody>,
) -> Result<Response, Problem> {
    made(&door, parse(&body, None)?).await
}

/// Takes a key back that is good for every project.
#[utoipa::path(delete, path = "/v1/keys/{key}", tag = "keys", params(("key" = String, Path)),
    responses((status = 200, body = KeyShown), (status = "4XX", body = ProblemBody)))]
async fn revoke_all(door: Authorized<Instance, CanGrant>) -> Result<Json<KeyShown>, Problem> {
    revoked(&door, None).await
}

/// Keys of a project.
#[utoipa::path(get, path = "/v1/projects/{project}/keys", tag = "keys", params(("project" = String, Path), Part),
    responses((status = 200, body = Page<KeyShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<OneProject, CanGrant>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    listed(&door, Some(&door.resource.0.value.id), &part, &uri).await
}

/// Makes a key of a project. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/projects/{project}/keys", tag = "keys", params(("project" = String, Path)),
    request_body = NewKeyBody,
    responses((status = 201, body = KeyMade), (status = "4XX", body = ProblemBody)))]
async fn create(
    door: Authorized<OneProject, CanGrant>,
    Body(body): Body<NewKeyBody>,
) -> Result<Response, Problem> {
    made(&door, parse(&body, Some(door.resource.0.value.id.clone()))?).await
}

/// Takes a key of a project back.
#[utoipa::path(delete, path = "/v1/projects/{project}/keys/{key}", tag = "keys",
    params(("project" = String, Path), ("key" = String, Path)),
    responses((status = 200, body = KeyShown), (status = "4XX", body = ProblemBody)))]
async fn revoke(door: Authorized<OneProject, CanGrant>) -> Result<Json<KeyShown>, Problem> {
    revoked(&door, Some(&door.resource.0.value.id)).await
}

/// Makes a key that replaces another; the old one works on for a while.
#[utoipa::path(post, path = "/v1/projects/{project}/keys/{key}/rotate", tag = "keys",
    params(("project" = String, Path), ("key" = String, Path)), request_body = RotateBody,
    responses((status = 201, body = KeyMade), (status = "4XX", body = ProblemBody)))]
async fn rotate(
    door: Authorized<OneProject, CanGrant>,
    Body(body): Body<RotateBody>,
) -> Result<Response, Problem> {
    if body.overlap_s > OVERLAP_LIMIT_S {
        return Err(Problem::invalid("/overlap_s", "the old key may work on for a week at most"));
    }
    let project = &door.resource.0.value.id;
    let services = door.services();
    let old = services.key(Some(project), door.path.read("key")?).await?.value;
    let until = services.clock.now().plus_ms(u64::from(body.overlap_s) * 1000);
    services.revoke_key(&door.actor, Some(project), old.id, until).await?;
    let new = NewKey {
        name: old.name,
        project: Some(project.clone()),
        role: old.role,
        scopes: old.scopes,
        expires_at: old.expires_at,
        replaces: Some(old.id),
    };
    made(&door, new).await
}

async fn listed<R, I>(
    door: &Authorized<R, I>,
    project: Option<&ProjectId>,
    part: &Part,
    uri: &Uri,
) -> Result<Response, Problem> {
    let name = format!("keys {}", project.map_or("", |project| &project.0));
    let after = part.after(door, &name)?;
    let listed = door.services().keys(project, after.as_deref(), part.limit()?).await?;
    Ok(page::answer(door, (&name, uri), listed, KeyShown::from))
}

async fn made<R, I>(door: &Authorized<R, I>, new: NewKey) -> Result<Response, Problem> {
    // Nobody gives more than they have.
    if door.principal.role_in(new.project.as_ref()).is_none_or(|own| own < new.role) {
        return Err(Problem::invalid("/role", "the role is above your own"));
    }
    let (key, text) = door.services().create_key(&door.actor, new).await?;
    let made = KeyMade { key: key.into(), token: text.reveal().to_owned() };
    Ok((StatusCode::CREATED, Extension(Unkept), Json(made)).into_response())
}

async fn revoked<R, I>(
    door: &Authorized<R, I>,
    project: Option<&ProjectId>,
) -> Result<Json<KeyShown>, Problem> {
    let id: KeyId = door.path.read("key")?;
    let now = door.services().clock.now();
    Ok(Json(door.services().revoke_key(&door.actor, project, id, now).await?.into()))
}

fn parse(body: &NewKeyBody, project: Option<ProjectId>) -> Result<NewKey, Problem> {
    let name = body.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > NAME_LIMIT_CHARS {
        return Err(Problem::invalid("/name", "a name has 1 to 100 characters"));
    }
    let role = Role::ALL.into_iter().find(|role| role.as_str() == body.role);
    let role =
        role.ok_or_else(|| Problem::invalid("/role", "a role is viewer, developer, maintainer or admin"))?;
    let mut scopes = BTreeSet::new();
    for (place, word) in body.scopes.iter().enumerate() {
        let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
        let pointer = format!("/scopes/{place}");
        scopes.insert(
            scope.ok_or_else(|| Problem::invalid(&pointer, "a scope is read, run, import or admin"))?,
        );
    }
    if scopes.is_empty() {
        scopes = Scope::ALL.into_iter().collect();
    }
    let expires_at = body.expires_at.as_deref().map(|text| {
        Timestamp::parse(text).ok_or_else(|| Problem::invalid("/expires_at", "this is no RFC 3339 time"))
    });
    Ok(NewKey { name, project, role, scopes, expires_at: expires_at.transpose()?, replaces: None })
}
