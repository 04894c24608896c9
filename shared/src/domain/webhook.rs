//! Webhooks from GitHub: whether one is genuine, and what it means.
//!
//! A payload is a hint by a stranger until its signature fits, and even then it names a commit and nothing else: where the source is, is the project's to say.

mod payload;

pub use payload::{Meaning, Push, Unreadable, read};

use super::id::{EventId, ProjectId, RunId, digest_hex};
use super::notify::delivery::timed_id;
use super::secret::Secret;
use super::time::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Secrets that may be good at the same time, so that one can be replaced without a gap.
pub const SECRETS_LIMIT: usize = 2;
/// Longest id of a delivery, and longest name of an event.
const WORD_LIMIT_BYTES: usize = 64;

/// Whether one of the secrets made this `X-Hub-Signature-256` for these bytes.
#[must_use]
pub fn is_genuine(secrets: &[Secret], signature: &str, body: &[u8]) -> bool {
    let digits = signature.strip_prefix("sha256=").unwrap_or_default();
    let Ok(claimed) = hex::decode(digits) else { return false };
    let fits = |secret: &Secret| {
        Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).is_ok_and(|mut mac| {
            mac.update(body);
            mac.verify_slice(&claimed).is_ok()
        })
    };
    // Every secret is tried, whichever fits.
    secrets.iter().filter(|secret| fits(secret)).count() > 0
}

/// Whether a text can be the id of a delivery or the name of an event.
#[must_use]
pub fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=WORD_LIMIT_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// What became of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// Received; nothing was done yet.
    Received,
    /// There is nothing to do.
    Ignored {
        /// Why.
        reason: String,
    },
    /// It made a run.
    Run {
        /// Which.
        run: RunId,
    },
    /// It should have made a run and did not; it can be replayed.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A webhook that was received and is genuine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Id.
    pub id: EventId,
    /// The project.
    pub project: ProjectId,
    /// The sender's id of it; the same again is the same webhook.
    pub delivery: String,
    /// Its event, as in `push`.
    pub event: String,
    /// What it means.
    pub meaning: Meaning,
    /// When it came.
    pub received_at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
}

/// The id of a webhook that came at `at`. Ids sort by time.
#[must_use]
pub fn received_id(at: Timestamp, project: &ProjectId, delivery: &str) -> EventId {
    EventId(timed_id(at, &format!("webhook {project} {delivery}")))
}

impl Received {
    /// The run that it stands for: the same however often it is received or replayed.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        RunId(timed_id(self.received_at, &format!("run of webhook {} {}", self.project, self.delivery)))
    }
}

/// A secret of a project's webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSecret {
    /// The secret.
    pub secret: Secret,
    /// When it was set.
    pub set_at: Timestamp,
}

/// The secrets of a project's webhooks, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WebhookSecrets {
    /// The secrets.
    pub active: Vec<WebhookSecret>,
}

impl WebhookSecrets {
    /// With a new secret; the newest of the others stays good if `keep_previous`.
    #[must_use]
    pub fn with(&self, secret: &Secret, keep_previous: bool, now: Timestamp) -> Self {
        let known = self.active.iter().find(|held| held.secret == *secret).map_or(now, |held| held.set_at);
        let others = self.active.iter().filter(|held| held.secret != *secret && keep_previous).cloned();
        let newest = WebhookSecret { secret: secret.clone(), set_at: known };
        Self { active: [newest].into_iter().chain(others).take(SECRETS_LIMIT).collect() }
    }

    /// The secrets themselves.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        self.active.iter().map(|held| held.secret.clone()).collect()
    }

    /// Fingerprints instead of secrets, for logs.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        self.active.iter().map(|held| held.secret.fingerprint()).collect()
    }
}

/// Digest of a delivery's id, as a part of a key.
#[must_use]
pub fn delivery_digest(delivery: &str) -> String {
    digest_hex(delivery).chars().take(32).collect()
}

#[cfg(test)]
mod tests;
