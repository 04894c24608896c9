//! The pytest driver against real projects: what they yield is compared with pytest's own report, or, where
//! pytest itself would die, with the tables below.
#![expect(unreachable_pub, reason = "an integration test has no readers but its own")]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation fails the test"
)]

#[path = "pytest/harness.rs"]
mod harness;

use harness::{Job, Kept, Outcomes, plain_pytest, python};
use runner::driver::pytest::PytestDriver;
use runner::driver::{Driver as _, DriverError};
use shared::domain::case::CaseId;
use shared::domain::outcome::Outcome::{self, Crashed, Errored, Failed, Passed, Skipped, TimedOut};
use shared::domain::unit::{Entry, LeasedEntry, Selection, UnitEvent};
use shared::domain::verdict::{Cause, CauseCode};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What each case of `hostile` must come to, and the kind of its failure.
const HOSTILE: [(&str, Outcome, &str); 35] = [
    ("tests/test_dies_on_import.py", Crashed, "exit:4"),
    ("tests/test_exit.py::test_before", Passed, ""),
    ("tests/test_exit.py::test_exit", Crashed, "exit:3"),
    ("tests/test_exit.py::test_between", Passed, ""),
    ("tests/test_exit.py::test_exit_again", Crashed, "exit:0"),
    ("tests/test_exit.py::test_after", Passed, ""),
    ("tests/test_exits_on_import.py", Errored, "SystemExit"),
    ("tests/test_import_error.py", Errored, "CollectError"),
    ("tests/test_places.py::test_change_directory", Passed, ""),
    ("tests/test_places.py::test_delete_directory", Passed, ""),
    ("tests/test_places.py::test_after", Passed, ""),
    ("tests/test_places_after.py::test_directory_is_the_start_directory", Passed, ""),
    ("tests/test_processes.py::test_fork_falls_through", Passed, ""),
    ("tests/test_processes.py::test_fork_ends", Passed, ""),
    ("tests/test_processes.py::test_fork_fails", Passed, ""),
    ("tests/test_processes.py::test_daemon", Passed, ""),
    ("tests/test_processes.py::test_thread", Passed, ""),
    ("tests/test_processes.py::test_new_session", Passed, ""),
    ("tests/test_processes.py::test_interrupt", Errored, "KeyboardInterrupt"),
    ("tests/test_processes.py::test_pytest_exit", Errored, "Exit"),
    ("tests/test_processes.py::test_stop_session", Passed, ""),
    ("tests/test_processes.py::test_after", Passed, ""),
    ("tests/test_signals.py::test_before", Passed, ""),
    ("tests/test_signals.py::test_segfault", Crashed, "signal:SIGSEGV"),
    ("tests/test_signals.py::test_kill", Crashed, "signal:SIGXCPU"),
    ("tests/test_signals.py::test_abort", Crashed, "signal:SIGABRT"),
    ("tests/test_signals.py::test_after", Passed, ""),
    // pytest's own capture breaks in the test that closes its stream; the next ones must not suffer.
    ("tests/test_streams.py::test_close_stdout", Failed, "ValueError"),
    ("tests/test_streams.py::test_close_stderr", Failed, "ValueError"),
    ("tests/test_streams.py::test_close_standard_descriptors", Passed, ""),
    ("tests/test_streams.py::test_close_low_descriptors", Failed, "OSError"),
    ("tests/test_streams.py::test_after", Passed, ""),
    ("tests/test_streams.py::test_flood", Passed, ""),
    ("tests/test_streams.py::test_huge_failure", Failed, "AssertionError"),
    ("tests/test_streams.py::test_surrogates", Failed, "AssertionError"),
];

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytest").join(name)
}

fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    home
}

fn cause(result: Result<Outcomes, DriverError>) -> Cause {
    match result {
        Err(DriverError::Broken(cause)) => cause,
        Err(DriverError::Stopped) => panic!("stopped"),
        Ok(outcomes) => panic!("it ran: {:?}", outcomes.outcomes()),
    }
}

