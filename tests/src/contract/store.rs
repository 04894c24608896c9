//! What every `Store` must do.
//!
//! Expiry inside `commit` is judged by the adapter's own clock, so these cases use times that are past or
//! future for any clock.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed contract panics")]

mod commits;
mod limits;
mod queries;
mod races;

pub use commits::*;
pub use limits::*;
pub use queries::*;
pub use races::*;

use shared::domain::time::Timestamp;
use shared::ports::{COMMIT_LIMIT, Change, Condition, Document, IndexEntry, Key, PortError, Store, Write};

const NOW: Timestamp = Timestamp(1_000_000);
const LONG_AGO: Timestamp = Timestamp(1);
const FAR_AHEAD: Timestamp = Timestamp(9_000_000_000_000);

fn put(key: &Key, condition: Condition, body: &str) -> Write {
    let change = Change::Put { body: body.to_owned(), expires_at: None, index: None };
    Write { key: key.clone(), condition, change }
}

fn put_until(key: &Key, condition: Condition, expires_at: Timestamp) -> Write {
    let change = Change::Put { body: "{}".to_owned(), expires_at: Some(expires_at), index: None };
    Write { key: key.clone(), condition, change }
}

fn put_indexed(key: &Key, entry: Option<(&str, &str)>) -> Write {
    let index = entry.map(|(name, sort)| IndexEntry { name: name.to_owned(), sort: sort.to_owned() });
    let change = Change::Put { body: "{}".to_owned(), expires_at: None, index };
    Write { key: key.clone(), condition: Condition::Any, change }
}

fn delete(key: &Key, condition: Condition) -> Write {
    Write { key: key.clone(), condition, change: Change::Delete }
}

fn check(key: &Key, condition: Condition) -> Write {
    Write { key: key.clone(), condition, change: Change::Check }
}

fn key(sort: &str) -> Key {
    Key::new("run#1", sort)
}

async fn load(store: &dyn Store, key: &Key) -> Option<Document> {
    store.load(key, NOW).await.unwrap()
}

async fn version(store: &dyn Store, key: &Key) -> Option<u64> {
    load(store, key).await.map(|document| document.version)
}

#[track_caller]
fn expect_conflict(result: Result<(), PortError>, key: &Key) {
    match result {
        Err(PortError::Conflict { subject, .. }) => {
            assert!(subject.contains(&key.sort), "the conflict names `{subject}`, not `{}`", key.sort);
        }
        other => panic!("expected a conflict on `{}`, got {other:?}", key.sort),
    }
}

#[track_caller]
fn expect_denied(result: Result<(), PortError>) {
    let Err(PortError::Denied { reason, .. }) = result else { panic!("expected a refusal, got {result:?}") };
    assert!(!reason.is_empty());
}

async fn fill(store: &dyn Store, keys: &[Key]) {
    for some in keys.chunks(COMMIT_LIMIT) {
        store.commit(some.iter().map(|key| put(key, Condition::Absent, "{}")).collect()).await.unwrap();
    }
}

/// Every sort key of a query, page by page.
async fn sorts(store: &dyn Store, partition: &str, prefix: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.query(partition, prefix, after.as_deref(), limit, NOW).await.unwrap();
        assert!(page.documents.len() <= limit, "a page of {} for limit {limit}", page.documents.len());
        found.extend(page.documents.into_iter().map(|document| document.key.sort));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
        assert!(found.len() < 10_000, "the query never ends");
    }
}
