//! What every `Blobs` must do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed contract panics")]

use super::block_on;
use shared::ports::{Blobs, PortError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Bytes come back as they were put, none included.
pub async fn what_is_put_can_be_fetched(blobs: &dyn Blobs) {
    let every_byte: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for (key, bytes) in [("run_1/every", every_byte), ("empty", Vec::new())] {
        blobs.put(key, bytes.clone()).await.unwrap();
        assert_eq!(blobs.fetch(key, None).await.unwrap(), bytes);
    }
}

/// The last put counts, also if it is shorter.
pub async fn a_put_replaces(blobs: &dyn Blobs) {
    blobs.put("a/b", b"long before".to_vec()).await.unwrap();
    blobs.put("a/b", b"now".to_vec()).await.unwrap();
    assert_eq!(blobs.fetch("a/b", None).await.unwrap(), b"now");
    assert_eq!(blobs.list("").await.unwrap(), ["a/b"]);
}

/// What is not there is `NotFound`, whether or not its folder exists.
pub async fn a_missing_blob_is_not_found(blobs: &dyn Blobs) {
    blobs.put("a/b", Vec::new()).await.unwrap();
    for key in ["a/c", "a", "x/y/z", "a/b/c"] {
        let found = blobs.fetch(key, None).await;
        assert!(
            matches!(&found, Err(PortError::NotFound { subject, .. }) if subject == key),
            "{key}: {found:?}"
        );
    }
}

/// A taken key is left as it is.
pub async fn put_absent_takes_a_free_key_only(blobs: &dyn Blobs) {
    blobs.put_absent("a/b", b"first".to_vec()).await.unwrap();
    let second = blobs.put_absent("a/b", b"second".to_vec()).await;
    assert!(matches!(second, Err(PortError::AlreadyExists { .. })), "{second:?}");
    assert_eq!(blobs.fetch("a/b", None).await.unwrap(), b"first");
    blobs.delete("a/b").await.unwrap();
    blobs.put_absent("a/b", b"third".to_vec()).await.unwrap();
    assert_eq!(blobs.fetch("a/b", None).await.unwrap(), b"third");
    assert_eq!(blobs.list("").await.unwrap(), ["a/b"]);
}

/// Pieces are joined in the order given, stay, and one that is missing changes nothing.
pub async fn compose_joins_pieces(blobs: &dyn Blobs) {
    blobs.put("p/1", b"one ".to_vec()).await.unwrap();
    blobs.put("p/2", b"two ".to_vec()).await.unwrap();
    let pieces = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    blobs.compose("whole", pieces(&["p/2", "p/1", "p/2"])).await.unwrap();
    assert_eq!(blobs.fetch("whole", None).await.unwrap(), b"two one two ");
    let missing = blobs.compose("whole", pieces(&["p/1", "p/3"])).await;
    assert!(matches!(missing, Err(PortError::NotFound { .. })), "{missing:?}");
    assert_eq!(blobs.fetch("whole", None).await.unwrap(), b"two one two ");
    assert_eq!(blobs.list("").await.unwrap(), ["p/1", "p/2", "whole"]);
}

/// From inclusive, to exclusive; beyond the end there is nothing.
pub async fn a_range_is_cut_at_the_end(blobs: &dyn Blobs) {
    blobs.put("digits", b"0123456789".to_vec()).await.unwrap();
    for (range, wanted) in [
        ((0, 10), "0123456789"),
        ((2, 5), "234"),
        ((8, 100), "89"),
        ((0, u64::MAX), "0123456789"),
        ((10, 12), ""),
        ((50, 60), ""),
        ((5, 5), ""),
        ((5, 2), ""),
    ] {
        let found = blobs.fetch("digits", Some(range)).await.unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), wanted, "{range:?}");
    }
}

/// The order is that of the keys' bytes; a prefix need not end at a slash.
pub async fn list_is_sorted_and_filtered(blobs: &dyn Blobs) {
    let all = ["a-b/x", "a/1", "a/10", "a/2", "a/b/c", "a0", "b"];
    for key in all.iter().rev() {
        blobs.put(key, Vec::new()).await.unwrap();
    }
    for (prefix, wanted) in [
        ("", &all[..]),
        ("a/", &["a/1", "a/10", "a/2", "a/b/c"]),
        ("a/1", &["a/1", "a/10"]),
        ("a", &["a-b/x", "a/1", "a/10", "a/2", "a/b/c", "a0"]),
        ("a/b/", &["a/b/c"]),
        ("c", &[]),
        ("c/d/", &[]),
        ("b/", &[]),
    ] {
        assert_eq!(blobs.list(prefix).await.unwrap(), wanted, "`{prefix}`");
    }
}

