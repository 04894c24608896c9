//! Logs of this shard attempt on their way out: append-only, by offset, with an end marker.
//!
//! Text is cleaned in whole lines, so that a secret that a tool prints in two pieces is still found. A log is
//! never a reason to fail a run: what the coordinator does not take is dropped, and the end marker says so.

use super::clean::Cleaner;
use crate::link::{Link, LinkError};
use shared::wire::link::LogRequest;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Text of one log that may wait; what comes beyond is dropped and the log marked as truncated.
const WAITING_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// Text in one call.
const PIECE_BYTES: usize = 256 * 1024;
/// No text waits longer than this for company.
const PIECE_WAIT: Duration = Duration::from_millis(200);
/// A line longer than this is sent in pieces.
const LINE_BYTES: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Stream {
    raw: String,
    cleaned: String,
    sent_bytes: u64,
    truncated: bool,
    ended: bool,
}

impl Stream {
    fn take(&mut self, text: &str) {
        let left = WAITING_LIMIT_BYTES.saturating_sub(self.raw.len() + self.cleaned.len());
        if !self.truncated {
            self.raw.push_str(text.get(..text.floor_char_boundary(left)).unwrap_or_default());
        }
        self.truncated |= text.len() > left;
    }

    fn clean(&mut self, cleaner: &Cleaner, everything: bool) {
        let whole_lines = self.raw.rfind('\n').map_or(0, |newline| newline + 1);
        let all = everything || self.raw.len() - whole_lines > LINE_BYTES;
        let rest = self.raw.split_off(if all { self.raw.len() } else { whole_lines });
        let ready = std::mem::replace(&mut self.raw, rest);
        if !ready.is_empty() {
            self.cleaned.push_str(&cleaner(ready));
        }
    }

    /// The next piece, which stays until it is acknowledged.
    fn piece(&self, name: &str, closing: bool) -> Option<LogRequest> {
        let text = self.cleaned.get(..self.cleaned.floor_char_boundary(PIECE_BYTES)).unwrap_or_default();
        let last = closing && text.len() == self.cleaned.len();
        if self.ended || (text.is_empty() && !last) {
            return None;
        }
        let end = if self.truncated { "truncated: too much text at once" } else { "complete" };
        Some(LogRequest {
            stream: name.to_owned(),
            offset: self.sent_bytes,
            text: text.to_owned(),
            end: last.then(|| end.to_owned()),
        })
    }

    fn acknowledged(&mut self, piece: &LogRequest) {
        self.cleaned.drain(..piece.text.len());
        self.sent_bytes += piece.text.len() as u64;
        self.ended = piece.end.is_some();
    }
}

/// All logs of a runner.
#[derive(Debug, Default)]
pub struct Logs {
    streams: Mutex<BTreeMap<String, Stream>>,
    sending: Mutex<()>,
    since: Mutex<Option<Instant>>,
}

impl Logs {
    /// Appends to a log.
    pub fn append(&self, name: &str, text: &str) {
        self.lock().entry(name.to_owned()).or_default().take(text);
        self.since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    /// When the waiting text should go.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since + PIECE_WAIT)
    }

    /// Sends what is there; with `closing` also the end markers.
    ///
    /// # Errors
    /// The first error of the link; what was not sent stays, except what the coordinator refused.
    pub fn send(&self, link: &Link, cleaner: &Cleaner, closing: bool) -> Result<(), LinkError> {
        let _turn = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        // An unfinished line stays behind without being due: the rest of it will be.
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let names: Vec<String> = self.lock().keys().cloned().collect();
        for name in names {
            while let Some(piece) = self.next(&name, cleaner, closing) {
                match link.log(&piece) {
                    Ok(_) | Err(LinkError::Refused(_) | LinkError::Stale) => {}
                    Err(error @ (LinkError::Fenced(_) | LinkError::Away(_))) => return Err(error),
                }
                if let Some(stream) = self.lock().get_mut(&name) {
                    stream.acknowledged(&piece);
                }
            }
        }
        Ok(())
    }

    fn next(&self, name: &str, cleaner: &Cleaner, closing: bool) -> Option<LogRequest> {
        let mut streams = self.lock();
        let stream = streams.get_mut(name)?;
        stream.clean(cleaner, closing);
        stream.piece(name, closing)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn drain(stream: &mut Stream, cleaner: &Cleaner, closing: bool) -> (String, Option<String>) {
        let (mut text, mut end) = (String::new(), None);
        loop {
            stream.clean(cleaner, closing);
            let Some(piece) = stream.piece("setup", closing) else { return (text, end) };
            assert_eq!(piece.offset, stream.sent_bytes);
            text.push_str(&piece.text);
            end.clone_from(&piece.end);
            stream.acknowledged(&piece);
        }
    }

    #[test]
    fn a_secret_in_two_pieces_is_still_cleaned() {
        let cleaner: Cleaner = Arc::new(|text| text.replace("hunter2", "***"));
        let mut stream = Stream::default();
        stream.take("one\npassword hun");
        assert_eq!(drain(&mut stream, &cleaner, false), ("one\n".to_owned(), None));
        stream.take("ter2\ntail");
        assert_eq!(drain(&mut stream, &cleaner, false).0, "password ***\n");
        assert_eq!(drain(&mut stream, &cleaner, true), ("tail".to_owned(), Some("complete".to_owned())));
        assert_eq!(drain(&mut stream, &cleaner, true), (String::new(), None), "it ends once");
    }

    #[test]
    fn a_flood_is_cut_and_the_end_says_so() {
        let cleaner: Cleaner = Arc::new(|text| text);
        let mut stream = Stream::default();
        for _ in 0..6 {
            stream.take(&"x".repeat(1024 * 1024));
        }
        stream.take("after the hole");
        let (text, end) = drain(&mut stream, &cleaner, true);
        assert_eq!(text.len(), WAITING_LIMIT_BYTES);
        assert_eq!(end.as_deref(), Some("truncated: too much text at once"));
    }
}
