//! What the Python processes print outside of captures: read without end, so that nobody ever blocks on a full
//! pipe, and kept only as far as it can explain a failure.

use crate::driver::LogSink;
use std::collections::VecDeque;
use std::io::{PipeReader, Read as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

const TAIL_BYTES: usize = 64 * 1024;
const LOGGED_BYTES: usize = 1024 * 1024;

/// The last part of an output, and a log that gets its first megabyte.
pub(super) struct Tail {
    log: LogSink,
    name: &'static str,
    kept: VecDeque<u8>,
    logged: usize,
}

impl Tail {
    pub(super) fn new(log: LogSink, name: &'static str) -> Self {
        Self { log, name, kept: VecDeque::new(), logged: 0 }
    }

    /// Takes more output.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.logged < LOGGED_BYTES {
            (self.log)(self.name, &String::from_utf8_lossy(bytes));
            self.logged += bytes.len();
            if self.logged >= LOGGED_BYTES {
                (self.log)(self.name, "\n[further output is not kept]\n");
            }
        }
        self.kept.extend(bytes);
        let surplus = self.kept.len().saturating_sub(TAIL_BYTES);
        self.kept.drain(..surplus);
    }

    /// Takes all of a buffer.
    pub(super) fn push_all(&mut self, bytes: &mut Vec<u8>) {
        if !bytes.is_empty() {
            self.push(bytes);
            bytes.clear();
        }
    }

    /// The kept part as text, which is then forgotten.
    pub(super) fn take(&mut self) -> String {
        let text = String::from_utf8_lossy(self.kept.make_contiguous()).into_owned();
        self.kept.clear();
        text
    }
}

/// A thread that reads a pipe to its end.
pub(super) struct Chatter {
    state: Mutex<(Tail, bool)>,
    ended: Condvar,
}

impl Chatter {
    /// Starts to read; the thread ends with the last process that holds the pipe.
    pub(super) fn listen(mut pipe: PipeReader, log: LogSink) -> Arc<Self> {
        let chatter =
            Arc::new(Self { state: Mutex::new((Tail::new(log, "pytest"), false)), ended: Condvar::new() });
        let reader = Arc::clone(&chatter);
        std::thread::spawn(move || {
            let mut bytes = vec![0u8; 64 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut bytes) {
                let mut state = reader.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.0.push(bytes.get(..count).unwrap_or_default());
            }
            reader.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
            reader.ended.notify_all();
        });
        chatter
    }

    /// What was printed last, once the pipe has ended or `patience` has.
    pub(super) fn conclude(&self, patience: Duration) -> String {
        let until = Instant::now() + patience;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.1 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.0.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept_and_only_the_beginning_is_logged() {
        let logged = Arc::new(Mutex::new(0usize));
        let sum = Arc::clone(&logged);
        let log: LogSink = Arc::new(move |_, text| *sum.lock().unwrap() += text.len());
        let mut tail = Tail::new(log, "x");
        for _ in 0..100 {
            tail.push(&[b'a'; 32 * 1024]);
        }
        tail.push(b"end");
        let text = tail.take();
        assert_eq!(text.len(), TAIL_BYTES);
        assert!(text.ends_with("aend"));
        assert!(*logged.lock().unwrap() < LOGGED_BYTES + 64 * 1024);
        assert_eq!(tail.take(), "");
    }
}
