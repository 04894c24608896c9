//! The processes of a stage, found by a variable that all of them inherit.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The variable that says where a stage's tests may keep something; its value marks the stage's processes.
pub(crate) const MARK: &str = "FLEETEST_TEST_STATE";

/// A live process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) command: String,
}

impl Process {
    /// Kills it, if it is still there.
    pub(crate) fn kill(&self) {
        kill(Pid::from_raw(self.pid), Signal::SIGKILL).ok();
    }

    /// Whether it is a runner.
    pub(crate) fn is_runner(&self) -> bool {
        self.command.contains("__runner")
    }
}

/// All live processes of the stage with this mark.
pub(crate) fn of(mark: &Path) -> Vec<Process> {
    let mut wanted = format!("{MARK}=").into_bytes();
    wanted.extend(mark.as_os_str().as_bytes());
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            environment.split(|byte| *byte == 0).any(|pair| pair == wanted).then_some(())?;
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut after_name = stat.rsplit_once(')')?.1.split_whitespace();
            let status = after_name.next()?;
            let parent = after_name.next()?.parse().ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            (!matches!(status, "Z" | "X")).then_some(Process { pid, parent, command })
        })
        .collect()
}

/// Most resident memory that the process has had.
pub(crate) fn peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
