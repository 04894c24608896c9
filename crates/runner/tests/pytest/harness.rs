//! Drives a pytest driver the way a runner does, and reads what pytest itself reports, for comparison.

use quick_xml::events::Event as Xml;
use runner::driver::pytest::PytestDriver;
use runner::driver::{Driver, DriverError, JobContext, Sink};
use shared::domain::case::{CaseId, CaseResult};
use shared::domain::outcome::Outcome;
use shared::domain::spec::{Framework, JobSpec, SuiteSpec};
use shared::domain::unit::{DiscoveredUnit, Entry, LeasedEntry, UnitEvent};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// The Python with pytest in it that tests use.
pub fn python() -> PathBuf {
    let stated = std::env::vars_os().find(|(key, _)| key == "FLEETEST_TEST_PYTHON").map(|(_, value)| value);
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/runner is two deep");
    let python = stated.map_or_else(|| workspace.join("target/venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "no Python at {}: run `cargo xtask ci` once", python.display());
    python
}

/// A job over `root` with its own scratch directory.
pub struct Job {
    pub ctx: JobContext,
    pub log: Arc<Mutex<String>>,
    _scratch: tempfile::TempDir,
}

impl Job {
    pub fn new(root: &Path, slots: u32) -> Self {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let log = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&log);
        let suite = SuiteSpec::new("unit", Framework::Pytest);
        let env = BTreeMap::from([("FLEETEST_PYTHON".to_owned(), python().display().to_string())]);
        let ctx = JobContext {
            job: JobSpec { name: "unit".to_owned(), suite, cell: BTreeMap::new() },
            root: root.to_path_buf(),
            scratch: scratch.path().to_path_buf(),
            env,
            slots,
            filter: Arc::new(|_| true),
            log: Arc::new(move |_, text| written.lock().expect("no panic").push_str(text)),
        };
        Self { ctx, log, _scratch: scratch }
    }

    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.ctx.env.insert(key.to_owned(), value.to_owned());
        self
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.ctx.job.suite.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self
    }

    pub fn paths(mut self, paths: &[&str]) -> Self {
        self.ctx.job.suite.paths = paths.iter().map(|path| (*path).to_owned()).collect();
        self
    }

    pub fn case_timeout_ms(mut self, limit: u64) -> Self {
        self.ctx.job.suite.case_timeout_ms = limit;
        self
    }

    /// Discovers and runs everything on all slots.
    pub fn run(&self) -> Result<Outcomes, DriverError> {
        self.run_entries(|units| units.iter().map(|unit| Entry::whole(&unit.key, 0)).collect())
    }

    /// Discovers and runs the entries made of the units.
    pub fn run_entries(
        &self,
        entries: impl Fn(&[DiscoveredUnit]) -> Vec<Entry>,
    ) -> Result<Outcomes, DriverError> {
        let driver = PytestDriver::new(self.ctx.clone());
        let units = driver.discover()?;
        let queue: Vec<LeasedEntry> =
            (0..).zip(entries(&units)).map(|(index, entry)| LeasedEntry { index, entry }).collect();
        let next = Mutex::new(queue.iter());
        let events = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let workers: Vec<_> = (1..=self.ctx.slots)
                .map(|number| {
                    let (driver, next, events) = (&driver, &next, &events);
                    scope.spawn(move || -> Result<(), DriverError> {
                        let mut slot = driver.open_slot(number)?;
                        loop {
                            let Some(entry) = next.lock().expect("no panic").next() else { return Ok(()) };
                            let mut sink = Kept::default();
                            slot.run(entry, false, &mut sink)?;
                            events.lock().expect("no panic").extend(sink.events);
                        }
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("a slot thread panicked"))
        })?;
        let notes = driver.notes();
        drop(driver);
        let events = events.into_inner().expect("no panic");
        check_order(&events);
        Ok(Outcomes { units: units.into_iter().map(|unit| unit.key).collect(), notes, events })
    }
}

/// A sink that keeps everything.
#[derive(Default)]
pub struct Kept {
    pub events: Vec<UnitEvent>,
    pub flushes: usize,
    pub idle: u32,
}

impl Sink for Kept {
    fn event(&mut self, event: UnitEvent) {
        self.events.push(event);
    }
    fn flush(&mut self) {
        self.flushes += 1;
    }
    fn idle_slots(&self) -> u32 {
        self.idle
    }
}

/// What a run came to.
pub struct Outcomes {
    pub units: Vec<String>,
    /// What the driver says people should know.
    pub notes: Vec<String>,
    pub events: Vec<UnitEvent>,
}

impl Outcomes {
    pub fn cases(&self) -> impl Iterator<Item = &CaseResult> {
        self.events.iter().filter_map(|event| {
            let UnitEvent::Case { result, .. } = event else { return None };
            Some(&**result)
        })
    }

    pub fn case(&self, id: &str) -> &CaseResult {
        self.cases().find(|result| result.case.0 == id).unwrap_or_else(|| {
            panic!("no case `{id}` among {:?}", self.cases().map(|r| &r.case.0).collect::<Vec<_>>())
        })
    }

    pub fn outcomes(&self) -> BTreeMap<String, Outcome> {
        self.cases().map(|result| (result.case.0.clone(), result.outcome)).collect()
    }

    pub fn aborted(&self) -> Vec<(Option<CaseId>, String)> {
        self.events
            .iter()
            .filter_map(|event| {
                let UnitEvent::Aborted { suspect, reason, .. } = event else { return None };
                Some((suspect.clone(), reason.clone()))
            })
            .collect()
    }

    pub fn deselected(&self) -> u32 {
        self.events
            .iter()
            .filter_map(|event| {
                let UnitEvent::Announced { deselected, .. } = event else { return None };
                Some(*deselected)
            })
            .sum()
    }

    /// Sorted (class, name, outcome), as JUnit would list them.
    pub fn junit(&self) -> Vec<(String, String, Outcome)> {
        let mut rows: Vec<_> = self.cases().map(|r| (r.class.clone(), r.name.clone(), r.outcome)).collect();
        rows.sort();
        rows
    }
}

/// The contract of the event stream: started, announced, one result per announced case, finished or aborted.
fn check_order(events: &[UnitEvent]) {
    let mut by_entry: BTreeMap<u32, Vec<&UnitEvent>> = BTreeMap::new();
    for event in events {
        by_entry.entry(event.entry()).or_default().push(event);
    }
    for (entry, events) in by_entry {
        assert!(matches!(events.first(), Some(UnitEvent::Started { .. })), "entry {entry}");
        let mut announced: Vec<&CaseId> = Vec::new();
        for event in &events {
            match event {
                UnitEvent::Announced { cases, .. } => {
                    assert!(announced.is_empty(), "entry {entry} announced twice");
                    announced = cases.iter().collect();
                }
                UnitEvent::Case { result, .. } => {
                    let place = announced.iter().position(|case| **case == result.case);
                    announced.remove(
                        place.unwrap_or_else(|| panic!("`{}` was not announced or came twice", result.case)),
                    );
                    assert_eq!(result.failure.is_some(), result.outcome.is_failure(), "{result:?}");
                }
                UnitEvent::Finished { .. } => {
                    assert!(announced.is_empty(), "entry {entry} left out {announced:?}");
                }
                UnitEvent::Yielded { slots, .. } => {
                    assert!(!announced.is_empty() && *slots > 1, "entry {entry} shares nothing");
                }
                UnitEvent::Started { .. } | UnitEvent::CaseStarted { .. } | UnitEvent::Aborted { .. } => {}
            }
        }
        let ends = |e: &&&UnitEvent| e.is_end();
        assert_eq!(events.iter().filter(ends).count(), 1, "entry {entry} ends once");
        assert!(events.last().is_some_and(|event| ends(&event)), "entry {entry} ends with its end");
    }
}

/// Sorted (class, name, outcome) of `pytest --junitxml` in the same directory.
pub fn plain_pytest(job: &Job, further: &[&str]) -> Vec<(String, String, Outcome)> {
    let report = job.ctx.scratch.join("plain.xml");
    let suite = &job.ctx.job.suite;
    let interpreter = PathBuf::from(&job.ctx.env["FLEETEST_PYTHON"]);
    let output = Command::new(interpreter.parent().expect("a directory").join("pytest"))
        .args(["-q", "-o", "junit_family=xunit1", "--junitxml"])
        .arg(&report)
        .arg("-o")
        .arg(format!("cache_dir={}", job.ctx.scratch.join("cache").display()))
        .args(further)
        .args(suite.args.iter().chain(&suite.paths))
        .envs(&job.ctx.env)
        .current_dir(&job.ctx.root)
        .output()
        .expect("pytest starts");
    let text = std::fs::read_to_string(&report)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stdout)));
    read_junit(&text)
}

