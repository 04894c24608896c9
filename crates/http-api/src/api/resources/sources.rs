//! `/v1/projects/{project}/sources` and `/v1/uploads/{token}`: a working tree that comes as an archive.

use crate::api::door::upload::OpenUpload;
use crate::api::door::{Api, Authorized, CanRun, OneProject};
use crate::api::extract::Body;
use crate::api::problem::Problem;
use crate::api::wire::{Archive, NewSourceBody, ProblemBody, SourceOffered, SourceShown};
use axum::Json;
use axum::body::HttpBody as _;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::domain::upload::{UPLOAD_LIMIT_BYTES, parse_sha256};
use shared::service::upload::{Announcement, Way};
use std::future::poll_fn;
use std::pin::Pin;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(offer)).routes(routes!(upload))
}

/// Offers an upload, which a run can then name as its `source`.
#[utoipa::path(post, path = "/v1/projects/{project}/sources", tag = "sources",
    params(("project" = String, Path)), request_body = NewSourceBody,
    responses((status = 201, body = SourceOffered), (status = "4XX", body = ProblemBody)))]
async fn offer(
    door: Authorized<OneProject, CanRun>,
    Body(body): Body<NewSourceBody>,
) -> Result<Response, Problem> {
    if body.size_bytes.is_some_and(|size| !(1..=UPLOAD_LIMIT_BYTES).contains(&size)) {
        return Err(Problem::invalid(
            "/size_bytes",
            format!("an archive has 1 to {UPLOAD_LIMIT_BYTES} bytes"),
        ));
    }
    let announcement = Announcement { size_bytes: body.size_bytes, sha256: digest(&body)? };
    let offer = door.services().offer_source(&door.actor, &door.resource.0.value.id, announcement).await?;
    let (upload_url, headers) = match offer.way {
        Way::Token(token) => (format!("/v1/uploads/{token}"), Vec::new()),
        Way::Direct(link) => (link.url, link.headers),
    };
    let offered = SourceOffered {
        id: offer.upload.id.to_string(),
        upload_url,
        upload_headers: headers.into_iter().collect(),
        expires_at: offer.upload.open_until.rfc3339(),
        limit_bytes: offer.upload.limit_bytes,
    };
    Ok((StatusCode::CREATED, Json(offered)).into_response())
}

fn digest(body: &NewSourceBody) -> Result<Option<[u8; 32]>, Problem> {
    let Some(text) = &body.sha256 else { return Ok(None) };
    if body.size_bytes.is_none() {
        let detail = "with a digest the exact size has to be told, too";
        return Err(Problem::invalid("/size_bytes", detail));
    }
    let wrong = || Problem::invalid("/sha256", "a digest has 64 lower-case hexadecimal digits");
    parse_sha256(text).map(Some).ok_or_else(wrong)
}

/// Takes the archive of an upload, once: tar, plain or compressed by gzip. The path is the credential.
#[utoipa::path(put, path = "/v1/uploads/{token}", tag = "sources", params(("token" = String, Path)),
    request_body(content = Archive, content_type = "application/octet-stream"), security(()),
    responses((status = 201, body = SourceShown), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody), (status = "4XX", body = ProblemBody)))]
async fn upload(
    mut open: OpenUpload,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    announced(&headers, open.limit_bytes())?;
    receive(&mut open, body).await?;
    let shown = SourceShown::from(open.finish().await?);
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// What says itself that it is too large need not come.
fn announced(headers: &HeaderMap, limit_bytes: u64) -> Result<(), Problem> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit_bytes) {
        let detail = format!(
            "the archive has more than {limit_bytes} bytes; leave out what can be built or downloaded"
        );
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
    }
    Ok(())
}

async fn receive(open: &mut OpenUpload, mut body: axum::body::Body) -> Result<(), Problem> {
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(bytes)) => open.take(&bytes).await?,
            // Trailers say nothing here.
            Ok(Err(_)) => {}
            Err(_) => {
                open.give_up().await;
                let detail = "the archive ended before it was whole; send it again";
                return Err(Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", detail));
            }
        }
    }
    Ok(())
}
