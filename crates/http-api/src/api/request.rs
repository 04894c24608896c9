//! What surrounds every request: its id and trace, its problem written out, headers that protect, and counting.

use super::door::Api;
use super::problem::Problem;
use super::sanity;
use super::trace::{TRACEPARENT, Trace};
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::Instant;

/// Header that carries the id of a request.
pub(super) const REQUEST_ID: &str = "x-request-id";
/// Route of what no route matches, in counters.
const UNMATCHED: &str = "unmatched";
/// Headers of every answer that has none of its own.
const PROTECTING: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// The id of the request that is being answered.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

pub(super) async fn around(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let number = api.fresh_id();
    let id = format!("req_{number:032x}");
    let trace = Trace::of(request.headers(), number);
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(trace.clone());
    let mut response = match sanity::check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    write_problem(&mut response, &id, &path);
    let headers = response.headers_mut();
    set(headers, REQUEST_ID, HeaderValue::from_str(&id).ok());
    set(headers, TRACEPARENT, trace.header());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in PROTECTING {
        headers.entry(name).or_insert(value);
    }
    let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    api.metrics().count(route, method.as_str(), response.status().as_u16(), began.elapsed());
    response
}

fn write_problem(response: &mut Response, id: &str, path: &str) {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return };
    let body = serde_json::to_vec(&problem.body(id, path)).unwrap_or_default();
    *response.body_mut() = Body::from(body);
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().remove(header::CONTENT_LENGTH);
}

fn set(headers: &mut HeaderMap, name: &'static str, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}
