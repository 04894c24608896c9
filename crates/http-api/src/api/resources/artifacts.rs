//! Files kept from a run, handed out a piece at a time and never shown as pages of this server.

use crate::api::door::{Api, Authorized, CanRead, OneRun};
use crate::api::extract::Asked;
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{ArtifactShown, Page, ProblemBody};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, TryStreamExt as _};
use shared::domain::artifact::Artifact;
use shared::service::{ServiceError, Services};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest name that a browser is offered.
const NAME_LIMIT: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Files kept from a run, by job and runner. Runners send them when their tests are over, so some may come after the
/// run's verdict.
#[utoipa::path(get, path = "/v1/runs/{run}/artifacts", tag = "reports", params(("run" = String, Path), Part),
    responses((status = 200, body = Page<ArtifactShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<OneRun, CanRead>,
    uri: Uri,
    Asked(part): Asked<Part>,
) -> Result<Response, Problem> {
    let run = door.resource.0.value.id;
    let name = format!("artifacts {run}");
    let (after, limit) = (part.after(&door, &name)?, part.limit()?);
    let listed = door.services().artifacts(run, after.as_deref(), limit).await?;
    Ok(page::answer(&door, (&name, &uri), listed, ArtifactShown::from))
}

/// A file kept from a run.
#[utoipa::path(get, path = "/v1/runs/{run}/artifacts/{artifact}", tag = "reports",
    params(("run" = String, Path), ("artifact" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = "4XX", body = ProblemBody)))]
async fn show(door: Authorized<OneRun, CanRead>) -> Result<Response, Problem> {
    let id = door.path.read::<String>("artifact")?;
    let artifact = door.services().artifact(door.resource.0.value.id, &id).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(artifact.size_bytes)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox")),
    ];
    let kept = [(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", plain_name(&artifact)))];
    let body = Body::from_stream(pieces(Arc::clone(door.services()), artifact));
    Ok((headers, kept, body).into_response())
}

/// The file's own name, of letters that every header and every file system takes.
fn plain_name(artifact: &Artifact) -> String {
    let name = artifact.path.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    name.chars().take(NAME_LIMIT).map(plain).collect()
}

fn pieces(
    services: Arc<Services>,
    artifact: Artifact,
) -> impl stream::Stream<Item = Result<Bytes, ServiceError>> {
    let next = move |from: u64| {
        let (services, artifact) = (Arc::clone(&services), artifact.clone());
        async move {
            let piece = services.artifact_piece(&artifact, from).await?;
            let upto = from + piece.len() as u64;
            Ok((!piece.is_empty()).then(|| (Bytes::from(piece), upto)))
        }
    };
    stream::try_unfold(0, next).into_stream()
}