#[test]
fn every_outcome_is_that_of_pytests_own_report() {
    let job = Job::new(&project("outcomes"), 2);
    let plain = plain_pytest(
        &job,
        &["-o", "addopts=-n0 --doctest-modules --strict-markers -m 'not slow' --ignore=tests/ignored.py"],
    );
    let ours = job.run().unwrap();
    assert_eq!(ours.junit(), plain);
    assert_eq!(ours.deselected(), 2, "by `-m` and by the project's hook");
    for outcome in [Passed, Failed, Errored, Skipped] {
        assert!(ours.cases().any(|case| case.outcome == outcome), "the project has no {outcome} case");
    }
    let log = job.log.lock().unwrap().clone();
    assert!(log.contains("configfile: pytest.ini") && log.contains("files"), "{log}");
    for flag in ["-n", "-x/--maxfail", "--lf", "--ff"] {
        let said = format!("`{flag}` of the project's pytest options is ignored here");
        assert!(ours.notes.iter().any(|note| note.contains(&said)), "{flag}: {:?}", ours.notes);
    }
    assert!(!project("outcomes").join(".pytest_cache/v/cache/lastfailed").exists());
}

#[test]
fn a_worker_per_slot_yields_the_same() {
    let forked = Job::new(&project("outcomes"), 2).run().unwrap();
    let alone = Job::new(&project("outcomes"), 2).env("FLEETEST_PYTEST_FORK", "0").run().unwrap();
    assert_eq!(alone.junit(), forked.junit());
    assert_eq!(alone.units, forked.units);
}

#[test]
fn details_of_a_case_are_reported() {
    let ours = Job::new(&project("outcomes"), 2).paths(&["tests/test_kinds.py"]).run().unwrap();
    let pass = ours.case("tests/test_kinds.py::test_pass");
    for text in ["to stdout", "to stderr", "to the log"] {
        assert_eq!(pass.output.matches(text).count(), 1, "{}", pass.output);
    }
    assert_eq!((pass.file.as_deref(), pass.line), (Some("tests/test_kinds.py"), Some(9)));
    let fail = ours.case("tests/test_kinds.py::test_fail");
    let failure = fail.failure.as_ref().unwrap();
    assert_eq!(failure.kind, "AssertionError");
    assert_eq!(failure.message, "AssertionError: sums are off");
    assert!(failure.detail.contains("assert (1 + 1) == 3"), "{}", failure.detail);
    assert!(fail.output.contains("before the failure"));
    let kind = |name: &str| ours.case(&format!("tests/test_kinds.py::{name}")).failure.clone().unwrap().kind;
    assert_eq!(kind("test_error_of_type"), "KeyError");
    assert_eq!(kind("test_setup_error"), "OSError");
    assert_eq!(kind("test_xpass_strict"), "XPassStrict");
    let both = ours.case("tests/test_kinds.py::test_fail_and_teardown_error").failure.clone().unwrap();
    assert!(both.detail.contains("first") && both.detail.contains("no way back"), "{}", both.detail);
    let reason = |name: &str| ours.case(&format!("tests/test_kinds.py::{name}")).reason.clone();
    assert_eq!(reason("test_skip_mark").as_deref(), Some("not today"));
    assert_eq!(reason("test_xfail").as_deref(), Some("known bug"));
    assert_eq!(reason("test_xfail_call").as_deref(), Some("from inside"));
}

#[test]
fn whatever_tests_do_to_their_process_each_case_has_its_result() {
    for fork in ["1", "0"] {
        let ours = Job::new(&project("hostile"), 2).env("FLEETEST_PYTEST_FORK", fork).run().unwrap();
        assert_eq!(ours.aborted(), []);
        for (id, outcome, kind) in HOSTILE {
            let case = ours.case(id);
            let found = case.failure.as_ref().map_or("", |failure| failure.kind.as_str());
            assert_eq!((case.outcome, found), (outcome, kind), "{id}, fork {fork}: {:?}", case.failure);
        }
        assert_eq!(ours.cases().count(), HOSTILE.len());
        let segfault = ours.case("tests/test_signals.py::test_segfault").failure.clone().unwrap();
        assert!(segfault.detail.contains("test_segfault"), "a stack from Python: {}", segfault.detail);
        assert_eq!(segfault.message, "the process was killed by SIGSEGV while this case ran");
        assert_eq!(ours.case("tests/test_import_error.py").name, "tests.test_import_error");
        assert!(ours.case("tests/test_streams.py::test_after").output.contains("still captured"));
        let flood = &ours.case("tests/test_streams.py::test_flood").output;
        assert!(flood.len() <= 64 * 1024 && flood.contains(" bytes cut ...]") && flood.ends_with("the end"));
        let huge = ours.case("tests/test_streams.py::test_huge_failure").failure.clone().unwrap();
        assert!(huge.detail.len() <= 64 * 1024 && huge.message.len() <= 1000);
    }
}

