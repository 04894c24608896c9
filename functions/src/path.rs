//! Paths as an HTTP API hands them over: decoded once, so that what was part of a segment looks like a separator.
//!
//! Nothing of ours but the subject of a member may hold such characters, so everything after `/members/` is one
//! segment again; anywhere else only what no path may hold is encoded.

use shared::wire::percent::encoded;
use std::borrow::Cow;

const PROJECTS: &str = "/v1/projects/";
const MEMBERS: &str = "/members/";

/// The path as it was sent, or one that means the same.
#[must_use]
pub fn mended(path: &str) -> String {
    match path.split_once(MEMBERS) {
        Some((before, subject)) if before.starts_with(PROJECTS) => {
            let subject = if subject.contains('/') { Cow::Owned(encoded(subject)) } else { segment(subject) };
            format!("{}{MEMBERS}{subject}", segments(before))
        }
        Some(_) | None => segments(path),
    }
}

fn segments(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// A segment that could have been sent like this, was.
fn segment(text: &str) -> Cow<'_, str> {
    let sent = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&byte);
    if text.bytes().all(sent) { Cow::Borrowed(text) } else { Cow::Owned(encoded(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_stay() {
        for path in ["/", "/healthz", "/v1/runs/run_1/cases/c_1", "/v1/runs/a%20b", "/v1/projects/p/members"]
        {
            assert_eq!(mended(path), path);
        }
    }

    #[test]
    fn what_was_decoded_is_encoded_again() {
        assert_eq!(mended("/v1/projects/a b/runs"), "/v1/projects/a%20b/runs");
        assert_eq!(mended("/v1/runs/ü\u{0}\"<"), "/v1/runs/%C3%BC%00%22%3C");
        assert_eq!(
            mended("/v1/projects/p/members/oidc:https://issuer/a b#u 1"),
            "/v1/projects/p/members/oidc%3Ahttps%3A%2F%2Fissuer%2Fa%20b%23u%201"
        );
        assert_eq!(
            mended("/v1/projects/p/members/oidc:https:%2F%2Fissuer%23u"),
            "/v1/projects/p/members/oidc:https:%2F%2Fissuer%23u"
        );
    }
}
