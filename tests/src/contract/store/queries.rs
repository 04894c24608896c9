//! Order, prefixes, paging and the index.

use super::*;

/// Several documents come in the order of their keys, however often one is named; what is not there is told as such.
pub async fn several_documents_are_read_at_once(store: &dyn Store) {
    assert_eq!(store.load_many(&[], NOW).await.unwrap(), []);
    fill(store, &["a", "b", "c"].map(key)).await;
    store.commit(vec![put_until(&key("gone"), Condition::Any, LONG_AGO)]).await.unwrap();
    let keys = ["c", "none", "a", "gone", "c"].map(key);
    let found = store.load_many(&keys, NOW).await.unwrap();
    let sorts: Vec<Option<&str>> =
        found.iter().map(|document| document.as_ref().map(|document| document.key.sort.as_str())).collect();
    assert_eq!(sorts, [Some("c"), None, Some("a"), None, Some("c")]);
    let many: Vec<Key> = (0..120).map(|number| key(&format!("m{number:03}"))).collect();
    fill(store, &many).await;
    let found = store.load_many(&many, NOW).await.unwrap();
    assert!(found.iter().zip(&many).all(|(document, key)| document.as_ref().unwrap().key == *key));
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
    assert_eq!(load(store, &odd).await.unwrap().body.as_ref(), body);
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
