//! Logs on the wire.

use serde::{Deserialize, Serialize};
use shared::service::logs::{LogInfo, LogPart};
use utoipa::ToSchema;

/// A log of a run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogShown {
    /// Job.
    pub job: u32,
    /// Shard.
    pub shard: u32,
    /// Launch of the shard.
    pub attempt: u32,
    /// Which of its logs: `runner`, `setup`, `build` …
    pub stream: String,
    /// Name in the path: attempt and stream.
    #[schema(example = "1-setup")]
    pub name: String,
    /// Path of the log.
    pub path: String,
    /// Bytes so far.
    pub length: u64,
    /// `complete`, `truncated: …` or `lost: …`; absent while it may still grow.
    pub end: Option<String>,
}

impl From<LogInfo> for LogShown {
    fn from(info: LogInfo) -> Self {
        let (writer, name) = (info.writer, format!("{}-{}", info.writer.attempt, info.stream));
        Self {
            job: writer.job.0,
            shard: writer.shard,
            attempt: writer.attempt,
            path: format!("/v1/runs/{}/jobs/{}/shards/{}/logs/{name}", writer.run, writer.job, writer.shard),
            stream: info.stream,
            name,
            length: info.head.length,
            end: info.head.end,
        }
    }
}

/// A part of a log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogText {
    /// Text.
    pub text: String,
    /// Where it begins, in bytes: where it was asked for, unless that was inside a character or behind the end.
    pub offset: u64,
    /// Pass as `offset` to go on.
    pub next_offset: u64,
    /// Bytes so far.
    pub length: u64,
    /// `complete`, `truncated: …` or `lost: …`; absent while it may still grow.
    pub end: Option<String>,
    /// Whether nothing will ever come after this part.
    pub last: bool,
}

impl From<LogPart> for LogText {
    fn from(part: LogPart) -> Self {
        let last = part.is_last();
        let LogPart { text, offset, next_offset, head } = part;
        Self { text, offset, next_offset, length: head.length, end: head.end, last }
    }
}
