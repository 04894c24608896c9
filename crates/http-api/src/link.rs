//! The runner link, `/runner/v1`: one route per call of the protocol.
//!
//! Identity comes from the verified session token only; nothing in a body says who is calling.

mod turns;

use crate::problem::LinkProblem;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::domain::artifact::PIECE_BYTES;
use shared::service::Services;
use shared::service::token::Caller;
use shared::wire::link::{
    Ack, ArtifactPiece, ArtifactReply, CHUNK_LIMIT_BYTES, FinishRequest, HeartbeatReply, HeartbeatRequest,
    LINK_PREFIX, LeaseReply, LeaseRequest, LogReply, LogRequest, ManifestReply, ManifestRequest,
    ReleaseRequest, ResultsReply, ResultsRequest, SessionReply, SessionRequest,
};
use std::sync::Arc;
use turns::Turns;

/// Room for the JSON around a chunk.
const BODY_LIMIT_BYTES: usize = 2 * CHUNK_LIMIT_BYTES;
/// A manifest may list the cases of every unit.
const MANIFEST_LIMIT_BYTES: usize = 256 * 1024 * 1024;

/// State of the link.
struct Link {
    services: Arc<Services>,
    turns: Turns,
}

type Shared = State<Arc<Link>>;
type Reply<T> = Result<Json<T>, LinkProblem>;

/// The router of the link.
pub fn router(services: Arc<Services>) -> Router {
    let manifest = put(manifest).layer(DefaultBodyLimit::max(MANIFEST_LIMIT_BYTES));
    let calls = Router::new()
        .route("/session", post(session))
        .route("/lease", post(lease))
        .route("/results", post(results))
        .route("/heartbeat", post(heartbeat))
        .route("/logs", post(logs))
        .route("/release", post(release))
        .route("/finish", post(finish))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .route("/source", get(source))
        .route("/artifact", put(artifact).layer(DefaultBodyLimit::max(PIECE_BYTES)))
        .route("/manifest", manifest)
        .with_state(Arc::new(Link { services, turns: Turns::default() }));
    Router::new().nest(LINK_PREFIX, calls)
}

/// A caller with a valid session token.
struct Runner(Caller);

impl FromRequestParts<Arc<Link>> for Runner {
    type Rejection = LinkProblem;

    async fn from_request_parts(parts: &mut Parts, link: &Arc<Link>) -> Result<Self, LinkProblem> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token =
            header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(LinkProblem::unauthorised)?;
        Ok(Self(link.services.settings.token_key.read_session(token)?))
    }
}

/// A JSON body whose refusal is a problem document.
struct Body<T>(T);

/// Reads it with a record of where it is: that takes twice as long, and is for those that cannot be read.
async fn explained<T: DeserializeOwned>(request: Request, link: &Arc<Link>) -> Result<Body<T>, LinkProblem> {
    let parsed: Result<Json<T>, JsonRejection> = Json::from_request(request, link).await;
    Ok(Body(parsed?.0))
}

impl<T: DeserializeOwned> FromRequest<Arc<Link>> for Body<T> {
    type Rejection = LinkProblem;

    async fn from_request(request: Request, state: &Arc<Link>) -> Result<Self, LinkProblem> {
        let is_json = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        if !is_json {
            return explained(request, state).await;
        }
        let (parts, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state)
            .await
            .map_err(JsonRejection::from)?;
        // Looking at all of it once is quicker than at each of its texts.
        let text = std::str::from_utf8(&bytes);
        if let Some(value) = text.ok().and_then(|text| serde_json::from_str(text).ok()) {
            return Ok(Self(value));
        }
        explained(Request::from_parts(parts, bytes.into()), state).await
    }
}

async fn session(State(link): Shared, Body(request): Body<SessionRequest>) -> Reply<SessionReply> {
    Ok(Json(link.services.open_session(&request).await?))
}

/// Where a piece of the source begins, in bytes.
#[derive(Debug, Deserialize)]
struct Place {
    offset: u64,
}

async fn source(
    State(link): Shared,
    Runner(caller): Runner,
    Query(place): Query<Place>,
) -> Result<Vec<u8>, LinkProblem> {
    Ok(link.services.source_piece(&caller, place.offset).await?)
}

async fn manifest(
    State(link): Shared,
    Runner(caller): Runner,
    Body(request): Body<ManifestRequest>,
) -> Reply<ManifestReply> {
    Ok(Json(link.services.put_manifest(&caller, &request).await?))
}

async fn lease(
    State(link): Shared,
    Runner(caller): Runner,
    Body(request): Body<LeaseRequest>,
) -> Reply<LeaseReply> {
    let _turn = link.turns.take(&caller).await;
    Ok(Json(link.services.lease(&caller, &request).await?))
}

async fn results(
    State(link): Shared,
    Runner(caller): Runner,
    Body(request): Body<ResultsRequest>,
) -> Reply<ResultsReply> {
    let _turn = link.turns.take(&caller).await;
    Ok(Json(link.services.results(&caller, &request).await?))
}

async fn heartbeat(
    State(link): Shared,
    Runner(caller): Runner,
    Body(_): Body<HeartbeatRequest>,
) -> Reply<HeartbeatReply> {
    Ok(Json(link.services.heartbeat(&caller).await?))
}

async fn logs(
    State(link): Shared,
    Runner(caller): Runner,
    Body(request): Body<LogRequest>,
) -> Reply<LogReply> {
    Ok(Json(link.services.append_log(&caller, &request).await?))
}

async fn artifact(
    State(link): Shared,
    Runner(caller): Runner,
    Query(piece): Query<ArtifactPiece>,
    bytes: Bytes,
) -> Reply<ArtifactReply> {
    Ok(Json(link.services.append_artifact(&caller, &piece, &bytes).await?))
}

async fn release(
    State(link): Shared,
    Runner(caller): Runner,
    Body(request): Body<ReleaseRequest>,
) -> Reply<Ack> {
    let _turn = link.turns.take(&caller).await;
    link.services.release(&caller, &request).await?;
    Ok(Json(Ack {}))
}

async fn finish(
    State(link): Shared,
    Runner(caller): Runner,
    Body(request): Body<FinishRequest>,
) -> Reply<Ack> {
    link.services.finish(&caller, &request).await?;
    Ok(Json(Ack {}))
}
