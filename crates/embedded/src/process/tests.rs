//! The launcher's contract, and real processes that leave traces, linger and misbehave.
//!
//! One at a time: what runners leave behind is adopted by the whole test process.

use super::*;
use nix::errno::Errno;
use shared::domain::id::{JobNo, RunId};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;
use tempfile::TempDir;
use testkit::contract::block_on;

const PATIENCE: Duration = Duration::from_secs(30);
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone(test: impl Future<Output = ()>) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    block_on(test);
}

/// A launcher whose runners are a shell with a script, and what it tells.
struct Stage {
    launcher: ProcessLauncher,
    ends: mpsc::Receiver<(ShardAttempt, RunnerState)>,
    folder: TempDir,
}

impl Stage {
    fn new(script: &str) -> Self {
        Self::with(script, |_config| {})
    }

    fn with(script: &str, change: impl FnOnce(&mut LaunchConfig)) -> Self {
        let folder = TempDir::new().unwrap();
        let (sender, ends) = mpsc::channel();
        let mut config = LaunchConfig::new("/bin/sh", folder.path(), "http://127.0.0.1:1");
        config.args = ["-c", script].map(OsString::from).to_vec();
        config.capacity = 2;
        config.log_dir = Some(folder.path().join("logs"));
        let sender = Mutex::new(sender);
        config.on_exit = Arc::new(move |shard, state| drop(sender.lock().unwrap().send((shard, state))));
        change(&mut config);
        Self { launcher: ProcessLauncher::new(config), ends, folder }
    }

    fn launch(&self, shard: u32) {
        block_on(self.launcher.launch(&order(shard))).unwrap();
    }

    fn stop(&self, shard: u32) {
        block_on(self.launcher.stop(&order(shard).shard)).unwrap();
    }

    /// The next end that is told.
    fn end(&self, shard: u32) -> (Option<i32>, String) {
        let (told, state) = self.ends.recv_timeout(PATIENCE).unwrap();
        assert_eq!(told, order(shard).shard);
        assert_eq!(block_on(self.launcher.describe(&told)).unwrap(), state);
        let RunnerState::Stopped { exit_code, reason } = state else { panic!("{state:?}") };
        (exit_code, reason)
    }

    /// The contents of a file that a script writes, once they end with a newline.
    fn written(&self, name: &str) -> String {
        written(&self.folder.path().join(name))
    }

    fn pid(&self, name: &str) -> Pid {
        Pid::from_raw(self.written(name).parse().unwrap())
    }
}

fn written(path: &Path) -> String {
    let started = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(path)
            && let Some(line) = text.strip_suffix('\n')
        {
            return line.to_owned();
        }
        assert!(started.elapsed() < PATIENCE, "{} is never written", path.display());
        thread::yield_now();
    }
}

fn order(shard: u32) -> LaunchOrder {
    let shard = ShardAttempt { run: RunId(1), job: JobNo(1), shard, attempt: 1 };
    LaunchOrder {
        shard,
        bootstrap_token: "one-shot-token".to_owned(),
        slots: Some(3),
        round: 0,
        again: false,
    }
}

fn is_gone(pid: Pid) -> bool {
    kill(pid, None) == Err(Errno::ESRCH)
}

fn lasting() -> (ProcessLauncher, TempDir) {
    let stage = Stage::new("exec sleep 1000");
    (stage.launcher, stage.folder)
}

testkit::launcher_contract!(process_launcher, alone, lasting());

#[test]
fn the_runner_gets_its_token_by_standard_input_and_its_pointer_by_environment() {
    alone(async {
        let script = r#"read token
            echo "$token|$FLEETEST_LINK_URL|$FLEETEST_SLOTS|$EXTRA|$(pwd -P)" > seen
            tr '\0' '\n' < /proc/$$/environ > environ; echo >> environ
            exit 0"#;
        let stage = Stage::with(script, |config| drop(config.env.insert("EXTRA".into(), "more".into())));
        stage.launch(1);
        assert_eq!(stage.end(1), (Some(0), "exited with code 0".to_owned()));
        let dir = fs::canonicalize(stage.folder.path()).unwrap();
        let wanted = format!("one-shot-token|http://127.0.0.1:1|3|more|{}", dir.display());
        assert_eq!(stage.written("seen"), wanted);
        assert!(!stage.written("environ").contains("one-shot-token"));
    });
}

