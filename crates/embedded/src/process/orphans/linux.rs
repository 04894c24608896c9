//! The search for orphans in `/proc`.

use super::super::LAUNCH_VARIABLE;
use super::Others;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpgrp, getsid};
use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long to go on; a killed process that does not die hangs in the kernel.
const LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);

/// A process that cannot be mistaken for a later one with the same number.
type Identity = (i32, u64);

/// What `/proc/<pid>/stat` says.
struct Process {
    identity: Identity,
    is_zombie: bool,
    parent: i32,
    group: i32,
    session: i32,
}

/// One clearing.
struct Search {
    group: i32,
    own_group: i32,
    own_session: i32,
    /// Processes seen below one that was killed.
    condemned: BTreeSet<Identity>,
}

/// Kills every process that descends from the ended runner, and reaps those that became ours.
pub(in super::super) fn clear(pid: Pid, others: &dyn Fn() -> Others) {
    let mut search = Search {
        group: pid.as_raw(),
        own_group: getpgrp().as_raw(),
        own_session: getsid(None).map_or(0, Pid::as_raw),
        condemned: BTreeSet::new(),
    };
    let started = Instant::now();
    while search.round(&others()) && started.elapsed() < LIMIT {
        thread::sleep(PAUSE);
    }
}

impl Search {
    /// Kills and reaps what is found; whether another round is needed.
    fn round(&mut self, others: &Others) -> bool {
        let own = std::process::id().cast_signed();
        let strangers = children(own).into_iter().filter(|pid| !others.pids.contains(pid));
        let mut left = false;
        for process in strangers.filter_map(look) {
            let pid = Pid::from_raw(process.identity.0);
            if process.is_zombie {
                // It may have died since the list was read: then its children are ours now, and unlisted.
                left |= self.is_adopted(&process) && waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_ok();
            } else if self.is_orphan(&process, others) {
                self.condemn_below(process.identity.0);
                kill(pid, Signal::SIGKILL).ok();
                self.condemned.insert(process.identity);
                left = true;
            }
        }
        left
    }

    fn is_orphan(&self, process: &Process, others: &Others) -> bool {
        if process.group == self.own_group {
            // Our own tools, such as git, stay in our group; nobody else gets into it by accident.
            return false;
        }
        if process.group == self.group || self.condemned.contains(&process.identity) {
            return true;
        }
        match launch_of(process.identity.0) {
            Some(mark) if others.live.contains(&mark) => false,
            Some(mark) if others.ended.contains(&mark) => true,
            // The variable may also come from a fleetest that runs this one.
            Some(_) | None => others.pids.is_empty() && process.session != self.own_session,
        }
    }

    /// Whether a dead child is surely not one that another part of this process waits for.
    fn is_adopted(&self, process: &Process) -> bool {
        process.group == self.group
            || process.session != self.own_session
            || self.condemned.contains(&process.identity)
    }

    fn condemn_below(&mut self, pid: i32) {
        let mut open = children(pid);
        while let Some(next) = open.pop() {
            if look(next).is_some_and(|process| self.condemned.insert(process.identity)) {
                open.extend(children(next));
            }
        }
    }
}

/// Children of a process, by the kernel's list where it has one, else by a look at every process.
fn children(pid: i32) -> Vec<i32> {
    listed_children(pid).unwrap_or_else(|| {
        let is_child = |process: &Process| process.parent == pid;
        numbers("/proc").into_iter().filter_map(look).filter(is_child).map(|p| p.identity.0).collect()
    })
}

fn listed_children(pid: i32) -> Option<Vec<i32>> {
    let tasks = format!("/proc/{pid}/task");
    let mut found = Vec::new();
    for task in numbers(&tasks) {
        // A thread that has just ended has no list; a kernel without lists has none for the first thread either.
        match fs::read_to_string(format!("{tasks}/{task}/children")) {
            Ok(list) => found.extend(list.split_whitespace().filter_map(|n| n.parse::<i32>().ok())),
            Err(_) if task == pid && fs::exists(format!("{tasks}/{task}")).unwrap_or(false) => return None,
            Err(_) => {}
        }
    }
    Some(found)
}

fn numbers(folder: &str) -> Vec<i32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Reads one process; `None` if it is gone.
fn look(pid: i32) -> Option<Process> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &String::from_utf8_lossy(&text))
}

fn parse(pid: i32, stat: &str) -> Option<Process> {
    // The name stands in parentheses and may itself contain any of them.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
    let state = *fields.first()?;
    let started = fields.get(19)?.parse().ok()?;
    Some(Process {
        identity: (pid, started),
        is_zombie: matches!(state, "Z" | "X"),
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
    })
}

/// The launch that a process descends from, by its environment.
fn launch_of(pid: i32) -> Option<String> {
    let read = || fs::read(format!("/proc/{pid}/environ")).ok();
    let mut environment = read()?;
    if environment.is_empty() {
        // It is empty for a moment while a process becomes another program.
        thread::sleep(PAUSE);
        environment = read()?;
    }
    let prefix = format!("{LAUNCH_VARIABLE}=");
    let value =
        environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_no_obstacle() {
        let stat = "42 (a) b (c d) S 7 40 39 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 100 200";
        let process = parse(42, stat).unwrap();
        assert_eq!((process.parent, process.group, process.session), (7, 40, 39));
        assert_eq!((process.identity, process.is_zombie), ((42, 987_654), false));
        assert!(parse(42, "42 (cut").is_none());
    }

    #[test]
    fn this_process_is_found_as_its_parent_sees_it() {
        let own = std::process::id().cast_signed();
        let process = look(own).unwrap();
        assert_eq!(process.session, getsid(None).unwrap().as_raw());
        assert!(children(process.parent).contains(&own));
    }
}