/// `a` and `a/b` are two blobs, in either order of putting.
pub async fn a_key_may_be_the_folder_of_another(blobs: &dyn Blobs) {
    for key in ["a", "a/b", "c/d", "c"] {
        blobs.put(key, key.as_bytes().to_vec()).await.unwrap();
    }
    assert_eq!(blobs.list("").await.unwrap(), ["a", "a/b", "c", "c/d"]);
    assert_eq!(blobs.fetch("a", None).await.unwrap(), b"a");
    blobs.delete("a").await.unwrap();
    assert_eq!(blobs.fetch("a/b", None).await.unwrap(), b"a/b");
}

/// Deleting twice, or what never was, is no error; neighbours stay.
pub async fn delete_removes_and_may_be_repeated(blobs: &dyn Blobs) {
    blobs.put("a/b", Vec::new()).await.unwrap();
    blobs.put("a/c", Vec::new()).await.unwrap();
    blobs.delete("a/b").await.unwrap();
    blobs.delete("a/b").await.unwrap();
    blobs.delete("never/was").await.unwrap();
    assert_eq!(blobs.list("").await.unwrap(), ["a/c"]);
}

/// No call accepts a key that could leave the root.
pub async fn bad_keys_are_denied(blobs: &dyn Blobs) {
    for key in
        ["", "/etc/passwd", "../up", "a/../../up", "a//b", "a/", "./a", "a b", "a\0b", "a\\b", "\u{e4}"]
    {
        let denied = |result: Result<(), PortError>| {
            assert!(matches!(result, Err(PortError::Denied { .. })), "{key:?}: {result:?}");
        };
        denied(blobs.put(key, Vec::new()).await);
        denied(blobs.put_absent(key, Vec::new()).await);
        denied(blobs.fetch(key, None).await.map(drop));
        denied(blobs.delete(key).await);
    }
    for prefix in ["../", "/", "a/../b"] {
        assert!(matches!(blobs.list(prefix).await, Err(PortError::Denied { .. })), "{prefix:?}");
    }
    assert_eq!(blobs.list("").await.unwrap(), Vec::<String>::new());
}

/// Of many who put one free key at once, exactly one does.
pub async fn one_of_many_concurrent_put_absent_wins(blobs: &dyn Blobs) {
    for round in 0..20 {
        let key = format!("round/{round}");
        let key = key.as_str();
        let claim = |n: u8| match block_on(blobs.put_absent(key, vec![n; 1_000])) {
            Ok(()) => Some(n),
            Err(PortError::AlreadyExists { .. }) => None,
            Err(other) => panic!("{other}"),
        };
        let claim = &claim;
        let winners: Vec<u8> = thread::scope(|scope| {
            let rivals: Vec<_> = (0..8).map(|n| scope.spawn(move || claim(n))).collect();
            rivals.into_iter().filter_map(|rival| rival.join().unwrap()).collect()
        });
        let [winner] = winners.as_slice() else { panic!("winners: {winners:?}") };
        assert_eq!(blobs.fetch(key, None).await.unwrap(), vec![*winner; 1_000]);
    }
}

/// While a blob is replaced again and again, every read gets one version whole.
pub async fn readers_see_whole_blobs_only(blobs: &dyn Blobs) {
    blobs.put("hot", vec![0; 1_000]).await.unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0_u32;
            while !done.load(Ordering::SeqCst) || reads == 0 {
                let bytes = block_on(blobs.fetch("hot", None)).unwrap();
                let first = bytes.first().copied().unwrap();
                assert_eq!(bytes.len(), 1_000 + usize::from(first) * 500);
                assert!(bytes.iter().all(|byte| *byte == first), "two versions in one read");
                assert_eq!(block_on(blobs.list("")).unwrap(), ["hot"]);
                reads += 1;
            }
        });
        for n in 1..=100_u8 {
            block_on(blobs.put("hot", vec![n; 1_000 + usize::from(n) * 500])).unwrap();
        }
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    });
}
