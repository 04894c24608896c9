//! What surrounds every request: its id and trace, its problem written out, headers that protect, and counting.

use super::conditional::Gate;
use super::door::Api;
use super::problem::Problem;
use super::trace::{TRACEPARENT, Trace};
use super::{conditional, idempotency, identity, sanity};
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
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

/// What the layer needs.
#[derive(Clone)]
pub(super) struct Around {
    pub(super) api: Api,
    pub(super) gate: Gate,
}

pub(super) async fn around(State(around): State<Around>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let Around { api, gate } = around;
    let counted = api.clone();
    let number = api.fresh_id();
    let id = format!("req_{number:032x}");
    let trace = Trace::of(request.headers(), number);
    let (uri, method) = (request.uri().clone(), request.method().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(RequestId(id.clone()));
    let traceparent = trace.header();
    request.extensions_mut().insert(trace);
    let mut response = match sanity::check(&request) {
        Ok(()) => identified(api, gate, request, next).await,
        Err(problem) => problem.into_response(),
    };
    write_problem(&mut response, &id, uri.path());
    let headers = response.headers_mut();
    headers.reserve(PROTECTING.len() + 3);
    set(headers, REQUEST_ID, HeaderValue::try_from(id).ok());
    set(headers, TRACEPARENT, traceparent);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in PROTECTING {
        headers.entry(name).or_insert(value);
    }
    let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    counted.metrics().count(route, method.as_str(), response.status().as_u16(), began.elapsed());
    response
}

/// The answer to a caller who is known and may call; what is done around the route depends on the method.
async fn identified(api: Api, gate: Gate, mut request: Request, next: Next) -> Response {
    let budget = identity::identify(&api, &mut request).await;
    let mut response = match (&budget, request.method()) {
        (Some(budget), _) if !budget.granted => budget.problem().into_response(),
        (_, &Method::GET) => conditional::tag(request, next).await,
        (_, &Method::POST) => idempotency::once(api, request, next).await,
        (_, &(Method::PATCH | Method::PUT | Method::DELETE)) => {
            conditional::matched(gate, request, next).await
        }
        (_, _) => next.run(request).await,
    };
    if let Some(budget) = budget {
        budget.note(response.headers_mut());
    }
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
