//! The reading half: load, query, query by index.
//!
//! A prefix is not a pattern: rows are read in order from the first possible key on, and reading stops at the
//! first that does not start with the prefix.

use super::memory::{Memory, Moment};
use super::open::Session;
use rusqlite::{Connection, Row, params};
use shared::domain::time::Timestamp;
use shared::ports::{Document, Key, Page, PortResult};

const LOAD: &str = "SELECT version, expires_at, large, body, sort FROM documents
    WHERE partition = ?1 AND sort = ?2 AND (expires_at IS NULL OR expires_at > ?3)";
const QUERY_FROM: &str = "SELECT version, expires_at, large, body, sort FROM documents
    WHERE partition = ?1 AND sort >= ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY sort";
const QUERY_AFTER: &str = "SELECT version, expires_at, large, body, sort FROM documents
    WHERE partition = ?1 AND sort > ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY sort";
/// A body that is too long for the documents' own tree is in another one.
const BODY: &str = "SELECT body FROM bodies WHERE id = ?1";
const QUERY_INDEX: &str = "SELECT partition, sort FROM documents
    WHERE index_name = ?1 AND index_sort <= ?2 ORDER BY index_sort, partition, sort LIMIT ?3";

/// SQLite's integers are signed; a time beyond them is beyond every clock.
pub(super) fn stored(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// A part of the documents of a partition whose sort key has the prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) partition: String,
    pub(super) prefix: String,
    pub(super) after: Option<String>,
    pub(super) limit: usize,
}

/// What a read may remember, and when it began.
type Remembering<'a> = Option<(&'a Memory, Moment)>;

/// The document of a row. The statement that the row is of holds the state of the database in which its body is looked
/// for.
fn document(
    connection: &Connection,
    remembering: Remembering<'_>,
    key: Key,
    row: &Row<'_>,
) -> rusqlite::Result<Document> {
    let version = row.get::<_, i64>(0)?.unsigned_abs();
    let expires_at = row.get::<_, Option<i64>>(1)?.map(|ms| Timestamp(ms.unsigned_abs()));
    let Some(large) = row.get::<_, Option<i64>>(2)? else {
        return Ok(Document { key, version, body: row.get(3)?, expires_at });
    };
    let known = remembering.and_then(|(memory, _)| memory.body(&key, version));
    if let Some(body) = known {
        return Ok(Document { key, version, body, expires_at });
    }
    let body = connection.prepare_cached(BODY)?.query_row([large], |row| row.get(0))?;
    let document = Document { key, version, body, expires_at };
    if let Some((memory, since)) = remembering {
        memory.keep(since, &document);
    }
    Ok(document)
}

impl Session {
    pub(super) fn load(
        &mut self,
        memory: Option<&Memory>,
        key: Key,
        now: Timestamp,
    ) -> PortResult<Option<Document>> {
        let since = memory.map(|memory| (memory, memory.now()));
        let found = self.attempt(|connection| {
            let mut statement = connection.prepare_cached(LOAD)?;
            let mut rows = statement.query(params![key.partition, key.sort, stored(now)])?;
            rows.next()?.map(|row| document(connection, None, key, row)).transpose()
        })?;
        if let (Some((memory, since)), Some(document)) = (since, &found) {
            memory.keep(since, document);
        }
        Ok(found)
    }

    pub(super) fn query(
        &mut self,
        memory: Option<&Memory>,
        wanted: Wanted,
        now: Timestamp,
    ) -> PortResult<Page> {
        let since = memory.map(|memory| (memory, memory.now()));
        let page = self.page(since, &wanted, now)?;
        if let Some((memory, since)) = since {
            memory.keep_page(since, wanted, now, &page);
        }
        Ok(page)
    }

    fn page(&mut self, since: Remembering<'_>, wanted: &Wanted, now: Timestamp) -> PortResult<Page> {
        let Wanted { partition, prefix, after, limit } = wanted;
        let (sql, first) = match after {
            Some(after) if after >= prefix => (QUERY_AFTER, after),
            Some(_) | None => (QUERY_FROM, prefix),
        };
        self.attempt(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![partition, first, stored(now)])?;
            let mut documents: Vec<Document> = Vec::new();
            while let Some(row) = rows.next()? {
                let sort: String = row.get(4)?;
                if !sort.starts_with(prefix) {
                    break;
                }
                if documents.len() == *limit {
                    let next = documents.last().map(|last| last.key.sort.clone());
                    return Ok(Page { documents, next });
                }
                documents.push(document(connection, since, Key { partition: partition.clone(), sort }, row)?);
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
