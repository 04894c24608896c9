//! API keys on the wire.

use serde::{Deserialize, Serialize};
use shared::domain::access::Scope;
use shared::domain::key::Key;
use utoipa::ToSchema;

/// A key to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKeyBody {
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 100, example = "ci")]
    pub name: String,
    /// `viewer`, `developer`, `maintainer` or `admin`; not above the caller's own.
    #[schema(pattern = "^(viewer|developer|maintainer|admin)$", example = "developer")]
    pub role: String,
    /// Of `read`, `run`, `import`, `admin`; without any, all of them.
    #[serde(default)]
    #[schema(max_items = 4)]
    pub scopes: Vec<String>,
    /// When it ends by itself (RFC 3339).
    #[serde(default)]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// How a key is replaced.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct RotateBody {
    /// How long the old key still works, in seconds; at most a week.
    #[schema(maximum = 604800)]
    pub overlap_s: u32,
}

/// A key, without its text.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyShown {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The beginning of its text.
    pub hint: String,
    /// Its project; `null` = every project.
    pub project: Option<String>,
    /// Role.
    pub role: String,
    /// Scopes.
    pub scopes: Vec<String>,
    /// When it was made (RFC 3339).
    #[schema(format = DateTime)]
    pub created_at: String,
    /// By whom.
    pub created_by: String,
    /// When it ends by itself.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// When it was, or will be, taken back.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
    /// When it was used last, to the minute.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
    /// The key that it replaces.
    pub replaces: Option<String>,
}

impl From<Key> for KeyShown {
    fn from(key: Key) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            hint: key.hint,
            project: key.project.map(|project| project.0),
            role: key.role.to_string(),
            scopes: key.scopes.into_iter().map(Scope::as_str).map(str::to_owned).collect(),
            created_at: key.created_at.rfc3339(),
            created_by: key.created_by,
            expires_at: key.expires_at.map(|at| at.rfc3339()),
            revoked_at: key.revoked_at.map(|at| at.rfc3339()),
            last_used_at: key.last_used_at.map(|at| at.rfc3339()),
            replaces: key.replaces.map(|id| id.to_string()),
        }
    }
}

/// A fresh key. Its text is shown this once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyMade {
    /// The key.
    pub key: KeyShown,
    /// Its text: send it as `Authorization: Bearer …`.
    #[schema(example = "fl_0123…")]
    pub token: String,
}
