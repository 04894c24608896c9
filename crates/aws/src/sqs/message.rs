//! What stands in a message.

use super::PORT;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use shared::ports::{PortError, PortResult, Wake};

/// The body of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// Look at a run.
    Wake {
        /// Which, and for what.
        wake: Wake,
        /// Not before this time, in milliseconds since 1970: set if the queue could not delay it that long.
        not_before_ms: Option<u64>,
    },
    /// Any text.
    Text(String),
    /// A text that lies with the blobs.
    Claim(Claim),
}

/// Where a long text lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Its blob; named by its digest, so that sending it again stores nothing twice.
    pub key: String,
    /// Its SHA-256, as hexadecimal digits.
    pub sha256: String,
    /// Its length.
    pub size_bytes: usize,
}

/// Why a message will never be understood.
#[derive(Debug, thiserror::Error)]
pub enum Poison {
    /// It is no message of this system.
    #[error("the message is not one of ours: {0}")]
    Undecodable(#[source] serde_json::Error),
    /// It is a message of this system, but not one for this queue.
    #[error("the message is none that this queue is for")]
    Misplaced,
    /// What was claimed is gone.
    #[error("the claimed blob `{0}` is not there")]
    ClaimGone(String),
    /// What was claimed is something else.
    #[error("the claimed blob `{0}` is not what was sent")]
    ClaimChanged(String),
}

impl Body {
    /// The text that is sent.
    pub(super) fn encoded(&self) -> PortResult<String> {
        serde_json::to_string(self).map_err(|error| {
            let reason = error.to_string();
            PortError::Denied { port: PORT, subject: "message".to_owned(), reason }
        })
    }

    /// Reads the text of a message.
    ///
    /// # Errors
    /// `Undecodable`.
    pub fn decode(text: &str) -> Result<Self, Poison> {
        serde_json::from_str(text).map_err(Poison::Undecodable)
    }
}

fn digest(text: &[u8]) -> String {
    hex::encode(Sha256::digest(text))
}

impl Claim {
    /// The claim of a text.
    pub(super) fn of(text: &str) -> Self {
        let sha256 = digest(text.as_bytes());
        Self { key: format!("claims/{sha256}"), sha256, size_bytes: text.len() }
    }

    /// The text, if these bytes are what was claimed.
    pub(super) fn checked(&self, bytes: Vec<u8>) -> Result<String, Poison> {
        let changed = || Poison::ClaimChanged(self.key.clone());
        if bytes.len() != self.size_bytes || digest(&bytes) != self.sha256 {
            return Err(changed());
        }
        String::from_utf8(bytes).ok().ok_or_else(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::id::RunId;
    use shared::ports::Topic;

    #[test]
    fn a_body_survives_its_text_form_and_foreign_ones_are_poison() {
        let wake = Wake { topic: Topic::Launch, run: RunId(7) };
        for body in [
            Body::Wake { wake, not_before_ms: None },
            Body::Wake { wake, not_before_ms: Some(1) },
            Body::Text("{\"wake\":1}".to_owned()),
            Body::Claim(Claim::of("long")),
        ] {
            assert_eq!(Body::decode(&body.encoded().unwrap()).unwrap(), body);
        }
        for foreign in ["", "{}", "null", "{\"wake\":{}}", "{\"text\":\"a\",\"more\":1}", "\u{0}"] {
            assert!(matches!(Body::decode(foreign), Err(Poison::Undecodable(_))), "{foreign}");
        }
    }

    #[test]
    fn only_what_was_sent_redeems_a_claim() {
        let claim = Claim::of("text");
        assert_eq!(claim.checked(b"text".to_vec()).unwrap(), "text");
        for other in ["texts", "tex", "Text", ""] {
            assert!(matches!(claim.checked(other.into()), Err(Poison::ClaimChanged(_))), "{other}");
        }
    }
}
