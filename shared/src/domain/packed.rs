//! Text made short: lines of events, which repeat themselves a lot, as a text that fits into a document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use std::io::{Read as _, Write as _};

/// Nothing longer than this is unpacked.
const UNPACKED_BYTES: u64 = 16 * 1024 * 1024;

/// The bytes as a short text.
#[must_use]
pub fn pack(bytes: &[u8]) -> String {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    drop(encoder.write_all(bytes));
    STANDARD_NO_PAD.encode(encoder.finish().unwrap_or_default())
}

/// The bytes that were packed; `None` if nothing was.
#[must_use]
pub fn unpack(text: &str) -> Option<Vec<u8>> {
    let packed = STANDARD_NO_PAD.decode(text).ok()?;
    let mut bytes = Vec::new();
    DeflateDecoder::new(packed.as_slice()).take(UNPACKED_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), times in 1usize..20) {
            let bytes = bytes.repeat(times);
            prop_assert_eq!(unpack(&pack(&bytes)), Some(bytes));
        }

        #[test]
        fn anything_else_is_refused_or_becomes_something_bounded(text in "[A-Za-z0-9+/=é]{0,200}") {
            prop_assert!(unpack(&text).is_none_or(|bytes| bytes.len() as u64 <= UNPACKED_BYTES));
        }
    }

    #[test]
    fn lines_that_repeat_themselves_become_short() {
        let lines: String = (0..60)
            .map(|case| format!(r#"{{"event":"case","entry":1,"result":{{"case":"test_a.py::test_{case}","outcome":"passed"}}}}"#) + "\n")
            .collect();
        assert!(pack(lines.as_bytes()).len() * 5 < lines.len());
    }
}
