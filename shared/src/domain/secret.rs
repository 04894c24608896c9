//! Texts that are stored and used but never shown.

use super::id::digest_hex;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Shortest secret that signs.
const SIGNING_MIN_CHARS: usize = 16;
/// Longest secret that signs.
const SIGNING_LIMIT_BYTES: usize = 1024;

/// A secret of a user: a token, a signing secret, a URL that is one. Printing it prints nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// A secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is long enough to sign with, and not longer than anybody needs.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.0.chars().count() >= SIGNING_MIN_CHARS && self.0.len() <= SIGNING_LIMIT_BYTES
    }

    /// The beginning of its digest, by which people tell their secrets apart.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        digest_hex(&format!("fleetest fingerprint {}", self.0)).chars().take(8).collect()
    }

    /// The secret with everything but a URL's scheme and host replaced by `…`; a text that is no URL is all `…`.
    #[must_use]
    pub fn masked(&self) -> Self {
        Self(host_of(&self.0).map_or_else(|| "…".to_owned(), |host| format!("{host}/…")))
    }
}

/// Scheme and host of a URL without a user in it.
fn host_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#', '\\']).next()?;
    let plain = matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains('@');
    plain.then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signing_secret_is_counted_in_characters() {
        for (text, sound) in [("é".repeat(15), false), ("é".repeat(16), true), ("x".repeat(1025), false)] {
            assert_eq!(Secret::new(&text).can_sign(), sound, "{text}");
        }
    }

    #[test]
    fn nothing_of_a_secret_is_shown() {
        let url = Secret::new("https://hooks.slack.com/services/T0/B0/canary");
        assert_eq!(url.masked().reveal(), "https://hooks.slack.com/…");
        for odd in ["canary", "https://user:canary@host/x", "ftp://host/canary", "https:///canary"] {
            assert!(!Secret::new(odd).masked().reveal().contains("canary"), "{odd}");
        }
        assert!(!format!("{url:?} {}", url.fingerprint()).contains("canary"));
        assert_ne!(url.fingerprint(), Secret::new("x").fingerprint());
    }
}
