//! Hides secrets in a stream, however the stream is cut into chunks.
//!
//! Bytes are held back only while they may still become a secret. Every byte that belongs to any occurrence of
//! any secret is hidden, overlapping ones included, so no part of a longer secret is left beside a shorter one.

use std::sync::Arc;

/// What is shown instead.
pub const MASK: &str = "***";
/// Shorter values are not masked: they would hide half of every log and protect nothing.
pub const SHORTEST_SECRET_BYTES: usize = 4;

/// The secrets of a job, shared by all streams.
#[derive(Clone)]
pub struct Secrets {
    needles: Arc<Vec<Vec<u8>>>,
    starts: Arc<Vec<bool>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("count", &self.needles.len()).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Prepares the values. The lines of a value of several lines are secrets too, because tools print keys
    /// line by line.
    #[must_use]
    pub fn new<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> Self {
        let mut needles = Vec::new();
        for value in values {
            let value = value.as_ref();
            let whole = std::iter::once(value.trim_end_matches(['\n', '\r']));
            needles.extend(whole.chain(value.lines().map(str::trim)).map(|text| text.as_bytes().to_vec()));
        }
        needles.retain(|needle| needle.len() >= SHORTEST_SECRET_BYTES);
        needles.sort();
        needles.dedup();
        let mut starts = vec![false; 256];
        for needle in &needles {
            let first = needle.first().and_then(|byte| starts.get_mut(usize::from(*byte)));
            if let Some(start) = first {
                *start = true;
            }
        }
        Self { needles: Arc::new(needles), starts: Arc::new(starts) }
    }

    /// Hides the secrets of a whole text.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let mut masker = Masker::new(self.clone());
        let mut out = masker.push(text.as_bytes());
        out.extend(masker.finish());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The longest secret at the beginning of `bytes`, and whether a longer one may follow if more bytes come.
    fn at(&self, bytes: &[u8]) -> (usize, bool) {
        let promising = bytes.first().and_then(|byte| self.starts.get(usize::from(*byte)));
        if promising != Some(&true) {
            return (0, false);
        }
        let (mut longest, mut open) = (0, false);
        for needle in self.needles.iter() {
            if bytes.starts_with(needle) {
                longest = longest.max(needle.len());
            } else if needle.starts_with(bytes) {
                open = true;
            }
        }
        (longest, open)
    }
}

/// Hides secrets in one stream.
#[derive(Debug)]
pub struct Masker {
    secrets: Secrets,
    held: Vec<u8>,
    /// How many of the held bytes belong to a secret that was already shown as a mask.
    covered: usize,
}

impl Masker {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, held: Vec::new(), covered: 0 }
    }

    /// Takes the next bytes and returns those that are clear by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        self.drain(false)
    }

    /// Ends the stream and returns the rest.
    pub fn finish(&mut self) -> Vec<u8> {
        self.drain(true)
    }

    fn drain(&mut self, ended: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.held.len());
        let mut done = 0;
        while let Some((byte, rest)) = self.held.get(done..).and_then(|rest| Some((rest.first()?, rest))) {
            let (longest, open) = self.secrets.at(rest);
            if open && !ended {
                break;
            }
            if longest > 0 && self.covered == 0 {
                out.extend_from_slice(MASK.as_bytes());
            }
            self.covered = self.covered.max(longest);
            if self.covered == 0 {
                out.push(*byte);
            }
            self.covered = self.covered.saturating_sub(1);
            done += 1;
        }
        self.held.drain(..done);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(secrets: &[&str], chunks: &[&str]) -> String {
        let mut masker = Masker::new(Secrets::new(secrets));
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend(masker.push(chunk.as_bytes()));
        }
        out.extend(masker.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hides_across_chunks_and_overlaps() {
        assert_eq!(masked(&["hunter22"], &["pw=hun", "ter", "22!"]), "pw=***!");
        assert_eq!(masked(&["abcd", "bcdefg"], &["xabcdefgy"]), "x***y");
        assert_eq!(masked(&["abcd", "abcdef"], &["abcd", "ef"]), "***");
        assert_eq!(masked(&["abcd"], &["abc"]), "abc");
        assert_eq!(masked(&["abcd"], &["abcdabcd"]), "******");
    }

    #[test]
    fn hides_the_lines_of_a_key_and_leaves_short_values() {
        assert_eq!(masked(&["line-one\nline-two\n"], &["> line-two <"]), "> *** <");
        assert_eq!(masked(&["1", ""], &["a1b"]), "a1b");
    }

    proptest! {
        #[test]
        fn no_chunking_lets_a_secret_through(
            secrets in prop::collection::vec("[ab]{4,7}", 1..4),
            text in "[abc]{0,80}",
            cuts in prop::collection::vec(0usize..80, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&str> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let names: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let out = masked(&names, &chunks);
            for secret in &secrets {
                prop_assert!(!out.contains(secret.as_str()), "{out}");
            }
            prop_assert_eq!(&out, &masked(&names, &[&text]));
            // What belongs to no secret is untouched.
            prop_assert_eq!(out.matches('c').count(), text.matches('c').count());
        }
    }
}
