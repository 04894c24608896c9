//! What is asked of a server.

use std::collections::BTreeMap;
use std::path::Path;
use ureq::http::Method;

/// What a call carries.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// Nothing.
    Empty,
    /// A JSON document.
    Json(&'a [u8]),
    /// A file of this media type, streamed.
    File(&'a Path, &'a str),
}

/// Where a server wants a file to be put.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// A path of the server, or a whole address.
    pub address: &'a str,
    /// Headers that have to go with it.
    pub headers: &'a BTreeMap<String, String>,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    pub(super) address: &'a str,
    /// Whether the token goes with it.
    pub(super) ours: bool,
    /// Whether it goes to a place that the server named, and not to the server.
    pub(super) elsewhere: bool,
    pub(super) content: Content<'a>,
    pub(super) etag: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    pub(super) headers: &'a BTreeMap<String, String>,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: &'a Method, address: &'a str) -> Self {
        const NONE: &BTreeMap<String, String> = &BTreeMap::new();
        Self {
            method,
            address,
            ours: true,
            elsewhere: false,
            content: Content::Empty,
            etag: None,
            key: None,
            headers: NONE,
        }
    }
}
