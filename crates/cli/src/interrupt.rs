//! Ctrl-C and its kin: the first asks the run to stop and report, the second ends the process at once.
//!
//! SIGTERM and SIGHUP count like Ctrl-C. Runners need no word from here in the second case: they die with the
//! process that launched them.

use crate::exit::Exit;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Says whether the run should stop; clones are the same flag.
#[derive(Debug, Clone)]
pub struct StopFlag {
    raised: Arc<watch::Sender<bool>>,
}

impl Default for StopFlag {
    fn default() -> Self {
        Self { raised: Arc::new(watch::Sender::new(false)) }
    }
}

impl StopFlag {
    /// Asks the run to stop, and wakes whoever waits for that.
    pub fn raise(&self) {
        self.raised.send_replace(true);
    }

    /// Whether the run was asked to stop.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        *self.raised.borrow()
    }

    /// Returns once the run is asked to stop; at once if it was before.
    pub async fn raised(&self) {
        let mut receiver = self.raised.subscribe();
        // The sender lives as long as this flag does, so waiting cannot fail.
        drop(receiver.wait_for(|raised| *raised).await);
    }
}

/// What a signal leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Stop and report.
    Stop,
    /// The same signal delivered twice.
    Ignore,
    /// End at once.
    Exit,
}

/// Some parents pass on a signal that the terminal has delivered already: such an echo is no second wish.
const ECHO: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct Presses {
    first: Option<Instant>,
}

impl Presses {
    fn answer(&mut self, now: Instant) -> Answer {
        match self.first {
            None => {
                self.first = Some(now);
                Answer::Stop
            }
            Some(first) if now.duration_since(first) < ECHO => Answer::Ignore,
            Some(_) => Answer::Exit,
        }
    }
}

/// Listens for signals from now on, in a thread of its own; `farewell` is called before the process ends at once.
///
/// # Errors
/// The signal handlers could not be installed.
pub fn listen(stop: StopFlag, farewell: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut presses = Presses::default();
        for _ in signals.forever() {
            match presses.answer(Instant::now()) {
                Answer::Stop => stop.raise(),
                Answer::Ignore => {}
                Answer::Exit => {
                    farewell();
                    std::process::exit(i32::from(Exit::Cancelled.code()));
                }
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stops_an_echo_is_ignored_the_second_ends() {
        let mut presses = Presses::default();
        let start = Instant::now();
        assert_eq!(presses.answer(start), Answer::Stop);
        assert_eq!(presses.answer(start + ECHO / 2), Answer::Ignore);
        assert_eq!(presses.answer(start + ECHO), Answer::Exit);
    }

    #[test]
    fn a_signal_raises_the_flag() {
        let stop = StopFlag::default();
        listen(stop.clone(), || {}).unwrap();
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let waited =
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), stop.raised()).await });
        assert!(waited.is_ok() && stop.is_raised());
    }

    #[test]
    fn every_clone_is_the_same_flag() {
        let flag = StopFlag::default();
        let other = flag.clone();
        assert!(!other.is_raised());
        flag.raise();
        assert!(other.is_raised());
    }
}
