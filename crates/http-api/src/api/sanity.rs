//! Requests that no honest client sends: refused before anyone looks at them.

use super::problem::Problem;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;

/// Longest path with query, in bytes.
const URI_LIMIT_BYTES: usize = 8 * 1024;
/// Most bytes of all headers.
const HEADERS_LIMIT_BYTES: usize = 32 * 1024;

/// # Errors
/// 400, 414 or 431.
pub(super) fn check(request: &Request) -> Result<(), Problem> {
    let uri = request.uri();
    let length = uri.path_and_query().map_or(0, |text| text.as_str().len());
    if length > URI_LIMIT_BYTES {
        let detail = format!("the path with its query has more than {URI_LIMIT_BYTES} bytes");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail));
    }
    if !is_plain(uri.path()) || !uri.query().is_none_or(is_plain) {
        let detail = "the path or the query holds an escaped control character or a broken escape";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_uri", detail));
    }
    let headers = request.headers();
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > HEADERS_LIMIT_BYTES {
        let detail = format!("the headers have more than {HEADERS_LIMIT_BYTES} bytes");
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", detail));
    }
    if headers.get_all(AUTHORIZATION).iter().count() > 1 {
        let detail = "there is more than one `Authorization` header; send one";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_header", detail));
    }
    Ok(())
}

/// Whether every escape is two hexadecimal digits, and none is a control character.
fn is_plain(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        code.is_some_and(|code| !code.is_ascii_control()) && !after.starts_with('+')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_whole_and_harmless() {
        for good in ["", "/v1/projects/a", "/v1/%C3%BC%2f", "a=%20b"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["%", "%0", "%00", "%0a", "%7f", "%zz", "%+1", "%1\u{fc}", "/a%"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
