//! Keeps the beginning and the end of a child's output and counts what lies between.

use crate::sanitise::{self, left_out};
use std::collections::VecDeque;

/// How many bytes of one output are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureLimit {
    /// From its beginning.
    pub head_bytes: usize,
    /// From its end.
    pub tail_bytes: usize,
}

impl Default for CaptureLimit {
    /// As much as a result can carry: together just under the size to which texts in results are cut.
    fn default() -> Self {
        Self { head_bytes: 23 * 1024, tail_bytes: 40 * 1024 }
    }
}

/// What was kept of one output.
#[derive(Debug, Clone)]
pub struct Captured {
    limit: CaptureLimit,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Captured {
    /// Nothing yet.
    #[must_use]
    pub fn new(limit: CaptureLimit) -> Self {
        Self { limit, head: Vec::new(), tail: VecDeque::new(), total: 0 }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let room = self.limit.head_bytes.saturating_sub(self.head.len());
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(first);
        let (_lost, kept) = rest.split_at(rest.len().saturating_sub(self.limit.tail_bytes));
        let excess = (self.tail.len() + kept.len()).saturating_sub(self.limit.tail_bytes);
        self.tail.drain(..excess.min(self.tail.len()));
        self.tail.extend(kept);
    }

    /// How many bytes came in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many bytes of the middle were left out.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.total.saturating_sub((self.head.len() + self.tail.len()) as u64)
    }

    /// The first bytes.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// What was kept as raw text, with a line in place of what was left out.
    #[must_use]
    pub fn raw(&self) -> String {
        let mut bytes = self.head.clone();
        if self.dropped() > 0 {
            bytes.extend_from_slice(left_out(self.dropped()).as_bytes());
        }
        let (front, back) = self.tail.as_slices();
        bytes.extend_from_slice(front);
        bytes.extend_from_slice(back);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What was kept as text without terminal escapes (colours excepted).
    #[must_use]
    pub fn text(&self) -> String {
        sanitise::clean(self.raw().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_exactly_the_head_and_the_tail(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            head_bytes in 0usize..30,
            tail_bytes in 0usize..30,
        ) {
            let mut captured = Captured::new(CaptureLimit { head_bytes, tail_bytes });
            for chunk in &chunks {
                captured.push(chunk);
            }
            let all = chunks.concat();
            let head = all.len().min(head_bytes);
            let tail = (all.len() - head).min(tail_bytes);
            prop_assert_eq!(&captured.head, &all[..head]);
            prop_assert_eq!(captured.tail.iter().copied().collect::<Vec<_>>(), &all[all.len() - tail..]);
            prop_assert_eq!(captured.dropped(), (all.len() - head - tail) as u64);
        }
    }
}
