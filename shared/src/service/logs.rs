//! Logs of runners: append-only pieces by offset; what is stored is always a gap-free prefix.

mod reading;

pub use reading::{LogInfo, LogPart};

use super::entries::job_folder;
use super::repository::{Commit, load, partition};
use super::token::Caller;
use super::{DECISIONS, ServiceError, ServiceResult, Services};
use crate::domain::id::ShardAttempt;
use crate::ports::{Condition, Key};
use crate::wire::link::{LogReply, LogRequest};
use serde::{Deserialize, Serialize};

/// How long a log is and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// Bytes so far.
    pub length: u64,
    /// `complete` or `truncated: …`; `None` while it may still grow.
    pub end: Option<String>,
}

/// Longest log of one stream; the rest is dropped and the log says so.
pub const LOG_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

fn log_name(writer: ShardAttempt, stream: &str) -> String {
    format!("{:05}-{:05}-{stream}", writer.shard, writer.attempt)
}

fn log_key(writer: ShardAttempt, stream: &str) -> Key {
    let name = log_name(writer, stream);
    Key::new(partition(writer.run), format!("log#{:05}#{name}", writer.job.0))
}

fn log_folder(writer: ShardAttempt, stream: &str) -> String {
    format!("{}/logs/{}", job_folder(writer.run, writer.job), log_name(writer, stream))
}

impl Services {
    /// Appends a piece. A piece that is there already is acknowledged, a piece after a gap is refused by telling the
    /// offset that is expected.
    ///
    /// # Errors
    /// `Shard` if the runner is fenced, `Invalid` for a bad stream name; port errors.
    pub async fn append_log(&self, caller: &Caller, request: &LogRequest) -> ServiceResult<LogReply> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if request.stream.is_empty() || request.stream.len() > 80 || !request.stream.bytes().all(fits) {
            return Err(ServiceError::Invalid(format!("`{}` is no name for a log", request.stream)));
        }
        for _ in 0..DECISIONS {
            match self.try_append(caller, request).await {
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
        }
        self.try_append(caller, request).await
    }

    async fn try_append(&self, caller: &Caller, request: &LogRequest) -> ServiceResult<LogReply> {
        let now = self.clock.now();
        self.admit(caller, now).await?;
        let id = caller.id;
        let key = log_key(id, &request.stream);
        let stored = load::<LogHead>(self.store.as_ref(), &key, now).await?;
        let condition = stored.as_ref().map_or(Condition::Absent, |head| Condition::Version(head.version));
        let mut head = stored.map(|head| head.value).unwrap_or_default();
        if head.end.is_some() || request.offset != head.length {
            return Ok(LogReply { next_offset: head.length });
        }
        let bytes = request.text.clone().into_bytes();
        let room = head.length < LOG_LIMIT_BYTES;
        if room && !bytes.is_empty() {
            let blob = format!("{}/{:012}.log", log_folder(id, &request.stream), head.length);
            head.length += bytes.len() as u64;
            self.blobs.put(&blob, bytes).await?;
        }
        head.end = request.end.clone();
        if !room {
            head.end = Some(format!("truncated: longer than {LOG_LIMIT_BYTES} bytes"));
        }
        let mut commit = Commit::new();
        commit.put(key, condition, &head, None)?;
        commit.perform(self.store.as_ref()).await?;
        Ok(LogReply { next_offset: head.length })
    }
}
