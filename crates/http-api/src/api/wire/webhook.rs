//! Webhooks that were received, and their secrets, on the wire.

use serde::{Deserialize, Serialize};
use shared::domain::webhook::{Meaning, Outcome, Received, WebhookSecrets};
use utoipa::ToSchema;

/// A secret to be set.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSecretBody {
    /// The secret that the forge signs with.
    #[schema(min_length = 16, max_length = 1024)]
    pub secret: String,
    /// Whether the secret before it stays good, so that the forge can be changed without a gap.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub keep_previous: bool,
}

fn yes() -> bool {
    true
}

/// A secret, without itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SecretShown {
    /// By this it can be told from others; nothing of it follows from it.
    pub fingerprint: String,
    /// When it was set (RFC 3339).
    #[schema(format = DateTime)]
    pub set_at: String,
}

/// The secrets of a project's webhooks, the newest first; at most two.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SecretsShown {
    /// The secrets.
    pub active: Vec<SecretShown>,
}

impl From<WebhookSecrets> for SecretsShown {
    fn from(secrets: WebhookSecrets) -> Self {
        let shown = secrets.active.into_iter().map(|held| SecretShown {
            fingerprint: held.secret.fingerprint(),
            set_at: held.set_at.rfc3339(),
        });
        Self { active: shown.collect() }
    }
}

/// A webhook that was received.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WebhookShown {
    /// Id.
    #[schema(example = "evt_0190b0f0c0de7000800000000000abcd")]
    pub id: String,
    /// The forge's id of it.
    pub delivery: String,
    /// Its event.
    #[schema(example = "push")]
    pub event: String,
    /// `received`, `ignored`, `run` or `failed`.
    pub outcome: String,
    /// Why nothing was started.
    pub reason: Option<String>,
    /// The run that it made.
    pub run: Option<String>,
    /// The commit that it named.
    pub commit: Option<String>,
    /// The branch that it named.
    pub branch: Option<String>,
    /// The pull request that it named.
    pub pull_request: Option<u64>,
    /// When it came (RFC 3339).
    #[schema(format = DateTime)]
    pub received_at: String,
}

impl From<Received> for WebhookShown {
    fn from(received: Received) -> Self {
        let (outcome, reason, run) = match received.outcome {
            Outcome::Received => ("received", None, None),
            Outcome::Ignored { reason } => ("ignored", Some(reason), None),
            Outcome::Run { run } => ("run", None, Some(run.to_string())),
            Outcome::Failed { reason } => ("failed", Some(reason), None),
        };
        let push = match received.meaning {
            Meaning::Test(push) => Some(push),
            Meaning::Nothing { .. } => None,
        };
        Self {
            id: received.id.to_string(),
            delivery: received.delivery,
            event: received.event,
            outcome: outcome.to_owned(),
            reason,
            run,
            commit: push.as_ref().map(|push| push.commit.clone()),
            pull_request: push.as_ref().and_then(|push| push.pull_request),
            branch: push.and_then(|push| push.branch),
            received_at: received.received_at.rfc3339(),
        }
    }
}