#[test]
fn a_case_past_its_limit_is_killed_and_the_rest_goes_on() {
    let ours = Job::new(&project("limits"), 2).case_timeout_ms(1500).run().unwrap();
    let expected = [
        ("test_hang.py::test_before", Passed),
        ("test_hang.py::test_hang", TimedOut),
        ("test_hang.py::test_after", Passed),
        ("test_hang_on_import.py", TimedOut),
    ];
    assert_eq!(ours.outcomes(), expected.iter().map(|(id, o)| ((*id).to_owned(), *o)).collect());
    let hang = ours.case("test_hang.py::test_hang").failure.clone().unwrap();
    assert_eq!(hang.kind, "timeout");
    assert_eq!(hang.message, "the process was killed after the limit of 1500 ms while this case ran");
}

#[test]
fn a_test_that_kills_the_warm_process_is_the_suspect_and_others_go_on() {
    let job = Job::new(&project("parent"), 1);
    let ours =
        job.run_entries(|units| units.iter().map(|unit| Entry::whole(&unit.key, 0)).collect()).unwrap();
    let suspects: Vec<_> = ours.aborted().into_iter().map(|(suspect, _)| suspect).collect();
    assert_eq!(suspects, [Some(CaseId::from("test_a.py::test_kill_parent"))]);
    assert_eq!(ours.case("test_b.py::test_elsewhere").outcome, Passed);
    let often = job.run_entries(|_| (0..7).map(|_| Entry::whole("test_a.py", 0)).collect());
    assert_eq!(cause(often).code, CauseCode::RunnerLost);
}

#[test]
fn selections_and_filters_choose_by_id() {
    let file = "tests/test_kinds.py";
    let id = |name: &str| CaseId(format!("{file}::{name}"));
    let half = vec![id("test_pass"), id("TestClass::test_method"), id("gone")];
    let mut job = Job::new(&project("outcomes"), 1);
    let with = |selection| Entry { selection, attempt: 2, ..Entry::whole(file, 0) };
    let whole: BTreeSet<CaseId> =
        job.run_entries(|_| vec![Entry::whole(file, 0)]).unwrap().cases().map(|r| r.case.clone()).collect();
    // The same slot runs one part after the other: collecting a file again must not change it.
    let split = job
        .run_entries(|_| vec![with(Selection::Only(half.clone())), with(Selection::Except(half.clone()))])
        .unwrap();
    let first: Vec<_> = split.cases().filter(|r| half.contains(&r.case)).collect();
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|r| r.attempt == 2 && r.outcome == Passed));
    assert_eq!(split.cases().map(|r| r.case.clone()).collect::<BTreeSet<_>>(), whole);
    job.ctx.filter = Arc::new(|case| case.0.contains("xfail"));
    let filtered = job.run_entries(|_| vec![Entry::whole(file, 0)]).unwrap();
    assert!(filtered.cases().all(|r| r.case.0.contains("xfail")) && filtered.cases().count() == 3);
    assert_eq!(filtered.deselected() as usize, whole.len() - 3 + 2);
}