/// Cases of a JUnit report; an element that appears twice for one case counts once, with its gravest outcome.
pub fn read_junit(text: &str) -> Vec<(String, String, Outcome)> {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut rows: Vec<(String, String, Outcome)> = Vec::new();
    let mut doubled = false;
    loop {
        let event = reader.read_event().expect("well-formed XML");
        if matches!(event, Xml::Eof) {
            break;
        }
        let (Xml::Start(tag) | Xml::Empty(tag)) = event else { continue };
        let graver = match tag.name().as_ref() {
            "testcase" => {
                let (class, name) = (attribute(&tag, "classname"), attribute(&tag, "name"));
                // A failed call with a failed tear-down is written as two elements in a row.
                doubled =
                    rows.last().is_some_and(|(c, n, o)| *c == class && *n == name && *o == Outcome::Failed);
                if !doubled {
                    rows.push((class, name, Outcome::Passed));
                }
                continue;
            }
            "failure" => Outcome::Failed,
            "error" => Outcome::Errored,
            "skipped" => Outcome::Skipped,
            _ => continue,
        };
        let last = rows.last_mut().expect("a result belongs to a case");
        let gravity = [Outcome::Passed, Outcome::Skipped, Outcome::Errored, Outcome::Failed];
        let weight = |o: Outcome| gravity.iter().position(|x| *x == o);
        if !doubled && weight(graver) > weight(last.2) {
            last.2 = graver;
        }
    }
    rows.sort();
    rows
}

fn attribute(tag: &quick_xml::events::BytesStart<'_>, name: &str) -> String {
    tag.try_get_attribute(name)
        .expect("well-formed attributes")
        .map(|a| a.normalized_value(quick_xml::XmlVersion::Implicit1_0).expect("known entities").into_owned())
        .unwrap_or_default()
}
