//! The argument checks that every adapter of `Store` and `Blobs` makes before it touches anything.
//!
//! They are written once so that adapters cannot differ in what they refuse. They look at the arguments only;
//! whether a condition holds is the adapter's business.

use super::{
    COMMIT_LIMIT, COMMIT_LIMIT_BYTES, Change, DOCUMENT_LIMIT_BYTES, Key, PortError, PortResult, Write,
};
use std::collections::BTreeSet;

/// Longest partition, sort key, index name or index sort, and longest blob key.
pub const KEY_LIMIT_BYTES: usize = 512;
/// Longest segment of a blob key; file systems allow 255 bytes, and adapters add a few.
pub const SEGMENT_LIMIT_BYTES: usize = 200;

fn denied(port: &'static str, subject: &str, reason: String) -> PortError {
    let shown: String = subject.chars().take(KEY_LIMIT_BYTES).collect();
    PortError::Denied { port, subject: shown, reason }
}

/// Checks the parts of a commit that can be judged without the store: number, keys, sizes.
///
/// # Errors
/// `Denied` naming the first offence.
pub fn check_commit(writes: &[Write]) -> PortResult<()> {
    if writes.len() > COMMIT_LIMIT {
        let reason = format!("{} writes in one commit, at most {COMMIT_LIMIT} are allowed", writes.len());
        return Err(denied("store", "commit", reason));
    }
    let bytes: usize = writes.iter().map(body_bytes).sum();
    if bytes > COMMIT_LIMIT_BYTES {
        let reason = format!("{bytes} bytes in one commit, at most {COMMIT_LIMIT_BYTES} are allowed");
        return Err(denied("store", "commit", reason));
    }
    let mut seen = BTreeSet::new();
    for write in writes {
        check_key(&write.key)?;
        if !seen.insert(&write.key) {
            let reason = "two writes of one commit have this key".to_owned();
            return Err(denied("store", &write.key.to_string(), reason));
        }
        check_change(write)?;
    }
    Ok(())
}

/// Checks a document key.
///
/// # Errors
/// `Denied` if a part is empty or too long.
pub fn check_key(key: &Key) -> PortResult<()> {
    check_text("partition", &key.partition)?;
    check_text("sort", &key.sort)
}

fn check_text(name: &str, text: &str) -> PortResult<()> {
    if text.is_empty() || text.len() > KEY_LIMIT_BYTES {
        let reason = format!("the {name} has {} bytes, 1 to {KEY_LIMIT_BYTES} are allowed", text.len());
        return Err(denied("store", text, reason));
    }
    Ok(())
}

fn body_bytes(write: &Write) -> usize {
    match &write.change {
        Change::Put { body, .. } => body.len(),
        Change::Delete | Change::Check => 0,
    }
}

fn check_change(write: &Write) -> PortResult<()> {
    let Change::Put { body, index, .. } = &write.change else { return Ok(()) };
    if body.len() > DOCUMENT_LIMIT_BYTES {
        let reason = format!("the body has {} bytes, at most {DOCUMENT_LIMIT_BYTES} are allowed", body.len());
        return Err(denied("store", &write.key.to_string(), reason));
    }
    index.as_ref().map_or(Ok(()), |entry| {
        check_text("index name", &entry.name)?;
        check_text("index sort", &entry.sort)
    })
}

/// Checks a blob key: relative, slash-separated, segments of `[A-Za-z0-9._=-]` other than `.` and `..`.
///
/// # Errors
/// `Denied` with the reason.
pub fn check_blob_key(key: &str) -> PortResult<()> {
    if key.len() > KEY_LIMIT_BYTES {
        let reason = format!("the key has {} bytes, at most {KEY_LIMIT_BYTES} are allowed", key.len());
        return Err(denied("blobs", key, reason));
    }
    key.split('/').try_for_each(|segment| check_segment(key, segment))
}

/// Checks a blob prefix: empty, or the beginning of a well-formed key.
///
/// # Errors
/// `Denied` with the reason.
pub fn check_blob_prefix(prefix: &str) -> PortResult<()> {
    // Any beginning of a key becomes a key when one more letter follows.
    check_blob_key(&format!("{prefix}a"))
}

fn check_segment(key: &str, segment: &str) -> PortResult<()> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'=' | b'-');
    let fits = (1..=SEGMENT_LIMIT_BYTES).contains(&segment.len());
    if fits && segment != "." && segment != ".." && segment.bytes().all(allowed) {
        return Ok(());
    }
    let reason =
        "a key is made of `/`-separated segments of letters, digits, `.`, `_`, `=` and `-`".to_owned();
    Err(denied("blobs", key, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{COMMIT_LARGEST, Condition};

    #[test]
    fn blob_keys_cannot_leave_their_root() {
        for key in
            ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "a b", "a\0b", "ä", "a+b"]
        {
            assert!(check_blob_key(key).is_err(), "{key:?}");
        }
        for key in ["a", "a/b", "run_1/log=2/part-1.json", "..a", "...", "a."] {
            assert!(check_blob_key(key).is_ok(), "{key:?}");
        }
        assert!(check_blob_key(&"x".repeat(SEGMENT_LIMIT_BYTES + 1)).is_err());
        assert!(check_blob_key(&"x/".repeat(KEY_LIMIT_BYTES)).is_err());
    }

    #[test]
    fn a_prefix_is_the_beginning_of_a_key() {
        for prefix in ["", "a", "a/", "a/b."] {
            assert!(check_blob_prefix(prefix).is_ok(), "{prefix:?}");
        }
        for prefix in ["/", "../", "a//", "a/../"] {
            assert!(check_blob_prefix(prefix).is_err(), "{prefix:?}");
        }
    }

    #[test]
    fn a_commit_is_judged_by_number_keys_and_size() {
        let write = |sort: &str, body: usize| Write {
            key: Key::new("p", sort),
            condition: Condition::Any,
            change: Change::Put { body: "x".repeat(body), expires_at: None, index: None },
        };
        let many = |n: usize| (0..n).map(|i| write(&i.to_string(), 1)).collect::<Vec<_>>();
        assert!(check_commit(&many(COMMIT_LIMIT)).is_ok());
        assert!(check_commit(&many(COMMIT_LIMIT + 1)).is_err());
        assert!(check_commit(&[write("a", 1), write("a", 1)]).is_err());
        assert!(check_commit(&[write("a", DOCUMENT_LIMIT_BYTES)]).is_ok());
        assert!(check_commit(&[write("a", DOCUMENT_LIMIT_BYTES + 1)]).is_err());
        assert!(check_commit(&[write("", 1)]).is_err());
        let mut large: Vec<Write> =
            (0..COMMIT_LARGEST).map(|i| write(&i.to_string(), DOCUMENT_LIMIT_BYTES)).collect();
        assert!(check_commit(&large).is_ok());
        large.push(write("more", 1));
        assert!(check_commit(&large).is_err());
    }
}
