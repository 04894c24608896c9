//! What a project's history says: flaky, slow and newly broken cases, and how it does from day to day.

use crate::api::door::{Api, Authorized, CanRead, OneProject};
use crate::api::extract::Asked;
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{NotableShown, Page, ProblemBody, TrendsShown};
use axum::Json;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use shared::domain::statistics::NotableKind;
use shared::service::audit::Listed;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const DEFAULT_DAYS: u32 = 14;
const MAX_DAYS: u32 = 90;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(flaky))
        .routes(routes!(slow))
        .routes(routes!(broken))
        .routes(routes!(trends))
}

/// The flakiest cases, at most 100 of each job.
#[utoipa::path(get, path = "/v1/projects/{project}/flaky", tag = "statistics",
    params(("project" = String, Path), Part),
    responses((status = 200, body = Page<NotableShown>), (status = "4XX", body = ProblemBody)))]
async fn flaky(
    door: Authorized<OneProject, CanRead>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    listed(&door, ("flaky", NotableKind::Flaky), &part, &uri).await
}

/// The slowest cases, at most 100 of each job.
#[utoipa::path(get, path = "/v1/projects/{project}/slow", tag = "statistics",
    params(("project" = String, Path), Part),
    responses((status = 200, body = Page<NotableShown>), (status = "4XX", body = ProblemBody)))]
async fn slow(
    door: Authorized<OneProject, CanRead>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    listed(&door, ("slow", NotableKind::Slow), &part, &uri).await
}

/// Cases that failed in the last run that had them and passed before, the latest to break first.
#[utoipa::path(get, path = "/v1/projects/{project}/broken", tag = "statistics",
    params(("project" = String, Path), Part),
    responses((status = 200, body = Page<NotableShown>), (status = "4XX", body = ProblemBody)))]
async fn broken(
    door: Authorized<OneProject, CanRead>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    listed(&door, ("broken", NotableKind::Broken), &part, &uri).await
}

async fn listed(
    door: &Authorized<OneProject, CanRead>,
    (word, kind): (&str, NotableKind),
    part: &Part,
    uri: &Uri,
) -> Result<Response, Problem> {
    let project = &door.resource.0.value.id;
    let name = format!("{word} {project}");
    let first = part.after(door, &name)?.and_then(|place| place.parse::<usize>().ok()).unwrap_or(0);
    let (limit, all) = (part.limit()?, door.services().notable(project, kind).await?);
    let next = first.saturating_add(limit);
    let next = (next < all.len()).then(|| next.to_string());
    let items = all.into_iter().skip(first).take(limit).collect();
    Ok(page::answer(door, (&name, uri), Listed { items, next }, NotableShown::from))
}

/// How many days.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// The last so many days, today included.
    #[param(minimum = 1, maximum = 90, default = 14)]
    days: Option<u32>,
}

/// Runs, pass rate, times, faults of the infrastructure and cost from day to day.
#[utoipa::path(get, path = "/v1/projects/{project}/trends", tag = "statistics",
    params(("project" = String, Path), Wanted),
    responses((status = 200, body = TrendsShown), (status = "4XX", body = ProblemBody)))]
async fn trends(
    door: Authorized<OneProject, CanRead>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<TrendsShown>, Problem> {
    let days = wanted.days.unwrap_or(DEFAULT_DAYS);
    if days == 0 || days > MAX_DAYS {
        return Err(Problem::invalid("days", format!("`days` must be 1 to {MAX_DAYS}")));
    }
    let trends = door.services().trends(&door.resource.0.value.id, days).await?;
    Ok(Json(TrendsShown {
        days: trends.days.into_iter().map(Into::into).collect(),
        complete: trends.complete,
    }))
}
