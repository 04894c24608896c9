//! Lists in parts: `limit`, a signed `cursor`, and the link to the next part.
//!
//! A cursor is good only for the list that it came from: it is sealed together with the list's name.

use super::conditional::Digest;
use super::door::Authorized;
use super::problem::Problem;
use super::shown::Line;
use super::wire::Page;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use shared::domain::id::digest_hex;
use shared::service::audit::Listed;
use utoipa::IntoParams;

/// Items of a page, unless asked otherwise.
pub const DEFAULT_LIMIT: usize = 50;
/// Most items of a page.
pub const MAX_LIMIT: usize = 200;
/// What the digest of a page takes of that of a row: a page with another row must not look the same by chance.
const ROW_DIGITS: usize = 24;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// Most items, 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Part {
    /// How many items.
    ///
    /// # Errors
    /// 422 if it is out of range.
    pub fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.map_or(Ok(DEFAULT_LIMIT), usize::try_from).unwrap_or(usize::MAX);
        if (1..=MAX_LIMIT).contains(&limit) {
            Ok(limit)
        } else {
            Err(Problem::invalid("limit", format!("`limit` must be 1 to {MAX_LIMIT}")))
        }
    }

    /// Where the part begins in the list `name`.
    ///
    /// # Errors
    /// 422 if the cursor is not one of this list.
    pub fn after<R, I>(&self, door: &Authorized<R, I>, name: &str) -> Result<Option<String>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let opened = door.services().settings.token_key.unseal(&format!("cursor {name}"), cursor);
        opened.map(Some).ok_or_else(|| Problem::invalid("cursor", "the cursor is not one of this list"))
    }
}

/// A page as an answer, with the link to the next one.
pub fn answer<R, I, T, U: Serialize>(
    door: &Authorized<R, I>,
    (name, uri): (&str, &Uri),
    listed: Listed<T>,
    show: impl Fn(T) -> U,
) -> Response {
    let seal = |place: String| door.services().settings.token_key.seal(&format!("cursor {name}"), &place);
    let next_cursor = listed.next.map(seal);
    let link = next_cursor.as_deref().and_then(|cursor| link(uri, cursor));
    let page = Page { items: listed.items.into_iter().map(show).collect(), next_cursor };
    let mut response = Json(page).into_response();
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// The JSON of an item.
///
/// # Errors
/// 500 if it is none.
pub(super) fn written(item: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(item)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()))
}

/// A page of items that are JSON already.
pub fn answer_written<R, I>(
    door: &Authorized<R, I>,
    (name, uri): (&str, &Uri),
    listed: Listed<impl AsRef<[u8]>>,
) -> Response {
    let seal = |place: String| door.services().settings.token_key.seal(&format!("cursor {name}"), &place);
    let next_cursor = listed.next.map(seal);
    let length = listed.items.iter().map(|item| item.as_ref().len() + 1).sum::<usize>();
    let mut body = Vec::with_capacity(length + 256);
    body.extend_from_slice(b"{\"items\":[");
    for (number, item) in listed.items.iter().enumerate() {
        body.extend_from_slice(if number == 0 { b"" } else { b"," });
        body.extend_from_slice(item.as_ref());
    }
    body.push(b']');
    if let Some(cursor) = &next_cursor {
        // A sealed cursor is made of digits and a point.
        body.extend_from_slice(b",\"next_cursor\":\"");
        body.extend_from_slice(cursor.as_bytes());
        body.push(b'"');
    }
    body.push(b'}');
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Some(link) = next_cursor.as_deref().and_then(|cursor| link(uri, cursor)) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// A page of runs as they are shown: its digest is that of theirs.
pub(super) fn answer_lines<R, I>(
    door: &Authorized<R, I>,
    list: (&str, &Uri),
    listed: Listed<Line>,
) -> Response {
    let short = |line| Line::digest(line).get(..ROW_DIGITS).unwrap_or_default();
    let mut digests: String = listed.items.iter().map(short).collect();
    digests.push_str(listed.next.as_deref().unwrap_or_default());
    answer_digested(door, list, listed, digest_hex(&digests))
}

/// A page of items that are JSON already, with its digest.
pub(super) fn answer_digested<R, I>(
    door: &Authorized<R, I>,
    list: (&str, &Uri),
    listed: Listed<impl AsRef<[u8]>>,
    digest: String,
) -> Response {
    let mut response = answer_written(door, list, listed);
    response.extensions_mut().insert(Digest(digest));
    response
}

/// A run as it is shown.
pub(super) fn answer_line(line: &Line) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "application/json")], line.text()).into_response();
    response.extensions_mut().insert(Digest(line.digest().to_owned()));
    response
}

fn link(uri: &Uri, cursor: &str) -> Option<HeaderValue> {
    let kept = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let query: Vec<String> = kept.map(str::to_owned).chain([format!("cursor={cursor}")]).collect();
    HeaderValue::from_str(&format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))).ok()
}
