//! Child processes, for real: endings, trees, time limits, leaks, floods and stops.
#![cfg(test)]

use runner::exec::{Captured, Channel, Ending, ExecError, Finished, Invocation, Stopper};
use std::time::{Duration, Instant};

fn sh(script: &str) -> Invocation {
    Invocation::new("sh", "/").args(["-c", script])
}

fn run(script: &str) -> Finished {
    sh(script).run(&Stopper::new()).unwrap()
}

/// Whether a process is gone or only waits to be collected by its parent.
fn is_dead(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    matches!(state, None | Some('Z' | 'X'))
}

/// Being killed takes the kernel a moment.
fn dies(pid: u32) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if is_dead(pid) {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

fn printed_pid(captured: &Captured) -> u32 {
    captured.text().trim().parse().unwrap()
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn outputs_endings_environment_and_directory() {
    let finished = run("echo out; echo err >&2; exit 3");
    assert_eq!((finished.stdout.text().as_str(), finished.stderr.text().as_str()), ("out\n", "err\n"));
    assert_eq!(finished.ending, Ending::Code(3));
    assert!(!finished.is_success() && !finished.timed_out && !finished.leaky);
    assert_eq!(run("kill -SEGV $$").ending, Ending::Signal("SIGSEGV".to_owned()));
    let script = "echo $PLACE; pwd; read line || echo no input";
    let finished = sh(script).env([("PLACE", "here")]).run(&Stopper::new()).unwrap();
    assert_eq!(finished.stdout.text(), "here\n/\nno input\n");
    let merged = sh("echo 1; echo 2 >&2; echo 3").merged().run(&Stopper::new()).unwrap();
    assert_eq!(merged.stdout.text(), "1\n2\n3\n");
}

#[test]
fn a_failed_start_says_what_is_missing() {
    let missing =
        |program: &str, dir: &str| Invocation::new(program, dir).run(&Stopper::new()).unwrap_err().sentence();
    assert!(missing("no-such-program", "/").starts_with("cannot start `no-such-program`"));
    assert!(missing("sh", "/no/such/dir").contains("directory `/no/such/dir` does not exist"));
}

#[test]
fn a_time_limit_ends_the_whole_tree() {
    let limit = Duration::from_millis(300);
    let finished = sh("sleep 600 & echo $!; wait").time_limit(limit).run(&Stopper::new()).unwrap();
    assert!(finished.timed_out && !finished.is_success());
    assert!(dies(printed_pid(&finished.stdout)));
}

#[test]
fn who_ignores_sigterm_is_killed() {
    let script = "trap '' TERM; echo $$; while :; do sleep 600; done";
    let finished = sh(script).time_limit(Duration::from_millis(200)).run(&Stopper::new()).unwrap();
    assert!(finished.timed_out);
    assert_eq!(finished.ending, Ending::Signal("SIGKILL".to_owned()));
    assert!(dies(printed_pid(&finished.stdout)));
}

#[test]
fn a_grandchild_on_the_pipe_is_a_leak_and_no_hang() {
    let begun = Instant::now();
    let finished = run("sleep 600 & echo $!");
    assert!(finished.leaky && finished.is_success());
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(finished.duration < Duration::from_secs(2), "the drain is not the test's time");
    assert!(dies(printed_pid(&finished.stdout)));
}

#[test]
fn a_silent_daemon_of_the_group_does_not_survive() {
    let finished = run("sleep 600 >/dev/null 2>&1 & echo $!");
    assert!(!finished.leaky && finished.is_success());
    assert!(dies(printed_pid(&finished.stdout)));
}

#[test]
fn a_child_that_closes_its_outputs_is_still_waited_for() {
    let finished = run("exec >&- 2>&-; sleep 0.2; exit 7");
    assert_eq!(finished.ending, Ending::Code(7));
}

#[test]
fn a_flood_costs_no_memory_and_keeps_both_ends() {
    let before = resident_bytes();
    let script = "echo first; head -c 300000000 /dev/zero | tr '\\0' x; echo; echo last";
    let finished = run(script);
    let text = finished.stdout.text();
    assert_eq!(finished.stdout.total(), 300_000_012);
    assert!(text.starts_with("first\n") && text.ends_with("x\nlast\n"));
    assert!(text.contains(&format!("[... {} bytes left out ...]", finished.stdout.dropped())));
    assert!(text.len() < 70 * 1024);
    assert!(resident_bytes().saturating_sub(before) < 8 * 1024 * 1024);
}

#[test]
fn a_stop_from_another_thread_ends_everything_and_refuses_more() {
    let stopper = Stopper::new();
    let (tell, told) = std::sync::mpsc::channel();
    let mut ended = Vec::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3)
            .map(|_| {
                let (tell, stopper) = (tell.clone(), stopper.clone());
                scope.spawn(move || {
                    sh("echo $$; sleep 600").run_watched(&stopper, &mut |channel, bytes| {
                        assert_eq!(channel, Channel::Stdout);
                        tell.send(String::from_utf8_lossy(bytes).trim().parse::<u32>().unwrap()).unwrap();
                    })
                })
            })
            .collect();
        let pids: Vec<u32> = (0..3).map(|_| told.recv().unwrap()).collect();
        stopper.stop();
        ended.extend(runs.into_iter().map(|run| run.join().unwrap()));
        assert!(pids.into_iter().all(dies));
    });
    assert!(ended.iter().all(|end| matches!(end, Err(ExecError::Stopped))), "{ended:?}");
    assert!(matches!(sh("true").run(&stopper), Err(ExecError::Stopped)));
    stopper.stop();
}
