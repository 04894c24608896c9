//! Logs as people read them: which there are, and any part of one.

use super::{LogHead, log_folder, log_key};
use crate::domain::id::{JobNo, RunId, ShardAttempt};
use crate::ports::{Document, PortError};
use crate::service::audit::Listed;
use crate::service::repository::{load, load_shard, parse, partition};
use crate::service::{ServiceError, ServiceResult, Services};

/// A log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogInfo {
    /// Whose it is.
    pub writer: ShardAttempt,
    /// Which of its logs.
    pub stream: String,
    /// How long it is, and how it ended.
    pub head: LogHead,
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPart {
    /// Text.
    pub text: String,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Where to go on.
    pub next_offset: u64,
    /// How long the log is, and how it ended.
    pub head: LogHead,
}

impl LogPart {
    /// Whether nothing will ever come after it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.head.end.is_some() && self.next_offset >= self.head.length
    }
}

/// How a log ended whose writer is gone without a word.
const LOST: &str = "lost: its runner went away";

fn info(run: RunId, document: &Document) -> Option<LogInfo> {
    let (job, name) = document.key.sort.strip_prefix("log#")?.split_once('#')?;
    let mut parts = name.splitn(3, '-');
    let writer = ShardAttempt {
        run,
        job: JobNo(job.parse().ok()?),
        shard: parts.next()?.parse().ok()?,
        attempt: parts.next()?.parse().ok()?,
    };
    let head: LogHead = parse(document).ok()?.value;
    Some(LogInfo { writer, stream: parts.next()?.to_owned(), head })
}

impl Services {
    /// Logs of a run, by job, shard and attempt.
    ///
    /// # Errors
    /// Port errors.
    pub async fn logs(
        &self,
        run: RunId,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<LogInfo>> {
        let page = self.store.query(&partition(run), "log#", after, limit, self.clock.now()).await?;
        let mut items: Vec<LogInfo> =
            page.documents.iter().filter_map(|document| info(run, document)).collect();
        for item in &mut items {
            self.end_if_lost(item.writer, &mut item.head).await?;
        }
        Ok(Listed { items, next: page.next })
    }

    /// A log that was not ended by its writer ends with it.
    async fn end_if_lost(&self, writer: ShardAttempt, head: &mut LogHead) -> ServiceResult<()> {
        if head.end.is_none() {
            let shard = load_shard(self.store.as_ref(), writer, self.clock.now()).await?;
            let alive = |shard: &crate::domain::shard::Shard| shard.id == writer && !shard.over();
            if !shard.is_some_and(|shard| alive(&shard.value)) {
                head.end = Some(LOST.to_owned());
            }
        }
        Ok(())
    }

    /// At most `limit` bytes of a log from byte `offset` on; more only if a single character is longer.
    ///
    /// # Errors
    /// `NotFound` if there is no such log; port errors.
    pub async fn read_log(
        &self,
        writer: ShardAttempt,
        stream: &str,
        offset: u64,
        limit: usize,
    ) -> ServiceResult<LogPart> {
        let key = log_key(writer, stream);
        // Before the head: what the writer wrote last is then in it.
        let mut lost = LogHead::default();
        self.end_if_lost(writer, &mut lost).await?;
        let head = load::<LogHead>(self.store.as_ref(), &key, self.clock.now()).await?;
        let mut head = head.ok_or_else(|| ServiceError::NotFound(format!("log `{stream}`")))?.value;
        head.end = head.end.or(lost.end);
        let offset = offset.min(head.length);
        let (text, offset) = self.log_text(&log_folder(writer, stream), (offset, head.length), limit).await?;
        let next_offset = offset + text.len() as u64;
        Ok(LogPart { text, offset, next_offset, head })
    }

    /// The text, and where it really begins: an offset inside a character is moved behind it.
    async fn log_text(
        &self,
        folder: &str,
        (from, upto): (u64, u64),
        limit: usize,
    ) -> ServiceResult<(String, u64)> {
        if from >= upto {
            return Ok((String::new(), from));
        }
        let mut start = self.piece_start(folder, from).await?;
        let (mut at, mut text, mut begin) = (from, String::new(), from);
        while at < upto && text.len() < limit {
            let bytes = self.blobs.fetch(&piece_key(folder, start), None).await?;
            let piece = String::from_utf8_lossy(&bytes);
            let skip =
                piece.ceil_char_boundary(usize::try_from(at - start).unwrap_or(usize::MAX).min(piece.len()));
            let rest = piece.get(skip..).unwrap_or_default();
            if text.is_empty() {
                begin = start + skip as u64;
            } else if text.len() + rest.len() > limit {
                // The next request begins with a whole piece: it is found without a search.
                break;
            }
            let room = limit.max(4) - text.len().min(limit);
            let kept = rest.floor_char_boundary(room.min(rest.len()));
            text.push_str(rest.get(..kept).unwrap_or_default());
            if kept < rest.len() || piece.is_empty() {
                break;
            }
            start += piece.len() as u64;
            at = start;
        }
        Ok((text, begin))
    }

    /// Where the piece begins that holds byte `at`.
    async fn piece_start(&self, folder: &str, at: u64) -> ServiceResult<u64> {
        match self.blobs.fetch(&piece_key(folder, at), Some((0, 1))).await {
            Ok(_) => return Ok(at),
            Err(PortError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let keys = self.blobs.list(&format!("{folder}/")).await?;
        let starts = keys.iter().filter_map(|key| {
            key.rsplit('/')
                .next()
                .and_then(|name| name.strip_suffix(".log"))
                .and_then(|name| name.parse::<u64>().ok())
        });
        starts
            .filter(|start| *start <= at)
            .max()
            .ok_or_else(|| ServiceError::NotFound(format!("log `{folder}`")))
    }
}

fn piece_key(folder: &str, start: u64) -> String {
    format!("{folder}/{start:012}.log")
}
