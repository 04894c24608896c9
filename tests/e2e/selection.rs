//! Which cases a run has: filters, what failed last, and the line that reruns one failure.

use crate::stage::Stage;
use crate::table::{self, is_red};
use std::collections::BTreeMap;
use std::process::Command;

#[test]
fn a_filter_runs_what_it_matches_and_nothing_else() {
    let stage = Stage::of("zoo");
    let ended =
        stage.run(&["--suite=unit", "--filter", "test_kinds.py::test_words* and not '*[it*'", "--retries=0"]);
    let account = ended.judged(0);
    assert_eq!(account.run.counts.planned, 5);
    assert!(account.ids().iter().all(|id| id.contains("test_words")), "{:?}", account.ids());
    let ended = stage.run(&["--suite=rust", "--filter", "zoo::lib::tests::passes"]);
    assert_eq!(ended.judged(0).ids(), ["zoo::lib::tests::passes"]);
    let ended = stage.run(&["--suite=checks", "--filter", "good"]);
    assert_eq!(ended.judged(0).ids(), ["checks::good"]);
    // Suites that have none of it neither run nor count.
    let whole = stage.run(&["--filter", "test_kinds.py::test_pass or lint::command"]);
    assert_eq!(whole.judged(0).ids(), ["lint::command", "test_kinds.py::test_pass"]);
    assert!(!whole.stderr.contains("FAILED"), "{}", whole.stderr);
}

/// Every `again:` line of the summary, by the id of the case above it.
fn rerun_lines(stderr: &str) -> Vec<String> {
    stderr.lines().filter_map(|line| line.trim().strip_prefix("again: ").map(str::to_owned)).collect()
}

#[test]
fn the_line_under_a_failure_reruns_exactly_that_case() {
    let stage = Stage::of("zoo");
    for (suite, chosen) in [("unit", "test_kinds.py::*"), ("rust", "tests"), ("checks", "checks")] {
        let ended = stage.run(&["--suite", suite, "--filter", chosen, "--retries=0"]);
        let account = ended.judged(1);
        let mut red: BTreeMap<&str, &str> = BTreeMap::new();
        red.extend(
            account.cases.iter().map(|c| (c.id.as_str(), c.outcome.as_str())).filter(|(_, o)| is_red(o)),
        );
        let lines = rerun_lines(&ended.stderr);
        assert_eq!(lines.len(), red.len(), "{}", ended.stderr);
        for line in lines {
            let again = shell(&stage, &line);
            let [case] = again.judged(1).cases.as_slice() else { panic!("`{line}` ran {:?}", again.account) };
            assert_eq!(red.remove(case.id.as_str()), Some(case.outcome.as_str()), "`{line}`");
        }
        assert!(red.is_empty(), "no line reruns {red:?}");
    }
}

/// Runs a printed line in a shell, as if copied.
fn shell(stage: &Stage, line: &str) -> crate::stage::Ended {
    let program = crate::stage::fleetest();
    let folder = program.parent().unwrap().display().to_string();
    let path = std::env::vars_os().find(|(key, _)| key == "PATH").unwrap().1;
    let mut command = Command::new("bash");
    // The arguments that the stage adds for its reports come behind the line's own.
    command.args(["-c", &format!("exec {line} \"$@\""), "bash"]);
    stage.surround(&mut command);
    command.env("PATH", format!("{folder}:{}", path.display()));
    stage.start_command(command).end()
}

#[test]
fn what_failed_runs_again_until_it_is_fixed() {
    let stage = Stage::with(&[
        ("test_a.py", "def test_good():\n    pass\n\ndef test_bad():\n    assert False\n"),
        ("test_b.py", "def test_also_good():\n    pass\n"),
    ]);
    stage.run(&["--failed"]).refused(3, &["--failed` needs a run before this one", "hint: "]);
    assert_eq!(stage.run(&["."]).judged(1).run.counts.planned, 3);
    let again = stage.run(&["--failed"]);
    assert_eq!(again.judged(1).ids(), ["test_a.py::test_bad"]);
    stage.write("test_a.py", "def test_good():\n    pass\n\ndef test_bad():\n    assert True\n");
    let fixed = stage.run(&["--failed"]);
    assert_eq!(fixed.judged(0).ids(), ["test_a.py::test_bad"]);
    stage.run(&["--failed"]).refused(4, &["no case failed in the last run"]);
    assert_eq!(stage.run(&["."]).judged(0).run.counts.planned, 3);
}

#[test]
fn what_failed_is_remembered_for_every_framework_and_cell() {
    let stage = Stage::of("zoo");
    let args = ["--suite=checks", "--suite=cells", "--suite=rust", "--retries=0"];
    let first = stage.run(&args);
    let red = |account: &crate::account::Account| {
        let mut red: Vec<String> = account
            .jobs
            .iter()
            .flat_map(|job| account.cases_of(&job.name).into_iter().map(move |case| (job, case)))
            .filter(|(_, case)| is_red(&case.outcome))
            .map(|(job, case)| format!("{} {}", job.name, case.id))
            .collect();
        red.sort();
        red
    };
    let expected = red(first.judged(1));
    let again = stage.run(&[&args[..], &["--failed"]].concat());
    let account = again.judged(1);
    // A command runs whole; of the others only what had failed.
    let chosen = |account: &crate::account::Account| account.cases.len() - account.cases_of("checks").len();
    assert_eq!(
        chosen(account),
        expected.iter().filter(|id| !id.starts_with("checks ")).count(),
        "{:?}",
        account.ids()
    );
    // The flaky one passes by now: its counter is outside of the project.
    assert_eq!(red(account), expected.into_iter().filter(|id| !id.contains("flaky")).collect::<Vec<_>>());
    assert!(table::of_suite("rust").len() > account.cases_of("rust").len());
}
