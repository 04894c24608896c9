//! The audit log: who changed what, when, from where, and what it was before.

use super::id::{EventId, ProjectId};
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Who acts, as far as a log needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `key:…`, `oidc:…`, `github:…`, or `system` for what the server does by itself.
    pub subject: String,
    /// Network address, if the request came over a network.
    pub address: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
}

impl Actor {
    /// What the server does by itself.
    #[must_use]
    pub fn system() -> Self {
        Self { subject: "system".to_owned(), address: None, request_id: None }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Id.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What was done, as in `key.revoked`.
    pub action: String,
    /// The project, if it concerns one.
    pub project: Option<ProjectId>,
    /// What it was done to, as in `key_…`.
    pub subject: String,
    /// The subject before; never with secrets in it.
    pub before: Option<serde_json::Value>,
    /// The subject afterwards.
    pub after: Option<serde_json::Value>,
}
