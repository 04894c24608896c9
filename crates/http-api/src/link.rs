//! The runner link, `/runner/v1`: one route per call of the protocol.
//!
//! Identity comes from the verified session token only; nothing in a body says who is calling.

use crate::problem::LinkProblem;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::service::Services;
use shared::service::token::Caller;
use shared::wire::link::{
    Ack, CHUNK_LIMIT_BYTES, FinishRequest, HeartbeatReply, HeartbeatRequest, LINK_PREFIX, LeaseReply,
    LeaseRequest, LogReply, LogRequest, ManifestReply, ManifestRequest, ReleaseRequest, ResultsReply,
    ResultsRequest, SessionReply, SessionRequest,
};
use std::sync::Arc;

/// Room for the JSON around a chunk.
const BODY_LIMIT_BYTES: usize = 2 * CHUNK_LIMIT_BYTES;
/// A manifest may list the cases of every unit.
const MANIFEST_LIMIT_BYTES: usize = 256 * 1024 * 1024;

type Shared = State<Arc<Services>>;
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
        .route("/manifest", manifest)
        .with_state(services);
    Router::new().nest(LINK_PREFIX, calls)
}

/// A caller with a valid session token.
struct Runner(Caller);

impl FromRequestParts<Arc<Services>> for Runner {
    type Rejection = LinkProblem;

    async fn from_request_parts(parts: &mut Parts, services: &Arc<Services>) -> Result<Self, LinkProblem> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token =
            header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(LinkProblem::unauthorised)?;
        Ok(Self(services.settings.token_key.read_session(token)?))
    }
}

/// A JSON body whose refusal is a problem document.
struct Body<T>(T);

impl<T: DeserializeOwned> FromRequest<Arc<Services>> for Body<T> {
    type Rejection = LinkProblem;

    async fn from_request(request: Request, state: &Arc<Services>) -> Result<Self, LinkProblem> {
        let parsed: Result<Json<T>, JsonRejection> = Json::from_request(request, state).await;
        Ok(Self(parsed?.0))
    }
}

async fn session(State(services): Shared, Body(request): Body<SessionRequest>) -> Reply<SessionReply> {
    Ok(Json(services.open_session(&request).await?))
}

/// Where a piece of the source begins, in bytes.
#[derive(Debug, Deserialize)]
struct Place {
    offset: u64,
}

async fn source(
    State(services): Shared,
    Runner(caller): Runner,
    Query(place): Query<Place>,
) -> Result<Vec<u8>, LinkProblem> {
    Ok(services.source_piece(&caller, place.offset).await?)
}

async fn manifest(
    State(services): Shared,
    Runner(caller): Runner,
    Body(request): Body<ManifestRequest>,
) -> Reply<ManifestReply> {
    Ok(Json(services.put_manifest(&caller, &request).await?))
}

async fn lease(
    State(services): Shared,
    Runner(caller): Runner,
    Body(request): Body<LeaseRequest>,
) -> Reply<LeaseReply> {
    Ok(Json(services.lease(&caller, &request).await?))
}

async fn results(
    State(services): Shared,
    Runner(caller): Runner,
    Body(request): Body<ResultsRequest>,
) -> Reply<ResultsReply> {
    Ok(Json(services.results(&caller, &request).await?))
}

async fn heartbeat(
    State(services): Shared,
    Runner(caller): Runner,
    Body(_): Body<HeartbeatRequest>,
) -> Reply<HeartbeatReply> {
    Ok(Json(services.heartbeat(&caller).await?))
}

async fn logs(
    State(services): Shared,
    Runner(caller): Runner,
    Body(request): Body<LogRequest>,
) -> Reply<LogReply> {
    Ok(Json(services.append_log(&caller, &request).await?))
}

async fn release(
    State(services): Shared,
    Runner(caller): Runner,
    Body(request): Body<ReleaseRequest>,
) -> Reply<Ack> {
    services.release(&caller, &request).await?;
    Ok(Json(Ack {}))
}

async fn finish(
    State(services): Shared,
    Runner(caller): Runner,
    Body(request): Body<FinishRequest>,
) -> Reply<Ack> {
    services.finish(&caller, &request).await?;
    Ok(Json(Ack {}))
}
