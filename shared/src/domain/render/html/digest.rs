//! Digests of the page's own style and script, for its content security policy.

use sha2::{Digest as _, Sha256};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `'sha256-…'` as a policy names a text.
pub(super) fn policy_source(text: &str) -> String {
    format!("'sha256-{}'", base64(&Sha256::digest(text.as_bytes())))
}

fn base64(bytes: &[u8]) -> String {
    let letter = |six: u32| {
        let at = usize::try_from(six & 63).unwrap_or(0);
        ALPHABET.get(at).copied().map_or('=', char::from)
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, n| (word << 8) | u32::from(chunk.get(n).copied().unwrap_or(0)));
        for n in 0..4_usize {
            let shift = [18, 12, 6, 0].get(n).copied().unwrap_or(0);
            text.push(if n <= chunk.len() { letter(word >> shift) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, expected) in pairs {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(policy_source(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
    }
}
