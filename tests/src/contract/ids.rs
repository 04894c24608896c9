//! What every `IdSource` must do.

#![expect(clippy::unwrap_used, reason = "a failed contract panics")]

use shared::ports::IdSource;
use std::collections::BTreeSet;
use std::thread;

/// Each id is larger than all before it.
pub async fn ids_are_unique_and_sort_by_their_making(ids: &dyn IdSource) {
    let mut last = ids.uuid();
    for _ in 0..10_000 {
        let next = ids.uuid();
        assert!(next > last, "{next:032x} after {last:032x}");
        last = next;
    }
}

/// Version and variant bits are those of RFC 9562.
pub async fn ids_are_of_version_seven(ids: &dyn IdSource) {
    for _ in 0..100 {
        let id = ids.uuid();
        assert_eq!(((id >> 76) & 0xf, (id >> 62) & 0b11), (7, 0b10), "{id:032x}");
    }
}

/// The form is fixed, and no secret or large part of one comes twice.
pub async fn secrets_are_64_hexadecimal_digits(ids: &dyn IdSource) {
    let secrets: BTreeSet<String> = (0..1_000).map(|_| ids.secret()).collect();
    assert_eq!(secrets.len(), 1_000);
    for secret in &secrets {
        assert_eq!(secret.len(), 64, "{secret}");
        assert!(secret.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{secret}");
    }
    let halves: BTreeSet<&str> = secrets.iter().flat_map(|secret| [&secret[..32], &secret[32..]]).collect();
    assert_eq!(halves.len(), 2_000);
}

/// Threads that ask at once get different answers.
pub async fn threads_share_no_id_and_no_secret(ids: &dyn IdSource) {
    let take = || (0..500).map(|_| (ids.uuid(), ids.secret())).collect::<Vec<_>>();
    let all: Vec<(u128, String)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(all.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len(), 2_000);
    assert_eq!(all.iter().map(|(_, secret)| secret).collect::<BTreeSet<_>>().len(), 2_000);
}
