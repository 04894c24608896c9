//! Conditional requests: `ETag` and `If-None-Match` on GET, `If-Match` on what changes.
//!
//! The tag of a resource is the digest of its JSON. A change with `If-Match` first asks for the resource as a GET of
//! the same path would show it; changes of one path are made one after the other in this process, so that nothing
//! comes between the look and the change.

use super::body::{whole, whole_answer};
use super::identity;
use super::problem::Problem;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use shared::domain::id::digest_hex;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use tower::ServiceExt as _;

/// Longer answers have no tag.
const TAGGED_LIMIT_BYTES: usize = 1024 * 1024;
const TAG_DIGITS: usize = 32;
const LANES: usize = 64;

/// Answers a GET; puts the tag on the answer, and answers 304 to whom knows it.
pub(super) async fn tag(request: Request, next: Next) -> Response {
    let known = listed(request.headers(), &header::IF_NONE_MATCH);
    let response = next.run(request).await;
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if response.status() != StatusCode::OK || !json || response.headers().contains_key(header::ETAG) {
        return response;
    }
    let (mut response, digest) = digested(response).await;
    let Some(digest) = digest else { return response };
    let etag = format!("\"{}\"", digest.get(..TAG_DIGITS).unwrap_or_default());
    let weak = |tag: &String| tag == "*" || tag.trim_start_matches("W/") == etag;
    if known.iter().any(weak) {
        *response.body_mut() = Body::empty();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(value) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, value);
    }
    response
}

/// The same for requests of every method.
pub(super) async fn tagged(request: Request, next: Next) -> Response {
    if request.method() == Method::GET { tag(request, next).await } else { next.run(request).await }
}

/// Put into the extensions of an answer whose digest is known without looking at all of it.
#[derive(Debug, Clone)]
pub(super) struct Digest(pub(super) String);

async fn digested(mut response: Response) -> (Response, Option<String>) {
    if let Some(Digest(known)) = response.extensions_mut().remove() {
        return (response, Some(known));
    }
    let (response, bytes) = whole_answer(response, TAGGED_LIMIT_BYTES).await;
    (response, bytes.map(|bytes| digest_hex(&bytes)))
}

/// The tags of a header.
fn listed(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect()
}

/// What [`matched`] needs: the routes, to look at a resource before it is changed, and a lane for each path.
#[derive(Clone)]
pub(super) struct Gate {
    routes: Router,
    lanes: Arc<[tokio::sync::Mutex<()>; LANES]>,
}

impl Gate {
    pub(super) fn new(routes: Router) -> Self {
        Self { routes, lanes: Arc::new(std::array::from_fn(|_| tokio::sync::Mutex::new(()))) }
    }

    fn lane(&self, path: &str) -> Option<&tokio::sync::Mutex<()>> {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let lanes = u64::try_from(LANES).unwrap_or(1);
        usize::try_from(hasher.finish() % lanes).ok().and_then(|lane| self.lanes.get(lane))
    }

    /// Whether the route of this path has the method; what no route knows is for the routes to tell.
    async fn takes(&self, method: &Method, path: &Uri) -> bool {
        let mut question = Request::new(Body::empty());
        *question.method_mut() = Method::OPTIONS;
        question.uri_mut().clone_from(path);
        let answer = match self.routes.clone().oneshot(question).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let allowed = answer.headers().get(header::ALLOW).and_then(|allowed| allowed.to_str().ok());
        allowed.is_some_and(|allowed| allowed.split(',').any(|known| known.trim() == method.as_str()))
    }

    /// The tag of the resource as the caller sees it now.
    async fn current(&self, look: Request) -> Result<String, Problem> {
        let seen = match self.routes.clone().oneshot(look).await {
            Ok(seen) => seen,
            Err(never) => match never {},
        };
        let etag = seen.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
        etag.map(str::to_owned).ok_or_else(|| failed("there is no resource here that has a tag"))
    }
}

/// The same caller's GET of the same resource.
fn look_at(request: &Request) -> Request {
    let mut look = Request::new(Body::empty());
    look.uri_mut().clone_from(request.uri());
    identity::hand_on(request.extensions(), look.extensions_mut());
    look
}

fn failed(detail: &str) -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
}

/// Lets a change through if the resource is as `If-Match` says.
pub(super) async fn matched(gate: Gate, request: Request, next: Next) -> Response {
    if identity::caller(request.extensions()).is_err() {
        return next.run(request).await;
    }
    // The body is read before the lane is taken: a slow sender holds up nobody else.
    let request = match whole(request).await {
        Ok((request, Some(_))) => request,
        Ok((request, None)) if !request.headers().contains_key(header::IF_MATCH) => {
            return next.run(request).await;
        }
        Ok((_, None)) => return failed("`If-Match` needs a JSON body of an ordinary size").into_response(),
        Err(problem) => return problem.into_response(),
    };
    let lane = gate.lane(request.uri().path());
    let _alone = match lane {
        Some(lane) => Some(lane.lock().await),
        None => None,
    };
    let wanted = listed(request.headers(), &header::IF_MATCH);
    if request.headers().contains_key(header::IF_MATCH) {
        match gate.current(look_at(&request)).await {
            Ok(etag) if wanted.iter().any(|tag| tag == "*" || *tag == etag) => {}
            // Without such a method nothing is to be changed: the routes say so.
            _ if !gate.takes(request.method(), request.uri()).await => {}
            Ok(_) => return failed("it was changed meanwhile; read it again").into_response(),
            Err(problem) => return problem.into_response(),
        }
    }
    next.run(request).await
}
