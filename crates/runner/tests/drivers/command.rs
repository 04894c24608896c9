//! The `command` driver.

use crate::recording::{Recording, context, entry, only, run_entry};
use runner::driver::command::CommandDriver;
use runner::driver::{Driver, DriverError};
use shared::domain::outcome::Outcome;
use shared::domain::spec::{Framework, SuiteSpec};
use shared::domain::unit::{DiscoveredUnit, Selection};
use tempfile::TempDir;

struct Project {
    root: TempDir,
    scratch: TempDir,
    suite: SuiteSpec,
}

impl Project {
    fn new(command: &str, results: &[&str]) -> Self {
        let mut suite = SuiteSpec::new("unit", Framework::Command);
        suite.command = Some(command.to_owned());
        suite.results = results.iter().map(|glob| (*glob).to_owned()).collect();
        Self { root: tempfile::tempdir().unwrap(), scratch: tempfile::tempdir().unwrap(), suite }
    }

    fn with(self, name: &str, text: &str) -> Self {
        let path = self.root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn driver(&self) -> CommandDriver {
        CommandDriver::new(context(self.root.path(), self.scratch.path(), self.suite.clone()).0)
    }

    fn run(&self, selection: Selection) -> Recording {
        let driver = self.driver();
        let units = driver.discover().unwrap();
        assert_eq!(
            units,
            [DiscoveredUnit { key: "unit".to_owned(), cases: None, divisible: false, size_bytes: 0 }]
        );
        let recording = run_entry(&driver, &entry("unit", selection)).unwrap();
        assert_eq!(std::fs::read_dir(self.scratch.path()).unwrap().count(), 0, "nothing is left in scratch");
        recording
    }
}

fn check(command: &str, results: &[&str], expect: &[&str]) -> Recording {
    let recording = Project::new(command, results).run(Selection::All);
    assert_eq!(recording.lines(), expect, "{command}");
    recording
}

fn message(recording: &Recording, id: &str) -> String {
    recording.result(id).failure.as_ref().unwrap().message.clone()
}

#[test]
fn only_an_exit_code() {
    let passed = check("echo hi; echo $FROM_JOB >&2", &[], &["passed unit::command"]);
    assert_eq!(passed.results[0].output, "hi\nyes\n");
    let failed = check("echo no; exit 3", &[], &["failed unit::command"]);
    assert_eq!(message(&failed, "unit::command"), "the command ended with exit code 3");
    assert_eq!(failed.results[0].output, "no\n");
    let crashed = check("kill -SEGV $$", &[], &["crashed unit::command"]);
    assert_eq!(crashed.results[0].failure.as_ref().unwrap().kind, "signal:SIGSEGV");
    check("sh -c 'kill -ABRT $$'; exit $?", &[], &["crashed unit::command"]);
}

#[test]
fn tap_on_standard_output() {
    let script = "echo 1..3; echo ok 1 - a; echo not ok 2 - b; echo ok 3 - a >&2; echo ok 3 - a; exit 1";
    check(script, &[], &["passed a", "failed b", "passed a#2"]);
    let cut = check("echo 1..3; echo ok 1 - a", &[], &["passed a", "errored unit::command"]);
    assert!(message(&cut, "unit::command").contains("3 tests were planned, but 1 ran"));
    check("echo '1..0 # SKIP not here'", &[], &["skipped (all)"]);
    check("echo ok 1 - looks like it", &[], &["passed unit::command"]);
}

#[test]
fn reports_are_found_and_counted() {
    let command = "mkdir -p out/a; echo '<testsuite name=\"s\"><testcase classname=\"k\" name=\"one\" time=\"0.5\" file=\"'$PWD'/abs.js\"/>\
                   <testcase name=\"two\" file=\"./t.js\" line=\"3\"><failure message=\"bad\">why</failure></testcase></testsuite>' \
                   > out/a/TEST-1.xml; printf '1..1\\nok 1 - tap\\n' > out/r.tap; exit 1";
    let ids = ["passed abs.js|k::one", "failed t.js|s::two", "passed tap"];
    let recording = check(command, &["out/**/TEST-*.xml", "out/*.tap"], &ids);
    let two = recording.result("t.js|s::two");
    assert_eq!((two.file.as_deref(), two.line), (Some("t.js"), Some(3)));
    assert_eq!(recording.result("abs.js|k::one").duration_us, 500_000);
}

#[test]
fn what_contradicts_is_never_green() {
    let green = "echo '<testsuite name=\"s\"><testcase name=\"a\"/></testsuite>' > r.xml";
    let r = &["r.xml"];
    let lie = check(&format!("{green}; exit 2"), r, &["passed s::a", "errored unit::command"]);
    assert!(message(&lie, "unit::command").contains("exit code 2, but none of the 1 reported cases failed"));
    let missing = check("echo done", r, &["errored unit::command"]);
    assert!(message(&missing, "unit::command").contains("wrote no file that matches `r.xml`"));
    assert_eq!(missing.results[0].output, "done\n");
    let empty = check("echo '<testsuites/>' > r.xml", r, &["errored unit::command"]);
    assert!(message(&empty, "unit::command").contains("has no test case"));
    let zero = check(": > r.xml", r, &["errored unit::command"]);
    assert!(message(&zero, "unit::command").contains("no JUnit report"));
    let cut = check(
        "printf '<testsuite><testcase name=\"a\"/><testc' > r.xml",
        r,
        &["passed a", "errored unit::command"],
    );
    assert!(message(&cut, "unit::command").contains("report `r.xml`, line 1"));
    check("echo garbage > r.xml", r, &["errored unit::command"]);
    let crash = check(&format!("{green}; kill -KILL $$"), r, &["passed s::a", "crashed unit::command"]);
    assert!(message(&crash, "unit::command").contains("SIGKILL"));
    let both = check("exit 9", r, &["errored unit::command"]);
    assert!(message(&both, "unit::command").contains("exit code 9"));
}

#[test]
fn a_stale_report_is_not_counted() {
    let old = "<testsuite name='s'><testcase name='from last week'/></testsuite>";
    let project = Project::new("true", &["r/*.xml"]).with("r/old.xml", old);
    let recording = project.run(Selection::All);
    assert_eq!(recording.lines(), ["errored unit::command"]);
    assert!(message(&recording, "unit::command").contains("older than this run"), "{recording:?}");
    assert!(message(&recording, "unit::command").contains("r/old.xml"));
    // The same text written again is fresh.
    let project = Project::new("cp r/old.xml r/new.xml; rm r/old.xml", &["r/*.xml"]).with("r/old.xml", old);
    assert_eq!(project.run(Selection::All).lines(), ["passed s::from last week"]);
    let project = Project::new(&format!("echo \"{old}\" > r/old.xml"), &["r/*.xml"]).with("r/old.xml", old);
    assert_eq!(project.run(Selection::All).lines(), ["passed s::from last week"]);
}

#[test]
fn repeated_ids_are_attempts_or_variants() {
    let case = |inner: &str| format!("<testcase classname='k' name='a'>{inner}</testcase>");
    let fail = case("<failure message='no'/>");
    let suite = |cases: String| format!("echo \"<testsuite>{cases}</testsuite>\" > r.xml");
    let retried = check(&suite(format!("{fail}{fail}{}", case(""))), &["r.xml"], &["passed k::a"]);
    assert_eq!(
        retried.results[0].reason.as_deref(),
        Some("passed in the tool's own attempt 3; the ones before failed")
    );
    check(&suite(format!("{}{fail}", case(""))), &["r.xml"], &["passed k::a", "failed k::a#2"]);
    // The superseded failure does not explain the exit code.
    let red = format!("{}; exit 1", suite(format!("{fail}{}", case(""))));
    check(&red, &["r.xml"], &["passed k::a", "errored unit::command"]);
    let two = "echo \"<testsuite><testcase name='a'><failure/></testcase></testsuite>\" > 1.xml; \
               echo \"<testsuite><testcase name='a'/></testsuite>\" > 2.xml; exit 1";
    check(two, &["*.xml"], &["failed a", "passed a#2"]);
    let rerun =
        "echo \"<testsuite><testcase name='a'><flakyFailure message='x'/></testcase></testsuite>\" > r.xml";
    let rerun = check(rerun, &["r.xml"], &["passed a"]);
    assert!(rerun.results[0].reason.as_ref().unwrap().contains("attempt 2"));
}

#[test]
fn a_retry_runs_the_command_again_and_tells_only_what_was_asked() {
    let command = "n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) > n; \
        if [ $n = 0 ]; then f='<failure message=\"first\"/>'; else f=; fi; \
        echo \"<testsuite><testcase name='a'/><testcase name='b'>$f</testcase><testcase name='filtered_out'/></testsuite>\" > r.xml; [ $n != 0 ]";
    let project = Project::new(command, &["r.xml"]);
    let first = project.run(Selection::All);
    assert_eq!((first.lines(), first.deselected), (vec!["passed a".to_owned(), "failed b".to_owned()], 1));
    assert_eq!(project.run(only(&["b"])).lines(), ["passed b"]);
    assert_eq!(project.run(Selection::Except(vec!["a".into()])).lines(), ["passed b"]);
    assert_eq!(project.run(only(&["gone"])).lines(), Vec::<String>::new());
    // The command's own case, asked for again, passes if all is well this time.
    assert_eq!(project.run(only(&["unit::command"])).lines(), ["passed unit::command"]);
}

#[test]
fn a_retry_that_breaks_does_not_lose_the_case() {
    let recording = Project::new("exit 7", &["r.xml"]).run(only(&["b"]));
    assert_eq!(recording.lines(), ["errored b"]);
    assert!(message(&recording, "b").contains("exit code 7"));
}

#[test]
fn a_time_out_keeps_what_was_reported() {
    let mut project =
        Project::new("echo '<testsuite><testcase name=\"a\"/></testsuite>' > r.xml; sleep 600", &["r.xml"]);
    project.suite.timeout_ms = 400;
    let recording = project.run(Selection::All);
    assert_eq!(recording.lines(), ["passed a", "timed_out unit::command"]);
    assert_eq!(message(&recording, "unit::command"), "the command ran longer than 400 ms and was killed");
}

#[test]
fn a_stop_ends_the_command() {
    let project = Project::new("touch begun; sleep 600", &[]);
    let driver = project.driver();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| run_entry(&driver, &entry("unit", Selection::All)));
        while !project.root.path().join("begun").exists() {
            std::thread::yield_now();
        }
        driver.stop();
        assert!(matches!(run.join().unwrap(), Err(DriverError::Stopped)));
    });
    assert!(matches!(run_entry(&driver, &entry("unit", Selection::All)), Err(DriverError::Stopped)));
}

