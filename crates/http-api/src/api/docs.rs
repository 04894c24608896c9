//! `/docs`: one page that lists the operations and tries them, from files inside the binary; nothing comes from elsewhere.

use super::door::Api;
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const PAGE: &str = include_str!("docs/index.html");
const SCRIPT: &str = include_str!("docs/app.js");
const STYLE: &str = include_str!("docs/style.css");
/// Scripts and styles come from this server only, and it talks to this server only.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/docs", get(async || file("text/html; charset=utf-8", PAGE)))
        .route("/docs/app.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
        .route("/docs/style.css", get(async || file("text/css; charset=utf-8", STYLE)))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_needs_nothing_from_elsewhere() {
        assert!(PAGE.len() + SCRIPT.len() + STYLE.len() < 60 * 1024);
        for text in [PAGE, SCRIPT, STYLE] {
            for foreign in
                ["http://", "https://", "innerHTML", "eval(", "localStorage", "sessionStorage", "cookie"]
            {
                assert!(!text.contains(foreign), "{foreign}");
            }
        }
        for inline in ["<script>", " style=", " onclick=", "<style"] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
    }
}
