//! A run again, and a parked run let go.

use crate::api::door::{Api, Authorized, CanApprove, CanRun, OneRun};
use crate::api::extract::Body;
use crate::api::problem::Problem;
use crate::api::wire::{AgainWord, ProblemBody, RerunBody, RunShown};
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::domain::id::CaseKey;
use shared::domain::run::RunStatus;
use shared::service::rerun::Again;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const CHOSEN_LIMIT: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(rerun)).routes(routes!(approve))
}

/// Makes a new run of the cases that failed, of chosen ones, or of all.
#[utoipa::path(post, path = "/v1/runs/{run}/rerun", tag = "runs", params(("run" = String, Path)),
    request_body = RerunBody,
    responses((status = 202, body = RunShown), (status = "4XX", body = ProblemBody)))]
async fn rerun(door: Authorized<OneRun, CanRun>, Body(body): Body<RerunBody>) -> Result<Response, Problem> {
    let run = &door.resource.0.value;
    if run.status != RunStatus::Finished {
        return Err(Problem::conflict("not_finished", "the run is not over; wait for it or cancel it"));
    }
    let id = door.services().rerun(run, &again(&body)?, &door.actor.subject).await?;
    let run = RunShown::from(door.services().run(id).await?.value);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, format!("/v1/runs/{id}"))], Json(run)).into_response())
}

fn again(body: &RerunBody) -> Result<Again, Problem> {
    let chosen = body.cases == AgainWord::Chosen;
    if chosen == body.chosen.is_empty() {
        let what = "`chosen` holds 1 to 1000 keys of cases if `cases` is `chosen`, and none otherwise";
        return Err(Problem::invalid("/chosen", what));
    }
    if body.chosen.len() > CHOSEN_LIMIT {
        return Err(Problem::invalid("/chosen", format!("at most {CHOSEN_LIMIT} cases can be chosen")));
    }
    let key = |(at, text): (usize, &String)| {
        text.parse::<CaseKey>().map_err(|error| Problem::invalid(&format!("/chosen/{at}"), error.to_string()))
    };
    match body.cases {
        AgainWord::All => Ok(Again::All),
        AgainWord::Failed => Ok(Again::Failed),
        AgainWord::Chosen => {
            Ok(Again::Chosen(body.chosen.iter().enumerate().map(key).collect::<Result<_, _>>()?))
        }
    }
}

/// Lets a parked run begin. A run that is not parked stays as it is.
#[utoipa::path(post, path = "/v1/runs/{run}/approve", tag = "runs", params(("run" = String, Path)),
    responses((status = 202, body = RunShown), (status = "4XX", body = ProblemBody)))]
async fn approve(door: Authorized<OneRun, CanApprove>) -> Result<Response, Problem> {
    let run = door.services().approve(&door.actor, &door.resource.0).await?;
    Ok((StatusCode::ACCEPTED, Json(RunShown::from(run))).into_response())
}
