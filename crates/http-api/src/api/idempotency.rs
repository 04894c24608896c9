//! `Idempotency-Key` on POST: sent twice, done once, answered twice the same.
//!
//! Kept are answers below 400, for a day. A refused request changed nothing and may be sent again under the same key;
//! after a fault of the server the next one takes over at once. Answers with secrets, and long ones, are not kept: the
//! repetition is told that it was done. Bodies that are not JSON, or longer than an ordinary request, are not
//! compared: for them the key and the route alone make the request.

use super::body::{whole, whole_answer};
use super::door::Api;
use super::identity;
use super::problem::Problem;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use shared::domain::id::digest_hex;
use shared::service::idempotency::{Claim, REPLY_LIMIT_BYTES, Reply, Ticket};
use std::future::Future;

const KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Longest key.
pub const KEY_LIMIT_BYTES: usize = 255;
/// Headers that are part of an answer.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::LINK];

/// Put into the extensions of an answer that must not be stored, because it holds a secret.
#[derive(Debug, Clone, Copy)]
pub struct Unkept;

/// Number that every attempt at the same request shares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed(pub(super) u128);

/// Answers a POST; one with a key is done once.
pub(super) async fn once(api: Api, request: Request, next: Next) -> Response {
    let wanted = request.headers().contains_key(KEY);
    match (wanted, identity::caller(request.extensions())) {
        (true, Ok(caller)) => match claimed(&api, &caller.subject, request).await {
            Ok((Claim::Yours(ticket), request)) => detached(perform(api, ticket, request, next)).await,
            Ok((Claim::Done(reply), _)) => replay(reply),
            Ok((Claim::Busy { for_ms }, _)) => busy(for_ms).into_response(),
            Ok((Claim::Mismatch, _)) => mismatch().into_response(),
            Err(problem) => problem.into_response(),
        },
        // Without a caller the route itself answers: 401, or what needs no credential.
        (true, Err(_)) | (false, _) => next.run(request).await,
    }
}

async fn claimed(api: &Api, subject: &str, request: Request) -> Result<(Claim, Request), Problem> {
    let name = name(&request)?;
    let (mut request, body) = whole(request).await?;
    let uri = request.uri().path_and_query().map_or("", |uri| uri.as_str());
    let print = fingerprint(uri, body.as_ref());
    let claim = api.services().claim(subject, &name, &print).await?;
    if let Claim::Yours(ticket) = &claim {
        let seed = Seed(ticket.seed);
        request.extensions_mut().insert(seed);
    }
    Ok((claim, request))
}

fn name(request: &Request) -> Result<String, Problem> {
    let mut sent = request.headers().get_all(KEY).iter();
    let text = sent.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let sound = visible && text.len() <= KEY_LIMIT_BYTES && sent.next().is_none();
    if sound {
        Ok(text.to_owned())
    } else {
        let detail = format!("`Idempotency-Key` is one text of 1 to {KEY_LIMIT_BYTES} visible characters");
        Err(Problem::new(StatusCode::BAD_REQUEST, "bad_header", detail))
    }
}

fn fingerprint(uri: &str, body: Option<&Bytes>) -> String {
    // What is no UTF-8 is no JSON either: it is refused, and its claim given back.
    let body = body.map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
    digest_hex(&format!("POST {uri}\n{body}"))
}

/// Does the request to its end, also when the caller hangs up meanwhile: otherwise a repetition would find it half done.
async fn detached(work: impl Future<Output = Response> + Send + 'static) -> Response {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn(work).await.unwrap_or_else(|_| {
            let detail = "the request ended in a fault of the server; it is safe to send it again";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
        }),
        Err(_) => work.await,
    }
}

async fn perform(api: Api, ticket: Ticket, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let (response, done) = if status.is_client_error() {
        (response, api.services().unclaim(ticket).await)
    } else if status.is_server_error() {
        (response, api.services().yield_claim(ticket).await)
    } else {
        let (response, reply) = kept(response).await;
        (response, api.services().settle(ticket, reply).await)
    };
    // The answer stands. If this was not stored, the claim ends by itself and its seed makes the same thing again.
    drop(done);
    response
}

async fn kept(response: Response) -> (Response, Option<Reply>) {
    if response.extensions().get::<Unkept>().is_some() {
        return (response, None);
    }
    let (response, body) = whole_answer(response, REPLY_LIMIT_BYTES).await;
    let body = body.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    let value = |name: &HeaderName| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    let headers = KEPT.iter().filter_map(|name| Some((name.as_str().to_owned(), value(name)?))).collect();
    let status = response.status().as_u16();
    let reply = body.map(|body| Reply { status, headers, body });
    (response, reply)
}

fn replay(reply: Option<Reply>) -> Response {
    let Some(reply) = reply else {
        let detail = "this was done already; its answer held a secret or was too long to be kept, so look at what is there";
        return Problem::conflict("done_already", detail).into_response();
    };
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

fn busy(for_ms: u64) -> Problem {
    let problem = Problem::conflict("in_flight", "this request is still at work; ask again later");
    // Most requests are done long before their claim ends.
    Problem { retry_after_s: Some(for_ms.div_ceil(1000).clamp(1, 5)), ..problem }
}

fn mismatch() -> Problem {
    let detail = "this `Idempotency-Key` was used for another request; use a fresh one for each";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", detail)
}
