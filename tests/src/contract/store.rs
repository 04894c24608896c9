//! What every `Store` must do.
//!
//! Expiry inside `commit` is judged by the adapter's own clock, so these cases use times that are past or
//! future for any clock.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed contract panics")]

use super::block_on;
use shared::domain::time::Timestamp;
use shared::ports::{
    COMMIT_LIMIT, Change, Condition, DOCUMENT_LIMIT_BYTES, Document, IndexEntry, Key, PortError, Store, Write,
};
use std::thread;

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

/// A document comes back as it was put.
pub async fn what_is_put_can_be_loaded(store: &dyn Store) {
    let a = key("a");
    let change = Change::Put { body: r#"{"n":1}"#.to_owned(), expires_at: Some(FAR_AHEAD), index: None };
    store.commit(vec![Write { key: a.clone(), condition: Condition::Absent, change }]).await.unwrap();
    let wanted =
        Document { key: a.clone(), version: 1, body: r#"{"n":1}"#.to_owned(), expires_at: Some(FAR_AHEAD) };
    assert_eq!(load(store, &a).await, Some(wanted));
}

/// Neither another sort key nor another partition answers.
pub async fn absent_documents_are_none(store: &dyn Store) {
    fill(store, &[key("a")]).await;
    assert_eq!(load(store, &key("b")).await, None);
    assert_eq!(load(store, &Key::new("run#2", "a")).await, None);
}

/// 1 on creation, plus 1 on each write.
pub async fn the_version_counts_writes(store: &dyn Store) {
    let a = key("a");
    for wanted in 1..=4_u64 {
        let condition = if wanted == 1 { Condition::Absent } else { Condition::Version(wanted - 1) };
        store.commit(vec![put(&a, condition, &format!("{wanted}"))]).await.unwrap();
        let found = load(store, &a).await.unwrap();
        assert_eq!((found.version, found.body), (wanted, format!("{wanted}")));
    }
    store.commit(vec![put(&a, Condition::Any, "x")]).await.unwrap();
    assert_eq!(version(store, &a).await, Some(5));
}

/// `Absent` protects what exists.
pub async fn absent_conflicts_with_what_exists(store: &dyn Store) {
    let a = key("a");
    store.commit(vec![put(&a, Condition::Absent, "first")]).await.unwrap();
    expect_conflict(store.commit(vec![put(&a, Condition::Absent, "second")]).await, &a);
    assert_eq!(load(store, &a).await.unwrap().body, "first");
}

/// Only the current version may be replaced or deleted.
pub async fn a_stale_version_conflicts(store: &dyn Store) {
    let a = key("a");
    store.commit(vec![put(&a, Condition::Absent, "1")]).await.unwrap();
    store.commit(vec![put(&a, Condition::Version(1), "2")]).await.unwrap();
    expect_conflict(store.commit(vec![put(&a, Condition::Version(1), "stale")]).await, &a);
    expect_conflict(store.commit(vec![put(&a, Condition::Version(3), "early")]).await, &a);
    expect_conflict(store.commit(vec![delete(&a, Condition::Version(1))]).await, &a);
    assert_eq!(load(store, &a).await.unwrap().body, "2");
}

/// A version condition on nothing fails.
pub async fn a_version_of_nothing_conflicts(store: &dyn Store) {
    let a = key("a");
    for wanted in [0, 1] {
        expect_conflict(store.commit(vec![put(&a, Condition::Version(wanted), "x")]).await, &a);
    }
    assert_eq!(load(store, &a).await, None);
}

/// Deleting ends a document; the next one of its key is a new one.
pub async fn delete_removes_and_a_new_document_starts_at_one(store: &dyn Store) {
    let a = key("a");
    fill(store, std::slice::from_ref(&a)).await;
    store.commit(vec![put(&a, Condition::Version(1), "2")]).await.unwrap();
    store.commit(vec![delete(&a, Condition::Version(2))]).await.unwrap();
    assert_eq!(load(store, &a).await, None);
    store.commit(vec![put(&a, Condition::Absent, "new")]).await.unwrap();
    assert_eq!(version(store, &a).await, Some(1));
}

/// `Delete` under `Any` and under `Absent` accepts that nothing is there.
pub async fn deleting_nothing_is_no_error(store: &dyn Store) {
    store.commit(vec![delete(&key("a"), Condition::Any)]).await.unwrap();
    store.commit(vec![delete(&key("a"), Condition::Absent)]).await.unwrap();
    assert_eq!(load(store, &key("a")).await, None);
}

/// `Check` neither creates nor counts.
pub async fn check_changes_nothing(store: &dyn Store) {
    let a = key("a");
    fill(store, std::slice::from_ref(&a)).await;
    let checks = vec![
        check(&a, Condition::Version(1)),
        check(&key("none"), Condition::Absent),
        check(&key("any"), Condition::Any),
    ];
    store.commit(checks).await.unwrap();
    assert_eq!(version(store, &a).await, Some(1));
    assert_eq!(load(store, &key("none")).await, None);
    assert_eq!(load(store, &key("any")).await, None);
}

/// A `Check` that fails protects the other writes' documents.
pub async fn a_failed_check_stops_the_commit(store: &dyn Store) {
    let (fence, other) = (key("fence"), key("other"));
    fill(store, std::slice::from_ref(&fence)).await;
    let stale = vec![put(&other, Condition::Any, "x"), check(&fence, Condition::Version(2))];
    expect_conflict(store.commit(stale).await, &fence);
    let taken = vec![put(&other, Condition::Any, "x"), check(&fence, Condition::Absent)];
    expect_conflict(store.commit(taken).await, &fence);
    assert_eq!(load(store, &other).await, None);
}

/// All or nothing: puts, replacements, deletions and index entries before and after the failed one are void.
pub async fn one_failed_condition_changes_nothing(store: &dyn Store) {
    let (old, gone, new, taken) = (key("old"), key("gone"), key("new"), key("taken"));
    fill(store, &[old.clone(), gone.clone(), taken.clone()]).await;
    let writes = vec![
        put(&old, Condition::Version(1), "changed"),
        delete(&gone, Condition::Version(1)),
        put_indexed(&new, Some(("open", "1"))),
        put(&taken, Condition::Absent, "x"),
        put(&key("last"), Condition::Absent, "x"),
    ];
    expect_conflict(store.commit(writes).await, &taken);
    assert_eq!(load(store, &old).await.unwrap().body, "{}");
    assert_eq!(sorts(store, "run#1", "", 100).await, ["gone", "old", "taken"]);
    assert_eq!(store.query_index("open", "9", 10).await.unwrap(), []);
}

/// Of several failed conditions the first in the order of the writes is named.
pub async fn the_conflict_names_the_first_failed_key(store: &dyn Store) {
    let (z, a) = (key("z-first"), key("a-second"));
    fill(store, &[z.clone(), a.clone()]).await;
    let writes = vec![
        put(&key("fine"), Condition::Absent, "x"),
        put(&z, Condition::Absent, "x"),
        put(&a, Condition::Absent, "x"),
    ];
    expect_conflict(store.commit(writes).await, &z);
}

/// Nothing to do is done.
pub async fn an_empty_commit_is_no_error(store: &dyn Store) {
    store.commit(Vec::new()).await.unwrap();
}

/// The limit itself is allowed.
pub async fn the_largest_commit_is_accepted(store: &dyn Store) {
    let keys: Vec<Key> = (0..COMMIT_LIMIT).map(|n| key(&format!("{n:02}"))).collect();
    store.commit(keys.iter().map(|key| put(key, Condition::Absent, "{}")).collect()).await.unwrap();
    assert_eq!(sorts(store, "run#1", "", 100).await.len(), COMMIT_LIMIT);
}

/// One more than the limit is refused and changes nothing.
pub async fn too_many_writes_are_denied(store: &dyn Store) {
    let keys: Vec<Key> = (0..=COMMIT_LIMIT).map(|n| key(&format!("{n:02}"))).collect();
    expect_denied(store.commit(keys.iter().map(|key| put(key, Condition::Any, "{}")).collect()).await);
    assert_eq!(sorts(store, "run#1", "", 100).await, Vec::<String>::new());
}

/// One key, one write; even a `Check` counts.
pub async fn two_writes_of_one_key_are_denied(store: &dyn Store) {
    let a = key("a");
    expect_denied(store.commit(vec![put(&a, Condition::Any, "1"), put(&a, Condition::Any, "2")]).await);
    expect_denied(store.commit(vec![check(&a, Condition::Absent), put(&a, Condition::Any, "2")]).await);
    assert_eq!(load(store, &a).await, None);
}

/// The largest body is stored, one byte more is refused.
pub async fn the_body_limit_is_exact(store: &dyn Store) {
    let a = key("a");
    let largest = "x".repeat(DOCUMENT_LIMIT_BYTES);
    store.commit(vec![put(&a, Condition::Absent, &largest)]).await.unwrap();
    expect_denied(store.commit(vec![put(&a, Condition::Any, &format!("{largest}x"))]).await);
    let found = load(store, &a).await.unwrap();
    assert_eq!((found.version, found.body.len()), (1, DOCUMENT_LIMIT_BYTES));
}

/// Empty and overlong key parts are refused.
pub async fn malformed_keys_are_denied(store: &dyn Store) {
    let long = "x".repeat(513);
    for bad in
        [Key::new("", "a"), Key::new("a", ""), Key::new(long.as_str(), "a"), Key::new("a", long.as_str())]
    {
        expect_denied(store.commit(vec![put(&bad, Condition::Any, "{}")]).await);
    }
    let longest = Key::new("p".repeat(512), "s".repeat(512));
    store.commit(vec![put(&longest, Condition::Absent, "{}")]).await.unwrap();
    assert_eq!(version(store, &longest).await, Some(1));
}

/// From its expiry on, a document does not exist for readers.
pub async fn expired_documents_do_not_exist(store: &dyn Store) {
    let a = key("a");
    let expires_at = FAR_AHEAD;
    store.commit(vec![put_until(&a, Condition::Absent, expires_at)]).await.unwrap();
    let at = |ms: u64| store.load(&a, Timestamp(ms));
    assert!(at(expires_at.0 - 1).await.unwrap().is_some());
    assert!(at(expires_at.0).await.unwrap().is_none());
    assert!(at(expires_at.0 + 1).await.unwrap().is_none());
}

/// Conditions see an expired document as absent, and what replaces it is new.
pub async fn an_expired_document_counts_as_absent(store: &dyn Store) {
    let a = key("a");
    store.commit(vec![put_until(&a, Condition::Absent, LONG_AGO)]).await.unwrap();
    expect_conflict(store.commit(vec![put(&a, Condition::Version(1), "x")]).await, &a);
    expect_conflict(store.commit(vec![check(&a, Condition::Version(1))]).await, &a);
    store.commit(vec![check(&a, Condition::Absent)]).await.unwrap();
    store.commit(vec![put(&a, Condition::Absent, "new")]).await.unwrap();
    let found = load(store, &a).await.unwrap();
    assert_eq!((found.version, found.body.as_str(), found.expires_at), (1, "new", None));
}

/// The order is that of bytes, not of letters or numbers.
pub async fn query_answers_in_byte_order(store: &dyn Store) {
    let wanted =
        ["#", "1", "10", "2", "A", "Z", "_", "a", "a#1", "aa", "b", "\u{e9}", "\u{ffff}", "\u{10000}"];
    let mut keys: Vec<Key> = wanted.iter().map(|sort| key(sort)).collect();
    keys.reverse();
    fill(store, &keys).await;
    assert_eq!(sorts(store, "run#1", "", 100).await, wanted);
}

/// Neither neighbours of the partition nor of the prefix show up.
pub async fn query_stays_in_partition_and_prefix(store: &dyn Store) {
    let unit = ["unit#1", "unit#2", "unit#\u{10ffff}"];
    fill(store, &unit.map(key)).await;
    fill(store, &["unit", "unit!", "unit$", "uni", "unj", "UNIT#3"].map(key)).await;
    fill(store, &[Key::new("run#", "unit#4"), Key::new("run#11", "unit#5"), Key::new("run#2", "unit#6")])
        .await;
    assert_eq!(sorts(store, "run#1", "unit#", 100).await, unit);
    assert_eq!(sorts(store, "run#1", "unit#2", 100).await, ["unit#2"]);
    assert_eq!(sorts(store, "run#1", "job#", 100).await, Vec::<String>::new());
    assert_eq!(sorts(store, "run#3", "", 100).await, Vec::<String>::new());
}

/// `after` is exclusive, need not exist, and never widens the prefix.
pub async fn query_goes_on_after_a_key(store: &dyn Store) {
    fill(store, &["a", "u1", "u2", "u3", "v"].map(key)).await;
    for (after, wanted) in [
        ("u1", vec!["u2", "u3"]),
        ("u15", vec!["u2", "u3"]),
        ("a", vec!["u1", "u2", "u3"]),
        ("u", vec!["u1", "u2", "u3"]),
        ("u3", vec![]),
        ("z", vec![]),
    ] {
        let page = store.query("run#1", "u", Some(after), 10, NOW).await.unwrap();
        let found: Vec<&str> = page.documents.iter().map(|document| document.key.sort.as_str()).collect();
        assert_eq!((found, page.next), (wanted, None), "after `{after}`");
    }
}

/// Whatever the page size, the pages together are the whole, once each.
pub async fn pages_join_to_the_whole(store: &dyn Store) {
    let wanted: Vec<String> = (0..30).map(|n| format!("{n:03}")).collect();
    let keys: Vec<Key> = wanted.iter().map(|sort| key(sort)).collect();
    fill(store, &keys).await;
    for limit in [1, 7, 15, 29, 30, 31] {
        assert_eq!(sorts(store, "run#1", "", limit).await, wanted, "limit {limit}");
    }
}

/// Expired documents take no part in a query and leave no hole in the paging.
pub async fn query_leaves_out_expired_documents(store: &dyn Store) {
    for n in 0..10 {
        let expires_at = if n % 2 == 0 { LONG_AGO } else { FAR_AHEAD };
        store.commit(vec![put_until(&key(&n.to_string()), Condition::Absent, expires_at)]).await.unwrap();
    }
    for limit in [1, 2, 100] {
        assert_eq!(sorts(store, "run#1", "", limit).await, ["1", "3", "5", "7", "9"]);
    }
}

/// Keys and bodies are any text.
pub async fn special_characters_survive(store: &dyn Store) {
    let odd = Key::new("p'\"%_\\\u{1}\n", "s%_*?[\u{1f600}");
    let body = "\"'; DROP TABLE documents; --\u{0}\u{1f600}\r\n";
    store.commit(vec![put(&odd, Condition::Absent, body)]).await.unwrap();
    assert_eq!(load(store, &odd).await.unwrap().body, body);
    assert_eq!(sorts(store, &odd.partition, "s%_", 10).await, [odd.sort.as_str()]);
    assert_eq!(sorts(store, &odd.partition, "s__", 10).await, Vec::<String>::new());
}

/// Only documents with an entry of that name are found, in index order.
pub async fn the_index_is_sparse_and_ordered(store: &dyn Store) {
    let (first, second) = (Key::new("p2", "x"), Key::new("p1", "x"));
    let writes = vec![
        put_indexed(&second, Some(("open", "0002"))),
        put_indexed(&first, Some(("open", "0001"))),
        put_indexed(&key("none"), None),
        put_indexed(&key("other"), Some(("opened", "0000"))),
        put_indexed(&key("before"), Some(("ope", "0000"))),
    ];
    store.commit(writes).await.unwrap();
    assert_eq!(store.query_index("open", "9", 10).await.unwrap(), [first, second]);
    assert_eq!(store.query_index("nobody", "9", 10).await.unwrap(), []);
}

/// `upto` is inclusive.
pub async fn the_index_stops_at_upto_and_limit(store: &dyn Store) {
    let keys: Vec<Key> = (1..=5).map(|n| key(&format!("{n}"))).collect();
    let writes = keys.iter().map(|key| put_indexed(key, Some(("due", key.sort.as_str())))).collect();
    store.commit(writes).await.unwrap();
    let found = async |upto: &str, limit: usize| store.query_index("due", upto, limit).await.unwrap().len();
    assert_eq!(found("0", 10).await, 0);
    assert_eq!(found("3", 10).await, 3);
    assert_eq!(found("35", 10).await, 3);
    assert_eq!(found("9", 10).await, 5);
    assert_eq!(store.query_index("due", "9", 2).await.unwrap(), keys.get(..2).unwrap());
}

/// A put replaces the entry whole, even by none; a deletion takes it along.
pub async fn index_entries_are_replaced_and_removed(store: &dyn Store) {
    let a = key("a");
    for (entry, wanted) in
        [(Some(("x", "5")), [1, 0]), (Some(("x", "7")), [1, 0]), (Some(("y", "1")), [0, 1]), (None, [0, 0])]
    {
        store.commit(vec![put_indexed(&a, entry)]).await.unwrap();
        let x = store.query_index("x", "9", 10).await.unwrap().len();
        let y = store.query_index("y", "9", 10).await.unwrap().len();
        assert_eq!([x, y], wanted, "after {entry:?}");
    }
    store.commit(vec![put_indexed(&a, Some(("x", "5")))]).await.unwrap();
    assert_eq!(store.query_index("x", "4", 10).await.unwrap(), []);
    store.commit(vec![check(&a, Condition::Any)]).await.unwrap();
    assert_eq!(store.query_index("x", "9", 10).await.unwrap(), std::slice::from_ref(&a));
    store.commit(vec![delete(&a, Condition::Any)]).await.unwrap();
    assert_eq!(store.query_index("x", "9", 10).await.unwrap(), []);
}

const RIVALS: usize = 8;

/// Lets rivals commit the same condition at once and counts winners; the others must see a conflict.
fn winners(store: &dyn Store, write: &(dyn Fn(usize) -> Write + Sync)) -> usize {
    let start = std::sync::Barrier::new(RIVALS);
    let (start, write) = (&start, &write);
    thread::scope(|scope| {
        let rivals: Vec<_> = (0..RIVALS)
            .map(|n| {
                scope.spawn(move || {
                    start.wait();
                    match block_on(store.commit(vec![write(n)])) {
                        Ok(()) => 1,
                        Err(PortError::Conflict { .. }) => 0,
                        Err(other) => panic!("{other}"),
                    }
                })
            })
            .collect();
        rivals.into_iter().map(|rival| rival.join().unwrap()).sum()
    })
}

/// Of many who claim one version, exactly one has it.
pub async fn one_of_many_concurrent_claims_wins(store: &dyn Store) {
    let a = key("a");
    fill(store, std::slice::from_ref(&a)).await;
    for round in 1..=20 {
        let claim = |n: usize| put(&a, Condition::Version(round), &n.to_string());
        assert_eq!(winners(store, &claim), 1);
    }
    assert_eq!(version(store, &a).await, Some(21));
}

/// Of many who create one key, exactly one does, and its body stays.
pub async fn one_of_many_concurrent_creations_wins(store: &dyn Store) {
    for round in 0..20 {
        let a = key(&format!("{round}"));
        let create = |n: usize| put(&a, Condition::Absent, &n.to_string());
        assert_eq!(winners(store, &create), 1);
        assert_eq!(version(store, &a).await, Some(1));
    }
}

/// Read, add one, write under the version read: nothing is lost, whoever interferes.
pub async fn concurrent_counters_lose_nothing(store: &dyn Store) {
    let a = key("counter");
    store.commit(vec![put(&a, Condition::Absent, "0")]).await.unwrap();
    let add = async || loop {
        let found = store.load(&a, NOW).await.unwrap().unwrap();
        let next = found.body.parse::<u64>().unwrap() + 1;
        match store.commit(vec![put(&a, Condition::Version(found.version), &next.to_string())]).await {
            Ok(()) => return,
            Err(PortError::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| block_on(add())));
        }
    });
    assert_eq!(load(store, &a).await.unwrap().body, "100");
}
