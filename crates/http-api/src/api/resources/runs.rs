//! `/v1/projects/{project}/runs` and `/v1/runs/{run}`.

use crate::api::door::{
    Api, Authorized, CanCancel, CanRead, CanRun, NamedProject, OneProject, OneRun, ShownRun,
};
use crate::api::extract::{Asked, Body};
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wait::Wait;
use crate::api::wire::{CancelBody, NewRunBody, Page, ProblemBody, RunShown, StatusWord, VerdictWord};
use axum::Json;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::domain::id::RunId;
use shared::domain::origin::Trigger;
use shared::domain::verdict::{Cause, CauseCode};
use shared::service::audit::Listed;
use shared::service::order::Asker;
use shared::service::runs::RunFilter;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(in crate::api) mod order;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show)).routes(routes!(cancel))
}

/// Which runs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// `queued`, `running` or `finished`.
    status: Option<StatusWord>,
    /// `passed`, `failed`, `errored`, `cancelled` or `timed_out`.
    verdict: Option<VerdictWord>,
    /// Branch.
    branch: Option<String>,
    /// Commit, or its beginning.
    commit: Option<String>,
}

/// Runs of a project, newest first. A page may be short and still have a next one.
#[utoipa::path(get, path = "/v1/projects/{project}/runs", tag = "runs",
    params(("project" = String, Path), Part, Wanted),
    responses((status = 200, body = Page<RunShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<NamedProject, CanRead>,
    Asked(part): Asked<Part>,
    Asked(wanted): Asked<Wanted>,
    uri: Uri,
) -> Result<Response, Problem> {
    let project = &door.resource.0;
    let name = format!("runs {project}");
    let after = part.after(&door, &name)?;
    let Wanted { status, verdict, branch, commit } = wanted;
    let filter =
        RunFilter { status: status.map(Into::into), verdict: verdict.map(Into::into), branch, commit };
    let (services, limit) = (door.services(), part.limit()?);
    if filter == RunFilter::default() {
        let rows = services.run_rows(project, after.as_deref(), limit).await?;
        let items = door.shown().of(&rows.items)?;
        return Ok(page::answer_lines(&door, (&name, &uri), Listed { items, next: rows.next }));
    }
    let listed = services.runs(project, &filter, after.as_deref(), limit).await?;
    Ok(page::answer(&door, (&name, &uri), listed, RunShown::from))
}

/// Starts a run. When this answers, the run is safe: it will have a verdict.
#[utoipa::path(post, path = "/v1/projects/{project}/runs", tag = "runs", params(("project" = String, Path)),
    request_body = NewRunBody,
    responses((status = 202, body = RunShown), (status = "4XX", body = ProblemBody)))]
async fn create(
    door: Authorized<OneProject, CanRun>,
    wait: Wait,
    Body(body): Body<NewRunBody>,
) -> Result<Response, Problem> {
    let services = door.services();
    let asker = Asker { actor: door.actor.subject.clone(), trigger: Trigger::Request, parked: false };
    let order = order::read(body)?;
    let id = services.order_run(RunId(door.made_id()), &door.resource.0.value, &order, asker).await?;
    let run = RunShown::from(wait.for_run(services, id).await?);
    let place = [(header::LOCATION, format!("/v1/runs/{id}"))];
    Ok(wait.applied((StatusCode::ACCEPTED, place, Json(run))))
}

/// A run.
#[utoipa::path(get, path = "/v1/runs/{run}", tag = "runs", params(("run" = String, Path)),
    responses((status = 200, body = RunShown), (status = "4XX", body = ProblemBody)))]
async fn show(door: Authorized<ShownRun, CanRead>, wait: Wait) -> Result<Response, Problem> {
    let seen = &door.resource;
    if wait.0.is_none() || seen.line.is_over() {
        return Ok(wait.applied(page::answer_line(&seen.line)));
    }
    let run = wait.for_change(door.services(), seen.run()?).await?;
    Ok(wait.applied(Json(RunShown::from(run))))
}

/// Stops a run. Doing it again, or to a run that is over, changes nothing.
#[utoipa::path(post, path = "/v1/runs/{run}/cancel", tag = "runs", params(("run" = String, Path)),
    request_body = CancelBody,
    responses((status = 202, body = RunShown), (status = "4XX", body = ProblemBody)))]
async fn cancel(
    door: Authorized<OneRun, CanCancel>,
    Body(body): Body<CancelBody>,
) -> Result<Response, Problem> {
    let id = door.resource.0.value.id;
    let by = format!("cancelled by {}", door.actor.subject);
    let why = body.reason.map_or_else(|| by.clone(), |reason| format!("{by}: {}", order::short(&reason)));
    let cause = Cause::new(CauseCode::CancelledByUser, why);
    door.services().cancel_as(&door.actor, id, cause).await?;
    let run = RunShown::from(door.services().run(id).await?.value);
    Ok((StatusCode::ACCEPTED, Json(run)).into_response())
}
