//! `/v1/projects`.

use crate::api::door::{Api, Authorized, CanConfigure, CanOperate, CanRead, Instance, Myself, OneProject};
use crate::api::extract::{Asked, Body};
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{NewProjectBody, Page, ProblemBody, ProjectChange, ProjectShown, SettingsShown};
use axum::Json;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use shared::domain::access::Action;
use shared::domain::address::Reference;
use shared::domain::id::ProjectId;
use shared::domain::project::Project;
use shared::ports::PortError;
use shared::service::Services;
use shared::service::audit::Listed;
use shared::service::project::NewProject;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const DEFAULT_BRANCH: &str = "main";

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, change))
}

/// The projects that the caller has a role in, by id.
#[utoipa::path(get, path = "/v1/projects", tag = "projects", params(Part),
    responses((status = 200, body = Page<ProjectShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<Myself, CanRead>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    let after = part.after(&door, "projects")?;
    let Listed { mut items, next } = door.services().projects(after.as_deref(), part.limit()?).await?;
    items.retain(|project| door.principal.may(Action::Read, Some(&project.id)).is_ok());
    Ok(page::answer(&door, ("projects", &uri), Listed { items, next }, ProjectShown::from))
}

/// Registers a project.
#[utoipa::path(post, path = "/v1/projects", tag = "projects", request_body = NewProjectBody,
    responses((status = 201, body = ProjectShown), (status = "4XX", body = ProblemBody)))]
async fn create(
    door: Authorized<Instance, CanOperate>,
    Body(body): Body<NewProjectBody>,
) -> Result<Response, Problem> {
    let project = door.services().create_project(&door.actor, parse(door.services(), body)?).await?;
    let location = format!("/v1/projects/{}", project.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(ProjectShown::from(project)))
        .into_response())
}

/// A project.
#[utoipa::path(get, path = "/v1/projects/{project}", tag = "projects", params(("project" = String, Path)),
    responses((status = 200, body = ProjectShown), (status = "4XX", body = ProblemBody)))]
async fn show(door: Authorized<OneProject, CanRead>) -> Json<ProjectShown> {
    Json(door.resource.0.value.into())
}

/// Changes a project.
#[utoipa::path(patch, path = "/v1/projects/{project}", tag = "projects", params(("project" = String, Path)),
    request_body = ProjectChange,
    responses((status = 200, body = ProjectShown), (status = "4XX", body = ProblemBody)))]
async fn change(
    door: Authorized<OneProject, CanConfigure>,
    Body(change): Body<ProjectChange>,
) -> Result<Json<ProjectShown>, Problem> {
    let next = changed(door.services(), door.resource.0.value.clone(), change)?;
    let stored = door.services().change_project(&door.actor, &door.resource.0, next).await?;
    Ok(Json(stored.value.into()))
}

fn parse(services: &Services, body: NewProjectBody) -> Result<NewProject, Problem> {
    let id = ProjectId::parse(&body.id).map_err(|detail| Problem::invalid("/id", detail))?;
    let new = NewProject {
        id,
        title: body.title.unwrap_or_default(),
        repository: body.repository,
        default_branch: body.default_branch.unwrap_or_else(|| DEFAULT_BRANCH.to_owned()),
        config: body.config,
        settings: settings(body.settings)?.into(),
    };
    check(&new.title, new.config.as_deref())?;
    check_source(services, new.repository.as_deref(), &new.default_branch)?;
    Ok(new)
}

fn changed(services: &Services, mut project: Project, change: ProjectChange) -> Result<Project, Problem> {
    project.title = change.title.unwrap_or(project.title);
    project.repository = change.repository.unwrap_or(project.repository);
    project.default_branch = change.default_branch.unwrap_or(project.default_branch);
    project.config = change.config.unwrap_or(project.config);
    if let Some(wanted) = change.settings {
        project.settings = settings(wanted)?.into();
    }
    check(&project.title, project.config.as_deref())?;
    check_source(services, project.repository.as_deref(), &project.default_branch)?;
    Ok(project)
}

fn check(title: &str, config: Option<&str>) -> Result<(), Problem> {
    if title.len() > 200 {
        return Err(Problem::invalid("/title", "a title has at most 200 bytes"));
    }
    if let Some(text) = config {
        shared::domain::config::parse("config", text, None)
            .map_err(|error| Problem::invalid("/config", error.to_string()))?;
    }
    Ok(())
}

/// Only what a run could be fetched from is taken, so that nobody finds out at night.
fn check_source(services: &Services, repository: Option<&str>, branch: &str) -> Result<(), Problem> {
    if let Some(url) = repository {
        services.forge.check(url).map_err(|error| match error {
            PortError::Denied { reason, .. } => Problem::invalid("/repository", reason),
            other @ (PortError::NotFound { .. }
            | PortError::AlreadyExists { .. }
            | PortError::Conflict { .. }
            | PortError::Unavailable { .. }
            | PortError::Corrupt { .. }) => other.into(),
        })?;
    }
    let parsed = Reference::parse(branch).map(drop);
    parsed.map_err(|error| Problem::invalid("/default_branch", error.to_string()))
}

fn settings(settings: SettingsShown) -> Result<SettingsShown, Problem> {
    if settings.concurrency == Some(0) {
        return Err(Problem::invalid("/settings/concurrency", "with 0 no run would ever begin"));
    }
    if settings.keep_days == 0 || settings.keep_runs == 0 {
        return Err(Problem::invalid("/settings", "`keep_days` and `keep_runs` are at least 1"));
    }
    if settings.priority.abs() > 100 {
        return Err(Problem::invalid("/settings/priority", "a priority is -100 to 100"));
    }
    Ok(settings)
}
