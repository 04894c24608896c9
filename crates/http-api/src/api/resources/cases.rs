//! `/v1/runs/{run}/cases`, one of them with all that it printed, and a case over many runs.

use crate::api::door::{Api, Authorized, CanRead, OneProject, OneRun, ShownRun};
use crate::api::extract::Asked;
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{CaseDetail, CaseHistory, CaseShown, OutcomeWord, Page, ProblemBody};
use axum::Json;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use shared::domain::case_page::CaseFilter;
use shared::domain::id::{CaseKey, digest_hex};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(history))
}

/// Which cases.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// An outcome, or `failures` for any that makes a run red.
    outcome: Option<OutcomeWord>,
    /// Name of a job, or of a suite: then of all its jobs.
    #[param(max_length = 200)]
    suite: Option<String>,
    /// A part of the id or of the failure's message, in any case.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Whether it failed before it passed.
    flaky: Option<bool>,
}

/// Longest text that is sought.
const TEXT_CHARS: usize = 200;

impl Wanted {
    fn filter(self) -> Result<CaseFilter, Problem> {
        let Self { outcome, suite, q, flaky } = self;
        if let Some((name, _)) = [("suite", &suite), ("q", &q)]
            .into_iter()
            .find(|(_, text)| text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS))
        {
            return Err(Problem::invalid(name, format!("`{name}` has at most {TEXT_CHARS} characters")));
        }
        Ok(CaseFilter { outcome: outcome.map(Into::into), suite, text: q, flaky })
    }
}

/// The cases of a run, failures first. A page may be short, even empty, and still have a next one.
///
/// Of a run at work: what is known so far, one row for each attempt, in no particular order; what arrives while
/// someone is paging may be missed.
#[utoipa::path(get, path = "/v1/runs/{run}/cases", tag = "cases", params(("run" = String, Path), Part, Wanted),
    responses((status = 200, body = Page<CaseShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<ShownRun, CanRead>,
    Asked(part): Asked<Part>,
    Asked(wanted): Asked<Wanted>,
    uri: Uri,
) -> Result<Response, Problem> {
    let line = &door.resource.line;
    let name = format!("cases {}", line.id());
    let (after, filter, limit) = (part.after(&door, &name)?, wanted.filter()?, part.limit()?);
    let services = door.services();
    if line.is_over()
        && let Some(listed) = services.final_cases(line.id(), &filter, after.as_deref(), limit).await?
    {
        // They change with their run or not at all, so what was asked for names the answer.
        let digest = digest_hex(&format!("{} {uri}", line.digest()));
        return Ok(page::answer_digested(&door, (&name, &uri), listed, digest));
    }
    let run = door.resource.run()?;
    let listed = services.cases(&run, &filter, after.as_deref(), limit).await?;
    Ok(page::answer_written(&door, (&name, &uri), listed))
}

/// A case of a run with every attempt at it.
#[utoipa::path(get, path = "/v1/runs/{run}/cases/{case}", tag = "cases",
    params(("run" = String, Path), ("case" = String, Path, description = "`case_` and 32 hexadecimal digits")),
    responses((status = 200, body = CaseDetail), (status = "4XX", body = ProblemBody)))]
async fn show(door: Authorized<OneRun, CanRead>) -> Result<Json<CaseDetail>, Problem> {
    let key: CaseKey = door.path.read("case")?;
    let (row, record) = door.services().case(&door.resource.0.value, key).await?;
    Ok(Json(CaseDetail::new(row, record)))
}

/// A case in the newest runs of its project, at most 50.
#[utoipa::path(get, path = "/v1/projects/{project}/cases/{case}/history", tag = "cases",
    params(("project" = String, Path), ("case" = String, Path, description = "`case_` and 32 hexadecimal digits")),
    responses((status = 200, body = CaseHistory), (status = "4XX", body = ProblemBody)))]
async fn history(door: Authorized<OneProject, CanRead>) -> Result<Json<CaseHistory>, Problem> {
    let key: CaseKey = door.path.read("case")?;
    let runs = door.services().case_runs(&door.resource.0.value.id, key).await?;
    let history = CaseHistory::new(runs);
    history.map(Json).ok_or_else(|| Problem::not_found(format!("no run of the project had `{key}`")))
}
