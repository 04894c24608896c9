//! Schedules on the wire.

use super::{NewRunBody, object};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A schedule to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewScheduleBody {
    /// What people call it.
    #[schema(min_length = 1, max_length = 100, example = "nightly")]
    pub name: String,
    /// Cron expression: minute, hour, day of month, month, day of week.
    #[schema(max_length = 100, example = "30 2 * * 1-5")]
    pub cron: String,
    /// Time zone; without one, `UTC`.
    #[serde(default = "utc")]
    #[schema(max_length = 100, example = "Europe/Berlin")]
    pub zone: String,
    /// What is started: the body of a request for a run.
    #[serde(default, deserialize_with = "object::whole")]
    pub order: NewRunBody,
    /// Whether it rests.
    #[serde(default)]
    pub paused: bool,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Changes of a schedule; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleChange {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// Cron expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub cron: Option<String>,
    /// Time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub zone: Option<String>,
    /// What is started, all of it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object::optional")]
    pub order: Option<NewRunBody>,
    /// Whether it rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// A schedule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ScheduleShown {
    /// Id.
    #[schema(example = "sched_0190b0f0c0de7000800000000000abcd")]
    pub id: String,
    /// Project.
    pub project: String,
    /// Name.
    pub name: String,
    /// Cron expression.
    pub cron: String,
    /// Time zone.
    pub zone: String,
    /// What is started.
    pub order: NewRunBody,
    /// Whether it rests.
    pub paused: bool,
    /// The next times at which it fires, at most five (RFC 3339, UTC); none while it rests.
    pub next_fires: Vec<String>,
    /// The run that it started last.
    pub last_run: Option<String>,
    /// When it fired last.
    #[schema(format = DateTime)]
    pub last_fire: Option<String>,
    /// Why the last fire became no run.
    pub problem: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// By whom.
    pub created_by: String,
    /// When it was changed last.
    #[schema(format = DateTime)]
    pub updated_at: String,
}
