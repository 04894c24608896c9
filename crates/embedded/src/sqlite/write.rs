//! The writing half: a group of commits in one transaction.
//!
//! Every commit checks all its conditions before it changes a row, so a conflict leaves nothing to undo and
//! its neighbours in the group go on. If SQLite itself fails, the transaction is rolled back and the commits are
//! tried one by one, so that each gets the answer that is its own. Answers leave only after the transaction.

use super::blob::BlobChange;
use super::error::port_error;
use super::memory::Memory;
use super::open::Session;
use super::read::stored;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use shared::domain::time::Timestamp;
use shared::ports::{Change, Condition, Document, Key, PortError, PortResult, Write};
use tokio::sync::oneshot;

const FOUND: &str = "SELECT version, expires_at, large FROM documents WHERE partition = ?1 AND sort = ?2";
const PUT: &str =
    "INSERT INTO documents (partition, sort, version, body, large, expires_at, index_name, index_sort)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (partition, sort) DO UPDATE SET version = excluded.version, body = excluded.body,
        large = excluded.large, expires_at = excluded.expires_at, index_name = excluded.index_name,
        index_sort = excluded.index_sort";
const NEW_BODY: &str = "INSERT INTO bodies (body) VALUES (?1)";
const OTHER_BODY: &str = "UPDATE bodies SET body = ?2 WHERE id = ?1";
const NO_BODY: &str = "DELETE FROM bodies WHERE id = ?1";
/// A longer body is kept apart: with its key it might go on in a second page.
const BODY_BYTES: usize = 768;
const DELETE: &str = "DELETE FROM documents WHERE partition = ?1 AND sort = ?2";

/// What a commit changes.
#[derive(Debug)]
pub(super) enum Work {
    Documents(Vec<Write>),
    Blob(String, BlobChange),
}

/// A commit that waits for its answer.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<PortResult<()>>,
}

/// Why a commit was left out.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The first key whose condition failed.
    Changed(Key),
    /// The blob is there already.
    Taken(String),
}

/// The version that each document has from now on, in the order of the writes.
type Judgement = Result<Vec<u64>, Refusal>;

impl Session {
    pub(super) fn commit_group(&mut self, group: Vec<Commit>, now: Timestamp) {
        if self.check_file().is_err() {
            return group.into_iter().for_each(|commit| answer(commit, self.check_file()));
        }
        match self.transact(&group, now) {
            Ok(judgements) => {
                for (commit, judgement) in group.into_iter().zip(judgements) {
                    answer(commit, judgement.map_err(refused));
                }
            }
            Err(Failure::Before(_)) if group.len() > 1 => {
                for commit in group {
                    self.commit_group(vec![commit], now);
                }
            }
            Err(Failure::Before(error) | Failure::Ending(error)) => {
                for commit in group {
                    answer(commit, Err(port_error(&self.subject, &error)));
                }
            }
        }
    }

    fn transact(&mut self, group: &[Commit], now: Timestamp) -> Result<Vec<Result<(), Refusal>>, Failure> {
        if group.is_empty() {
            return Ok(Vec::new());
        }
        // Until this is dropped, whatever the end, nobody remembers what is written here.
        let writing = self.memory.as_ref().map(|memory| memory.writing(group.iter().flat_map(written)));
        let transaction = begin(&mut self.connection).map_err(Failure::Before)?;
        let judged: rusqlite::Result<Vec<Judgement>> =
            group.iter().map(|commit| commit.work.apply(&transaction, now)).collect();
        // Dropping the transaction rolls it back.
        let judgements = judged.map_err(Failure::Before)?;
        transaction.commit().map_err(Failure::Ending)?;
        drop(writing);
        if let Some(memory) = &self.memory {
            for (commit, judgement) in group.iter().zip(&judgements) {
                remember(memory, commit, judgement);
            }
        }
        Ok(judgements.into_iter().map(|judgement| judgement.map(drop)).collect())
    }
}

/// What was written is likely to be read next. A document that a later commit of the group wrote again is remembered as
/// that one left it.
fn remember(memory: &Memory, commit: &Commit, judgement: &Judgement) {
    let (Work::Documents(writes), Ok(versions)) = (&commit.work, judgement) else { return };
    for (write, version) in writes.iter().zip(versions) {
        match &write.change {
            Change::Put { body, expires_at, .. } => memory.keep_written(Document {
                key: write.key.clone(),
                version: *version,
                body: body.as_str().into(),
                expires_at: *expires_at,
            }),
            Change::Delete => memory.forget(&write.key),
            Change::Check => {}
        }
    }
}

