//! Reports of a run, handed out a piece at a time.

use crate::api::door::{Api, Authorized, CanRead, OneRun};
use crate::api::problem::Problem;
use crate::api::wire::{Page, ProblemBody, ReportShown, media_type};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::stream::{self, TryStreamExt as _};
use shared::domain::id::RunId;
use shared::service::{ServiceError, Services};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// The reports of a run; none until it is over.
#[utoipa::path(get, path = "/v1/runs/{run}/reports", tag = "reports", params(("run" = String, Path)),
    responses((status = 200, body = Page<ReportShown>), (status = "4XX", body = ProblemBody)))]
async fn list(door: Authorized<OneRun, CanRead>) -> Result<Json<Page<ReportShown>>, Problem> {
    let run = door.resource.0.value.id;
    let reports = door.services().reports(run).await?;
    let items = reports.into_iter().map(|report| ReportShown::new(run, report)).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// A report: `report.json`, `junit.xml`, `ctrf.json` or `report.html`.
#[utoipa::path(get, path = "/v1/runs/{run}/reports/{name}", tag = "reports",
    params(("run" = String, Path), ("name" = String, Path)),
    responses((status = 200, content(
        (serde_json::Value = "application/json"), (String = "application/xml"), (String = "text/html"))),
        (status = 307, description = "It is long and lies elsewhere: fetch it there within five minutes, without the key"),
        (status = "4XX", body = ProblemBody)))]
async fn show(door: Authorized<OneRun, CanRead>) -> Result<Response, Problem> {
    let (run, name) = (door.resource.0.value.id, door.path.read::<String>("name")?);
    let first = door.services().report_piece(run, &name, 0).await?;
    if let Some(place) = door.services().report_link(run, &name, media_type(&name), &first).await? {
        return Ok(Redirect::temporary(&place).into_response());
    }
    let rest = pieces(Arc::clone(door.services()), run, name.clone(), first.len() as u64);
    let first = stream::once(async move { Ok(Bytes::from(first)) });
    let body = Body::from_stream(stream::StreamExt::chain(first, rest));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type(&name))),
        // What tests print is in it: it is never shown as a page of this server.
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox")),
    ];
    let kept = format!("attachment; filename=\"{run}-{name}\"");
    Ok((headers, [(header::CONTENT_DISPOSITION, kept)], body).into_response())
}

fn pieces(
    services: Arc<Services>,
    run: RunId,
    name: String,
    from: u64,
) -> impl stream::Stream<Item = Result<Bytes, ServiceError>> {
    let next = move |from: u64| {
        let (services, name) = (Arc::clone(&services), name.clone());
        async move {
            let piece = services.report_piece(run, &name, from).await?;
            let upto = from + piece.len() as u64;
            Ok((!piece.is_empty()).then(|| (Bytes::from(piece), upto)))
        }
    };
    stream::try_unfold(from, next).into_stream()
}
