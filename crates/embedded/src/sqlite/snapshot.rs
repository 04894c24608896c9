//! Copies of a store's file: taken while another process writes to it, and checked before they are used.

use super::SqliteStore;
use super::open::Session;
use crate::system::SystemClock;
use rusqlite::params;
use shared::ports::{PortError, PortResult};
use std::path::Path;
use std::sync::Arc;

impl SqliteStore {
    /// Writes everything that was committed in the store's file `from` to the new file `to`. Whoever writes to the
    /// store meanwhile is neither waited for nor kept waiting.
    ///
    /// # Errors
    /// `NotFound` if there is no such store; `Denied` if the copy cannot be written; `Corrupt` if `from` is damaged.
    pub fn snapshot(from: &Path, to: &Path) -> PortResult<()> {
        if !from.is_file() {
            return Err(PortError::NotFound { port: "store", subject: from.display().to_string() });
        }
        let target = to.to_str().ok_or_else(|| PortError::Denied {
            port: "store",
            subject: to.display().to_string(),
            reason: "its name is no UTF-8 text".to_owned(),
        })?;
        let mut session = Session::open_file(from)?;
        session.attempt(|connection| connection.execute("VACUUM INTO ?1", params![target]))?;
        Ok(())
    }

    /// Whether the store's file is whole and of a version that this program knows. Brings it to the newest version.
    ///
    /// # Errors
    /// `Corrupt` if it is damaged; `Denied` if a newer version wrote it.
    pub fn check(path: &Path) -> PortResult<()> {
        let mut session = Session::open_file(path)?;
        let found: String = session
            .attempt(|connection| connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)))?;
        if found != "ok" {
            return Err(PortError::Corrupt {
                port: "store",
                subject: path.display().to_string(),
                reason: found,
            });
        }
        Self::open(path, Arc::new(SystemClock::default())).map(drop)
    }
}
