//! Bodies and queries whose refusal says where they are wrong.

use super::BODY_LIMIT_BYTES;
use super::body::{DEPTH_LIMIT, is_too_deep};
use super::problem::Problem;
use super::wire::object::Object;
use axum::body::{Bytes, HttpBody as _};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !kind.is_some_and(is_json) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "send the body as `Content-Type: application/json`",
            ));
        }
        if request.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(encoded("send the body uncompressed: `Content-Encoding` is not understood"));
        }
        // What says itself that it is too large need not come.
        if usize::try_from(request.body().size_hint().lower()).map_or(true, |bytes| bytes > BODY_LIMIT_BYTES)
        {
            let detail = format!("the body has more than {BODY_LIMIT_BYTES} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| too_large(&rejection))?;
        parse(&bytes).map(Self)
    }
}

/// The problem of a body that is packed.
pub(super) fn encoded(detail: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

pub(super) fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// The problem of a body that could not be read.
#[must_use]
pub fn too_large(rejection: &BytesRejection) -> Problem {
    let status = rejection.status();
    let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "unreadable_body" };
    Problem::new(status, code, rejection.body_text())
}

/// Reads JSON; an error points at the offending place.
///
/// # Errors
/// 400 if it is no JSON, 422 if it is not of the wanted shape.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if is_too_deep(bytes) {
        let detail = format!("the body nests deeper than {DEPTH_LIMIT}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_deep", detail));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let Object(value) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        if inner.is_data() {
            Problem::invalid(&pointer, inner.to_string())
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "not_json", format!("the body is not JSON: {inner}"))
        }
    })?;
    deserializer.end().map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "not_json", format!("the body is not JSON: {error}"))
    })?;
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape(key)),
            Segment::Enum { variant } => format!("/{}", escape(variant)),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// The query of a request.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(value) = Query::try_from_uri(&parts.uri).map_err(|rejection| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", rejection.body_text())
        })?;
        Ok(Self(value))
    }
}
