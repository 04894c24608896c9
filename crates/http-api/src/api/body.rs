//! Bodies that a layer must know whole before a handler reads them.

use super::BODY_LIMIT_BYTES;
use super::extract::is_json;
use super::problem::Problem;
use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;

/// The request, and its body if it is JSON (or nothing) of an ordinary size. Other bodies stay unread.
///
/// # Errors
/// 413 if a JSON body that did not tell its length is too long; 400 if it breaks off.
pub(super) async fn whole(request: Request) -> Result<(Request, Option<Bytes>), Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let readable = kind.is_none_or(|kind| kind.to_str().is_ok_and(is_json));
    let hint = request.body().size_hint();
    let announced = usize::try_from(hint.lower()).unwrap_or(usize::MAX);
    if !readable || announced > BODY_LIMIT_BYTES {
        return Ok((request, None));
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, BODY_LIMIT_BYTES).await.map_err(|error| too_long(&error))?;
    Ok((Request::from_parts(parts, Body::from(bytes.clone())), Some(bytes)))
}

fn too_long(error: &axum::Error) -> Problem {
    let text = error.to_string();
    if text.contains("length limit") {
        let detail = format!("the body has more than {BODY_LIMIT_BYTES} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    } else {
        Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", format!("the body breaks off: {text}"))
    }
}

/// The answer, and its body if its length is known and not above `limit_bytes`. Other bodies stay unread.
pub(super) async fn whole_answer(response: Response, limit_bytes: usize) -> (Response, Option<Bytes>) {
    let length = response.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
    if length.is_none_or(|length| length > limit_bytes) {
        return (response, None);
    }
    let (parts, body) = response.into_parts();
    // A body of known length is in memory already.
    let bytes = to_bytes(body, limit_bytes).await.unwrap_or_default();
    (Response::from_parts(parts, Body::from(bytes.clone())), Some(bytes))
}

/// Deepest nesting of arrays and objects.
pub(super) const DEPTH_LIMIT: usize = 64;

/// Whether JSON text nests deeper than [`DEPTH_LIMIT`]; what is no JSON is for the parser to tell.
pub(super) fn is_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_LIMIT {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_too_deep(nested(64).as_bytes()) && is_too_deep(nested(65).as_bytes()));
        assert!(is_too_deep("{\"a\":".repeat(65).as_bytes()));
        let text = format!("[\"{}\\\"{}\", {}]", "[".repeat(99), "{".repeat(99), nested(63));
        assert!(!is_too_deep(text.as_bytes()));
        assert!(!is_too_deep("[],".repeat(1000).as_bytes()));
    }
}
