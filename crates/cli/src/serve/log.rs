//! What `serve` says on stderr: one line each, and the same trouble not again and again.

use crate::line::{Ink, Line, Tone, clean};
use crate::progress::terminal::write_lines;
use shared::domain::time::Timestamp;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

/// The same trouble is told again after this long.
const AGAIN_MS: u64 = 60_000;
/// Different troubles that are remembered.
const REMEMBERED: usize = 1_000;

/// The log; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    ink: Ink,
    now: fn() -> Timestamp,
    told: Arc<Mutex<BTreeMap<String, Timestamp>>>,
}

impl Log {
    pub(crate) fn new(ink: Ink, now: fn() -> Timestamp) -> Self {
        Self { ink, now, told: Arc::default() }
    }

    /// Says something.
    pub(crate) fn say(&self, text: &str) {
        write_lines(self.ink, &[Line::new().plain(clean(text))]);
    }

    /// Says what deserves attention.
    pub(crate) fn warn(&self, text: &str) {
        write_lines(self.ink, &[Line::new().with(Tone::Warn, "warning: ").plain(clean(text))]);
    }

    /// Says what went wrong, unless it was said just now.
    pub(crate) fn trouble(&self, what: &str, error: &dyn Error) {
        if self.is_news(what) {
            let time = (self.now)().rfc3339();
            let line = Line::new().plain(format!("{time} ")).with(Tone::Bad, "trouble: ");
            write_lines(self.ink, &[line.plain(clean(&format!("{what}: {error}")))]);
        }
    }

    fn is_news(&self, what: &str) -> bool {
        let now = (self.now)();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(what).is_some_and(|at| now.since_ms(*at) < AGAIN_MS) {
            return false;
        }
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert(what.to_owned(), now);
        true
    }
}
