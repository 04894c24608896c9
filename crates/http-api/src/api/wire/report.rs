//! Reports, artifacts and reruns on the wire.

use serde::{Deserialize, Serialize};
use shared::domain::artifact::Artifact;
use shared::domain::id::RunId;
use shared::service::report::ReportSize;
use utoipa::ToSchema;

/// Why something did not pass, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CauseWord {
    /// Machine code or exception type.
    pub kind: String,
    /// A sentence, perhaps cut.
    pub message: String,
}

/// A report of a run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReportShown {
    /// Name.
    #[schema(example = "junit.xml")]
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Path of the report.
    pub path: String,
    /// Length, if known.
    pub size_bytes: Option<u64>,
}

/// The media type of a report, by its name.
#[must_use]
pub fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("xml") => "application/xml",
        Some("json") => "application/json",
        Some(_) | None => "application/octet-stream",
    }
}

impl ReportShown {
    /// What is shown of a report.
    #[must_use]
    pub fn new(run: RunId, report: ReportSize) -> Self {
        Self {
            media_type: media_type(&report.name).to_owned(),
            path: format!("/v1/runs/{run}/reports/{}", report.name),
            name: report.name,
            size_bytes: report.size_bytes,
        }
    }
}

/// A file kept from a run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ArtifactShown {
    /// Id in the run.
    #[schema(example = "00001-00001-00001-0123456789abcdef")]
    pub id: String,
    /// Number of the job in the run.
    pub job: u32,
    /// The runner that sent it.
    pub shard: u32,
    /// Which start of that runner.
    pub attempt: u32,
    /// Place in the working directory of the job.
    #[schema(example = "htmlcov/index.html")]
    pub name: String,
    /// Bytes so far.
    pub size_bytes: u64,
    /// Whether all of it came; only then it can be fetched.
    pub complete: bool,
    /// Path of the file.
    pub path: String,
}

impl From<Artifact> for ArtifactShown {
    fn from(artifact: Artifact) -> Self {
        let (id, writer) = (artifact.id(), artifact.writer);
        Self {
            path: format!("/v1/runs/{}/artifacts/{id}", writer.run),
            id,
            job: writer.job.0,
            shard: writer.shard,
            attempt: writer.attempt,
            name: artifact.path,
            size_bytes: artifact.size_bytes,
            complete: artifact.complete,
        }
    }
}

/// Which cases are to be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgainWord {
    /// Those that failed.
    #[default]
    Failed,
    /// All.
    All,
    /// Those in `chosen`.
    Chosen,
}

/// What is to be run again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RerunBody {
    /// Which cases.
    pub cases: AgainWord,
    /// Keys of the chosen cases.
    #[schema(max_items = 1000)]
    pub chosen: Vec<String>,
}