#[test]
fn the_input_stays_open_for_as_long_as_somebody_waits() {
    alone(async {
        let stage = Stage::new("read token; echo started > started; read more; echo over > over");
        stage.launch(1);
        assert_eq!(stage.written("started"), "started");
        // What the end of this process would do.
        let lifeline = stage.launcher.shared.runners().values_mut().find_map(|runner| runner.lifeline.take());
        assert!(!stage.folder.path().join("over").exists());
        drop(lifeline.unwrap());
        assert_eq!(stage.end(1).0, Some(0));
        assert_eq!(stage.written("over"), "over");
    });
}

#[test]
fn a_failure_is_told_with_the_last_line_of_its_log() {
    alone(async {
        let stage = Stage::new("echo fine; printf 'thread panicked: \\033[31mno\\n\\n' >&2; exit 3");
        stage.launch(1);
        assert_eq!(stage.end(1), (Some(3), "exited with code 3: thread panicked: [31mno".to_owned()));
        stage.launch(2);
        assert_eq!(stage.end(2).0, Some(3));
        assert_eq!(fs::read_dir(stage.folder.path().join("logs")).unwrap().count(), 2);
    });
}

#[test]
fn an_empty_log_is_removed() {
    alone(async {
        let stage = Stage::new("exit 4");
        stage.launch(1);
        assert_eq!(stage.end(1), (Some(4), "exited with code 4".to_owned()));
        assert_eq!(fs::read_dir(stage.folder.path().join("logs")).unwrap().count(), 0);
    });
}

#[test]
fn a_killed_runner_has_no_exit_code() {
    alone(async {
        let stage = Stage::new("kill -9 $$");
        stage.launch(1);
        assert_eq!(stage.end(1), (None, "killed by signal 9".to_owned()));
    });
}

#[test]
fn stop_asks_politely_first() {
    alone(async {
        let stage = Stage::new("trap 'exit 5' TERM; read token; echo x > ready; read more");
        stage.launch(1);
        stage.written("ready");
        stage.stop(1);
        assert_eq!(stage.end(1), (Some(5), "stopped on request: exited with code 5".to_owned()));
    });
}

#[test]
fn who_does_not_listen_is_killed_with_the_group_after_the_grace() {
    alone(async {
        let script = "trap '' TERM; sleep 1000 & echo $! > child; wait; read token; read more";
        let stage = Stage::with(script, |config| config.grace = Duration::from_millis(50));
        stage.launch(1);
        let child = stage.pid("child");
        let asked = Instant::now();
        stage.stop(1);
        assert_eq!(stage.end(1), (None, "stopped on request: killed by signal 9".to_owned()));
        assert!(asked.elapsed() >= Duration::from_millis(50));
        assert!(is_gone(child));
    });
}

#[test]
fn what_a_dead_runner_leaves_behind_is_killed() {
    alone(async {
        // In its group; in a group of its own; in a session of its own, as daemons are.
        let script = r"sleep 1000 & echo $! > group
            (set -m; sleep 1000 & echo $! > own_group)
            (setsid sleep 1000 & echo $! > session)
            (setsid env -i /bin/sh -c 'echo $$ > cleared; exec sleep 1000' &)
            until [ -s cleared ]; do sleep 0.01; done
            kill -9 $$";
        let stage = Stage::new(script);
        stage.launch(1);
        assert_eq!(stage.end(1).0, None);
        for name in ["group", "own_group", "session", "cleared"] {
            assert!(is_gone(stage.pid(name)), "{name}");
        }
    });
}

