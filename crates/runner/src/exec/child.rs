//! A started child that is always reaped: dropped early, it and its group are killed.

use super::stopper::{Stopper, signal_group};
use nix::sys::signal::Signal;
use std::io;
use std::process::{Child, ExitStatus};

/// A live child.
#[derive(Debug)]
pub(super) struct Tethered {
    child: Option<Child>,
    pid: i32,
    stopper: Stopper,
}

impl Tethered {
    pub(super) fn new(child: Child, stopper: Stopper) -> Self {
        let pid = i32::try_from(child.id()).unwrap_or_default();
        Self { child: Some(child), pid, stopper }
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopper.is_stopped()
    }

    /// Signals the child's whole group.
    pub(super) fn signal(&self, signal: Signal) {
        signal_group(self.pid, signal);
    }

    /// Whether it has ended; it is not reaped by this.
    #[cfg(target_os = "linux")]
    pub(super) fn has_ended(&mut self) -> io::Result<bool> {
        use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(nix::unistd::Pid::from_raw(self.pid)), flags) {
            Ok(status) => Ok(status != WaitStatus::StillAlive),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether it has ended. Without a way to look only, looking reaps it.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn has_ended(&mut self) -> io::Result<bool> {
        self.child.as_mut().map_or(Ok(true), |child| Ok(child.try_wait()?.is_some()))
    }

    /// Kills what is left of the group and reaps the child.
    pub(super) fn finish(mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::SIGKILL);
        let mut child = self.child.take().ok_or_else(|| io::Error::other("the child was already reaped"))?;
        self.stopper.reap(&mut child, self.pid)
    }

    /// Leaves the rest of the group alive until the stop.
    #[cfg(target_os = "linux")]
    pub(super) fn linger(mut self) -> io::Result<ExitStatus> {
        use std::os::unix::process::ExitStatusExt as _;
        let child = self.child.take().ok_or_else(|| io::Error::other("the child was already reaped"))?;
        let status = peek(self.pid)?;
        self.stopper.let_linger(child, self.pid);
        Ok(ExitStatus::from_raw(status))
    }

    /// Leaves the rest of the group alive until the stop.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn linger(mut self) -> io::Result<ExitStatus> {
        let mut child = self.child.take().ok_or_else(|| io::Error::other("the child was already reaped"))?;
        let status = child.wait()?;
        self.stopper.let_linger(child, self.pid);
        Ok(status)
    }
}

/// The wait status of an ended child that stays unreaped.
#[cfg(target_os = "linux")]
fn peek(pid: i32) -> io::Result<i32> {
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    let id = Id::Pid(nix::unistd::Pid::from_raw(pid));
    let status = waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    if let WaitStatus::Exited(_, code) = status {
        return Ok((code & 0xff) << 8);
    }
    if let WaitStatus::Signaled(_, signal, _) = status {
        return Ok(signal as i32);
    }
    Err(io::Error::other("the child has not ended"))
}

impl Drop for Tethered {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            self.signal(Signal::SIGKILL);
            drop(self.stopper.reap(&mut child, self.pid));
        }
    }
}
