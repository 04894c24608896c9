//! Anchored globs over case ids: `*` is any text, `?` any one character; nothing else is special.
//!
//! Matching is linear in text × pattern: a hostile pattern cannot make it slow.

use std::fmt;

/// One piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Char(char),
    One,
    Many,
}

/// A compiled glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    pieces: Vec<Piece>,
}

/// What is left of a glob after a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// Some text that starts with the prefix matches.
    pub(super) alive: bool,
    /// Every text that starts with the prefix matches.
    pub(super) open: bool,
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        let piece = |c| match c {
            '*' => Piece::Many,
            '?' => Piece::One,
            other => Piece::Char(other),
        };
        let mut pieces: Vec<Piece> = pattern.chars().map(piece).collect();
        pieces.dedup_by(|a, b| *a == Piece::Many && *b == Piece::Many);
        Self { pieces }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.states(text).last().copied().unwrap_or(false)
    }

    pub(super) fn after(&self, prefix: &str) -> Reach {
        let states = self.states(prefix);
        let ends_open = self.pieces.last() == Some(&Piece::Many);
        // Only the state before the final `*` accepts whatever follows.
        let open = ends_open && states.iter().rev().nth(1).copied().unwrap_or(false);
        Reach { alive: states.contains(&true), open }
    }

    /// `states[i]`: the text can be consumed by the first `i` pieces.
    fn states(&self, text: &str) -> Vec<bool> {
        let mut states = vec![false; self.pieces.len() + 1];
        if let Some(first) = states.first_mut() {
            *first = true;
        }
        self.close(&mut states);
        for c in text.chars() {
            let mut next = vec![false; states.len()];
            for ((piece, from), i) in self.pieces.iter().zip(&states).zip(0..) {
                let (to, step) = match piece {
                    Piece::Many => (i, true),
                    Piece::One => (i + 1, true),
                    Piece::Char(wanted) => (i + 1, *wanted == c),
                };
                if let Some(slot) = next.get_mut(to) {
                    *slot |= *from && step;
                }
            }
            self.close(&mut next);
            states = next;
        }
        states
    }

    /// A `*` may also stand for nothing.
    fn close(&self, states: &mut [bool]) {
        let mut before = false;
        let pieces = std::iter::once(None).chain(self.pieces.iter().map(Some));
        for (state, piece) in states.iter_mut().zip(pieces) {
            *state |= before && piece == Some(&Piece::Many);
            before = *state;
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.pieces.iter().try_for_each(|piece| {
            f.write_char(match piece {
                Piece::Char(c) => *c,
                Piece::One => '?',
                Piece::Many => '*',
            })
        })
    }
}