/// The documents that a commit may change.
fn written(commit: &Commit) -> impl Iterator<Item = &Key> {
    let writes: &[Write] = match &commit.work {
        Work::Documents(writes) => writes,
        Work::Blob(..) => &[],
    };
    writes.iter().filter(|write| !matches!(write.change, Change::Check)).map(|write| &write.key)
}

/// Where SQLite failed: surely nothing was done, or nobody knows.
enum Failure {
    Before(rusqlite::Error),
    Ending(rusqlite::Error),
}

fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

fn answer(commit: Commit, result: PortResult<()>) {
    // A caller that has gone away does not need its answer.
    drop(commit.reply.send(result));
}

fn refused(refusal: Refusal) -> PortError {
    match refusal {
        Refusal::Changed(key) => PortError::Conflict { port: "store", subject: key.to_string() },
        Refusal::Taken(key) => PortError::AlreadyExists { port: "blobs", subject: key },
    }
}

impl Work {
    fn apply(&self, connection: &Connection, now: Timestamp) -> rusqlite::Result<Judgement> {
        match self {
            Self::Documents(writes) => apply(connection, writes, now),
            Self::Blob(key, change) => Ok(change.apply(connection, key)?.map(|()| Vec::new())),
        }
    }
}

/// Judges all writes, then performs them, or none.
fn apply(connection: &Connection, writes: &[Write], now: Timestamp) -> rusqlite::Result<Judgement> {
    let mut all = Vec::with_capacity(writes.len());
    for write in writes {
        let found = find(connection, &write.key, now)?;
        let version = found.version;
        let holds = match write.condition {
            Condition::Absent => version.is_none(),
            Condition::Version(wanted) => version == Some(wanted),
            Condition::Any => true,
        };
        if !holds {
            return Ok(Err(Refusal::Changed(write.key.clone())));
        }
        all.push(found);
    }
    for (write, found) in writes.iter().zip(&all) {
        perform(connection, write, found)?;
    }
    Ok(Ok(all.iter().map(Found::next).collect()))
}

/// A document as it is found before it is written.
#[derive(Debug, Default)]
struct Found {
    /// Absent if there is none, or if it has expired.
    version: Option<u64>,
    /// Number of its body, if that is kept apart.
    large: Option<i64>,
}

impl Found {
    /// The version that the next write leaves.
    fn next(&self) -> u64 {
        self.version.unwrap_or(0) + 1
    }
}

fn find(connection: &Connection, key: &Key, now: Timestamp) -> rusqlite::Result<Found> {
    let mut statement = connection.prepare_cached(FOUND)?;
    let found = statement.query_row(params![key.partition, key.sort], |row| {
        let (version, expires_at) = (row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?);
        let alive = expires_at.is_none_or(|at| at > stored(now));
        Ok(Found { version: alive.then_some(version.unsigned_abs()), large: row.get(2)? })
    });
    Ok(found.optional()?.unwrap_or_default())
}

fn perform(connection: &Connection, write: &Write, found: &Found) -> rusqlite::Result<()> {
    let key = &write.key;
    match &write.change {
        Change::Put { body, expires_at, index } => {
            let next = i64::try_from(found.next()).unwrap_or(i64::MAX);
            let expires_at = expires_at.map(stored);
            let (name, sort) = index.as_ref().map(|entry| (&entry.name, &entry.sort)).unzip();
            let large = keep_apart(connection, found.large, (body.len() > BODY_BYTES).then_some(body))?;
            let body = if large.is_some() { "" } else { body };
            let mut statement = connection.prepare_cached(PUT)?;
            statement.execute(params![key.partition, key.sort, next, body, large, expires_at, name, sort])?;
        }
        Change::Delete => {
            keep_apart(connection, found.large, None)?;
            connection.prepare_cached(DELETE)?.execute(params![key.partition, key.sort])?;
        }
        Change::Check => {}
    }
    Ok(())
}

/// Keeps a long body apart, or none any more; its number.
fn keep_apart(
    connection: &Connection,
    known: Option<i64>,
    body: Option<&String>,
) -> rusqlite::Result<Option<i64>> {
    match (known, body) {
        (None, None) => Ok(None),
        (None, Some(body)) => connection.prepare_cached(NEW_BODY)?.insert([body]).map(Some),
        (Some(id), Some(body)) => {
            connection.prepare_cached(OTHER_BODY)?.execute(params![id, body])?;
            Ok(Some(id))
        }
        (Some(id), None) => {
            connection.prepare_cached(NO_BODY)?.execute([id])?;
            Ok(None)
        }
    }
}
