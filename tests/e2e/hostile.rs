//! Tests and surroundings that harm: everything else is still accounted for, and nothing is left behind.

use crate::stage::{Ended, Stage, eventually};
use std::fs;
use std::time::Duration;

const ONE_PASSES: (&str, &str) = ("test_one.py", "def test_one():\n    pass\n");

#[test]
fn two_hundred_megabytes_of_output_do_not_fill_the_memory() {
    let flood = "import os\n\ndef test_flood():\n    line = b'x' * 999 + b'\\n'\n    for _ in range(100):\n        \
                 os.write(1, line * 1000)\n\ndef test_after():\n    pass\n";
    let stage = Stage::with(&[ONE_PASSES, ("test_flood.py", flood)]);
    stage.write("flood.sh", "head -c 100000000 /dev/zero | tr '\\0' 'x'\n");
    stage.write(
        "fleetest.toml",
        "[suite.unit]\nframework = \"pytest\"\n[suite.loud]\nframework = \"command\"\ncommand = \"sh flood.sh\"\n",
    );
    let ended = stage.run(&["."]);
    let account = ended.judged(0);
    assert_eq!(account.run.counts.passed, 4);
    assert!(ended.peak_kib < 80 * 1024, "{} KiB", ended.peak_kib);
    assert!(account.cases.iter().all(|case| case.attempts.iter().all(|a| a.output.len() < 70_000)));
    let kept: u64 = size(&stage.project.join(".fleetest"));
    assert!(kept < 150_000_000, "{kept} bytes are kept");
}

fn size(path: &std::path::Path) -> u64 {
    let entries = fs::read_dir(path).unwrap().flatten();
    entries
        .map(|entry| match entry.file_type().unwrap() {
            kind if kind.is_dir() => size(&entry.path()),
            kind if kind.is_file() => entry.metadata().unwrap().len(),
            _ => 0,
        })
        .sum()
}

#[test]
fn a_test_that_kills_its_parent_is_the_one_that_crashed() {
    let killer = "import os, signal\n\ndef test_killer():\n    os.kill(os.getppid(), signal.SIGKILL)\n    \
                  signal.pause()\n\ndef test_after():\n    pass\n";
    let stage = Stage::with(&[ONE_PASSES, ("test_killer.py", killer)]);
    let ended = stage.run(&["--slots=2"]);
    let account = ended.judged(1);
    assert_eq!(account.case("test_killer.py::test_killer").outcome, "crashed");
    assert_eq!(account.case("test_killer.py::test_after").outcome, "passed");
    assert_eq!(account.case("test_one.py::test_one").outcome, "passed");
    stage.assert_deserted();
}

#[test]
fn a_test_that_kills_its_whole_group_takes_nobody_along() {
    let killer = "import os, signal\n\ndef test_killer():\n    os.killpg(0, signal.SIGKILL)\n\ndef test_after():\n    pass\n";
    let stage = Stage::with(&[ONE_PASSES, ("test_killer.py", killer)]);
    let ended = stage.run(&["--slots=2"]);
    let account = ended.judged(1);
    assert_eq!(account.case("test_killer.py::test_killer").outcome, "crashed");
    assert_eq!(account.run.counts.passed, 2);
    stage.assert_deserted();
}

#[test]
fn a_test_that_deletes_its_directory_is_survived() {
    let eraser = "import os, shutil\n\ndef test_eraser():\n    shutil.rmtree(os.getcwd())\n\ndef test_after():\n    pass\n";
    let stage = Stage::with(&[("sub/test_eraser.py", eraser), ONE_PASSES]);
    stage.write(
        "fleetest.toml",
        "[suite.a]\nframework = \"pytest\"\nworking_dir = \"sub\"\nretries = 0\n[suite.b]\nframework = \"pytest\"\npaths = [\"test_one.py\"]\nneeds = []\n",
    );
    let ended = stage.run(&["."]);
    let account = ended.judged(ended.code);
    assert_eq!(account.cases_of("b").len(), 1);
    assert_eq!(account.case("test_eraser.py::test_eraser").outcome, "passed");
    stage.assert_deserted();
}

#[test]
fn a_test_that_deletes_the_project_and_its_state_is_not_green() {
    let eraser = "import os, shutil\n\ndef test_eraser():\n    shutil.rmtree(os.getcwd())\n";
    let stage = Stage::with(&[("test_eraser.py", eraser), ONE_PASSES]);
    let ended = stage.run(&["."]);
    assert!(ended.code == 3 || ended.code == 1, "exit code {}\n{}", ended.code, ended.stderr);
    ended.says(&[]);
    stage.assert_deserted();
}

