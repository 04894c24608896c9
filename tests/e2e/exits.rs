//! Each published exit code, reached by the shortest way.

use crate::stage::Stage;

const ONE_PASSES: (&str, &str) = ("test_one.py", "def test_one():\n    pass\n");

#[test]
fn passed_is_0() {
    let ended = Stage::with(&[ONE_PASSES]).run(&["."]);
    let account = ended.judged(0);
    assert_eq!((account.run.verdict.as_str(), account.ids()), ("passed", vec!["test_one.py::test_one"]));
    assert_eq!(ended.stdout, "", "stdout is for what was asked for");
    ended.says(&["PASSED", "detected pytest"]);
}

#[test]
fn tests_failed_is_1() {
    let ended = Stage::with(&[ONE_PASSES, ("test_two.py", "def test_two():\n    assert 0\n")]).run(&["."]);
    let account = ended.judged(1);
    assert_eq!((account.run.verdict.as_str(), account.code()), ("failed", "tests_failed"));
}

#[test]
fn usage_is_2() {
    let stage = Stage::with(&[ONE_PASSES]);
    stage.run(&["--suite", "unti"]).refused(2, &["unti", "hint: "]);
    stage.run(&["--filter", "(a or"]).refused(2, &["--filter (a or"]);
    stage.run(&["--slots", "0"]).refused(2, &["--slots"]);
    stage.run(&["--no-such"]).refused(2, &["--no-such"]);
    stage.run(&["--ref", "main", "."]).refused(2, &["--ref main", "working directory"]);
}

#[test]
fn could_not_run_is_3() {
    let setup =
        "[suite.unit]\nframework = \"pytest\"\nsetup = [\"echo fetching; echo no network >&2; exit 7\"]\n";
    let ended = Stage::with(&[ONE_PASSES, ("fleetest.toml", setup)]).run(&["."]);
    let account = ended.judged(3);
    assert_eq!((account.run.verdict.as_str(), account.code()), ("errored", "setup_failed"));
    let cause = account.job("unit").cause.as_ref().unwrap();
    assert!(cause.message.contains("exit 7") || cause.message.contains("code 7"), "{cause:?}");
    assert!(cause.detail.contains("no network"), "the tool's own words: {cause:?}");
    assert_eq!(account.run.counts.planned, 0);
    ended.says(&["no network"]);
}

#[test]
fn no_tests_is_4() {
    let nothing = Stage::with(&[("notes.txt", "")]).run(&["."]);
    nothing.refused(4, &["no tests recognised among 1 files", "looked for: pytest", "hint: "]);
    let empty = Stage::with(&[("test_none.py", "")]).run(&["."]);
    assert_eq!(empty.judged(4).code(), "no_tests");
    let deselected = Stage::with(&[ONE_PASSES]).run(&["--filter", "nothing_like_it"]);
    assert_eq!(deselected.judged(4).code(), "no_tests");
    let skipped = "import pytest\n@pytest.mark.skip\ndef test_skipped():\n    pass\n";
    let ended = Stage::with(&[("test_skip.py", skipped)]).run(&["."]);
    assert_eq!(ended.judged(4).run.counts.skipped, 1, "skipping everything proves nothing");
}

#[test]
fn timed_out_is_6() {
    let slow = "import time\ndef test_slow():\n    time.sleep(600)\n";
    let stage = Stage::with(&[ONE_PASSES, ("test_slow.py", slow)]);
    let ended = stage.run(&["--timeout=3s"]);
    let account = ended.judged(6);
    assert_eq!((account.run.verdict.as_str(), account.code()), ("timed_out", "deadline_passed"));
    assert_eq!(account.case("test_one.py::test_one").outcome, "passed", "what had finished is kept");
    stage.assert_deserted();
    let ended = stage.run(&["--case-timeout=1s", "--retries=0"]);
    let account = ended.judged(1);
    assert_eq!(account.case("test_slow.py::test_slow").outcome, "timed_out");
    stage.assert_deserted();
}
