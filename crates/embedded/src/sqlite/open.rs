//! Opening a database: settings, schema versions, removal of what has expired.

use super::error::port_error;
use super::memory::Memory;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use shared::domain::time::Timestamp;
use shared::ports::{PortError, PortResult};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for another process that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const FORGET_BODIES: &str = "DELETE FROM bodies WHERE id IN
    (SELECT large FROM documents WHERE expires_at <= ?1 AND large IS NOT NULL)";
/// Pages of the write-ahead log after which a commit brings it home, and waits for the disk: most of it was brought home
/// meanwhile by [`Session::bring_home`], which no commit waits for.
const LOG_PAGES: u32 = 16_000;
/// What brings a database from version n to n + 1, at place n.
const MIGRATIONS: [&str; 3] =
    [include_str!("schema.sql"), include_str!("blobs.sql"), include_str!("large.sql")];

/// A connection and the name by which its errors call it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) subject: String,
    /// The file and what tells it from another of its name; absent in memory.
    file: Option<(PathBuf, (u64, u64))>,
    /// What readers remember, for the session that writes.
    pub(super) memory: Option<Arc<Memory>>,
}

/// What tells a file from another one of the same name.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
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
            // A statement keeps its plan: otherwise each other value that is bound may have it planned anew.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
            // An empty database is not worth waiting for either; `prepare` ends that.
            connection.pragma_update(None, "synchronous", if is_new { "OFF" } else { "NORMAL" })?;
            Ok(connection)
        });
        let connection = opened.map_err(|error| port_error(&subject, &error))?;
        // A file that cannot be looked at is no longer there, and that is told by the first commit.
        let file = Some((path.to_owned(), identity(path).unwrap_or_default()));
        Ok(Self { connection, subject, file, memory: None })
    }

    /// A new database in memory.
    pub(super) fn open_memory() -> PortResult<Self> {
        let subject = "memory".to_owned();
        let connection = Connection::open_in_memory().map_err(|error| port_error(&subject, &error))?;
        Ok(Self { connection, subject, file: None, memory: None })
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
            connection.execute(FORGET_BODIES, params![past])?;
            connection.execute("DELETE FROM documents WHERE expires_at <= ?1", params![past])
        })?;
        Ok(())
    }

    /// Brings home what is in the write-ahead log, as far as nobody is in the way. Commits go on meanwhile.
    pub(super) fn bring_home(&mut self) {
        // What stays is brought home the next time, or by a commit, which says what is wrong.
        drop(self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
    }

    /// Makes every write through this connection an error.
    pub(super) fn only_read(&mut self) -> PortResult<()> {
        self.attempt(|connection| connection.pragma_update(None, "query_only", true))
    }

    /// Whether what is written is still found under its name: a file that was removed takes everything, and keeps
    /// nothing.
    ///
    /// # Errors
    /// `Denied` if it is not.
    pub(super) fn check_file(&self) -> PortResult<()> {
        let Some((path, opened)) = &self.file else { return Ok(()) };
        if identity(path).is_ok_and(|found| found == *opened) {
            return Ok(());
        }
        let reason = "its file was removed or replaced while it was in use".to_owned();
        Err(PortError::Denied { port: "store", subject: self.subject.clone(), reason })
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
