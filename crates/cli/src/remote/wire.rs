//! What the server answers on routes whose types are read tolerantly: unknown fields are ignored, missing ones empty.
//!
//! The client of one version talks to servers of others, so nothing here is required that is not needed.

use http_api::api::wire::{CauseShown, CountsShown, NewRunBody, RunShown};
use serde::{Deserialize, Serialize};

/// A part of a list.
#[derive(Debug, Clone, Deserialize)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where it goes on.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// A job of a run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct JobShown {
    /// Number in the run.
    pub job: u32,
    /// Name.
    pub name: String,
    /// Life-cycle place.
    pub status: String,
    /// Verdict.
    pub verdict: Option<String>,
    /// Why it did not pass.
    pub cause: Option<CauseShown>,
    /// Cases by outcome so far.
    pub counts: Option<CountsShown>,
    /// When its first runner came forward.
    pub started_at: Option<String>,
    /// When it was over.
    pub finished_at: Option<String>,
}

/// A case of a run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CaseShown {
    /// Name of its job.
    pub job_name: String,
    /// Id, as its framework writes it.
    pub id: String,
    /// Final outcome.
    pub outcome: String,
    /// Source file.
    pub file: Option<String>,
    /// Line in the file.
    pub line: Option<u32>,
    /// Why it did not pass.
    pub failure: Option<FailureShown>,
}

/// Why a case did not pass, in short.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct FailureShown {
    /// Machine code or exception type.
    pub kind: String,
    /// A sentence.
    pub message: String,
}

/// A case of a project that stands out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CaseOfProject {
    /// Name of its job.
    pub job_name: String,
    /// Id, as its framework writes it.
    pub id: String,
    /// How flaky it is, 0 to 1.
    pub flaky_score: f64,
    /// Outcomes remembered.
    pub outcomes: u64,
    /// Failures among them.
    pub failures: u64,
    /// Usual duration in microseconds.
    pub duration_us: u64,
}

/// A log of a run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LogShown {
    /// Number of its job.
    pub job: u32,
    /// Number of its shard.
    pub shard: u32,
    /// Which of the logs: `runner`, `setup`, `build` …
    pub stream: String,
    /// Name in paths.
    pub name: String,
    /// Bytes so far.
    pub length: u64,
    /// `complete`, or why it is not; absent while it may still grow.
    pub end: Option<String>,
}

/// A part of a log.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct LogText {
    /// Text.
    pub text: String,
    /// Where it goes on.
    pub next_offset: u64,
    /// Bytes so far.
    #[serde(default)]
    pub length: u64,
    /// `complete`, or why it is not; absent while it may still grow.
    #[serde(default)]
    pub end: Option<String>,
    /// Whether nothing will ever come after this part.
    #[serde(default)]
    pub last: bool,
}

/// A schedule.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ScheduleShown {
    /// Id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// When, as cron writes it.
    pub cron: String,
    /// Time zone.
    pub zone: String,
    /// Whether it rests.
    pub paused: bool,
    /// The next times.
    pub next_fires: Vec<String>,
    /// Why the last fire became no run.
    pub problem: Option<String>,
}

/// A schedule to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NewSchedule {
    /// What people call it.
    pub name: String,
    /// When.
    pub cron: String,
    /// Time zone; without one, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What is started.
    pub order: NewRunBody,
}

/// Room for an uploaded source.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SourceMade {
    /// Id, for the run.
    pub id: String,
    /// Where to put it.
    pub upload_url: String,
}

/// An import.
#[derive(Debug, Clone, Deserialize)]
pub struct ImportMade {
    /// The finished run.
    pub run: RunShown,
    /// What was not accepted.
    #[serde(default)]
    pub not_accepted: Vec<serde_json::Value>,
}

/// Who the caller is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Me {
    /// Name.
    pub subject: String,
    /// What it holds.
    pub grants: Vec<GrantShown>,
    /// What its credential is good for.
    pub scopes: Vec<String>,
}

/// A role in one project, or in all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct GrantShown {
    /// The project; `None` = every one.
    pub project: Option<String>,
    /// Role.
    pub role: String,
}
