//! Opening a database: settings, schema versions, removal of what has expired.

use super::error::port_error;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use shared::domain::time::Timestamp;
use shared::ports::{PortError, PortResult};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long to wait for another process that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What brings a database from version n to n + 1, at place n.
const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("blobs.sql")];

/// A connection and the name by which its errors call it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) subject: String,
}

impl Session {
    /// Opens or creates a file, without touching its contents.
    pub(super) fn open_file(path: &Path) -> PortResult<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let subject = path.display().to_string();
        let is_new = fs::metadata(path).map_or(true, |file| file.len() == 0);
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            // The log is kept for the next process: ending a run does not wait for the disk.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            // An empty database is not worth waiting for either; `prepare` ends that.
            connection.pragma_update(None, "synchronous", if is_new { "OFF" } else { "NORMAL" })?;
            Ok(connection)
        });
        Ok(Self { connection: opened.map_err(|error| port_error(&subject, &error))?, subject })
    }

    /// A new database in memory.
    pub(super) fn open_memory() -> PortResult<Self> {
        let subject = "memory".to_owned();
        let connection = Connection::open_in_memory().map_err(|error| port_error(&subject, &error))?;
        Ok(Self { connection, subject })
    }

    /// Brings the database to the current schema and removes what has expired.
    pub(super) fn prepare(&mut self, now: Timestamp) -> PortResult<()> {
        self.attempt(|connection| {
            // A file system that cannot share memory keeps its old journal, which is slower and as correct.
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        })?;
        let found = self.attempt(migrate)?;
        let known = MIGRATIONS.len();
        if found > known {
            let reason = format!(
                "it was written by a newer fleetest (schema {found}; this one knows {known}): update fleetest, or move the file away"
            );
            return Err(PortError::Denied { port: "store", subject: self.subject.clone(), reason });
        }
        self.attempt(|connection| connection.pragma_update(None, "synchronous", "NORMAL"))?;
        let past = i64::try_from(now.0).unwrap_or(i64::MAX);
        self.attempt(|connection| {
            connection.execute("DELETE FROM documents WHERE expires_at <= ?1", params![past])
        })?;
        Ok(())
    }

    /// Makes every write through this connection an error.
    pub(super) fn only_read(&mut self) -> PortResult<()> {
        self.attempt(|connection| connection.pragma_update(None, "query_only", true))
    }

    /// Works with the connection; errors are named after the database.
    pub(super) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> PortResult<T> {
        work(&mut self.connection).map_err(|error| port_error(&self.subject, &error))
    }
}

/// Applies what is missing and answers the version that was found.
fn migrate(connection: &mut Connection) -> rusqlite::Result<usize> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    for (step, version) in MIGRATIONS.iter().zip(1_i64..).skip(found) {
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.commit()?;
    Ok(found)
}
