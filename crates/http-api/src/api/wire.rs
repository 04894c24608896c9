//! What crosses the wire of the public API. Server and client share these types.
//!
//! Input types refuse unknown fields; output types may grow, and their words may get company.

mod case;
mod import;
mod job;
mod key;
mod log;
mod member;
mod notification;
pub(super) mod object;
mod project;
mod report;
mod run;
mod schedule;
mod source;
mod trend;
mod webhook;

pub use case::{AttemptShown, CaseDetail, CaseHistory, CaseRunShown, CaseShown, FailureShown, OutcomeWord};
pub use import::{ImportShown, NotAcceptedShown};
pub use job::{JobShown, LeaseShown, ShardShown, SpanShown};
pub use key::{KeyMade, KeyShown, NewKeyBody, RotateBody};
pub use log::{LogShown, LogText};
pub use member::{GrantShown, MeShown, MemberBody, MemberShown, RoleWord};
pub use notification::{
    ChannelBody, ChannelShown, DeliveryShown, GithubReportWord, NewRuleBody, OccasionWord, RuleChange,
    RuleMade, RuleShown, SendingShown,
};
pub use project::{NewProjectBody, ProjectChange, ProjectShown, SettingsShown};
pub use report::{AgainWord, ArtifactShown, CauseWord, ReportShown, RerunBody, media_type};
pub use run::{
    CancelBody, CauseShown, CountsShown, NewRunBody, RunShown, StatusWord, TriggerShown, VerdictWord,
};
pub use schedule::{NewScheduleBody, ScheduleChange, ScheduleShown};
pub use source::{Archive, NewSourceBody, SourceOffered, SourceShown};
pub use trend::{DayShown, NotableShown, PercentilesShown, TrendsShown};
pub use webhook::{SecretShown, SecretsShown, WebhookSecretBody, WebhookShown};

use serde::{Deserialize, Serialize};
use shared::domain::audit::AuditEntry;
use utoipa::ToSchema;

/// A part of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass as `cursor` to go on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the body, or the name of a query parameter.
    #[schema(example = "/settings/keep_days")]
    pub pointer: String,
    /// What is wrong.
    pub detail: String,
}

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// URL that names the kind of problem.
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What failed, why, and what to do.
    pub detail: String,
    /// Path of the request.
    pub instance: String,
    /// Machine code.
    #[schema(example = "not_found")]
    pub code: String,
    /// Which parts of the request are wrong.
    #[serde(default)]
    pub errors: Vec<FieldError>,
    /// Id of the request, also in the header `x-request-id`.
    pub request_id: String,
}

/// An entry of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditShown {
    /// Id.
    pub id: String,
    /// When (RFC 3339).
    #[schema(format = DateTime)]
    pub at: String,
    /// Who.
    pub actor: String,
    /// From which network address.
    pub address: Option<String>,
    /// With which request.
    pub request_id: Option<String>,
    /// What was done.
    #[schema(example = "key.revoked")]
    pub action: String,
    /// The project, if it concerns one.
    pub project: Option<String>,
    /// What it was done to.
    pub subject: String,
    /// The subject before.
    pub before: Option<serde_json::Value>,
    /// The subject afterwards.
    pub after: Option<serde_json::Value>,
}

impl From<AuditEntry> for AuditShown {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            at: entry.at.rfc3339(),
            actor: entry.actor.subject,
            address: entry.actor.address,
            request_id: entry.actor.request_id,
            action: entry.action,
            project: entry.project.map(|project| project.0),
            subject: entry.subject,
            before: entry.before,
            after: entry.after,
        }
    }
}
