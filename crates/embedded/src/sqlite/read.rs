//! The reading half: load, query, query by index.
//!
//! A prefix is not a pattern: rows are read in order from the first possible key on, and reading stops at the
//! first that does not start with the prefix.

use super::open::Session;
use rusqlite::{Row, params};
use shared::domain::time::Timestamp;
use shared::ports::{Document, Key, Page, PortResult};

/// A body that is too long for the documents' own tree is in another one.
macro_rules! body {
    () => {
        "CASE WHEN large IS NULL THEN body ELSE (SELECT bodies.body FROM bodies WHERE id = large) END"
    };
}

const LOAD: &str = concat!(
    "SELECT version, ",
    body!(),
    ", expires_at FROM documents
    WHERE partition = ?1 AND sort = ?2 AND (expires_at IS NULL OR expires_at > ?3)"
);
const QUERY_FROM: &str = concat!(
    "SELECT version, ",
    body!(),
    ", expires_at, sort FROM documents
    WHERE partition = ?1 AND sort >= ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY sort"
);
const QUERY_AFTER: &str = concat!(
    "SELECT version, ",
    body!(),
    ", expires_at, sort FROM documents
    WHERE partition = ?1 AND sort > ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY sort"
);
const QUERY_INDEX: &str = "SELECT partition, sort FROM documents
    WHERE index_name = ?1 AND index_sort <= ?2 ORDER BY index_sort, partition, sort LIMIT ?3";

/// SQLite's integers are signed; a time beyond them is beyond every clock.
pub(super) fn stored(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn document(key: Key, row: &Row<'_>) -> rusqlite::Result<Document> {
    let version: i64 = row.get(0)?;
    let expires_at: Option<i64> = row.get(2)?;
    Ok(Document {
        key,
        version: version.unsigned_abs(),
        body: row.get(1)?,
        expires_at: expires_at.map(|ms| Timestamp(ms.unsigned_abs())),
    })
}

impl Session {
    pub(super) fn load(&mut self, key: Key, now: Timestamp) -> PortResult<Option<Document>> {
        self.attempt(|connection| {
            let mut statement = connection.prepare_cached(LOAD)?;
            let mut rows = statement.query(params![key.partition, key.sort, stored(now)])?;
            rows.next()?.map(|row| document(key, row)).transpose()
        })
    }

    pub(super) fn query(
        &mut self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> PortResult<Page> {
        let (sql, first) = match after {
            Some(after) if after >= prefix => (QUERY_AFTER, after),
            Some(_) | None => (QUERY_FROM, prefix),
        };
        self.attempt(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![partition, first, stored(now)])?;
            let mut documents: Vec<Document> = Vec::new();
            while let Some(row) = rows.next()? {
                let sort: String = row.get(3)?;
                if !sort.starts_with(prefix) {
                    break;
                }
                if documents.len() == limit {
                    let next = documents.last().map(|last| last.key.sort.clone());
                    return Ok(Page { documents, next });
                }
                documents.push(document(Key { partition: partition.to_owned(), sort }, row)?);
            }
            Ok(Page { documents, next: None })
        })
    }

    pub(super) fn query_index(&mut self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.attempt(|connection| {
            let mut statement = connection.prepare_cached(QUERY_INDEX)?;
            let rows = statement.query_map(params![name, upto, limit], |row| {
                Ok(Key { partition: row.get(0)?, sort: row.get(1)? })
            })?;
            rows.collect()
        })
    }
}
