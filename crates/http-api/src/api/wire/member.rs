//! Members, and the caller itself, on the wire.

use serde::{Deserialize, Serialize};
use shared::domain::access::{Grant, Principal, Role, Scope};
use shared::domain::member::Member;
use utoipa::ToSchema;

/// What someone is in a project; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleWord {
    /// Reads.
    Viewer,
    /// Starts, cancels and repeats runs; imports results.
    Developer,
    /// Changes settings, schedules, notifications and webhooks.
    Maintainer,
    /// Gives and takes rights.
    Admin,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Viewer => Self::Viewer,
            RoleWord::Developer => Self::Developer,
            RoleWord::Maintainer => Self::Maintainer,
            RoleWord::Admin => Self::Admin,
        }
    }
}

/// The role that somebody is to have.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberBody {
    /// The role; not above the caller's own.
    pub role: RoleWord,
}

/// A member of a project.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MemberShown {
    /// Who.
    #[schema(example = "oidc:https://id.example.org#4711")]
    pub subject: String,
    /// Role.
    pub role: String,
    /// When it was given first (RFC 3339).
    #[schema(format = DateTime)]
    pub added_at: String,
    /// By whom.
    pub added_by: String,
}

impl From<Member> for MemberShown {
    fn from(member: Member) -> Self {
        Self {
            subject: member.subject,
            role: member.role.to_string(),
            added_at: member.added_at.rfc3339(),
            added_by: member.added_by,
        }
    }
}

/// A role in one project, or in all.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GrantShown {
    /// The project; `null` = every project.
    pub project: Option<String>,
    /// Role.
    pub role: String,
}

impl From<Grant> for GrantShown {
    fn from(grant: Grant) -> Self {
        Self { project: grant.project.map(|project| project.0), role: grant.role.to_string() }
    }
}

/// The caller.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MeShown {
    /// `key:…` or `oidc:…`, as in the audit log.
    pub subject: String,
    /// What it holds.
    pub grants: Vec<GrantShown>,
    /// What its credential is good for: of `read`, `run`, `import`, `admin`.
    pub scopes: Vec<String>,
}

impl From<Principal> for MeShown {
    fn from(principal: Principal) -> Self {
        Self {
            subject: principal.subject,
            grants: principal.grants.into_iter().map(GrantShown::from).collect(),
            scopes: principal.scopes.into_iter().map(Scope::as_str).map(str::to_owned).collect(),
        }
    }
}