#[test]
fn a_broken_file_shows_through_any_choice() {
    let mut job = Job::new(&project("hostile"), 1);
    job.ctx.filter = Arc::new(|case| case.0.contains("nothing"));
    let whole = Entry::whole("tests/test_import_error.py", 0);
    let part = |case: &str| Entry {
        selection: Selection::Only(vec![CaseId(format!("tests/test_import_error.py::{case}"))]),
        ..whole.clone()
    };
    let promised = Entry { promised: true, attempt: 2, ..part("test_hidden") };
    let ours = job
        .run_entries(|_| vec![part("test_hidden"), part("test_other"), promised.clone(), whole.clone()])
        .unwrap();
    let mut ids: Vec<&str> =
        ours.cases().filter(|r| r.outcome == Errored).map(|r| r.case.0.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(
        ids.len(),
        3,
        "each part has a name of its own, and the promised one announces nothing: {ids:?}"
    );
    assert_eq!(ids.len(), ours.cases().count());
}

#[test]
fn careful_entries_announce_each_start_and_wait_until_it_is_stored() {
    let job = Job::new(&project("hostile"), 1);
    let driver = PytestDriver::new(job.ctx.clone());
    driver.discover().unwrap();
    let mut slot = driver.open_slot(1).unwrap();
    let mut sink = Kept::default();
    let entry = Entry { careful: true, ..Entry::whole("tests/test_exit.py", 0) };
    slot.run(&LeasedEntry { index: 9, entry }, true, &mut sink).unwrap();
    let trail: Vec<String> = sink
        .events
        .iter()
        .filter_map(|event| match event {
            UnitEvent::CaseStarted { case, .. } => Some(format!("> {case}")),
            UnitEvent::Case { result, .. } => {
                assert!(result.alone);
                Some(format!("{} {}", result.outcome, result.case))
            }
            UnitEvent::Started { .. } | UnitEvent::Announced { .. } | UnitEvent::Finished { .. } => None,
            UnitEvent::Yielded { .. } => Some("yielded".to_owned()),
            UnitEvent::Aborted { .. } => Some("aborted".to_owned()),
        })
        .collect();
    let expected: Vec<String> = HOSTILE
        .iter()
        .filter(|(id, ..)| id.starts_with("tests/test_exit.py"))
        .flat_map(|(id, outcome, _)| [format!("> {id}"), format!("{outcome} {id}")])
        .collect();
    assert_eq!(trail, expected);
    assert_eq!(sink.flushes, 5);
}

const LONG_FILE: &str = "
import pytest, time

@pytest.fixture(scope='module', autouse=True)
def shared():
    yield
    raise RuntimeError('taken down')

@pytest.mark.parametrize('number', range(40))
def test_long(number):
    time.sleep(0.02)
";

#[test]
fn a_long_file_is_left_to_idle_slots_between_two_cases() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("test_long.py"), LONG_FILE).unwrap();
    let job = Job::new(place.path(), 1);
    let driver = PytestDriver::new(job.ctx.clone());
    driver.discover().unwrap();
    let mut slot = driver.open_slot(1).unwrap();
    let whole = Entry::whole("test_long.py", 0);
    let mut sink = Kept { idle: 2, ..Kept::default() };
    slot.run(&LeasedEntry { index: 0, entry: whole.clone() }, false, &mut sink).unwrap();
    assert!(matches!(sink.events.last(), Some(UnitEvent::Yielded { slots: 3, .. })), "{:?}", sink.events);
    let ran = Outcomes { units: Vec::new(), notes: Vec::new(), events: sink.events };
    let outcomes: Vec<Outcome> = ran.cases().map(|result| result.outcome).collect();
    assert!(outcomes.len() < 40);
    // What the module shares is taken down under the name of the case that turned out to be the last.
    let (last, others) = outcomes.split_last().unwrap();
    assert_eq!(*last, Errored);
    assert!(others.iter().all(|outcome| *outcome == Passed));
    // The slot goes on; nobody shares a file that has no more cases than this.
    let names =
        |range: std::ops::Range<usize>| range.map(|n| CaseId(format!("test_long.py::test_long[{n}]")));
    let rest = Entry { selection: Selection::Only(names(37..40).collect()), promised: true, ..whole };
    let mut sink = Kept { idle: 2, ..Kept::default() };
    slot.run(&LeasedEntry { index: 1, entry: rest }, false, &mut sink).unwrap();
    assert!(matches!(sink.events.last(), Some(UnitEvent::Finished { .. })), "{:?}", sink.events);
}

#[test]
fn slots_have_their_own_places_and_xdists_names() {
    let home = written(&[(
        "test_names.py",
        "import os\n\
         def test_names(worker_id, testrun_uid, tmp_path, request):\n\
         \x20   assert worker_id == os.environ['PYTEST_XDIST_WORKER'] == request.config.workerinput['workerid']\n\
         \x20   assert os.environ['PYTEST_XDIST_WORKER_COUNT'] == '2'\n\
         \x20   assert testrun_uid == os.environ['PYTEST_XDIST_TESTRUNUID']\n\
         \x20   assert tmp_path.parent.name.startswith(worker_id)\n\
         \x20   print('I am', worker_id)\n",
    )]);
    let job = Job::new(home.path(), 2);
    let driver = PytestDriver::new(job.ctx.clone());
    driver.discover().unwrap();
    let mut slots = [driver.open_slot(1).unwrap(), driver.open_slot(2).unwrap()];
    for (slot, name) in slots.iter_mut().zip(["gw0", "gw1"]) {
        let mut sink = Kept::default();
        let entry = LeasedEntry { index: 0, entry: Entry::whole("test_names.py", 0) };
        slot.run(&entry, false, &mut sink).unwrap();
        let said = sink.events.iter().any(|event| {
            matches!(event, UnitEvent::Case { result, .. }
                if result.outcome == Passed && result.output.contains(&format!("I am {name}")))
        });
        assert!(said, "{:?}", sink.events);
    }
}

