//! The end of one runner: noticed at once, cleared up, put into words, remembered, announced.

use super::{Phase, Shared, orphans};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use shared::domain::id::ShardAttempt;
use shared::ports::RunnerState;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Arc;

/// How much of a log's end is searched for its last line, and how much of that line is shown.
const TAIL_BYTES: u64 = 4_096;
const LINE_LIMIT: usize = 300;

/// One runner's watcher.
pub(super) struct Watch {
    pub(super) shared: Arc<Shared>,
    pub(super) shard: ShardAttempt,
    pub(super) token: String,
    pub(super) log: Option<PathBuf>,
}

impl Watch {
    /// Waits for the end and does what it demands.
    pub(super) fn until_end(&self, mut child: Child) {
        let pid = Pid::from_raw(child.id().cast_signed());
        orphans::wait_for_exit(pid, &mut child);
        let status = self.reap(pid, &mut child);
        orphans::clear(pid, &|| self.others());
        let state = self.conclude(status);
        (self.shared.config.on_exit)(self.shard, state);
    }

    /// Kills the group while its leader, dead but not reaped, still reserves the number; then reaps.
    fn reap(&self, pid: Pid, child: &mut Child) -> Option<ExitStatus> {
        let mut runners = self.shared.runners();
        killpg(pid, Signal::SIGKILL).ok();
        let status = child.wait().ok();
        if let Some(runner) = runners.get_mut(&self.token) {
            runner.phase = Phase::Clearing;
        }
        status
    }

    /// The runners that are alive now, and those that are not.
    fn others(&self) -> orphans::Others {
        let runners = self.shared.runners();
        let mut others = orphans::Others::default();
        for (token, runner) in runners.iter() {
            let mark = self.shared.mark(token);
            if matches!(runner.phase, Phase::Live) {
                others.pids.insert(runner.pid.as_raw());
                others.live.insert(mark);
            } else {
                others.ended.insert(mark);
            }
        }
        others
    }

    fn conclude(&self, status: Option<ExitStatus>) -> RunnerState {
        let mut runners = self.shared.runners();
        let requested = runners.get(&self.token).is_some_and(|runner| runner.stop_requested);
        let state = stopped(status, requested, self.log.as_deref());
        if let Some(runner) = runners.get_mut(&self.token) {
            runner.phase = Phase::Ended(state.clone());
            drop(runner.lifeline.take());
        }
        self.shared.remember_end(&mut runners, &self.token);
        self.shared.ended.notify_all();
        state
    }
}

/// The end in words.
fn stopped(status: Option<ExitStatus>, requested: bool, log: Option<&Path>) -> RunnerState {
    let exit_code = status.and_then(|status| status.code());
    let mut reason = match (exit_code, status.and_then(|status| status.signal())) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    };
    if requested {
        reason = format!("stopped on request: {reason}");
    }
    if exit_code != Some(0)
        && let Some(line) = log.and_then(last_line)
    {
        reason = format!("{reason}: {line}");
    }
    if let Some(path) = log.filter(|path| fs::metadata(path).is_ok_and(|log| log.len() == 0)) {
        fs::remove_file(path).ok();
    }
    RunnerState::Stopped { exit_code, reason }
}

/// The last line of a log that says anything, without control characters.
fn last_line(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let start = file.metadata().ok()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.trim().chars().filter(|c| !c.is_control()).take(LINE_LIMIT).collect())
}
