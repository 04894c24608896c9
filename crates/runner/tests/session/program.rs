//! The real `fleetest-runner` program: signals, the death of its launcher, and what it says.

use crate::coordinator::{Coordinator, State};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shared::domain::spec::{Framework, JobSpec, Source, SuiteSpec};
use shared::domain::verdict::CauseCode;
use shared::wire::link::RunnerEnd;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn coordinator_with(setup: &str, root: &std::path::Path) -> Arc<Coordinator> {
    let mut suite = SuiteSpec::new("unit", Framework::Command);
    suite.setup = vec![setup.to_owned()];
    let job = JobSpec { name: "unit".into(), suite, cell: BTreeMap::new() };
    let source = Source::Directory { path: root.display().to_string() };
    let secrets = BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]);
    Coordinator::start(State { job: Some(job), source: Some(source), secrets, ..State::default() })
}

/// Starts the program as a launcher does: the token as the first line of a pipe that stays open.
fn launch(coordinator: &Coordinator) -> (Child, ChildStdin) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fleetest-runner"))
        .env("FLEETEST_LINK_URL", &coordinator.url)
        .env_remove("FLEETEST_BOOTSTRAP_TOKEN")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"bootstrap\n").unwrap();
    // Waiting for a child closes its standard input, so the pipe is kept apart.
    (child, pipe)
}

fn ends_released(coordinator: &Coordinator, child: &mut Child, pid_file: &std::path::Path) {
    let begin = Instant::now();
    assert!(child.wait().unwrap().success());
    assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?}", begin.elapsed());
    assert_eq!(coordinator.state().end, Some(RunnerEnd::Released));
    let sleeper: i32 = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    // Killed with its group; it may be a zombie for a moment until its new parent has looked.
    while kill(Pid::from_raw(sleeper), None).is_ok() && !is_zombie(sleeper) {
        assert!(begin.elapsed() < Duration::from_secs(10), "the set-up command outlived its runner");
        std::thread::yield_now();
    }
}

fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn sigterm_stops_work_gives_back_and_exits() {
    let root = tempfile::tempdir().unwrap();
    let coordinator = coordinator_with("sleep 600 & echo $! > pid; echo started; wait", root.path());
    let (mut child, _pipe) = launch(&coordinator);
    drop(
        coordinator.await_state(|state| state.logs.get("setup").is_some_and(|log| log.0.contains("started"))),
    );
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    ends_released(&coordinator, &mut child, &root.path().join("pid"));
}

#[test]
fn the_death_of_the_launcher_ends_the_runner_too() {
    let root = tempfile::tempdir().unwrap();
    let coordinator = coordinator_with("sleep 600 & echo $! > pid; echo started; wait", root.path());
    let (mut child, pipe) = launch(&coordinator);
    drop(
        coordinator.await_state(|state| state.logs.get("setup").is_some_and(|log| log.0.contains("started"))),
    );
    drop(pipe);
    ends_released(&coordinator, &mut child, &root.path().join("pid"));
}

#[test]
fn a_failing_set_up_command_is_reported_with_its_output_and_without_secrets_of_the_link() {
    let root = tempfile::tempdir().unwrap();
    let script = "env | grep -c FLEETEST_LINK; echo \"$FLEETEST_RUN\"; echo broken >&2; exit 9";
    let coordinator = coordinator_with(script, root.path());
    let (mut child, _pipe) = launch(&coordinator);
    assert!(child.wait().unwrap().success());
    let state = coordinator.state();
    let Some(RunnerEnd::Broken { cause }) = &state.end else { panic!("{:?}", state.end) };
    assert_eq!(cause.code, CauseCode::SetupFailed);
    assert_eq!(cause.detail, "0\nrun_00000000000000000000000000000001\nbroken");
    let (text, end) = &state.logs["setup"];
    assert!(text.ends_with("\nbroken\n"), "{text}");
    assert_eq!(end.as_deref(), Some("complete"));
}

#[test]
fn a_program_without_its_environment_says_what_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_fleetest-runner"))
        .env_remove("FLEETEST_LINK_URL")
        .env_remove("FLEETEST_BOOTSTRAP_TOKEN")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        message.contains("`FLEETEST_LINK_URL` is not set") && message.contains("no bootstrap token"),
        "{message}"
    );
}
