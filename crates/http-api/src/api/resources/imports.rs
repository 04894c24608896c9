//! `/v1/projects/{project}/imports`: results of any CI, as the raw body of a request.

use crate::api::door::{Api, Authorized, CanImport, OneProject};
use crate::api::extract::{Asked, encoded};
use crate::api::problem::Problem;
use crate::api::wire::{ImportShown, ProblemBody};
use axum::Json;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::domain::parse::format::Format;
use shared::service::import::{Import, ImportOrder};
use std::future::poll_fn;
use std::pin::Pin;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Kinds of bodies that may be reports; what they really are is found out by reading them.
const KINDS: [&str; 9] = [
    "application/xml",
    "text/xml",
    "application/json",
    "application/x-ndjson",
    "application/jsonl",
    "application/octet-stream",
    "text/plain",
    "text/tap",
    "text/x-tap",
];

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create))
}

/// What the report is of.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct About {
    /// `junit`, `tap`, `ctrf`, `go-json` or `libtest-json`; without it, the report's beginning tells.
    format: Option<String>,
    /// The suite that the results belong to; without it, the name that the report has.
    #[param(max_length = 100)]
    suite: Option<String>,
    /// Commit that was tested.
    #[param(max_length = 64)]
    commit: Option<String>,
    /// Its branch.
    #[param(max_length = 255)]
    branch: Option<String>,
    /// Number of its pull request.
    pull_request: Option<u64>,
    /// Number or address of the CI's build: the same report of another build is another run.
    #[param(max_length = 500)]
    build: Option<String>,
}

/// Imports results that ran elsewhere: JUnit XML, TAP, CTRF, `go test -json`, or JSON of Rust's test harness.
///
/// The body is the report itself. The answer is a finished run. What could not be taken is listed and makes the run
/// `errored`. The same report of the same commit, suite and build is one run: sent again, it is answered with 200.
#[utoipa::path(post, path = "/v1/projects/{project}/imports", tag = "imports",
    params(("project" = String, Path), About),
    request_body(content = String, content_type = "application/octet-stream", description = "The report."),
    responses((status = 201, body = ImportShown), (status = 200, body = ImportShown, description = "Imported before."),
        (status = "4XX", body = ProblemBody)))]
async fn create(
    door: Authorized<OneProject, CanImport>,
    Asked(about): Asked<About>,
    request: Request,
) -> Result<Response, Problem> {
    let limit_bytes = door.import_limit_bytes();
    acceptable(request.headers(), limit_bytes)?;
    let import = Import::begin(door.services(), about.order(&door)?);
    let import = filled(import, request.into_body(), limit_bytes).await?;
    let imported = import.finish().await?;
    let status = if imported.repeated { StatusCode::OK } else { StatusCode::CREATED };
    let place = format!("/v1/runs/{}", imported.run.value.id);
    Ok((status, [(header::LOCATION, place)], Json(ImportShown::from(imported))).into_response())
}

impl About {
    fn order(self, door: &Authorized<OneProject, CanImport>) -> Result<ImportOrder, Problem> {
        let format = self.format.map(|text| text.parse::<Format>()).transpose();
        let project = &door.resource.0.value;
        Ok(ImportOrder {
            project: project.id.clone(),
            repository: project.repository.clone(),
            format: format.map_err(|error| Problem::invalid("format", error))?,
            suite: short("suite", self.suite, 100)?,
            commit: short("commit", self.commit, 64)?,
            branch: short("branch", self.branch, 255)?,
            pull_request: self.pull_request,
            build: short("build", self.build, 500)?,
            actor: door.actor.subject.clone(),
        })
    }
}

/// A text of the query, unless it is empty.
fn short(name: &str, text: Option<String>, limit_bytes: usize) -> Result<Option<String>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > limit_bytes || text.chars().any(char::is_control) {
        let detail = format!("`{name}` has at most {limit_bytes} bytes and no control characters");
        return Err(Problem::invalid(name, detail));
    }
    Ok(Some(text))
}

/// Refuses what can be refused before the body is read.
fn acceptable(headers: &HeaderMap, limit_bytes: u64) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let essence = text(header::CONTENT_TYPE).map(|kind| kind.split(';').next().unwrap_or_default().trim());
    if essence.is_some_and(|kind| !KINDS.iter().any(|known| kind.eq_ignore_ascii_case(known))) {
        let detail = format!("send the report itself as one of `{}`", KINDS.join("`, `"));
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(encoded("send the report uncompressed: `Content-Encoding` is not understood"));
    }
    match text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > limit_bytes => Err(too_large(limit_bytes)),
        _ => Ok(()),
    }
}

fn too_large(limit_bytes: u64) -> Problem {
    let detail = format!("a report has at most {limit_bytes} bytes; import it in parts");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// The import with the whole body in it. One that fails leaves nothing behind.
async fn filled(mut import: Import, body: Body, limit_bytes: u64) -> Result<Import, Problem> {
    match fill(&mut import, body, limit_bytes).await {
        Ok(()) => Ok(import),
        Err(problem) => {
            import.abandon().await;
            Err(problem)
        }
    }
}

async fn fill(import: &mut Import, mut body: Body, limit_bytes: u64) -> Result<(), Problem> {
    let mut left_bytes = limit_bytes;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| {
            let detail = format!("the body is cut off: {error}; send it again");
            Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", detail)
        })?;
        let Ok(bytes) = frame.into_data() else { continue };
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        left_bytes = left_bytes.checked_sub(count).ok_or_else(|| too_large(limit_bytes))?;
        import.push(&bytes).await?;
    }
    Ok(())
}