#[test]
fn a_suite_without_a_command_says_what_to_set() {
    let mut project = Project::new("", &[]);
    project.suite.command = None;
    assert!(project.driver().discover().unwrap_err().to_string().contains("set `command`"));
}

#[test]
fn terminal_escapes_and_floods_are_tamed() {
    let recording = check(
        "printf 'a\\033[2Jb\\n'; head -c 3000000 /dev/zero | tr '\\0' x; echo end",
        &[],
        &["passed unit::command"],
    );
    let output = &recording.results[0].output;
    assert!(output.starts_with("ab\n") && output.ends_with("xend\n") && output.len() <= 64 * 1024);
    assert_eq!(recording.results[0].outcome, Outcome::Passed);
}

#[test]
fn a_hundred_thousand_cases_stay_small() {
    let script = "{ echo '<testsuite>'; seq 100000 | sed 's|.*|<testcase classname=\"pkg.Class\" name=\"case number &\"/>|'; echo '</testsuite>'; } > r.xml";
    let project = Project::new(script, &["r.xml"]);
    let driver = project.driver();
    let mut sink = Counting::default();
    driver.open_slot(1).unwrap().run(&entry("unit", Selection::All), false, &mut sink).unwrap();
    assert_eq!((sink.announced, sink.cases), (100_000, 100_000));
    let peak = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 60 * 1024, "{peak_kib} KiB");
}

#[derive(Default)]
struct Counting {
    announced: usize,
    cases: usize,
}

impl runner::driver::Sink for Counting {
    fn event(&mut self, event: shared::domain::unit::UnitEvent) {
        use shared::domain::unit::UnitEvent as E;
        match event {
            E::Announced { cases, .. } => self.announced = cases.len(),
            E::Case { .. } => self.cases += 1,
            E::Started { .. } | E::CaseStarted { .. } | E::Finished { .. } => {}
            E::Yielded { .. } => panic!("nobody is idle"),
            E::Aborted { reason, .. } => panic!("{reason}"),
        }
    }

    fn idle_slots(&self) -> u32 {
        0
    }
    fn flush(&mut self) {}
}
