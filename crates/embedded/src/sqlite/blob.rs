//! Short blobs beside the documents: a row costs a fraction of a file, and shares its transaction with others.

use super::open::Session;
use super::write::Refusal;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use shared::ports::PortResult;

const FETCH: &str = "SELECT bytes FROM blobs WHERE key = ?1";
const FETCH_PART: &str = "SELECT substr(bytes, ?2 + 1, ?3) FROM blobs WHERE key = ?1";
const HOLDS: &str = "SELECT 1 FROM blobs WHERE key = ?1";
const KEYS: &str = "SELECT key FROM blobs WHERE key >= ?1 ORDER BY key";
const PUT: &str = "INSERT INTO blobs (key, bytes) VALUES (?1, ?2)
    ON CONFLICT (key) DO UPDATE SET bytes = excluded.bytes";
const PUT_ABSENT: &str = "INSERT INTO blobs (key, bytes) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING";
const DELETE: &str = "DELETE FROM blobs WHERE key = ?1";

/// What becomes of a blob.
#[derive(Debug)]
pub(super) enum BlobChange {
    Put(Vec<u8>),
    PutAbsent(Vec<u8>),
    Delete,
}

impl BlobChange {
    /// Bytes that it brings.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Put(bytes) | Self::PutAbsent(bytes) => bytes.len(),
            Self::Delete => 0,
        }
    }

    pub(super) fn apply(&self, connection: &Connection, key: &str) -> rusqlite::Result<Result<(), Refusal>> {
        match self {
            Self::Put(bytes) => connection.prepare_cached(PUT)?.execute(params![key, bytes])?,
            Self::PutAbsent(bytes) => {
                if connection.prepare_cached(PUT_ABSENT)?.execute(params![key, bytes])? == 0 {
                    return Ok(Err(Refusal::Taken(key.to_owned())));
                }
                1
            }
            Self::Delete => connection.prepare_cached(DELETE)?.execute([key])?,
        };
        Ok(Ok(()))
    }
}

/// A part of nothing is NULL.
fn bytes(row: &Row<'_>) -> rusqlite::Result<Vec<u8>> {
    Ok(row.get::<_, Option<Vec<u8>>>(0)?.unwrap_or_default())
}

impl Session {
    pub(super) fn blob(&mut self, key: &str, range: Option<(u64, u64)>) -> PortResult<Option<Vec<u8>>> {
        let number = |place: u64| i64::try_from(place).unwrap_or(i64::MAX);
        self.attempt(|connection| match range {
            None => connection.prepare_cached(FETCH)?.query_row([key], bytes).optional(),
            Some((from, to)) => connection
                .prepare_cached(FETCH_PART)?
                .query_row(params![key, number(from), number(to.saturating_sub(from))], bytes)
                .optional(),
        })
    }

    pub(super) fn holds_blob(&mut self, key: &str) -> PortResult<bool> {
        self.attempt(|connection| connection.prepare_cached(HOLDS)?.exists([key]))
    }

    pub(super) fn blob_keys(&mut self, prefix: &str) -> PortResult<Vec<String>> {
        self.attempt(|connection| {
            let mut statement = connection.prepare_cached(KEYS)?;
            let mut rows = statement.query([prefix])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                let key: String = row.get(0)?;
                if !key.starts_with(prefix) {
                    break;
                }
                keys.push(key);
            }
            Ok(keys)
        })
    }
}
