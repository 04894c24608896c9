//! What the other arguments promise.

use crate::account::Account;
use crate::stage::Stage;
use std::collections::BTreeSet;
use std::fs;

/// Six files of four tests each, with something to wait for in each.
fn wide() -> Stage {
    let stage = Stage::new();
    for file in 0..6 {
        let tests: String =
            (0..4).map(|test| format!("def test_{test}():\n    time.sleep(0.01)\n\n")).collect();
        stage.write(&format!("test_{file}.py"), &format!("import time\n\n{tests}"));
    }
    stage
}

fn lanes(account: &Account) -> BTreeSet<(Option<u32>, u32)> {
    account
        .cases
        .iter()
        .flat_map(|case| &case.attempts)
        .map(|attempt| (attempt.shard, attempt.slot))
        .collect()
}

#[test]
fn slots_are_lanes() {
    let stage = wide();
    for (slots, expected) in [("1", 1), ("2", 2), ("4", 4)] {
        let ended = stage.run(&["--no-history", "--slots", slots]);
        let account = ended.judged(0);
        assert_eq!(account.run.counts.passed, 24);
        let used = lanes(account).len();
        assert!((1..=expected).contains(&used), "{used} lanes of {expected}");
        // With this much to do, one lane of several is never left all the work.
        assert_eq!(used > 1, expected > 1);
    }
}

#[test]
fn shards_are_runners_of_their_own() {
    let stage = wide();
    let ended = stage.run(&["--shards=2", "--slots=1"]);
    let account = ended.judged(0);
    assert_eq!((account.run.counts.passed, account.jobs[0].launches), (24, 2));
    stage.assert_deserted();
}

#[test]
fn fail_fast_ends_early_and_says_what_did_not_run() {
    let stage = wide();
    stage.write("test_0.py", "def test_bad():\n    assert False\n\ndef test_worse():\n    assert False\n");
    for file in 6..30 {
        stage.write(&format!("test_{file}.py"), "import time\n\ndef test_slow():\n    time.sleep(0.2)\n");
    }
    let ended = stage.run(&["--fail-fast", "--retries=0", "--slots=1"]);
    let account = ended.judged(1);
    assert_eq!(account.code(), "tests_failed");
    assert!(account.cases.len() < 40, "it went on: {}", account.cases.len());
    assert!(account.jobs[0].not_run_units > 0);
    ended.says(&["FAILED"]);
    stage.assert_deserted();
}

#[test]
fn without_history_nothing_is_left_in_the_project() {
    let stage = wide();
    let before = listing(&stage);
    stage.run(&["--no-history"]).judged(0);
    let after: Vec<String> =
        listing(&stage).into_iter().filter(|name| !name.starts_with("__pycache__")).collect();
    assert_eq!(before, after.into_iter().filter(|name| name != ".pytest_cache").collect::<Vec<_>>());
}

fn listing(stage: &Stage) -> Vec<String> {
    let entries = fs::read_dir(&stage.project).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn json_on_stdout_is_alone_there() {
    let stage = wide();
    let ended = stage.run(&["--json", "-"]);
    assert_eq!(ended.code, 0);
    assert_eq!(Account::parse(ended.stdout.as_bytes()).run.counts.passed, 24);
    ended.says(&["PASSED"]);
    let quiet = stage.run(&["--json=-", "--quiet"]);
    assert_eq!(Account::parse(quiet.stdout.as_bytes()).run.counts.passed, 24);
}

#[test]
fn quiet_is_one_line_if_green_and_the_failures_if_red() {
    let stage = wide();
    let green = stage.run(&["--quiet"]);
    green.judged(0);
    assert_eq!(green.stderr.trim().lines().count(), 1, "{}", green.stderr);
    stage.write("test_0.py", "def test_bad():\n    assert False, 'for a reason'\n");
    let red = stage.run(&["--quiet"]);
    red.judged(1);
    red.says(&["for a reason", "again: ", "FAILED"]);
    assert!(!red.stderr.contains("note: "), "{}", red.stderr);
}

#[test]
fn reports_go_where_they_were_asked_for_and_folders_are_made() {
    let stage = wide();
    let place = stage.beside("not/there/yet");
    let at = |name: &str| place.join(name).display().to_string();
    let ended = stage.run(&["--ctrf", &at("c.json"), "--html", &at("r.html"), "--quiet"]);
    ended.judged(0);
    assert!(place.join("c.json").is_file() && place.join("r.html").is_file());
    stage.run(&["--html", "."]).refused(2, &["is a directory", "hint: "]);
    let same = at("same");
    stage.run(&["--html", &same, "--ctrf", &same]).refused(2, &["name the same file"]);
}

#[test]
fn an_activated_environment_is_used() {
    let stage = Stage::with(&[("test_one.py", "def test_one():\n    pass\n")]);
    let home = crate::stage::python();
    let mut command = stage.command(&["run", "."]);
    command.env_remove("FLEETEST_PYTHON").env("VIRTUAL_ENV", home.parent().unwrap().parent().unwrap());
    stage.start_command(command).end().judged(0);
}

#[test]
fn colours_are_only_for_terminals() {
    let stage = wide();
    assert!(!stage.run(&["."]).stderr.contains('\x1b'));
    assert!(stage.run(&["--color=always"]).stderr.contains('\x1b'));
}

#[test]
fn an_option_of_the_project_that_is_ignored_is_told() {
    let stage = Stage::with(&[
        ("pytest.ini", "[pytest]\naddopts = -x\n"),
        ("test_a.py", "def test_a():\n    assert False\n\ndef test_b():\n    pass\n"),
    ]);
    let ended = stage.run(&["--no-history", "--retries=0"]);
    assert_eq!(ended.judged(1).run.counts.passed, 1);
    ended.says(&["note: `-x/--maxfail` of the project's pytest options is ignored here"]);
}

#[test]
fn a_long_file_that_nobody_knew_is_shared() {
    let tests = "@pytest.mark.parametrize('n', range(60))\ndef test_n(n):\n    time.sleep(0.03)\n";
    let stage = Stage::with(&[("test_long.py", &format!("import pytest, time\n\n{tests}"))]);
    let ended = stage.run(&["--no-history", "--slots=3"]);
    let account = ended.judged(0);
    assert_eq!(account.run.counts.passed, 60);
    assert!(lanes(account).len() > 1, "one lane did all the work of the only file");
}