#[test]
fn other_runners_and_their_daemons_are_spared() {
    alone(async {
        let script = r"read token
            (setsid sleep 1000 & echo $! > daemon-$$)
            (set -m; setsid sh -c 'set -m; env -i sleep 1000 & echo $! > below-'$$'; wait' &)
            echo $$ >> started; read more";
        let stage = Stage::new(script);
        stage.launch(1);
        let first = stage.written("started");
        stage.launch(2);
        let started = Instant::now();
        let second = loop {
            if let Some((_, second)) = stage.written("started").split_once('\n') {
                break second.to_owned();
            }
            assert!(started.elapsed() < PATIENCE);
        };
        let left = |runner: &str| ["daemon", "below"].map(|name| stage.pid(&format!("{name}-{runner}")));
        let (of_first, of_second) = (left(&first), left(&second));
        stage.stop(1);
        assert_eq!(stage.end(1).0, None);
        assert_eq!(of_first.map(is_gone), [true, true]);
        assert_eq!(of_second.map(is_gone), [false, false]);
        assert_eq!(block_on(stage.launcher.describe(&order(2).shard)).unwrap(), RunnerState::Running);
        stage.stop(2);
        assert_eq!(stage.end(2).0, None);
        assert_eq!(of_second.map(is_gone), [true, true]);
    });
}

#[test]
fn our_own_tools_are_spared() {
    alone(async {
        let mut same_group = Command::new("sleep").arg("1000").spawn().unwrap();
        let mut own_group = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        let stage = Stage::new("exit 0");
        stage.launch(1);
        assert_eq!(stage.end(1).0, Some(0));
        for tool in [&mut same_group, &mut own_group] {
            assert_eq!(tool.try_wait().unwrap(), None);
            tool.kill().unwrap();
            tool.wait().unwrap();
        }
    });
}

#[test]
fn dropping_the_launcher_leaves_nothing() {
    alone(async {
        let stage = Stage::new(
            "trap '' TERM; (setsid sleep 1000 & echo $! > daemon); echo $$ > own; read token; read more",
        );
        stage.launch(1);
        let (own, daemon) = (stage.pid("own"), stage.pid("daemon"));
        assert_eq!(stage.launcher.live(), 1);
        drop(stage.launcher);
        assert!(is_gone(own));
        assert!(is_gone(daemon));
        assert!(matches!(stage.ends.recv_timeout(PATIENCE).unwrap().1, RunnerState::Stopped { .. }));
    });
}

#[test]
fn a_program_that_is_missing_is_refused_and_forgotten() {
    alone(async {
        let stage = Stage::with("", |config| config.program = "/nonexistent/runner".into());
        let refused = stage.launcher.launch(&order(1)).await;
        let Err(PortError::Denied { reason, .. }) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("`/nonexistent/runner` cannot be started"), "{reason}");
        assert_eq!(stage.launcher.describe(&order(1).shard).await.unwrap(), RunnerState::Unknown);
        assert_eq!(stage.launcher.live(), 0);
    });
}

#[test]
fn slots_are_counted_where_there_is_a_number_of_them() {
    alone(async {
        let stage = Stage::with("read token; echo $FLEETEST_SLOTS > slots; read more", |config| {
            config.capacity = 9;
            config.slots = Some(4);
        });
        let launch = |shard: u32, slots: Option<u32>| {
            let order = LaunchOrder { slots, ..order(shard) };
            block_on(stage.launcher.launch(&order)).is_ok()
        };
        assert!(launch(1, Some(3)));
        assert!(!launch(2, Some(2)), "three and two are more than four");
        assert!(launch(3, Some(1)));
        assert!(!launch(4, Some(1)));
        stage.launcher.kill_all(PATIENCE);
        assert!(launch(5, Some(64)), "more than there are is all");
        assert!(!launch(6, Some(1)));
        stage.launcher.kill_all(PATIENCE);
        // Those that were killed may have got so far, or not.
        fs::remove_file(stage.folder.path().join("slots")).ok();
        assert!(launch(7, None), "no number is all");
        assert_eq!(stage.written("slots"), "4");
        assert!(!launch(8, Some(1)));
    });
}

#[test]
fn long_ended_runners_are_forgotten() {
    alone(async {
        let stage = Stage::new("exit 0");
        let mut runners = stage.launcher.shared.runners();
        for number in 0..REMEMBERED + 3 {
            let token = number.to_string();
            let (pid, phase) = (Pid::from_raw(1), Phase::Ended(RunnerState::Unknown));
            let runner = Runner { pid, slots: 1, phase, stop_requested: false, lifeline: None };
            runners.insert(token.clone(), runner);
            stage.launcher.shared.remember_end(&mut runners, &token);
        }
        assert_eq!(runners.len(), REMEMBERED);
        assert!(!runners.contains_key("2") && runners.contains_key("3"));
    });
}
