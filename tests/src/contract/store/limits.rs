//! What a store accepts and refuses by number, size and key.

use super::*;
use shared::ports::{COMMIT_LARGEST, DOCUMENT_LIMIT_BYTES};

/// Nothing to do is done.
pub async fn an_empty_commit_is_no_error(store: &dyn Store) {
    store.commit(Vec::new()).await.unwrap();
}

/// The limit itself is allowed.
pub async fn the_largest_commit_is_accepted(store: &dyn Store) {
    let keys: Vec<Key> = (0..COMMIT_LIMIT).map(|n| key(&format!("{n:03}"))).collect();
    store.commit(keys.iter().map(|key| put(key, Condition::Absent, "{}")).collect()).await.unwrap();
    assert_eq!(sorts(store, "run#1", "", 100).await.len(), COMMIT_LIMIT);
}

/// One more than the limit is refused and changes nothing.
pub async fn too_many_writes_are_denied(store: &dyn Store) {
    let keys: Vec<Key> = (0..=COMMIT_LIMIT).map(|n| key(&format!("{n:02}"))).collect();
    expect_denied(store.commit(keys.iter().map(|key| put(key, Condition::Any, "{}")).collect()).await);
    assert_eq!(sorts(store, "run#1", "", 100).await, Vec::<String>::new());
}

/// Bodies have a limit together, too.
pub async fn the_byte_limit_of_a_commit_is_exact(store: &dyn Store) {
    let body = "x".repeat(DOCUMENT_LIMIT_BYTES);
    let largest = |more: &str| {
        let mut writes: Vec<Write> =
            (0..COMMIT_LARGEST - 1).map(|n| put(&key(&format!("{n:02}")), Condition::Any, &body)).collect();
        writes.push(put(&key("a"), Condition::Any, &body));
        if !more.is_empty() {
            writes.push(put(&key("b"), Condition::Any, more));
        }
        writes
    };
    store.commit(largest("")).await.unwrap();
    expect_denied(store.commit(largest("x")).await);
    assert_eq!(sorts(store, "run#1", "", 100).await.len(), COMMIT_LARGEST);
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
