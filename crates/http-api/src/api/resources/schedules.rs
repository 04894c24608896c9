//! `/v1/projects/{project}/schedules`.

use super::runs::order;
use crate::api::door::{Api, Authorized, CanConfigure, CanRead, CanRun, OneProject, OneSchedule};
use crate::api::extract::{Asked, Body};
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{NewScheduleBody, Page, ProblemBody, RunShown, ScheduleChange, ScheduleShown};
use axum::Json;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use shared::domain::schedule::{SHOWN_FIRES, Schedule, Timetable};
use shared::domain::time::Timestamp;
use shared::service::schedule::NewSchedule;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, delete))
        .routes(routes!(run))
}

/// Schedules of a project, in the order of their making.
#[utoipa::path(get, path = "/v1/projects/{project}/schedules", tag = "schedules",
    params(("project" = String, Path), Part),
    responses((status = 200, body = Page<ScheduleShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<OneProject, CanRead>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    let (project, now) = (&door.resource.0.value.id, door.services().clock.now());
    let name = format!("schedules {project}");
    let after = part.after(&door, &name)?;
    let listed = door.services().schedules(project, after.as_deref(), part.limit()?).await?;
    Ok(page::answer(&door, (&name, &uri), listed, |schedule| shown(schedule, now)))
}

/// Makes a schedule.
#[utoipa::path(post, path = "/v1/projects/{project}/schedules", tag = "schedules",
    params(("project" = String, Path)), request_body = NewScheduleBody,
    responses((status = 201, body = ScheduleShown), (status = "4XX", body = ProblemBody)))]
async fn create(
    door: Authorized<OneProject, CanConfigure>,
    Body(body): Body<NewScheduleBody>,
) -> Result<Response, Problem> {
    let NewScheduleBody { name, cron, zone, order, paused } = body;
    let new = NewSchedule { name, cron, zone, order: order::read(order)?, paused };
    let made = door.services().create_schedule(&door.actor, &door.resource.0.value, new).await?;
    let location = format!("/v1/projects/{}/schedules/{}", made.project, made.id);
    let body = Json(shown(made, door.services().clock.now()));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response())
}

/// A schedule with its next fires.
#[utoipa::path(get, path = "/v1/projects/{project}/schedules/{schedule}", tag = "schedules",
    params(("project" = String, Path), ("schedule" = String, Path)),
    responses((status = 200, body = ScheduleShown), (status = "4XX", body = ProblemBody)))]
async fn show(door: Authorized<OneSchedule, CanRead>) -> Json<ScheduleShown> {
    let now = door.services().clock.now();
    Json(shown(door.resource.schedule.value, now))
}

/// Changes a schedule, lets it rest or go on. What fell into a rest is not made up for.
#[utoipa::path(patch, path = "/v1/projects/{project}/schedules/{schedule}", tag = "schedules",
    params(("project" = String, Path), ("schedule" = String, Path)), request_body = ScheduleChange,
    responses((status = 200, body = ScheduleShown), (status = "4XX", body = ProblemBody)))]
async fn change(
    door: Authorized<OneSchedule, CanConfigure>,
    Body(change): Body<ScheduleChange>,
) -> Result<Json<ScheduleShown>, Problem> {
    let OneSchedule { project, schedule } = &door.resource;
    let new = changed(schedule.value.clone(), change)?;
    let next = door.services().change_schedule(&door.actor, &project.value, schedule, new).await?;
    Ok(Json(shown(next, door.services().clock.now())))
}

/// Removes a schedule; the runs that it started stay.
#[utoipa::path(delete, path = "/v1/projects/{project}/schedules/{schedule}", tag = "schedules",
    params(("project" = String, Path), ("schedule" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn delete(door: Authorized<OneSchedule, CanConfigure>) -> Result<StatusCode, Problem> {
    door.services().delete_schedule(&door.actor, &door.resource.schedule).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Starts at once what a schedule starts; its next fires stay as they are.
#[utoipa::path(post, path = "/v1/projects/{project}/schedules/{schedule}/run", tag = "schedules",
    params(("project" = String, Path), ("schedule" = String, Path)),
    responses((status = 202, body = RunShown), (status = "4XX", body = ProblemBody)))]
async fn run(door: Authorized<OneSchedule, CanRun>) -> Result<Response, Problem> {
    let OneSchedule { project, schedule } = &door.resource;
    let id = door.services().run_schedule(&door.actor, &project.value, &schedule.value).await?;
    let run = RunShown::from(door.services().run(id).await?.value);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, format!("/v1/runs/{id}"))], Json(run)).into_response())
}

fn changed(old: Schedule, change: ScheduleChange) -> Result<NewSchedule, Problem> {
    Ok(NewSchedule {
        name: change.name.unwrap_or(old.name),
        cron: change.cron.unwrap_or(old.cron),
        zone: change.zone.unwrap_or(old.zone),
        order: change.order.map(order::read).transpose()?.unwrap_or(old.order),
        paused: change.paused.unwrap_or(old.paused),
    })
}

fn shown(schedule: Schedule, now: Timestamp) -> ScheduleShown {
    let timetable = Timetable::parse(&schedule.cron, &schedule.zone).ok().filter(|_| !schedule.paused);
    let fires = timetable.map(|timetable| timetable.next(now, SHOWN_FIRES)).unwrap_or_default();
    ScheduleShown {
        id: schedule.id.to_string(),
        project: schedule.project.0,
        name: schedule.name,
        cron: schedule.cron,
        zone: schedule.zone,
        order: schedule.order.into(),
        paused: schedule.paused,
        next_fires: fires.into_iter().map(Timestamp::rfc3339).collect(),
        last_run: schedule.last_run.map(|run| run.to_string()),
        last_fire: schedule.last_fire.map(Timestamp::rfc3339),
        problem: schedule.problem,
        created_at: schedule.created_at.rfc3339(),
        created_by: schedule.created_by,
        updated_at: schedule.updated_at.rfc3339(),
    }
}
