//! What a dead runner leaves behind: found among our own children and killed.
//!
//! As a subreaper this process inherits every descendant whose parents have died. Not every child of ours is such
//! an orphan, and other runners live, so a child is killed only on evidence: it is in the dead runner's
//! group, it carries the launch variable of an ended runner, it was seen below a process that was killed for one
//! of these reasons, or, when no other runner lives, it is in a foreign session (we start none). A process that
//! clears its environment and stays in our session under a group of its own is not found.
//!
//! Only direct children are killed, because nobody else can reap them and their numbers cannot be reused meanwhile;
//! their children then become ours and are met in the next round.

use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::process::Child;

/// The other runners of the launcher at one moment.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Process ids of the live ones.
    pub(super) pids: BTreeSet<i32>,
    /// Values of the launch variable of the live ones.
    pub(super) live: BTreeSet<String>,
    /// Values of the launch variable of the ended ones, the one being cleared up included.
    pub(super) ended: BTreeSet<String>,
}

/// Makes this process the parent of its descendants' orphans.
pub(super) fn adopt() {
    #[cfg(target_os = "linux")]
    // Without it orphans go to the init process and only the group is killed.
    nix::sys::prctl::set_child_subreaper(true).ok();
}

/// Waits until the process has ended, without reaping it.
#[cfg(target_os = "linux")]
pub(super) fn wait_for_exit(pid: Pid, _child: &mut Child) {
    use nix::errno::Errno;
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
}

/// Waits until the process has ended; elsewhere than on Linux it is reaped by that.
#[cfg(not(target_os = "linux"))]
pub(super) fn wait_for_exit(_pid: Pid, child: &mut Child) {
    child.wait().ok();
}

#[cfg(not(target_os = "linux"))]
pub(super) fn clear(_pid: Pid, _others: &dyn Fn() -> Others) {}

#[cfg(target_os = "linux")]
pub(super) use linux::clear;

#[cfg(target_os = "linux")]
mod linux;