#[test]
fn a_hanging_command_is_killed_with_all_its_children() {
    let stage = Stage::with(&[
        ("hang.sh", "sleep 600 & setsid sleep 600 & sleep 600\n"),
        (
            "fleetest.toml",
            "[suite.a]\nframework = \"command\"\ncommand = \"sh hang.sh\"\ncase_timeout = \"1s\"\ntimeout = \"2s\"\nretries = 0\n",
        ),
    ]);
    let ended = stage.run(&["."]);
    assert!(matches!(ended.code, 1 | 6), "{}\n{}", ended.code, ended.stderr);
    ended.judged(ended.code);
    stage.assert_deserted();
}

#[test]
fn a_daemon_that_keeps_the_pipe_open_does_not_hold_the_run() {
    let stage = Stage::with(&[
        ("daemon.sh", "setsid sleep 600 &\nexit 0\n"),
        ("fleetest.toml", "[suite.a]\nframework = \"command\"\ncommand = \"sh daemon.sh\"\n"),
    ]);
    let ended = stage.run(&["."]);
    ended.judged(0);
    assert!(ended.took < Duration::from_secs(20), "{:?}", ended.took);
    stage.assert_deserted();
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let stage = Stage::with(&[(
        "test_wait.py",
        "import os, pathlib, time\nSTATE = pathlib.Path(os.environ['FLEETEST_TEST_STATE'])\n\n\
         def test_wait():\n    (STATE / 'started').touch()\n    while not (STATE / 'go').exists():\n        time.sleep(0.01)\n",
    )]);
    let first = stage.start(&["."]);
    assert!(eventually(Duration::from_secs(30), || stage.state.join("started").exists()));
    let pid = first.child.id();
    let mut command = stage.command(&["run", "."]);
    let second = command.output().unwrap();
    let text = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(3), "{text}");
    assert!(text.contains("another `fleetest run`") && text.contains(&pid.to_string()), "{text}");
    assert!(text.contains("hint: "), "{text}");
    fs::write(stage.state.join("go"), "").unwrap();
    let beside = stage.command(&["run", ".", "--no-history"]).output().unwrap();
    assert_eq!(beside.status.code(), Some(0), "{}", String::from_utf8_lossy(&beside.stderr));
    first.end().judged(0);
}

/// Runs with a limit on the size of files, as a full disk would stop writes.
fn limited(stage: &Stage, blocks: u32, args: &[&str]) -> Ended {
    let program = crate::stage::fleetest();
    let mut command = std::process::Command::new("bash");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    command.args(["-c", &script, "bash"]).arg(program).arg("run").args(args);
    stage.surround(&mut command);
    stage.start_command(command).end()
}

#[test]
fn a_full_disk_is_an_error_and_never_green() {
    // Nothing can be written at all, then a little, then something: wherever it ends, it is told.
    for blocks in [0, 8, 80, 120, 200] {
        let stage = Stage::with(&[ONE_PASSES]);
        for file in 0..4 {
            stage.write(
                &format!("test_loud_{file}.py"),
                "def test_loud():\n    print('x' * 60000)\n\ndef test_bad():\n    print('y' * 60000)\n    assert False\n",
            );
        }
        let ended = limited(&stage, blocks, &["."]);
        assert!(matches!(ended.code, 1 | 3), "{blocks} blocks: exit code {}\n{}", ended.code, ended.stderr);
        ended.says(&[]);
        stage.assert_deserted();
    }
}

#[test]
fn a_project_that_cannot_be_written_to_is_run_without_history() {
    // Nobody, not even root, may create entries there.
    let stage = Stage::new();
    let ended = stage.run(&["/sys/kernel"]);
    ended.refused(4, &["no tests recognised"]);
}

#[test]
fn a_session_that_cannot_be_torn_down_is_not_green() {
    let conftest = "import pytest\n\n@pytest.fixture(scope='session')\ndef wire():\n    yield\n    raise OSError('cannot let go')\n";
    let stage =
        Stage::with(&[("conftest.py", conftest), ("test_wire.py", "def test_wire(wire):\n    pass\n")]);
    let ended = stage.run(&[]);
    let account = ended.judged(3);
    assert_eq!(account.run.counts.passed, 1, "the test itself has its result");
    assert_eq!(account.job("pytest").cause.as_ref().unwrap().code, "teardown_failed");
    ended.says(&["session fixtures could not be torn down at the end", "cannot let go"]);
}