#[test]
fn session_fixtures_live_as_long_as_the_slot_and_narrower_ones_as_long_as_the_file() {
    let module = "def test_one(wide, narrow):\n    pass\ndef test_two(wide, narrow):\n    pass\n";
    let home = written(&[
        ("test_a.py", module),
        ("test_b.py", module),
        (
            "conftest.py",
            "import pytest\n\
             def note(text):\n    open('trail', 'a').write(text + ' ')\n\
             @pytest.fixture(scope='session')\ndef wide():\n    note('wide+')\n    yield\n    note('wide-')\n\
             @pytest.fixture(scope='module')\ndef narrow():\n    note('narrow+')\n    yield\n    note('narrow-')\n\
             def pytest_sessionstart():\n    note('start')\n\
             def pytest_sessionfinish():\n    note('finish')\n",
        ),
    ]);
    Job::new(home.path(), 1).run().unwrap();
    let trail = std::fs::read_to_string(home.path().join("trail")).unwrap();
    assert_eq!(trail.trim(), "start wide+ narrow+ narrow- narrow+ narrow- wide- finish");
}

#[test]
fn node_ids_as_paths_run_only_what_they_name() {
    let job = Job::new(&project("outcomes"), 2).args(&["-v"]).paths(&[
        "tests/test_kinds.py::TestClass",
        "tests/test_kinds.py::test_ids[ü]",
        "tests/test_fixtures.py",
    ]);
    let ours = job.run().unwrap();
    assert_eq!(ours.units, ["tests/test_kinds.py", "tests/test_fixtures.py"]);
    let kinds: Vec<&str> = ours
        .cases()
        .filter_map(|r| r.case.0.strip_prefix("tests/test_kinds.py::"))
        .filter(|name| !name.starts_with("TestClass::"))
        .collect();
    assert_eq!(kinds, [r"test_ids[\xfc]"; 0], "non-ASCII ids are escaped by pytest, so this names nothing");
    assert_eq!(ours.cases().count(), 2 + 4);
}

#[test]
fn a_project_without_tests_has_no_units() {
    let home = written(&[("notes.txt", "nothing here")]);
    assert!(Job::new(home.path(), 1).run().unwrap().units.is_empty());
}

#[test]
fn what_keeps_pytest_from_starting_is_told_in_its_own_words() {
    let cases: [(&str, &str, &str, CauseCode, &str); 5] = [
        (
            "pytest.ini",
            "[pytest]\naddopts = --no-such-option\n",
            "",
            CauseCode::SetupFailed,
            "--no-such-option",
        ),
        ("conftest.py", "import nothing_like_this\n", "", CauseCode::SetupFailed, "nothing_like_this"),
        ("sub/conftest.py", "raise RuntimeError('boom')\n", "", CauseCode::DiscoveryFailed, "boom"),
        ("test_a.py", "", "missing/dir", CauseCode::SetupFailed, "missing/dir"),
        ("conftest.py", "import os\nos._exit(9)\n", "", CauseCode::SetupFailed, "exit code 9"),
    ];
    for (file, text, path, code, message) in cases {
        let home = written(&[(file, text), ("sub/test_b.py", "def test_b(): pass\n")]);
        let paths: Vec<&str> = Some(path).into_iter().filter(|p| !p.is_empty()).collect();
        let cause = cause(Job::new(home.path(), 1).paths(&paths).run());
        assert_eq!(cause.code, code, "{cause:?}");
        assert!(cause.message.contains(message), "{cause:?}");
    }
}

