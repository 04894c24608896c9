//! Conditions, versions, atomicity and expiry.

use super::*;

/// A document comes back as it was put.
pub async fn what_is_put_can_be_loaded(store: &dyn Store) {
    let a = key("a");
    let change = Change::Put { body: r#"{"n":1}"#.to_owned(), expires_at: Some(FAR_AHEAD), index: None };
    store.commit(vec![Write { key: a.clone(), condition: Condition::Absent, change }]).await.unwrap();
    let wanted =
        Document { key: a.clone(), version: 1, body: r#"{"n":1}"#.into(), expires_at: Some(FAR_AHEAD) };
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
        assert_eq!((found.version, found.body), (wanted, format!("{wanted}").into()));
    }
    store.commit(vec![put(&a, Condition::Any, "x")]).await.unwrap();
    assert_eq!(version(store, &a).await, Some(5));
}

/// `Absent` protects what exists.
pub async fn absent_conflicts_with_what_exists(store: &dyn Store) {
    let a = key("a");
    store.commit(vec![put(&a, Condition::Absent, "first")]).await.unwrap();
    expect_conflict(store.commit(vec![put(&a, Condition::Absent, "second")]).await, &a);
    assert_eq!(load(store, &a).await.unwrap().body.as_ref(), "first");
}

/// Only the current version may be replaced or deleted.
pub async fn a_stale_version_conflicts(store: &dyn Store) {
    let a = key("a");
    store.commit(vec![put(&a, Condition::Absent, "1")]).await.unwrap();
    store.commit(vec![put(&a, Condition::Version(1), "2")]).await.unwrap();
    expect_conflict(store.commit(vec![put(&a, Condition::Version(1), "stale")]).await, &a);
    expect_conflict(store.commit(vec![put(&a, Condition::Version(3), "early")]).await, &a);
    expect_conflict(store.commit(vec![delete(&a, Condition::Version(1))]).await, &a);
    assert_eq!(load(store, &a).await.unwrap().body.as_ref(), "2");
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
    assert_eq!(load(store, &old).await.unwrap().body.as_ref(), "{}");
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
    assert_eq!((found.version, found.body.as_ref(), found.expires_at), (1, "new", None));
}
