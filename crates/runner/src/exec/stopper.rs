//! The handle that ends every live child, from any thread, and refuses later starts.
//!
//! Invariant: a process group is signalled only while its leader is not yet reaped, because from then on the
//! operating system may give the number to someone else. Reaping and signalling share one lock.

use super::child::Tethered;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Ends every child that was started with it. Clones share their children.
#[derive(Debug, Clone, Default)]
pub struct Stopper {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    /// Held for reading by a start and for writing by a stop, so that no child slips between the two.
    starts: RwLock<()>,
    children: Mutex<Children>,
}

#[derive(Debug, Default)]
struct Children {
    live: BTreeSet<i32>,
    /// Ended but not reaped, so that the numbers of their groups stay theirs.
    lingering: Vec<Child>,
}

/// Why a start was refused.
pub(super) enum Refused {
    Stopped,
    Os(io::Error),
}

impl Stopper {
    /// A stopper without children.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every live child's group to end; whoever runs the child kills it after a grace period. Later starts
    /// are refused. May be called twice.
    pub fn stop(&self) {
        let _no_start_meanwhile = self.shared.starts.write().unwrap_or_else(PoisonError::into_inner);
        self.shared.stopped.store(true, Ordering::SeqCst);
        let mut children = self.shared.children();
        for pid in &children.live {
            signal_group(*pid, Signal::SIGTERM);
        }
        children.end_lingering();
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst)
    }

    pub(super) fn spawn(&self, command: &mut Command) -> Result<Tethered, Refused> {
        let _no_stop_meanwhile = self.shared.starts.read().unwrap_or_else(PoisonError::into_inner);
        if self.is_stopped() {
            return Err(Refused::Stopped);
        }
        let child = command.spawn().map_err(Refused::Os)?;
        let tethered = Tethered::new(child, self.clone());
        self.shared.children().live.insert(tethered.pid());
        Ok(tethered)
    }

    /// Reaps a child that has ended or is about to; its number is free afterwards.
    pub(super) fn reap(&self, child: &mut Child, pid: i32) -> io::Result<std::process::ExitStatus> {
        let mut children = self.shared.children();
        children.live.remove(&pid);
        child.wait()
    }

    /// Keeps an ended child unreaped until the stop.
    pub(super) fn let_linger(&self, child: Child, pid: i32) {
        let mut children = self.shared.children();
        children.live.remove(&pid);
        children.lingering.push(child);
        if self.is_stopped() {
            children.end_lingering();
        }
    }
}

impl Shared {
    fn children(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Children {
    fn end_lingering(&mut self) {
        for mut child in self.lingering.drain(..) {
            if let Ok(pid) = i32::try_from(child.id()) {
                signal_group(pid, Signal::SIGKILL);
            }
            // It has ended long ago: this only collects it.
            drop(child.wait());
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.end_lingering();
    }
}

/// Signals a group; a group that is gone is no error.
pub(super) fn signal_group(pid: i32, signal: Signal) {
    if pid > 1 {
        let _gone = killpg(Pid::from_raw(pid), signal);
    }
}
