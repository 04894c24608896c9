//! The writing half: a group of commits in one transaction.
//!
//! Every commit checks all its conditions before it changes a row, so a conflict leaves nothing to undo and
//! its neighbours in the group go on. If SQLite itself fails, the transaction is rolled back and the commits are
//! tried one by one, so that each gets the answer that is its own. Answers leave only after the transaction.

use super::blob::BlobChange;
use super::error::port_error;
use super::open::Session;
use super::read::stored;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use shared::domain::time::Timestamp;
use shared::ports::{Change, Condition, Key, PortError, PortResult, Write};
use tokio::sync::oneshot;

const VERSION: &str = "SELECT version, expires_at FROM documents WHERE partition = ?1 AND sort = ?2";
const PUT: &str = "INSERT INTO documents (partition, sort, version, body, expires_at, index_name, index_sort)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (partition, sort) DO UPDATE SET version = excluded.version, body = excluded.body,
        expires_at = excluded.expires_at, index_name = excluded.index_name, index_sort = excluded.index_sort";
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

type Judgement = Result<(), Refusal>;

impl Session {
    pub(super) fn commit_group(&mut self, group: Vec<Commit>, now: Timestamp) {
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

    fn transact(&mut self, group: &[Commit], now: Timestamp) -> Result<Vec<Judgement>, Failure> {
        if group.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = begin(&mut self.connection).map_err(Failure::Before)?;
        let judged: rusqlite::Result<Vec<Judgement>> =
            group.iter().map(|commit| commit.work.apply(&transaction, now)).collect();
        // Dropping the transaction rolls it back.
        let judgements = judged.map_err(Failure::Before)?;
        transaction.commit().map_err(Failure::Ending)?;
        Ok(judgements)
    }
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
            Self::Blob(key, change) => change.apply(connection, key),
        }
    }
}

/// Judges all writes, then performs them, or none.
fn apply(connection: &Connection, writes: &[Write], now: Timestamp) -> rusqlite::Result<Judgement> {
    let mut versions = Vec::with_capacity(writes.len());
    for write in writes {
        let version = version(connection, &write.key, now)?;
        let holds = match write.condition {
            Condition::Absent => version.is_none(),
            Condition::Version(wanted) => version == Some(wanted),
            Condition::Any => true,
        };
        if !holds {
            return Ok(Err(Refusal::Changed(write.key.clone())));
        }
        versions.push(version);
    }
    for (write, version) in writes.iter().zip(versions) {
        perform(connection, write, version)?;
    }
    Ok(Ok(()))
}

fn version(connection: &Connection, key: &Key, now: Timestamp) -> rusqlite::Result<Option<u64>> {
    let mut statement = connection.prepare_cached(VERSION)?;
    let found = statement
        .query_row(params![key.partition, key.sort], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
        })
        .optional()?;
    let alive = |expires_at: Option<i64>| expires_at.is_none_or(|at| at > stored(now));
    Ok(found.filter(|(_, expires_at)| alive(*expires_at)).map(|(version, _)| version.unsigned_abs()))
}

fn perform(connection: &Connection, write: &Write, version: Option<u64>) -> rusqlite::Result<()> {
    let key = &write.key;
    match &write.change {
        Change::Put { body, expires_at, index } => {
            let next = i64::try_from(version.unwrap_or(0) + 1).unwrap_or(i64::MAX);
            let expires_at = expires_at.map(stored);
            let (name, sort) = index.as_ref().map(|entry| (&entry.name, &entry.sort)).unzip();
            let mut statement = connection.prepare_cached(PUT)?;
            statement.execute(params![key.partition, key.sort, next, body, expires_at, name, sort])?;
        }
        Change::Delete => {
            connection.prepare_cached(DELETE)?.execute(params![key.partition, key.sort])?;
        }
        Change::Check => {}
    }
    Ok(())
}