#[test]
fn a_missing_or_ancient_pytest_is_named_with_the_way_to_install_it() {
    let home = written(&[("test_a.py", ""), ("old/pytest.py", "__version__ = '6.2.5'\n")]);
    let bare = home.path().join("bare-python");
    std::fs::write(&bare, format!("#!/bin/sh\nexec {} -S \"$@\"\n", python().display())).unwrap();
    std::fs::set_permissions(&bare, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let missing = cause(Job::new(home.path(), 1).env("FLEETEST_PYTHON", bare.to_str().unwrap()).run());
    assert_eq!(missing.code, CauseCode::FrameworkMissing, "{missing:?}");
    assert!(missing.message.contains("-m pip install pytest`"), "{missing:?}");
    let old = home.path().join("old");
    let ancient = cause(Job::new(home.path(), 1).env("PYTHONPATH", old.to_str().unwrap()).run());
    assert_eq!(ancient.code, CauseCode::FrameworkMissing, "{ancient:?}");
    assert!(ancient.message.contains("6.2.5") && ancient.message.contains("--upgrade"), "{ancient:?}");
    let none = cause(Job::new(home.path(), 1).env("FLEETEST_PYTHON", "no-such-python").run());
    assert_eq!(none.code, CauseCode::FrameworkMissing);
    assert!(none.message.contains("`no-such-python`"), "{none:?}");
}

#[test]
fn stop_ends_running_slots_at_once() {
    let home = written(&[(
        "test_a.py",
        "import time\ndef test_wait():\n    open('running', 'w').close()\n    time.sleep(600)\n",
    )]);
    let fifo = home.path().join("running");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let job = Job::new(home.path(), 1);
    let driver = PytestDriver::new(job.ctx.clone());
    driver.discover().unwrap();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let entry = LeasedEntry { index: 0, entry: Entry::whole("test_a.py", 0) };
            driver.open_slot(1).unwrap().run(&entry, false, &mut Kept::default())
        });
        // Opening for reading waits until the test opens for writing.
        drop(std::fs::File::open(&fifo).unwrap());
        driver.stop();
        assert!(matches!(worker.join().unwrap(), Err(DriverError::Stopped)));
    });
    driver.stop();
    assert!(matches!(driver.open_slot(2).map(drop), Err(DriverError::Stopped)));
}

#[test]
fn unusual_options_of_pytest_change_nothing_but_what_they_say() {
    let options: [&[&str]; 4] =
        [&["-s"], &["--capture=sys"], &["--import-mode=importlib"], &["-p", "no:faulthandler"]];
    for option in options {
        let job = Job::new(&project("outcomes"), 2).args(option);
        let neutral =
            "addopts=-n0 --doctest-modules --strict-markers -m 'not slow' --ignore=tests/ignored.py";
        let plain = plain_pytest(&job, &["-o", neutral]);
        let ours = job.run().unwrap().junit();
        assert_eq!(ours, plain, "{option:?}");
    }
}

#[test]
fn a_module_that_only_another_file_imports_is_there_as_in_plain_pytest() {
    let home = written(&[
        ("lib/pack/__init__.py", ""),
        ("lib/pack/hidden.py", "value = 1\n"),
        ("lib/loose/__init__.py", ""),
        ("lib/loose/late.py", "import os\nvalue = os.environ['SET_BY_A_TEST_FILE']\n"),
        ("tests/test_a.py", "import pack\n\ndef test_a():\n    assert pack.hidden.value == 1\n"),
        (
            "tests/test_b.py",
            "\"\"\"Imports it.\n\nimport nonsense\n\"\"\"\n\nimport pack.hidden\n\ndef test_b():\n    pass\n",
        ),
        (
            "tests/test_c.py",
            "import os\nos.environ['SET_BY_A_TEST_FILE'] = '1'\nimport loose.late\n\ndef test_c():\n    pass\n",
        ),
        (
            "tests/test_d.py",
            "import sys\nimport loose\n\ndef test_d():\n    assert 'loose.late' not in sys.modules\n",
        ),
    ]);
    let lib = home.path().join("lib");
    let job = |preload: &str| {
        Job::new(home.path(), 1)
            .env("PYTHONPATH", lib.to_str().unwrap())
            .env("FLEETEST_PYTEST_PRELOAD", preload)
    };
    let alone = |job: Job, file: &str| {
        let ours = job.run_entries(|_| vec![Entry::whole(file, 0)]).unwrap();
        ours.cases().map(|case| case.outcome).collect::<Vec<_>>()
    };
    assert_eq!(alone(job("1"), "tests/test_a.py"), [Passed]);
    assert_eq!(alone(job("0"), "tests/test_a.py"), [Failed], "the other file is needed");
    assert_eq!(alone(job("1"), "tests/test_c.py"), [Passed], "its own statements come before its import");
    assert_eq!(alone(job("1"), "tests/test_d.py"), [Passed]);
}

#[test]
fn garbage_is_looked_for_as_newer_pythons_do_unless_the_project_says_when() {
    for (conftest, expected) in [("", 2000), ("import gc\ngc.set_threshold(900, 10, 10)\n", 900)] {
        let test = format!("import gc\ndef test_a():\n    assert gc.get_threshold()[0] == {expected}\n");
        let home = written(&[("conftest.py", conftest), ("test_a.py", &test)]);
        let ours = Job::new(home.path(), 1).run().unwrap();
        assert_eq!(ours.outcomes().into_values().collect::<Vec<_>>(), [Passed], "{expected}");
    }
}
