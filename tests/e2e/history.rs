//! What a run leaves for the next.

use crate::account::Account;
use crate::stage::Stage;
use std::fs;

/// Two files that must not run at the same time: both need the same lock.
const RIVALS: &str = "import os, pathlib, pytest, time\n\
    LOCK = pathlib.Path(os.environ['FLEETEST_TEST_STATE']) / 'lock'\n\
    def test_needs_the_place():\n\
    \x20   time.sleep(0.3)\n\
    \x20   try:\n\
    \x20       LOCK.mkdir()\n\
    \x20   except FileExistsError:\n\
    \x20       pytest.fail('somebody else is here')\n\
    \x20   time.sleep(0.4)\n\
    \x20   LOCK.rmdir()\n";

#[test]
fn a_test_that_only_passes_alone_runs_alone_the_next_time() {
    let stage = Stage::with(&[("test_a.py", RIVALS), ("test_b.py", RIVALS)]);
    for file in 0..4 {
        stage.write(&format!("test_other_{file}.py"), "import time\n\ndef test_it():\n    time.sleep(0.1)\n");
    }
    let first = stage.run(&["--slots=2"]);
    let account = first.judged(0);
    let lonely: Vec<&str> =
        account.cases.iter().filter(|case| case.flaky.is_some()).map(|case| case.id.as_str()).collect();
    let [lonely] = lonely.as_slice() else { panic!("{lonely:?} are flaky\n{}", first.stderr) };
    assert_eq!(account.case(lonely).flaky.as_deref(), Some("isolation"));
    assert_eq!(account.run.counts.flaky, 1);
    first.says(&["flaky (isolation)"]);
    let second = stage.run(&["--slots=2"]);
    let account = second.judged(0);
    let case = account.case(lonely);
    assert_eq!((account.run.counts.flaky, case.attempts.len()), (0, 1), "{}", second.stderr);
    assert!(case.attempts[0].alone, "it was remembered and run alone");
}

fn start_of<'a>(account: &'a Account, id: &str) -> &'a str {
    account.case(id).attempts[0].started_at.as_str()
}

#[test]
fn the_longest_comes_first_once_it_is_known() {
    let stage = Stage::new();
    for file in 0..8 {
        stage.write(&format!("test_{file}.py"), "def test_quick():\n    pass\n");
    }
    stage.write("test_z.py", "import time\n\ndef test_long():\n    time.sleep(0.5)\n");
    stage.run(&["--slots=2"]).judged(0);
    let second = stage.run(&["--slots=2"]);
    let account = second.judged(0);
    let long = start_of(account, "test_z.py::test_long");
    let before =
        (0..8).filter(|file| start_of(account, &format!("test_{file}.py::test_quick")) < long).count();
    assert!(before <= 2, "{before} quick ones started before the long one");
    let forgetful = stage.run(&["--slots=2", "--no-history"]);
    forgetful.judged(0);
}

#[test]
fn twenty_runs_are_kept_and_the_last_is_at_hand() {
    let stage = Stage::with(&[("fleetest.toml", "[suite.a]\nframework = \"command\"\ncommand = \"true\"\n")]);
    for _ in 0..22 {
        assert_eq!(stage.run(&["--quiet"]).code, 0);
    }
    let state = stage.project.join(".fleetest");
    let runs: Vec<_> =
        fs::read_dir(state.join("runs")).unwrap().map(|run| run.unwrap().file_name()).collect();
    assert_eq!(runs.len(), 20);
    let newest = runs.iter().max().unwrap();
    assert_eq!(fs::read_link(state.join("last")).unwrap().file_name().unwrap(), newest.as_os_str());
    for name in ["report.json", "junit.xml", "ctrf.json", "report.html"] {
        assert!(state.join("last").join(name).is_file(), "{name}");
    }
    let blobs = fs::read_dir(state.join("blobs/runs")).map_or(0, Iterator::count);
    assert!(blobs <= 20, "{blobs} runs still have blobs");
}

#[test]
fn the_state_is_invisible_to_git() {
    let stage = Stage::with(&[("fleetest.toml", "[suite.a]\nframework = \"command\"\ncommand = \"true\"\n")]);
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        stage.surround(&mut command);
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    stage.run(&["."]).judged(0);
    assert_eq!(git(&["status", "--porcelain", "--ignored=no"]), "?? fleetest.toml\n");
}
