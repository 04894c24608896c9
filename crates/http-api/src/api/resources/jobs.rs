//! `/v1/runs/{run}/jobs` and what belongs to a job: shards, and leases for the Gantt.

use crate::api::door::{Api, Authorized, CanRead, OneRun};
use crate::api::extract::Asked;
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{JobShown, LeaseShown, Page, ProblemBody, ShardShown};
use axum::Json;
use axum::http::Uri;
use axum::response::Response;
use shared::domain::id::{JobNo, RunId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(shards))
        .routes(routes!(leases))
}

/// The jobs of a run, by number; none until it is planned.
#[utoipa::path(get, path = "/v1/runs/{run}/jobs", tag = "jobs", params(("run" = String, Path), Part),
    responses((status = 200, body = Page<JobShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<OneRun, CanRead>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    let run = door.resource.0.value.id;
    let name = format!("jobs {run}");
    let after = part.after(&door, &name)?;
    let listed = door.services().job_views(run, after.as_deref(), part.limit()?).await?;
    Ok(page::answer(&door, (&name, &uri), listed, JobShown::from))
}

/// A job.
#[utoipa::path(get, path = "/v1/runs/{run}/jobs/{job}", tag = "jobs",
    params(("run" = String, Path), ("job" = u32, Path)),
    responses((status = 200, body = JobShown), (status = "4XX", body = ProblemBody)))]
async fn show(door: Authorized<OneRun, CanRead>) -> Result<Json<JobShown>, Problem> {
    let (run, job) = place(&door)?;
    Ok(Json(door.services().job_view(run, job).await?.into()))
}

/// The shards of a job, by number: of each its current runner.
#[utoipa::path(get, path = "/v1/runs/{run}/jobs/{job}/shards", tag = "jobs",
    params(("run" = String, Path), ("job" = u32, Path), Part),
    responses((status = 200, body = Page<ShardShown>), (status = "4XX", body = ProblemBody)))]
async fn shards(
    door: Authorized<OneRun, CanRead>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    let (run, job) = known_place(&door).await?;
    let name = format!("shards {run} {job}");
    let after = part.after(&door, &name)?;
    let listed = door.services().shards((run, job), after.as_deref(), part.limit()?).await?;
    Ok(page::answer(&door, (&name, &uri), listed, ShardShown::from))
}

/// The leases of a job with what each slot did when, in no particular order.
#[utoipa::path(get, path = "/v1/runs/{run}/jobs/{job}/leases", tag = "jobs",
    params(("run" = String, Path), ("job" = u32, Path), Part),
    responses((status = 200, body = Page<LeaseShown>), (status = "4XX", body = ProblemBody)))]
async fn leases(
    door: Authorized<OneRun, CanRead>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    let (run, job) = known_place(&door).await?;
    let name = format!("leases {run} {job}");
    let after = part.after(&door, &name)?;
    let listed = door.services().leases((run, job), after.as_deref(), part.limit()?).await?;
    Ok(page::answer(&door, (&name, &uri), listed, LeaseShown::from))
}

fn place(door: &Authorized<OneRun, CanRead>) -> Result<(RunId, JobNo), Problem> {
    Ok((door.resource.0.value.id, JobNo(door.path.read("job")?)))
}

async fn known_place(door: &Authorized<OneRun, CanRead>) -> Result<(RunId, JobNo), Problem> {
    let (run, job) = place(door)?;
    door.services().job_view(run, job).await?;
    Ok((run, job))
}
