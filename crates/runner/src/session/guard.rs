//! What can end a runner from outside: signals, and the death of its launcher.
//!
//! Both only ask the [`Control`] to stop. The launcher's death is seen as the end of standard input. The kernel's
//! parent-death signal is not used: it goes off when the *thread* that started the runner ends, which in a
//! launcher with a thread pool happens in the middle of a healthy run.

use super::control::{Control, Stop};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io::{self, Read as _};
use std::sync::Arc;

/// Watches for signals until it is dropped.
#[derive(Debug)]
pub struct SignalWatch(Handle);

impl SignalWatch {
    /// Begins to watch for SIGTERM and SIGINT.
    ///
    /// # Errors
    /// If handlers cannot be installed.
    pub fn start(control: Arc<Control>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let handle = signals.handle();
        std::thread::spawn(move || {
            for signal in &mut signals {
                let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
                control.request(Stop::Asked(format!("the runner received {name}")));
            }
        });
        Ok(Self(handle))
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Watches for the end of standard input; the thread lives as long as the process.
pub fn watch_stdin(control: Arc<Control>) {
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        // The launcher sends nothing after the token; whatever comes is not for us.
        while matches!(io::stdin().lock().read(&mut ignored), Ok(1..)) {}
        control.request(Stop::Asked("the process that launched the runner is gone".to_owned()));
    });
}
